//! Calls as phones of others make them: refusals, cancellations, holds, both transports, codecs that differ.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    audio::{self, listen},
    baresip::{Baresip, Habits},
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
    free_port,
    node::Node,
    receiver::Receiver,
    sipp::{Caller, Sipp, callee_answers, callee_never_answers, callee_refuses},
};

fn recorded_user(url: &str) -> Value {
    json!({"module": "record_call", "data": {"action": "start", "format": "wav", "url": url}, "children": {"_": {
        "module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}}}})
}

fn ring_user() -> Value {
    json!({"module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}})
}

fn registered(user: &'static str, node: &Node) -> Sipp {
    let phone = Sipp::new(user, node.sip());
    phone.register();
    phone
}

#[test]
fn a_number_nobody_has_is_not_found() {
    let node = Node::start(&Estate::with_flow(&ring_user()));
    let caller = registered(CALLER, &node);
    let scenario = Caller::dials("7777").refused("7777", 404).scenario();
    caller.run("call", &scenario).completed();
}

#[test]
fn a_busy_callee_is_reported_as_busy() {
    let node = Node::start(&Estate::with_flow(&ring_user()));
    let callee = registered(CALLEE, &node);
    let refusing = callee.run("busy", &callee_refuses(486, "Busy Here"));
    let caller = registered(CALLER, &node);
    let scenario = Caller::dials(NUMBER).refused(NUMBER, 486).scenario();
    caller.run("call", &scenario).completed();
    refusing.completed();
}

#[test]
fn an_unregistered_callee_is_unavailable() {
    let node = Node::start(&Estate::with_flow(&ring_user()));
    let caller = registered(CALLER, &node);
    let scenario = Caller::dials(NUMBER).refused(NUMBER, 480).scenario();
    caller.run("call", &scenario).completed();
}

#[test]
fn a_caller_who_gives_up_stops_the_callees_ringing() {
    let node = Node::start(&Estate::with_flow(&ring_user()));
    let callee = registered(CALLEE, &node);
    let ringing = callee.run("ring", &callee_never_answers());
    let caller = registered(CALLER, &node);
    let scenario = Caller::dials(NUMBER)
        .rings()
        .waits(1000)
        .cancels(NUMBER)
        .scenario();
    caller.run("call", &scenario).completed();
    ringing.completed();
}

#[test]
fn the_callee_may_hang_up_first() {
    let receiver = Receiver::start();
    let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let callee = registered(CALLEE, &node);
    let voice = callee.audio(&audio::mulaw_tone(440.0, 10.0));
    let answering = callee.run("answer", &callee_answers(200, &voice, Some(2000)));
    let caller = registered(CALLER, &node);
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .awaits_bye()
        .scenario();
    caller.run("call", &scenario).completed();
    answering.completed();
    let heard = listen(&receiver.accepted().body);
    let span = heard.only_tone(1, 440.0);
    assert!((span.1 - span.0 - 2.0).abs() < 0.15, "{span:?}");
}

#[test]
fn a_call_over_tcp_is_recorded_like_any_other() {
    let receiver = Receiver::start();
    let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let callee = registered(CALLEE, &node);
    let voice = callee.audio(&audio::mulaw_tone(440.0, 10.0));
    let answering = callee.run("answer", &callee_answers(200, &voice, None));
    let caller = Sipp::new(CALLER, node.sip()).over_tcp();
    caller.register();
    let voice = caller.audio(&audio::mulaw_tone(1000.0, 10.0));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .waits(2000)
        .hangs_up(NUMBER)
        .scenario();
    caller.run("call", &scenario).completed();
    answering.completed();
    let heard = listen(&receiver.accepted().body);
    for (channel, hz) in [(0, 1000.0), (1, 440.0)] {
        let span = heard.only_tone(channel, hz);
        assert!((span.1 - span.0 - 2.0).abs() < 0.15, "{hz} Hz: {span:?}");
    }
}

/// A node that also serves SIP over TLS, with a certificate of its own; and where.
fn with_tls(estate: &Estate) -> (Node, SocketAddr) {
    let mut node = Node::asleep(estate, "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n");
    let made = rcgen::generate_simple_self_signed(["sip.example".to_owned()]).unwrap();
    let tls = SocketAddr::from(([127, 0, 0, 1], free_port()));
    for (key, file, text) in [
        ("CERTIFICATE", "tls.crt", made.cert.pem()),
        ("KEY", "tls.key", made.signing_key.serialize_pem()),
    ] {
        let file = node.data().join(file);
        std::fs::write(&file, text).unwrap();
        node.set_env(
            &format!("CALLREEL_SWITCH_TLS_{key}"),
            file.to_str().unwrap(),
        );
    }
    node.set_env("CALLREEL_SWITCH_TLS_BIND", &tls.to_string());
    node.launch();
    (node, tls)
}

#[test]
fn a_call_between_phones_over_tls_is_recorded_like_any_other() {
    let receiver = Receiver::start();
    let (node, tls) = with_tls(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let habits = |plays| Habits {
        transport: "tls",
        plays,
        ..Habits::default()
    };
    // Who speaks no TLS, or nothing, is in nobody's way.
    let _silent = TcpStream::connect(tls).unwrap();
    let mut plain = TcpStream::connect(tls).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer));
    assert!(!answer.starts_with(b"SIP"), "{answer:?}");
    let mut callee = Baresip::start(CALLEE, tls, &habits(440.0));
    let mut caller = Baresip::start(CALLER, tls, &habits(1000.0));
    caller.dial(NUMBER);
    callee.awaits("CALL_ESTABLISHED");
    caller.awaits("CALL_ESTABLISHED");
    std::thread::park_timeout(Duration::from_secs(2));
    caller.hang_up();
    callee.awaits("CALL_CLOSED");
    let heard = listen(&receiver.accepted().body);
    for (channel, hz) in [(0, 1000.0), (1, 440.0)] {
        let (from, to) = heard.only_tone(channel, hz);
        assert!(to - from > 1.5, "{hz} Hz: {from} to {to}");
    }
    drop(node);
}

#[test]
fn a_call_put_on_hold_comes_back() {
    let receiver = Receiver::start();
    let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let callee = registered(CALLEE, &node);
    let voice = callee.audio(&audio::mulaw_tone(440.0, 20.0));
    let answering = callee.run("answer", &callee_answers(200, &voice, None));
    let caller = registered(CALLER, &node);
    let voice = caller.audio(&audio::mulaw_tone(1000.0, 20.0));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .waits(1000)
        .reinvites(NUMBER, "sendonly")
        .waits(1000)
        .reinvites(NUMBER, "sendrecv")
        .waits(1000)
        .hangs_up(NUMBER)
        .scenario();
    caller.run("call", &scenario).completed();
    answering.completed();
    let heard = listen(&receiver.accepted().body);
    let span = heard.only_tone(0, 1000.0);
    assert!(
        (span.1 - span.0 - 3.0).abs() < 0.2,
        "the holder goes on speaking: {span:?}"
    );
}

#[test]
fn legs_with_different_codecs_understand_each_other() {
    for codecs in ["PCMA/8000", "G722/16000"] {
        let receiver = Receiver::start();
        let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
        let mut callee = Baresip::start(
            CALLEE,
            node.sip(),
            &Habits {
                codecs,
                ..Habits::default()
            },
        );
        let caller = registered(CALLER, &node);
        let voice = caller.audio(&audio::mulaw_tone(1000.0, 10.0));
        let scenario = Caller::dials(NUMBER)
            .answered(NUMBER)
            .streams(&voice)
            .waits(3000)
            .hangs_up(NUMBER)
            .scenario();
        let scenario = scenario.replace("RTP/AVP 0 8 101", "RTP/AVP 0 101");
        caller.run("call", &scenario).completed();
        callee.awaits("CALL_CLOSED");
        let heard = callee.heard();
        let span = heard.only_tone(0, 1000.0);
        assert!(
            span.1 - span.0 > 2.5,
            "{codecs}: the callee hears the caller {span:?}"
        );
        let file = listen(&receiver.accepted().body);
        let wide = codecs.starts_with("G722");
        assert_eq!(
            file.file_rate,
            if wide { 16_000 } else { 8_000 },
            "{codecs}"
        );
        for (channel, hz) in [(0, 1000.0), (1, 440.0)] {
            let span = file.only_tone(channel, hz);
            assert!(span.1 - span.0 > 2.5, "{codecs}: {hz} Hz is {span:?}");
        }
    }
}

#[test]
fn a_phone_of_others_can_hold_and_resume() {
    let node = Node::start(&Estate::with_flow(&ring_user()));
    let mut callee = Baresip::start(CALLEE, node.sip(), &Habits::default());
    let mut caller = Baresip::start(
        CALLER,
        node.sip(),
        &Habits {
            answers: false,
            plays: 1000.0,
            ..Habits::default()
        },
    );
    caller.dial(NUMBER);
    caller.awaits("CALL_ESTABLISHED");
    callee.awaits("CALL_ESTABLISHED");
    caller.hold();
    caller.resume();
    std::thread::park_timeout(std::time::Duration::from_secs(2));
    caller.hang_up();
    callee.awaits("CALL_CLOSED");
    let span = callee.heard().tone(0, 1000.0);
    let total: f64 = span.iter().map(|(from, to)| to - from).sum();
    assert!(
        total > 1.5,
        "the callee hears the caller after the hold: {span:?}"
    );
}

#[test]
fn options_are_answered_without_credentials() {
    let node = Node::start(&Estate::with_flow(&ring_user()));
    let phone = Sipp::new(CALLER, node.sip());
    let scenario = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"options\">\n<send><![CDATA[\n\nOPTIONS sip:[realm] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nMax-Forwards: 70\nFrom: <sip:[me]@[realm]>;tag=[call_number]o\nTo: <sip:[realm]>\nCall-ID: [call_id]\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n]]></send>\n<recv response=\"200\"/>\n</scenario>\n";
    phone.run("options", scenario).completed();
}
