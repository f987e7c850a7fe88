//! Notices about recordings, by which calls, delivery and the API hear of each other's progress.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::lenient::loose;
use crate::{
    AccountId, CallId, EndReason, Envelope, Headers, Hold, OrderedBy, RecordingId, Utc, encode_word,
};

/// What happened to a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingFact {
    /// Recording began; the ticket is on disk.
    Started,
    /// From here on nothing of the call is recorded; time goes on.
    Masked,
    /// The call is recorded again.
    Unmasked,
    /// Recording ended; delivery may begin.
    Ended,
    /// The audio file is on disk.
    Rendered,
    /// A delivery failed and will be tried again.
    Retrying,
    /// The destination acknowledged it.
    Delivered,
    /// Given up on; kept and visible.
    Undeliverable,
    /// Dropped by the rule named in `detail`.
    Discarded,
    /// Never begun, for the reason named in `detail`.
    Skipped,
    /// A legal hold was put on it: from here on nothing removes it.
    Held,
    /// Its legal hold was lifted.
    Released,
    /// It was deleted after its delivery, by the order or rule named in `detail`.
    Deleted,
}

impl RecordingFact {
    /// The fact's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Masked => "masked",
            Self::Unmasked => "unmasked",
            Self::Ended => "ended",
            Self::Rendered => "rendered",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Undeliverable => "undeliverable",
            Self::Discarded => "discarded",
            Self::Skipped => "skipped",
            Self::Held => "held",
            Self::Released => "released",
            Self::Deleted => "deleted",
        }
    }
}

/// A notice about one recording. Exchange `kapps`, category `recording`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingNotice {
    /// What happened.
    #[serde(rename = "Fact")]
    pub fact: RecordingFact,
    /// The account it belongs to.
    #[serde(rename = "Account-ID")]
    pub account_id: AccountId,
    /// The recorded call.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// The recording; absent when it was skipped before it had an id.
    #[serde(rename = "Recording-ID", default)]
    pub recording_id: Option<RecordingId>,
    /// Why it ended, once it has.
    #[serde(rename = "End-Reason", default, deserialize_with = "loose")]
    pub end_reason: Option<EndReason>,
    /// Who ordered what happened: the start, the mask, the stop.
    #[serde(rename = "Ordered-By", default, deserialize_with = "loose")]
    pub ordered_by: Option<OrderedBy>,
    /// When it happened, milliseconds from the start of the recording, if it did within it.
    #[serde(rename = "Offset-Ms", default, deserialize_with = "loose")]
    pub offset_ms: Option<u64>,
    /// When it will end by itself, seconds from its start; with `started`.
    #[serde(rename = "Time-Limit", default, deserialize_with = "loose")]
    pub time_limit_s: Option<u64>,
    /// Where it goes, without secrets; with `delivered`.
    #[serde(rename = "Destination", default, deserialize_with = "loose")]
    pub destination: Option<String>,
    /// The audio file's size; with `rendered` and `delivered`.
    #[serde(rename = "Bytes", default, deserialize_with = "loose")]
    pub bytes: Option<u64>,
    /// The audio file's SHA-256, hex digits; with `rendered` and `delivered`.
    #[serde(rename = "SHA256", default, deserialize_with = "loose")]
    pub sha256: Option<String>,
    /// The audio's length, milliseconds; with `rendered` and `delivered`.
    #[serde(rename = "Duration-Ms", default, deserialize_with = "loose")]
    pub duration_ms: Option<u64>,
    /// A sentence for people: where it went, why it failed, which rule dropped it.
    #[serde(rename = "Detail", default, deserialize_with = "loose")]
    pub detail: Option<String>,
}

impl RecordingNotice {
    /// A notice of this fact, without particulars.
    pub fn new(fact: RecordingFact, account_id: AccountId, call_id: CallId) -> Self {
        Self {
            fact,
            account_id,
            call_id,
            recording_id: None,
            end_reason: None,
            ordered_by: None,
            offset_ms: None,
            time_limit_s: None,
            destination: None,
            bytes: None,
            sha256: None,
            duration_ms: None,
            detail: None,
        }
    }

    /// The topic pattern that hears one fact of every recording.
    pub fn pattern(fact: RecordingFact) -> String {
        format!("callreel.recording.{}.*", fact.name())
    }

    /// The topic pattern that hears everything about every recording.
    pub const ALL: &str = "callreel.recording.#";

    /// This notice's routing key: `callreel.recording.<fact>.<account>`.
    pub fn routing_key(&self) -> String {
        format!(
            "callreel.recording.{}.{}",
            self.fact.name(),
            encode_word(self.account_id.as_str())
        )
    }

    /// This notice in its envelope.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new("recording", self.fact.name()),
            body: self,
        }
    }
}

/// What a person wants done with a recording that is still owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryAction {
    /// Try it again at once, also if it was given up on.
    Retry,
    /// Remove it undelivered.
    Drop,
    /// Put a legal hold on it.
    Hold,
    /// Lift its legal hold.
    Release,
}

impl DeliveryAction {
    /// The action's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Drop => "drop",
            Self::Hold => "hold",
            Self::Release => "release",
        }
    }
}

/// An order to whichever delivery role holds the recording. Exchange `kapps`, category `delivery`. It is answered by
/// [`RecordingNotice`]s only.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryOrder {
    /// What to do.
    #[serde(rename = "Action")]
    pub action: DeliveryAction,
    /// With which recording.
    #[serde(rename = "Recording-ID")]
    pub recording_id: RecordingId,
    /// Whose it is: where it is looked for once it is delivered.
    #[serde(rename = "Account-ID", default, deserialize_with = "loose")]
    pub account_id: Option<AccountId>,
    /// Why; a hold always says.
    #[serde(rename = "Reason", default, deserialize_with = "loose")]
    pub reason: Option<String>,
    /// Who: the name of an API token's owner, or of the user at a command line.
    #[serde(rename = "By", default, deserialize_with = "loose")]
    pub by: Option<String>,
}

impl DeliveryOrder {
    /// This order, by nobody and for no reason.
    pub fn new(action: DeliveryAction, recording_id: RecordingId) -> Self {
        Self {
            action,
            recording_id,
            account_id: None,
            reason: None,
            by: None,
        }
    }

    /// The legal hold it puts, if it puts one.
    pub fn hold(&self, now: Utc) -> Option<Hold> {
        (self.action == DeliveryAction::Hold).then(|| Hold {
            by: self.who().to_owned(),
            reason: self.reason.clone().unwrap_or_default(),
            since: now.gregorian_seconds(),
        })
    }

    /// Who ordered it.
    pub fn who(&self) -> &str {
        self.by.as_deref().unwrap_or("an operator")
    }

    /// Who and why, for a record of what was ordered.
    pub fn told(&self) -> String {
        let by = self.who();
        match &self.reason {
            Some(reason) => format!("{by}: {reason}"),
            None => by.to_owned(),
        }
    }

    /// The topic pattern that hears every order.
    pub const ALL: &str = "callreel.delivery.*.*";

    /// This order's routing key: `callreel.delivery.<action>.<recording>`.
    pub fn routing_key(&self) -> String {
        format!(
            "callreel.delivery.{}.{}",
            self.action.name(),
            encode_word(self.recording_id.as_str())
        )
    }

    /// This order in its envelope.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new("delivery", self.action.name()),
            body: self,
        }
    }
}
