//! The words of Callreel: every byte it exchanges with others, and the ids. Parse, print and validate; nothing else.
//!
//! Entrance rule: a type lives here only if it crosses a process boundary (a bus message, a file of the spool,
//! a document of the store). The names on the wire are those of Kazoo 4.3, by serde rename.

mod address;
mod advertise;
mod callflow_config;
mod channel_query;
mod command;
mod control;
mod directory;
mod doc_notice;
mod document;
mod endpoint;
mod envelope;
mod event;
mod hangup_cause;
mod ids;
mod lenient;
mod live;
mod menu;
mod metaflow;
mod mwi;
mod notice;
mod notification;
mod number;
mod offnet;
mod owed;
mod parties;
mod pickup;
mod playback;
mod port_range;
mod record_call;
mod recording;
mod reg_success;
mod route;
mod routing_key;
#[cfg(debug_assertions)]
pub mod schema;
mod secret;
mod switch_command;
mod temporal_rule;
mod time;
mod trace_parent;
mod vmbox;

pub use address::user_and_realm;
pub use advertise::NodeAdvertise;
pub use callflow_config::{CallflowConfig, VoicemailConfig};
pub use channel_query::{ChannelQuery, ChannelQueryReq, ChannelQueryResp, FoundChannels};
pub use command::{Application, Command, InsertAt, SetVars};
pub use control::{ChannelStatus, ChannelStatusReq, ChannelStatusResp, UsurpControl};
pub use directory::Directory;
pub use doc_notice::DocNotice;
pub use document::{Account, AccountDb, Device, MediaConfig, User, month_db, pvt_type};
pub use endpoint::Endpoint;
pub use envelope::{Envelope, Exchange, Headers, MalformedMessage, random_hex};
pub use event::{CallEvent, EventName, RecordingInfo, Requested};
pub use hangup_cause::HangupCause;
pub use ids::{AccountId, CallId, CaptureId, MalformedId, RecordingId};
pub use lenient::{lenient_bool, lenient_f64, lenient_u64};
pub use live::{FlowPosition, LiveCall, LiveReq, LiveResp};
pub use menu::{Menu, MenuMedia};
pub use metaflow::{
    ActionStatus, LiveRecording, LiveState, MetaflowAction, MetaflowActionResp, MetaflowFlow,
};
pub use mwi::{MwiQuery, MwiUpdate};
pub use notice::{DeliveryAction, DeliveryOrder, RecordingFact, RecordingNotice};
pub use notification::{Notification, NotificationName};
pub use number::E164;
pub use offnet::{OffnetReq, OffnetResp};
pub use owed::{Owed, OwedReq, OwedResp};
pub use parties::{Page, PageOptions, SoftHold, Transfer, TransferKind, TransferLeg};
pub use pickup::CallPickup;
pub use playback::{Hearers, Terminators, Tone};
pub use port_range::PortRange;
pub use record_call::{MediaFork, RecordAction, RecordCall, RecordRequest};
pub use recording::{
    AudioFormat, AudioReport, Channels, Destination, EndReason, Hold, HttpMethod, Leg, LegAudio,
    MetadataQuery, OrderedBy, RecordingSource, RecordingState,
};
pub use reg_success::RegSuccess;
pub use route::{RouteMethod, RouteReq, RouteResp, RouteWin};
pub use routing_key::{encode_word, topic_matches};
pub use secret::Secret;
pub use switch_command::{SendHttp, SwitchCommand, SwitchReply};
pub use temporal_rule::{TemporalRule, temporal_rules};
pub use time::{GREGORIAN_UNIX_OFFSET, Utc};
pub use trace_parent::{MalformedTraceParent, TraceParent};
pub use vmbox::{AfterNotify, Folder, Vmbox};
