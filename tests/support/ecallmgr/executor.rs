//! Executes dialplan commands as ecallmgr and its switch do: some at once, one at a time, some until something happens.

use serde_json::{Value, json};

use super::{
    control::{Command, text},
    shape::{Channel, Fields, Tree, fields},
    tape::{End, Order, Tape},
    world::World,
};

/// What is left to be executed on a channel that is gone: 4.3 keeps its control process for these.
const POSTHUMOUS: &[&str] = &["store", "set", "presence", "record"];

impl World {
    /// Takes a command in.
    pub(super) fn obey(&mut self, id: &str, command: Command) {
        if self.channels[id].gone {
            return self.obey_late(id, command);
        }
        let call = self.calls.get_mut(id).expect("commanded");
        let at_once = call.control.insert(command);
        if at_once.broken {
            self.break_off(id);
        }
        for command in at_once.commands {
            self.execute(id, command, false);
        }
        self.advance(id);
    }

    fn obey_late(&mut self, id: &str, command: Command) {
        let name = text(&command, "Application-Name")
            .unwrap_or_default()
            .to_owned();
        self.calls
            .get_mut(id)
            .expect("commanded")
            .late
            .push(command.clone());
        if self.tree == Tree::V50 || !POSTHUMOUS.contains(&name.as_str()) {
            self.refuse(id, &command, "Session ID not found for ");
        }
    }

    /// Starts what waits, until something runs that takes time.
    pub(super) fn advance(&mut self, id: &str) {
        while !self.channels[id].gone {
            let call = self.calls.get_mut(id).expect("it has a control");
            let Some(command) = call.control.advance() else {
                return;
            };
            self.execute(id, command, true);
        }
    }

    fn execute(&mut self, id: &str, command: Command, queued: bool) {
        let name = text(&command, "Application-Name")
            .unwrap_or_default()
            .to_owned();
        self.calls
            .get_mut(id)
            .expect("commanded")
            .executed
            .push(command.clone());
        if self.quirks.refused.contains(&name.as_str()) {
            self.refuse(id, &command, "Could not execute dialplan action: ");
        } else if self.begin(id, &name, &command, queued) == Progress::Running {
            return;
        }
        if queued && let Some(call) = self.calls.get_mut(id) {
            call.control.running = None;
        }
    }

    /// Executes one command: done, or running until something ends it.
    fn begin(&mut self, id: &str, name: &str, command: &Command, queued: bool) -> Progress {
        match name {
            "answer" => self.answered(id),
            "set" => self.set(id, command),
            "noop" => self.noop(id, command, queued),
            "play" | "tts" | "tones" => {
                if queued && self.quirks.lasting.contains(&name) {
                    return Progress::Running;
                }
                self.played(id, name, None);
            }
            "ring" | "progress" | "sleep" | "say" => self.complete(id, name, Fields::new()),
            "break" | "playstop" => self.break_off(id),
            "hangup" => self.hang_up(id, command),
            "respond" => {
                let code = text(command, "Response-Code").unwrap_or_default();
                let cause = if code == "486" {
                    "USER_BUSY"
                } else {
                    "CALL_REJECTED"
                };
                self.destroy(id, cause);
            }
            "record_call" => self.record_call(id, command),
            "record" => {
                self.start_tape(id, Order::InTurn, command);
                return Progress::Running;
            }
            "bridge" => {
                self.ring(id, command);
                return Progress::Running;
            }
            "park" => {}
            other => self.fault(format!("{other}: this peer does not execute it")),
        }
        Progress::Done
    }

    fn answered(&mut self, id: &str) {
        let now = self.now_us;
        let channel = self.channels.get_mut(id).expect("it is there");
        if channel.answered_us.is_none() {
            channel.answered_us = Some(now);
            let ends = self.tree.ends(&self.channels[id]);
            self.event("CHANNEL_ANSWER", id, ends);
        }
        self.complete(id, "answer", Fields::new());
    }

    fn set(&mut self, id: &str, command: &Command) {
        for key in ["Custom-Channel-Vars", "Custom-Call-Vars"] {
            let vars = fields(command.get(key).unwrap_or(&Value::Null));
            self.set_vars(id, &vars);
        }
    }

    fn noop(&mut self, id: &str, command: &Command, queued: bool) {
        let msg_id = command.get("Msg-ID").cloned().unwrap_or_default();
        self.complete(id, "noop", fields(&json!({"Application-Response": msg_id})));
        if !queued {
            self.calls
                .get_mut(id)
                .expect("commanded")
                .control
                .filter(command);
        }
    }

    /// Media ended, by themselves or by a key.
    pub(super) fn played(&mut self, id: &str, name: &str, key: Option<char>) {
        // 4.3 plays files for everything.
        let label = if self.tree == Tree::V43 { "play" } else { name };
        let mut done = fields(&json!({"Application-Response": "FILE PLAYED"}));
        if let Some(key) = key {
            done.insert("DTMF-Digit".into(), json!(key.to_string()));
        }
        self.complete(id, label, done);
    }

    /// Breaks the running media off.
    fn break_off(&mut self, id: &str) {
        let Some(name) = self.calls[id].control.runs().map(str::to_owned) else {
            return;
        };
        match name.as_str() {
            "play" | "tts" | "tones" => {
                self.played(id, &name, None);
                self.calls.get_mut(id).expect("commanded").control.running = None;
            }
            "record" => self.end_record(id, End::Stopped),
            _ => {}
        }
    }

    fn hang_up(&mut self, id: &str, command: &Command) {
        let cause = text(command, "Hangup-Cause")
            .unwrap_or("NORMAL_CLEARING")
            .to_owned();
        let other_only = command
            .get("Other-Leg-Only")
            .is_some_and(|flag| flag == true || flag == "true");
        if other_only {
            self.part(id, &cause);
        } else {
            self.destroy(id, &cause);
        }
    }

    fn record_call(&mut self, id: &str, command: &Command) {
        let name = text(command, "Media-Name").map(str::to_owned);
        let current = || {
            self.calls[id]
                .tapes
                .iter()
                .rev()
                .find(|tape| tape.order == Order::Beside)
                .map(|tape| tape.name.clone())
        };
        match text(command, "Record-Action") {
            Some("start") => self.start_tape(id, Order::Beside, command),
            Some("stop") => {
                if let Some(name) = name.or_else(current) {
                    self.stop_tape(id, &name, End::Stopped);
                }
            }
            _ => {}
        }
    }

    fn start_tape(&mut self, id: &str, order: Order, command: &Command) {
        let tape = Tape::of(order, command, self.voices.len(), self.now_us);
        self.voices.insert(tape.name.clone(), tape.hz);
        if let Some(channel) = self.channels.get_mut(id) {
            tape.leaves(self.tree, command, &mut channel.channel_vars);
        }
        let mut start =
            fields(&json!({"Application-Name": "record", "Application-Response": tape.path}));
        if self.tree == Tree::V50 {
            start.insert("Recording".into(), tape.recording(None));
        }
        self.calls.get_mut(id).expect("commanded").tapes.push(tape);
        self.event("RECORD_START", id, start);
    }

    /// Ends the `record` that runs in its turn.
    pub(super) fn end_record(&mut self, id: &str, end: End) {
        let tape = self.calls[id]
            .tapes
            .iter()
            .find(|tape| tape.order == Order::InTurn);
        let name = tape.expect("the caller is recorded").name.clone();
        self.stop_tape(id, &name, end);
    }

    /// Rings the first endpoint of a bridge: its leg exists, by the name that it was given.
    fn ring(&mut self, id: &str, command: &Fields) {
        let caller = self.channels[id].clone();
        let named = command["Endpoints"][0]["Outbound-Call-ID"].as_str();
        let made_up = || format!("{}-b{}", id.replace('@', "-"), self.channels.len());
        let other = named.map_or_else(made_up, str::to_owned);
        let leg = Channel {
            id: other.clone(),
            origination_id: (self.tree == Tree::V50).then(|| format!("{other}@10.26.0.41")),
            inbound: false,
            answered_us: None,
            created_us: self.now_us,
            other_leg: Some(id.to_owned()),
            gone: false,
            ..caller
        };
        self.channels.insert(other.clone(), leg);
        self.channels.get_mut(id).expect("it is there").other_leg = Some(other.clone());
        let ends = self.tree.ends(&self.channels[&other]);
        self.event("CHANNEL_CREATE", &other, ends);
        self.leg_event("LEG_CREATED", id, &other);
        self.event("CHANNEL_PROGRESS_MEDIA", &other, Fields::new());
    }
}

/// How far a command is.
#[derive(PartialEq, Eq)]
enum Progress {
    Done,
    Running,
}
