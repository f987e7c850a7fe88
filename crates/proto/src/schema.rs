//! Holds messages against the JSON Schemas of `proto/amqp/schema`. Debug builds and tests only: release builds have none of it.

use std::sync::{LazyLock, OnceLock};

use jsonschema::{Registry, Validator};
use serde_json::{Map, Value, json};

/// Longest part of a refused value that an error repeats.
const MAX_SHOWN_CHARS: usize = 300;

macro_rules! text_of {
    ($name:literal) => {
        include_str!(concat!("../../../proto/amqp/schema/", $name, ".json"))
    };
}

macro_rules! common {
    ($($name:literal)*) => {
        /// File stem and text of the schemas that others refer to.
        const COMMON: &[(&str, &str)] = &[$(($name, text_of!($name))),*];
    };
}

macro_rules! messages {
    ($($name:literal)*) => {
        /// The schemas of messages, one of each kind.
        static MESSAGES: [Schema; [$($name),*].len()] = [$(Schema {
            name: $name,
            text: text_of!($name),
            accepted: OnceLock::new(),
            sent: OnceLock::new(),
        }),*];
    };
}

common! {
    "common/words"
    "common/envelope"
    "common/channel"
    "common/command"
    "common/endpoint"
    "common/call_event"
    "common/recording_info"
    "common/notification"
}

messages! {
    "callflow.live_req"
    "callflow.live_resp"
    "dialplan.route_req"
    "dialplan.route_resp"
    "dialplan.route_win"
    "call.command.answer"
    "call.command.break"
    "call.command.bridge"
    "call.command.call_pickup"
    "call.command.hangup"
    "call.command.hold"
    "call.command.noop"
    "call.command.page"
    "call.command.park"
    "call.command.play"
    "call.command.playstop"
    "call.command.progress"
    "call.command.queue"
    "call.command.record"
    "call.command.record_call"
    "call.command.record_call.handed_on"
    "call.command.respond"
    "call.command.ring"
    "call.command.say"
    "call.command.send_dtmf"
    "call.command.set"
    "call.command.set_terminators"
    "call.command.sleep"
    "call.command.soft_hold"
    "call.command.tones"
    "call.command.transfer"
    "call.command.tts"
    "call.command.unbridge"
    "call_event.CHANNEL_ANSWER"
    "call_event.CHANNEL_BRIDGE"
    "call_event.CHANNEL_CONNECTED"
    "call_event.CHANNEL_CREATE"
    "call_event.CHANNEL_DESTROY"
    "call_event.CHANNEL_DISCONNECTED"
    "call_event.CHANNEL_EXECUTE_COMPLETE"
    "call_event.CHANNEL_HOLD"
    "call_event.CHANNEL_PROGRESS_MEDIA"
    "call_event.CHANNEL_PIVOT"
    "call_event.CHANNEL_REPLACED"
    "call_event.CHANNEL_TRANSFEREE"
    "call_event.CHANNEL_TRANSFEROR"
    "call_event.CHANNEL_UNBRIDGE"
    "call_event.CHANNEL_UNHOLD"
    "call_event.DTMF"
    "call_event.RECORD_START"
    "call_event.RECORD_STOP"
    "error.dialplan"
    "call_event.usurp_control"
    "call_event.channel_status_req"
    "call_event.channel_status_resp"
    "call_event.query_auth_id_req"
    "call_event.query_auth_id_resp"
    "call_event.query_user_channels_req"
    "call_event.query_user_channels_resp"
    "call_event.query_account_channels_req"
    "call_event.query_account_channels_resp"
    "call_event.query_channels_req"
    "call_event.query_channels_resp"
    "switch_event.command"
    "switch_event.reply"
    "directory.reg_success"
    "configuration"
    "recording"
    "delivery"
    "delivery.owed_req"
    "delivery.owed_resp"
    "metaflow.action"
    "metaflow.action_resp"
    "metaflow.flow"
    "nodes.advertise"
    "notification.missed_call"
    "notification.voicemail_new"
    "notification.voicemail_saved"
    "notification.voicemail_full"
    "presence.mwi_query"
    "presence.mwi_unsolicited_update"
    "presence.mwi_update"
    "resource.offnet_req"
    "resource.offnet_resp"
}

/// The schema of one kind of message.
#[derive(Debug)]
pub struct Schema {
    /// `<Event-Category>.<Event-Name>` and what tells its variants apart: the file's stem.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
    accepted: OnceLock<Validator>,
    sent: OnceLock<Validator>,
}

/// What a message does that its schema forbids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at {pointer:?} of {schema}: {reason}")]
pub struct Violation {
    /// The schema's name.
    pub schema: String,
    /// Where in the message: a JSON pointer, empty for the whole.
    pub pointer: String,
    /// What is wrong there.
    pub reason: String,
}

impl Schema {
    /// Every message's schema.
    pub fn all() -> &'static [Self] {
        &MESSAGES
    }

    /// The schema of this message's kind: the one of the longest name that fits.
    pub fn of(message: &Value) -> Option<&'static Self> {
        let text = |key| message.get(key).and_then(Value::as_str);
        let mut name = text("Event-Category")?.to_owned();
        let mut best = named(&name);
        let handed_on = message.get("Call").map(|_| "handed_on");
        for part in [text("Event-Name"), text("Application-Name"), handed_on] {
            name = format!("{name}.{}", part.unwrap_or_default());
            best = named(&name).or(best);
        }
        best
    }

    /// Whether this is what Callreel understands.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn accept(&self, message: &Value) -> Result<(), Violation> {
        let validator = self.accepted.get_or_init(|| self.compile(""));
        self.check(validator, message)
    }

    /// Whether this is what Callreel sends, and any Kazoo takes.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn send(&self, message: &Value) -> Result<(), Violation> {
        let validator = self.sent.get_or_init(|| self.compile("#/$defs/sent"));
        self.check(validator, message)
    }

    fn compile(&self, fragment: &str) -> Validator {
        static SHARED: LazyLock<Registry<'static>> = LazyLock::new(|| {
            let pages = COMMON.iter().map(|(name, text)| (uri(name), parse(text)));
            Registry::new()
                .extend(pages)
                .and_then(jsonschema::RegistryBuilder::prepare)
                .expect("the common schemas refer to each other only: tested")
        });
        let registry = SHARED
            .add(uri(self.name), parse(self.text))
            .and_then(jsonschema::RegistryBuilder::prepare)
            .expect("a message's schema refers to itself and the common ones only: tested");
        jsonschema::options()
            .offline()
            .with_registry(&registry)
            .build(&json!({"$ref": format!("{}{fragment}", uri(self.name))}))
            .expect("every schema compiles: tested")
    }

    fn check(&self, validator: &Validator, message: &Value) -> Result<(), Violation> {
        validator.validate(message).map_err(|error| Violation {
            schema: self.name.to_owned(),
            pointer: error.instance_path().to_string(),
            reason: error.to_string().chars().take(MAX_SHOWN_CHARS).collect(),
        })
    }
}

fn named(name: &str) -> Option<&'static Schema> {
    MESSAGES.iter().find(|schema| schema.name == name)
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("a schema is JSON: tested")
}

fn uri(name: &str) -> String {
    format!("callreel:///{name}.json")
}

/// Whether this is a message that Callreel may receive. Kinds it does not know are nobody's business here.
///
/// # Errors
/// What is wrong with it.
pub fn accepted(message: &Value) -> Result<(), Violation> {
    Schema::of(message).map_or(Ok(()), |schema| schema.accept(message))
}

/// Whether this is a message as Callreel sends them. The commands of a `queue` are held against their own schemas too.
///
/// # Errors
/// What is wrong with it; also that there is no schema for it.
pub fn sent(message: &Value) -> Result<(), Violation> {
    let Some(schema) = Schema::of(message) else {
        return Err(Violation {
            schema: "proto/amqp/schema".to_owned(),
            pointer: String::new(),
            reason: "there is no schema for this kind: proto/README.md says how to add it"
                .to_owned(),
        });
    };
    schema.send(message)?;
    for (at, command) in queued(message).into_iter().enumerate() {
        sent(&Value::Object(command)).map_err(|violation| Violation {
            pointer: format!("/Commands/{at}{}", violation.pointer),
            ..violation
        })?;
    }
    Ok(())
}

/// The commands of a `queue`, each completed from the headers of the message as the switch does.
fn queued(message: &Value) -> Vec<Map<String, Value>> {
    let mut headers = message.as_object().cloned().unwrap_or_default();
    headers.remove("Application-Name");
    let commands = headers.remove("Commands");
    let commands = commands.as_ref().and_then(Value::as_array);
    let complete = |command: &Map<String, Value>| {
        let mut whole = headers.clone();
        whole.extend(command.clone());
        whole
    };
    commands
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(complete)
        .collect()
}
