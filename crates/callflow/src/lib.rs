//! Walks a callflow: which node a call is at, what it waits for, what it wants done. No I/O, no clock, no randomness.
//!
//! [`Cursor`] is told what happened by [`Cursor::handle_input`] and asked what to do by [`Cursor::poll_output`].
//! `docs/modules/` describes each module; [`lint`] checks a document, [`explain`] walks one with a made-up call.

mod branching;
mod calendar;
mod caller;
mod cursor;
mod data;
pub mod destination;
mod dialogue;
mod digits;
pub mod explain;
mod flow;
mod headers;
pub mod lint;
mod mailbox;
pub mod mandate;
mod mandated;
mod marker;
pub mod metaflow;
mod missed;
mod modules;
mod numbers;
mod offnet;
mod order;
mod parking;
mod pattern;
mod pending;
mod people;
mod print;
mod problem;
mod recording;
mod restriction;
mod ring;
mod schema;
mod source;
mod speech;
mod stage;
mod talk;
mod transcript;
mod trunk;
mod unbuilt;
mod wait;
pub mod web;
pub mod wish;

pub use cursor::{Cursor, Position};
pub use flow::{Flow, MalformedFlow};
pub use headers::{is_of_delivery, request_headers};
pub use mailbox::{MailboxAnswer, MailboxQuery, Message};
pub use mandate::{EndpointRules, Mandate, Mandates, Network, Standing};
pub use order::{
    Meant, OrderDestination, RecordedLeg, RecordingKind, RecordingOrder, Silence, Slot, UsedBy,
};
pub use parking::{ParkedCall, ParkingAnswer, ParkingQuery, ParkingSlot};
pub use pattern::{Pattern, Taken};
pub use problem::{Problem, Severity};
pub use recording::http_url;
pub use restriction::{Callee, CallingParty, Classifiers, Denied};
pub use ring::{Member, MemberKind, members_of};
pub use source::{NoJson, Source};
pub use speech::named as playable;
pub use talk::{
    Answer, CallInfo, Captures, Dialled, Effect, Endpoints, Input, Output, Query, Recorded,
    Ringback, Settings,
};
pub use transcript::{Heard, Transcript};
pub use trunk::Trunks;
pub use wish::{Asker, Want, Wish};
