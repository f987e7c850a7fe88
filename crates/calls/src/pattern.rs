//! Which callflow a number runs by its `patterns`: Kazoo's rule, the longest match wins. Reads no document from anywhere.

use callreel_callflow::{Captures, Dialled, Pattern};
use serde_json::Value;

/// The callflow whose pattern takes most out of the number, and what that is; of patterns that take as much, the one that sorts
/// last, which is the one Kazoo's view ends with. A pattern that cannot be read is passed over.
pub(crate) fn longest(number: &str, callflows: &[Value]) -> Option<Dialled> {
    let matches = callflows.iter().flat_map(|document| {
        let patterns = document.get("patterns").and_then(Value::as_array);
        let patterns = patterns.into_iter().flatten().filter_map(Value::as_str);
        patterns.filter_map(move |text| Some((taken(text, number)?, text, document)))
    });
    let ((_, captures), _, document) =
        matches.max_by_key(|((length, _), text, _)| (*length, collated(text)))?;
    Some(Dialled {
        document: document.clone(),
        captures,
        fallback: false,
    })
}

/// What a view sorts by, for patterns: signs come before digits and letters (Unicode's collation).
fn collated(pattern: &str) -> Vec<(bool, char)> {
    pattern.chars().map(|c| (c.is_alphanumeric(), c)).collect()
}

/// How much a pattern takes out of the number, and what.
fn taken(pattern: &str, number: &str) -> Option<(usize, Captures)> {
    let pattern = match Pattern::read(pattern) {
        Ok(pattern) => pattern,
        Err(reason) => {
            tracing::warn!(%reason, "a callflow's pattern matches nothing");
            return None;
        }
    };
    let taken = pattern.take(number)?;
    let longest = taken.longest();
    let captures = Captures {
        group: (!longest.is_empty()).then(|| longest.to_owned()),
        named: taken
            .named
            .into_iter()
            .map(|(name, part)| (name, part.to_owned()))
            .collect(),
    };
    Some((longest.len(), captures))
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
            longest(number, &flows(patterns))
                .map(|found| found.document["_id"].as_str().unwrap().to_owned())
        };
        let all = ["^\\*7([0-9]*)$", "^\\+?(1)?(\\d{10})$", "(", "^\\d{4}$"];
        assert_eq!(found("*72000", &all).as_deref(), Some(all[0]));
        assert_eq!(found("+14155550100", &all).as_deref(), Some(all[1]));
        assert_eq!(found("2000", &all).as_deref(), Some(all[3]));
        assert_eq!(found("200", &all), None);
        assert_eq!(
            found("2000", &["^20", "^200", "^2"]).as_deref(),
            Some("^200")
        );
        assert_eq!(
            found("2000", &["^2\\d*$", "^20\\d*$"]).as_deref(),
            Some("^20\\d*$")
        );
        assert_eq!(found("911", &["^(?!911$)(\\d+)$"]), None);
        assert_eq!(found("2000", &[&"(a{1000}){1000}".repeat(3)]), None);
    }

    #[test]
    fn what_a_pattern_takes_out_of_the_number_is_known() {
        let flows = vec![json!({"_id": "a", "patterns": ["^\\*5(1)?([0-9]*)(?P<rest>#?)$"]})];
        let found = longest("*5123#", &flows).unwrap();
        assert_eq!(found.captures.group.as_deref(), Some("23"));
        assert_eq!(found.captures.named["rest"], "#");
        let found = longest("*5", &flows).unwrap();
        assert_eq!(found.captures, Captures::default());
    }
}
