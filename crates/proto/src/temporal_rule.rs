//! Rules of time and sets of them, as far as Callreel reads their documents.

use serde_json::Value;

use crate::{document::text, lenient_bool, lenient_u64};

/// A day, in seconds: Kazoo's `time_window_stop` where a rule has none.
const DAY_S: u64 = 86_400;

/// A `temporal_rule` document. What its words mean is for whoever asks whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporalRule {
    /// Document id: the branch it leads to.
    pub id: String,
    /// Somebody has switched it on or off, whatever the time.
    pub enabled: Option<bool>,
    /// `date`, `daily`, `weekly`, `monthly` or `yearly`.
    pub cycle: Option<String>,
    /// Every so many days, weeks, months or years, counted from the start; at least 1.
    pub interval: u64,
    /// Days of the month.
    pub days: Vec<u64>,
    /// Days of the week, in English; `wensday` is one of them.
    pub wdays: Vec<String>,
    /// Which of the month's: `every`, `first` to `fifth`, `last`; Kazoo's is `first`.
    pub ordinal: String,
    /// Month of the year; Kazoo's is January.
    pub month: u64,
    /// From when, in seconds since the year 0 (Kazoo's gregorian seconds), UTC.
    pub start_date: Option<u64>,
    /// Until when, likewise. Kazoo's 0 is no end.
    pub end_date: Option<u64>,
    /// From this second of a day.
    pub time_window_start: u64,
    /// To this one.
    pub time_window_stop: u64,
}

impl TemporalRule {
    /// Reads the fields Callreel needs.
    pub fn read(doc: &Value) -> Self {
        let whole = |key: &str| doc.get(key).and_then(lenient_u64);
        let list = |key: &str| {
            doc.get(key)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        Self {
            id: text(doc, "/_id").unwrap_or_default(),
            enabled: doc.get("enabled").and_then(lenient_bool),
            cycle: text(doc, "/cycle"),
            interval: whole("interval").unwrap_or(1).max(1),
            days: list("days").iter().filter_map(lenient_u64).collect(),
            wdays: list("wdays")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            ordinal: text(doc, "/ordinal").unwrap_or_else(|| "first".to_owned()),
            month: whole("month").unwrap_or(1),
            start_date: whole("start_date"),
            end_date: whole("end_date").filter(|end| *end > 0),
            time_window_start: whole("time_window_start").unwrap_or(0),
            time_window_stop: whole("time_window_stop").unwrap_or(DAY_S),
        }
    }
}

/// The rules of a `temporal_rule_set` document, by their ids; none of any other document.
pub fn temporal_rules(doc: &Value) -> Vec<String> {
    let rules = doc.get("temporal_rules").and_then(Value::as_array);
    let ids = rules.into_iter().flatten().filter_map(Value::as_str);
    ids.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_is_kazoos_where_its_document_says_nothing() {
        let rule = TemporalRule::read(&json!({"_id": "a", "interval": 0, "end_date": 0}));
        assert_eq!((rule.interval, rule.month), (1, 1));
        assert_eq!(rule.ordinal, "first");
        assert_eq!((rule.time_window_start, rule.time_window_stop), (0, 86_400));
        assert_eq!(
            (rule.enabled, rule.start_date, rule.end_date),
            (None, None, None)
        );
    }

    #[test]
    fn numbers_and_flags_may_be_spelled() {
        let rule =
            TemporalRule::read(&json!({"days": ["5", 6, "x"], "enabled": "false", "month": "12"}));
        assert_eq!(rule.days, [5, 6]);
        assert_eq!((rule.enabled, rule.month), (Some(false), 12));
    }

    #[test]
    fn only_a_set_has_rules() {
        assert_eq!(
            temporal_rules(&json!({"temporal_rules": ["a", "b"]})),
            ["a", "b"]
        );
        assert!(temporal_rules(&json!({"_id": "a", "cycle": "daily"})).is_empty());
    }
}
