//! Malformed, hostile and misplaced requests; limits; the end of the switch itself.

use callreel_bus::Bus;
use callreel_switch::{Switch, SwitchConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Message, Scene, sdp_with, soon};

#[tokio::test]
async fn requests_out_of_place_get_proper_answers() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    let me = phone.address();
    for (method, to_tag, expected) in [
        ("OPTIONS", "", 200),
        ("MESSAGE", "", 405),
        ("SUBSCRIBE", "", 489),
        ("DANCE", "", 501),
        ("BYE", "", 481),
        ("BYE", ";tag=x", 481),
        ("INFO", ";tag=x", 481),
    ] {
        let head = format!(
            "{method} sip:2000@acme.test SIP/2.0\nVia: SIP/2.0/UDP {me};rport;branch=z9hG4bK{method}{expected}{}\n\
             From: <sip:alice@acme.test>;tag=1\nTo: <sip:2000@acme.test>{to_tag}\nCall-ID: {method}\nCSeq: 1 {method}\n",
            to_tag.len()
        );
        phone.send(&head, "").await;
        let answer = phone.receive().await;
        assert_eq!(answer.status(), expected, "{method}{to_tag}");
        if matches!(expected, 200 | 405) {
            assert!(answer.header("Allow").contains("INVITE"), "{method}");
        }
    }
}

#[tokio::test]
async fn invites_that_cannot_be_met_are_refused_with_the_reason() {
    let scene = Scene::new().await;
    let _controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let rtp = phone.rtp.local_addr().unwrap();
    let cases = [
        ("", sdp_with(rtp, "18", "sendrecv"), 488, "Warning"),
        ("", "v=nonsense\r\n".to_owned(), 400, "Warning"),
    ];
    for (headers, body, status, header) in cases {
        let call = phone.dial_with("2000", headers, &body).await;
        let answer = phone.final_response().await;
        assert_eq!(answer.status(), status);
        assert!(!answer.header(header).is_empty());
        phone.ack(&call, &answer, "").await;
    }
    let before_auth = [("Require: teleport\n", 420), ("Max-Forwards: 0\n", 483)];
    for (headers, status) in before_auth {
        let call = crate::support::Call {
            call_id: callreel_proto::CallId::new(format!("c{status}")),
            from: "<sip:alice@acme.test>;tag=1".into(),
            to: "<sip:2000@acme.test>".into(),
            cseq: 1,
            branch: format!("b{status}"),
            target: "sip:2000@acme.test".into(),
        };
        // The first Max-Forwards counts; `head` writes 70, so this one is put before it by hand.
        let text = format!(
            "INVITE sip:2000@acme.test SIP/2.0\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bK{}\n{headers}From: {}\nTo: {}\n\
             Call-ID: {}\nCSeq: 1 INVITE\nContact: <sip:alice@{}>\n",
            phone.address(),
            call.branch,
            call.from,
            call.to,
            call.call_id,
            phone.address()
        );
        phone.send(&text, "").await;
        let answer = phone.final_response().await;
        assert_eq!(answer.status(), status);
        phone.ack(&call, &answer, "").await;
    }
    let wrong = scene.phone("alice").await.with_password("guess");
    wrong.dial("2000").await;
    assert_eq!(wrong.final_response().await.status(), 403);
}

#[tokio::test]
async fn too_many_calls_are_asked_to_come_back_later() {
    let scene = Scene::with(|config| config.max_calls = 1).await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let first = phone.dial("2000").await;
    controller.claims().await;
    let other = scene.phone("bob").await;
    let call = other.dial("2000").await;
    let answer = other.final_response().await;
    assert_eq!(answer.status(), 503);
    assert!(answer.header("Retry-After").parse::<u32>().unwrap() > 0);
    other.ack(&call, &answer, "").await;
    phone.cancel(&first).await;
    controller.event("CHANNEL_DESTROY", &first.call_id).await;
    let again = other.dial("2000").await;
    assert_eq!(controller.claims().await.call_id, again.call_id);
}

#[tokio::test]
async fn a_flood_of_garbage_does_not_stop_a_call() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let flood = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let switch = phone.switch;
    let flooding = tokio::spawn(async move {
        let pieces: [&[u8]; 5] = [
            b"\xff\xfe\x00garbage",
            b"INVITE sip:x SIP/2.0\r\n\r\n",
            b"SIP/2.0 200 OK\r\nVia: nonsense\r\n\r\n",
            b"REGISTER sip:acme.test SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nContent-Length: 999999999999\r\n\r\n",
            &[b'A'; 60_000],
        ];
        for n in 0..5_000 {
            drop(flood.send_to(pieces[n % pieces.len()], switch).await);
            if n % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    let calling = async {
        let call = phone.dial("2000").await;
        controller.claims().await;
        controller.command(&call.call_id, "answer", json!({})).await;
        while phone.final_response().await.status() != 200 {}
    };
    tokio::select! {
        () = calling => {}
        () = phone.insist() => {}
    }
    flooding.await.unwrap();
    let counts = scene.switch.picture().await.counts;
    assert!(counts.malformed > 100, "{counts:?}");
}

#[tokio::test]
async fn calls_over_tcp_work_and_a_mad_stream_hurts_only_itself() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let switch = phone.switch;
    let mut mad = tokio::net::TcpStream::connect(switch).await.unwrap();
    mad.write_all(&[0xff; 100_000]).await.ok();

    let mut tcp = tokio::net::TcpStream::connect(switch).await.unwrap();
    let me = tcp.local_addr().unwrap();
    let head = |method: &str, cseq: u32, extra: &str, body: &str| {
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} sip:2000@acme.test SIP/2.0\r\nVia: SIP/2.0/TCP {me};branch=z9hG4bK{method}{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@acme.test>;tag=t\r\nTo: <sip:2000@acme.test>\r\nCall-ID: tcp-call\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:alice@{me};transport=tcp>\r\n{extra}{content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let body = phone.sdp();
    tcp.write_all(head("INVITE", 1, "", &body).as_bytes())
        .await
        .unwrap();
    let challenge = read(&mut tcp, 407).await;
    tcp.write_all(head("ACK", 1, "", "").replace("ACK1", "INVITE1").as_bytes())
        .await
        .unwrap();
    let auth = phone.answer_to(
        challenge.header("Proxy-Authenticate"),
        "INVITE",
        "sip:2000@acme.test",
        1,
    );
    let auth = format!("Proxy-Authorization: {auth}\r\n");
    tcp.write_all(head("INVITE", 2, &auth, &body).as_bytes())
        .await
        .unwrap();
    let request = controller.claims().await;
    controller
        .command(&request.call_id, "answer", json!({}))
        .await;
    let answer = read(&mut tcp, 200).await;
    assert!(
        answer.contact().ends_with("transport=TCP"),
        "{}",
        answer.contact()
    );
    controller
        .command(&request.call_id, "hangup", json!({}))
        .await;
    assert_eq!(read(&mut tcp, 0).await.method(), "BYE");
}

/// The next message over TCP with this status; others are passed over.
async fn read(tcp: &mut tokio::net::TcpStream, status: u16) -> Message {
    let mut text = Vec::new();
    loop {
        let mut byte = [0];
        soon("a message over TCP", tcp.read_exact(&mut byte))
            .await
            .unwrap();
        text.push(byte[0]);
        if !text.ends_with(b"\r\n\r\n") {
            continue;
        }
        let message = Message::read(&text);
        let mut body = vec![0; message.header("Content-Length").parse().unwrap()];
        soon("a body over TCP", tcp.read_exact(&mut body))
            .await
            .unwrap();
        if message.status() == status {
            return message;
        }
        text.clear();
    }
}

#[tokio::test]
async fn a_stopping_switch_ends_its_calls_and_a_draining_one_waits() {
    let scene = Scene::new().await;
    let mut controller = scene.controller().await;
    let phone = scene.phone("alice").await;
    let call = phone.dial("2000").await;
    controller.claims().await;
    controller.command(&call.call_id, "answer", json!({})).await;
    let answer = phone.final_response().await;
    phone.ack(&call, &answer, "").await;
    controller.completion(&call.call_id, "answer").await;

    let still =
        tokio::time::timeout(std::time::Duration::from_millis(100), scene.switch.drain()).await;
    assert!(still.is_err(), "a call lives");
    let other = scene.phone("bob").await;
    let refused = other.dial("2000").await;
    let answer = other.final_response().await;
    assert_eq!(answer.status(), 503);
    other.ack(&refused, &answer, "").await;

    let stopping = tokio::spawn(scene.switch.stop());
    let bye = phone.request("BYE").await;
    phone.reply(&bye, "200 OK", "", "").await;
    let end = controller.event("CHANNEL_DESTROY", &call.call_id).await;
    assert_eq!(end["Hangup-Cause"], "MANAGER_REQUEST");
    soon("the switch to stop", stopping).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let scene = Scene::new().await;
    let (_, taken) = scene.switch.sip_addresses().remove(0);
    let config = SwitchConfig {
        bind: taken,
        ..SwitchConfig::default()
    };
    let outcome = Switch::start(
        config,
        Bus::embedded(),
        crate::support::attachments(&scene.store),
        "callreel@test",
    )
    .await;
    let error = outcome.err().unwrap().to_string();
    assert!(
        error.contains(&taken.to_string()) && error.contains("switch.bind"),
        "{error}"
    );
}
