//! What strangers can write into a callflow, a redirect, a name server or a Call-ID reaches nothing that only this machine
//! may reach, and becomes nobody else's header.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    estate::{CALLER, Estate, NUMBER},
    eventually,
    node::Node,
    raw::Raw,
    receiver::Receiver,
    sipp::{Caller, Sipp},
};

const SETTINGS: &str =
    "[delivery]\nallow_networks = [\"127.0.0.1/32\"]\nbackoff_first_s = 1\nbackoff_max_s = 1\n";
const NOBODY: &str = "[delivery]\nbackoff_first_s = 1\nbackoff_max_s = 1\n";

/// One call that is recorded as often as there are data, for a second.
pub(crate) fn recorded(all: &[Value]) -> Estate {
    let sleep = json!({"module": "sleep", "data": {"duration": 1}, "children": {}});
    let flow = all.iter().rfold(sleep, |next, data| {
        let mut data = data.clone();
        data["action"] = "start".into();
        json!({"module": "record_call", "data": data, "children": {"_": next}})
    });
    Estate::with_flow(&json!({"module": "answer", "data": {}, "children": {"_": flow}}))
}

/// Waits until each recording has failed; gives each ticket's URL and the reason.
fn failures(node: &Node, count: usize) -> Vec<(String, String)> {
    eventually(&format!("{count} failed tries"), || {
        let tickets = node.tickets().into_iter();
        let failed: Vec<_> = tickets
            .filter_map(|t| {
                let why = t["delivery"]["last_error"].as_str()?.to_owned();
                Some((t["destination"]["url"].to_string(), why))
            })
            .collect();
        (failed.len() >= count).then_some(failed)
    })
}

/// The names this machine has in the test, and where each leads.
const NAMES: [(&str, &str); 6] = [
    ("loopback.test", "127.0.0.1"),
    ("loopback6.test", "::1"),
    ("mapped.test", "::ffff:127.0.0.1"),
    ("nowhere.test", "0.0.0.0"),
    ("metadata.test", "169.254.169.254"),
    ("link.test", "fe80::1"),
];

#[test]
fn names_that_lead_to_where_only_this_machine_may_go_are_refused_until_the_operator_allows_it() {
    let receiver = Receiver::start();
    let port = receiver.address().port();
    let to = NAMES.map(|(name, _)| json!({"url": format!("http://{name}:{port}/{name}")}));
    let mut node = Node::asleep(&recorded(&to), NOBODY);
    let lines = NAMES.map(|(name, address)| format!("{address} {name}\n"));
    let _names = node.with_names(&lines.concat());
    node.launch();
    Sipp::calls(node.sip(), 1000.0);
    for (url, why) in failures(&node, NAMES.len()) {
        assert!(why.contains("delivery.allow_networks"), "{url}: {why}");
    }
    assert!(receiver.arrivals().is_empty(), "nobody was called");
    node.kill();
    node.set_env("CALLREEL_DELIVERY_ALLOW_NETWORKS", "[\"127.0.0.1/32\"]");
    node.launch();
    let arrived = receiver.accepted_all(2);
    let arrived: Vec<_> = arrived
        .iter()
        .map(|a| &a.path[..a.path.rfind('/').unwrap()])
        .collect();
    assert!(arrived.contains(&"/loopback.test"), "{arrived:?}");
    assert!(
        arrived
            .iter()
            .all(|at| ["/loopback.test", "/mapped.test"].contains(at)),
        "{arrived:?}"
    );
}

#[test]
fn redirects_lead_nowhere_that_a_url_may_not() {
    let secret = Raw::start("127.0.0.2", |_| "200 OK".to_owned());
    let port = secret.address().port();
    let places = [
        (
            format!("http://127.0.0.2:{port}/x"),
            "delivery.allow_networks",
        ),
        (
            format!("http://2130706434:{port}/x"),
            "delivery.allow_networks",
        ),
        (
            format!("http://[::ffff:127.0.0.2]:{port}/x"),
            "delivery.allow_networks",
        ),
        (
            "http://169.254.169.254/latest/meta-data".to_owned(),
            "delivery.allow_networks",
        ),
        ("file:///etc/passwd".to_owned(), "no URL of a host"),
        ("http://".to_owned(), "no URL"),
    ];
    let answers = places.clone();
    let receiver = Raw::start("127.0.0.1", move |path| {
        let nth: usize = path.split('/').nth(1).unwrap().parse().unwrap();
        format!("307 Temporary Redirect\r\nLocation: {}", answers[nth].0)
    });
    let to: Vec<_> = (0..places.len())
        .map(|n| json!({"url": format!("http://{}/{n}", receiver.address())}))
        .collect();
    let node = Node::with_settings(&recorded(&to), SETTINGS);
    Sipp::calls(node.sip(), 1000.0);
    let failed = failures(&node, places.len());
    for (nth, (place, word)) in places.iter().enumerate() {
        let from = format!("{}/{nth}/", receiver.address());
        let (_, why) = failed.iter().find(|(url, _)| url.contains(&from)).unwrap();
        assert!(why.contains(word), "{place}: {why}");
    }
    assert!(secret.heads().is_empty(), "{:?}", secret.heads());
}

/// What every request must be: its own headers, each once, and nobody else's.
fn is_clean(head: &str) {
    for line in head.lines() {
        let line = line.to_lowercase();
        assert!(!line.starts_with("x-evil"), "{head}");
        assert!(line.is_ascii() && !line.contains('\0'), "{head}");
    }
    for own in [
        "host",
        "content-length",
        "idempotency-key",
        "repr-digest",
        "user-agent",
    ] {
        let lines = head.lines().map(str::to_lowercase);
        let count = lines
            .filter(|line| line.starts_with(&format!("{own}:")))
            .count();
        assert_eq!(count, 1, "{own} in {head}");
    }
}

#[test]
fn nothing_that_a_callflow_says_becomes_a_header_of_its_own() {
    let receiver = Raw::start("127.0.0.1", |_| "200 OK".to_owned());
    let url = format!("http://{}", receiver.address());
    let long = "a".repeat(4000);
    let all = [
        json!({"url": format!("{url}/a\r\nX-Evil: 1")}),
        json!({"url": format!("{url}/b?q=\r\nX-Evil:%0d%0aX-Evil: 1")}),
        json!({"url": format!("{url}/c"), "headers": {"X-Ok": "1\r\nX-Evil: 1"}}),
        json!({"url": format!("{url}/d"), "headers": {"X-Ok\r\nX-Evil": "1", "X-Ök": "1", "": "1"}}),
        json!({"url": format!("{url}/e"), "headers": {"Host": "evil", "Content-Length": "1", "Transfer-Encoding": "chunked", "Idempotency-Key": "evil"}}),
        json!({"url": format!("{url}/f"), "media_name": "a\r\nX-Evil: 1\0"}),
        json!({"url": format!("{url}/{long}/g")}),
    ];
    let node = Node::with_settings(&recorded(&all), SETTINGS);
    Sipp::calls(node.sip(), 1000.0);
    let heads = eventually("all of them", || {
        let heads = receiver.heads();
        (heads.len() >= all.len()).then_some(heads)
    });
    heads.iter().for_each(|head| is_clean(head));
    eventually("every ticket to be settled", || {
        node.tickets().is_empty().then_some(())
    });
    for (nth, place) in ["/a", "/b", "/c", "/d", "/e", "/f"].iter().enumerate() {
        let sent = heads
            .iter()
            .any(|head| head.starts_with(&format!("PUT {place}")));
        assert!(sent, "{}: {heads:#?}", all[nth]);
    }
}

/// Call-IDs as sipp writes them: what it makes of `%`, it is told to leave alone.
const CALL_IDS: [&str; 4] = [
    "../../../etc/passwd@evil-%u",
    "a%%0d%%0aX-Evil:%%201@evil-%u",
    "a?q=1#x&y;/..//%%2e%%2e%%2f@evil-%u",
    "<>\"'`$(id)|{}[]~!*@evil-%u",
];

#[test]
fn a_call_id_stays_one_part_of_a_path() {
    let receiver = Raw::start("127.0.0.1", |_| "200 OK".to_owned());
    let to = json!({"url": format!("http://{}/in", receiver.address())});
    let node = Node::with_settings(&recorded(&[to]), SETTINGS);
    let long = format!("{}@evil-%u", "x".repeat(200));
    let call_ids: Vec<&str> = CALL_IDS.into_iter().chain([&*long]).collect();
    for call_id in &call_ids {
        let caller = Sipp::new(CALLER, node.sip());
        let stays = Caller::dials(NUMBER).answered(NUMBER).awaits_bye();
        caller
            .run_as("call", &stays.scenario(), call_id)
            .completed();
    }
    let heads = eventually("all of them", || {
        let heads = receiver.heads();
        (heads.len() >= call_ids.len()).then_some(heads)
    });
    for head in &heads {
        is_clean(head);
        let path = Path::new(head.split(' ').nth(1).unwrap());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(path.parent(), Some(Path::new("/in")), "{head}");
        assert!(
            name.starts_with("call_recording_") && name.ends_with(".mp3"),
            "{head}"
        );
    }
    eventually("every ticket to be settled", || {
        node.tickets().is_empty().then_some(())
    });
    let check = node.cli(&["check"]);
    assert!(check.status.success(), "{check:?}");
}
