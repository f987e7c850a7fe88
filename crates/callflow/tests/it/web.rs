//! Flows that ask and tell web servers: `pivot`, `webhook`, and flows that other applications bring.

use callreel_callflow::web::{PivotRequest, Verb};
use callreel_callflow::{Answer, Effect, Input, Query, Recorded, lint};
use callreel_proto::{EndReason, EventName};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Talk, sample};

fn sleep(seconds: u64) -> Value {
    json!({"module": "sleep", "data": {"duration": seconds}})
}

fn pivot(mut data: Value) -> Value {
    if data.get("voice_url").is_none() {
        data["voice_url"] = json!("https://user:pw@ivr.test/in?key=s3cret");
    }
    json!({"module": "pivot", "data": data, "children": {"_": sleep(9)}})
}

/// What the server would be asked.
fn asked(talk: &mut Talk) -> PivotRequest {
    let effects = talk.last.take().expect("something was heard").effects;
    let asked = effects.into_iter().find_map(|effect| match effect {
        Effect::Lookup(Query::Pivot(pivot)) => Some(*pivot),
        _ => None,
    });
    asked.unwrap_or_else(|| panic!("nobody was asked:\n{}", talk.text()))
}

#[test]
fn a_served_flow_runs_in_the_place_of_this_one() {
    let mut talk = Talk::through(&pivot(json!({})));
    talk.found(0.2, Answer::Flow(sleep(1)));
    assert_eq!(talk.position().unwrap().pointer, "pivot-1#");
    talk.tick(1.2);
    assert_snapshot!(talk.text());
}

#[test]
fn a_server_that_serves_nothing_to_run_is_passed_by_and_the_warning_says_why() {
    for (answer, why) in [
        (
            Answer::Failed("it answered 503".to_owned()),
            "it answered 503; going on at \"_\"",
        ),
        (
            Answer::Flow(json!([])),
            "the server's answer cannot be run: the callflow is malformed at pivot-1#",
        ),
        (
            Answer::Flow(Value::Null),
            "the server's answer cannot be run",
        ),
        (
            Answer::Flow(json!({"flow": "?"})),
            "an action is an object, not a string",
        ),
        (Answer::Missing, "nothing was asked"),
    ] {
        let mut talk = Talk::through(&pivot(json!({})));
        talk.found(0.2, answer);
        assert_eq!(talk.position().unwrap().pointer, "/children/_");
        let text = talk.text();
        assert!(
            text.contains("warn at /data/voice_url") && text.contains(why),
            "{text}"
        );
        assert!(!text.contains("s3cret") && !text.contains("pw"), "{text}");
    }
}

#[test]
fn a_served_flow_is_read_leniently() {
    let mut talk = Talk::through(&pivot(json!({})));
    let served =
        json!({"module": "crystal_ball", "children": {"module": "sleep", "data": {"duration": 3}}});
    talk.found(0.2, Answer::Flow(served));
    assert_eq!(talk.position().unwrap().pointer, "pivot-1#/children");
    for name in ["1-start", "2-stop", "3-per-user", "4-caller"] {
        let mut talk = Talk::through(&pivot(json!({})));
        talk.found(0.2, Answer::Flow(sample(name)));
        assert!(
            !talk.text().contains("cannot be run"),
            "{name}:\n{}",
            talk.text()
        );
        let at = talk.position().map(|at| at.pointer).unwrap_or_default();
        assert!(!at.starts_with('/'), "{name} is at {at}");
    }
}

#[test]
fn servers_that_serve_each_other_come_to_an_end() {
    let mut talk = Talk::through(&pivot(json!({})));
    for nth in 0..50 {
        talk.found(f64::from(nth), Answer::Flow(pivot(json!({}))));
        assert!(talk.position().is_some());
    }
    talk.found(60.0, Answer::Flow(pivot(json!({}))));
    assert_eq!(talk.position(), None);
    assert!(
        talk.text().contains("branches at most 50 times"),
        "{}",
        talk.text()
    );
}

#[test]
fn whom_nobody_can_ask_is_not_asked() {
    for (data, why) in [
        (json!({"voice_url": ""}), "no server is named"),
        (
            json!({"voice_url": "ftp://ivr.test/"}),
            "must be http or https, not ftp",
        ),
        (
            json!({"voice_url": "nowhere"}),
            "the \"voice_url\" cannot be read",
        ),
        (
            json!({"req_format": "twiml"}),
            "\"twiml\" is not spoken here",
        ),
    ] {
        let talk = Talk::through(&pivot(data.clone()));
        assert_eq!(talk.position().unwrap().module, "sleep", "{data}");
        assert!(talk.text().contains(why), "{}", talk.text());
    }
}

#[test]
fn how_it_is_asked_is_the_authors_to_say() {
    let data = json!({
        "method": "PoST", "req_body_format": "json", "req_timeout_ms": "800", "debug": "true",
        "cdr_url": "https://u:p@ivr.test/cdr", "custom_request_headers": {"X-Key": "s3cret", "Accept": "x", "Host": "y"},
    });
    let mut talk = Talk::through(&pivot(data));
    let pivot = asked(&mut talk);
    let request = &pivot.request;
    assert_eq!(
        (request.verb, request.patience.as_millis()),
        (Verb::Post, 800)
    );
    assert!(
        request
            .body()
            .unwrap()
            .starts_with("{\"Call-ID\":\"a-leg\"")
    );
    assert_eq!(request.headers.keys().collect::<Vec<_>>(), ["X-Key"]);
    assert!(pivot.debug && pivot.iteration == 1);
    assert_eq!(pivot.cdr_url.unwrap().to_string(), "https://ivr.test/cdr");
    assert!(
        talk.text()
            .contains("Accept is left out: such headers begin with X-"),
        "{}",
        talk.text()
    );
    assert!(!talk.text().contains("s3cret"), "{}", talk.text());
}

#[test]
fn what_makes_no_sense_is_replaced_with_a_warning() {
    let data = json!({"method": "put", "req_body_format": "xml", "req_timeout_ms": 60_000, "cdr_url": "gopher://h"});
    let mut talk = Talk::through(&pivot(data));
    let pivot = asked(&mut talk);
    assert_eq!(
        (pivot.request.verb, pivot.request.patience.as_millis()),
        (Verb::Get, 5000)
    );
    assert_eq!(pivot.cdr_url, None);
    for why in [
        "neither get nor post",
        "neither form nor json",
        "1 to 5000 ms",
        "not gopher",
    ] {
        assert!(talk.text().contains(why), "{why}:\n{}", talk.text());
    }
}

#[test]
fn the_server_is_told_of_the_call_in_kazoos_words() {
    let record = json!({"module": "record_call", "data": {"action": "start", "url": "http://r.test"}, "children": {"_": sleep(1)}});
    let collect = |children: Value| json!({"module": "collect_dtmf", "data": {"collection_name": "pin", "max_digits": 2}, "children": {"_": children}});
    let mut flow = record;
    flow["children"]["_"]["children"] = json!({"_": collect(pivot(json!({"method": "get"})))});
    let mut talk = Talk::with(&flow, |call, _| {
        call.from = "1000@acme.test".to_owned();
        call.to = "2000@acme.test".to_owned();
        call.request = "2000@acme.test".to_owned();
        call.owner_id = Some("alice".to_owned());
        call.language = Some("sv-se".to_owned());
        call.application_vars = json!({"step": "1", "cart": {"n": 2}})
            .as_object()
            .unwrap()
            .clone();
        call.sip_headers = json!({"X-Site": "north & south"})
            .as_object()
            .unwrap()
            .clone();
    });
    let (id, url) = (
        "202611-ab".to_owned(),
        Some("http://r.test/x.mp3".to_owned()),
    );
    talk.hear(
        0.5,
        Input::Recorded(Recorded {
            id,
            url,
            length_ms: 4200,
        }),
    );
    talk.recorded(0.5, 1, EndReason::Stopped, 4200);
    talk.tick(1.0);
    talk.done(1.0, "answer");
    talk.marked(1.0, 1);
    talk.key(1.1, "4");
    talk.key(1.2, "2");
    let told = asked(&mut talk).request.shown();
    assert_snapshot!(told.replace('&', "\n&"));
}

#[test]
fn another_application_may_replace_the_flow_at_any_time() {
    let event = |talk: &mut Talk, flow: &str| {
        talk.event(2.0, EventName::ChannelPivot, |event| {
            event.application_data = Some(flow.to_owned());
        });
    };
    let mut talk = Talk::through(&sleep(60));
    event(&mut talk, &sleep(1).to_string());
    assert_eq!(talk.position().unwrap().pointer, "CHANNEL_PIVOT#");
    talk.tick(3.0);
    assert_snapshot!(talk.text());
    for bad in ["", "{", "[]", "null", "{\"flow\": 1}"] {
        let mut talk = Talk::through(&sleep(60));
        event(&mut talk, bad);
        assert_eq!(talk.position().unwrap().pointer, "");
        assert!(talk.text().contains("this one goes on"), "{}", talk.text());
    }
}

#[test]
fn a_webhook_is_told_beside_the_flow() {
    let data = json!({"uri": "https://u:p@crm.test/calls?key=s3cret", "retries": 50, "custom_data": {"queue": "sales", "call_id": "mine"}});
    let flow = json!({"module": "webhook", "data": data, "children": {"_": sleep(9)}});
    let mut talk = Talk::with(&flow, |call, _| call.from = "1000@acme.test".to_owned());
    assert_eq!(talk.position().unwrap().module, "sleep");
    assert_snapshot!(talk.text());
    let effects = talk.last.take().unwrap().effects;
    let told = effects.into_iter().find_map(|effect| match effect {
        Effect::Webhook { request, tries } => Some((request, tries)),
        _ => None,
    });
    let (request, tries) = told.unwrap();
    assert_eq!((request.verb, tries), (Verb::Post, 11));
    let body = request.body().unwrap();
    assert!(
        body.starts_with("queue=sales&call_id=a-leg&hook_event=callflow&account_id=0123"),
        "{body}"
    );
    assert!(
        body.contains("&from=1000%40acme.test&from_user=1000&from_realm=acme.test&"),
        "{body}"
    );
    assert_eq!(request.headers["X-Account-ID"].len(), 32);
}

#[test]
fn a_webhook_without_a_server_is_passed_by() {
    for (data, why) in [
        (json!({}), "no server is named"),
        (json!({"uri": "mailto:a@b"}), "must be http or https"),
    ] {
        let talk =
            Talk::through(&json!({"module": "webhook", "data": data, "children": {"_": sleep(9)}}));
        assert_eq!(talk.position().unwrap().module, "sleep");
        assert!(talk.text().contains(why), "{}", talk.text());
    }
}

#[test]
fn the_linter_knows_both() {
    let flow = pivot(json!({"req_timeout_ms": 9000, "method": "put"}));
    let found: Vec<_> = lint::check(&flow, false)
        .into_iter()
        .map(|p| p.pointer)
        .collect();
    assert_eq!(found, ["/data/req_timeout_ms", "/data/method"]);
    for (module, key) in [
        ("pivot", "voice_url"),
        ("pivot", "cdr_url"),
        ("webhook", "uri"),
    ] {
        let mut data = json!({"voice_url": "http://h", "uri": "http://h"});
        data[key] = json!("ftp://h/");
        let found = lint::check(&json!({"module": module, "data": data}), false);
        let place = format!("/data/{key}");
        let said = found.iter().find(|p| p.pointer == place).unwrap();
        assert!(
            said.message.contains("http or https, not ftp"),
            "{}",
            said.message
        );
    }
}
