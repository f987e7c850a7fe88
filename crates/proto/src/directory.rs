//! Directories of people who can be called by name, as far as Callreel reads their documents.

use serde_json::Value;

use crate::{
    document::{flag, text},
    lenient_u64,
};

/// Longer than any name.
const MOST_KEYS: u64 = 64;

/// A directory document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Document id.
    pub id: String,
    /// So many keys at least, 3 by default.
    pub min_dtmf: usize,
    /// So many keys at most. Kazoo's 0 is no limit.
    pub max_dtmf: usize,
    /// People come in the order of their first names; else of their last ones.
    pub sort_by_first_name: bool,
    /// Whether keys may be those of the first name.
    pub search_first_name: bool,
    /// Whether they may be those of the last name.
    pub search_last_name: bool,
    /// Whoever is the only one is called only if the caller says so. Not by default: Kazoo's schema writes it into the document
    /// where it is wanted.
    pub confirm_match: bool,
    /// Users and their callflows that the document itself lists, as Crossbar shows them. Kazoo keeps them in the documents of
    /// users, under `directories`.
    pub users: Vec<(String, String)>,
}

impl Directory {
    /// Reads the fields Callreel needs.
    pub fn read(doc: &Value) -> Self {
        let keys = |key: &str, usual: u64| {
            let keys = doc.get(key).and_then(lenient_u64).unwrap_or(usual);
            usize::try_from(keys.min(MOST_KEYS)).expect("it is at most 64")
        };
        let begins = |key: &str, word: &str| text(doc, key).is_some_and(|s| s.starts_with(word));
        let searched = text(doc, "/search_fields").unwrap_or_else(|| "both".to_owned());
        let users = doc.get("users").and_then(Value::as_array);
        Self {
            id: text(doc, "/_id").unwrap_or_default(),
            min_dtmf: keys("min_dtmf", 3).max(1),
            max_dtmf: match keys("max_dtmf", 0) {
                0 => keys("", MOST_KEYS),
                most => most,
            },
            sort_by_first_name: begins("/sort_by", "first"),
            search_first_name: searched == "both" || searched.starts_with("first"),
            search_last_name: !searched.starts_with("first"),
            confirm_match: flag(doc, "/confirm_match", false),
            users: users
                .into_iter()
                .flatten()
                .filter_map(|user| Some((text(user, "/user_id")?, text(user, "/callflow_id")?)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_directory_is_kazoos_where_its_document_says_nothing() {
        let directory = Directory::read(&json!({"_id": "d"}));
        assert_eq!((directory.min_dtmf, directory.max_dtmf), (3, 64));
        assert!(directory.search_first_name && directory.search_last_name);
        assert!(!directory.sort_by_first_name && !directory.confirm_match);
    }

    #[test]
    fn names_are_searched_and_sorted_as_the_document_says() {
        let searched = |fields: &str| {
            let directory = Directory::read(&json!({"search_fields": fields}));
            (directory.search_first_name, directory.search_last_name)
        };
        assert_eq!(searched("both"), (true, true));
        assert_eq!(searched("first_name"), (true, false));
        assert_eq!(searched("last_name"), (false, true));
        assert!(Directory::read(&json!({"sort_by": "first_name"})).sort_by_first_name);
    }

    #[test]
    fn users_that_the_document_lists_are_read() {
        let users = json!([{"user_id": "u", "callflow_id": "c"}, "x", {"user_id": "v"}]);
        let directory = Directory::read(&json!({"users": users, "max_dtmf": 5}));
        assert_eq!(directory.users, [("u".to_owned(), "c".to_owned())]);
        assert_eq!(directory.max_dtmf, 5);
    }
}
