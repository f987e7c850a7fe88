//! Who may reach what: every route for every kind of caller, and where tokens come from.

use std::time::Duration;

use axum::{body::Body, http::StatusCode};
use callreel_api::{ApiConfig, Auth, Grant, Scopes, Tokens};
use callreel_proto::{AccountDb, AccountId, Secret, Utc};
use callreel_store::ACCOUNTS;
use serde_json::{Value, json};

use crate::{
    deliveries::ended_of,
    world::{ACCOUNT, Answer, World},
};

const ADMIN: &str = "0123456789abcdef0123456789abcdef";
/// An account below [`ACCOUNT`], and one that is none of its business.
const BELOW: &str = "b0cd0123456789abcdef0123456789ab";
const OTHER: &str = "0bcd0123456789abcdef0123456789ab";
/// Of `mary:s3cret`.
const MARY_MD5: &str = "09c21de969766d907875b7e0a979b46f";
const MARY_SHA1: &str = "99ea5fe3ee58aa56b82484dbad8cd07470150e95";
const CALLERS: [&str; 6] = ["nobody", "wrong", "expired", "own", "other", "admin"];

pub(crate) async fn guarded() -> World {
    let world = World::with(ApiConfig {
        auth: Auth::On,
        admin_token: Some(Secret::new(ADMIN)),
        ..ApiConfig::default()
    })
    .await;
    for (id, tree, name) in [
        (BELOW, json!([ACCOUNT]), "Below Ltd."),
        (OTHER, json!([]), "Other"),
    ] {
        let doc = json!({
            "_id": id, "pvt_type": "account", "pvt_tree": tree, "name": name,
            "realm": format!("{id}.example.com"), "pvt_api_key": format!("key-of-{id}"),
        });
        world.store.put(ACCOUNTS, doc).await.unwrap();
    }
    world
}

pub(crate) fn grant(account: &str, expires: Option<Utc>) -> Grant {
    Grant {
        account: AccountId::parse(account).unwrap(),
        owner: None,
        name: "quality desk".to_owned(),
        expires,
        scopes: Scopes::All,
    }
}

/// What a caller shows who asks for something of `account`; `None` is nothing at all.
pub(crate) async fn token(world: &World, caller: &str, account: &str) -> Option<String> {
    let tokens = Tokens::new(world.store.clone());
    let other = if account == OTHER { ACCOUNT } else { OTHER };
    let of = match caller {
        "nobody" => return None,
        "wrong" => return Some("f".repeat(64)),
        "admin" => return Some(ADMIN.to_owned()),
        "expired" => grant(account, Some(Utc::now().plus_ms(-1000))),
        "own" => grant(account, None),
        "above" => grant(ACCOUNT, None),
        "other" => grant(other, None),
        caller => panic!("{caller}"),
    };
    Some(tokens.issue(&of).await.unwrap().reveal().to_owned())
}

pub(crate) async fn ask(world: &World, method: &str, uri: &str, token: Option<&str>) -> Answer {
    let headers: Vec<_> = token.map(|t| ("x-auth-token", t)).into_iter().collect();
    world.call(method, uri, &headers).await
}

/// Every route that is an account's, with one of its recordings.
fn routes_of(account: &str, recording: &str) -> Vec<(&'static str, String)> {
    let path = |rest: &str| format!("/v2/accounts/{account}/{rest}");
    let one = format!("recordings/{recording}");
    vec![
        ("GET", path("recordings")),
        ("GET", path(&one)),
        ("HEAD", path(&one)),
        ("GET", path("users/u1/recordings")),
        ("GET", path(&format!("users/u1/{one}"))),
        ("GET", path("channels")),
        ("GET", path("channels/c%40h")),
        ("PUT", path("channels/c%40h")),
        ("POST", path("channels/c%40h")),
        ("GET", path("users/u1/channels")),
        ("GET", path("pivot/debug")),
        ("GET", path("devices/d1/channels")),
        ("PUT", path(&format!("{one}/hold"))),
        ("DELETE", path(&format!("{one}/hold"))),
        ("DELETE", path(&format!("users/u1/{one}"))),
        ("DELETE", path(&one)),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_route_of_an_account_lets_in_those_it_should() {
    let world = guarded().await;
    let recording = "202611-0123456789abcdef0123456789abcdef";
    for account in [ACCOUNT, BELOW] {
        for (method, uri) in routes_of(account, recording) {
            for caller in CALLERS.into_iter().chain(["above"]) {
                let token = token(&world, caller, account).await;
                let answer = ask(&world, method, &uri, token.as_deref()).await;
                let status = answer.status.as_u16();
                let what = format!("{method} {uri} by {caller}: {status}");
                match caller {
                    "nobody" | "wrong" | "expired" => {
                        assert_eq!(status, 401, "{what}");
                        assert!(answer.header("www-authenticate").contains("X-Auth-Token"));
                    }
                    "other" => assert_eq!(status, 403, "{what}"),
                    _ => assert!(!matches!(status, 401 | 403 | 405 | 429 | 500), "{what}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn an_account_sees_what_is_owed_to_it_and_nothing_else() {
    let (world, [own, below, other]) = owing().await;
    let id = |ticket: &callreel_spool::Ticket| ticket.recording_id().to_string();
    for (caller, query, status, listed) in [
        ("nobody", "", 401, vec![]),
        ("wrong", "", 401, vec![]),
        ("expired", "", 401, vec![]),
        ("own", "", 200, vec![id(&own)]),
        (
            "own",
            "?account_id=b0cd0123456789abcdef0123456789ab",
            200,
            vec![id(&below)],
        ),
        (
            "own",
            "?account_id=0bcd0123456789abcdef0123456789ab",
            403,
            vec![],
        ),
        ("own", "?account_id=x", 404, vec![]),
        ("other", "", 200, vec![id(&other)]),
        (
            "admin",
            "?account_id=0bcd0123456789abcdef0123456789ab",
            200,
            vec![id(&other)],
        ),
    ] {
        let token = token(&world, caller, ACCOUNT).await;
        let answer = ask(
            &world,
            "GET",
            &format!("/deliveries{query}"),
            token.as_deref(),
        )
        .await;
        assert_eq!(answer.status, status, "{caller} {query}");
        if status == 200 {
            assert_eq!(answer.ids(), listed, "{caller} {query}");
        }
    }
    let all = ask(&world, "GET", "/deliveries", Some(ADMIN)).await;
    assert_eq!(all.ids().len(), 3);
}

/// A world that owes a recording to each account, and these.
async fn owing() -> (World, [callreel_spool::Ticket; 3]) {
    let world = guarded().await;
    let tickets = [ACCOUNT, BELOW, OTHER].map(|account| ended_of(account, 1000));
    for ticket in &tickets {
        world.owe(ticket);
    }
    (world, tickets)
}

#[tokio::test]
async fn many_are_tried_again_of_the_callers_own_only() {
    let (world, _) = owing().await;
    for (caller, status, ordered) in [
        ("nobody", 401, 0),
        ("wrong", 401, 0),
        ("expired", 401, 0),
        ("own", 202, 1),
        ("other", 202, 1),
        ("admin", 202, 3),
    ] {
        let token = token(&world, caller, ACCOUNT).await;
        let answer = ask(&world, "POST", "/deliveries/retry", token.as_deref()).await;
        assert_eq!(answer.status, status, "{caller}");
        if status == 202 {
            assert_eq!(answer.json()["data"]["ordered"], ordered, "{caller}");
        }
    }
    for (caller, status) in [("nobody", 401), ("own", 403), ("admin", 200)] {
        let token = token(&world, caller, ACCOUNT).await;
        let answer = ask(&world, "GET", "/deliveries/receivers", token.as_deref()).await;
        assert_eq!(answer.status, status, "{caller}");
    }
}

#[tokio::test]
async fn one_that_is_owed_is_shown_to_and_ordered_by_those_it_is_owed_to() {
    let (world, [own, below, other]) = owing().await;
    for (method, path) in [("GET", ""), ("POST", "/retry"), ("POST", "/drop")] {
        for (caller, ticket, refused) in [
            ("nobody", &own, Some(401)),
            ("wrong", &own, Some(401)),
            ("expired", &own, Some(401)),
            ("own", &own, None),
            ("own", &below, None),
            ("own", &other, Some(404)),
            ("other", &own, Some(404)),
            ("admin", &other, None),
        ] {
            let token = token(&world, caller, ACCOUNT).await;
            let uri = format!("/deliveries/{}{path}", ticket.recording_id());
            let status = ask(&world, method, &uri, token.as_deref()).await.status;
            let expected = refused.unwrap_or(if method == "GET" { 200 } else { 202 });
            assert_eq!(status, expected, "{method} {uri} by {caller}");
        }
    }
}

#[tokio::test]
async fn whoever_restarts_the_node_needs_no_token() {
    let world = guarded().await;
    for uri in ["/healthz", "/readyz"] {
        assert_eq!(world.get(uri).await.status, 200, "{uri}");
    }
}

#[tokio::test]
async fn where_no_token_is_asked_for_a_wrong_one_is_still_refused() {
    let world = World::new().await;
    let uri = format!("/v2/accounts/{ACCOUNT}/recordings");
    assert_eq!(world.get(&uri).await.status, 200);
    for wrong in ["", "x", ADMIN, &"0".repeat(64)] {
        let refused = ask(&world, "GET", &uri, Some(wrong)).await;
        assert_eq!(refused.status, 401, "{wrong:?}");
        assert_eq!(refused.json()["message"], "invalid_credentials");
    }
    let below = format!("/v2/accounts/{OTHER}/recordings");
    let own = token(&world, "own", ACCOUNT).await;
    assert_eq!(ask(&world, "GET", &below, own.as_deref()).await.status, 403);
    let in_query = format!("{uri}?auth_token={}", own.unwrap());
    assert_eq!(world.get(&in_query).await.status, 200);
    assert_eq!(world.get(&format!("{uri}?auth_token=x")).await.status, 401);
}

#[tokio::test]
async fn a_token_ends_with_its_time_its_account_its_user_and_at_an_order() {
    let world = guarded().await;
    let db = AccountDb::name(&AccountId::parse(ACCOUNT).unwrap());
    let uri = format!("/v2/accounts/{ACCOUNT}/recordings");
    let tokens = Tokens::new(world.store.clone());
    let of_user = Grant {
        owner: Some("u1".to_owned()),
        ..grant(ACCOUNT, None)
    };
    for end in ["revoke", "user", "account"] {
        let token = tokens.issue(&of_user).await.unwrap();
        let token = Some(token.reveal());
        match end {
            "revoke" => {
                let listed = tokens.list().await.unwrap();
                assert_eq!(listed.len(), 1);
                assert_eq!(
                    tokens.revoke("0").await.unwrap(),
                    None,
                    "too short to name one"
                );
                tokens.revoke(&listed[0].id[..12]).await.unwrap().unwrap();
            }
            "user" => {
                let off = json!({"_id": "u1", "pvt_type": "user", "enabled": false});
                world.store.save(&db, off).await.unwrap();
                assert_eq!(ask(&world, "GET", &uri, token).await.status, 401, "{end}");
                let on = json!({"_id": "u1", "pvt_type": "user"});
                world.store.save(&db, on).await.unwrap();
                assert_eq!(ask(&world, "GET", &uri, token).await.status, 200, "{end}");
                continue;
            }
            _ => {
                world.store.soft_delete(ACCOUNTS, ACCOUNT).await.unwrap();
            }
        }
        assert_eq!(ask(&world, "GET", &uri, token).await.status, 401, "{end}");
    }
    let over = grant(OTHER, Some(Utc::now().plus_ms(-1000)));
    tokens.issue(&over).await.unwrap();
    assert_eq!(tokens.sweep(Utc::now()).await.unwrap(), 1);
    assert!(
        tokens
            .list()
            .await
            .unwrap()
            .iter()
            .all(|t| t.grant.expires.is_none())
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_is_let_in_for_a_few_seconds_at_most() {
    let world = guarded().await;
    let uri = format!("/v2/accounts/{ACCOUNT}/recordings");
    let token = token(&world, "own", ACCOUNT).await;
    assert_eq!(ask(&world, "GET", &uri, token.as_deref()).await.status, 200);
    let tokens = Tokens::new(world.store.clone());
    let id = tokens.list().await.unwrap()[0].id.clone();
    tokens.revoke(&id).await.unwrap().unwrap();
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(ask(&world, "GET", &uri, token.as_deref()).await.status, 401);
}

#[tokio::test]
async fn the_store_keeps_no_token_that_could_be_shown() {
    let world = guarded().await;
    let token = token(&world, "own", ACCOUNT).await.unwrap();
    let id = Tokens::new(world.store.clone()).list().await.unwrap()[0]
        .id
        .clone();
    let kept = world.store.get("token_auth", &id).await.unwrap().unwrap();
    assert!(!kept.to_string().contains(&token));
    assert_eq!(
        ask(&world, "GET", "/deliveries", Some(&id)).await.status,
        401
    );
}

async fn put(world: &World, path: &str, data: Value) -> Answer {
    let body = Body::from(json!({"data": data}).to_string());
    world.call_with("PUT", path, &[], body).await
}

#[tokio::test]
async fn an_api_key_gives_a_token_of_its_account() {
    let world = guarded().await;
    let key = json!({"api_key": format!("key-of-{OTHER}")});
    let answer = put(&world, "/v2/api_auth", key).await;
    assert_eq!(answer.status, 201);
    let body = answer.json();
    assert_eq!(body["data"]["account_id"], OTHER);
    let token = body["auth_token"].as_str();
    for (account, status) in [(OTHER, 200), (ACCOUNT, 403)] {
        let uri = format!("/v2/accounts/{account}/recordings");
        assert_eq!(ask(&world, "GET", &uri, token).await.status, status);
    }
    for (data, status) in [
        (json!({"api_key": "key-of-nobody"}), 401),
        (json!({"api_key": ""}), 400),
        (json!({"api_key": 7}), 400),
        (Value::Null, 400),
    ] {
        let answer = put(&world, "/v2/api_auth", data.clone()).await;
        assert_eq!(answer.status, status, "{data}");
    }
}

#[tokio::test]
async fn a_users_password_gives_a_token_in_every_way_crossbar_knows() {
    let world = guarded().await;
    let (md5, sha1) = (MARY_MD5, MARY_SHA1);
    let db = AccountDb::name(&AccountId::parse(BELOW).unwrap());
    let user = json!({
        "_id": "mary-id", "pvt_type": "user", "username": "mary",
        "pvt_md5_auth": md5, "pvt_sha1_auth": sha1,
    });
    world.store.put(&db, user).await.unwrap();
    let number = json!({"_id": "+14155550100", "pvt_assigned_to": BELOW});
    world.store.put("numbers/+1415", number).await.unwrap();
    let realm = format!("{BELOW}.Example.com");
    for (data, status) in [
        (
            json!({"credentials": md5, "account_name": "below ltd"}),
            201,
        ),
        (
            json!({"credentials": md5, "method": "md5", "account_realm": realm}),
            201,
        ),
        (
            json!({"credentials": sha1, "method": "sha", "realm": realm}),
            201,
        ),
        (
            json!({"credentials": md5, "phone_number": "+14155550100"}),
            201,
        ),
        (
            json!({"credentials": md5, "phone_number": "+14155550101"}),
            401,
        ),
        (json!({"credentials": md5, "phone_number": "../x"}), 400),
        (json!({"credentials": md5, "account_name": "Other"}), 401),
        (
            json!({"credentials": md5, "method": "sha", "realm": realm}),
            401,
        ),
        (
            json!({"credentials": md5, "method": "sha3", "realm": realm}),
            400,
        ),
        (json!({"credentials": md5}), 400),
        (json!({"account_name": "Other"}), 400),
    ] {
        let answer = put(&world, "/v2/user_auth", data.clone()).await;
        assert_eq!(answer.status, status, "{data}");
        let body = answer.json();
        if status == 201 {
            assert_eq!(body["data"]["account_id"], BELOW);
            assert_eq!(body["data"]["owner_id"], "mary-id");
            assert_eq!(body["auth_token"].as_str().unwrap().len(), 64);
        }
    }
}

#[tokio::test]
async fn whoever_guesses_is_told_to_wait_and_so_are_those_beside_him() {
    let world = guarded().await;
    let guess = json!({"api_key": "guess"});
    let mut answers = Vec::new();
    for _ in 0..11 {
        answers.push(put(&world, "/v2/api_auth", guess.clone()).await);
    }
    let last = answers.pop().unwrap();
    assert!(answers.iter().all(|answer| answer.status == 401));
    assert_eq!(last.status, 429);
    assert_eq!(last.json()["message"], "too_many_requests");
    let wait: u64 = last.header("retry-after").parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    let right = json!({"api_key": format!("key-of-{OTHER}")});
    assert_eq!(put(&world, "/v2/api_auth", right).await.status, 429);
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_ask_again() {
    let world = World::with(ApiConfig {
        requests_per_second: 2,
        ..ApiConfig::default()
    });
    let world = world.await;
    let mut answer = world.get("/healthz").await;
    for _ in 1..10 {
        assert_eq!(answer.status, StatusCode::OK);
        answer = world.get("/healthz").await;
    }
    assert_eq!(answer.status, StatusCode::OK, "ten at once are let in");
    let refused = world.get("/nothing/there").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.message().contains("api.requests_per_second"));
}
