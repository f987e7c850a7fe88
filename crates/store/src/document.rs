//! What a document is: its reserved fields, its size, its revisions, the private fields Kazoo writes. No storage.

use callreel_proto::{Utc, lenient_bool};
use md5::{Digest, Md5};
use serde_json::{Map, Value};

use crate::{Error, names};

/// Largest document, bytes of JSON: CouchDB's default `max_document_size`.
pub const MAX_DOCUMENT_BYTES: usize = 8_000_000;

/// A document on its way in, its reserved fields taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) rev: Option<String>,
    /// Stubs of attachments by name.
    pub(crate) stubs: Map<String, Value>,
    /// All other fields, an object.
    pub(crate) body: Value,
    /// `body` as JSON.
    pub(crate) json: String,
}

impl Draft {
    /// Takes a document apart.
    pub(crate) fn parse(doc: Value) -> Result<Self, Error> {
        let Value::Object(mut body) = doc else {
            return Err(refuse("", "it is not a JSON object"));
        };
        let id = match body.shift_remove("_id") {
            Some(Value::String(id)) => id,
            Some(_) => return Err(refuse("", "its _id is not a string")),
            None => return Err(refuse("", "it has no _id")),
        };
        names::document(&id)?;
        let rev = match body.shift_remove("_rev") {
            None => None,
            Some(Value::String(rev)) => Some(rev),
            Some(_) => return Err(refuse(&id, "its _rev is not a string")),
        };
        let stubs = stubs(&id, body.shift_remove("_attachments"))?;
        if let Some(key) = body.keys().find(|key| key.starts_with('_')) {
            return Err(refuse(&id, &format!("the field {key:?} is reserved")));
        }
        let json = serde_json::to_string(&body).map_err(|e| refuse(&id, &e.to_string()))?;
        if json.len() > MAX_DOCUMENT_BYTES {
            return Err(refuse(&id, "it is larger than 8000000 bytes"));
        }
        Ok(Self {
            id,
            rev,
            stubs,
            body: Value::Object(body),
            json,
        })
    }
}

fn stubs(id: &str, attachments: Option<Value>) -> Result<Map<String, Value>, Error> {
    let stubs = match attachments {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(stubs)) => stubs,
        Some(_) => return Err(refuse(id, "its _attachments is not an object")),
    };
    if stubs.values().any(|stub| stub["stub"] != Value::Bool(true)) {
        return Err(refuse(
            id,
            "its _attachments may only hold stubs; use put_attachment for bytes",
        ));
    }
    Ok(stubs)
}

fn refuse(id: &str, reason: &str) -> Error {
    Error::Document {
        id: id.to_owned(),
        reason: reason.to_owned(),
    }
}

/// The generation of a revision: the number before its dash.
pub(crate) fn generation(rev: &str) -> u64 {
    rev.split('-')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

/// The revision after `previous`: the next generation and a hash of what changed.
pub(crate) fn next_revision(previous: Option<&str>, content: &[u8]) -> String {
    let mut hash = Md5::new();
    hash.update(previous.unwrap_or_default());
    hash.update(content);
    let generation = previous.map_or(0, generation) + 1;
    format!("{generation}-{}", hex::encode(hash.finalize()))
}

/// Whether the document is soft-deleted, as Kazoo marks it.
pub fn is_soft_deleted(doc: &Value) -> bool {
    doc.get("pvt_deleted")
        .and_then(lenient_bool)
        .unwrap_or(false)
}

/// Sets the private fields every Kazoo document has: type, account, database, and gregorian seconds of creation (kept
/// if there) and change. `account` is absent in cluster-wide databases.
pub fn stamp(
    doc: &mut Map<String, Value>,
    kind: &str,
    db: &str,
    account: Option<&callreel_proto::AccountId>,
    now: Utc,
) {
    let now = Value::from(now.gregorian_seconds());
    doc.insert("pvt_type".into(), kind.into());
    if let Some(account) = account {
        doc.insert("pvt_account_id".into(), account.as_str().into());
    }
    doc.insert("pvt_account_db".into(), db.into());
    if !doc.get("pvt_created").is_some_and(Value::is_number) {
        doc.insert("pvt_created".into(), now.clone());
    }
    doc.insert("pvt_modified".into(), now);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_are_no_documents_are_refused_with_the_reason() {
        for (value, reason) in [
            (json!([]), "it is not a JSON object"),
            (json!({"a": 1}), "it has no _id"),
            (json!({"_id": 1}), "its _id is not a string"),
            (json!({"_id": "a", "_rev": 1}), "its _rev is not a string"),
            (json!({"_id": "a", "_x": 1}), "the field \"_x\" is reserved"),
            (
                json!({"_id": "a", "_attachments": {"f": {"data": "AA=="}}}),
                "its _attachments may only hold stubs; use put_attachment for bytes",
            ),
        ] {
            let Err(Error::Document { reason: said, .. }) = Draft::parse(value) else {
                panic!("accepted: {reason}");
            };
            assert_eq!(said, reason);
        }
        let huge = json!({"_id": "a", "x": "y".repeat(MAX_DOCUMENT_BYTES)});
        assert!(Draft::parse(huge).is_err());
    }

    #[test]
    fn revisions_count_and_differ_with_content() {
        let first = next_revision(None, b"a");
        assert!(first.starts_with("1-") && first.len() == 34, "{first}");
        let second = next_revision(Some(&first), b"a");
        assert!(second.starts_with("2-"));
        assert_ne!(second, next_revision(Some(&first), b"b"));
    }

    #[test]
    fn stamping_again_keeps_the_creation_time() {
        let mut doc = Map::new();
        stamp(&mut doc, "user", "account/x", None, Utc::from_unix_ms(0));
        stamp(&mut doc, "user", "account/x", None, Utc::from_unix_ms(5000));
        assert_eq!(doc["pvt_created"], 62_167_219_200_i64);
        assert_eq!(doc["pvt_modified"], 62_167_219_205_i64);
    }
}
