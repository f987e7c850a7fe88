//! What is asked of a switch node itself: send a file of yours by HTTP (Kazoo `kapi_switch`, exchange `switch`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_or_default, some_text};
use crate::{HttpMethod, encode_word};

/// "Send this file of yours to this URL." Category `switch_event`, name `command`, `Command` `send_http`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchCommand {
    /// Always [`SwitchCommand::SEND_HTTP`]: ecallmgr knows no other.
    #[serde(rename = "Command", deserialize_with = "some_text")]
    pub command: String,
    /// Which switch.
    #[serde(rename = "FreeSWITCH-Node", deserialize_with = "some_text")]
    pub node: String,
    /// Which file and where to.
    #[serde(rename = "Args")]
    pub args: SendHttp,
    /// Remove the file when it has been sent.
    #[serde(rename = "Delete-On-Success", default, deserialize_with = "loose")]
    pub delete_on_success: Option<bool>,
}

/// The arguments of `send_http`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendHttp {
    /// Full path on the switch.
    #[serde(rename = "File-Name", deserialize_with = "some_text")]
    pub file_name: String,
    /// Where to.
    #[serde(rename = "Url", deserialize_with = "some_text")]
    pub url: String,
    /// How.
    #[serde(rename = "Http-Method")]
    pub method: HttpMethod,
}

impl SwitchCommand {
    /// The command that sends a file.
    pub const SEND_HTTP: &str = "send_http";

    /// Asks `node` to PUT a file.
    pub fn send_http(node: &str, file_name: &str, url: &str) -> Self {
        Self {
            command: Self::SEND_HTTP.to_owned(),
            node: node.to_owned(),
            args: SendHttp {
                file_name: file_name.to_owned(),
                url: url.to_owned(),
                method: HttpMethod::Put,
            },
            delete_on_success: None,
        }
    }

    /// `switch.command.<node>`.
    pub fn routing_key(&self) -> String {
        format!("switch.command.{}", encode_word(&self.node))
    }
}

/// The switch's answer, on `targeted`: category `switch_event`, name `reply`, the command's `Msg-ID`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchReply {
    /// The command that was asked for.
    #[serde(rename = "Command", deserialize_with = "some_text")]
    pub command: String,
    /// `success` or `error`.
    #[serde(rename = "Result", deserialize_with = "some_text")]
    pub result: String,
    /// What went wrong.
    #[serde(rename = "Error", default, deserialize_with = "loose")]
    pub error: Option<String>,
    /// Which switch.
    #[serde(rename = "FreeSWITCH-Node", default, deserialize_with = "loose")]
    pub node: Option<String>,
    /// More about it; may hold `API-Error` and HTTP details.
    #[serde(
        rename = "Event-Data",
        default,
        deserialize_with = "loose_or_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub event_data: Map<String, Value>,
}

impl SwitchReply {
    /// Whether the switch did it.
    pub fn succeeded(&self) -> bool {
        self.result == "success"
    }
}
