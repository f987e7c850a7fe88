//! Which of Kazoo's views answers a question, and the query for it. Sends nothing.

use callreel_proto::pvt_type;
use serde_json::{Value, json};

use crate::{MessageCounts, Recordings, View};

/// A query of a view.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) design: &'static str,
    pub(super) view: &'static str,
    pub(super) query: Vec<(&'static str, String)>,
}

impl Ask {
    fn new(design: &'static str, view: &'static str) -> Self {
        // Kazoo counts with some of its views; documents come only unreduced.
        let query = vec![
            ("include_docs", "true".to_owned()),
            ("reduce", "false".to_owned()),
        ];
        Self {
            design,
            view,
            query,
        }
    }

    fn with(mut self, name: &'static str, value: &Value) -> Self {
        self.query.push((name, value.to_string()));
        self
    }
}

/// The query that finds at least what `view` shows.
pub(super) fn ask(view: &View) -> Ask {
    let (_, key) = view.place();
    let key = json!(key);
    match view {
        View::CallflowsByNumber(_) => Ask::new("callflows", "listing_by_number").with("key", &key),
        View::CallflowPatterns => Ask::new("callflows", "listing_by_pattern"),
        View::DevicesByOwner(_) => Ask::new("devices", "listing_by_owner").with("key", &key),
        View::DeviceBySipUsername(_) => Ask::new("devices", "sip_credentials").with("key", &key),
        View::AccountByRealm(_) => Ask::new("accounts", "listing_by_realm").with("key", &key),
        View::AccountByApiKey(_) => Ask::new("accounts", "listing_by_api").with("key", &key),
        View::AccountByName(_) => Ask::new("accounts", "listing_by_name").with("key", &key),
        View::WebhooksOf(_) => Ask::new("webhooks", "accounts_listing").with("key", &key),
        View::OfType(_) => Ask::new("maintenance", "listing_by_type").with("key", &key),
        View::MailboxFolder(which) => Ask::new("mailbox_messages", "count_per_folder")
            .with("key", &json!([which.mailbox, which.folder]))
            // Ids begin with their month and no day: of very many, any are shown.
            .with("limit", &json!(which.limit)),
        View::VmboxesByNumber(number) => {
            Ask::new("vmboxes", "listing_by_mailbox").with("key", &json!(number))
        }
        View::VmboxesByOwner(owner) => {
            Ask::new("attributes", "owned").with("key", &json!([owner, pvt_type::VMBOX]))
        }
        View::EntriesOfList(_) => Ask::new("lists", "entries").with("key", &key),
        View::UsersInDirectory(_) => Ask::new("directories", "users_listing").with("key", &key),
        View::Recordings(which) => recordings(which),
    }
}

/// The query that counts the messages of a voicemail box, by folder.
pub(super) fn count_messages(mailbox: &str) -> Ask {
    Ask {
        design: "mailbox_messages",
        view: "count_per_folder",
        query: vec![
            ("reduce", "true".to_owned()),
            ("group_level", "2".to_owned()),
        ],
    }
    .with("startkey", &json!([mailbox]))
    .with("endkey", &json!([mailbox, {}]))
}

/// What it answers.
pub(super) fn counts(answer: &Value) -> MessageCounts {
    let rows = answer["rows"].as_array();
    let in_folder = |folder: &str| {
        let mut rows = rows.into_iter().flatten();
        let row = rows.find(|row| row["key"][1] == folder);
        row.and_then(|row| row["value"].as_u64()).unwrap_or(0)
    };
    MessageCounts {
        new: in_folder("new"),
        saved: in_folder("saved"),
    }
}

/// Newest first: the greatest key is where the query starts. An object is greater than any number and text.
fn recordings(which: &Recordings) -> Ask {
    let view = match which.owner {
        Some(_) => "listing_by_user",
        None => "crossbar_listing",
    };
    let (mut high, mut low): (Vec<Value>, Vec<Value>) = (
        which.owner.iter().map(|owner| json!(owner)).collect(),
        which.owner.iter().map(|owner| json!(owner)).collect(),
    );
    match (&which.start, which.created_to) {
        (Some(start), to) if to.is_none_or(|to| start.created <= to) => {
            high.extend([json!(start.created), json!(start.id)]);
        }
        (_, Some(to)) => high.extend([json!(to), json!({})]),
        (_, None) => high.push(json!({})),
    }
    low.extend(which.created_from.map(|from| json!(from)));
    Ask::new("recordings", view)
        .with("descending", &json!(true))
        .with("limit", &json!(which.limit))
        .with("startkey", &json!(high))
        .with("endkey", &json!(low))
}

/// The documents of a view's answer, each once, without those that Kazoo's rule shows and ours does not.
pub(super) fn documents(view: &View, mut answer: Value) -> Vec<Value> {
    let Value::Array(rows) = answer["rows"].take() else {
        return Vec::new();
    };
    let mut docs: Vec<Value> = Vec::with_capacity(rows.len());
    let mut seen = std::collections::HashSet::new();
    for mut row in rows {
        let doc = row["doc"].take();
        // A row of a document that was deleted in this moment has none.
        let Some(id) = doc["_id"].as_str() else {
            continue;
        };
        if seen.insert(id.to_owned()) && view.shows(&doc) {
            docs.push(doc);
        }
    }
    match view {
        View::CallflowPatterns => docs.sort_by(|a, b| a["_id"].as_str().cmp(&b["_id"].as_str())),
        View::MailboxFolder(_) => {
            let received = |doc: &Value| doc["metadata"]["timestamp"].as_i64().unwrap_or(0);
            docs.sort_by_key(|doc| std::cmp::Reverse(received(doc)));
        }
        _ => {}
    }
    docs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MailboxFolder, RecordingKey};

    fn value(ask: &Ask, name: &str) -> Option<String> {
        let found = ask.query.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| value.clone())
    }

    #[test]
    fn names_are_looked_up_in_the_case_kazoo_indexes() {
        let query = ask(&View::AccountByRealm("Sip.Example.ORG".into()));
        assert_eq!((query.design, query.view), ("accounts", "listing_by_realm"));
        assert_eq!(value(&query, "key").unwrap(), "\"sip.example.org\"");
    }

    #[test]
    fn a_page_of_a_users_recordings_is_a_range_of_keys() {
        let page = Recordings {
            owner: Some("u".into()),
            created_from: Some(10),
            created_to: Some(90),
            ..Recordings::default()
        };
        let query = ask(&View::Recordings(page.clone()));
        assert_eq!(query.view, "listing_by_user");
        assert_eq!(value(&query, "startkey").unwrap(), r#"["u",90,{}]"#);
        assert_eq!(value(&query, "endkey").unwrap(), r#"["u",10]"#);
        let next = Recordings {
            start: Some(RecordingKey {
                created: 50,
                id: "r".into(),
            }),
            ..page
        };
        let query = ask(&View::Recordings(next));
        assert_eq!(value(&query, "startkey").unwrap(), r#"["u",50,"r"]"#);
    }

    #[test]
    fn a_hotdesked_device_and_a_message_put_away_are_left_out_of_kazoos_answer() {
        let rows = json!({"rows": [
            {"doc": {"_id": "mine", "pvt_type": "device", "owner_id": "u"}},
            {"doc": {"_id": "mine", "pvt_type": "device", "owner_id": "u"}},
            {"doc": {"_id": "guest", "pvt_type": "device", "owner_id": "v"}},
            {"doc": null},
        ]});
        let docs = documents(&View::DevicesByOwner("u".into()), rows);
        assert_eq!(docs.len(), 1);
        assert_eq!(docs[0]["_id"], "mine");
        let away = json!({"rows": [{"doc": {
            "_id": "m", "pvt_type": "mailbox_message", "source_id": "b", "metadata": {"folder": "deleted"}
        }}]});
        let folder = MailboxFolder {
            mailbox: "b".into(),
            folder: "new".into(),
            limit: 9,
        };
        assert!(documents(&View::MailboxFolder(folder), away).is_empty());
    }
}
