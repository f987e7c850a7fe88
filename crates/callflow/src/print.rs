//! What inputs and effects look like to people: one line each, without credentials. Used by `explain`, tests and logs.

mod command;

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use callreel_proto::{CallEvent, Channels, EventName, InsertAt, OffnetReq};
use serde_json::Value;

use command::{Line, keys};

use crate::order::{Meant, OrderDestination, RecordedLeg, RecordingKind, RecordingOrder, Slot};
use crate::ring::{Member, MemberKind};
use crate::talk::{Answer, Effect, Input, Query};

impl Display for Slot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl Display for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("Started"),
            Self::Found(answer) => write!(f, "Found {answer}"),
            Self::Event { name, event } => print_event(f, *name, event),
            Self::RecordingEnded {
                slot,
                reason,
                length_ms,
                ..
            } => write!(f, "RecordingEnded {slot}: {reason:?} after {length_ms} ms"),
            Self::Recorded(made) => write!(f, "Recorded {}", made.id),
            Self::RecordingStarted { slot } => write!(f, "RecordingStarted {slot}"),
            Self::RecordingRefused { slot, reason } => {
                write!(f, "RecordingRefused {slot}: {reason}")
            }
            Self::Offnet { response, .. } => {
                let code = response.code.as_deref().unwrap_or_default();
                write!(f, "Offnet {} {code}", response.message)
            }
            Self::Overlay(document) => write!(f, "Overlay callflow {}", id_of(document)),
            Self::Exhausted => f.write_str("Exhausted"),
            Self::Tick => f.write_str("Tick"),
        }
    }
}

fn print_event(f: &mut Formatter<'_>, name: EventName, event: &CallEvent) -> fmt::Result {
    f.write_str(name.name())?;
    let words = [
        &event.application_name,
        &event.application_response,
        &event.hangup_code,
        &event.dtmf_digit,
        &event.error_message,
    ];
    for word in words.into_iter().flatten() {
        write!(f, " {word}")?;
    }
    match event.hangup_cause {
        Some(cause) => write!(f, " {}", cause.name()),
        None => Ok(()),
    }
}

fn id_of(doc: &Value) -> &str {
    doc.get("_id").and_then(Value::as_str).unwrap_or("?")
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flow(_) => f.write_str("a callflow"),
            Self::Endpoints(found) => {
                let ids: Vec<_> = found.devices.iter().map(|d| d.id.as_str()).collect();
                write!(f, "devices [{}] in {}", ids.join(", "), found.realm)
            }
            Self::Vmbox(found) => write!(f, "box {}", found.id),
            Self::Mailbox(found) => found.fmt(f),
            Self::Parking(found) => found.fmt(f),
            Self::Document(doc) => write!(f, "document {}", id_of(doc)),
            Self::Documents(docs) => {
                let ids: Vec<_> = docs.iter().map(id_of).collect();
                write!(f, "documents [{}]", ids.join(", "))
            }
            Self::Dialled(found) => write!(f, "callflow {}", id_of(&found.document)),
            Self::LocalTime(time) => write!(f, "{}", time.datetime()),
            Self::Trunks(found) => {
                let ids: Vec<_> = found.resources.iter().map(id_of).collect();
                write!(f, "trunks [{}]", ids.join(", "))
            }
            Self::Missing => f.write_str("nothing"),
            Self::Failed(reason) => write!(f, "failure: {reason}"),
        }
    }
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Callflow { id } => write!(f, "callflow {id}"),
            Self::Endpoints { members } => {
                let words: Vec<_> = members.iter().map(ToString::to_string).collect();
                f.write_str(&words.join(", "))
            }
            Self::Vmbox { id } => write!(f, "voicemail box {id}"),
            Self::Mailbox(query) => query.fmt(f),
            Self::Parking(query) => query.fmt(f),
            Self::Document { id } => write!(f, "document {id}"),
            Self::Documents { ids } => write!(f, "documents {}", ids.join(", ")),
            Self::DocumentsOf { pvt_type } => write!(f, "all documents of type {pvt_type}"),
            Self::EntriesOf { lists } => write!(f, "the entries of {}", lists.join(", ")),
            Self::UsersIn { directory } => write!(f, "the users in directory {directory}"),
            Self::Dialled { number } => write!(f, "the callflow of {number}"),
            Self::Change { id, set } => {
                write!(f, "change document {id}:")?;
                set.iter()
                    .try_for_each(|(pointer, value)| write!(f, " {pointer}={value}"))
            }
            Self::Pivot(pivot) => write!(f, "the callflow that is served by {}", pivot.request),
            Self::Trunks {
                caller_only: true, ..
            } => f.write_str("who the caller is to the public network"),
            Self::Trunks { hunt, .. } => match hunt {
                Some(account) => write!(f, "the trunks of account {account}"),
                None => f.write_str("everybody's trunks"),
            },
            Self::LocalTime { timezone } => match timezone {
                Some(place) => write!(f, "the time in {place}"),
                None => f.write_str("the time"),
            },
        }
    }
}

impl Display for Member {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (kind, id) = (self.kind, &self.id);
        match kind {
            MemberKind::Device => write!(f, "device {id}"),
            MemberKind::User => write!(f, "devices of user {id}"),
            MemberKind::Group => write!(f, "members of group {id}"),
        }
    }
}

impl Display for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command {
                insert_at,
                application,
                msg_id,
            } => {
                Line(application).fmt(f)?;
                if let Some(id) = msg_id {
                    write!(f, " {id}")?;
                }
                match insert_at {
                    InsertAt::Tail => Ok(()),
                    InsertAt::Head => f.write_str(" (head)"),
                    InsertAt::Now => f.write_str(" (now)"),
                    InsertAt::Flush => f.write_str(" (flush)"),
                }
            }
            Self::Lookup(query) => write!(f, "look up {query}"),
            Self::Offnet { request, .. } => print_offnet(f, request),
            Self::StartRecording(order) => write!(f, "start recording {order}"),
            Self::StopRecording {
                meant: Meant::Usual,
                ..
            } => f.write_str("stop the newest recording"),
            Self::StopRecording { meant, .. } => write!(f, "stop {meant}"),
            Self::Mask { meant, .. } => write!(f, "mask {meant}"),
            Self::Unmask { meant, .. } => write!(f, "unmask {meant}"),
            Self::RecordMessage(order) => write!(f, "record the caller {order}"),
            Self::Webhook { request, tries } => write!(f, "tell {request}, {tries} tries"),
            Self::Keep { slot } => write!(f, "keep recording {slot}"),
            Self::Discard { slot } => write!(f, "discard recording {slot}"),
            Self::Unpark { slot, later, .. } => {
                let when = if *later { " in a while" } else { "" };
                write!(f, "free parking slot {slot}{when}")
            }
            Self::Skipped {
                pointer, reason, ..
            } => {
                write!(f, "not recording at {}: {reason}", place(pointer))
            }
            Self::Notification { name, fields } => {
                write!(f, "notify {}", name.name())?;
                let to = fields.to.as_deref().unwrap_or_default();
                to.iter().try_for_each(|address| write!(f, " {address}"))
            }
            Self::Warn { pointer, message } => write!(f, "warn at {}: {message}", place(pointer)),
        }
    }
}

fn print_offnet(f: &mut Formatter<'_>, request: &OffnetReq) -> fmt::Result {
    let to = &request.to_did;
    write!(f, "ask stepswitch to call {to}")?;
    if let Some(account) = &request.hunt_account_id {
        write!(f, " over the trunks of account {account}")?;
    }
    if !request.flags.is_empty() {
        write!(f, " that have {}", request.flags.join(", "))?;
    }
    let caller = [&request.caller_id_name, &request.caller_id_number];
    let words: Vec<_> = caller.into_iter().flatten().map(String::as_str).collect();
    write!(f, ", from {}", words.join(" "))
}

impl Display for Meant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual => f.write_str("the call"),
            Self::Named(name) => write!(f, "the recording {name:?}"),
            Self::Id(id) => write!(f, "the recording {id}"),
            Self::Slot(slot) => write!(f, "the recording {slot}"),
        }
    }
}

impl Display for RecordingOrder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let channels = match self.channels {
            _ if self.separate => "each party apart",
            Channels::Stereo => "stereo",
            Channels::Mono => "mono",
            Channels::Caller => "caller only",
            Channels::Callee => "other party only",
        };
        write!(f, "{}: {} {channels}", self.slot, self.format)?;
        if let Some(rate) = self.sample_rate {
            write!(f, " {rate} Hz")?;
        }
        write!(f, ", at most {}", seconds(self.time_limit))?;
        if !self.min.is_zero() {
            write!(f, ", at least {}", seconds(self.min))?;
        }
        keys(f, &self.terminators)?;
        if let Some(silence) = self.silence {
            write!(f, ", {} of silence ends it", seconds(silence.after))?;
        }
        if let RecordedLeg::B { call_id } = &self.leg {
            write!(f, ", of leg {call_id}")?;
        }
        for announcement in &self.announcements {
            write!(f, ", telling them: {}", Line(announcement))?;
        }
        if self.review {
            f.write_str(", to be reviewed")?;
        }
        if !self.follow_transfer {
            f.write_str(", not beyond a transfer")?;
        }
        match &self.kind {
            RecordingKind::Recording | RecordingKind::Message => {}
            RecordingKind::Voicemail { box_id, .. } => write!(f, ", for box {box_id}")?,
            RecordingKind::Greeting { used_by, .. } => {
                write!(f, ", for {} of {}", used_by.pointer, used_by.id)?;
            }
        }
        write!(f, ", to {}", self.destination.describe())?;
        if let OrderDestination::Url { headers, .. } = &self.destination
            && !headers.is_empty()
        {
            let names: Vec<_> = headers.keys().map(String::as_str).collect();
            write!(f, " with {}", names.join(", "))?;
        }
        if let Some(name) = &self.media_name {
            write!(f, ", named {name}")?;
        }
        if let Some(name) = &self.name {
            write!(f, ", called {name:?}")?;
        }
        if self.by.source.is_mandate() {
            write!(f, ", {}", self.origin)?;
        }
        Ok(())
    }
}

/// A JSON pointer in a sentence; the empty one, which is the whole document, needs a word.
pub(crate) fn place(pointer: &str) -> &str {
    if pointer.is_empty() {
        "(root)"
    } else {
        pointer
    }
}

/// A time in seconds, with as many decimals as it needs, at most three.
pub(crate) fn seconds(time: Duration) -> String {
    let ms = time.as_millis();
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}
