//! The handler `http`: what is asked of the receiver, and what is read and deleted there later.

use std::sync::{Arc, Mutex};

use callreel_attachments::How;
use callreel_proto::HttpMethod;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use crate::world::{DB, File, World};

/// A receiver that answers every request in the same way and notes the heads it was sent.
async fn receiver(answer: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = String::new();
            let mut lines = BufReader::new(&mut stream);
            while lines.read_line(&mut head).await.unwrap() > 2 {}
            noted.lock().unwrap().push(head);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, heads)
}

fn handler(url: &str, more: Value) -> Value {
    let mut settings = json!({"url": url, "field_list": [{"field": "owner_id"}, {"arg": "id"}]});
    settings
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"handler": "http", "settings": settings})
}

const KEY: &str = "0wner/202611-0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn the_request_is_told_and_not_made() {
    let more = json!({"verb": "POST", "send_multipart": true, "base64_encode_data": "true", "document_url_field": "audio_url"});
    let world = World::new(handler("https://u:pw@h.example:8443/r/?token=t#x", more)).await;
    let (handler, file) = (world.handler().await, File::of(10));
    let upload = handler.http(&file.facts(&world.account)).unwrap();
    assert_eq!(
        upload.url.as_str(),
        format!("https://u:pw@h.example:8443/r/{KEY}?token=t")
    );
    assert_eq!(upload.method, HttpMethod::Post);
    assert!(upload.multipart && upload.base64);
    assert_eq!(upload.document_url_field.as_deref(), Some("audio_url"));
    let placed = handler.placed(&file.facts(&world.account));
    assert_eq!(placed.told(), format!("https://h.example:8443/r/{KEY}"));
    let kept = placed.to_value().to_string();
    assert!(!kept.contains("pw") && !kept.contains("token"), "{kept}");
    let refused = world.put(&file).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("it takes requests, not objects"),
        "{refused}"
    );
}

#[tokio::test]
async fn it_is_read_where_it_was_sent_with_or_without_ranges() {
    for answer in [
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: 3\r\n\r\n345",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789",
    ] {
        let (port, heads) = receiver(answer).await;
        let world = World::new(handler(
            &format!("http://u:pw@127.0.0.1:{port}/r"),
            json!({}),
        ))
        .await;
        let file = File::of(10);
        let placed = world.handler().await.placed(&file.facts(&world.account));
        let doc = world.keep(&file, &placed).await;
        assert_eq!(world.fetch(&doc, 3..6).await.unwrap().unwrap(), b"345");
        let head = heads.lock().unwrap().pop().unwrap().to_ascii_lowercase();
        assert!(head.starts_with(&format!("get /r/{KEY} ")), "{head}");
        assert!(
            head.contains("range: bytes=3-5\r\n") && head.contains("authorization: basic "),
            "{head}"
        );
    }
}

#[tokio::test]
async fn it_is_deleted_there_only_if_the_settings_say_so() {
    let (port, heads) = receiver("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    let url = format!("http://127.0.0.1:{port}/r");
    let world = World::new(handler(&url, json!({}))).await;
    let file = File::of(10);
    for deletes in [false, true] {
        world
            .plan_names(handler(&url, json!({"delete": deletes})))
            .await;
        let placed = world.handler().await.placed(&file.facts(&world.account));
        world.keep(&file, &placed).await;
        let deleted = world
            .attachments
            .delete(DB, file.id(), How::Hard)
            .await
            .unwrap()
            .unwrap();
        let receipt = &deleted.receipts[0];
        let asked = heads.lock().unwrap().pop().unwrap_or_default();
        assert_eq!(
            asked.starts_with(&format!("DELETE /r/{KEY} ")),
            deletes,
            "{asked}"
        );
        assert_eq!(receipt.ends_with(" deleted"), deletes, "{receipt}");
        assert_eq!(receipt.contains(" stays: "), !deletes, "{receipt}");
    }
}
