//! The database files of other versions: each is opened, answers every view, and takes what is written.

use std::path::Path;

use bytes::Bytes;
use callreel_store::{ACCOUNTS, MailboxFolder, Recordings, Store, View, WEBHOOKS};
use futures::{TryStreamExt, stream};
use rusqlite::{Connection, types::ValueRef};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What those versions wrote, one folder each (docs/upgrades.md).
const FORMATS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/formats");
const DB: &str = "account/01/23/456789abcdef0123456789abcdef";
const MONTH: &str = "account/01/23/456789abcdef0123456789abcdef-202403";
const RECORDING: &str = "202403-00000000000000000000000000000001";
const AUDIO: &[u8] = b"not quite a recording";

/// Where each document is, and the views that find it.
fn documents() -> Vec<(&'static str, Value, Vec<View>)> {
    let word = str::to_owned;
    let folder = MailboxFolder {
        mailbox: word("box"),
        folder: word("new"),
        limit: 10,
    };
    vec![
        (
            ACCOUNTS,
            json!({"_id": "account", "pvt_type": "account", "name": "Acme", "realm": "acme.example.com", "pvt_api_key": "key"}),
            vec![
                View::AccountByName(word("acme")),
                View::AccountByRealm(word("ACME.example.com")),
                View::AccountByApiKey(word("key")),
            ],
        ),
        (
            WEBHOOKS,
            json!({"_id": "hook", "pvt_type": "webhook", "pvt_account_id": "account"}),
            vec![View::WebhooksOf(word("account"))],
        ),
        (
            DB,
            json!({"_id": "flow", "pvt_type": "callflow", "numbers": ["2000"], "patterns": ["^3"]}),
            vec![
                View::CallflowsByNumber(word("2000")),
                View::CallflowPatterns,
            ],
        ),
        (
            DB,
            json!({"_id": "device", "pvt_type": "device", "owner_id": "user", "sip": {"username": "Phone"}}),
            vec![
                View::DevicesByOwner(word("user")),
                View::DeviceBySipUsername(word("phone")),
            ],
        ),
        (
            DB,
            json!({"_id": "box", "pvt_type": "vmbox", "mailbox": "1001", "owner_id": "user"}),
            vec![
                View::VmboxesByNumber(1001),
                View::VmboxesByOwner(word("user")),
            ],
        ),
        (
            DB,
            json!({"_id": "entry", "pvt_type": "list_entry", "list_id": "list"}),
            vec![View::EntriesOfList(word("list"))],
        ),
        (
            DB,
            json!({"_id": "user", "pvt_type": "user", "directories": {"directory": "flow"}}),
            vec![View::UsersInDirectory(word("directory"))],
        ),
        (
            MONTH,
            json!({"_id": "message", "pvt_type": "mailbox_message", "source_id": "box", "pvt_created": 63_876_470_400_i64}),
            vec![View::MailboxFolder(folder)],
        ),
        (
            MONTH,
            json!({"_id": RECORDING, "pvt_type": "call_recording", "owner_id": "user", "pvt_created": 63_876_470_400_i64}),
            vec![
                View::OfType(word("call_recording")),
                View::Recordings(Recordings::default()),
            ],
        ),
    ]
}

#[tokio::test]
async fn the_database_of_0_1_answers_every_view_and_goes_on() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.sqlite");
    let sql = std::fs::read_to_string(Path::new(FORMATS).join("0.1/store.sql")).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch(&sql)
        .unwrap();
    let store = Store::open(&path).unwrap();
    for (db, doc, views) in documents() {
        let id = doc["_id"].as_str().unwrap();
        let stored = store.get(db, id).await.unwrap().unwrap();
        assert_eq!(stored["pvt_type"], doc["pvt_type"], "{id}");
        for view in views {
            let found = store.query(db, view.clone()).await.unwrap();
            assert!(
                matches!(&found[..], [one] if one["_id"] == id),
                "{view:?}: {found:?}"
            );
        }
        store.put(db, stored).await.unwrap();
    }
    let audio = store.attachment(MONTH, RECORDING, "call.mp3").await;
    let audio = audio.unwrap().expect("it is attached");
    let blocks: Vec<Bytes> = audio.body.try_collect().await.unwrap();
    assert_eq!(blocks.concat(), AUDIO);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

/// Writes the database of the version at hand, as SQL, into the folder that `CALLREEL_FORMATS` names.
#[tokio::test]
#[ignore = "writes the fixtures of a version that is about to be released (docs/upgrades.md)"]
async fn write_the_fixtures() {
    let to = std::env::var("CALLREEL_FORMATS").unwrap();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.sqlite");
    let store = Store::open(&path).unwrap();
    for (db, doc, _) in documents() {
        store.put(db, doc).await.unwrap();
    }
    let audio = stream::iter([Ok(Bytes::from_static(AUDIO))]);
    let length = AUDIO.len() as u64;
    let kept = store.put_attachment(MONTH, RECORDING, "call.mp3", "audio/mpeg", length, audio);
    kept.await.unwrap();
    drop(store);
    let sql = dump(&Connection::open(&path).unwrap());
    std::fs::write(Path::new(&to).join("store.sql"), sql).unwrap();
}

/// The whole database as SQL.
fn dump(conn: &Connection) -> String {
    let words = |sql: &str| -> Vec<String> {
        let mut asked = conn.prepare(sql).unwrap();
        let found = asked.query_map([], |row| row.get(0)).unwrap();
        found.map(Result::unwrap).collect()
    };
    let ours = "FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    let mut sql = words(&format!("SELECT sql || ';' {ours} ORDER BY rowid"));
    for table in words(&format!(
        "SELECT name {ours} AND type = 'table' ORDER BY rowid"
    )) {
        let mut asked = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = asked.column_count();
        let mut rows = asked.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns).map(|at| literal(row.get_ref(at).unwrap()));
            let values = values.collect::<Vec<_>>().join(", ");
            sql.push(format!("INSERT INTO {table} VALUES ({values});"));
        }
    }
    let version: i64 = conn
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    sql.push(format!("PRAGMA user_version = {version};\n"));
    sql.join("\n")
}

fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => {
            format!("'{}'", String::from_utf8_lossy(text).replace('\'', "''"))
        }
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{hex}'")
        }
    }
}
