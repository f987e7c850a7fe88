//! Conformance of views: what they show, what they hide, in which order.

use callreel_proto::{month_db, random_hex};
use serde_json::{Value, json};

use super::{
    account,
    attachments::{attach, read},
    get, ids, put,
};
use crate::{ACCOUNTS, MailboxFolder, RecordingKey, Recordings, Store, View, WEBHOOKS};

pub(super) async fn callflows(store: Store) {
    let (_, db) = account();
    let flow = |id: &str, numbers: &[&str], patterns: &[&str]| json!({"_id": id, "pvt_type": "callflow", "numbers": numbers, "patterns": patterns});
    put(
        &store,
        &db,
        flow("c1", &["100", "+14155550100", "100"], &[]),
    )
    .await;
    put(&store, &db, flow("c2", &["200"], &["^\\*97$"])).await;
    let user = json!({"_id": "u", "pvt_type": "user", "numbers": ["100"]});
    put(&store, &db, user).await;
    let by_number = |n: &str| View::CallflowsByNumber(n.to_owned());
    assert_eq!(ids(&store, &db, by_number("100")).await, ["c1"]);
    assert_eq!(ids(&store, &db, by_number("+14155550100")).await, ["c1"]);
    assert!(ids(&store, &db, by_number("10")).await.is_empty());
    assert_eq!(ids(&store, &db, View::CallflowPatterns).await, ["c2"]);
    let mut moved = get(&store, &db, "c1").await;
    moved["numbers"] = json!(["300"]);
    put(&store, &db, moved).await;
    assert!(ids(&store, &db, by_number("100")).await.is_empty());
    assert_eq!(ids(&store, &db, by_number("300")).await, ["c1"]);
    let all = ids(&store, &db, View::OfType("callflow".into())).await;
    assert_eq!(all, ["c1", "c2"]);
}

pub(super) async fn devices(store: Store) {
    let (_, db) = account();
    for (id, owner, username) in [
        ("d2", "u1", "Bob"),
        ("d1", "u1", "alice"),
        ("d3", "u2", "eve"),
    ] {
        let sip = json!({"username": username});
        let doc = json!({"_id": id, "pvt_type": "device", "owner_id": owner, "sip": sip});
        put(&store, &db, doc).await;
    }
    let by_owner = ids(&store, &db, View::DevicesByOwner("u1".into())).await;
    assert_eq!(by_owner, ["d1", "d2"]);
    let by_name = ids(&store, &db, View::DeviceBySipUsername("bOB".into())).await;
    assert_eq!(by_name, ["d2"]);
}

pub(super) async fn lists_and_directories(store: Store) {
    let (_, db) = account();
    for (id, list) in [("e2", "l1"), ("e1", "l1"), ("e3", "l2")] {
        let doc = json!({"_id": id, "pvt_type": "list_entry", "list_id": list, "number": id});
        put(&store, &db, doc).await;
    }
    for (id, directories) in [
        ("u2", json!({"d1": "c", "d2": "c"})),
        ("u1", json!({"d1": "c"})),
        ("u3", json!([])),
    ] {
        let doc = json!({"_id": id, "pvt_type": "user", "directories": directories});
        put(&store, &db, doc).await;
    }
    let device =
        json!({"_id": "x", "pvt_type": "device", "directories": {"d1": "c"}, "list_id": "l1"});
    put(&store, &db, device).await;
    let entries = |list: &str| View::EntriesOfList(list.to_owned());
    assert_eq!(ids(&store, &db, entries("l1")).await, ["e1", "e2"]);
    assert!(ids(&store, &db, entries("l3")).await.is_empty());
    let users = |directory: &str| View::UsersInDirectory(directory.to_owned());
    assert_eq!(ids(&store, &db, users("d1")).await, ["u1", "u2"]);
    assert_eq!(ids(&store, &db, users("d2")).await, ["u2"]);
    let mut moved = get(&store, &db, "u2").await;
    moved["directories"] = json!({"d2": "c"});
    put(&store, &db, moved).await;
    assert_eq!(ids(&store, &db, users("d1")).await, ["u1"]);
}

pub(super) async fn accounts(store: Store) {
    let (id, _) = account();
    let realm = format!("{}.Example.org", random_hex(8));
    let (name, key) = (format!("Café {} Ltd.", random_hex(8)), random_hex(64));
    let doc = json!({"_id": id.as_str(), "pvt_type": "account", "realm": realm, "name": name, "pvt_api_key": key});
    put(&store, ACCOUNTS, doc).await;
    for view in [
        View::AccountByRealm(realm.to_uppercase()),
        View::AccountByName(name.to_uppercase()),
        View::AccountByName(name.replace([' ', '.'], "-")),
        View::AccountByApiKey(key.clone()),
    ] {
        let found = ids(&store, ACCOUNTS, view.clone()).await;
        assert_eq!(found, [id.as_str()], "{view:?}");
    }
    let other = View::AccountByApiKey(key.to_uppercase());
    assert!(ids(&store, ACCOUNTS, other).await.is_empty());
    let gone = store.delete(ACCOUNTS, id.as_str()).await;
    assert!(gone.expect("cleaned up"));
}

pub(super) async fn webhooks(store: Store) {
    let ((ours, _), (theirs, _)) = (account(), account());
    let ids_of_hooks = [random_hex(8), random_hex(8)];
    for (id, account) in ids_of_hooks.iter().zip([&ours, &theirs]) {
        let doc = json!({"_id": id, "pvt_type": "webhook", "pvt_account_id": account.as_str()});
        put(&store, WEBHOOKS, doc).await;
    }
    let view = View::WebhooksOf(ours.as_str().to_owned());
    assert_eq!(ids(&store, WEBHOOKS, view).await, ids_of_hooks[..1]);
    for id in &ids_of_hooks {
        assert!(store.delete(WEBHOOKS, id).await.expect("cleaned up"));
    }
}

pub(super) async fn soft_deletes(store: Store) {
    let (_, db) = account();
    let device = json!({"_id": "d", "pvt_type": "device", "owner_id": "u"});
    put(&store, &db, device).await;
    attach(&store, &db, "d", "x", b"1").await;
    assert!(store.soft_delete(&db, "d").await.expect("marked"));
    for view in [
        View::DevicesByOwner("u".into()),
        View::OfType("device".into()),
    ] {
        assert!(ids(&store, &db, view).await.is_empty());
    }
    assert_eq!(get(&store, &db, "d").await["pvt_deleted"], true);
    assert_eq!(read(&store, &db, "d", "x").await, b"1");
}

fn recording(id: &str, owner: &str, created: i64) -> Value {
    json!({"_id": id, "pvt_type": "call_recording", "owner_id": owner, "pvt_created": created})
}

pub(super) async fn recording_pages(store: Store) {
    let (account, _) = account();
    let db = month_db(&account, "202403");
    for (id, created) in [("a", 10), ("b", 30), ("c", 30), ("d", 20), ("e", 40)] {
        put(&store, &db, recording(id, "u", created)).await;
    }
    let all = View::Recordings(Recordings::default());
    assert_eq!(ids(&store, &db, all).await, ["e", "c", "b", "d", "a"]);
    let (mut start, mut seen) = (None, Vec::new());
    loop {
        let page = View::Recordings(Recordings {
            start,
            limit: 3,
            ..Recordings::default()
        });
        let docs = store.query(&db, page).await.expect("listed");
        assert!(docs.len() <= 3, "{} on a page of 3", docs.len());
        seen.extend(docs.iter().take(2).map(|d| d["_id"].clone()));
        match docs.get(2) {
            Some(next) => start = Some(RecordingKey::of(next)),
            None => break,
        }
    }
    assert_eq!(seen, ["e", "c", "b", "d", "a"]);
}

pub(super) async fn recording_filters(store: Store) {
    let (account, _) = account();
    let db = month_db(&account, "202403");
    for (id, owner, created) in [("a", "u", 10), ("b", "v", 20), ("c", "u", 30)] {
        put(&store, &db, recording(id, owner, created)).await;
    }
    let of_user = View::Recordings(Recordings {
        owner: Some("u".into()),
        ..Recordings::default()
    });
    assert_eq!(ids(&store, &db, of_user).await, ["c", "a"]);
    let span = View::Recordings(Recordings {
        created_from: Some(10),
        created_to: Some(20),
        ..Recordings::default()
    });
    assert_eq!(ids(&store, &db, span).await, ["b", "a"]);
}

async fn put_messages(store: &Store, db: &str) {
    for (id, mailbox, folder, at) in [
        ("m1", "box", "new", 20),
        ("m2", "box", "saved", 10),
        ("m3", "box", "deleted", 5),
        ("m4", "other", "new", 1),
        ("m5", "box", "new", 30),
        ("m0", "box", "new", 25),
    ] {
        let doc = json!({
            "_id": id, "pvt_type": "mailbox_message", "source_id": mailbox,
            "metadata": {"folder": folder, "timestamp": at}
        });
        put(store, db, doc).await;
    }
}

pub(super) async fn messages(store: Store) {
    let (account, _) = account();
    let db = month_db(&account, "202403");
    put_messages(&store, &db).await;
    let folder = |folder: &str, limit| {
        let (mailbox, folder) = ("box".to_owned(), folder.to_owned());
        View::MailboxFolder(MailboxFolder {
            mailbox,
            folder,
            limit,
        })
    };
    let new = ids(&store, &db, folder("new", 9)).await;
    assert_eq!(new, ["m5", "m0", "m1"]);
    assert_eq!(ids(&store, &db, folder("saved", 9)).await, ["m2"]);
    assert_eq!(ids(&store, &db, folder("deleted", 9)).await, ["m3"]);
    assert_eq!(ids(&store, &db, folder("new", 2)).await.len(), 2);
    let mut read = get(&store, &db, "m1").await;
    read["metadata"]["folder"] = json!("saved");
    put(&store, &db, read).await;
    assert_eq!(ids(&store, &db, folder("saved", 9)).await, ["m1", "m2"]);
}

pub(super) async fn message_counts(store: Store) {
    let (account, _) = account();
    let db = month_db(&account, "202403");
    let counted = async |mailbox| {
        let counts = store.message_counts(&db, mailbox).await;
        let counts = counts.expect("counted");
        (counts.new, counts.saved)
    };
    assert_eq!(counted("box").await, (0, 0));
    put_messages(&store, &db).await;
    assert_eq!(counted("box").await, (3, 1));
    assert_eq!(counted("other").await, (1, 0));
    assert_eq!(counted("nobody's").await, (0, 0));
    assert!(store.soft_delete(&db, "m1").await.expect("marked"));
    assert_eq!(counted("box").await, (2, 1));
}

pub(super) async fn vmboxes(store: Store) {
    let (_, db) = account();
    for (id, number, owner) in [("b1", json!("1001"), "u"), ("b2", json!("0100"), "u")] {
        let doc = json!({"_id": id, "pvt_type": "vmbox", "mailbox": number, "owner_id": owner});
        put(&store, &db, doc).await;
    }
    let device = json!({"_id": "d", "pvt_type": "device", "owner_id": "u", "mailbox": "1001"});
    put(&store, &db, device).await;
    for (number, found) in [(1001, "b1"), (100, "b2")] {
        assert_eq!(
            ids(&store, &db, View::VmboxesByNumber(number)).await,
            [found]
        );
    }
    assert!(ids(&store, &db, View::VmboxesByNumber(7)).await.is_empty());
    let of_owner = ids(&store, &db, View::VmboxesByOwner("u".into())).await;
    assert_eq!(of_owner, ["b1", "b2"]);
}

pub(super) async fn databases(store: Store) {
    let (account, db) = account();
    assert!(!store.databases().await.expect("listed").contains(&db));
    let months = ["202402", "202312", "202403"].map(|m| month_db(&account, m));
    for name in months.iter().chain([&db]) {
        put(&store, name, json!({"_id": "a"})).await;
    }
    assert!(store.databases().await.expect("listed").contains(&db));
    let listed = store.month_databases(&account).await.expect("listed");
    let expected = ["202403", "202402", "202312"].map(|m| month_db(&account, m));
    assert_eq!(listed, expected);
}
