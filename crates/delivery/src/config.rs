//! The settings of the delivery role (section `delivery`); reads no file and no environment.

use std::{
    collections::BTreeMap, net::SocketAddr, num::NonZero, path::PathBuf,
    thread::available_parallelism, time::Duration,
};

use callreel_attachments::OutsideConfig;
use callreel_proto::Secret;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Credentials, Error,
    access::{HouseAccess, can_be_sent},
    retention::Term,
    schedule::Policy,
};

/// Settings of the encode pool, the upload pool and their schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryConfig {
    /// Deliveries under way at once.
    pub upload_workers: usize,
    /// Deliveries under way at once to one host and port. A receiver that hangs keeps no more workers than these.
    pub uploads_per_host: usize,
    /// Threads that render recordings; 0 is one per core.
    pub encode_threads: usize,
    /// Networks (CIDR) that recordings may be sent to although the guard would refuse them.
    pub allow_networks: Vec<IpNet>,
    /// Upper bound of the wait after the first failure, seconds. It doubles with every further failure.
    pub backoff_first_s: u64,
    /// The wait never grows beyond this, seconds.
    pub backoff_max_s: u64,
    /// Hours of failing until a recording is undeliverable, from its first failure and while delivery runs.
    pub give_up_after_h: u64,
    /// Seconds to resolve the name, connect and finish the TLS handshake.
    pub connect_timeout_s: u64,
    /// Seconds without a byte accepted by the receiver, or without its answer, until a try counts as failed.
    pub stall_timeout_s: u64,
    /// Seconds one try may last in all.
    pub total_timeout_s: u64,
    /// Keep recordings that were given up on; otherwise their files are removed at that moment.
    pub keep_undeliverable: bool,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// PEM file with certificate authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Folders of this machine below which storage plans may put recordings.
    pub folder_roots: Vec<PathBuf>,
    /// Tell receivers of the recording in `X-Callreel-` headers: whose, of which call, from when, how long.
    pub metadata_headers: bool,
    /// Request headers for every receiver. No place for secrets: any account may name a receiver.
    pub headers: BTreeMap<String, String>,
    /// What lets deliveries in at single receivers.
    pub credentials: Vec<Credentials>,
    /// What deliveries are signed with, unless the account has a secret of its own.
    pub signing_secret: Option<Secret>,
    /// Where foreign switches hand in the files they have recorded; port 0 takes a free one. `None`: nowhere.
    pub intake_listen: Option<SocketAddr>,
    /// How switches reach it; `None` is `http://` and the address listened to.
    pub intake_url: Option<Url>,
    /// The largest file taken from a switch, bytes.
    pub intake_max_bytes: u64,
    /// Seconds a switch has to begin handing in a file, from being asked for it.
    pub intake_token_ttl_s: u64,
    /// Tell the switch to remove its file once it has handed it in.
    pub intake_delete_on_switch: bool,
    /// Files fetched from switches at once.
    pub fetches: usize,
    /// Files fetched at once from one switch.
    pub fetches_per_switch: usize,
    /// How long delivered recordings are kept after their end, for accounts that do not say: `90d`, `12h`, `30m`, `45s`, whole
    /// seconds, `forever`. `None`: for ever.
    pub retain_for: Option<String>,
    /// Seconds from one look for recordings whose time is over to the next; 0 never looks.
    pub retention_interval_s: u64,
    /// Days the clock may have gone on from one such look to the next; after more, nothing is deleted until a person has looked.
    pub retention_clock_days: u64,
}

/// Every key of [`DeliveryConfig`] and what it means.
pub const CONFIG_KEYS: &[(&str, &str)] = &[
    ("upload_workers", "deliveries under way at once"),
    (
        "uploads_per_host",
        "deliveries under way at once to one host and port, so that a receiver that hangs holds up no other",
    ),
    (
        "encode_threads",
        "threads that render recordings into MP3 or WAV; 0 is one per core",
    ),
    (
        "allow_networks",
        "networks (CIDR) that recordings are sent to, and web servers of callflows asked in, although they are loopback, link-local, multicast or cloud metadata",
    ),
    (
        "backoff_first_s",
        "longest wait in seconds after the first failure; doubles with every further failure",
    ),
    ("backoff_max_s", "the wait never grows beyond this, seconds"),
    (
        "give_up_after_h",
        "hours of failing until a recording is undeliverable, from its first failure and while delivery runs",
    ),
    (
        "connect_timeout_s",
        "seconds to resolve the name, connect and finish the TLS handshake",
    ),
    (
        "stall_timeout_s",
        "seconds without progress until a try counts as failed",
    ),
    ("total_timeout_s", "seconds one try may last in all"),
    (
        "keep_undeliverable",
        "keep recordings that were given up on, until someone retries or drops them",
    ),
    ("user_agent", "the User-Agent header of deliveries"),
    (
        "ca_file",
        "PEM file with certificate authorities to trust beside the system's",
    ),
    (
        "folder_roots",
        "folders of this machine below which storage plans may put recordings; none when empty",
    ),
    (
        "metadata_headers",
        "tell receivers of the recording in headers such as X-Callreel-Call-Id and X-Callreel-Duration-Ms",
    ),
    (
        "headers",
        "request headers for every receiver; no place for secrets, because any account may name a receiver",
    ),
    (
        "credentials",
        "what lets deliveries in at one receiver each: [{origin = \"https://rec.example.com\", bearer = \"…\"}], or user and password, or headers",
    ),
    (
        "signing_secret",
        "what deliveries are signed with (X-Callreel-Signature, HMAC-SHA256) unless the account has call_recording.signing_secret; unsigned when absent",
    ),
    (
        "intake_listen",
        "address and port where foreign switches hand in the files they have recorded, such as 10.0.0.5:24518; nowhere when absent",
    ),
    (
        "intake_url",
        "how switches reach it; http:// and intake_listen when absent",
    ),
    (
        "intake_max_bytes",
        "largest file taken from a switch, bytes",
    ),
    (
        "intake_token_ttl_s",
        "seconds a switch has to begin handing in a file, from being asked for it",
    ),
    (
        "intake_delete_on_switch",
        "tell the switch to remove its file once it has handed it in",
    ),
    ("fetches", "files fetched from foreign switches at once"),
    (
        "fetches_per_switch",
        "files fetched at once from one switch, so that one that is gone holds up no other",
    ),
    (
        "retain_for",
        "how long delivered recordings are kept after their end, for accounts that do not say: 90d, 12h, 30m, 45s, whole seconds or forever; for ever when absent",
    ),
    (
        "retention_interval_s",
        "seconds from one look for recordings whose time is over to the next; 0 never looks",
    ),
    (
        "retention_clock_days",
        "days the clock may have gone on from one such look to the next; after more, nothing is deleted until you have looked",
    ),
];

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            upload_workers: 32,
            uploads_per_host: 8,
            encode_threads: 0,
            allow_networks: Vec::new(),
            backoff_first_s: 5,
            backoff_max_s: 900,
            give_up_after_h: 72,
            connect_timeout_s: 10,
            stall_timeout_s: 60,
            total_timeout_s: 3600,
            keep_undeliverable: true,
            user_agent: concat!("callreel/", env!("CARGO_PKG_VERSION")).to_owned(),
            ca_file: None,
            folder_roots: Vec::new(),
            metadata_headers: true,
            headers: BTreeMap::new(),
            credentials: Vec::new(),
            signing_secret: None,
            intake_listen: None,
            intake_url: None,
            intake_max_bytes: 2 << 30,
            // As long as Kazoo waits for a switch to store a file.
            intake_token_ttl_s: 300,
            intake_delete_on_switch: false,
            fetches: 32,
            fetches_per_switch: 4,
            retain_for: None,
            retention_interval_s: 3600,
            retention_clock_days: 7,
        }
    }
}

impl DeliveryConfig {
    /// Refuses values no delivery could work with.
    ///
    /// # Errors
    /// [`Error::Config`] names the key and what it must be.
    pub fn validate(&self) -> Result<(), Error> {
        let rules = [
            ("upload_workers", self.upload_workers > 0, "at least 1"),
            ("uploads_per_host", self.uploads_per_host > 0, "at least 1"),
            ("backoff_first_s", self.backoff_first_s > 0, "at least 1"),
            (
                "backoff_max_s",
                self.backoff_max_s >= self.backoff_first_s,
                "at least backoff_first_s",
            ),
            (
                "connect_timeout_s",
                self.connect_timeout_s > 0,
                "at least 1",
            ),
            ("stall_timeout_s", self.stall_timeout_s > 0, "at least 1"),
            ("total_timeout_s", self.total_timeout_s > 0, "at least 1"),
            (
                "retain_for",
                self.retain_for
                    .as_deref()
                    .is_none_or(|text| Term::parse(text).is_ok()),
                "90d, 12h, 30m, 45s, whole seconds or forever",
            ),
            (
                "user_agent",
                self.user_agent.bytes().all(|b| (b' '..=b'~').contains(&b)),
                "printable ASCII",
            ),
            (
                "folder_roots",
                self.folder_roots.iter().all(|root| root.is_absolute()),
                "absolute paths",
            ),
            (
                "headers",
                can_be_sent(&self.headers),
                "at most 32 headers with printable values, none of which the delivery itself sets",
            ),
            (
                "credentials",
                self.credentials.iter().all(Credentials::can_be_used),
                "a list of {origin = \"https://host:port\"} with a bearer, or a user and password, and headers that may be sent",
            ),
            (
                "signing_secret",
                self.signing_secret.as_ref().is_none_or(|s| !s.is_empty()),
                "not empty: leave it out to send deliveries unsigned",
            ),
        ];
        let mut rules = rules.into_iter().chain(self.intake_rules());
        match rules.find(|(_, holds, _)| !holds) {
            Some((key, _, must)) => Err(Error::Config {
                section: "delivery",
                key,
                must,
            }),
            None => Ok(()),
        }
    }

    /// What the settings of the intake must be: a key, whether it is that, and what.
    fn intake_rules(&self) -> [(&'static str, bool, &'static str); 7] {
        [
            ("intake_max_bytes", self.intake_max_bytes > 0, "at least 1"),
            (
                "intake_token_ttl_s",
                self.intake_token_ttl_s > 0,
                "at least 1",
            ),
            ("fetches", self.fetches > 0, "at least 1"),
            (
                "fetches_per_switch",
                self.fetches_per_switch > 0,
                "at least 1",
            ),
            (
                "intake_listen",
                self.intake_url.is_none() || self.intake_listen.is_some(),
                "set when intake_url is: files that switches hand in must arrive somewhere",
            ),
            (
                "intake_url",
                self.intake_url.is_some() || !self.listens_everywhere(),
                "set when intake_listen names no single address: say how switches reach this node, such as http://10.0.0.5:24518",
            ),
            (
                "intake_url",
                self.intake_url.as_ref().is_none_or(is_base),
                "an http or https URL without a query",
            ),
        ]
    }

    fn listens_everywhere(&self) -> bool {
        self.intake_listen
            .is_some_and(|at| at.ip().is_unspecified())
    }

    /// How deliveries leave this node.
    pub fn outside(&self) -> OutsideConfig {
        OutsideConfig {
            allow_networks: self.allow_networks.clone(),
            connect_timeout: Duration::from_secs(self.connect_timeout_s),
            user_agent: self.user_agent.clone(),
            ca_file: self.ca_file.clone(),
            folder_roots: self.folder_roots.clone(),
        }
    }

    /// What deliveries carry, whoever they are for.
    pub(crate) fn house_access(&self) -> HouseAccess {
        HouseAccess {
            headers: self.headers.clone(),
            credentials: self.credentials.clone(),
            signing_secret: self.signing_secret.clone(),
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            first: Duration::from_secs(self.backoff_first_s),
            max: Duration::from_secs(self.backoff_max_s),
            give_up_after: Duration::from_secs(self.give_up_after_h.saturating_mul(3600)),
        }
    }

    /// Threads to start: as told, or one per core (one, if the system does not say how many there are).
    pub(crate) fn encode_threads(&self) -> usize {
        match self.encode_threads {
            0 => available_parallelism().map_or(1, NonZero::get),
            threads => threads,
        }
    }
}

/// Whether paths can be put behind it.
fn is_base(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained_and_every_explained_key_exists() {
        let config = serde_json::to_value(DeliveryConfig::default()).unwrap();
        let fields: Vec<&String> = config.as_object().unwrap().keys().collect();
        let explained: Vec<&str> = CONFIG_KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(fields, explained);
    }

    #[test]
    fn a_wrong_key_a_wrong_network_and_a_useless_value_are_refused() {
        let parse = |text: &str| serde_json::from_str::<DeliveryConfig>(text);
        assert!(parse(r#"{"allow_networks": ["127.0.0.0/8", "::1/128"]}"#).is_ok());
        assert!(parse(r#"{"allow_networks": ["localhost"]}"#).is_err());
        assert!(parse(r#"{"upload_worker": 1}"#).is_err());
        let useless = parse(r#"{"upload_workers": 0}"#).unwrap();
        assert_eq!(
            useless.validate().unwrap_err().to_string(),
            "delivery.upload_workers must be at least 1"
        );
        let relative = parse(r#"{"folder_roots": ["recordings"]}"#).unwrap();
        assert_eq!(
            relative.validate().unwrap_err().to_string(),
            "delivery.folder_roots must be absolute paths"
        );
        assert!(DeliveryConfig::default().validate().is_ok());
    }

    #[test]
    fn switches_must_be_told_an_address_they_can_reach() {
        let check = |listen: Option<&str>, url: Option<&str>| {
            let config = DeliveryConfig {
                intake_listen: listen.map(|at| at.parse().unwrap()),
                intake_url: url.map(|url| url.parse().unwrap()),
                ..DeliveryConfig::default()
            };
            config.validate().err().map(|error| error.to_string())
        };
        assert_eq!(check(Some("10.0.0.5:24518"), None), None);
        assert_eq!(check(Some("[::]:1"), Some("https://rec.example/in")), None);
        for everywhere in ["0.0.0.0:24518", "[::]:24518"] {
            assert_eq!(
                check(Some(everywhere), None).unwrap(),
                "delivery.intake_url must be set when intake_listen names no single address: say how switches reach this node, such as http://10.0.0.5:24518"
            );
        }
        let refused = check(None, Some("http://rec.example")).unwrap();
        assert!(refused.starts_with("delivery.intake_listen must be set"));
        for odd in ["ftp://rec.example", "http://rec.example/?a=b"] {
            let refused = check(Some("10.0.0.5:1"), Some(odd)).unwrap();
            assert!(refused.starts_with("delivery.intake_url must be an http"));
        }
    }
}
