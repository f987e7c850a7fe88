//! Conformance of documents: what comes back, what conflicts, what is refused.

use serde_json::json;

use super::{
    account,
    attachments::{attach, read},
    get, ids, put,
};
use crate::{AttachmentFile, Error, Saving, Store, View};

pub(super) async fn round_trip(store: Store) {
    let (_, db) = account();
    let body = json!({"x": [null, true, 1.5]});
    let rev = put(&store, &db, json!({"_id": "a/b ü", "n": 1, "deep": body})).await;
    let doc = get(&store, &db, "a/b ü").await;
    let expected = json!({"_id": "a/b ü", "_rev": rev, "n": 1, "deep": body});
    assert_eq!(doc, expected);
    assert!(rev.starts_with("1-"), "{rev}");
}

pub(super) async fn conflicts(store: Store) {
    let (_, db) = account();
    let first = put(&store, &db, json!({"_id": "a"})).await;
    let second = put(&store, &db, json!({"_id": "a", "_rev": first, "n": 2})).await;
    for doc in [
        json!({"_id": "a"}),
        json!({"_id": "a", "_rev": first}),
        json!({"_id": "new", "_rev": second}),
    ] {
        let refused = store.put(&db, doc.clone()).await;
        let conflict = matches!(refused, Err(Error::Conflict { .. }));
        assert!(conflict, "{doc}: {refused:?}");
    }
    assert_eq!(get(&store, &db, "a").await["n"], 2);
    assert!(second.starts_with("2-"), "{second}");
}

pub(super) async fn one_wins(store: Store) {
    let (_, db) = account();
    let rev = put(&store, &db, json!({"_id": "a"})).await;
    let puts = (0..16).map(|n| store.put(&db, json!({"_id": "a", "_rev": rev, "n": n})));
    let outcomes = futures::future::join_all(puts).await;
    let winners: Vec<_> = (0..16).filter(|n| outcomes[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(get(&store, &db, "a").await["n"], winners[0]);
}

pub(super) async fn many_saves(store: Store) {
    let (_, db) = account();
    let saves = (0..16).map(|n| store.save(&db, json!({"_id": "a", "n": n})));
    let outcomes = futures::future::join_all(saves).await;
    for outcome in &outcomes {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    let doc = get(&store, &db, "a").await;
    let rev = doc["_rev"].as_str().expect("it has a revision");
    assert!(rev.starts_with("16-"), "a save was lost: {rev}");
}

/// What a URL, a query or a file system would take for something else.
pub(super) async fn names(store: Store) {
    let (_, db) = account();
    for name in [
        "en-us/vm-saved",
        "a+b c%2Fd",
        "100%",
        "?x=1&y#z",
        "приветствие.wav",
        "a'b\"c\\d",
        "...",
    ] {
        put(&store, &db, json!({"_id": name, "pvt_type": "media"})).await;
        attach(&store, &db, name, name, name.as_bytes()).await;
        let doc = get(&store, &db, name).await;
        assert_eq!(doc["_id"], name);
        let stub = &doc["_attachments"][name];
        assert_eq!(stub["length"], name.len(), "{doc}");
        assert_eq!(read(&store, &db, name, name).await, name.as_bytes());
        assert!(store.delete(&db, name).await.expect("deleted"), "{name}");
    }
    let left = ids(&store, &db, View::OfType("media".into())).await;
    assert!(left.is_empty(), "{left:?}");
}

pub(super) async fn deletes(store: Store) {
    let (_, db) = account();
    put(&store, &db, json!({"_id": "a", "pvt_type": "user"})).await;
    attach(&store, &db, "a", "x", b"1").await;
    assert!(store.delete(&db, "a").await.expect("deleted"));
    assert!(!store.delete(&db, "a").await.expect("nothing to delete"));
    assert_eq!(store.get(&db, "a").await.expect("looked up"), None);
    let users = ids(&store, &db, View::OfType("user".into())).await;
    assert!(users.is_empty());
    put(&store, &db, json!({"_id": "a"})).await;
    let old = store.attachment(&db, "a", "x").await;
    let old = old.expect("looked up");
    assert!(old.is_none(), "the attachment came back");
}

pub(super) async fn nothing(store: Store) {
    let (_, db) = account();
    assert_eq!(store.get(&db, "a").await.expect("looked up"), None);
    assert!(ids(&store, &db, View::CallflowPatterns).await.is_empty());
    assert!(!store.delete(&db, "a").await.expect("nothing to delete"));
    assert!(!store.soft_delete(&db, "a").await.expect("nothing to mark"));
    let attachment = store.attachment(&db, "a", "x").await;
    assert!(attachment.expect("looked up").is_none());
}

pub(super) async fn pages(store: Store) {
    let (_, db) = account();
    let read = async |after: &str, limit: usize| -> Vec<String> {
        let docs = store.page(&db, after, limit).await.expect("read");
        let ids = docs.iter().map(|doc| doc["_id"].as_str().expect("an id"));
        ids.map(str::to_owned).collect()
    };
    assert!(read("", 10).await.is_empty());
    for id in ["c", "a", "e", "b", "d"] {
        put(&store, &db, json!({"_id": id, "pvt_type": "user"})).await;
    }
    assert!(store.soft_delete(&db, "b").await.expect("hidden"));
    assert_eq!(read("", 2).await, ["a", "b"]);
    assert!(store.delete(&db, "b").await.expect("deleted"));
    assert_eq!(read("b", 2).await, ["c", "d"]);
    assert_eq!(read("d", 2).await, ["e"]);
    assert!(read("e", 2).await.is_empty());
    assert_eq!(read("", 10).await, ["a", "c", "d", "e"]);
}

pub(super) async fn refusals(store: Store) {
    let (_, db) = account();
    for (db, id) in [("Bad", "a"), (db.as_str(), "_a")] {
        let refused = store.get(db, id).await;
        assert!(matches!(refused, Err(Error::Name { .. })), "{refused:?}");
    }
    for doc in [
        json!(1),
        json!({}),
        json!({"_id": 1}),
        json!({"_id": "a", "_no": 1}),
    ] {
        let refused = store.put(&db, doc).await;
        let named = matches!(refused, Err(Error::Document { .. }));
        assert!(named, "{refused:?}");
    }
}

pub(super) async fn batches(store: Store) {
    let (_, db) = account();
    let saving = |id: &str| Saving {
        db: db.clone(),
        doc: json!({"_id": id}),
        attachment: None,
    };
    let mut missing = saving("c");
    missing.attachment = Some(AttachmentFile {
        name: "x.mp3".into(),
        content_type: "audio/mpeg".into(),
        path: "/nowhere/x.mp3".into(),
    });
    let refused = store
        .save_all(vec![saving("a"), saving("b"), missing])
        .await;
    assert!(matches!(refused, Err(Error::Upload { .. })), "{refused:?}");
    for id in ["a", "b", "c"] {
        assert_eq!(store.get(&db, id).await.expect("looked up"), None, "{id}");
    }
    let saved = store.save_all(vec![saving("a"), saving("b")]).await;
    saved.expect("the batch is saved");
    get(&store, &db, "b").await;
}
