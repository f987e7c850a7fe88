//! What a manifest can say of a recording, and how it is written down. Knows no file.

use callreel_proto::{
    AccountId, CallId, DeliveryAction, EndReason, OrderedBy, RecordingId, RecordingState,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Ticket, TicketKind};

/// One thing that happened to one recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The recording's account; none only in what the manifest says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// The recording; none only in what the manifest says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_id: Option<RecordingId>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. Each is said by whoever does it, just before it cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// It ended; said by the spool when its ticket says so. A crash at that moment says it twice, the second time as
    /// interrupted.
    Recorded {
        /// The recorded leg.
        call_id: CallId,
        /// A call recording or a voicemail message.
        kind: TicketKind,
        /// Who ordered it, as far as its document tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ordered_by: Option<OrderedBy>,
        /// Its start, RFC 3339.
        started_at: String,
        /// Its length, milliseconds.
        duration_ms: u64,
        /// Why it ended.
        end_reason: EndReason,
        /// SHA-256 of the ticket as it was at that moment: its JSON without spaces.
        ticket_sha256: String,
    },
    /// Its audio file was made; said by the spool when its ticket says so.
    Rendered {
        /// SHA-256 of the audio file.
        sha256: String,
        /// The audio file's size.
        bytes: u64,
        /// The audio's length, milliseconds.
        duration_ms: u64,
    },
    /// Its destination acknowledged it, and nothing is owed; said by the spool just before the ticket goes.
    Delivered {
        /// Where it went, without secrets.
        to: String,
        /// The try that succeeded, counted from one.
        attempt: u32,
        /// When the destination acknowledged the file, RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acknowledged_at: Option<String>,
        /// SHA-256 of what was delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    /// It was given up on, and is kept; said by the spool when its ticket says so.
    Undeliverable {
        /// Why.
        reason: String,
    },
    /// It was dropped undelivered; said by the spool just before the ticket goes.
    Discarded {
        /// The rule or the order that said so.
        rule: String,
    },
    /// A person ordered something of its delivery; said by whoever obeys.
    Ordered {
        /// What.
        action: DeliveryAction,
        /// Who.
        by: String,
        /// Why, if he said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A legal hold was put on it; said by whoever puts it.
    Held {
        /// Who wants it.
        by: String,
        /// Why.
        reason: String,
    },
    /// Its legal hold was lifted; said by whoever lifts it.
    Released {
        /// Who wants it.
        by: String,
        /// Why.
        reason: String,
    },
    /// It was deleted after its delivery; said by whoever deletes, once it is done.
    Deleted {
        /// Who, or which rule.
        by: String,
        /// Why.
        reason: String,
        /// What was done where, and what stays because nobody can delete it there.
        receipts: Vec<String>,
    },
    /// Somebody fetched its audio; said by whoever gives it, once for a fetch however many parts it has.
    Listened {
        /// Who.
        by: String,
    },
    /// The manifest found damage in itself and went on; said by the manifest.
    Repaired {
        /// What was found and what became of it.
        detail: String,
    },
}

impl Entry {
    /// What happened to this recording.
    pub fn new(account_id: AccountId, recording_id: RecordingId, what: What) -> Self {
        Self {
            account_id: Some(account_id),
            recording_id: Some(recording_id),
            what,
        }
    }

    /// What happened to the recording of this ticket.
    pub fn of(ticket: &Ticket, what: What) -> Self {
        let promise = ticket.promise();
        Self::new(
            promise.account_id.clone(),
            promise.recording_id.clone(),
            what,
        )
    }

    /// The step that brought a ticket from one state into another, if it is one that is written down. What was rendered before
    /// it was given up on is not rendered again by a retry.
    pub(crate) fn step(from: Option<RecordingState>, ticket: &Ticket) -> Option<Self> {
        use RecordingState::{Ended, Growing};
        let to = ticket.state();
        if from.is_some_and(|from| from == to || (to == Ended && from != Growing))
            || (to == RecordingState::Rendered && from != Some(Ended))
        {
            return None;
        }
        let log = ticket.delivery();
        let why = || log.last_error.clone().unwrap_or_default();
        let what = match to {
            RecordingState::Growing | RecordingState::Delivering => return None,
            RecordingState::Ended => recorded(ticket)?,
            RecordingState::Rendered => {
                let rendition = ticket.rendition()?;
                What::Rendered {
                    sha256: rendition.sha256.clone(),
                    bytes: rendition.bytes,
                    duration_ms: rendition.duration_ms,
                }
            }
            RecordingState::Delivered => What::Delivered {
                to: ticket.place(),
                attempt: log.attempts,
                acknowledged_at: log.uploaded_at.map(callreel_proto::Utc::rfc3339),
                sha256: ticket.rendition().map(|rendition| rendition.sha256.clone()),
            },
            RecordingState::Undeliverable => What::Undeliverable { reason: why() },
            RecordingState::Discarded => What::Discarded { rule: why() },
        };
        Some(Self::of(ticket, what))
    }
}

fn recorded(ticket: &Ticket) -> Option<What> {
    let promise = ticket.promise();
    let json = serde_json::to_vec(ticket).expect("a ticket has string keys");
    let ordered_by = ticket.document().get("ordered_by");
    Some(What::Recorded {
        call_id: promise.call_id.clone(),
        kind: promise.kind,
        ordered_by: ordered_by.and_then(|by| serde_json::from_value(by.clone()).ok()),
        started_at: promise.started_at.rfc3339(),
        duration_ms: ticket.length_ms()?,
        end_reason: ticket.end_reason()?,
        ticket_sha256: hex::encode(Sha256::digest(json)),
    })
}
