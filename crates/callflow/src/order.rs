//! Recording orders: what the flow wants recorded, how long, and where it must go. Never how it is captured.

use std::{collections::BTreeMap, fmt, time::Duration};

use callreel_proto::{
    Application, AudioFormat, CallId, Channels, Destination, HttpMethod, OrderedBy, Terminators,
};
use serde::Serialize;
use url::Url;

/// What a stop, a mask or an unmask means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Meant {
    /// A stop: the newest recording that this flow started. A mask: the whole call, whoever records it.
    Usual,
    /// The flow's newest recording of this name.
    Named(String),
    /// The recording of this id, whoever wanted it: only programs know ids.
    Id(String),
    /// This very recording, whoever wanted it: what it was begun for is over.
    Slot(Slot),
}

/// Whose call a recording is of. Both are made of the same audio.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case", tag = "leg")]
pub enum RecordedLeg {
    /// The caller's: what the caller says is on the left, and the A leg's Call-ID names it.
    #[default]
    A,
    /// The callee's: what the callee says is on the left, and this Call-ID names it.
    B {
        /// The B leg.
        call_id: CallId,
    },
}

/// Names one recording within one [`crate::Cursor`]'s talk; numbers grow in the order of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

impl Slot {
    /// The name of what no flow ordered.
    pub const NONE: Self = Self(0);
}

/// What a recording is of, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RecordingKind {
    /// `record_call`: both legs, beside the flow.
    Recording,
    /// `record_caller`: the caller alone; the flow waits for its end.
    Message,
    /// A message for a voicemail box; the flow waits for its end. Becomes a `mailbox_message` document.
    Voicemail {
        /// The box's document id.
        box_id: String,
        /// The box's number, if it has one.
        mailbox: Option<String>,
        /// The user the box belongs to.
        owner_id: Option<String>,
    },
    /// What its owner records for a voicemail box: a greeting, a name; the flow waits for its end. Becomes a `media` document
    /// that takes the place of the one before.
    Greeting {
        /// The box's document id.
        box_id: String,
        /// The user the box belongs to.
        owner_id: Option<String>,
        /// The new document's `name`.
        name: String,
        /// What points at it.
        used_by: UsedBy,
    },
}

impl RecordingKind {
    /// Whether what its maker never decided on is kept all the same: a message is somebody's word, a greeting nobody has
    /// approved of is none.
    pub fn is_kept_undecided(&self) -> bool {
        !matches!(self, Self::Greeting { .. })
    }
}

/// Which key of which document points at a greeting, once it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsedBy {
    /// The document of the account.
    pub id: String,
    /// The place in it, as a JSON pointer.
    pub pointer: String,
}

/// Where the file must go. The request URL is made of it by [`crate::destination::request_url`].
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "to")]
pub enum OrderDestination {
    /// Below this URL. It may carry credentials: print it with [`OrderDestination::describe`] only.
    Url {
        /// The action's `url`, scheme http or https; [`crate::destination::expand`] fills its templates in, where that is
        /// wanted.
        base: Url,
        /// PUT or POST.
        method: HttpMethod,
        /// The action's own request headers. They may hold secrets: never log them.
        #[serde(skip)]
        headers: BTreeMap<String, String>,
    },
    /// Into the account's month database.
    AccountDb,
}

impl fmt::Debug for OrderDestination {
    /// Without secrets: an order is one line of a log away from everybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl OrderDestination {
    /// The destination for people: credentials and query are left out.
    pub fn describe(&self) -> String {
        match self {
            Self::Url { base, method, .. } => Destination::http(base.clone(), *method).describe(),
            Self::AccountDb => Destination::AccountDb.describe(),
        }
    }
}

/// When the caller counts as silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Silence {
    /// Mean absolute amplitude, of 32767, below which there is silence.
    pub threshold: u32,
    /// So much silence ends the recording.
    pub after: Duration,
}

/// A recording the flow wants.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordingOrder {
    /// Its name in this talk.
    pub slot: Slot,
    /// The action's own name for it, by which stops and masks can mean it.
    pub name: Option<String>,
    /// Who wants it. What the platform mandates no callflow can stop.
    pub by: OrderedBy,
    /// Instead of one file, one of each party: [`Channels::Caller`] and [`Channels::Callee`]. `channels` is then of no
    /// meaning.
    pub separate: bool,
    /// Whose leg it is of.
    pub leg: RecordedLeg,
    /// Sounded to everybody on the call as soon as the recording has begun, in this order: `tones`, `play` or `tts`, with no
    /// leg named.
    pub announcements: Vec<Application>,
    /// What it is of.
    pub kind: RecordingKind,
    /// The file's format.
    pub format: AudioFormat,
    /// Where the file goes.
    pub destination: OrderDestination,
    /// It ends by itself after this, already clamped to the system's limit.
    pub time_limit: Duration,
    /// Shorter ones are discarded; zero keeps all.
    pub min: Duration,
    /// Which legs, and how they share the file.
    pub channels: Channels,
    /// Hz, when the action names one.
    pub sample_rate: Option<u32>,
    /// Keys that end it; none for [`RecordingKind::Recording`].
    pub terminators: Terminators,
    /// Silence that ends it; none for [`RecordingKind::Recording`].
    pub silence: Option<Silence>,
    /// The file name the action asks for, already safe as a file name and with its extension.
    pub media_name: Option<String>,
    /// When it has ended, the flow decides whether it is kept, by [`crate::Effect::Keep`] or [`crate::Effect::Discard`]; until
    /// then it rests where it is recorded. What is undecided when the call ends is kept or not by
    /// [`RecordingKind::is_kept_undecided`].
    pub review: bool,
    /// Whether it goes on after a transfer.
    pub follow_transfer: bool,
    /// Who wanted it, for the metadata document: `callflow : ` and a name.
    pub origin: String,
    /// The action's place in its document.
    pub pointer: String,
}
