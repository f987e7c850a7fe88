//! Callflows that somebody is writing, checked and walked over HTTP.

use axum::body::Body;
use callreel_proto::AccountDb;
use serde_json::{Value, json};

use crate::world::{ACCOUNT, Answer, World, account};

async fn post(world: &World, verb: &str, body: impl Into<Body>) -> Answer {
    let uri = format!("/v2/accounts/{ACCOUNT}/callflows/{verb}");
    world.call_with("POST", &uri, &[], body.into()).await
}

const DRAFT: &str = r#"{"data": {"flow": {
  "module": "user",
  "data": {"id": "bob", "timeout": "20"},
  "children": {"busy": {}}
}}}"#;

#[tokio::test]
async fn a_draft_is_told_what_is_wrong_with_it_and_where() {
    let world = World::new().await;
    let answer = post(&world, "check", DRAFT).await;
    assert_eq!(answer.status, 200);
    let data = &answer.json()["data"];
    let found: Vec<_> = data["problems"].as_array().unwrap().iter().collect();
    let told = |p: &Value| {
        (
            p["severity"].clone(),
            p["pointer"].clone(),
            p["line"].clone(),
        )
    };
    let expected = [
        (json!("warning"), json!("/flow/data/timeout"), json!(3)),
        (json!("warning"), json!("/flow/children/busy"), json!(4)),
        (json!("warning"), json!("/flow/data/id"), json!(3)),
    ];
    assert_eq!(found.into_iter().map(told).collect::<Vec<_>>(), expected);
    let report = data["report"].as_str().unwrap();
    assert!(report.contains("callflow:3:25"), "{report}");
    assert!(report.contains("there is no user \"bob\""), "{report}");
    let strict = post(&world, "check?strict=true", DRAFT).await.json();
    assert_eq!(strict["data"]["problems"][0]["severity"], "error");
}

#[tokio::test]
async fn a_draft_is_walked_with_the_documents_of_its_account_and_a_script() {
    let world = World::new().await;
    let other = json!({"_id": "other", "pvt_type": "callflow", "flow": {"module": "device", "data": {"id": "desk"}}});
    let db = AccountDb::name(&account());
    world.store.put(&db, other).await.unwrap();
    let draft = json!({
        "data": {"module": "callflow", "data": {"id": "other"}},
        "script": "3s busy\n"
    });
    let answer = post(&world, "explain", draft.to_string()).await;
    assert_eq!(answer.status, 200);
    let talk = answer.json()["data"]["talk"].as_str().unwrap().to_owned();
    assert!(talk.contains("at device other#/flow"), "{talk}");
    assert!(
        talk.contains("3s > CHANNEL_EXECUTE_COMPLETE bridge USER_BUSY"),
        "{talk}"
    );
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused_in_words() {
    let world = World::new().await;
    for (verb, body, words) in [
        ("check", "{\"flow\": ", "line 1, column"),
        (
            "explain",
            "{\"data\": {\"module\": \"hangup\"}, \"script\": \"1s dance\"}",
            "line 1 of the script",
        ),
        ("explain", "{\"data\": {}}", "a callflow needs one"),
    ] {
        let answer = post(&world, verb, body).await;
        assert_eq!(answer.status, 400, "{body}");
        let message = answer.json()["data"]["message"].to_string();
        assert!(message.contains(words), "{message}");
    }
    let large = format!("{{\"flow\": \"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(post(&world, "check", large).await.status, 413);
}
