//! What another application on the bus can do with a call of ours, knowing nothing but Kazoo's words: follow it by its events,
//! and have it recorded.

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    recording::{LEFT, RIGHT, ring},
    support::{
        PATIENCE,
        audio::listen,
        baresip::{Baresip, Habits},
        broker::Broker,
        cluster::Cluster,
        estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
        receiver::Receiver,
    },
};

/// An application of somebody else.
struct Other {
    runtime: Runtime,
    _connection: Connection,
    channel: Channel,
    events: Consumer,
    /// What was heard and not asked for yet.
    heard: Vec<Value>,
}

impl Other {
    fn connect(url: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let (connection, channel, events) = runtime.block_on(async {
            let properties = ConnectionProperties::default();
            let connection = Connection::connect(url, properties).await.unwrap();
            let channel = connection.create_channel().await.unwrap();
            let table = FieldTable::default;
            let private = QueueDeclareOptions {
                exclusive: true,
                ..QueueDeclareOptions::default()
            };
            let name = "compliance";
            let declared = channel.queue_declare(name.into(), private, table());
            declared.await.unwrap();
            let bound = channel.queue_bind(
                name.into(),
                "callevt".into(),
                "call.#".into(),
                QueueBindOptions::default(),
                table(),
            );
            bound.await.unwrap();
            let unacknowledged = BasicConsumeOptions {
                no_ack: true,
                ..BasicConsumeOptions::default()
            };
            let consumer = channel.basic_consume(name.into(), "".into(), unacknowledged, table());
            let consumer = consumer.await.unwrap();
            (connection, channel, consumer)
        });
        Self {
            runtime,
            _connection: connection,
            channel,
            events,
            heard: Vec::new(),
        }
    }

    /// Waits for an event of this name, of the leg the caller's phone has.
    fn event(&mut self, name: &str) -> Value {
        use futures::StreamExt;
        let wanted =
            |event: &Value| event["Event-Name"] == name && event["Call-Direction"] == "inbound";
        if let Some(at) = self.heard.iter().position(wanted) {
            return self.heard.remove(at);
        }
        loop {
            let next = async { tokio::time::timeout(PATIENCE, self.events.next()).await };
            let delivery = self.runtime.block_on(next);
            let delivery = delivery.unwrap_or_else(|_| panic!("no {name}"));
            let event: Value = serde_json::from_slice(&delivery.unwrap().unwrap().data).unwrap();
            if wanted(&event) {
                return event;
            }
            self.heard.push(event);
        }
    }

    /// Orders something about the recording of the leg this event is about.
    fn record_call(&self, event: &Value, action: &str, more: Value) {
        let mut command = json!({
            "App-Name": "compliance", "App-Version": "4.0.0", "Event-Category": "call", "Event-Name": "command",
            "Msg-ID": action, "Node": "kazoo_apps@elsewhere", "Server-ID": "compliance", "Insert-At": "now",
            "Application-Name": "record_call", "Record-Action": action, "Call-ID": event["Call-ID"],
            "Media-Name": "case-88121.wav", "Media-Recorder": "compliance", "Media-Recording-ID": "88121",
        });
        let more = more.as_object().cloned().unwrap();
        command.as_object_mut().unwrap().extend(more);
        let queue = event["Control-Queue"]
            .as_str()
            .expect("who controls the leg");
        let body = command.to_string();
        let sent = self.channel.basic_publish(
            "callctl".into(),
            queue.into(),
            BasicPublishOptions::default(),
            body.as_bytes(),
            BasicProperties::default().with_content_type("application/json".into()),
        );
        drop(self.runtime.block_on(sent).unwrap());
    }
}

fn phone(cluster: &Cluster, user: &str, hz: f32) -> Baresip {
    let habits = Habits {
        plays: hz,
        ..Habits::default()
    };
    Baresip::start(user, cluster.sip(), &habits)
}

fn seconds(event: &Value) -> f64 {
    event["Msg-ID"].as_str().unwrap().parse::<f64>().unwrap() / 1e6
}

/// How long a stretch of the talk is, at least.
fn talk() {
    std::thread::park_timeout(std::time::Duration::from_secs(2));
}

#[test]
fn another_application_follows_a_call_and_has_it_recorded_but_for_the_secret() {
    let receiver = Receiver::start();
    let broker = Broker::shared().vhost();
    let estate = Estate::with_flow(&ring(CALLEE_USER));
    let cluster = Cluster::with(&estate, &broker, &[]);
    let mut other = Other::connect(&broker);
    let _callee = phone(&cluster, CALLEE, RIGHT);
    let mut caller = phone(&cluster, CALLER, LEFT);
    caller.dial(NUMBER);
    for name in ["CHANNEL_CREATE", "CHANNEL_ANSWER"] {
        other.event(name);
    }
    let bridged = other.event("CHANNEL_BRIDGE");

    let to = json!({"Media-Transfer-Method": "put", "Media-Transfer-Destination": receiver.url("/in"), "Time-Limit": "60"});
    other.record_call(&bridged, "start", to);
    let started = other.event("RECORD_START");
    talk();
    other.record_call(&bridged, "mask", json!({}));
    talk();
    other.record_call(&bridged, "unmask", json!({}));
    talk();
    other.record_call(&bridged, "stop", json!({}));
    let stopped = other.event("RECORD_STOP");
    for event in [&started, &stopped] {
        assert_eq!(event["Recording"]["Recorder"], "compliance", "{event:#}");
        assert_eq!(event["Recording"]["ID"], "88121");
        assert_eq!(event["Application-Response"], "case-88121.wav");
        assert_eq!(event["Custom-Channel-Vars"]["Media-Recording-ID"], "88121");
    }
    let length = seconds(&stopped) - seconds(&started);
    caller.hang_up();
    let end = other.event("CHANNEL_DESTROY");
    assert_eq!(end["Media-Recordings"], json!(["case-88121.wav"]));
    assert_eq!(end["Hangup-Cause"], "NORMAL_CLEARING");
    assert!(end["Billing-Seconds"].as_u64().unwrap() >= 6, "{end:#}");

    let file = receiver.accepted();
    assert!(file.path.starts_with("/in/"), "{}", file.path);
    let heard = listen(&file.body);
    assert!(
        (heard.seconds() - length).abs() < 0.3,
        "{} of {length} s",
        heard.seconds()
    );
    for (channel, hz) in [(0, LEFT), (1, RIGHT)] {
        let [before, after] = heard.tone(channel, hz)[..] else {
            panic!("{:?}", heard.tone(channel, hz));
        };
        let secret = after.0 - before.1;
        assert!((1.8..2.6).contains(&secret), "{secret} s are masked");
        assert!(heard.loudness(channel, before.1 + 0.1, after.0 - 0.1) < 0.001);
    }
}
