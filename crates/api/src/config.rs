//! The settings of the HTTP API (section `api`); reads no file and no environment.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use callreel_doors::Certificate;
use callreel_proto::Secret;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Shortest operator's token, bytes: 128 bits in hex digits.
const MIN_ADMIN_TOKEN: usize = 32;

/// Settings of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether requests must show a token.
    pub auth: Auth,
    /// The operator's token, which reaches every account; nobody has one when absent.
    pub admin_token: Option<Secret>,
    /// Seconds a token that a login gave lasts.
    pub token_lifetime_s: u64,
    /// PEM file of the certificate that the API shows, with those that vouch for it behind; plain HTTP when absent.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub tls_key: Option<PathBuf>,
    /// Requests of one address in a second, on average; 0 limits nobody.
    pub requests_per_second: u32,
}

/// Whether requests must show a token. One that is shown must be good in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Unless only this machine can reach the API.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Every key of [`ApiConfig`] and what it means.
pub const CONFIG_KEYS: &[(&str, &str)] = &[
    (
        "listen",
        "address and port of the HTTP API, such as 127.0.0.1:8000",
    ),
    (
        "auth",
        "whether requests must show a token: on, off (whoever reaches the API may hear, stop and delete recordings), or auto: off while listen is loopback, else on",
    ),
    (
        "admin_token",
        "the operator's token, at least 32 characters: it reaches every account and all deliveries; keep it in a file named by CALLREEL_API_ADMIN_TOKEN_FILE",
    ),
    (
        "token_lifetime_s",
        "seconds a token lasts that a login (user_auth, api_auth) gave",
    ),
    (
        "tls_certificate",
        "PEM file of the certificate that the API shows, with those that vouch for it behind: it speaks HTTPS only, and reads a renewed file within a minute; plain HTTP when absent",
    ),
    ("tls_key", "PEM file of that certificate's key"),
    (
        "requests_per_second",
        "requests that one address may send, on average over five seconds; 0 limits nobody",
    ),
];

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            auth: Auth::Auto,
            admin_token: None,
            // Kazoo's.
            token_lifetime_s: 3600,
            tls_certificate: None,
            tls_key: None,
            requests_per_second: 100,
        }
    }
}

impl ApiConfig {
    /// Whether requests must show a token.
    pub fn asks_for_tokens(&self) -> bool {
        match self.auth {
            Auth::Auto => !self.listen.ip().is_loopback(),
            Auth::On => true,
            Auth::Off => false,
        }
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        match self.tls_certificate {
            Some(_) => "https",
            None => "http",
        }
    }

    /// The certificate it shows, if it does.
    ///
    /// # Errors
    /// [`Error::Tls`]: the files cannot be used.
    pub(crate) fn certificate(&self) -> Result<Option<Arc<Certificate>>, Error> {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some(Certificate::load(certificate, key)?)),
            _ => Ok(None),
        }
    }

    /// Refuses values nobody could work with.
    ///
    /// # Errors
    /// [`Error::Config`] names the key and what it must be.
    pub fn validate(&self) -> Result<(), Error> {
        // A header holds no others, and nobody could show it.
        let is_token = |token: &Secret| {
            token.reveal().len() >= MIN_ADMIN_TOKEN
                && token.reveal().bytes().all(|b| b.is_ascii_graphic())
        };
        if !self.admin_token.as_ref().is_none_or(is_token) {
            return Err(Error::Config {
                key: "admin_token",
                must: "at least 32 visible ASCII characters without spaces, such as what `openssl rand -hex 32` prints",
            });
        }
        if self.token_lifetime_s == 0 {
            return Err(Error::Config {
                key: "token_lifetime_s",
                must: "at least 1",
            });
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return Err(Error::Config {
                key: "tls_certificate",
                must: "set together with api.tls_key, each a PEM file",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained() {
        let config = serde_json::to_value(ApiConfig::default()).unwrap();
        let keys: Vec<&String> = config.as_object().unwrap().keys().collect();
        let explained: Vec<&str> = CONFIG_KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, explained);
    }

    #[test]
    fn only_this_machine_is_listened_to_by_default() {
        assert!(ApiConfig::default().listen.ip().is_loopback());
    }

    #[test]
    fn tokens_are_asked_for_as_soon_as_others_can_reach_the_api() {
        for (listen, auth, asks) in [
            ("127.0.0.1:8000", Auth::Auto, false),
            ("[::1]:8000", Auth::Auto, false),
            ("0.0.0.0:8000", Auth::Auto, true),
            ("[::]:8000", Auth::Auto, true),
            ("192.0.2.1:8000", Auth::Auto, true),
            ("127.0.0.1:8000", Auth::On, true),
            ("0.0.0.0:8000", Auth::Off, false),
        ] {
            let config = ApiConfig {
                listen: listen.parse().unwrap(),
                auth,
                ..ApiConfig::default()
            };
            assert_eq!(config.asks_for_tokens(), asks, "{listen} {auth:?}");
        }
    }

    #[test]
    fn settings_that_protect_nothing_are_refused_by_name() {
        let with = |token: &str, token_lifetime_s| ApiConfig {
            admin_token: Some(Secret::new(token)),
            token_lifetime_s,
            ..ApiConfig::default()
        };
        let good = "0123456789abcdef0123456789abcdef";
        assert!(with(good, 1).validate().is_ok());
        for (config, key) in [
            (with("short", 1), "admin_token"),
            (with("", 1), "admin_token"),
            (
                with("a phrase of many words is no header", 1),
                "admin_token",
            ),
            (with(good, 0), "token_lifetime_s"),
        ] {
            let said = config.validate().unwrap_err().to_string();
            assert!(said.contains(key), "{said}");
        }
    }
}
