//! The store on a CouchDB: conformance, Kazoo's layout, and a server that is down, killed, faulty or not ours.

use std::io;

use axum::http::Method;
use bytes::Bytes;
use callreel_proto::{AccountDb, AccountId, month_db};
use callreel_store::{
    AttachmentFile, CouchConfig, Error, Recordings, Saving, Store, View, conformance,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    proxy::{Proxy, client},
    server::{PASSWORD, Server, USER, patient, url_at},
};

fn connect(url: &str) -> Store {
    Store::connect(url, &patient()).unwrap()
}

fn month() -> (AccountId, String) {
    let account = AccountId::random();
    let db = month_db(&account, "202403");
    (account, db)
}

fn recording(id: &str, owner: &str, created: i64) -> Value {
    json!({"_id": id, "pvt_type": "call_recording", "owner_id": owner, "pvt_created": created})
}

/// A request as another client makes it.
async fn raw(server: &Server, method: Method, path: &str, body: Option<Value>) -> Value {
    let url = format!("http://127.0.0.1:{}/{path}", server.port());
    let mut request = client()
        .request(method, url)
        .basic_auth(USER, Some(PASSWORD));
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap().json().await.unwrap()
}

async fn attach(store: &Store, db: &str, id: &str, bytes: &'static [u8]) -> Result<String, Error> {
    let body = stream::iter([Ok(Bytes::from_static(bytes))]);
    let length = bytes.len() as u64;
    store
        .put_attachment(db, id, "x.mp3", "audio/mpeg", length, body)
        .await
}

async fn read(store: &Store, db: &str, id: &str) -> Option<Vec<u8>> {
    let found = store.attachment(db, id, "x.mp3").await.unwrap()?;
    let parts: Vec<_> = found.body.collect().await;
    let parts: io::Result<Vec<Bytes>> = parts.into_iter().collect();
    Some(parts.unwrap().concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_on_couchdb_conforms() {
    let server = Server::start();
    let store = connect(&server.url());
    conformance::run(&store).await;
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_of_ranges_is_read_in_ranges() {
    let server = Server::start();
    let proxy = Proxy::start(server.port()).await;
    let store = connect(&url_at(proxy.port));
    let (_, case) = conformance::CASES
        .iter()
        .find(|(name, _)| *name == "an attachment is read in parts")
        .unwrap();
    case(store).await;
}

/// The keys of a view's answer.
fn keys(listed: &Value) -> Vec<&Value> {
    let rows = listed["rows"].as_array().unwrap();
    rows.iter().map(|row| &row["key"]).collect()
}

#[tokio::test]
async fn a_stock_crossbar_finds_what_was_stored() {
    let server = Server::start();
    let store = connect(&server.url());
    let (_, db) = month();
    for (id, owner, created) in [
        ("202403-a", "u", 10),
        ("202403-b", "v", 20),
        ("202403-c", "u", 30),
    ] {
        store.put(&db, recording(id, owner, created)).await.unwrap();
    }
    let path = format!("{}/_design/recordings/_view", db.replace('/', "%2F"));
    let all = format!("{path}/crossbar_listing?descending=true");
    let listed = raw(&server, Method::GET, &all, None).await;
    assert_eq!(
        keys(&listed),
        [
            &json!([30, "202403-c"]),
            &json!([20, "202403-b"]),
            &json!([10, "202403-a"])
        ]
    );
    let of_user = format!("{path}/listing_by_user?startkey=[%22u%22]&endkey=[%22u%22,{{}}]");
    let listed = raw(&server, Method::GET, &of_user, None).await;
    assert_eq!(
        keys(&listed),
        [&json!(["u", 10, "202403-a"]), &json!(["u", 30, "202403-c"])]
    );
}

/// As a Kazoo writes it: other text, other values, a view more.
fn kazoos_design() -> Value {
    let listing = "function(doc) { if (doc.pvt_type == 'call_recording') emit([doc.pvt_created, doc._id], {k: 1}) }";
    let user = "function(doc) { if (doc.owner_id) emit([doc.owner_id, doc.pvt_created, doc._id], {k: 1}) }";
    json!({"language": "javascript", "kazoo": {}, "views": {
        "crossbar_listing": {"map": listing}, "listing_by_user": {"map": user}, "interaction_listing": {"map": user}
    }})
}

#[tokio::test]
async fn a_design_document_of_kazoo_is_used_and_never_written() {
    let server = Server::start();
    let store = connect(&server.url());
    let (_, db) = month();
    let path = db.replace('/', "%2F");
    let design = format!("{path}/_design/recordings");
    raw(&server, Method::PUT, &path, None).await;
    raw(&server, Method::PUT, &design, Some(kazoos_design())).await;
    let before = raw(&server, Method::GET, &design, None).await;
    store
        .put(&db, recording("202403-a", "u", 10))
        .await
        .unwrap();
    let mut gone = recording("202403-b", "u", 20);
    gone["pvt_deleted"] = json!(true);
    store.put(&db, gone).await.unwrap();
    let docs = store
        .query(&db, View::Recordings(Recordings::default()))
        .await
        .unwrap();
    assert_eq!(docs.len(), 1, "a soft-deleted recording is shown: {docs:?}");
    store
        .query(&db, View::OfType("call_recording".into()))
        .await
        .unwrap();
    assert_eq!(raw(&server, Method::GET, &design, None).await, before);
    assert!(store.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_design_document_that_cannot_answer_is_named_and_left_alone() {
    let server = Server::start();
    let store = connect(&server.url());
    let (_, db) = month();
    let path = db.replace('/', "%2F");
    let design = format!("{path}/_design/recordings");
    raw(&server, Method::PUT, &path, None).await;
    let old = json!({"views": {"other": {"map": "function (doc) {}"}}});
    raw(&server, Method::PUT, &design, Some(old)).await;
    let before = raw(&server, Method::GET, &design, None).await;
    let refused = store
        .query(&db, View::Recordings(Recordings::default()))
        .await;
    let said = refused.unwrap_err().to_string();
    assert!(
        said.contains(&db) && said.contains("crossbar_listing"),
        "{said}"
    );
    let findings = store.check().await.unwrap();
    assert!(
        findings.len() == 1 && findings[0].contains("crossbar_listing"),
        "{findings:?}"
    );
    assert_eq!(raw(&server, Method::GET, &design, None).await, before);
}

#[tokio::test]
async fn a_design_document_of_an_older_callreel_is_brought_up_to_date() {
    let server = Server::start();
    let store = connect(&server.url());
    let db = AccountDb::name(&AccountId::random());
    let path = db.replace('/', "%2F");
    let flow = json!({"_id": "c", "pvt_type": "callflow", "numbers": ["100"], "patterns": ["^1"]});
    store.put(&db, flow).await.unwrap();
    let design = format!("{path}/_design/callflows");
    let mut old = raw(&server, Method::GET, &design, None).await;
    let views = old["views"].as_object_mut().unwrap();
    views.remove("listing_by_pattern").unwrap();
    raw(&server, Method::PUT, &design, Some(old.clone())).await;
    let found = store.query(&db, View::CallflowPatterns).await.unwrap();
    assert_eq!(found.len(), 1, "whoever asks for the view makes it");

    let newer = raw(&server, Method::GET, &design, None).await;
    old["_rev"] = newer["_rev"].clone();
    raw(&server, Method::PUT, &design, Some(old)).await;
    let findings = store.check().await.unwrap();
    assert!(
        matches!(&findings[..], [one] if one.contains("listing_by_pattern") && one.contains("--repair")),
        "{findings:?}"
    );
    assert_eq!(store.repair().await.unwrap().len(), 1);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    let mended = raw(&server, Method::GET, &design, None).await;
    assert_eq!(mended["views"], newer["views"]);
    assert_eq!(store.repair().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_database_of_others_gets_the_views_that_are_asked_for() {
    let server = Server::start();
    let store = connect(&server.url());
    let db = AccountDb::name(&AccountId::random());
    raw(&server, Method::PUT, &db.replace('/', "%2F"), None).await;
    let device = json!({"_id": "d", "pvt_type": "device", "owner_id": "u"});
    store.put(&db, device).await.unwrap();
    let found = store
        .query(&db, View::DevicesByOwner("u".into()))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn a_server_that_comes_later_is_found_then() {
    let mut server = Server::start();
    server.kill();
    let store = connect(&server.url());
    let away = store.get("accounts", "a").await.unwrap_err();
    assert!(matches!(away, Error::Unavailable { .. }), "{away:?}");
    let said = away.to_string();
    assert!(said.contains(&server.port().to_string()), "{said}");
    assert!(!said.contains(PASSWORD) && !said.contains(USER), "{said}");
    assert_eq!(store.check().await.unwrap(), [said]);
    server.launch();
    assert_eq!(store.get("accounts", "a").await.unwrap(), None);
}

#[tokio::test]
async fn a_wrong_password_is_told_apart_from_a_server_that_is_away() {
    let server = Server::start();
    let url = format!("http://{USER}:guess@127.0.0.1:{}", server.port());
    let store = connect(&url);
    let refused = store
        .put("accounts", json!({"_id": "a"}))
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
    let said = refused.to_string();
    assert!(
        said.contains("store.url") && !said.contains("guess"),
        "{said}"
    );
    assert_eq!(store.check().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_killed_within_an_attachment_shows_none_of_it() {
    let mut server = Server::start();
    let store = connect(&server.url());
    let (_, db) = month();
    store
        .put(&db, recording("202403-a", "u", 10))
        .await
        .unwrap();
    attach(&store, &db, "202403-a", b"before").await.unwrap();
    let (blocks, body) = mpsc::channel::<io::Result<Bytes>>(1);
    let body = stream::unfold(
        body,
        |mut body| async move { Some((body.recv().await?, body)) },
    );
    let upload = {
        let (store, db) = (store.clone(), db.clone());
        tokio::spawn(async move {
            store
                .put_attachment(&db, "202403-a", "x.mp3", "audio/mpeg", 1 << 30, body)
                .await
        })
    };
    for _ in 0..8 {
        blocks
            .send(Ok(Bytes::from(vec![7; 600_000])))
            .await
            .unwrap();
    }
    server.kill();
    let cut = upload.await.unwrap().unwrap_err();
    assert!(matches!(cut, Error::Unavailable { .. }), "{cut:?}");
    server.launch();
    assert_eq!(read(&store, &db, "202403-a").await.unwrap(), b"before");
    attach(&store, &db, "202403-a", b"after").await.unwrap();
    assert_eq!(read(&store, &db, "202403-a").await.unwrap(), b"after");
}

#[tokio::test]
async fn what_cannot_be_done_now_says_so_and_is_done_later() {
    let server = Server::start();
    let proxy = Proxy::start(server.port()).await;
    let store = connect(&url_at(proxy.port));
    let (_, db) = month();
    for status in [500, 503, 504, 429] {
        proxy.fail(Method::PUT, "202403-a", status, 1);
        let away = store
            .put(&db, recording("202403-a", "u", 10))
            .await
            .unwrap_err();
        assert!(
            matches!(away, Error::Unavailable { .. }),
            "{status}: {away:?}"
        );
        assert!(away.to_string().contains(&status.to_string()), "{away}");
    }
    store
        .put(&db, recording("202403-a", "u", 10))
        .await
        .unwrap();
    proxy.fail(Method::GET, "x.mp3", 503, 1);
    let away = store
        .attachment(&db, "202403-a", "x.mp3")
        .await
        .unwrap_err();
    assert!(matches!(away, Error::Unavailable { .. }), "{away:?}");
    proxy.fail(Method::PUT, "x.mp3", 500, 1);
    let away = attach(&store, &db, "202403-a", b"sound").await.unwrap_err();
    assert!(matches!(away, Error::Unavailable { .. }), "{away:?}");
    attach(&store, &db, "202403-a", b"sound").await.unwrap();
    assert_eq!(proxy.left(), 0);
}

#[tokio::test]
async fn a_save_that_others_overtake_is_made_all_the_same() {
    let server = Server::start();
    let proxy = Proxy::start(server.port()).await;
    let store = connect(&url_at(proxy.port));
    let (_, db) = month();
    proxy.fail(Method::PUT, "202403-a", 409, 5);
    store
        .save(&db, recording("202403-a", "u", 10))
        .await
        .unwrap();
    proxy.fail(Method::DELETE, "202403-a", 409, 2);
    assert!(store.delete(&db, "202403-a").await.unwrap());
    assert_eq!(proxy.left(), 0);
    proxy.fail(Method::PUT, "202403-a", 409, 1000);
    let given_up = store.save(&db, recording("202403-a", "u", 10)).await;
    assert!(
        matches!(given_up, Err(Error::Conflict { .. })),
        "{given_up:?}"
    );
}

#[tokio::test]
async fn a_batch_that_breaks_names_what_is_left_and_can_be_repeated() {
    let server = Server::start();
    let proxy = Proxy::start(server.port()).await;
    let store = connect(&url_at(proxy.port));
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("x.mp3");
    std::fs::write(&path, "sound").unwrap();
    let db = AccountDb::name(&AccountId::random());
    let batch = || {
        ["a", "b", "c"].map(|id| Saving {
            db: db.clone(),
            doc: json!({"_id": id, "pvt_type": "media"}),
            attachment: Some(AttachmentFile {
                name: "x.mp3".into(),
                content_type: "audio/mpeg".into(),
                path: path.clone(),
            }),
        })
    };
    proxy.fail(Method::PUT, "/b", 500, 1);
    let broken = store.save_all(batch().to_vec()).await.unwrap_err();
    let said = broken.to_string();
    assert!(
        said.starts_with("1 of 3 documents were not saved, \"b\" in"),
        "{said}"
    );
    assert_eq!(read(&store, &db, "c").await.unwrap(), b"sound");
    store.save_all(batch().to_vec()).await.unwrap();
    for id in ["a", "b", "c"] {
        assert_eq!(read(&store, &db, id).await.unwrap(), b"sound");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_couchdbs_is_shown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let page = axum::Router::new().fallback(|| async { "<html>a router's login page</html>" });
    tokio::spawn(async move { axum::serve(listener, page).await });
    let store = connect(&format!("http://127.0.0.1:{port}"));
    let findings = store.check().await.unwrap();
    assert!(findings[0].contains("not as CouchDB does"), "{findings:?}");
    let said = store.databases().await.unwrap_err().to_string();
    assert!(said.contains("login page"), "{said}");
}

#[tokio::test]
async fn an_attachment_that_arrived_as_another_is_told() {
    let server = Server::start();
    let proxy = Proxy::start(server.port()).await;
    let store = connect(&url_at(proxy.port));
    let (_, db) = month();
    store
        .put(&db, recording("202403-a", "u", 10))
        .await
        .unwrap();
    proxy.spoil("x.mp3");
    let spoiled = attach(&store, &db, "202403-a", b"sound").await;
    let Err(Error::Upload { reason, .. }) = &spoiled else {
        panic!("{spoiled:?}");
    };
    assert!(reason.contains("CouchDB stored 5 bytes"), "{reason}");
}

#[tokio::test]
async fn a_server_that_stands_still_is_not_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = CouchConfig {
        request_timeout_s: std::num::NonZeroU64::MIN,
        ..CouchConfig::default()
    };
    // It takes connections and never answers.
    let store = Store::connect(&format!("http://127.0.0.1:{port}"), &config).unwrap();
    let away = store.get("accounts", "a").await.unwrap_err();
    assert!(matches!(away, Error::Unavailable { .. }), "{away:?}");
    let away = store.attachment("accounts", "a", "x").await.unwrap_err();
    assert!(
        away.to_string().contains("store.request_timeout_s"),
        "{away}"
    );
}

#[tokio::test]
async fn an_upload_that_stands_still_is_given_up() {
    let server = Server::start();
    let config = CouchConfig {
        request_timeout_s: std::num::NonZeroU64::MIN,
        ..CouchConfig::default()
    };
    let store = Store::connect(&server.url(), &config).unwrap();
    let (_, db) = month();
    store
        .put(&db, recording("202403-a", "u", 10))
        .await
        .unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"half"))]).chain(stream::pending());
    let put = store.put_attachment(&db, "202403-a", "x.mp3", "audio/mpeg", 8, body);
    let away = put.await.unwrap_err();
    assert!(away.to_string().contains("stood still for 1 s"), "{away}");
    assert!(read(&store, &db, "202403-a").await.is_none());
}
