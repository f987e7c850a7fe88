//! Which type reads a kind of message.

use callreel_proto::{
    CallEvent, ChannelQueryReq, ChannelQueryResp, ChannelStatusReq, ChannelStatusResp, Command,
    DeliveryOrder, DocNotice, Envelope, LiveReq, LiveResp, MalformedMessage, MetaflowAction,
    MetaflowActionResp, MetaflowFlow, MwiQuery, MwiUpdate, NodeAdvertise, Notification, OffnetReq,
    OffnetResp, OwedReq, OwedResp, RecordRequest, RecordingNotice, RegSuccess, RouteReq, RouteResp,
    RouteWin, SwitchCommand, SwitchReply, UsurpControl,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What a type does with messages.
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    /// Reads a message without regard to schemas, and prints it.
    pub(crate) reprint: fn(&Value) -> Result<Value, serde_json::Error>,
    /// Reads bytes as they come from the bus.
    pub(crate) read: fn(&[u8]) -> Result<(), MalformedMessage>,
}

fn reader<T: Serialize + DeserializeOwned>() -> Reader {
    Reader {
        reprint: |message| {
            // Through text, as on the bus: what `from_value` takes may differ.
            let read: Envelope<T> = serde_json::from_str(&message.to_string())?;
            serde_json::to_value(&read)
        },
        read: |bytes| Envelope::<T>::from_bytes(bytes).map(drop),
    }
}

/// The type that reads messages of this schema.
pub(crate) fn of(schema: &str) -> Reader {
    let parts: Vec<&str> = schema.split('.').collect();
    match parts[..] {
        ["dialplan", "route_req"] => reader::<RouteReq>(),
        ["dialplan", "route_resp"] => reader::<RouteResp>(),
        ["dialplan", "route_win"] => reader::<RouteWin>(),
        ["call", "command", "record_call", "handed_on"] => reader::<RecordRequest>(),
        ["call", "command", _] => reader::<Command>(),
        ["call_event", "usurp_control"] => reader::<UsurpControl>(),
        ["call_event", "channel_status_req"] => reader::<ChannelStatusReq>(),
        ["call_event", "channel_status_resp"] => reader::<ChannelStatusResp>(),
        ["call_event", query] if query.starts_with("query_") && query.ends_with("_req") => {
            reader::<ChannelQueryReq>()
        }
        ["call_event", query] if query.starts_with("query_") => reader::<ChannelQueryResp>(),
        ["call_event" | "error", _] => reader::<CallEvent>(),
        ["switch_event", "command"] => reader::<SwitchCommand>(),
        ["switch_event", "reply"] => reader::<SwitchReply>(),
        ["directory", "reg_success"] => reader::<RegSuccess>(),
        ["configuration"] => reader::<DocNotice>(),
        ["presence", "mwi_query"] => reader::<MwiQuery>(),
        ["presence", _] => reader::<MwiUpdate>(),
        ["resource", "offnet_req"] => reader::<OffnetReq>(),
        ["resource", "offnet_resp"] => reader::<OffnetResp>(),
        ["recording"] => reader::<RecordingNotice>(),
        ["metaflow", "action"] => reader::<MetaflowAction>(),
        ["metaflow", "action_resp"] => reader::<MetaflowActionResp>(),
        ["metaflow", "flow"] => reader::<MetaflowFlow>(),
        ["nodes", "advertise"] => reader::<NodeAdvertise>(),
        ["notification", _] => reader::<Notification>(),
        ["callflow", "live_req"] => reader::<LiveReq>(),
        ["callflow", "live_resp"] => reader::<LiveResp>(),
        ["delivery", "owed_req"] => reader::<OwedReq>(),
        ["delivery", "owed_resp"] => reader::<OwedResp>(),
        ["delivery"] => reader::<DeliveryOrder>(),
        _ => panic!("no type reads {schema}: name it here"),
    }
}
