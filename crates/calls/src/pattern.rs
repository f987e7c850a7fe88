//! Which callflow a number runs by its `patterns`: Kazoo's rule, the longest match wins. Reads no document from anywhere.

use callreel_callflow::{Captures, Dialled};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// What one pattern may cost in memory, bytes: those of telephone numbers take a hundredth of it.
const SIZE: usize = 256 << 10;

/// The callflow whose pattern matches most of the number, and what the pattern took out of it: the first group of the match
/// counts, or all of it if there are no groups. A pattern that cannot be read is passed over.
pub(crate) fn longest(number: &str, callflows: &[Value]) -> Option<Dialled> {
    let mut best: Option<(usize, Dialled)> = None;
    for document in callflows {
        let patterns = document.get("patterns").and_then(Value::as_array);
        let patterns = patterns.into_iter().flatten().filter_map(Value::as_str);
        let matched = patterns.filter_map(|p| matched(p, number));
        let Some((length, captures)) = matched.max_by_key(|(length, _)| *length) else {
            continue;
        };
        if best.as_ref().is_none_or(|(most, _)| length > *most) {
            let fallback = false;
            best = Some((
                length,
                Dialled {
                    document: document.clone(),
                    captures,
                    fallback,
                },
            ));
        }
    }
    best.map(|(_, found)| found)
}

/// How much of the number a pattern matches, and its groups.
fn matched(pattern: &str, number: &str) -> Option<(usize, Captures)> {
    let pattern = read(pattern)?;
    let found = pattern.captures(number)?;
    let part = found.get(1).or_else(|| found.get(0))?;
    let named = pattern.capture_names().flatten().filter_map(|name| {
        let part = found.name(name)?.as_str().to_owned();
        Some((name.to_owned(), part))
    });
    let captures = Captures {
        group: Some(part.as_str().to_owned()),
        named: named.collect(),
    };
    Some((part.len(), captures))
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
            longest(number, &flows(patterns))
                .map(|found| found.document["_id"].as_str().unwrap().to_owned())
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

    #[test]
    fn what_a_pattern_takes_out_of_the_number_is_known() {
        let flows = vec![json!({"_id": "a", "patterns": ["^\\*5([0-9]*)(?P<rest>#?)$"]})];
        let found = longest("*5123#", &flows).unwrap();
        assert_eq!(found.captures.group.as_deref(), Some("123"));
        assert_eq!(found.captures.named["rest"], "#");
    }
}
