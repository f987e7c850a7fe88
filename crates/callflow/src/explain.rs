//! Walks a flow with a made-up call and writes the talk down. Never touches a real call, document or clock.

mod rehearsal;
mod script;

use std::time::{Duration, Instant};

use callreel_proto::{AccountId, CallId, Device, User, Vmbox};
use serde_json::{Value, json};

use crate::cursor::Cursor;
use crate::flow::{Flow, MalformedFlow};
use crate::mailbox::{MailboxAnswer, MailboxQuery};
use crate::parking::{ParkedCall, ParkingAnswer, ParkingQuery, ParkingSlot};
use crate::ring::{Member, MemberKind};
use crate::talk::{Answer, CallInfo, Captures, Dialled, Effect, Endpoints, Input, Query, Settings};
use crate::transcript::Transcript;
use crate::trunk::Trunks;

use rehearsal::Rehearsal;
pub use script::{BadScript, Script};

/// A walk of more inputs is broken off: it goes round in circles, or plays something endlessly.
const LONGEST_WALK: usize = 500;
/// What the made-up caller dialled.
const NUMBER: &str = "2000";
/// How the made-up people behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Whoever is rung answers.
    Answered,
    /// Nobody answers.
    NotAnswered,
    /// Whoever is rung is busy.
    Busy,
}

impl World {
    const ALL: [Self; 3] = [Self::Answered, Self::NotAnswered, Self::Busy];

    fn describe(self) -> &'static str {
        match self {
            Self::Answered => "whoever is rung answers",
            Self::NotAnswered => "nobody answers",
            Self::Busy => "whoever is rung is busy",
        }
    }
}

/// What is known of the account; none where nothing is, and the answer is made up.
pub type Known<'a> = dyn FnMut(&Query) -> Option<Answer> + 'a;

/// Walks a callflow document, or a bare action, in every world that makes a difference, and gives the talks with headings.
/// With a script it is walked once, in the world of the script. `origin` may be any instant.
///
/// # Errors
/// The document is no callflow.
pub fn explain(
    document: &Value,
    script: &Script,
    known: &mut Known<'_>,
    origin: Instant,
) -> Result<String, MalformedFlow> {
    let flow = Flow::parse(document, false)?;
    let mut talk = |world| {
        let rehearsal = Rehearsal::new(example_call(), world, script);
        walk_with(&flow, &Settings::default(), rehearsal, known, origin)
    };
    if script.steps().next().is_some() {
        return Ok(talk(World::NotAnswered));
    }
    let mut told: Vec<String> = Vec::new();
    let mut text = String::new();
    for world in World::ALL {
        let talk = talk(world);
        if !told.contains(&talk) {
            if !told.is_empty() {
                text.push('\n');
            }
            text += &format!("If {}:\n\n{talk}", world.describe());
            told.push(talk);
        }
    }
    // Without a bridge it makes no difference who would answer.
    if let [only] = told.as_slice() {
        return Ok(only.clone());
    }
    Ok(text)
}

/// Walks the flow in this world and gives the talk, in the form of [`Transcript`]. `origin` may be any instant.
///
/// Every document the flow names exists: a user has one device, a box is empty, a callflow does nothing.
pub fn walk(flow: &Flow, settings: &Settings, world: World, origin: Instant) -> String {
    let rehearsal = Rehearsal::new(example_call(), world, &Script::default());
    walk_with(flow, settings, rehearsal, &mut |_| None, origin)
}

fn walk_with(
    flow: &Flow,
    settings: &Settings,
    mut rehearsal: Rehearsal,
    known: &mut Known<'_>,
    origin: Instant,
) -> String {
    let cursor = Cursor::new(flow.clone(), example_call(), settings.clone());
    let mut transcript = Transcript::new(cursor, origin);
    let mut next = (Duration::ZERO, Input::Started);
    for _ in 0..LONGEST_WALK {
        let (now, input) = next;
        let heard = transcript.hear(now, input);
        if heard.finished {
            return transcript.text().to_owned();
        }
        for effect in heard.effects {
            match effect {
                Effect::Lookup(query) => {
                    let answer = known(&query).unwrap_or_else(|| look_up(&query));
                    rehearsal.answer(now, answer);
                }
                other => rehearsal.perform(now, other),
            }
        }
        next = rehearsal.next(now, heard.wake_at);
    }
    format!("{}… and so on\n", transcript.text())
}

fn example_call() -> CallInfo {
    let account_id = AccountId::parse("0123456789abcdef0123456789abcdef")
        .expect("it is 32 lower-case hex digits");
    let call_id = CallId::new("example-call");
    CallInfo {
        caller_id_name: Some("Alice".to_owned()),
        caller_id_number: Some("1000".to_owned()),
        ..CallInfo::new(account_id, call_id, "mark".to_owned(), NUMBER.to_owned())
    }
}

/// What a made-up account has.
fn look_up(query: &Query) -> Answer {
    match query {
        Query::Callflow { .. } | Query::Pivot(_) => {
            Answer::Flow(json!({"flow": {"module": "noop", "data": {}}}))
        }
        Query::Endpoints { members } => Answer::Endpoints(endpoints(members)),
        Query::Vmbox { id } => vmbox(&json!({"_id": id, "mailbox": NUMBER})),
        Query::Mailbox(query) => mailbox(query),
        Query::Parking(query) => parking(query),
        Query::Document { id } | Query::Change { id, .. } => Answer::Document(json!({"_id": id})),
        Query::Documents { .. }
        | Query::DocumentsOf { .. }
        | Query::EntriesOf { .. }
        | Query::UsersIn { .. } => Answer::Documents(Vec::new()),
        Query::Dialled { number } => Answer::Dialled(Box::new(Dialled {
            document: json!({"_id": number, "flow": {"module": "noop", "data": {}}}),
            captures: Captures::default(),
            fallback: false,
        })),
        Query::Trunks { hunt, .. } => Answer::Trunks(Box::new(Trunks {
            resources: vec![json!({
                "_id": "trunk", "rules": [".+"], "gateways": [{"server": "gateway.example.net"}]
            })],
            global: hunt.is_none(),
            ..Trunks::default()
        })),
        // A Monday at noon: most rules of time mean working hours.
        Query::LocalTime { .. } => Answer::LocalTime(
            jiff::civil::date(2024, 1, 8)
                .at(12, 0, 0, 0)
                .to_zoned(jiff::tz::TimeZone::UTC)
                .expect("UTC has every time"),
        ),
    }
}

/// Every slot is free.
fn parking(query: &ParkingQuery) -> Answer {
    let taken = |slot: &str, call: &ParkedCall| {
        Answer::Parking(ParkingAnswer::Parked(ParkingSlot {
            slot: slot.to_owned(),
            call_id: call.call_id.clone(),
            attended: call.attended,
            ringback_id: None,
            hold_media: None,
        }))
    };
    match query {
        ParkingQuery::Take { slot, call, .. } => taken(slot.as_deref().unwrap_or("101"), call),
        ParkingQuery::Replace { call, .. } => taken("101", call),
        ParkingQuery::Find { .. } => Answer::Missing,
    }
}

/// Every user has a phone, every group a user.
fn endpoints(members: &[Member]) -> Endpoints {
    let mut found = Endpoints {
        realm: "example.com".to_owned(),
        ..Endpoints::default()
    };
    for Member { kind, id } in members {
        match kind {
            MemberKind::Device => found.devices.push(device(id, None)),
            MemberKind::User => add_user(&mut found, id),
            MemberKind::Group => {
                let user = format!("member-of-{id}");
                let entries = json!({ &user: {"type": "user", "weight": 1} });
                found.groups.push(json!({"_id": id, "endpoints": entries}));
                add_user(&mut found, &user);
            }
        }
    }
    found
}

fn add_user(found: &mut Endpoints, id: &str) {
    found.users.push(User::read(&json!({"_id": id})));
    found.devices.push(device("phone", Some(id)));
}

fn device(id: &str, owner_id: Option<&str>) -> Device {
    Device::read(&json!({"_id": id, "owner_id": owner_id, "sip": {"username": "phone"}}))
}

fn vmbox(doc: &Value) -> Answer {
    Answer::Vmbox(Box::new(Vmbox::read(doc)))
}

/// An empty box that is set up.
fn mailbox(query: &MailboxQuery) -> Answer {
    Answer::Mailbox(match query {
        MailboxQuery::Numbered { number } => {
            let vmbox = json!({"_id": number, "mailbox": number, "is_setup": true});
            return self::vmbox(&vmbox);
        }
        MailboxQuery::OwnedBy { owner_id } => {
            let vmbox = json!({"_id": "box", "mailbox": NUMBER, "owner_id": owner_id});
            MailboxAnswer::Boxes(vec![Vmbox::read(&vmbox)])
        }
        MailboxQuery::Counts { .. } => MailboxAnswer::Counts { new: 0, saved: 0 },
        MailboxQuery::Messages { .. } => MailboxAnswer::Messages(Vec::new()),
        MailboxQuery::Move { .. } | MailboxQuery::Forward { .. } | MailboxQuery::SetPin { .. } => {
            MailboxAnswer::Done
        }
    })
}
