//! Where the broker is and how to get in. Shows no password.

use std::time::Duration;

use lapin::{
    Connection, ConnectionProperties,
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use tokio::time::timeout;

use crate::{BusConfig, Error};

/// A broker that has not let us in by then is looked for again. On a busy one it takes a second.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Seconds between signs of life in both directions. A broker whose host vanished is noticed after twice as long; calls
/// go on meanwhile, but commands wait.
const HEARTBEAT_S: u16 = 5;

/// The broker of `bus.url`.
pub(crate) struct Target {
    uri: AMQPUri,
    ca: Option<String>,
    name: String,
}

impl Target {
    pub(crate) fn new(config: &BusConfig, node: &str) -> Result<Self, Error> {
        let mut uri: AMQPUri = config
            .url
            .parse()
            .map_err(|_| Error::UnsupportedUrl(without_password(&config.url)))?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let ca = match &config.ca_file {
            Some(path) => Some(
                std::fs::read_to_string(path).map_err(|error| Error::CaFile {
                    path: path.display().to_string(),
                    reason: error.to_string(),
                })?,
            ),
            None => None,
        };
        Ok(Self {
            uri,
            ca,
            name: format!("callreel {node}"),
        })
    }

    /// The URL without the password.
    pub(crate) fn shown(&self) -> String {
        let AMQPUri {
            scheme,
            authority,
            vhost,
            ..
        } = &self.uri;
        let scheme = match scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        let vhost = vhost.replace('/', "%2f");
        let (user, host, port) = (
            &authority.userinfo.username,
            &authority.host,
            authority.port,
        );
        format!("{scheme}://{user}@{host}:{port}/{vhost}")
    }

    /// Gets in.
    pub(crate) async fn connect(&self) -> Result<Connection, lapin::Error> {
        let properties = ConnectionProperties::default()
            .with_connection_name(self.name.as_str().into())
            .with_client_property("product".into(), "Callreel".into());
        let tls = OwnedTLSConfig {
            identity: None,
            cert_chain: self.ca.clone(),
        };
        let runtime = lapin::runtime::default_runtime()?;
        let connecting =
            Connection::connect_uri_with_config(self.uri.clone(), properties, tls, runtime);
        timeout(CONNECT_PATIENCE, connecting)
            .await
            .unwrap_or_else(|_| {
                let kind = std::io::ErrorKind::TimedOut;
                Err(std::io::Error::new(kind, "no answer in ten seconds").into())
            })
    }
}

/// What can be shown of a URL that is none.
fn without_password(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    match url.rfind('@') {
        Some(at) if at >= after_scheme => format!("{}…{}", &url[..after_scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, Error> {
        let config = BusConfig {
            url: url.to_owned(),
            ca_file: None,
        };
        Target::new(&config, "node")
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("amqp://h", "amqp://guest@h:5672/%2f"),
            ("amqp://u:secret@h:1/v", "amqp://u@h:1/v"),
            ("amqps://u:se%40cret@h", "amqps://u@h:5671/%2f"),
        ] {
            assert_eq!(
                target(url).map(|target| target.shown()),
                Ok(shown.to_owned())
            );
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_its_password() {
        for url in [
            "http://u:secret@h",
            "u:secret@h",
            "amqp://u:secret@h:port",
            "",
        ] {
            let refused = target(url).err().unwrap().to_string();
            assert!(refused.contains("bus.url"), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn an_unreadable_authority_is_named() {
        let config = BusConfig {
            url: "amqps://h".to_owned(),
            ca_file: Some("/nowhere/ca.pem".into()),
        };
        let refused = Target::new(&config, "node").err().unwrap().to_string();
        assert!(refused.contains("bus.ca_file /nowhere/ca.pem"), "{refused}");
    }
}
