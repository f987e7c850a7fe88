//! A peer on the broker that says anything to anybody while a call is recorded.

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::json;

use super::{Talk, recorded, whole};
use crate::support::{
    audio::listen, broker::Broker, cluster::Cluster, estate::ACCOUNT, eventually,
    receiver::Receiver,
};

/// How often each message is said to each address: were each of them logged, the log would show it.
const TIMES: usize = 30;

/// Lines above `info` that each process may write because of it all: one a kind and reader, of which there are fewer.
const LINES: usize = 80;

/// Bodies no reader can use, and such as are nearly right.
fn bodies() -> Vec<Vec<u8>> {
    let headers =
        json!({"App-Name": "evil", "App-Version": "1", "Node": "evil@host", "Msg-ID": "m"});
    let said = |category: &str, name: &str, more: serde_json::Value| {
        let mut message = headers.as_object().cloned().unwrap_or_default();
        message.insert("Event-Category".to_owned(), json!(category));
        message.insert("Event-Name".to_owned(), json!(name));
        message.extend(more.as_object().cloned().unwrap_or_default());
        serde_json::to_vec(&message).unwrap()
    };
    let wrong = json!({
        "Call-ID": 7, "Custom-Channel-Vars": "none", "Timestamp": {}, "Control-Queue": [], "Application-Name": 1,
        "Endpoints": {"a": 1}, "Commands": 3, "Media-Fork": "here", "Insert-At": "the moon", "From": null,
    });
    let mut bodies = vec![
        b"".to_vec(),
        b"not json".to_vec(),
        b"\x00\x01\xfe\xff\x83h\x02".to_vec(),
        b"null".to_vec(),
        b"[1, 2, 3]".to_vec(),
        b"{\"Event-Name\": \"\xff\xfe\"}".to_vec(),
        [b"[".repeat(10_000), b"]".repeat(10_000)].concat(),
        [
            b"{\"a\":".repeat(10_000),
            b"1".to_vec(),
            b"}".repeat(10_000),
        ]
        .concat(),
        b"{\"Call-ID\": 1e999999, \"Msg-ID\": -1e-999999}".to_vec(),
        said("strange", "words", json!({})),
    ];
    for (category, name) in [
        ("dialplan", "route_req"),
        ("dialplan", "route_resp"),
        ("dialplan", "route_win"),
        ("call", "command"),
        ("call_event", "CHANNEL_DESTROY"),
        ("call_event", "RECORD_STOP"),
        ("call_event", "usurp_control"),
        ("call_event", "channel_status_req"),
        ("error", "dialplan"),
    ] {
        bodies.push(said(category, name, json!({})));
        bodies.push(said(category, name, wrong.clone()));
    }
    bodies
}

/// Properties that say less, or more, than is true.
fn lies() -> Vec<BasicProperties> {
    let plain = BasicProperties::default;
    let with_token = |value| {
        let mut headers = FieldTable::default();
        headers.insert("Deliver-To-PID".into(), value);
        plain().with_headers(headers)
    };
    vec![
        plain(),
        plain().with_content_encoding("gzip".into()),
        plain().with_content_type("application/erlang".into()),
        with_token(AMQPValue::ByteArray(b"\xff\xfe\x00"[..].into())),
        with_token(AMQPValue::FieldArray(vec![AMQPValue::Void].into())),
    ]
}

/// Everything that anybody on the vhost can be reached by.
fn addresses(queues: &[String], call_id: &str) -> Vec<(&'static str, String)> {
    let call = callreel_proto::encode_word(call_id);
    let mut addresses = vec![
        ("callmgr", format!("route.req.audio.{ACCOUNT}")),
        ("callmgr", "route.req.audio.nobody".to_owned()),
        ("callevt", format!("call.CHANNEL_DESTROY.{call}")),
        ("callevt", format!("call.status_req.{call}")),
        ("kapps", format!("callreel.recording.ended.{ACCOUNT}")),
        ("kapps", format!("callreel.delivery.retry.{ACCOUNT}")),
        ("kapps", format!("callreel.record.{ACCOUNT}")),
        ("nodes", String::new()),
    ];
    for queue in queues {
        for exchange in ["", "targeted", "callctl"] {
            addresses.push((exchange, queue.clone()));
        }
    }
    addresses
}

async fn say(channel: &Channel, to: &(&str, String), how: &BasicProperties, body: &[u8]) {
    let (exchange, key) = to;
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish(
        (*exchange).into(),
        key.as_str().into(),
        options,
        body,
        how.clone(),
    );
    drop(sent.await.unwrap());
}

/// Says all of it to all, and returns when the broker has it.
async fn attack(url: &str, addresses: &[(&'static str, String)]) {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    let (bodies, lies) = (bodies(), lies());
    let huge = vec![b' '; 10_000_000];
    for to in addresses {
        say(&channel, to, &lies[0], &huge).await;
        for _ in 0..TIMES {
            for body in &bodies {
                say(&channel, to, &lies[0], body).await;
            }
            for lie in &lies {
                say(&channel, to, lie, b"{}").await;
            }
        }
        channel.wait_for_confirms().await.unwrap();
    }
    connection.close(200, "enough".into()).await.unwrap();
}

#[test]
fn nothing_that_a_peer_says_costs_a_recorded_call_anything() {
    let receiver = Receiver::start();
    let broker = Broker::shared();
    let vhost = broker.vhost();
    let mut cluster = Cluster::with(&recorded(&receiver), &vhost, &[]);
    let mut talk = Talk::begin(&cluster);
    let queues = broker.queues(&vhost);
    assert!(queues.len() >= 4, "{queues:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(attack(&vhost, &addresses(&queues, &talk.call_id)));
    let seconds = talk.end();
    whole(&listen(&receiver.accepted().body), seconds);
    // All of them still answer, and have said each thing once.
    talk.again(&cluster);
    talk.end();
    receiver.accepted_all(2);
    for name in cluster.names() {
        let log = cluster.log_of(name);
        assert!(!log.contains("panicked"), "{name}");
        assert!(!log.contains("no connection to the broker"), "{name}");
        let lines = log
            .lines()
            .filter(|line| line.contains("WARN") || line.contains("ERROR"));
        let lines: Vec<&str> = lines.collect();
        assert!(lines.len() <= LINES, "{name}: {}", lines.join("\n"));
    }
    let bus = ["too large", "broken gzip", "in an unknown encoding"];
    for (name, kinds) in [
        ("calls-1", ["no envelope", "unexpected on callmgr"]),
        ("calls-2", ["no envelope", "unexpected on callmgr"]),
        ("delivery", ["message", "strange/words"]),
        ("api", [""; 2]),
        ("switch", ["not JSON", "malformed route_resp"]),
    ] {
        cluster.member(name).terminate();
        assert!(cluster.member(name).ended(), "{name} ends in peace");
        // Its last picture of itself counts what it could not use.
        let log = cluster.log_of(name);
        let picture = log.lines().find(|line| line.contains("stopping")).unwrap();
        for kind in bus.iter().chain(&kinds).filter(|_| name != "api") {
            let counted = format!("\"{kind}\":");
            assert!(picture.contains(&counted), "{name}: {kind}: {picture}");
        }
    }
    eventually("nothing is owed", || {
        cluster.tickets().is_empty().then_some(())
    });
}
