//! What both backends of the store must do, as cases that panic if one does not. Each case makes databases of its own
//! with random names, so the suite may be run against a shared CouchDB.

mod attachments;
mod documents;
mod views;

use callreel_proto::{AccountDb, AccountId};
use futures::future::BoxFuture;
use serde_json::Value;

use crate::{Store, View};

/// A case: its sentence and the code.
pub type Case = (&'static str, fn(Store) -> BoxFuture<'static, ()>);

/// Every case.
pub const CASES: &[Case] = &[
    ("a document comes back as it was put", |s| {
        Box::pin(documents::round_trip(s))
    }),
    ("a put over another revision is a conflict", |s| {
        Box::pin(documents::conflicts(s))
    }),
    ("of many puts over one revision exactly one wins", |s| {
        Box::pin(documents::one_wins(s))
    }),
    ("a deleted document is gone and may come back", |s| {
        Box::pin(documents::deletes(s))
    }),
    ("what is not there is nothing, not an error", |s| {
        Box::pin(documents::nothing(s))
    }),
    (
        "all documents are read page by page, hidden ones too",
        |s| Box::pin(documents::pages(s)),
    ),
    ("bad names and bad documents are refused", |s| {
        Box::pin(documents::refusals(s))
    }),
    ("of many saves of one document each is made", |s| {
        Box::pin(documents::many_saves(s))
    }),
    ("any name comes back as it was given", |s| {
        Box::pin(documents::names(s))
    }),
    (
        "a batch with a file that cannot be read saves nothing",
        |s| Box::pin(documents::batches(s)),
    ),
    ("callflows are found by number and by pattern", |s| {
        Box::pin(views::callflows(s))
    }),
    ("devices are found by owner and by username", |s| {
        Box::pin(views::devices(s))
    }),
    ("entries are found by list and users by directory", |s| {
        Box::pin(views::lists_and_directories(s))
    }),
    ("accounts are found by realm in any case", |s| {
        Box::pin(views::accounts(s))
    }),
    ("webhooks are found by their account", |s| {
        Box::pin(views::webhooks(s))
    }),
    ("soft-deleted documents are in no view", |s| {
        Box::pin(views::soft_deletes(s))
    }),
    ("recordings are listed newest first, page by page", |s| {
        Box::pin(views::recording_pages(s))
    }),
    ("recordings are listed by user and by time", |s| {
        Box::pin(views::recording_filters(s))
    }),
    ("messages of a folder are listed newest first", |s| {
        Box::pin(views::messages(s))
    }),
    ("messages are counted by folder", |s| {
        Box::pin(views::message_counts(s))
    }),
    ("voicemail boxes are found by number and by owner", |s| {
        Box::pin(views::vmboxes(s))
    }),
    ("databases appear with their first document", |s| {
        Box::pin(views::databases(s))
    }),
    ("attachments of every size come back", |s| {
        Box::pin(attachments::sizes(s))
    }),
    ("an attachment is read in parts", |s| {
        Box::pin(attachments::ranges(s))
    }),
    ("a failed upload leaves what was there before", |s| {
        Box::pin(attachments::failed_uploads(s))
    }),
    ("an attachment needs a document", |s| {
        Box::pin(attachments::without_document(s))
    }),
    ("a save needs no revision and keeps attachments", |s| {
        Box::pin(attachments::kept_by_save(s))
    }),
    ("a put keeps the attachments it has stubs for", |s| {
        Box::pin(attachments::kept_by_stubs(s))
    }),
    ("a recording saved again is one recording", |s| {
        Box::pin(attachments::saved_again(s))
    }),
    ("an attachment of 30 MB goes in and comes out", |s| {
        Box::pin(attachments::large(s))
    }),
];

/// Runs every case.
///
/// # Panics
/// The store does not conform; the last case logged at info is the one that failed.
pub async fn run(store: &Store) {
    for (name, case) in CASES {
        tracing::info!(name, "conformance");
        case(store.clone()).await;
    }
}

fn account() -> (AccountId, String) {
    let id = AccountId::random();
    let db = AccountDb::name(&id);
    (id, db)
}

async fn put(store: &Store, db: &str, doc: Value) -> String {
    store.put(db, doc).await.expect("the put succeeds")
}

async fn get(store: &Store, db: &str, id: &str) -> Value {
    let found = store.get(db, id).await.expect("the get succeeds");
    found.expect("the document is there")
}

async fn ids(store: &Store, db: &str, view: View) -> Vec<String> {
    let docs = store.query(db, view).await.expect("the query succeeds");
    let id = |doc: &Value| doc["_id"].as_str().expect("documents have ids").to_owned();
    docs.iter().map(id).collect()
}
