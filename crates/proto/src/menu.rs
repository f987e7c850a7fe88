//! Menus (auto-attendants), as far as Callreel reads their documents.

use std::time::Duration;

use serde_json::Value;

use crate::{
    Secret,
    document::{flag, text},
    lenient_u64,
};

/// Kazoo's schema allows no more attempts.
const MOST_RETRIES: u64 = 10;
/// Kazoo's schema: nobody waits longer for a first key, milliseconds.
const LONGEST_TIMEOUT_MS: u64 = 60_000;
/// Kazoo's schema: nor from one key to the next, milliseconds.
const LONGEST_INTERDIGIT_MS: u64 = 10_000;
/// Longer than any number.
const LONGEST_EXTENSION: u64 = 32;

/// A menu document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    /// Document id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// So many attempts, 3 by default and 10 at most.
    pub retries: u64,
    /// Until the first key, 10 seconds by default and a minute at most.
    pub timeout: Duration,
    /// From one key to the next, 10 seconds at most; the action's, or Kazoo's own, if it does not say.
    pub interdigit_timeout: Option<Duration>,
    /// So many keys can be pressed, 4 by default.
    pub max_extension_length: usize,
    /// Whether callers may dial extensions, not by default: Kazoo's schema writes it into the document where it is wanted.
    pub hunt: bool,
    /// Extensions match this regular expression.
    pub hunt_allow: Option<String>,
    /// And not this one.
    pub hunt_deny: Option<String>,
    /// These keys record a new greeting.
    pub record_pin: Option<Secret>,
    /// Also for callers from outside the account.
    pub allow_record_from_offnet: bool,
    /// Media document of the greeting.
    pub greeting: Option<String>,
    /// After a choice that does not exist.
    pub invalid_media: MenuMedia,
    /// Before the call goes elsewhere.
    pub transfer_media: MenuMedia,
    /// After the last attempt.
    pub exit_media: MenuMedia,
}

/// What a menu plays on some occasion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MenuMedia {
    /// Kazoo's prompt.
    #[default]
    Usual,
    /// Nothing.
    Nothing,
    /// Media by its id.
    Named(String),
}

impl MenuMedia {
    fn read(doc: &Value, pointer: &str) -> Self {
        match text(doc, pointer) {
            _ if !flag(doc, pointer, true) => Self::Nothing,
            Some(name) if name != "true" => Self::Named(name),
            _ => Self::Usual,
        }
    }
}

impl Menu {
    /// Reads the fields Callreel needs; `Value::Null` gives Kazoo's defaults.
    pub fn read(doc: &Value) -> Self {
        let whole = |key: &str, usual: u64| doc.get(key).and_then(lenient_u64).unwrap_or(usual);
        let interdigit = doc.get("interdigit_timeout").and_then(lenient_u64);
        let keys = whole("max_extension_length", 4).clamp(1, LONGEST_EXTENSION);
        Self {
            id: text(doc, "/_id").unwrap_or_default(),
            name: text(doc, "/name"),
            retries: whole("retries", 3).min(MOST_RETRIES),
            timeout: Duration::from_millis(whole("timeout", 10_000).clamp(1, LONGEST_TIMEOUT_MS)),
            interdigit_timeout: interdigit
                .map(|ms| Duration::from_millis(ms.clamp(1, LONGEST_INTERDIGIT_MS))),
            max_extension_length: usize::try_from(keys).expect("it is at most 32"),
            hunt: flag(doc, "/hunt", false),
            hunt_allow: text(doc, "/hunt_allow"),
            hunt_deny: text(doc, "/hunt_deny"),
            record_pin: text(doc, "/record_pin").map(Secret::new),
            allow_record_from_offnet: flag(doc, "/allow_record_from_offnet", false),
            greeting: text(doc, "/media/greeting"),
            invalid_media: MenuMedia::read(doc, "/media/invalid_media"),
            transfer_media: MenuMedia::read(doc, "/media/transfer_media"),
            exit_media: MenuMedia::read(doc, "/media/exit_media"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_menu_is_kazoos_where_its_document_says_nothing() {
        let menu = Menu::read(&Value::Null);
        assert_eq!(
            (menu.retries, menu.timeout, menu.max_extension_length),
            (3, Duration::from_secs(10), 4)
        );
        assert!(!menu.hunt);
        assert_eq!(menu.exit_media, MenuMedia::Usual);
    }

    #[test]
    fn what_no_menu_should_be_is_brought_within_bounds() {
        let menu = Menu::read(&json!({
            "retries": 1_000_000, "timeout": "0", "interdigit_timeout": 99_999, "max_extension_length": 0
        }));
        assert_eq!((menu.retries, menu.max_extension_length), (10, 1));
        assert_eq!(menu.timeout, Duration::from_millis(1));
        assert_eq!(menu.interdigit_timeout, Some(Duration::from_secs(10)));
    }

    #[test]
    fn media_are_named_left_out_or_the_usual() {
        let menu = Menu::read(&json!({
            "media": {"invalid_media": "oops", "transfer_media": "false", "exit_media": true}
        }));
        assert_eq!(menu.invalid_media, MenuMedia::Named("oops".to_owned()));
        assert_eq!(menu.transfer_media, MenuMedia::Nothing);
        assert_eq!(menu.exit_media, MenuMedia::Usual);
    }
}
