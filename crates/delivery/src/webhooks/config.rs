//! The settings of the system's own webhook (section `webhooks`); reads no file and no environment.

use std::time::Duration;

use callreel_proto::{RecordingFact, Secret};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::Error;

/// Where the system is told what happens to recordings, and how webhooks are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Where facts about every account's recordings go; nowhere when absent.
    pub url: Option<Url>,
    /// What requests to `url` are signed with.
    pub secret: Option<Secret>,
    /// The facts that are told to `url`; empty is all.
    pub facts: Vec<RecordingFact>,
    /// Seconds one try may last, of any webhook.
    pub timeout_s: u64,
    /// Tries of one fact for `url`, the first included.
    pub tries: u32,
}

/// Every key of [`WebhooksConfig`] and what it means.
pub const WEBHOOKS_CONFIG_KEYS: &[(&str, &str)] = &[
    (
        "url",
        "where facts about the recordings of all accounts are posted as JSON; nowhere when absent",
    ),
    (
        "secret",
        "what requests to url are signed with (HMAC-SHA256); needed when url is set",
    ),
    (
        "facts",
        "which facts are told to url: started, masked, unmasked, ended, rendered, delivered, retrying, undeliverable, discarded, skipped, held, released, deleted; all when empty",
    ),
    ("timeout_s", "seconds one try of any webhook may last"),
    ("tries", "tries of one fact for url, the first included"),
];

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            facts: Vec::new(),
            timeout_s: 10,
            // With the waits between them about two minutes: the restart of a receiver.
            tries: 8,
        }
    }
}

impl WebhooksConfig {
    /// Refuses values no webhook could work with.
    ///
    /// # Errors
    /// [`Error::Config`] names the key and what it must be.
    pub fn validate(&self) -> Result<(), Error> {
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https");
        let rules = [
            (
                "url",
                self.url.as_ref().is_none_or(is_http),
                "an http or https URL",
            ),
            (
                "secret",
                self.url.is_none() || self.secret.as_ref().is_some_and(|s| !s.is_empty()),
                "set when url is: the receiver knows us by what it signs",
            ),
            ("timeout_s", self.timeout_s > 0, "at least 1"),
            ("tries", self.tries > 0, "at least 1"),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, must)) => Err(Error::Config {
                section: "webhooks",
                key,
                must,
            }),
            None => Ok(()),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<String> {
        let config: WebhooksConfig = serde_json::from_str(text).unwrap();
        config.validate().err().map(|error| error.to_string())
    }

    #[test]
    fn every_key_is_explained_and_every_explained_key_exists() {
        let config = serde_json::to_value(WebhooksConfig::default()).unwrap();
        let fields: Vec<&String> = config.as_object().unwrap().keys().collect();
        let explained: Vec<&str> = WEBHOOKS_CONFIG_KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(fields, explained);
    }

    #[test]
    fn a_webhook_needs_a_url_that_can_be_posted_to_and_a_secret() {
        assert_eq!(refused("{}"), None);
        assert_eq!(
            refused(r#"{"url": "https://h.example/", "secret": "k"}"#),
            None
        );
        assert_eq!(
            refused(r#"{"url": "https://h.example/"}"#).unwrap(),
            "webhooks.secret must be set when url is: the receiver knows us by what it signs"
        );
        assert_eq!(
            refused(r#"{"url": "ftp://h.example/", "secret": "k"}"#).unwrap(),
            "webhooks.url must be an http or https URL"
        );
        assert!(serde_json::from_str::<WebhooksConfig>(r#"{"facts": ["gone"]}"#).is_err());
    }

    #[test]
    fn a_secret_is_not_shown() {
        let config: WebhooksConfig = serde_json::from_str(r#"{"secret": "s3cret"}"#).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
