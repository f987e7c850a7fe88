//! The envelope every bus message travels in: Kazoo's default headers, flat beside the message's own fields.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::{
    TraceParent,
    lenient::{loose, loose_or_default, some_text},
};

/// The exchanges of a Kazoo broker that Callreel uses. All are declared non-durable and non-auto-delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exchange {
    /// Direct: replies and anything sent straight to one queue.
    Targeted,
    /// Direct: dialplan commands to a call's control queue.
    Callctl,
    /// Topic: call events, status requests, usurp messages, dialplan errors.
    Callevt,
    /// Topic: `route_req`.
    Callmgr,
    /// Topic: notices of changed documents.
    Configuration,
    /// Topic: application traffic; Callreel's own recording notices travel here.
    Kapps,
    /// Topic: live control of calls.
    Metaflow,
    /// Fanout: node heartbeats.
    Nodes,
    /// Topic: notification requests such as `voicemail_new`.
    Notifications,
    /// Topic: message-waiting and presence.
    Presence,
    /// Topic: registrations.
    Registrar,
    /// Topic: requests for calls to the public network.
    Resources,
    /// Topic: commands to switch nodes.
    Switch,
}

impl Exchange {
    /// Every exchange, in the order they are declared.
    pub const ALL: [Self; 13] = [
        Self::Targeted,
        Self::Callctl,
        Self::Callevt,
        Self::Callmgr,
        Self::Configuration,
        Self::Kapps,
        Self::Metaflow,
        Self::Nodes,
        Self::Notifications,
        Self::Presence,
        Self::Registrar,
        Self::Resources,
        Self::Switch,
    ];

    /// The exchange's name on the broker.
    pub fn name(self) -> &'static str {
        match self {
            Self::Targeted => "targeted",
            Self::Callctl => "callctl",
            Self::Callevt => "callevt",
            Self::Callmgr => "callmgr",
            Self::Configuration => "configuration",
            Self::Kapps => "kapps",
            Self::Metaflow => "metaflow",
            Self::Nodes => "nodes",
            Self::Notifications => "notifications",
            Self::Presence => "presence",
            Self::Registrar => "registrar",
            Self::Resources => "resources",
            Self::Switch => "switch",
        }
    }

    /// The exchange's AMQP type: `direct`, `topic` or `fanout`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Targeted | Self::Callctl => "direct",
            Self::Nodes => "fanout",
            _ => "topic",
        }
    }
}

/// Kazoo's default headers.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Headers {
    /// The sending application: `callreel`.
    #[serde(rename = "App-Name", deserialize_with = "some_text")]
    pub app_name: String,
    /// Its version.
    #[serde(rename = "App-Version", deserialize_with = "some_text")]
    pub app_version: String,
    /// The message family, such as `call_event`.
    #[serde(rename = "Event-Category", deserialize_with = "some_text")]
    pub event_category: String,
    /// The message name, such as `CHANNEL_ANSWER`.
    #[serde(rename = "Event-Name", deserialize_with = "some_text")]
    pub event_name: String,
    /// Correlation id of request and reply.
    #[serde(rename = "Msg-ID", deserialize_with = "some_text")]
    pub msg_id: String,
    /// The sending node, `callreel@host`.
    #[serde(
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub node: String,
    /// The queue replies go to (exchange `targeted`); absent or empty means no reply is wanted.
    #[serde(rename = "Server-ID", default, deserialize_with = "loose")]
    pub server_id: Option<String>,
    /// A reply that counts only if no better one comes in time.
    #[serde(rename = "Defer-Response", default, deserialize_with = "loose")]
    pub defer_response: Option<bool>,
    /// Ours: the span that sends it (docs/tracing.md).
    #[serde(rename = "Trace-Parent", default, deserialize_with = "loose")]
    pub trace_parent: Option<TraceParent>,
}

impl Headers {
    /// Headers of a new message from the application `callreel` with a random `Msg-ID`.
    pub fn new(category: &str, name: &str) -> Self {
        Self {
            app_name: "callreel".to_owned(),
            app_version: env!("CARGO_PKG_VERSION").to_owned(),
            event_category: category.to_owned(),
            event_name: name.to_owned(),
            msg_id: random_hex(32),
            node: String::new(),
            server_id: None,
            defer_response: None,
            trace_parent: None,
        }
    }

    /// The same headers with this `Msg-ID`.
    #[must_use]
    pub fn msg_id(mut self, id: impl Into<String>) -> Self {
        self.msg_id = id.into();
        self
    }

    /// The same headers, sent by this span.
    #[must_use]
    pub fn trace_parent(mut self, span: Option<TraceParent>) -> Self {
        self.trace_parent = span;
        self
    }

    /// The same headers asking for replies at this queue.
    #[must_use]
    pub fn server_id(mut self, queue: impl Into<String>) -> Self {
        self.server_id = Some(queue.into());
        self
    }
}

/// A message: default headers and a body, flat in one JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Kazoo's default headers.
    #[serde(flatten)]
    pub headers: Headers,
    /// The message's own fields.
    #[serde(flatten)]
    pub body: T,
}

/// A bus message that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("malformed {what}: {reason}")]
pub struct MalformedMessage {
    /// Category and name if they could be read, else "message".
    pub what: String,
    /// What the JSON reader said, or in debug builds the message's schema.
    reason: String,
}

/// Longest category and name of a stranger that an error repeats.
const MAX_NAME_CHARS: usize = 64;
/// Longest reason of an error: it may repeat what the stranger wrote.
const MAX_REASON_CHARS: usize = 400;

impl<T: Serialize> Envelope<T> {
    /// The JSON bytes of the message. Absent fields are left out.
    ///
    /// # Panics
    /// In debug builds, if the message is not as its schema in `proto/amqp/schema` says that we send it. Never in release
    /// builds for the types of this crate: all have string keys and finite numbers.
    pub fn to_bytes(&self) -> Vec<u8> {
        const WHY: &str = "bus messages serialise: string keys, finite numbers";
        #[cfg(debug_assertions)]
        {
            let message = serde_json::to_value(self).expect(WHY);
            if let Err(violation) = crate::schema::sent(&message) {
                panic!("no Kazoo would take what we are about to send: {violation}\n{message:#}");
            }
        }
        serde_json::to_vec(self).expect(WHY)
    }
}

impl<T: DeserializeOwned> Envelope<T> {
    /// Reads a message.
    ///
    /// # Errors
    /// The bytes are not JSON, a default header is missing, or a field that must be there is missing or means nothing.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedMessage> {
        let read = || -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
            #[cfg(debug_assertions)]
            crate::schema::accepted(&serde_json::from_slice(bytes)?)?;
            Ok(serde_json::from_slice(bytes)?)
        };
        read().map_err(|reason| MalformedMessage {
            what: peek(bytes),
            reason: start_of(&reason.to_string(), MAX_REASON_CHARS),
        })
    }
}

fn peek(bytes: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
        return "message".to_owned();
    };
    let text = |key| -> String {
        let text = value.get(key).and_then(Value::as_str).unwrap_or("?");
        start_of(text, MAX_NAME_CHARS)
    };
    format!("{}/{}", text("Event-Category"), text("Event-Name"))
}

fn start_of(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// `digits` random lower-case hex digits.
pub fn random_hex(digits: usize) -> String {
    let bytes: Vec<u8> = (0..digits.div_ceil(2)).map(|_| rand::random()).collect();
    let mut text = hex::encode(bytes);
    text.truncate(digits);
    text
}
