//! All that the scripted ecallmgr and its switch know, and how their words go out. Time is the script's.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, Weak},
};

use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use super::{
    control::{Command, Control, text},
    shape::{Channel, Fields, SWITCH, Tree, adorn, loosen, sip_code, strip},
    tape::{End, Order as Ordered, Tape, Transfer},
    wire::{Order, Outgoing, enc, resolve},
};

/// Seconds from year 0 to 1970, in microseconds.
const GREGORIAN_US: u64 = 62_167_219_200_000_000;

/// How this peer differs from a tidy one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quirks {
    /// Every event is said twice.
    pub(crate) twice: bool,
    /// Numbers are strings and strings numbers.
    pub(crate) loose: bool,
    /// Nothing optional is said.
    pub(crate) sparing: bool,
    /// Fields nobody knows.
    pub(crate) adorned: bool,
    /// Events that are never heard.
    pub(crate) lost: Vec<&'static str>,
    /// Events that are heard only after another one.
    pub(crate) late: Vec<(&'static str, &'static str)>,
    /// Applications the switch refuses to execute.
    pub(crate) refused: Vec<&'static str>,
    /// Applications that run until the script says otherwise.
    pub(crate) lasting: Vec<&'static str>,
    /// The route is not won before the script says so.
    pub(crate) undecided: bool,
}

/// A call that was offered.
#[derive(Default)]
pub(super) struct Call {
    pub(super) fetch_id: String,
    pub(super) request: Fields,
    /// Answers to the request, in order.
    pub(super) offers: Vec<Fields>,
    /// Where the winner listens.
    pub(super) controller: Option<String>,
    /// Our queue for its commands, as the winner was told it.
    pub(super) control_address: String,
    pub(super) control: Control,
    /// Every command that was begun, in order.
    pub(super) executed: Vec<Command>,
    /// Commands that came when the channel was gone.
    pub(super) late: Vec<Command>,
    /// So many of them the script has looked at, for what runs in its turn and for `record_call`.
    pub(super) seen: usize,
    pub(super) recorded: usize,
    pub(super) tapes: Vec<Tape>,
    /// What stepswitch was asked to call.
    pub(super) offnet: Vec<Fields>,
    /// How often somebody wanted to know whether its channel is there.
    pub(super) questions: usize,
    /// Nobody may say anything about this call any more.
    pub(super) hushed: bool,
}

/// A PUT or POST of the switch.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) url: String,
    pub(crate) transfer: Transfer,
    /// What each request was answered with.
    pub(crate) statuses: Vec<Option<u16>>,
}

pub(super) struct World {
    pub(super) tree: Tree,
    pub(super) quirks: Quirks,
    pub(super) now_us: u64,
    pub(super) this: Weak<Mutex<World>>,
    /// The way to the broker, while there is one.
    pub(super) orders: Option<Sender<Order>>,
    held: Vec<(&'static str, Outgoing)>,
    /// Queue of the asking worker, or of all of them.
    pub(super) asking: String,
    /// Queue of the control processes (5.0).
    pub(super) controlling: String,
    /// Queue of the switch node's commands.
    pub(super) commanding: String,
    pub(super) channels: HashMap<String, Channel>,
    pub(super) calls: HashMap<String, Call>,
    /// Path → bytes.
    pub(super) disk: HashMap<String, Vec<u8>>,
    /// `Media-Name` → the caller's voice on that tape.
    pub(super) voices: HashMap<String, f32>,
    /// How the next uploads go; whole when it is empty.
    pub(super) transfers: VecDeque<Transfer>,
    pub(super) uploads: Vec<Upload>,
    /// Notices of the product's own, as they came.
    pub(super) notices: Vec<Fields>,
    /// What was said against the rules.
    pub(super) faults: Vec<String>,
}

impl World {
    pub(super) fn new(tree: Tree, this: Weak<Mutex<Self>>, word: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let queue = |what: &str| format!("ecallmgr@kz1.acme.test-{what}-<0.1187.0>-{word}");
        Self {
            tree,
            quirks: Quirks::default(),
            now_us: now.unwrap().as_micros() as u64,
            this,
            orders: None,
            held: Vec::new(),
            asking: queue("fetch"),
            controlling: queue("call_control"),
            commanding: queue("fs_node"),
            channels: HashMap::new(),
            calls: HashMap::new(),
            disk: HashMap::new(),
            voices: HashMap::new(),
            transfers: VecDeque::new(),
            uploads: Vec::new(),
            notices: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// The token and the address of a process of ours behind a queue: 4.3 has a queue for each.
    pub(super) fn address(&self, token: &str, queue: &str) -> String {
        match self.tree {
            Tree::V43 => queue.to_owned(),
            Tree::V50 => format!("pid://{token}/{queue}"),
        }
    }

    pub(super) fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let ordered = orders.try_send(order);
            assert!(ordered.is_ok(), "the wire is stuck: {ordered:?}");
        }
    }

    /// Opens the queue of one call's control process.
    pub(super) fn open_control(&mut self, queue: String) {
        self.order(Order::Control(queue));
    }

    /// Publishes whatever the script wants to have said.
    pub(super) fn say(
        &mut self,
        exchange: &'static str,
        key: &str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) {
        self.now_us += 1;
        let message = self.outgoing(exchange, key, headers, body);
        self.order(Order::Publish(message));
    }

    fn outgoing(
        &self,
        exchange: &'static str,
        key: &str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Outgoing {
        Outgoing {
            exchange,
            key: key.to_owned(),
            headers,
            body,
            timestamp: self.now_us + GREGORIAN_US,
        }
    }

    /// Publishes a message, with this peer's habits.
    pub(super) fn tell(&mut self, exchange: &'static str, key: &str, mut message: Fields) {
        self.bend(&mut message);
        self.say(exchange, key, Vec::new(), bytes(message));
    }

    /// To one queue, or to a process behind it.
    pub(super) fn answer(&mut self, address: &str, mut message: Fields) {
        self.bend(&mut message);
        let (key, token) = resolve(address);
        let headers = token
            .map(|token| ("Deliver-To-PID", token))
            .into_iter()
            .collect();
        self.say("targeted", &key, headers, bytes(message));
    }

    fn bend(&self, message: &mut Fields) {
        if self.quirks.loose {
            loosen(message);
        }
        if self.quirks.adorned {
            adorn(message);
        }
    }

    /// Publishes an event of a channel.
    pub(super) fn event(&mut self, name: &'static str, id: &str, extra: Fields) {
        self.now_us += 1;
        let channel = &self.channels[id];
        let mut event = self.tree.event(name, channel, self.now_us);
        let key_id = channel.key_id().to_owned();
        event.extend(extra);
        self.publish_event(name, &key_id, event);
    }

    /// Publishes an event: once, twice, never or later.
    pub(super) fn publish_event(&mut self, name: &'static str, key_id: &str, mut event: Fields) {
        if self.quirks.lost.contains(&name) {
            return;
        }
        let moves = ["CHANNEL_REPLACED", "CHANNEL_TRANSFEREE", "usurp_control"].contains(&name);
        if self.quirks.sparing && !moves {
            strip(self.tree, &mut event);
        }
        self.bend(&mut event);
        let headers = match self.tree {
            Tree::V43 => Vec::new(),
            Tree::V50 => vec![("call-id", key_id.to_owned())],
        };
        let key = format!("call.{name}.{}", enc(key_id));
        let body = bytes(event);
        let late = self
            .quirks
            .late
            .iter()
            .find(|(held, _)| *held == name)
            .map(|(_, until)| *until);
        for _ in 0..=usize::from(self.quirks.twice) {
            match late {
                Some(until) => {
                    let message = self.outgoing("callevt", &key, headers.clone(), body.clone());
                    self.held.push((until, message));
                }
                None => self.say("callevt", &key, headers.clone(), body.clone()),
            }
        }
        let (due, held) = self.held.drain(..).partition(|(until, _)| *until == name);
        self.held = held;
        for (_, message) in Vec::from_iter::<Vec<_>>(due) {
            self.order(Order::Publish(message));
        }
    }

    /// A command is done; the next one may start.
    pub(super) fn complete(&mut self, id: &str, application: &str, extra: Fields) {
        let mut done = super::shape::fields(
            &json!({"Application-Name": application, "Raw-Application-Name": application}),
        );
        done.extend(extra);
        self.event("CHANNEL_EXECUTE_COMPLETE", id, done);
    }

    /// The running command ended so; the queue advances.
    pub(super) fn finish(&mut self, id: &str, application: &str, extra: Fields) {
        self.complete(id, application, extra);
        if let Some(call) = self.calls.get_mut(id) {
            call.control.running = None;
        }
        self.advance(id);
    }

    /// Ends a recording: the file is on the switch's disk, and everybody hears of it.
    pub(super) fn stop_tape(&mut self, id: &str, name: &str, end: End) {
        let call = self.calls.get_mut(id).expect("a call that records");
        let Some(at) = call.tapes.iter().position(|tape| tape.name == name) else {
            return;
        };
        let tape = call.tapes.remove(at);
        let length_ms = (self.now_us - tape.started_us) / 1000;
        let file = tape.file(length_ms);
        let mut stop = self.tree.ends(&self.channels[id]);
        stop.extend(super::shape::fields(&json!({
            "Application-Name": "record", "Application-Response": tape.path, "Length": length_ms.to_string(),
        })));
        match end {
            End::Key(key) => drop(stop.insert("Terminator".into(), json!(key.to_string()))),
            End::Silence => drop(stop.insert("Silence-Terminated".into(), json!(true))),
            _ => drop(stop.insert("Silence-Terminated".into(), json!(false))),
        }
        if self.tree == Tree::V50 {
            stop.insert(
                "Recording".into(),
                tape.recording(Some((end, length_ms, file.len()))),
            );
        }
        self.disk.insert(tape.path.clone(), file);
        self.event("RECORD_STOP", id, stop);
        if tape.order == Ordered::InTurn && !self.channels[id].gone {
            let extra = json!({"Application-Response": tape.path, "Length": length_ms.to_string()});
            // 4.3 calls the end of `record` the end of a bridge.
            let label = if self.tree == Tree::V43 {
                "bridge"
            } else {
                "record"
            };
            self.finish(id, label, super::shape::fields(&extra));
        }
    }

    /// Ends a leg.
    pub(super) fn destroy(&mut self, id: &str, cause: &str) {
        if self.channels[id].gone {
            return;
        }
        self.part(id, "NORMAL_CLEARING");
        let names: Vec<String> = self
            .calls
            .get(id)
            .into_iter()
            .flat_map(|call| &call.tapes)
            .map(|tape| tape.name.clone())
            .collect();
        self.channels.get_mut(id).expect("it is there").gone = true;
        for name in names {
            self.stop_tape(id, &name, End::Hangup);
        }
        let mut last = self
            .tree
            .destruction(&self.channels[id], self.now_us, cause);
        if self.tree == Tree::V50 {
            last.insert(
                "Media-Recordings".into(),
                json!(self.disk.keys().collect::<Vec<_>>()),
            );
        }
        self.event("CHANNEL_DESTROY", id, last);
    }

    /// Parts a leg from its other one, which ends with this cause.
    pub(super) fn part(&mut self, id: &str, cause: &str) {
        let Some(other) = self
            .channels
            .get_mut(id)
            .and_then(|channel| channel.other_leg.take())
        else {
            return;
        };
        let answered = self.channels[&other].answered_us.is_some();
        self.channels
            .get_mut(&other)
            .expect("it is there")
            .other_leg = None;
        if answered {
            let left = super::shape::fields(
                &json!({"Other-Leg-Call-ID": other, "Hangup-Code": sip_code(cause)}),
            );
            self.event("CHANNEL_UNBRIDGE", id, left);
        }
        let cause = if answered { cause } else { "ORIGINATOR_CANCEL" };
        self.destroy(&other, cause);
        self.leg_event("LEG_DESTROYED", id, &other);
    }

    /// 4.3 tells the controlled leg about its other one.
    pub(super) fn leg_event(&mut self, name: &'static str, id: &str, other: &str) {
        if self.tree == Tree::V43 {
            let other = json!({"Other-Leg-Call-ID": other, "Other-Leg-Direction": "outbound"});
            self.event(name, id, super::shape::fields(&other));
        }
    }

    /// A command that could not be executed, as its tree tells it.
    pub(super) fn refuse(&mut self, id: &str, command: &Command, why: &str) {
        let msg_id = text(command, "Msg-ID").unwrap_or_default();
        let application = text(command, "Application-Name")
            .unwrap_or_default()
            .to_owned();
        // Nobody is told of a hangup that failed; 5.0 tells the end of a bridge instead.
        if application == "hangup" {
            return;
        }
        if application == "bridge" && self.tree == Tree::V50 {
            let failed = json!({"Application-Response": "SUBSCRIBER_ABSENT", "Hangup-Cause": "SUBSCRIBER_ABSENT"});
            return self.complete(id, "bridge", super::shape::fields(&failed));
        }
        let mut request = command.clone();
        let mut error = self.tree.headers("error", "dialplan", msg_id);
        error.insert("Call-ID".into(), json!(id));
        error.insert("Error-Message".into(), json!(format!("{why}{application}")));
        if self.tree == Tree::V50 {
            request.retain(|key, _| {
                ![
                    "App-Name",
                    "App-Version",
                    "Event-Category",
                    "Event-Name",
                    "Msg-ID",
                    "Node",
                    "Server-ID",
                ]
                .contains(&key.as_str())
            });
            error.insert("Channel-State".into(), json!("EXECUTE"));
            error.insert("Channel-Call-State".into(), json!("ACTIVE"));
            error.insert("Dialplan-Error".into(), json!("-ERR invalid session"));
        }
        error.insert("Request".into(), Value::Object(request));
        self.publish_event("dialplan", id, error);
    }

    /// The switch node's part of a message.
    pub(super) fn is_my_switch(&self, key: &str) -> bool {
        key == format!("switch.command.{}", enc(SWITCH))
    }
}

fn bytes(message: Fields) -> Vec<u8> {
    Value::Object(message).to_string().into_bytes()
}
