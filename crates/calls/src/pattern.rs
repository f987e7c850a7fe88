//! Which callflow a number runs by its `patterns`: Kazoo's rule, the longest match wins. Reads no document from anywhere.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// What one pattern may cost in memory, bytes: those of telephone numbers take a hundredth of it.
const SIZE: usize = 256 << 10;

/// The callflow whose pattern matches most of the number: the first group of the match counts, or all of it if there are no
/// groups. A pattern that cannot be read is passed over.
pub(crate) fn longest(number: &str, callflows: Vec<Value>) -> Option<Value> {
    let mut best: Option<(usize, Value)> = None;
    for doc in callflows {
        let patterns = doc.get("patterns").and_then(Value::as_array);
        let patterns = patterns.into_iter().flatten().filter_map(Value::as_str);
        let length = patterns.filter_map(|p| matched(p, number)).max();
        if let Some(length) = length
            && best.as_ref().is_none_or(|(most, _)| length > *most)
        {
            best = Some((length, doc));
        }
    }
    best.map(|(_, doc)| doc)
}

/// How much of the number a pattern matches.
fn matched(pattern: &str, number: &str) -> Option<usize> {
    let captures = read(pattern)?.captures(number)?;
    let part = captures.get(1).or_else(|| captures.get(0));
    part.map(|part| part.len())
}

fn read(pattern: &str) -> Option<Regex> {
    match RegexBuilder::new(pattern).size_limit(SIZE).build() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            tracing::warn!(pattern, %error, "a callflow's pattern cannot be read; it matches nothing");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_match_wins_and_what_cannot_be_read_matches_nothing() {
        let flows = |patterns: &[&str]| {
            let flow = |p: &&str| json!({"_id": p, "patterns": ["^never$", p]});
            patterns.iter().map(flow).collect::<Vec<_>>()
        };
        let found = |number: &str, patterns: &[&str]| {
            longest(number, flows(patterns)).map(|doc| doc["_id"].as_str().unwrap().to_owned())
        };
        let all = ["^\\*7([0-9]*)$", "^\\+?1?(\\d{10})$", "(", "^\\d{4}$"];
        assert_eq!(found("*72000", &all).as_deref(), Some(all[0]));
        assert_eq!(found("+14155550100", &all).as_deref(), Some(all[1]));
        assert_eq!(found("2000", &all).as_deref(), Some(all[3]));
        assert_eq!(found("200", &all), None);
        assert_eq!(
            found("2000", &["^20", "^200", "^2"]).as_deref(),
            Some("^200")
        );
        assert_eq!(found("2000", &[&"(a{1000}){1000}".repeat(3)]), None);
    }
}
