//! Flows that web servers serve, and web servers that are told of calls.

use std::time::Duration;

use callreel_calls::CallsConfig;
use callreel_proto::{AccountDb, AccountId, Application, EventName, HangupCause, Utc, month_db};
use callreel_store::View;
use serde_json::{Value, json};

use crate::{
    kazoo::{Kazoo, TREES, forever},
    web::{Does, Server, answer, json as serves, redirect},
    world::{ACCOUNT, PATIENCE, World, pass},
};

fn response(code: u16) -> Value {
    json!({"module": "response", "data": {"code": code}})
}

/// Asks there, and refuses the call with 480 if that comes to nothing.
fn pivot(url: &str, more: &Value) -> Value {
    let mut data = json!({"voice_url": url});
    for (key, value) in more.as_object().unwrap() {
        data[key] = value.clone();
    }
    json!({"module": "pivot", "data": data, "children": {"_": response(480)}})
}

async fn world(flow: Value) -> World {
    let mut world = World::with_flow(flow).await;
    world.give_call().await;
    world
}

/// The code that the call is refused with.
async fn refused_with(world: &mut World) -> String {
    match world.commanded().await {
        Application::Respond { code, .. } => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_served_flow_runs_and_the_server_knows_of_the_call() {
    let mut server = Server::doing([serves(&response(486))]).await;
    let mut world = world(pivot(&server.url("/in?step=1"), &json!({}))).await;
    assert_eq!(refused_with(&mut world).await, "486");
    let head = server.asked().await.head;
    for words in [
        "GET /in?step=1&Call-ID=3e7f%4010.0.0.1&Account-ID=a0000000000000000000000000000001&From=alice&From-Realm=acme.test&",
        "&Request=2000&",
        "&Caller-ID-Number=1001",
        "user-agent: callreel/",
    ] {
        assert!(head.contains(words), "{words}: {head}");
    }
}

#[tokio::test]
async fn as_a_guest_of_kazoo_we_ask_by_ourselves() {
    for tree in TREES {
        let server = Server::doing([serves(&response(486))]).await;
        let mut kazoo = Kazoo::with_call(tree, pivot(&server.url("/in"), &json!({}))).await;
        let respond = kazoo.commanded("respond").await;
        assert_eq!(respond["Response-Code"], "486", "{respond}");
        let event = json!({"Application-Data": response(480).to_string()});
        let mut kazoo = Kazoo::with_call(tree, forever()).await;
        kazoo.event("CHANNEL_PIVOT", &event).await;
        assert_eq!(kazoo.commanded("respond").await["Response-Code"], "480");
    }
}

#[tokio::test]
async fn a_post_says_it_in_its_body_as_a_form_or_json() {
    for (format, kind, starts) in [
        (
            "form",
            "application/x-www-form-urlencoded",
            "Call-ID=3e7f%4010.0.0.1&Account-ID=",
        ),
        (
            "json",
            "application/json",
            "{\"Call-ID\":\"3e7f@10.0.0.1\",\"Account-ID\":",
        ),
    ] {
        let mut server = Server::doing([answer(
            201,
            "text/html",
            response(486).to_string().as_bytes(),
        )])
        .await;
        let data = json!({"method": "POST", "req_body_format": format, "custom_request_headers": {"X-Key": "k"}});
        let mut world = world(pivot(&server.url("/in"), &data)).await;
        assert_eq!(refused_with(&mut world).await, "486");
        let asked = server.asked().await;
        assert!(asked.head.starts_with("POST /in HTTP"), "{}", asked.head);
        assert!(
            asked.head.contains(&format!("content-type: {kind}")),
            "{}",
            asked.head
        );
        assert!(asked.head.contains("x-key: k"), "{}", asked.head);
        assert!(asked.body.starts_with(starts), "{}", asked.body);
    }
}

#[tokio::test]
async fn no_bad_answer_leaves_the_caller_in_silence() {
    let mut large = response(486).to_string().into_bytes();
    large.resize((1 << 20) + 1, b' ');
    for (what, does) in [
        ("a refusal", answer(404, "text/plain", b"no")),
        (
            "a failure",
            answer(
                500,
                "application/json",
                response(486).to_string().as_bytes(),
            ),
        ),
        ("nothing", answer(200, "application/json", b"")),
        (
            "TwiML",
            answer(200, "text/xml", b"<Response><Hangup/></Response>"),
        ),
        (
            "half of it",
            answer(200, "application/json", b"{\"module\": \"resp"),
        ),
        ("a list", serves(&json!([response(486)]))),
        ("an object without an action", serves(&json!({"data": {}}))),
        ("too much", answer(200, "application/json", &large)),
        (
            "less than was announced",
            Does::Says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}".to_vec()),
        ),
        ("no HTTP", Does::Says(b"hello\r\n\r\n".to_vec())),
        ("silence", Does::Waits),
        (
            "a redirect to nowhere",
            Does::Says(b"HTTP/1.1 302 X\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ),
        (
            "a redirect to a forbidden place",
            redirect(302, "http://169.254.169.254/latest/meta-data"),
        ),
        ("a redirect to a file", redirect(307, "file:///etc/passwd")),
    ] {
        let server = Server::doing([does]).await;
        let mut world = world(pivot(&server.url("/in"), &json!({"req_timeout_ms": 400}))).await;
        assert_eq!(refused_with(&mut world).await, "480", "{what}");
    }
}

#[tokio::test]
async fn a_forbidden_server_and_one_that_is_not_there_are_passed_by() {
    for url in [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:1/",
        "http://no-such-host.invalid/",
    ] {
        let mut world = world(pivot(url, &json!({}))).await;
        assert_eq!(refused_with(&mut world).await, "480", "{url}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_and_takes_no_secret_along() {
    let mut there = Server::doing([serves(&response(486))]).await;
    let mut here = Server::doing([redirect(307, &there.url("/moved"))]).await;
    let data = json!({"method": "post", "custom_request_headers": {"X-Key": "s3cret"}});
    let url = here.url("/in").replace("http://", "http://user:pw@");
    let mut world = world(pivot(&url, &data)).await;
    assert_eq!(refused_with(&mut world).await, "486");
    let first = here.asked().await;
    assert!(
        first.head.contains("x-key: s3cret") && first.head.contains("authorization: Basic"),
        "{}",
        first.head
    );
    let second = there.asked().await;
    assert!(
        second.head.starts_with("POST /moved HTTP"),
        "{}",
        second.head
    );
    assert_eq!(second.body, first.body);
    assert!(
        !second.head.contains("s3cret") && !second.head.contains("authorization"),
        "{}",
        second.head
    );
}

#[tokio::test]
async fn the_end_of_the_call_is_told_until_it_is_heard_whatever_flow_runs_by_then() {
    let mut cdrs = Server::doing([answer(503, "text/plain", b"")]).await;
    let answered = json!({"module": "answer", "data": {}, "children": {"_": {"module": "sleep", "data": {"duration": 60}}}});
    let server = Server::doing([serves(&answered)]).await;
    let mut world = world(pivot(
        &server.url("/in"),
        &json!({"cdr_url": cdrs.url("/cdr")}),
    ))
    .await;
    assert!(matches!(world.commanded().await, Application::Answer));
    world
        .says(EventName::ChannelDestroy, |event| {
            event.duration_s = Some(7)
        })
        .await;
    for _ in 0..2 {
        let told = cdrs.asked().await;
        assert!(told.head.starts_with("POST /cdr HTTP"), "{}", told.head);
        for words in [
            "Call-ID=3e7f%4010.0.0.1",
            "Duration-Seconds=7",
            "Hangup-Cause=NORMAL_CLEARING",
        ] {
            assert!(told.body.contains(words), "{words}: {}", told.body);
        }
        assert!(!told.body.contains("Custom-Channel-Vars"), "{}", told.body);
    }
}

#[tokio::test]
async fn the_end_is_told_of_a_call_that_another_controller_has() {
    let mut cdrs = Server::doing([]).await;
    let server = Server::doing([serves(
        &json!({"module": "sleep", "data": {"duration": 60}}),
    )])
    .await;
    let mut flow = pivot(&server.url("/in"), &json!({"cdr_url": cdrs.url("/cdr")}));
    flow["children"] = json!({});
    let world = world(flow).await;
    world
        .until(|picture| picture["calls"][0]["position"]["module"] == "sleep")
        .await;
    world
        .says(EventName::ChannelTransferee, |event| {
            event
                .custom_channel_vars
                .insert("Fetch-ID".to_owned(), json!("fetch-1"));
        })
        .await;
    world
        .until(|picture| picture["calls"][0]["over"] == true)
        .await;
    world.says(EventName::ChannelDestroy, |_| {}).await;
    assert!(
        cdrs.asked()
            .await
            .body
            .contains("Hangup-Cause=NORMAL_CLEARING")
    );
    world.until(|picture| picture["calls"] == json!([])).await;
}

#[tokio::test]
async fn what_was_said_is_kept_for_the_author_without_secrets() {
    let server = Server::doing([serves(&response(486))]).await;
    let url = server
        .url("/in?key=s3cret")
        .replace("http://", "http://user:pw-s3cret@");
    let data = json!({"debug": true, "custom_request_headers": {"X-Key": "s3cret"}});
    let mut world = world(pivot(&url, &data)).await;
    assert_eq!(refused_with(&mut world).await, "486");
    let account = AccountId::parse(ACCOUNT).unwrap();
    let db = month_db(&account, &Utc::now().year_month());
    let kept = async {
        loop {
            let view = View::OfType("pivot_debug".to_owned());
            let docs = world.store.query(&db, view).await.unwrap();
            if docs.len() == 2 {
                return docs;
            }
            tokio::task::yield_now().await;
        }
    };
    let docs = tokio::time::timeout(PATIENCE, kept).await.unwrap();
    let with = |key: &str| docs.iter().find(|doc| doc.get(key).is_some()).unwrap();
    let (request, reply) = (with("uri"), with("resp_body"));
    let place = request["uri"].as_str().unwrap();
    assert!(
        place.starts_with(&server.url("/in?key=…&Call-ID=")),
        "{place}"
    );
    assert_eq!(request["method"], "get");
    assert_eq!(request["req_headers"], json!({"x-key": "…"}));
    assert_eq!(
        (&request["call_id"], &request["iteration"]),
        (&json!("3e7f@10.0.0.1"), &json!(1))
    );
    assert_eq!(reply["resp_status_code"], "200");
    assert_eq!(reply["resp_body"], response(486).to_string());
    let all = Value::from(docs).to_string();
    assert!(!all.contains("s3cret"), "{all}");
}

#[tokio::test]
async fn a_webhook_is_told_and_the_flow_does_not_wait() {
    let mut server = Server::doing([Does::Waits]).await;
    let data = json!({"uri": server.url("/hook"), "custom_data": {"queue": "sales"}});
    let flow = json!({"module": "webhook", "data": data, "children": {"_": response(486)}});
    let mut world = world(flow).await;
    assert_eq!(refused_with(&mut world).await, "486");
    let told = server.asked().await;
    assert!(told.head.starts_with("POST /hook HTTP"), "{}", told.head);
    assert!(
        told.body
            .starts_with("queue=sales&hook_event=callflow&account_id=a0"),
        "{}",
        told.body
    );
}

#[tokio::test]
async fn a_flow_that_another_application_brings_replaces_ours() {
    let mut world = world(json!({"module": "sleep", "data": {"duration": 60}})).await;
    let flow = response(486).to_string();
    world
        .says(EventName::ChannelPivot, |event| {
            event.application_data = Some(flow)
        })
        .await;
    assert!(
        matches!(world.commanded().await, Application::Noop { .. }),
        "what is queued is flushed"
    );
    assert_eq!(refused_with(&mut world).await, "486");
}

#[tokio::test]
async fn what_always_comes_before_runs_before() {
    let db = AccountDb::name(&AccountId::parse(ACCOUNT).unwrap());
    let account = json!({"_id": ACCOUNT, "pvt_type": "account", "preflow": {"always": "before"}});
    let before =
        json!({"_id": "before", "pvt_type": "callflow", "flow": {"module": "answer", "data": {}}});
    let docs = [(db.as_str(), account), (db.as_str(), before)];
    let mut world = World::with(response(486), CallsConfig::default(), &docs).await;
    world.give_call().await;
    assert!(matches!(world.commanded().await, Application::Answer));
    world
        .says(EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("answer".to_owned());
        })
        .await;
    // It is answered by now, so that the response is its hang-up.
    let Application::Hangup { hangup_cause, .. } = world.commanded().await else {
        panic!("not hung up");
    };
    assert_eq!(hangup_cause, Some(HangupCause::UserBusy));
}

#[tokio::test]
async fn an_account_that_runs_too_much_is_stopped_and_then_left_alone() {
    let config = CallsConfig {
        flow_tokens: 3,
        flow_tokens_per_s: 0,
        ..CallsConfig::default()
    };
    let short = |then: Value| json!({"module": "sleep", "data": {"duration": 1, "unit": "ms"}, "children": {"_": then}});
    let flow = short(short(short(short(response(486)))));
    let mut world = World::with(flow, config, &[]).await;
    // One for the call, two for its first actions; the third is one too many, and the last.
    world.give_call().await;
    let hung_up = world.commanded().await;
    assert!(matches!(hung_up, Application::Hangup { .. }), "{hung_up:?}");
    world.says(EventName::ChannelDestroy, |_| {}).await;
    world.until(|picture| picture["calls"] == json!([])).await;
    world.ask("2000").await;
    pass(Duration::from_secs(2)).await;
    assert_eq!(world.calls.describe().await["calls"], json!([]), "no bid");
}
