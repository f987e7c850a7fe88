//! Callflows that a web server serves while the caller waits: the README's app, the mission's samples, and what happens without a server.

use std::{
    net::TcpStream,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    recording::{
        a_call, a_caller_alone, a_message, a_message_is_only_the_callers,
        both_voices_are_where_they_belong, caller_sample, encoded, per_user, ring, start,
        stopped_flow,
    },
    support::{
        Reaped,
        audio::listen,
        estate::{ACCOUNT, CALLEE_USER, CALLER, Estate, NUMBER},
        eventually, free_port,
        node::Node,
        receiver::Receiver,
        root,
        sipp::{Caller, Sipp},
        web_server::WebServer,
    },
};

/// The account of `examples/acme`.
const ACME: &str = "ac3e0000000000000000000000000001";

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// A flow that asks the server, and refuses the call with 480 if that comes to nothing.
fn pivot(url: &str) -> Value {
    let otherwise = json!({"module": "response", "data": {"code": 480}, "children": {}});
    json!({"module": "pivot", "data": {"voice_url": url}, "children": {"_": otherwise}})
}

/// A node whose number asks a server that serves this flow.
fn served(flow: &Value) -> (WebServer, Node) {
    let server = WebServer::serving(flow);
    let node = Node::start(&Estate::with_flow(&pivot(&server.url())));
    (server, node)
}

/// The app of the README on another port, and its account that asks it there.
fn app() -> (Reaped, Node) {
    let port = free_port().to_string();
    let app = text("examples/pivot/app.py").replace("8090", &port);
    let child = Command::new("python3")
        .args(["-c", &app])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = Reaped(child);
    eventually("the app to listen", || {
        TcpStream::connect(format!("127.0.0.1:{port}")).ok()
    });
    let estate = Estate::example("acme", &[("127.0.0.1:8090", &format!("127.0.0.1:{port}"))]);
    (child, Node::start(&estate))
}

#[test]
fn the_readmes_app_of_ten_lines_records_a_call() {
    let app_text = text("examples/pivot/app.py");
    assert!(text("README.md").contains(&app_text), "the README shows it");
    let lines = app_text.lines().filter(|line| !line.is_empty());
    assert_eq!(lines.count(), 10);
    let (_app, node) = app();
    let heard = node.data().join("heard.wav");
    let dialled = Command::new(env!("CARGO_BIN_EXE_callreel"))
        .arg("dial")
        .arg(format!("sip:2002@{}", node.sip()))
        .args(["--user", "alice", "--password", "wonderland"])
        .args(["--realm", "acme.example", "--seconds", "4", "--save"])
        .arg(&heard)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&dialled.stderr).into_owned();
    assert!(dialled.status.success(), "{said}");
    let heard = listen(&std::fs::read(heard).unwrap());
    assert!(
        heard.loudness(0, 0.2, 3.5) > 0.01,
        "the app's words are heard"
    );
    let id = eventually("the recording to be listed", || {
        let listed = node.cli(&["recordings", "list", ACME]);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let words = listed.split_whitespace();
        let ids = words.filter(|word| word.len() == 39 && word.as_bytes()[6] == b'-');
        ids.map(str::to_owned).next()
    });
    let path = format!("/v2/accounts/{ACME}/recordings/{id}");
    let (status, audio) = node.fetch(&path, "audio/mpeg");
    assert_eq!(status, 200);
    let file = listen(&audio);
    assert!((3.5..6.0).contains(&file.seconds()), "{} s", file.seconds());
}

#[test]
fn a_served_per_user_sample_records_both_voices() {
    let receiver = Receiver::start();
    let (server, node) = served(&per_user(&receiver, "mp3"));
    let call_id = a_call(&node, 300, 2000);
    let arrival = receiver.accepted();
    let name = format!("call_recording_{}.mp3", encoded(&call_id));
    assert_eq!(arrival.path, format!("/{ACCOUNT}/{CALLEE_USER}/{name}"));
    both_voices_are_where_they_belong(&listen(&arrival.body), 0.3, 2.0);
    let asked = server.asked().remove(0);
    for words in [
        &format!("Call-ID={}", encoded(&call_id)),
        "From=alice",
        "Request=2000",
    ] {
        assert!(asked.contains(words), "{words}: {asked}");
    }
}

#[test]
fn a_served_caller_sample_speaks_beeps_and_records_only_the_caller() {
    let receiver = Receiver::start();
    let (_server, node) = served(&caller_sample(&receiver, "wav"));
    let (heard, spoken_s) = a_message(&node);
    a_message_is_only_the_callers(&heard, spoken_s, &receiver.accepted(), "wav");
}

#[test]
fn served_samples_start_and_stop_a_recording() {
    let receiver = Receiver::start();
    let (_server, node) = served(&stopped_flow(&receiver.url("/r"), "wav"));
    a_caller_alone(&node, 10.0);
    let seconds = listen(&receiver.accepted().body).seconds();
    assert!((seconds - 2.0).abs() < 0.1, "{seconds} s");
    let (_server, node) = served(&start(&receiver.url("/s"), "mp3", ring(CALLEE_USER)));
    a_call(&node, 300, 1000);
    let arrival = receiver.accepted_all(2).remove(1);
    both_voices_are_where_they_belong(&listen(&arrival.body), 0.3, 1.0);
}

/// A caller who is refused with this code.
fn is_refused(node: &Node, code: u16) {
    let phone = Sipp::new(CALLER, node.sip());
    phone.register();
    let scenario = Caller::dials(NUMBER).refused(NUMBER, code).scenario();
    phone.run("call", &scenario).completed();
}

#[test]
fn without_its_server_a_flow_goes_on_and_the_log_says_why() {
    let nobody = format!("http://127.0.0.1:{}/flow", free_port());
    let node = Node::start(&Estate::with_flow(&pivot(&nobody)));
    is_refused(&node, 480);
    assert!(node.log().contains("going on at"), "the log says why");
}

#[test]
fn a_callflow_that_is_imported_into_a_running_node_is_followed_within_seconds() {
    let response =
        |code: u16| json!({"module": "response", "data": {"code": code}, "children": {}});
    let estate = Estate::with_flow(&response(486));
    let node = Node::start(&estate);
    is_refused(&node, 486);
    estate.flow(NUMBER, &response(503));
    let import = node.cli(&["import", estate.path().to_str().unwrap()]);
    assert!(import.status.success());
    // What was read is remembered for three seconds.
    std::thread::park_timeout(std::time::Duration::from_secs(4));
    is_refused(&node, 503);
}
