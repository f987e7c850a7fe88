//! Credentials of the action, the account and the configuration: they reach the receiver and nobody else.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use callreel_delivery::{Credentials, DeliveryConfig};
use callreel_proto::{AccountDb, Destination, MetadataQuery, RecordingFact, month_db};
use callreel_spool::Ticket;
use serde_json::{Value, json};

use crate::{
    call::{put, record},
    node::{Home, Node, config},
    receiver::Receiver,
};

/// Everything that this process logs from the moment it listens, on whichever thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen() -> Self {
        let log = Self::default();
        let heard = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || heard.clone())
            .init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

async fn account(node: &Node, ticket: &Ticket, call_recording: Value) {
    let id = &ticket.promise().account_id;
    let doc = json!({"_id": id, "pvt_type": "account", "call_recording": call_recording});
    node.store.save(&AccountDb::name(id), doc).await.unwrap();
}

/// To a receiver whose URL and headers have secrets too.
fn to(receiver: &Receiver) -> Destination {
    let Destination::Http {
        mut url, method, ..
    } = put(receiver.at)
    else {
        unreachable!("put makes a URL");
    };
    url.set_query(Some("token=query-hushhush"));
    Destination::Http {
        url,
        method,
        headers: [("X-Action".to_owned(), "action-hushhush".to_owned())].into(),
        metadata_query: MetadataQuery::None,
    }
}

fn told(picture: impl std::fmt::Display, what: &str) {
    let picture = picture.to_string();
    assert!(!picture.contains("hushhush"), "{what}: {picture}");
}

#[tokio::test]
async fn secrets_reach_the_receiver_and_no_log_notice_document_or_description() {
    let log = Log::listen();
    let receiver = Receiver::start(&[500, 401]).await;
    let of_config: Credentials = serde_json::from_value(json!({
        "origin": format!("http://{}", receiver.at), "headers": {"X-Config": "config-hushhush"},
    }))
    .unwrap();
    let settings = DeliveryConfig {
        credentials: vec![of_config],
        ..config()
    };
    let home = Home::new();
    let mut node = home.start(settings).await;
    let ticket = record(&node.spool, 1, to(&receiver), &|_| {});
    let says = json!({
        "auth": {"bearer": "bearer-hushhush"}, "headers": {"X-Account": "account-hushhush"},
        "signing_secret": "signing-hushhush",
    });
    account(&node, &ticket, says).await;
    node.tell_ended(&ticket).await;
    for fact in [
        RecordingFact::Rendered,
        RecordingFact::Retrying,
        RecordingFact::Retrying,
    ] {
        let notice = node.hear(&[fact]).await;
        told(format!("{notice:?}"), "a notice");
        told(node.delivery.describe().await, "the description");
    }
    let kept = node.spool.view().ticket(ticket.recording_id()).unwrap();
    let kept = serde_json::to_string(&kept.unwrap()).unwrap();
    for secret in ["bearer", "account", "signing", "config"] {
        assert!(!kept.contains(&format!("{secret}-hushhush")), "{kept}");
    }
    let notice = node.hear(&[RecordingFact::Delivered]).await;
    told(format!("{notice:?}"), "a notice");

    let received = receiver.received();
    assert_eq!(received.len(), 3);
    for request in &received {
        assert!(request.path.ends_with("?token=query-hushhush"));
        for (name, value) in [
            ("x-action", "action-hushhush"),
            ("authorization", "Bearer bearer-hushhush"),
            ("x-account", "account-hushhush"),
            ("x-config", "config-hushhush"),
            ("x-callreel-call-id", "ab12@10.0.0.5"),
        ] {
            assert_eq!(request.header(name), value);
        }
        assert!(request.header("x-callreel-signature").starts_with("t="));
    }
    let promise = ticket.promise();
    let db = month_db(&promise.account_id, promise.recording_id.month());
    let doc = node.store.get(&db, promise.recording_id.as_str()).await;
    told(doc.unwrap().unwrap(), "the document");
    node.stop().await;
    let logged = log.text();
    let ours = logged.lines();
    let mut ours = ours.filter(|line| line.contains(promise.recording_id.as_str()));
    assert!(
        ours.any(|line| line.contains("the receiver answered 401")),
        "{logged}"
    );
    told(logged, "the log");
}

#[tokio::test]
async fn nothing_goes_without_credentials_that_cannot_be_understood() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(config()).await;
    let ticket = record(&node.spool, 1, put(receiver.at), &|_| {});
    account(&node, &ticket, json!({"auth": "bearer-hushhush"})).await;
    node.tell_ended(&ticket).await;
    let failed = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    let why = failed.detail.unwrap();
    assert!(
        why.starts_with("call_recording.auth of the account document"),
        "{why}"
    );
    told(why, "the notice");
    assert!(receiver.received().is_empty());
    account(&node, &ticket, json!({"auth": {"bearer": "t0ken"}})).await;
    while node.next_notice().await.fact != RecordingFact::Delivered {}
    assert_eq!(
        receiver.received()[0].header("authorization"),
        "Bearer t0ken"
    );
}
