//! What happens to a call from outside, at the script's word: people pick up, speak, press keys and leave, other controllers
//! come, switches vanish.

use serde_json::{Value, json};

use super::{
    control::text,
    hearing::process_of,
    shape::{Channel, Fields, SWITCH, Tree, fields, sip_code},
    tape::{End, Order},
    wire::enc,
    world::{Call, World},
};
use crate::support::estate::{ACCOUNT, CALLER, CALLER_USER, REALM};

/// A call to be offered.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    /// What the caller dials.
    pub(crate) number: String,
    /// Whose call it is; none when nobody knows yet.
    pub(crate) account: Option<String>,
    /// Changes to the channel's variables: null removes one.
    pub(crate) vars: Value,
}

impl Dial {
    /// A device of the test account dials a number.
    pub(crate) fn to(number: &str) -> Self {
        Self {
            number: number.to_owned(),
            account: Some(ACCOUNT.to_owned()),
            vars: json!({}),
        }
    }
}

/// A bridge that was not answered, or the end of one that was.
fn bridged(tree: Tree, cause: &str, answered: bool) -> Fields {
    let result = match (tree, answered) {
        (Tree::V43, true) => "SUCCESS",
        _ => cause,
    };
    let mut end = fields(&json!({
        "Application-Response": result, "Hangup-Code": if answered { "sip:200" } else { sip_code(cause) },
        "Disposition": if answered { "SUCCESS" } else { cause },
    }));
    if !answered {
        end.insert("Hangup-Cause".into(), json!(cause));
    }
    end
}

impl World {
    /// A call enters the switch and is offered to whoever wants it.
    pub(super) fn dial(&mut self, dial: &Dial) -> String {
        let word = super::word();
        let id = match self.tree {
            Tree::V43 => format!("{word}@10.26.0.14"),
            Tree::V50 => format!(
                "{}-{}-4{}-8{}-{word}",
                &word[..8],
                &word[8..12],
                &word[1..4],
                &word[4..7]
            ),
        };
        let fetch_id = format!("f{}", super::word());
        let channel = Channel {
            id: id.clone(),
            origination_id: None,
            inbound: true,
            from: format!("{CALLER}@{REALM}"),
            to: format!("{}@{REALM}", dial.number),
            created_us: self.now_us,
            answered_us: None,
            other_leg: None,
            gone: false,
            channel_vars: self.vars(dial, &fetch_id),
        };
        let request = self.request(&channel, &fetch_id);
        self.channels.insert(id.clone(), channel);
        let call = Call {
            fetch_id,
            request: request.clone(),
            ..Call::default()
        };
        self.calls.insert(id.clone(), call);
        let ends = self.tree.ends(&self.channels[&id]);
        self.event("CHANNEL_CREATE", &id, ends);
        self.ask(dial.account.as_deref(), request);
        id
    }

    fn vars(&self, dial: &Dial, fetch_id: &str) -> Fields {
        let mut vars = fields(&json!({
            "Account-Realm": REALM, "Realm": REALM, "Username": CALLER,
            "Authorizing-ID": "d0000000000000000000000000000001", "Authorizing-Type": "device",
            "Owner-ID": CALLER_USER, "Fetch-ID": fetch_id,
            "Call-Interaction-ID": format!("{}-8f3c21aa", self.now_us / 1_000_000 + 62_167_219_200),
            "Ecallmgr-Node": super::shape::ECALLMGR, "Channel-Authorized": "true",
        }));
        if let Some(account) = &dial.account {
            vars.insert("Account-ID".into(), json!(account));
        }
        if self.tree == Tree::V50 {
            vars.insert("Call-Interaction-Is-Root".into(), json!(true));
        }
        for (key, value) in fields(&dial.vars) {
            vars.remove(&key);
            if !value.is_null() {
                vars.insert(key, value);
            }
        }
        vars
    }

    fn request(&self, channel: &Channel, fetch_id: &str) -> Fields {
        let mut request = self.tree.headers("dialplan", "route_req", fetch_id);
        let essentials = json!({
            "Server-ID": self.address(&process_of(fetch_id), &self.asking),
            "Call-ID": channel.id, "From": channel.from, "To": channel.to, "Request": channel.to,
            "Switch-Nodename": SWITCH, "Custom-Channel-Vars": channel.channel_vars,
        });
        request.extend(fields(&essentials));
        if self.quirks.sparing {
            let vars = request["Custom-Channel-Vars"]
                .as_object_mut()
                .expect("an object");
            vars.retain(|key, _| {
                ["Account-ID", "Fetch-ID", "Authorizing-Type"].contains(&key.as_str())
            });
            return request;
        }
        request.extend(fields(&json!({
            "Caller-ID-Name": "Ylva Ek", "Caller-ID-Number": CALLER, "Call-Direction": "inbound",
            "Resource-Type": "audio", "From-Network-Addr": "10.26.0.77", "From-Network-Port": "5060",
            "Switch-Hostname": "fs1.acme.test", "Switch-URL": "sip:mod_sofia@10.26.0.41:11000",
            "Switch-URI": "sip:10.26.0.41:11000", "User-Agent": "Yealink SIP-T46S", "From-Tag": "Bv9pQmS1",
            "Custom-SIP-Headers": {"X-AUTH-IP": "10.26.0.77"}, "Custom-Application-Vars": {},
        })));
        if self.tree == Tree::V43 {
            request.insert("Context".into(), json!("context_2"));
        }
        request
    }

    /// A channel is routed anew: its old control process is gone, and who answers this time is its controller.
    pub(super) fn call_again(&mut self, id: &str, number: &str) {
        let fetch_id = format!("f{}", super::word());
        let channel = self.channels.get_mut(id).expect("it is there");
        channel.to = format!("{number}@{REALM}");
        channel
            .channel_vars
            .insert("Fetch-ID".into(), json!(fetch_id));
        let request = self.request(&self.channels[id], &fetch_id);
        let old = self.calls.remove(id).expect("it has a control");
        let call = Call {
            fetch_id,
            request: request.clone(),
            tapes: old.tapes,
            ..Call::default()
        };
        self.calls.insert(id.to_owned(), call);
        let account = text(&self.channels[id].channel_vars, "Account-ID").map(str::to_owned);
        self.ask(account.as_deref(), request);
    }

    /// Publishes a request under the key of its account, or of its caller.
    pub(super) fn ask(&mut self, account: Option<&str>, request: Fields) {
        let key = match account {
            Some(account) => format!("route.req.audio.{}", enc(account)),
            None => format!("route.req.audio.{}.{CALLER}", enc(REALM)),
        };
        self.tell("callmgr", &key, request);
    }

    /// The callee picks up.
    pub(super) fn callee_answers(&mut self, id: &str) {
        let other = self.ringing(id);
        let now = self.now_us;
        for leg in [other.as_str(), id] {
            let channel = self.channels.get_mut(leg).expect("both are there");
            if channel.answered_us.is_some() {
                continue;
            }
            channel.answered_us = Some(now);
            let ends = self.tree.ends(&self.channels[leg]);
            self.event("CHANNEL_ANSWER", leg, ends);
        }
        for (leg, other) in [(id, other.as_str()), (other.as_str(), id)] {
            let mut joined = fields(&json!({"Other-Leg-Call-ID": other}));
            if self.tree == Tree::V50 {
                joined.insert("Bridge-B-Unique-ID".into(), json!(other));
            }
            self.event("CHANNEL_BRIDGE", leg, joined);
        }
    }

    /// The end of a bridge that another session began.
    pub(super) fn bridge_is_over(&mut self, id: &str, cause: &str) {
        let end = bridged(self.tree, cause, false);
        self.complete(id, "bridge", end);
    }

    fn ringing(&self, id: &str) -> String {
        assert_eq!(
            self.calls[id].control.runs(),
            Some("bridge"),
            "nobody is rung"
        );
        self.channels[id]
            .other_leg
            .clone()
            .expect("the callee's leg")
    }

    /// The callee leaves, or never comes.
    pub(super) fn callee_goes(&mut self, id: &str, cause: &str) {
        let other = self.ringing(id);
        let answered = self.channels[&other].answered_us.is_some();
        self.channels.get_mut(id).expect("it is there").other_leg = None;
        if answered {
            let left = fields(&json!({"Other-Leg-Call-ID": other}));
            self.event("CHANNEL_UNBRIDGE", id, left);
        }
        self.channels
            .get_mut(&other)
            .expect("it is there")
            .other_leg = None;
        self.destroy(&other, cause);
        self.leg_event("LEG_DESTROYED", id, &other);
        let end = bridged(self.tree, cause, answered);
        self.finish(id, "bridge", end);
    }

    /// The caller presses a key.
    pub(super) fn press(&mut self, id: &str, key: char) {
        let duration = match self.tree {
            Tree::V43 => json!("1600"),
            Tree::V50 => json!(1600),
        };
        let digit = fields(&json!({"DTMF-Digit": key.to_string(), "DTMF-Duration": duration}));
        self.event("DTMF", id, digit);
        let control = &self.calls[id].control;
        let Some(running) = control.running.clone() else {
            return;
        };
        let ends = running.get("Terminators").and_then(Value::as_array);
        if !ends.is_some_and(|keys| keys.contains(&json!(key.to_string()))) {
            return;
        }
        match text(&running, "Application-Name") {
            Some("record") => self.end_record(id, End::Key(key)),
            Some(name @ ("play" | "tts" | "tones")) => {
                self.media_end(id, name, Some(key), running.get("Group-ID"))
            }
            _ => {}
        }
    }

    /// The running media come to their end, or to a key.
    pub(super) fn media_end(
        &mut self,
        id: &str,
        name: &str,
        key: Option<char>,
        group: Option<&Value>,
    ) {
        self.played(id, name, key);
        let control = &mut self.calls.get_mut(id).expect("it has a control").control;
        if let (Some(_), Some(group)) = (key, group) {
            control.drop_group(name, group);
        }
        control.running = None;
        self.advance(id);
    }

    /// A recording ends by itself.
    pub(super) fn tape_ends(&mut self, id: &str, name: &str, end: End) {
        let tape = self.calls[id].tapes.iter().find(|tape| tape.name == name);
        match tape.expect("it is being recorded").order {
            Order::Beside => self.stop_tape(id, name, end),
            Order::InTurn => self.end_record(id, end),
        }
    }

    /// The call goes on under another id.
    pub(super) fn replace(&mut self, id: &str) -> String {
        let new = format!("{}-r", id.replace('@', "-"));
        let mut channel = self.channels[id].clone();
        channel.id.clone_from(&new);
        self.event("CHANNEL_REPLACED", id, fields(&json!({"Replaced-By": new})));
        self.channels.insert(new.clone(), channel);
        if let Some(old) = self.channels.get_mut(id) {
            old.gone = true;
        }
        let mut call = self.calls.remove(id).expect("it has a control");
        call.control.rename(&new);
        // What is said of the old id from now on is said too late.
        self.calls.insert(
            id.to_owned(),
            Call {
                hushed: true,
                ..Call::default()
            },
        );
        self.calls.insert(new.clone(), call);
        new
    }

    /// The switch, or its link to ecallmgr, is lost.
    pub(super) fn disconnect(&mut self, id: &str) {
        self.event("CHANNEL_DISCONNECTED", id, Fields::new());
    }
}
