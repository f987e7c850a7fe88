//! The words between a [`crate::Cursor`] and the call actor that owns it. What they look like in print is in `print`.

use std::collections::BTreeMap;
use std::time::Instant;

use callreel_proto::{
    AccountId, Application, CallEvent, CallId, CallflowConfig, Device, EndReason, EventName,
    InsertAt, MediaConfig, Notification, NotificationName, OffnetReq, OffnetResp, OrderedBy, User,
    Vmbox,
};
use jiff::Zoned;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::mailbox::{MailboxAnswer, MailboxQuery};
use crate::mandate::Standing;
use crate::order::{Meant, RecordingOrder, Slot};
use crate::parking::{ParkingAnswer, ParkingQuery};
use crate::ring::Member;
use crate::trunk::Trunks;
use crate::web::{PivotRequest, WebRequest};

/// What the cursor is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The call is ours: begin. First and once.
    Started,
    /// The reply to the one outstanding [`Effect::Lookup`].
    Found(Answer),
    /// The switch said something about the call. Events about other legs are ignored.
    Event {
        /// Which event.
        name: EventName,
        /// Its fields.
        event: Box<CallEvent>,
    },
    /// A recording has ended: for [`Effect::RecordMessage`] the flow goes on, for [`Effect::StartRecording`] it is only noted.
    RecordingEnded {
        /// Which one.
        slot: Slot,
        /// Why.
        reason: EndReason,
        /// How much audio it has, milliseconds.
        length_ms: u64,
        /// By which media name the switch plays a message while the call lasts.
        media_name: Option<String>,
    },
    /// A recording beside the flow has begun: its ticket is on disk, and the switch says that it gives us the audio.
    RecordingStarted {
        /// Which one.
        slot: Slot,
    },
    /// What became of a recording that ends: told before [`Input::RecordingEnded`].
    Recorded(Recorded),
    /// A recording could not be begun.
    RecordingRefused {
        /// Which one.
        slot: Slot,
        /// Why, for people.
        reason: String,
    },
    /// Stepswitch says how a call to the public network has ended.
    Offnet {
        /// The request's.
        msg_id: String,
        /// What it says.
        response: OffnetResp,
    },
    /// A party or a program wants this callflow run once what the flow does now is over: its document.
    Overlay(Value),
    /// The account has used up its share of actions (Kazoo's token bucket): the flow stops at its next action.
    Exhausted,
    /// The instant named by [`Output::Wait`] has come. Harmless at any other time.
    Tick,
}

/// A recording that has ended, as others know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub id: String,
    /// Where it goes, without credentials; none if into the account's database.
    pub url: Option<String>,
    /// How much audio it has, milliseconds.
    pub length_ms: u64,
}

/// What was found in the account's documents.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A callflow document, or what a Pivot server has answered.
    Flow(Value),
    /// Whom a bridge may ring.
    Endpoints(Endpoints),
    /// A voicemail box.
    Vmbox(Box<Vmbox>),
    /// What was asked of a voicemail box.
    Mailbox(MailboxAnswer),
    /// What was asked of the parking slots.
    Parking(ParkingAnswer),
    /// Any other document of the account.
    Document(Value),
    /// Several, in the order asked for; those that do not exist are left out.
    Documents(Vec<Value>),
    /// The callflow of a number.
    Dialled(Box<Dialled>),
    /// The date and time of a place; it can tell those of other instants there, too.
    LocalTime(Zoned),
    /// Trunks, and who calls over them.
    Trunks(Box<Trunks>),
    /// There is no such document, or it could not be read.
    Missing,
    /// It was tried and failed, for this reason.
    Failed(String),
}

/// The callflow that a dialled number runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Dialled {
    /// Its document.
    pub document: Value,
    /// What a pattern of it took out of the number.
    pub captures: Captures,
    /// It is the account's `no_match`: none lists the number.
    pub fallback: bool,
}

/// What the pattern of a callflow took out of the dialled number (Kazoo's capture groups).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captures {
    /// The longest group: what a feature code was dialled with. None if it took nothing, or the callflow lists the number itself.
    pub group: Option<String>,
    /// Groups with names.
    pub named: BTreeMap<String, String>,
}

/// The documents of whom a bridge may ring, whatever their state. What does not exist is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints {
    /// The account's SIP realm, for devices without their own.
    pub realm: String,
    /// How the account's phones ring: `internal` and `external`, an `Alert-Info` each.
    pub ringtones: Map<String, Value>,
    /// What those hear whom a phone holds that names no music, nor its user: a media id.
    pub hold_media: Option<String>,
    /// The users asked for, those of groups, and the owners of devices.
    pub users: Vec<User>,
    /// The group documents asked for, and those in them.
    pub groups: Vec<Value>,
    /// The devices asked for, those of groups, and all that belong to a user asked for.
    pub devices: Vec<Device>,
    /// The time, gregorian seconds.
    pub now_s: u64,
    /// A number that nobody can foretell, for those who are rung in an order of chance.
    pub chance: u64,
}

/// What the cursor wants to know. At most one is outstanding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// A callflow by document id → [`Answer::Flow`].
    Callflow {
        /// Document id.
        id: String,
    },
    /// Whom a bridge may ring, and everybody they lead to: the devices of users, the members of groups →
    /// [`Answer::Endpoints`].
    Endpoints {
        /// Whom.
        members: Vec<Member>,
    },
    /// A voicemail box → [`Answer::Vmbox`].
    Vmbox {
        /// Document id.
        id: String,
    },
    /// Anything else about voicemail boxes and their messages.
    Mailbox(MailboxQuery),
    /// Anything about parking slots.
    Parking(ParkingQuery),
    /// Any other document of the account → [`Answer::Document`].
    Document {
        /// Document id.
        id: String,
    },
    /// Several documents of the account → [`Answer::Documents`].
    Documents {
        /// Document ids.
        ids: Vec<String>,
    },
    /// All documents of one `pvt_type` → [`Answer::Documents`].
    DocumentsOf {
        /// Such as `list_entry`.
        pvt_type: String,
    },
    /// The entries of these lists → [`Answer::Documents`].
    EntriesOf {
        /// Document ids of lists.
        lists: Vec<String>,
    },
    /// The users who are in a directory → [`Answer::Documents`].
    UsersIn {
        /// Document id.
        directory: String,
    },
    /// The callflow of a number, by Kazoo's order: exact, patterns, `no_match` → [`Answer::Dialled`].
    Dialled {
        /// As a phone would dial it.
        number: String,
    },
    /// Change a document of the account → [`Answer::Document`], the whole as it is then. Tried again when somebody else changed
    /// it meanwhile.
    Change {
        /// Document id.
        id: String,
        /// JSON pointers and what is to be there; objects on the way are made, items of arrays are not, null removes.
        set: Vec<(String, Value)>,
    },
    /// The callflow that a web server serves for this call → [`Answer::Flow`], or [`Answer::Failed`] with the reason. It is
    /// answered within the request's patience.
    Pivot(Box<PivotRequest>),
    /// The trunks that may be called over, and the documents that say who the caller is → [`Answer::Trunks`].
    Trunks {
        /// The account whose own trunks are meant; everybody's when absent. One that the caller's account does not belong to has
        /// none for it.
        hunt: Option<String>,
        /// The calling device's document id.
        device: Option<String>,
        /// Only who the caller is: another chooses the trunk.
        caller_only: bool,
    },
    /// The date and time → [`Answer::LocalTime`].
    LocalTime {
        /// IANA name, such as `Europe/Stockholm`; the account's own when absent, else UTC.
        timezone: Option<String>,
    },
}

/// What the cursor wants done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "an effect lives until it is done; most are commands, and so are the largest"
)]
pub enum Effect {
    /// Send this to the call's control queue.
    Command {
        /// Where it goes in the queue.
        insert_at: InsertAt,
        /// What to do.
        application: Application,
        /// The envelope's `Msg-ID`, when the cursor will recognise the completion by it; else any.
        msg_id: Option<String>,
    },
    /// Find this out and answer with [`Input::Found`].
    Lookup(Query),
    /// Ask the Kazoo's stepswitch to call the public network: it bridges the call itself. Who sends it adds the control queue.
    /// Answered by [`Input::Offnet`] and by the events of the bridge.
    Offnet {
        /// Whom, and as whom.
        request: Box<OffnetReq>,
        /// The envelope's `Msg-ID`.
        msg_id: String,
    },
    /// Begin recording beside the flow, and say so with [`Input::RecordingStarted`] or [`Input::RecordingRefused`]: the flow
    /// may wait for it.
    StartRecording(Box<RecordingOrder>),
    /// End a running recording that this flow started; such a one not running is no error.
    StopRecording {
        /// Which one.
        meant: Meant,
        /// By which step; none if nobody ends it, but the leg that it is of has gone.
        by: Option<OrderedBy>,
    },
    /// From here, record silence; time goes on. Answered by nothing.
    Mask {
        /// What.
        meant: Meant,
        /// By which step.
        by: OrderedBy,
    },
    /// Record audio again.
    Unmask {
        /// What.
        meant: Meant,
        /// By which step.
        by: OrderedBy,
    },
    /// Record the caller alone, after what is already queued on the switch; answer with [`Input::RecordingEnded`] or
    /// [`Input::RecordingRefused`].
    RecordMessage(Box<RecordingOrder>),
    /// Tell a web server of the call, beside the flow; one that fails is told again. Answered by nothing.
    Webhook {
        /// What is said, and to whom.
        request: Box<WebRequest>,
        /// How often it is tried at most.
        tries: u32,
    },
    /// A message that was ordered with [`RecordingOrder::review`] and has ended is kept: it is delivered. Answered by nothing.
    Keep {
        /// Which one.
        slot: Slot,
    },
    /// Such a message is not kept. Answered by nothing.
    Discard {
        /// Which one.
        slot: Slot,
    },
    /// A call does not wait in this parking slot any more: others may have it. Answered by nothing.
    Unpark {
        /// The slot's number.
        slot: String,
        /// The call; nothing is done if another one is in the slot.
        call_id: CallId,
        /// Only after a while: the call may have kept the slot for another one.
        later: bool,
    },
    /// A recording will not be made: tell those who ask where it is.
    Skipped {
        /// The place of the order in its document.
        pointer: String,
        /// Why, for people.
        reason: String,
        /// Who wanted it.
        by: OrderedBy,
    },
    /// Publish this for whoever writes to people. Who publishes adds the time. Answered by nothing.
    Notification {
        /// What happened.
        name: NotificationName,
        /// What is known of it.
        fields: Box<Notification>,
    },
    /// Something was accepted, skipped or changed that the flow's author should know of: log it.
    Warn {
        /// The place in the document.
        pointer: String,
        /// What was done about it, for people.
        message: String,
    },
}

/// What comes out of the cursor.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "an output is looked at once; most are effects, and so are the largest"
)]
pub enum Output {
    /// Do this, then ask again.
    Effect(Effect),
    /// Nothing to do before the next input, or before this instant, at which [`Input::Tick`] is due.
    Wait(Option<Instant>),
    /// The flow is over: the channel is gone, or does not answer to being hung up.
    Finished,
}

/// The call a cursor walks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallInfo {
    /// The account whose callflow it is.
    pub account_id: AccountId,
    /// The A leg.
    pub call_id: CallId,
    /// A word that no other controller of this call has used: message ids begin with it.
    pub talk_id: String,
    /// What was dialled.
    pub number: String,
    /// The callflow's name, if it has one.
    pub callflow_name: Option<String>,
    /// Caller's name, as the callee shall see it.
    pub caller_id_name: Option<String>,
    /// Caller's number, as the callee shall see it.
    pub caller_id_number: Option<String>,
    /// What the callflow's document has callers hear while it rings.
    pub ringback: Ringback,
    /// The calling device's document id, when the caller is one of the account's own.
    pub calling_device: Option<String>,
    /// The document id of the user that the caller is.
    pub owner_id: Option<String>,
    /// Caller, `user@realm`.
    pub from: String,
    /// Callee as the caller wrote it, `user@realm`.
    pub to: String,
    /// What was asked for, `user@realm`.
    pub request: String,
    /// The switch is a Kazoo's, at which Callreel is a guest: its stepswitch calls the public network.
    pub guest: bool,
    /// Whether the call came from outside the account (Kazoo's `Inception`).
    pub from_outside: bool,
    /// What a pattern took out of the number.
    pub captures: Captures,
    /// The language of prompts and texts, such as `en-us`; the system's when absent.
    pub language: Option<String>,
    /// Variables of the channel (CCVs).
    pub channel_vars: Map<String, Value>,
    /// Variables of applications (CAVs): set by flows and by Pivot.
    pub application_vars: Map<String, Value>,
    /// `X-` headers of the INVITE.
    pub sip_headers: Map<String, Value>,
    /// Whether the A leg is answered already.
    pub answered: bool,
    /// What the account's documents want recorded, whatever the flow says.
    pub standing: Standing,
}

impl CallInfo {
    /// An unanswered call of which nothing else is known.
    pub fn new(account_id: AccountId, call_id: CallId, talk_id: String, number: String) -> Self {
        Self {
            account_id,
            call_id,
            talk_id,
            number,
            callflow_name: None,
            ringback: Ringback::default(),
            caller_id_name: None,
            caller_id_number: None,
            calling_device: None,
            owner_id: None,
            from: String::new(),
            to: String::new(),
            request: String::new(),
            guest: false,
            from_outside: false,
            captures: Captures::default(),
            language: None,
            channel_vars: Map::new(),
            application_vars: Map::new(),
            sip_headers: Map::new(),
            answered: false,
            standing: Standing::default(),
        }
    }
}

/// What a callflow's document has callers hear while it rings, where the action that rings says nothing (its `ringback`): media
/// as in `play`, or tones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ringback {
    /// A caller who is not answered yet.
    pub early: Option<String>,
    /// One who is answered: rung after a menu, or transferred.
    pub transfer: Option<String>,
}

impl Ringback {
    /// That of a callflow document.
    pub fn of(document: &Value) -> Self {
        let text = |key: &str| {
            let text = document.get("ringback")?.get(key)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self {
            early: text("early"),
            transfer: text("transfer"),
        }
    }
}

/// What holds for every call of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `system_config/media`.
    pub media: MediaConfig,
    /// `system_config/callflow`.
    pub callflow: CallflowConfig,
    /// Refuse branched-to documents that need leniency.
    pub strict: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            media: MediaConfig::read(&Value::Null),
            callflow: CallflowConfig::default(),
            strict: false,
        }
    }
}
