//! What the SIP library cannot read, or must not wait for: requests still get an answer, and other phones notice nothing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Phone, Scene, soon};

fn request(method: &str, id: &str, via: &str, more: &str) -> String {
    format!(
        "{method} sip:2000@acme.test SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bK{id}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@acme.test>;tag=1\r\nTo: <sip:2000@acme.test>\r\nCall-ID: {id}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:alice@acme.test>\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

async fn answer_over_udp(phone: &Phone, request: &[u8]) -> u16 {
    phone.socket.send_to(request, phone.switch).await.unwrap();
    loop {
        match phone.receive().await.status() {
            100 => {}
            status => return status,
        }
    }
}

#[tokio::test]
async fn every_invite_that_can_be_told_for_one_is_answered() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    let via = format!("UDP {};rport", phone.address());
    let long = format!("X-Long: {}\r\n", "a".repeat(60_000));
    let plain = |id: &str| request("INVITE", id, &via, "");
    for (text, expected) in [
        (plain("plain"), 407),
        (request("INVITE", "long", &via, &long), 513),
        (plain("untagged").replace(";tag=1", ""), 400),
        (plain("aimless").replace("To:", "X-To:"), 400),
        (
            plain("future").replace(" SIP/2.0\r\nVia", " SIP/3.0\r\nVia"),
            505,
        ),
        (
            plain("counted").replace("CSeq: 1", "CSeq: 99999999999"),
            400,
        ),
    ] {
        let status = answer_over_udp(&phone, text.as_bytes()).await;
        assert_eq!(status, expected, "{}", &text[..text.len().min(400)]);
    }
    let named = plain("named");
    let (before, after) = named.split_once("From: ").unwrap();
    let named = [before.as_bytes(), b"From: \"Jos\xe9\" ", after.as_bytes()].concat();
    assert_eq!(answer_over_udp(&phone, &named).await, 407);
    let endless = plain(&"i".repeat(2_049)).replace("INVITE", "OPTIONS");
    assert_eq!(answer_over_udp(&phone, endless.as_bytes()).await, 200);
}

/// The statuses of the next answers, however they are cut into segments.
async fn statuses(tcp: &mut TcpStream, count: usize) -> Vec<String> {
    let mut text = String::new();
    while text.matches("\r\n\r\n").count() < count {
        let mut bytes = vec![0; 4_096];
        let read = soon("an answer over TCP", tcp.read(&mut bytes))
            .await
            .unwrap();
        assert!(read > 0, "the connection was closed after {text}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    let starts = text.lines().filter(|line| line.starts_with("SIP/2.0 "));
    let mut found: Vec<_> = starts.map(|line| line[8..11].to_owned()).collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_stream_survives_what_cannot_be_served_and_ends_with_what_has_no_end() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    let mut tcp = TcpStream::connect(phone.switch).await.unwrap();
    let via = format!("TCP {}", tcp.local_addr().unwrap());
    let message = request("MESSAGE", "spaced", &via, "Content-Type: text/plain\r\n").replace(
        "Content-Length: 0\r\n\r\n",
        "Content-Length : 5\r\n\r\nhello",
    );
    let text = [
        "\r\n\r\n".to_owned(),
        request("DANCE", "dance", &via, ""),
        message,
        request("OPTIONS", "untagged", &via, "").replace(";tag=1", ""),
        request("OPTIONS", "good", &via, ""),
    ]
    .concat();
    for piece in text.as_bytes().chunks(100) {
        tcp.write_all(piece).await.unwrap();
    }
    assert_eq!(statuses(&mut tcp, 4).await, ["200", "400", "405", "501"]);
    let endless = request("OPTIONS", "endless", &via, "")
        .replace("Content-Length: 0", "Content-Length: 18446744073709551615");
    tcp.write_all(endless.as_bytes()).await.unwrap();
    assert_eq!(statuses(&mut tcp, 1).await, ["513"]);
    let mut rest = Vec::new();
    soon("the end of the stream", tcp.read_to_end(&mut rest))
        .await
        .ok();
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answers_holds_up_nobody() {
    let scene = Scene::new().await;
    let phone = scene.phone("alice").await;
    let mut deaf = TcpStream::connect(phone.switch).await.unwrap();
    let via = format!("TCP {}", deaf.local_addr().unwrap());
    let flood = request("OPTIONS", "again", &via, "").repeat(100);
    // Until the switch takes no more of it, or has had enough.
    while let Ok(Ok(())) =
        tokio::time::timeout(Duration::from_millis(500), deaf.write_all(flood.as_bytes())).await
    {
    }
    let via = format!("UDP {};rport", phone.address());
    let asked = request("OPTIONS", "other", &via, "");
    assert_eq!(answer_over_udp(&phone, asked.as_bytes()).await, 200);
}
