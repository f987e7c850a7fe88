//! What is kept of Pivot servers, over HTTP.

use axum::http::StatusCode;
use callreel_proto::{AccountId, Utc, month_db, pvt_type};
use callreel_store::stamp;
use serde_json::{Value, json};

use crate::world::{ACCOUNT, World};

async fn keep(world: &World, id: &str, call_id: &str, iteration: u32, said: Value) -> String {
    let account = AccountId::parse(ACCOUNT).unwrap();
    let month = Utc::now().year_month();
    let db = month_db(&account, &month);
    let mut doc = said.as_object().unwrap().clone();
    doc.insert("_id".to_owned(), json!(id));
    doc.insert("call_id".to_owned(), json!(call_id));
    doc.insert("iteration".to_owned(), json!(iteration));
    stamp(
        &mut doc,
        pvt_type::PIVOT_DEBUG,
        &db,
        Some(&account),
        Utc::now(),
    );
    world.store.save(&db, Value::Object(doc)).await.unwrap();
    month
}

fn path(rest: &str) -> String {
    format!("/v2/accounts/{ACCOUNT}/pivot/debug{rest}")
}

#[tokio::test]
async fn the_calls_are_listed_and_one_shows_all_that_was_said_in_its_order() {
    let world = World::new().await;
    assert_eq!(world.get(&path("")).await.json()["data"], json!([]));
    let reply = |body: &str| json!({"resp_status_code": "200", "resp_body": body});
    keep(&world, "1", "a@b", 2, reply("second")).await;
    keep(&world, "2", "a@b", 1, reply("first")).await;
    keep(
        &world,
        "3",
        "a@b",
        1,
        json!({"uri": "http://h/in", "method": "get"}),
    )
    .await;
    let month = keep(&world, "4", "c@d", 1, json!({"error": "nobody answers"})).await;
    let listed = world.get(&path("")).await.json();
    let calls = listed["data"].as_array().unwrap();
    assert_eq!(calls.len(), 2, "{listed}");
    let call = calls.iter().find(|call| call["call_id"] == "a@b").unwrap();
    assert_eq!(call["uri"], "http://h/in");
    assert_eq!(call["debug_id"], format!("{month}-a@b"));
    assert_eq!((call.get("resp_body"), call.get("pvt_type")), (None, None));
    for id in ["a@b".to_owned(), format!("{month}-a@b")] {
        let one = world.get(&path(&format!("/{id}"))).await.json();
        let said: Vec<_> = one["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|doc| doc["id"].as_str().unwrap())
            .collect();
        assert_eq!(said, ["3", "2", "1"]);
    }
}

#[tokio::test]
async fn a_call_of_which_nothing_is_kept_is_not_found_and_the_answer_says_how_to_keep_it() {
    let world = World::new().await;
    let answer = world.get(&path("/nobody")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(
        answer.message().contains("\"debug\": true"),
        "{}",
        answer.message()
    );
}
