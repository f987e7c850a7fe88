//! Numbers against patterns and against the lists of an account. Reads no document from anywhere.

use serde_json::Value;

use crate::pattern::Pattern;

/// Who a list says that a number is: the entry of the longest beginning, else the first whose pattern matches.
pub(crate) fn entry_of<'a>(entries: &'a [Value], list: &str, number: &str) -> Option<&'a Value> {
    let of_list = || {
        entries
            .iter()
            .filter(|entry| text(entry, "list_id") == Some(list))
    };
    let digits = number.strip_prefix('+').unwrap_or(number);
    let begins = |entry: &&Value| beginning(entry).is_some_and(|start| digits.starts_with(start));
    let longest = of_list()
        .filter(begins)
        .max_by_key(|entry| beginning(entry).map_or(0, str::len));
    let matches = |entry: &&Value| {
        let found = text(entry, "pattern").or_else(|| text(entry, "regexp"));
        found.is_some_and(|found| Pattern::read(found).is_ok_and(|found| found.is_match(number)))
    };
    longest.or_else(|| of_list().find(matches))
}

/// The number or the first digits of numbers that an entry stands for.
fn beginning(entry: &Value) -> Option<&str> {
    let number = text(entry, "number").or_else(|| text(entry, "prefix"))?;
    let digits = number.strip_prefix('+').unwrap_or(number);
    (!digits.is_empty()).then_some(digits)
}

/// What an entry calls whom it stands for.
pub(crate) fn display_name(entry: &Value) -> Option<&str> {
    ["displayname", "name", "cid_name"]
        .into_iter()
        .find_map(|key| text(entry, key))
}

fn text<'a>(entry: &'a Value, key: &str) -> Option<&'a str> {
    let text = entry.get(key).and_then(Value::as_str)?;
    (!text.is_empty()).then_some(text)
}
