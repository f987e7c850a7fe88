//! Kazoo's `system_config/callflow`, with Kazoo's defaults: what holds for every callflow and every voicemail box.

use std::time::Duration;

use serde_json::Value;

use crate::{lenient_bool, lenient_u64};

/// Nobody's call branches more often, and a call must end.
const MOST_BRANCHES: u64 = 1000;
/// Nobody dials a longer number or PIN.
const LONGEST_DIALLED: u64 = 32;
/// Whoever fails more often is guessing.
const MOST_ATTEMPTS: u64 = 100;
/// A recording lasts no longer, seconds.
const LONGEST_MESSAGE_S: u64 = 10_800;

/// The document. A key is looked up in its `default` section, then at its top level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallflowConfig {
    /// How often one call may branch into another callflow (`max_branch_count`); 50 by default, 1000 at most.
    pub max_branches: u32,
    /// Whether callers from outside hear at once that it rings (`ring_ready_offnet`); true by default.
    pub ring_ready_offnet: bool,
    /// The number whose callflow is the operator's (`operator_key`); `0` by default.
    pub operator_key: String,
    /// Everything below `voicemail`.
    pub voicemail: VoicemailConfig,
}

/// What holds for voicemail boxes that do not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoicemailConfig {
    /// Messages a box may hold (`max_message_count`); 100 by default, 0 is no limit.
    pub max_message_count: u64,
    /// Longest message, seconds (`max_message_length`); 500 by default.
    pub max_message_length: u64,
    /// Shorter messages are discarded (`min_message_size`, milliseconds); 500 ms by default.
    pub min_message: Duration,
    /// How often somebody may fail to get in (`max_login_attempts`); 3 by default.
    pub max_login_attempts: u32,
    /// Most digits of a box's number (`max_box_number_length`); 15 by default.
    pub max_box_number_length: usize,
    /// Most digits of a PIN (`max_pin_length`); 6 by default.
    pub max_pin_length: usize,
    /// Whether owners need their PIN, whatever their box says (`force_require_pin`); false by default.
    pub force_require_pin: bool,
    /// File format of messages (`extension`); `mp3` by default.
    pub extension: String,
}

impl CallflowConfig {
    /// Reads the document; `Value::Null` gives the defaults. What is of the wrong type, or would be of no use, is as if it were not
    /// there.
    pub fn read(document: &Value) -> Self {
        let keys = Keys(document);
        let length = |key: &str, usual: u64| {
            usize::try_from(keys.whole(key, 1, LONGEST_DIALLED, usual)).unwrap_or_default()
        };
        let count = |key: &str, most: u64, usual: u64| {
            u32::try_from(keys.whole(key, 1, most, usual)).unwrap_or_default()
        };
        Self {
            max_branches: count("max_branch_count", MOST_BRANCHES, 50),
            ring_ready_offnet: keys.flag("ring_ready_offnet", true),
            operator_key: keys.text("operator_key", "0"),
            voicemail: VoicemailConfig {
                max_message_count: keys.whole("voicemail/max_message_count", 0, u64::MAX, 100),
                max_message_length: keys.whole(
                    "voicemail/max_message_length",
                    1,
                    LONGEST_MESSAGE_S,
                    500,
                ),
                min_message: Duration::from_millis(keys.whole(
                    "voicemail/min_message_size",
                    0,
                    LONGEST_MESSAGE_S * 1000,
                    500,
                )),
                max_login_attempts: count("voicemail/max_login_attempts", MOST_ATTEMPTS, 3),
                max_box_number_length: length("voicemail/max_box_number_length", 15),
                max_pin_length: length("voicemail/max_pin_length", 6),
                force_require_pin: keys.flag("voicemail/force_require_pin", false),
                extension: keys.text("voicemail/extension", "mp3"),
            },
        }
    }
}

impl Default for CallflowConfig {
    fn default() -> Self {
        Self::read(&Value::Null)
    }
}

struct Keys<'a>(&'a Value);

impl Keys<'_> {
    fn find<T>(&self, key: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        // Kazoo's older documents have `voicemail.KEY` as one word.
        let word = key.replacen('/', ".", 1);
        let places = [key, &word].map(|key| [format!("/default/{key}"), format!("/{key}")]);
        let mut places = places.iter().flatten();
        places.find_map(|place| read(self.0.pointer(place)?))
    }

    fn whole(&self, key: &str, least: u64, most: u64, usual: u64) -> u64 {
        let found = self.find(key, lenient_u64).filter(|n| *n >= least);
        found.map_or(usual, |n| n.min(most))
    }

    fn flag(&self, key: &str, usual: bool) -> bool {
        self.find(key, lenient_bool).unwrap_or(usual)
    }

    fn text(&self, key: &str, usual: &str) -> String {
        let text = |value: &Value| Some(value.as_str()?.to_owned()).filter(|t| !t.is_empty());
        self.find(key, text).unwrap_or_else(|| usual.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_a_document_kazoos_defaults_hold() {
        let config = CallflowConfig::default();
        assert_eq!((config.max_branches, config.ring_ready_offnet), (50, true));
        assert_eq!(config.operator_key, "0");
        let voicemail = config.voicemail;
        assert_eq!(voicemail.max_message_count, 100);
        assert_eq!(voicemail.max_message_length, 500);
        assert_eq!(voicemail.min_message, Duration::from_millis(500));
        assert_eq!(voicemail.max_login_attempts, 3);
        assert_eq!(voicemail.max_box_number_length, 15);
        assert_eq!(
            (voicemail.max_pin_length, voicemail.force_require_pin),
            (6, false)
        );
        assert_eq!(voicemail.extension, "mp3");
    }

    #[test]
    fn a_key_is_found_where_kazoo_has_it_and_what_is_of_no_use_is_not_there() {
        let config = CallflowConfig::read(&json!({
            "default": {"max_branch_count": 3, "voicemail": {"max_message_count": 0, "extension": "wav",
                "max_login_attempts": 0, "max_pin_length": "soon", "max_box_number_length": 9999}},
            "max_branch_count": 7, "voicemail.min_message_size": "1000", "ring_ready_offnet": "false"
        }));
        assert_eq!((config.max_branches, config.ring_ready_offnet), (3, false));
        let voicemail = config.voicemail;
        assert_eq!(
            (voicemail.max_message_count, voicemail.extension.as_str()),
            (0, "wav")
        );
        assert_eq!(voicemail.min_message, Duration::from_secs(1));
        assert_eq!(
            (voicemail.max_login_attempts, voicemail.max_pin_length),
            (3, 6)
        );
        assert_eq!(voicemail.max_box_number_length, 32);
    }
}
