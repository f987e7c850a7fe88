//! The importer: good trees, broken trees, and what is in the store afterwards.

mod folders;

use std::{fs, path::Path};

use bytes::Bytes;
use callreel_proto::{Account, Device, MediaConfig};
use callreel_store::{
    ACCOUNTS, SYSTEM_CONFIG, SYSTEM_DATA, Store, View, WEBHOOKS,
    import::{Problem, Report, import},
};
use futures::TryStreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

const ACCOUNT: &str = "abcd0123456789abcdef0123456789ab";
const OTHER: &str = "0bcd0123456789abcdef0123456789ab";
const DB: &str = "account/ab/cd/0123456789abcdef0123456789ab";

struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn doc(&self, path: &str, doc: Value) -> &Self {
        self.write(path, doc.to_string())
    }

    /// A document of the account.
    fn own(&self, path: &str, doc: Value) -> &Self {
        self.doc(&format!("accounts/{ACCOUNT}/{path}"), doc)
    }

    fn good() -> Self {
        let tree = Self::new();
        tree.own(
            "account.json",
            json!({"id": ACCOUNT, "name": "Acme", "realm": "Acme.example"}),
        )
        .own(
            "users/u1.json",
            json!({"id": "u1", "username": "alice", "_read_only": {}}),
        )
        .own(
            "devices/desk.json",
            json!({"id": "d1", "owner_id": "u1",
                "sip": {"username": "alice", "password": "s3cret"}}),
        )
        .own(
            "callflows/main.json",
            json!({"numbers": ["100"], "patterns": ["^1..$"],
                "flow": {"module": "user", "data": {"id": "u1"}, "children": {}}}),
        )
        .own(
            "vmboxes/box.json",
            json!({"mailbox": "100", "owner_id": "u1"}),
        )
        .own(
            "media/greeting.json",
            json!({"id": "g1", "name": "Greeting"}),
        );
        tree.write(
            &format!("accounts/{ACCOUNT}/media/greeting.mp3"),
            "mp3 bytes",
        )
        .write(&format!("accounts/{ACCOUNT}/media/moh.WAV"), "wav bytes")
        .write("README.md", "for people")
        .doc(
            "system_config/media.json",
            json!({"default": {"store_recordings": true}}),
        );
        tree
    }
}

fn store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&dir.path().join("store.db")).unwrap();
    (dir, store)
}

async fn run(store: &Store, tree: &Tree) -> Result<Report, Vec<Problem>> {
    import(store, tree.0.path(), |_| Vec::new()).await
}

/// The problems as a person reads them, the account's folder cut off.
async fn problems(store: &Store, tree: &Tree) -> Vec<String> {
    let refused = run(store, tree).await.unwrap_err();
    let own = format!("accounts/{ACCOUNT}/");
    let show = |p: &Problem| p.to_string().replace(&own, "");
    refused.iter().map(show).collect()
}

async fn doc(store: &Store, db: &str, id: &str) -> Value {
    store.get(db, id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_good_tree_is_in_the_store_as_kazoo_would_have_it() {
    let (_dir, store) = store();
    let report = run(&store, &Tree::good()).await.unwrap();
    assert_eq!(
        report.to_string(),
        "1 account, 1 user, 1 device, 1 callflow, 1 voicemail box, 2 media files, 1 settings document"
    );
    let view = View::AccountByRealm("acme.example".into());
    let accounts = store.query(ACCOUNTS, view).await.unwrap();
    assert_eq!(accounts[0]["_id"], ACCOUNT);
    assert_eq!(
        Account::read(&doc(&store, DB, ACCOUNT).await).name.unwrap(),
        "Acme"
    );
    let devices = store
        .query(DB, View::DevicesByOwner("u1".into()))
        .await
        .unwrap();
    let device = &devices[0];
    assert_eq!(Device::read(device).password.unwrap(), "s3cret");
    assert_eq!(device["pvt_type"], "device");
    assert_eq!(device["pvt_account_id"], ACCOUNT);
    assert_eq!(device["pvt_account_db"], DB);
    assert!(device["pvt_created"].as_i64().unwrap() > 63_000_000_000);
    assert_eq!(device["pvt_created"], device["pvt_modified"]);
    assert!(
        device.get("id").is_none(),
        "the public id is no field of a stored document"
    );
    assert!(doc(&store, DB, "u1").await.get("_read_only").is_none());
    let flows = store
        .query(DB, View::CallflowsByNumber("100".into()))
        .await
        .unwrap();
    assert_eq!(flows[0]["_id"], "main");
    let config = doc(&store, SYSTEM_CONFIG, "media").await;
    assert!(MediaConfig::read(&config).store_recordings);
}

#[tokio::test]
async fn webhooks_are_kept_for_all_accounts_together_and_none_takes_anothers() {
    let (_dir, store) = store();
    let hook = json!({"id": "w1", "uri": "https://h.example/", "hook": "recording", "retries": 3});
    let tree = Tree::good();
    tree.own("webhooks/ops.json", hook.clone());
    assert_eq!(run(&store, &tree).await.unwrap().webhooks, 1);
    let of = |account: &str| store.query(WEBHOOKS, View::WebhooksOf(account.to_owned()));
    let found = of(ACCOUNT).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["pvt_type"], "webhook");
    assert_eq!(found[0]["uri"], "https://h.example/");
    assert_eq!(run(&store, &tree).await.unwrap().webhooks, 1);

    let theirs = Tree::new();
    let place = |file: &str| format!("accounts/{OTHER}/{file}");
    let account = json!({"id": OTHER, "name": "Other", "realm": "other.example"});
    theirs.doc(&place("account.json"), account);
    theirs.doc(&place("webhooks/mine.json"), hook);
    let told = problems(&store, &theirs).await;
    let file = place("webhooks/mine.json");
    let expected = format!("{file} at /id: the id \"w1\" belongs already to another account");
    assert_eq!(told, [expected]);
    assert!(of(OTHER).await.unwrap().is_empty());
}

#[tokio::test]
async fn storage_documents_are_kept_under_their_accounts_id() {
    let (_dir, store) = store();
    let tree = Tree::good();
    let plan = json!({"plan": {"modb": {}}, "attachments": {}});
    tree.own("storage.json", plan.clone());
    tree.doc("system_data/system.json", plan.clone());
    assert_eq!(run(&store, &tree).await.unwrap().storage, 2);
    for id in [ACCOUNT, "system"] {
        let stored = doc(&store, SYSTEM_DATA, id).await;
        assert_eq!(stored["plan"], plan["plan"]);
        assert_eq!(stored["pvt_type"], "storage");
    }
    tree.own(
        "storage.json",
        json!({"id": "another", "plan": {"modb": "x"}}),
    );
    assert_eq!(
        problems(&store, &tree).await,
        [
            format!("storage.json at /id: must be the name of the folder, {ACCOUNT}"),
            "storage.json at /plan/modb: must be an object, is a string".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_webhook_says_where_to_and_what_of() {
    let (_dir, store) = store();
    let tree = Tree::good();
    tree.own("webhooks/w.json", json!({"hook": 1, "retries": "many"}));
    assert_eq!(
        problems(&store, &tree).await,
        [
            "webhooks/w.json at /hook: must be a string, is a number",
            "webhooks/w.json at /retries: must be a whole number, 0 or more, is a string",
            "webhooks/w.json at /uri: is missing",
        ]
    );
}

#[tokio::test]
async fn audio_files_become_attachments_of_media_documents() {
    let (_dir, store) = store();
    run(&store, &Tree::good()).await.unwrap();
    let greeting = doc(&store, DB, "g1").await;
    assert_eq!(greeting["name"], "Greeting");
    assert_eq!(greeting["content_type"], "audio/mpeg");
    assert_eq!(read(&store, "g1", "greeting.mp3").await, "mp3 bytes");
    let moh = doc(&store, DB, "moh").await;
    assert_eq!(
        (&moh["pvt_type"], &moh["content_length"]),
        (&json!("media"), &json!(9))
    );
    assert_eq!(read(&store, "moh", "moh.WAV").await, "wav bytes");
}

async fn read(store: &Store, id: &str, name: &str) -> String {
    let found = store.attachment(DB, id, name).await.unwrap().unwrap();
    let bytes: Vec<Bytes> = found.body.try_collect().await.unwrap();
    String::from_utf8(bytes.concat()).unwrap()
}

#[tokio::test]
async fn importing_again_replaces_documents_and_keeps_what_is_the_platforms() {
    let (_dir, store) = store();
    let tree = Tree::good();
    run(&store, &tree).await.unwrap();
    let mut old = doc(&store, DB, "d1").await;
    old["pvt_created"] = json!(63_000_000_001_i64);
    old["pvt_tree"] = json!(["reseller"]);
    old["pvt_deleted"] = json!(true);
    old["mac_address"] = json!("00:00:5e:00:53:01");
    store.put(DB, old).await.unwrap();
    fs::remove_file(
        tree.0
            .path()
            .join(format!("accounts/{ACCOUNT}/media/greeting.mp3")),
    )
    .unwrap();
    tree.write(&format!("accounts/{ACCOUNT}/media/greeting.wav"), "new");
    tree.own(
        "devices/desk.json",
        json!({"id": "d1", "name": "new", "sip": {"username": "alice"}}),
    );
    run(&store, &tree).await.unwrap();
    let device = doc(&store, DB, "d1").await;
    assert_eq!(device["name"], "new");
    assert_eq!(device["pvt_created"], 63_000_000_001_i64);
    assert_eq!(device["pvt_tree"], json!(["reseller"]));
    let gone = ["pvt_deleted", "mac_address"].map(|field| device.get(field));
    assert_eq!(gone, [None, None]);
    assert!(
        store
            .query(DB, View::DevicesByOwner("u1".into()))
            .await
            .unwrap()
            .is_empty()
    );
    let media = doc(&store, DB, "g1").await;
    let names: Vec<_> = media["_attachments"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["greeting.wav"]);
}

#[tokio::test]
async fn all_problems_are_told_at_once_and_nothing_is_written() {
    let (_dir, store) = store();
    let tree = Tree::good();
    tree.own(
        "devices/a.json",
        json!({"sip": {"username": 7, "password": ["x"]}, "enabled": "maybe"}),
    )
    .own(
        "callflows/b.json",
        json!({"numbers": ["200", 300], "name": "no flow"}),
    )
    .own(
        "callflows/c.json",
        json!({"numbers": "100", "flow": {"module": "hangup"}}),
    )
    .own("vmboxes/d.json", json!([]))
    .own(
        "users/e.json",
        json!({"id": "x", "_id": "y", "pvt_type": "device", "_secret": 1}),
    );
    tree.write(
        &format!("accounts/{ACCOUNT}/users/f.json"),
        "{\"a\": 1,\n oops}",
    );
    assert_eq!(
        problems(&store, &tree).await,
        [
            "callflows/b.json at /flow: is missing",
            "callflows/b.json at /numbers/1: must be a string, is a number",
            "callflows/c.json at /numbers: must be an array of strings, is a string",
            "devices/a.json at /enabled: must be true or false, is a string",
            "devices/a.json at /sip/password: must be a string, is an array",
            "devices/a.json at /sip/username: must be a string, is a number",
            "users/e.json at /_secret: is a reserved name: no field of a document begins with an underscore",
            "users/e.json at /id: differs from _id",
            "users/e.json at /pvt_type: must be \"user\" in this folder, or be left out",
            "users/f.json: is not JSON: key must be a string at line 2 column 2",
            "vmboxes/d.json: must be a JSON object, is an array",
        ]
    );
    assert_eq!(store.databases().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn names_that_must_be_the_only_one_are_told_with_their_owner() {
    let (_dir, store) = store();
    let tree = Tree::good();
    tree.own(
        "callflows/z.json",
        json!({"numbers": ["7", "100"], "flow": {"module": "hangup"}}),
    )
    .own("devices/y.json", json!({"sip": {"username": "ALICE"}}))
    .own("users/z.json", json!({"id": "d1"}))
    .doc(
        &format!("accounts/{OTHER}/account.json"),
        json!({"realm": "acme.EXAMPLE"}),
    );
    assert_eq!(
        problems(&store, &tree).await,
        [
            format!(
                "account.json at /realm: the realm \"Acme.example\" belongs already to accounts/{OTHER}/account.json"
            ),
            "callflows/z.json at /numbers/1: the number \"100\" belongs already to callflows/main.json".into(),
            "devices/y.json at /sip/username: the SIP username \"ALICE\" belongs already to devices/desk.json".into(),
            "users/z.json at /id: the id \"d1\" belongs already to devices/desk.json".into(),
        ]
    );
}

#[tokio::test]
async fn names_taken_in_the_store_are_told_unless_the_tree_brings_their_owner() {
    let (_dir, store) = store();
    run(&store, &Tree::good()).await.unwrap();
    let tree = Tree::new();
    tree.own("account.json", json!({"realm": "acme.example"}))
        .own(
            "callflows/new.json",
            json!({"numbers": ["100"], "flow": {"module": "hangup"}}),
        );
    assert_eq!(
        problems(&store, &tree).await,
        [
            "callflows/new.json at /numbers/0: the number \"100\" belongs already to document main of the store"
        ]
    );
    tree.own("callflows/main.json", json!({"flow": {"module": "hangup"}}));
    run(&store, &tree).await.unwrap();
    let flows = store
        .query(DB, View::CallflowsByNumber("100".into()))
        .await
        .unwrap();
    assert_eq!(flows[0]["_id"], "new");
}

#[tokio::test]
async fn files_in_the_wrong_place_are_told() {
    let (_dir, store) = store();
    let tree = Tree::new();
    tree.write("accounts/ABC/account.json", "{}")
        .write(&format!("accounts/{ACCOUNT}/user/x.json"), "{}")
        .write(&format!("accounts/{ACCOUNT}/users/x.yaml"), "")
        .write(&format!("accounts/{ACCOUNT}/media/x.ogg"), "x")
        .write(&format!("accounts/{ACCOUNT}/media/y.mp3"), "")
        .write(&format!("accounts/{ACCOUNT}/media/z.mp3"), "1")
        .write(&format!("accounts/{ACCOUNT}/media/z.wav"), "2")
        .write("extra.json", "{}");
    assert_eq!(
        problems(&store, &tree).await,
        [
            "accounts/ABC: account id \"ABC\" is not valid: it must be 32 lower-case hex digits",
            "account.json: is missing",
            "media/x.ogg: is not expected here; this folder holds JSON documents and .mp3 or .wav files",
            "media/y.mp3: is empty",
            "media/z.wav: a media document has one audio file, and there is another of this name",
            "user: is not expected here; this folder holds account.json, storage.json and the folders users, devices, callflows, vmboxes, webhooks, menus, directories, temporal_rules, temporal_rules_sets, lists, list_entries, groups, resources and media",
            "users/x.yaml: is not expected here; this folder holds JSON documents",
            "extra.json: is not expected here; this folder holds the folders accounts, system_config, system_data, offnet and numbers",
        ]
    );
}

#[tokio::test]
async fn what_is_no_file_is_told_and_never_read() {
    let (_dir, store) = store();
    let tree = Tree::good();
    let users = tree.0.path().join(format!("accounts/{ACCOUNT}/users"));
    std::os::unix::fs::symlink("/dev/zero", users.join("endless.json")).unwrap();
    std::os::unix::fs::symlink("/nowhere", users.join("gone.json")).unwrap();
    assert_eq!(
        problems(&store, &tree).await,
        [
            "users/endless.json: is neither a file nor a folder",
            "users/gone.json: cannot be read: No such file or directory (os error 2)",
        ]
    );
}

#[tokio::test]
async fn a_byte_order_mark_is_no_reason_to_refuse_a_document() {
    let (_dir, store) = store();
    let tree = Tree::good();
    let bob = json!({"id": "u2", "username": "bob"});
    tree.write(
        &format!("accounts/{ACCOUNT}/users/u2.json"),
        format!("\u{feff}{bob}"),
    );
    run(&store, &tree).await.unwrap();
    assert_eq!(doc(&store, DB, "u2").await["username"], "bob");
}

#[tokio::test]
async fn an_account_document_of_another_account_or_without_realm_is_told() {
    let (_dir, store) = store();
    let tree = Tree::new();
    tree.own("account.json", json!({"id": OTHER}));
    assert_eq!(
        problems(&store, &tree).await,
        [
            format!("account.json at /id: must be the name of the folder, {ACCOUNT}"),
            "account.json at /realm: is missing".into(),
        ]
    );
}

#[tokio::test]
async fn the_callers_lint_sees_callflows_and_stops_the_import() {
    let (_dir, store) = store();
    let tree = Tree::good();
    let lint = |flow: &Value| {
        assert_eq!(
            flow["numbers"],
            json!(["100"]),
            "only the callflow is shown"
        );
        vec![("/flow/data/id".to_owned(), "no such user".to_owned())]
    };
    let refused = import(&store, tree.0.path(), lint).await.unwrap_err();
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0]
            .to_string()
            .ends_with("main.json at /flow/data/id: no such user")
    );
    assert!(store.databases().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_empty_or_absent_folder_is_told() {
    let (_dir, store) = store();
    let tree = Tree::new();
    assert_eq!(
        problems(&store, &tree).await,
        [".: holds neither accounts nor system_config nor system_data: nothing to import"]
    );
    let nowhere = Path::new("/nowhere/at/all");
    let refused = import(&store, nowhere, |_| Vec::new()).await.unwrap_err();
    assert_eq!(
        refused[0].to_string(),
        "/nowhere/at/all: cannot be read: No such file or directory (os error 2)"
    );
}
