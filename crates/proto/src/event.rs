//! Call events: what the switch says happened to a channel (Kazoo `kapi_call`, exchange `callevt`).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient::{Loose, loose, loose_by_serde, loose_or_default};
use crate::{CallId, Envelope, HangupCause, Headers, Utc, encode_word};

/// The events Callreel's switch publishes and its calls understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventName {
    /// A new leg.
    ChannelCreate,
    /// Early media.
    ChannelProgressMedia,
    /// The leg was answered.
    ChannelAnswer,
    /// Two legs were joined.
    ChannelBridge,
    /// They were parted.
    ChannelUnbridge,
    /// A command is done.
    ChannelExecuteComplete,
    /// A phone put its call on hold.
    ChannelHold,
    /// And took it back.
    ChannelUnhold,
    /// A digit.
    Dtmf,
    /// A recording began.
    RecordStart,
    /// A recording ended.
    RecordStop,
    /// This leg was transferred: another controller goes on with it.
    ChannelTransferee,
    /// This leg transferred the other one.
    ChannelTransferor,
    /// Another leg took this one's place: `Replaced-By`.
    ChannelReplaced,
    /// Another application has a flow for the call: `Application-Data`.
    ChannelPivot,
    /// The switch that has the leg is lost.
    ChannelDisconnected,
    /// The switch is back.
    ChannelConnected,
    /// The leg is gone; the last event.
    ChannelDestroy,
    /// A command could not be executed (category `error`, name `dialplan`).
    #[serde(rename = "dialplan")]
    DialplanError,
    /// Any event this version does not know.
    #[serde(other)]
    Unknown,
}

impl EventName {
    /// The `Event-Name`, also a word of the routing key.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChannelCreate => "CHANNEL_CREATE",
            Self::ChannelProgressMedia => "CHANNEL_PROGRESS_MEDIA",
            Self::ChannelAnswer => "CHANNEL_ANSWER",
            Self::ChannelBridge => "CHANNEL_BRIDGE",
            Self::ChannelUnbridge => "CHANNEL_UNBRIDGE",
            Self::ChannelExecuteComplete => "CHANNEL_EXECUTE_COMPLETE",
            Self::ChannelHold => "CHANNEL_HOLD",
            Self::ChannelUnhold => "CHANNEL_UNHOLD",
            Self::Dtmf => "DTMF",
            Self::RecordStart => "RECORD_START",
            Self::RecordStop => "RECORD_STOP",
            Self::ChannelTransferee => "CHANNEL_TRANSFEREE",
            Self::ChannelTransferor => "CHANNEL_TRANSFEROR",
            Self::ChannelReplaced => "CHANNEL_REPLACED",
            Self::ChannelPivot => "CHANNEL_PIVOT",
            Self::ChannelDisconnected => "CHANNEL_DISCONNECTED",
            Self::ChannelConnected => "CHANNEL_CONNECTED",
            Self::ChannelDestroy => "CHANNEL_DESTROY",
            Self::DialplanError => "dialplan",
            Self::Unknown => "unknown",
        }
    }
}

macro_rules! recording_info {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $wire:literal;)*) => {
        /// The recording an event is about (Kazoo 5's `Recording` object, extended).
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        pub struct RecordingInfo {
            $(
                $(#[$doc])*
                #[serde(rename = $wire, default, deserialize_with = "loose", skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
            /// The other keys of the order's `Recording-Variables`, echoed.
            #[serde(flatten)]
            pub variables: Map<String, Value>,
        }
    };
}

recording_info! {
    /// The recording, as whoever ordered it named it; a [`crate::RecordingId`] if that was us.
    id: String = "ID";
    /// File name.
    name: String = "Name";
    /// Who owns it.
    recorder: String = "Recorder";
    /// What started it.
    origin: String = "Origin";
    /// The device or user it is about.
    endpoint_id: String = "Endpoint-ID";
    /// Ours: where the forked RTP comes from.
    fork_source: SocketAddr = "Fork-Source";
    /// Ours: `stopped`, `time_limit`, `hangup` or `silence`; FreeSWITCH's own word on a switch of others.
    completion_cause: String = "Completion-Cause";
    /// Full path of the file on the switch.
    file_path: String = "File-Path";
    /// Bytes of the file.
    file_size: u64 = "File-Size";
    /// Its length.
    file_milliseconds: u64 = "File-MilliSeconds";
}

impl Loose for SocketAddr {
    fn read(json: &Value) -> Option<Self> {
        json.as_str()?.parse().ok()
    }
}

loose_by_serde!(RecordingInfo);

impl Loose for CallId {
    fn read(json: &Value) -> Option<Self> {
        Self::parse(json.as_str()?).ok()
    }
}

/// What an event says under the key `Request`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Requested {
    /// A call event: the dialled `user@realm`.
    Party(String),
    /// A dialplan error: the command that was refused.
    Command(Map<String, Value>),
}

impl Requested {
    /// The dialled `user@realm`.
    pub fn party(&self) -> Option<&str> {
        match self {
            Self::Party(party) => Some(party),
            Self::Command(_) => None,
        }
    }

    /// The refused command.
    pub fn command(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Party(_) => None,
            Self::Command(command) => Some(command),
        }
    }
}

impl Loose for Requested {
    fn read(json: &Value) -> Option<Self> {
        match json {
            Value::String(party) => Some(Self::Party(party.clone())),
            Value::Object(command) => Some(Self::Command(command.clone())),
            _ => None,
        }
    }
}

macro_rules! call_event {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $wire:literal;)*) => {
        /// A call event. Category `call_event`; only the fields that fit the event are there.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct CallEvent {
            /// The leg it happened to.
            #[serde(rename = "Call-ID")]
            pub call_id: CallId,
            /// Gregorian seconds.
            #[serde(rename = "Timestamp", default, deserialize_with = "loose_or_default")]
            pub timestamp: i64,
            /// Variables of the channel.
            #[serde(rename = "Custom-Channel-Vars", default, deserialize_with = "loose_or_default", skip_serializing_if = "Map::is_empty")]
            pub custom_channel_vars: Map<String, Value>,
            $(
                $(#[$doc])*
                #[serde(rename = $wire, default, deserialize_with = "loose", skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
        }

        impl CallEvent {
            /// An event about this leg, at this instant, with no further field.
            pub fn new(call_id: CallId, at: Utc) -> Self {
                Self {
                    call_id,
                    timestamp: at.gregorian_seconds(),
                    custom_channel_vars: Map::new(),
                    $($name: None,)*
                }
            }
        }
    };
}

call_event! {
    /// `inbound` or `outbound`, as the switch sees it.
    call_direction: String = "Call-Direction";
    /// Caller, `user@realm`.
    from: String = "From";
    /// Callee, `user@realm`.
    to: String = "To";
    /// Dialled, or refused.
    request: Requested = "Request";
    /// Caller's name.
    caller_id_name: String = "Caller-ID-Name";
    /// Caller's number.
    caller_id_number: String = "Caller-ID-Number";
    /// Callee's name.
    callee_id_name: String = "Callee-ID-Name";
    /// Callee's number.
    callee_id_number: String = "Callee-ID-Number";
    /// The switch's node name.
    switch_nodename: String = "Switch-Nodename";
    /// Its host.
    switch_hostname: String = "Switch-Hostname";
    /// The same, under its older name.
    media_server: String = "Media-Server";
    /// Where it takes calls, `sip:IP:PORT`.
    switch_uri: String = "Switch-URI";
    /// The same, for people.
    switch_url: String = "Switch-URL";
    /// Where commands for the leg go: routing key on exchange `callctl`.
    control_queue: String = "Control-Queue";
    /// The leg at the other side.
    other_leg_call_id: CallId = "Other-Leg-Call-ID";
    /// Its way, `inbound` or `outbound`.
    other_leg_direction: String = "Other-Leg-Direction";
    /// Its caller's name.
    other_leg_caller_id_name: String = "Other-Leg-Caller-ID-Name";
    /// Its caller's number.
    other_leg_caller_id_number: String = "Other-Leg-Caller-ID-Number";
    /// The number it was called for.
    other_leg_destination_number: String = "Other-Leg-Destination-Number";
    /// The leg this one was just joined to, or parted from (Kazoo 5).
    bridge_b_unique_id: CallId = "Bridge-B-Unique-ID";
    /// The number this leg was called for (Kazoo 5).
    caller_destination_number: String = "Caller-Destination-Number";
    /// When the leg was created, Unix microseconds.
    channel_created_us: u64 = "Channel-Created-Time";
    /// FreeSWITCH's state of the leg without `CS_`, such as `EXECUTE`.
    channel_state: String = "Channel-State";
    /// `RINGING`, `EARLY`, `ACTIVE`, `HELD`, `HANGUP` or `DOWN`.
    channel_call_state: String = "Channel-Call-State";
    /// `early`, `ringing`, `answered` or `hangup` (Kazoo 5).
    channel_answer_state: String = "Channel-Answer-State";
    /// `sofia/PROFILE/USER@HOST`.
    channel_name: String = "Channel-Name";
    /// A leg that loops back into the switch.
    channel_is_loopback: bool = "Channel-Is-Loopback";
    /// Tag of the From header (RFC 3261 §19.3).
    from_tag: String = "From-Tag";
    /// Tag of the To header.
    to_tag: String = "To-Tag";
    /// `user@host` of the From header as it came.
    from_uri: String = "From-Uri";
    /// `user@host` of the To header as it came.
    to_uri: String = "To-Uri";
    /// `user@realm` whose presence the leg is.
    presence_id: String = "Presence-ID";
    /// The phone's own name.
    user_agent: String = "User-Agent";
    /// The phone's last session description.
    remote_sdp: String = "Remote-SDP";
    /// The switch's last session description.
    local_sdp: String = "Local-SDP";
    /// The switch's own name of the command.
    raw_application_name: String = "Raw-Application-Name";
    /// Its arguments.
    raw_application_data: String = "Raw-Application-Data";
    /// Who took this leg's place.
    replaced_by: CallId = "Replaced-By";
    /// `blind` or `attended`.
    transfer_type: String = "Transfer-Type";
    /// Where to: the dialled `user@realm`, or the Call-ID of the leg that was joined.
    transfer_to: String = "Transfer-To";
    /// Variables of the application.
    custom_application_vars: Map<String, Value> = "Custom-Application-Vars";
    /// `X-` headers of the INVITE.
    custom_sip_headers: Map<String, Value> = "Custom-SIP-Headers";
    /// Which command is done.
    application_name: String = "Application-Name";
    /// What comes with it: with `CHANNEL_PIVOT` a callflow as JSON.
    application_data: String = "Application-Data";
    /// Its result: a noop's Msg-ID, a bridge's cause or `SUCCESS`, a recording's file name.
    application_response: String = "Application-Response";
    /// `SUCCESS` or a cause.
    disposition: String = "Disposition";
    /// Why the leg or bridge ended.
    hangup_cause: HangupCause = "Hangup-Cause";
    /// The SIP status behind it, as `sip:486`.
    hangup_code: String = "Hangup-Code";
    /// The digit.
    dtmf_digit: String = "DTMF-Digit";
    /// Its length in RTP ticks of 1/8000 s.
    dtmf_duration: u64 = "DTMF-Duration";
    /// Length of a recording, ms.
    length_ms: u64 = "Length";
    /// The digit that ended a recording.
    terminator: String = "Terminator";
    /// A recording ended because the caller fell silent.
    silence_terminated: bool = "Silence-Terminated";
    /// Seconds from creation to end.
    duration_s: u64 = "Duration-Seconds";
    /// Seconds from answer to end.
    billing_s: u64 = "Billing-Seconds";
    /// Seconds from creation to answer, or to the end.
    ringing_s: u64 = "Ringing-Seconds";
    /// Full paths, or names, of the recordings made of the leg, the newest first (Kazoo 5).
    media_recordings: Vec<String> = "Media-Recordings";
    /// Which recording.
    recording: RecordingInfo = "Recording";
    /// What went wrong (category `error`).
    error_message: String = "Error-Message";
    /// The same in Kazoo 5.
    dialplan_error: String = "Dialplan-Error";
}

impl CallEvent {
    /// `call.<EVENT>.<call id>`.
    pub fn routing_key(&self, name: EventName) -> String {
        format!(
            "call.{}.{}",
            name.name(),
            encode_word(self.call_id.as_str())
        )
    }

    /// The topic pattern that hears everything about one leg.
    pub fn pattern(call_id: &CallId) -> String {
        format!("call.*.{}", encode_word(call_id.as_str()))
    }

    /// The topic pattern that hears one event of every leg.
    pub fn pattern_of(name: EventName) -> String {
        format!("call.{}.*", name.name())
    }

    /// This event in its envelope: category `call_event`, or `error` for a dialplan error.
    pub fn into_envelope(self, name: EventName) -> Envelope<Self> {
        let category = if name == EventName::DialplanError {
            "error"
        } else {
            "call_event"
        };
        Envelope {
            headers: Headers::new(category, name.name()),
            body: self,
        }
    }
}

impl Envelope<CallEvent> {
    /// Which event this is.
    pub fn name(&self) -> EventName {
        serde_json::from_value(Value::String(self.headers.event_name.clone()))
            .unwrap_or(EventName::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stock_record_stop_is_read() {
        let wire = json!({
            "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "call_event", "Event-Name": "RECORD_STOP",
            "Msg-ID": "1", "Call-ID": "a", "Timestamp": 63_800_000_000_i64, "Application-Name": "record",
            "Application-Response": "/tmp/x.mp3", "Length": "4200", "Silence-Terminated": false, "Unheard-Of": {}
        });
        let event = Envelope::<CallEvent>::from_bytes(wire.to_string().as_bytes()).unwrap();
        assert_eq!(event.name(), EventName::RecordStop);
        assert_eq!(event.body.length_ms, Some(4200));
        assert_eq!(event.body.silence_terminated, Some(false));
    }

    #[test]
    fn one_odd_field_does_not_cost_an_event() {
        let wire = json!({
            "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "call_event", "Event-Name": "DTMF",
            "Msg-ID": "1", "Call-ID": "a", "Timestamp": "63800000000", "DTMF-Digit": 5, "DTMF-Duration": "1600",
            "Custom-Channel-Vars": [], "Hangup-Cause": {}, "Recording": "?", "Other-Leg-Call-ID": 7, "Channel-Is-Loopback": "false"
        });
        let event = Envelope::<CallEvent>::from_bytes(wire.to_string().as_bytes())
            .unwrap()
            .body;
        assert_eq!(event.timestamp, 63_800_000_000);
        assert_eq!(event.dtmf_digit.as_deref(), Some("5"));
        assert_eq!(event.dtmf_duration, Some(1600));
        assert_eq!(event.channel_is_loopback, Some(false));
        assert_eq!((event.hangup_cause, event.recording), (None, None));
    }

    #[test]
    fn a_dialplan_error_carries_its_command() {
        let wire = json!({
            "App-Name": "ecallmgr", "App-Version": "4.0.0", "Event-Category": "error", "Event-Name": "dialplan",
            "Msg-ID": "c", "Call-ID": "a", "Error-Message": "Session ID not found for play",
            "Request": {"Application-Name": "play", "Call-ID": "a"}
        });
        let event = Envelope::<CallEvent>::from_bytes(wire.to_string().as_bytes()).unwrap();
        assert_eq!(event.name(), EventName::DialplanError);
        let refused = event
            .body
            .request
            .as_ref()
            .and_then(Requested::command)
            .unwrap();
        assert_eq!(refused["Application-Name"], "play");
    }

    #[test]
    fn names_and_serde_agree() {
        for name in [
            EventName::ChannelCreate,
            EventName::Dtmf,
            EventName::RecordStop,
            EventName::DialplanError,
        ] {
            assert_eq!(serde_json::to_value(name).unwrap(), json!(name.name()));
        }
    }
}
