//! A node on a CouchDB: what it stores there is where a Kazoo looks for it, and nothing is lost while the CouchDB is away.

use callreel_proto::{AccountId, month_db};
use serde_json::json;

use crate::{
    recording::{a_caller_alone, without_url},
    support::{
        audio::listen,
        couch::{PASSWORD, Server},
        estate::{ACCOUNT, Estate},
        eventually,
        node::Node,
    },
};

/// A node on this server whose account has its recordings in its database.
fn node_on(couch: &Server) -> Node {
    let estate = Estate::with_flow(&without_url());
    estate.media_config(&json!({"store_recordings": true}));
    let settings = format!("[store]\nurl = \"{}\"\n", couch.url());
    Node::with_settings(&estate, &settings)
}

#[test]
fn a_recording_is_in_couchdb_where_kazoo_looks_for_it() {
    let couch = Server::start();
    let node = node_on(&couch);
    let call_id = a_caller_alone(&node, 5.0);
    let listed = node.recordings(1).remove(0);
    let id = listed["id"].as_str().unwrap();
    let month = month_db(&AccountId::parse(ACCOUNT).unwrap(), &id[..6]);
    let month = month.replace('/', "%2F");
    let view = "_design/recordings/_view/crossbar_listing";
    let rows = couch.json(&format!("{month}/{view}?include_docs=true"));
    let rows = rows["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let doc = &rows[0]["doc"];
    assert_eq!(rows[0]["key"], json!([doc["pvt_created"], id]));
    assert_eq!(doc["call_id"], call_id);
    let name = doc["name"].as_str().unwrap();
    assert_eq!(doc["_attachments"][name]["content_type"], "audio/mpeg");
    let audio = couch.bytes(&format!("{month}/{id}/{name}"));
    let seconds = listen(&audio).seconds();
    assert!((seconds - 2.0).abs() < 0.2, "{seconds} s");
    let path = format!("/v2/accounts/{ACCOUNT}/recordings/{id}");
    let (status, through_api) = node.fetch(&path, "audio/mpeg");
    assert!(status == 200 && through_api == audio, "{status}");
    let shown = node.cli(&["recordings", "list", ACCOUNT]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(id));
    let check = node.cli(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said}");
    assert!(!node.data().join("data/store.sqlite").exists());
    // As it is, and as the URL spells it.
    let secret = PASSWORD.split('@').next_back().unwrap();
    assert!(!node.log().contains(secret), "a password is in the log");
}

#[test]
fn a_recording_made_while_couchdb_is_away_is_stored_when_it_is_back() {
    let mut couch = Server::start();
    let mut node = node_on(&couch);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| a_caller_alone(&node, 5.0));
        eventually("a recording to begin", || {
            node.tickets().into_iter().find(|t| t["state"] == "growing")
        });
        couch.kill();
        call.join().unwrap();
    });
    let failed = eventually("a delivery to fail", || {
        let tickets = node.tickets().into_iter();
        tickets
            .into_iter()
            .find(|t| !t["delivery"]["last_error"].is_null())
    });
    let why = failed["delivery"]["last_error"].to_string();
    assert!(
        why.contains("see that CouchDB runs") && !why.contains("ssword"),
        "{why}"
    );
    node.kill();
    node.launch();
    couch.launch();
    assert_eq!(node.recordings(1).len(), 1);
    eventually("the spool to be empty", || {
        node.tickets().is_empty().then_some(())
    });
}
