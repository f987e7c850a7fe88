//! How a channel looks in the messages of each tree, and what a clumsy or a sparing peer makes of a message.

use serde_json::{Map, Number, Value, json};

/// Seconds from year 0 to 1970.
const GREGORIAN: u64 = 62_167_219_200;

/// Which Kazoo is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    V43,
    V50,
}

/// The switch's Erlang node.
pub(super) const SWITCH: &str = "freeswitch@fs1.acme.test";
/// Its host.
const SWITCH_HOST: &str = "fs1.acme.test";
/// The node of ecallmgr.
pub(super) const ECALLMGR: &str = "ecallmgr@kz1.acme.test";

pub(super) type Fields = Map<String, Value>;

/// One leg on the switch.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) id: String,
    /// The SIP Call-ID where the leg has another id; it stands in routing keys.
    pub(super) origination_id: Option<String>,
    /// Into the switch.
    pub(super) inbound: bool,
    /// `user@realm`.
    pub(super) from: String,
    /// `user@realm`.
    pub(super) to: String,
    pub(super) created_us: u64,
    pub(super) answered_us: Option<u64>,
    pub(super) other_leg: Option<String>,
    pub(super) gone: bool,
    pub(super) channel_vars: Fields,
}

impl Channel {
    fn state(&self) -> (&'static str, &'static str, &'static str) {
        match (self.gone, self.answered_us) {
            (true, _) => ("HANGUP", "HANGUP", "hangup"),
            (false, Some(_)) => ("EXECUTE", "ACTIVE", "answered"),
            (false, None) => ("EXECUTE", "RINGING", "ringing"),
        }
    }

    /// The word of its routing keys.
    pub(super) fn key_id(&self) -> &str {
        self.origination_id.as_deref().unwrap_or(&self.id)
    }

    fn user_of<'a>(&self, address: &'a str) -> &'a str {
        address.split('@').next().unwrap_or_default()
    }
}

impl Tree {
    /// The headers of what ecallmgr itself says.
    pub(super) fn headers(self, category: &str, name: &str, msg_id: &str) -> Fields {
        let version = match self {
            Self::V43 => "4.0.0",
            Self::V50 => "5.0.0",
        };
        fields(&json!({
            "App-Name": "ecallmgr", "App-Version": version, "Node": ECALLMGR,
            "Event-Category": category, "Event-Name": name, "Msg-ID": msg_id,
        }))
    }

    /// An event of a channel: headers, and the fields every event has.
    pub(super) fn event(self, name: &str, channel: &Channel, now_us: u64) -> Fields {
        let mut event = self.headers("call_event", name, &now_us.to_string());
        if self == Self::V50 {
            // The switch's own module builds them.
            event.extend(fields(
                &json!({"App-Name": "freeswitch", "App-Version": "1.0", "Node": SWITCH}),
            ));
        }
        event.extend(self.common(channel, now_us));
        let (Self::V43, created) = (self, channel.created_us) else {
            event.insert(
                "Channel-Created-Time".into(),
                json!(channel.created_us.to_string()),
            );
            event.insert("Channel-Answer-State".into(), json!(channel.state().2));
            event.insert(
                "Caller-Destination-Number".into(),
                json!(channel.user_of(&channel.to)),
            );
            return event;
        };
        event.insert("Channel-Created-Time".into(), json!(created));
        event
    }

    fn common(self, channel: &Channel, now_us: u64) -> Fields {
        let seconds = match self {
            Self::V43 => now_us / 1_000_000,
            Self::V50 => now_us.div_ceil(1_000_000),
        };
        let (state, call_state, _) = channel.state();
        let mut common = fields(&json!({
            "Call-ID": channel.id,
            "Timestamp": seconds + GREGORIAN,
            "Call-Direction": if channel.inbound { "inbound" } else { "outbound" },
            "Caller-ID-Name": channel.user_of(&channel.from),
            "Caller-ID-Number": channel.user_of(&channel.from),
            "Callee-ID-Name": channel.user_of(&channel.to),
            "Callee-ID-Number": channel.user_of(&channel.to),
            "Channel-State": state,
            "Channel-Call-State": call_state,
            "Channel-Name": format!("sofia/sipinterface_1/{}", channel.from),
            "Channel-Is-Loopback": false,
            "From-Tag": "Bv9pQmS1", "To-Tag": "4aK2rr0cXHveF",
            "Presence-ID": channel.from,
            "Switch-Hostname": SWITCH_HOST, "Media-Server": SWITCH_HOST, "Switch-Nodename": SWITCH,
            "Switch-URL": "sip:mod_sofia@10.26.0.41:11000", "Switch-URI": "sip:10.26.0.41:11000",
            "Custom-Channel-Vars": channel.channel_vars,
            "Custom-Application-Vars": {},
        }));
        if let Some(other) = &channel.other_leg {
            common.insert("Other-Leg-Call-ID".into(), json!(other));
            common.insert("Other-Leg-Direction".into(), json!("outbound"));
        }
        if let Some(id) = &channel.origination_id {
            common.insert("Origination-Call-ID".into(), json!(id));
        }
        common
    }

    /// Who is on both ends, as creation, answer and end of a channel tell it.
    pub(super) fn ends(self, channel: &Channel) -> Fields {
        fields(&json!({"Request": channel.to, "To": channel.to, "From": channel.from}))
    }

    /// The last words about a channel.
    pub(super) fn destruction(self, channel: &Channel, now_us: u64, cause: &str) -> Fields {
        let seconds = |from: u64| (now_us - from) / 1_000_000;
        let answered = channel.answered_us;
        let mut last = self.ends(channel);
        last.extend(fields(&json!({
            "Hangup-Cause": cause, "Hangup-Code": sip_code(cause),
            "Disposition": if answered.is_some() { "ANSWER" } else { cause },
            "Duration-Seconds": seconds(channel.created_us),
            "Billing-Seconds": answered.map_or(0, seconds),
            "Ringing-Seconds": answered.map_or_else(|| seconds(channel.created_us), |at| (at - channel.created_us) / 1_000_000),
            "User-Agent": "Yealink SIP-T46S", "Remote-SDP": "v=0\r\n", "Local-SDP": "v=0\r\n",
        })));
        last
    }
}

/// What SIP would say.
pub(super) fn sip_code(cause: &str) -> &'static str {
    match cause {
        "NORMAL_CLEARING" | "SUCCESS" => "sip:200",
        "USER_BUSY" => "sip:486",
        "NO_ANSWER" => "sip:480",
        "ORIGINATOR_CANCEL" => "sip:487",
        "CALL_REJECTED" => "sip:603",
        _ => "sip:500",
    }
}

/// The fields of a JSON object.
pub(super) fn fields(value: &Value) -> Fields {
    value.as_object().cloned().unwrap_or_default()
}

/// Numbers that an Erlang peer may as well send as strings, and the other way round.
const NUMBERS: &[&str] = &[
    "Billing-Seconds",
    "Channel-Created-Time",
    "DTMF-Duration",
    "Duration-Seconds",
    "File-MilliSeconds",
    "File-Samples",
    "File-Seconds",
    "File-Size",
    "From-Network-Port",
    "Length",
    "Ringing-Seconds",
    "Timestamp",
];

/// Numbers as strings, strings as numbers, booleans as strings, as deep as they stand.
pub(super) fn loosen(message: &mut Fields) {
    for (key, value) in message.iter_mut() {
        match value {
            Value::Object(inner) => loosen(inner),
            Value::Bool(truth) => *value = json!(truth.to_string()),
            Value::Number(number) => *value = json!(number.to_string()),
            Value::String(text) if NUMBERS.contains(&key.as_str()) => {
                if let Ok(number) = text.parse::<Number>() {
                    *value = Value::Number(number);
                }
            }
            _ => {}
        }
    }
}

/// Fields without which a message would say nothing.
const ESSENTIAL: &[&str] = &[
    "App-Name",
    "App-Version",
    "Event-Category",
    "Event-Name",
    "Msg-ID",
    "Server-ID",
    "Call-ID",
    "From",
    "To",
    "Request",
    "Application-Name",
    "Application-Response",
    "Control-Queue",
    "Fetch-ID",
    "Replaced-By",
    "Disposition",
    "DTMF-Digit",
    "Switch-Nodename",
    "Error-Message",
];

/// Leaves out what is optional. 4.3 says 0 for a length that it does not know.
pub(super) fn strip(tree: Tree, message: &mut Fields) {
    let counted = message.contains_key("Length");
    message.retain(|key, _| ESSENTIAL.contains(&key.as_str()));
    if counted && tree == Tree::V43 {
        message.insert("Length".into(), json!(0));
    }
}

/// Adds what nobody has heard of.
pub(super) fn adorn(message: &mut Fields) {
    message.extend(fields(&json!({
        "Raw-Headers": {"X-Unknown": ["a", {"b": null}]}, "Channel-Debug": {"deep": [[[]]]},
        "Geo-Location": {"latitude": 59.33}, "Call-Interaction-Id": 7, "Röst": "åäö",
    })));
}
