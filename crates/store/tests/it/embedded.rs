//! The embedded store: conformance, durability, several handles on one file.

use std::{
    fs, io,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use callreel_store::{ACCOUNTS, Error, Store, View, conformance};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;

const DB: &str = "account/ab/cd/0123456789abcdef0123456789ab";
/// Longer than anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

fn open(dir: &TempDir) -> Store {
    Store::open(&dir.path().join("store.db")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_conforms() {
    let dir = TempDir::new().unwrap();
    conformance::run(&open(&dir)).await;
    assert_eq!(open(&dir).check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn two_handles_on_one_file_see_each_others_changes_and_conflicts() {
    let dir = TempDir::new().unwrap();
    let (one, two) = (open(&dir), open(&dir));
    let rev = one.put(DB, json!({"_id": "a"})).await.unwrap();
    two.put(DB, json!({"_id": "a", "_rev": rev, "n": 2}))
        .await
        .unwrap();
    let late = one.put(DB, json!({"_id": "a", "_rev": rev, "n": 1})).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    assert_eq!(one.get(DB, "a").await.unwrap().unwrap()["n"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_on_two_handles_lose_no_increment() {
    let dir = TempDir::new().unwrap();
    let stores = [open(&dir), open(&dir)];
    stores[0]
        .put(DB, json!({"_id": "n", "n": 0}))
        .await
        .unwrap();
    let tasks = (0..8).map(|i| {
        let store = stores[i % 2].clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                increment(&store).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    assert_eq!(stores[0].get(DB, "n").await.unwrap().unwrap()["n"], 80);
}

async fn increment(store: &Store) {
    loop {
        let mut doc = store.get(DB, "n").await.unwrap().unwrap();
        doc["n"] = json!(doc["n"].as_u64().unwrap() + 1);
        match store.put(DB, doc).await {
            Ok(_) => return,
            Err(Error::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// The files as a crash at this moment would leave them: the log not yet folded into the database.
fn crash_image(dir: &TempDir) -> TempDir {
    let image = TempDir::new().unwrap();
    for name in ["store.db", "store.db-wal"] {
        fs::copy(dir.path().join(name), image.path().join(name)).unwrap();
    }
    image
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let device = json!({"_id": "a", "pvt_type": "device", "owner_id": "u"});
    store.put(DB, device).await.unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"sound"))]);
    store
        .put_attachment(DB, "a", "x.mp3", "audio/mpeg", 5, body)
        .await
        .unwrap();
    let image = crash_image(&dir);
    let again = open(&image);
    let view = View::DevicesByOwner("u".into());
    assert_eq!(again.query(DB, view).await.unwrap().len(), 1);
    assert!(again.attachment(DB, "a", "x.mp3").await.unwrap().is_some());
    assert!(again.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.put(DB, json!({"_id": "a"})).await.unwrap();
    let (blocks, upload) = slow_upload(&store);
    for _ in 0..3 {
        blocks
            .send(Ok(Bytes::from(vec![7; 600_000])))
            .await
            .unwrap();
    }
    await_upload_rows(&dir, 1).await;
    upload.abort();
    await_upload_rows(&dir, 0).await;
    assert!(store.attachment(DB, "a", "x").await.unwrap().is_none());
    assert_eq!(chunks(&dir), 0);
}

#[tokio::test]
async fn an_upload_cut_by_a_crash_shows_the_old_attachment() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.put(DB, json!({"_id": "a"})).await.unwrap();
    let before = stream::iter([Ok(Bytes::from_static(b"before"))]);
    store
        .put_attachment(DB, "a", "x", "audio/wav", 6, before)
        .await
        .unwrap();
    let (blocks, _upload) = slow_upload(&store);
    for _ in 0..3 {
        blocks
            .send(Ok(Bytes::from(vec![7; 600_000])))
            .await
            .unwrap();
    }
    await_upload_rows(&dir, 1).await;
    let image = crash_image(&dir);
    let again = open(&image);
    let old = again.attachment(DB, "a", "x").await.unwrap().unwrap();
    let bytes: Vec<Bytes> = old.body.try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"before");
    assert!(again.check().await.unwrap().is_empty());
}

type Blocks = mpsc::Sender<io::Result<Bytes>>;

fn slow_upload(store: &Store) -> (Blocks, tokio::task::JoinHandle<Result<String, Error>>) {
    let (blocks, body) = mpsc::channel(1);
    let body = stream::unfold(
        body,
        |mut body| async move { Some((body.recv().await?, body)) },
    );
    let store = store.clone();
    let upload = tokio::spawn(async move {
        store
            .put_attachment(DB, "a", "x", "audio/wav", 1 << 30, body)
            .await
    });
    (blocks, upload)
}

async fn await_upload_rows(dir: &TempDir, count: i64) {
    let reached = async {
        while count_rows(dir, "attachment WHERE document IS NULL") != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

fn chunks(dir: &TempDir) -> i64 {
    count_rows(
        dir,
        "chunk c JOIN attachment a ON a.id = c.attachment WHERE a.document IS NULL",
    )
}

fn count_rows(dir: &TempDir, what: &str) -> i64 {
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    let sql = format!("SELECT count(*) FROM {what}");
    conn.query_row(&sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn an_old_abandoned_upload_is_swept_at_the_next_start() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir));
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    let insert =
        "INSERT INTO attachment (name, content_type, length, digest, revpos, chunk_bytes, touched)
        VALUES (?1, '', 0, '', 0, 1, ?2)";
    let now = callreel_proto::Utc::now().unix_ms();
    conn.execute(insert, ("old", now - 24 * 3600 * 1000))
        .unwrap();
    conn.execute(insert, ("young", now - 60_000)).unwrap();
    drop(open(&dir));
    assert_eq!(count_rows(&dir, "attachment WHERE name = 'old'"), 0);
    assert_eq!(count_rows(&dir, "attachment WHERE name = 'young'"), 1);
}

#[tokio::test]
async fn replacing_an_attachment_ends_a_reader_with_an_error_not_with_wrong_bytes() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.put(DB, json!({"_id": "a"})).await.unwrap();
    let attach = async |byte: u8| {
        let body = stream::iter([Ok(Bytes::from(vec![byte; 1_500_000]))]);
        let put = store.put_attachment(DB, "a", "x", "audio/wav", 1_500_000, body);
        put.await.unwrap();
    };
    attach(1).await;
    let mut reader = store.attachment(DB, "a", "x").await.unwrap().unwrap().body;
    assert_eq!(reader.next().await.unwrap().unwrap()[0], 1);
    attach(2).await;
    assert!(reader.next().await.unwrap().is_err());
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_with_its_name() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.db");
    fs::write(&path, "this is not a database, it is a text of some length").unwrap();
    let refused = Store::open(&path).unwrap_err().to_string();
    assert!(refused.contains("store.db"), "{refused}");
    assert!(refused.contains("damaged"), "{refused}");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir));
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    let path = dir.path().join("store.db");
    let refused = Store::open(&path).unwrap_err().to_string();
    assert!(refused.contains("version 99"), "{refused}");
}

#[tokio::test]
async fn accounts_in_a_file_of_the_first_version_are_found_by_name_and_key() {
    let dir = TempDir::new().unwrap();
    let doc = json!({"_id": "a", "pvt_type": "account", "name": "Acme", "pvt_api_key": "k"});
    let store = open(&dir);
    store.put(ACCOUNTS, doc).await.unwrap();
    drop(store);
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    conn.execute("DELETE FROM entry WHERE view > 10", [])
        .unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    drop(conn);
    let store = open(&dir);
    for view in [
        View::AccountByName("acme".to_owned()),
        View::AccountByApiKey("k".to_owned()),
    ] {
        assert_eq!(store.query(ACCOUNTS, view).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn messages_in_a_file_of_the_second_version_are_counted_and_boxes_found() {
    let dir = TempDir::new().unwrap();
    let message = json!({"_id": "m", "pvt_type": "mailbox_message", "source_id": "b"});
    let vmbox = json!({"_id": "b", "pvt_type": "vmbox", "mailbox": "1001"});
    let store = open(&dir);
    store.put(DB, message).await.unwrap();
    store.put(DB, vmbox).await.unwrap();
    drop(store);
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    conn.execute("DELETE FROM entry WHERE view > 12", [])
        .unwrap();
    conn.pragma_update(None, "user_version", 2).unwrap();
    drop(conn);
    let store = open(&dir);
    assert_eq!(store.message_counts(DB, "b").await.unwrap().new, 1);
    let boxes = store.query(DB, View::VmboxesByNumber(1001)).await.unwrap();
    assert_eq!(boxes.len(), 1);
}

#[tokio::test]
async fn a_store_that_holds_passwords_is_not_for_others_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.put(DB, json!({"_id": "a"})).await.unwrap();
    for name in ["store.db", "store.db-wal"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o077, 0, "{name}");
    }
}

const WRITER_PATH: &str = "CALLREEL_STORE_TEST_WRITER";

/// Not a test of its own: the process that `a_killed_process…` starts and kills.
#[tokio::test]
async fn writer_process() {
    let Ok(path) = std::env::var(WRITER_PATH) else {
        return;
    };
    let store = Store::open(Path::new(&path)).unwrap();
    for n in 0.. {
        let id = format!("doc{n}");
        store
            .put(DB, json!({"_id": id, "pvt_type": "user"}))
            .await
            .unwrap();
        println!("ack {id}");
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let dir = TempDir::new().unwrap();
    let path: PathBuf = dir.path().join("store.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["embedded::writer_process", "--exact", "--nocapture"])
        .env(WRITER_PATH, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ids = lines.filter_map(|line| Some(line.unwrap().split_once("ack ")?.1.to_owned()));
    let acknowledged: Vec<String> = ids.take(60).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(acknowledged.len(), 60, "the writer died early");
    let store = Store::open(&path).unwrap();
    for id in &acknowledged {
        assert!(store.get(DB, id).await.unwrap().is_some(), "{id} is lost");
    }
    assert!(
        store
            .query(DB, View::OfType("user".into()))
            .await
            .unwrap()
            .len()
            >= 60
    );
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn damage_is_found_by_the_check_and_never_read_as_audio() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    store.put(DB, json!({"_id": "a"})).await.unwrap();
    let body = stream::iter([Ok(Bytes::from(vec![1; 1_000_000]))]);
    store
        .put_attachment(DB, "a", "x", "audio/wav", 1_000_000, body)
        .await
        .unwrap();
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    let cut = "UPDATE chunk SET data = substr(data, 1, 1000) WHERE number = 1";
    assert_eq!(conn.execute(cut, []).unwrap(), 1);
    let findings = store.check().await.unwrap();
    assert_eq!(
        findings,
        [format!(
            "attachment \"x\" of document \"a\" in {DB:?} should have 1000000 bytes and has 525288"
        )]
    );
    let body = store.attachment(DB, "a", "x").await.unwrap().unwrap().body;
    assert!(body.try_collect::<Vec<Bytes>>().await.is_err());
}
