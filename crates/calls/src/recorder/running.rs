//! One recording that has been ordered and has not ended: what it is, how the switch names it, and what it waits for.

use std::{collections::VecDeque, time::Duration};

use callreel_callflow::{RecordedLeg, RecordingKind, RecordingOrder, Slot};
use callreel_proto::{
    Application, CallEvent, CallId, EndReason, Envelope, OrderedBy, RecordCall, RecordRequest,
    RecordingSource,
};
use callreel_spool::Ticket;
use callreel_telemetry::{Live, Span, metrics};
use ractor::{ActorRef, MessagingErr};
use serde::Serialize;
use tokio::{task::JoinHandle, time::Instant};

use super::RecorderMsg;
use crate::files::FileNames;

/// The how-manieth order of this call; the newest has the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(super) u32);

/// What a recording's timer was set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The switch should have said that it records.
    Start,
    /// The recording is as long as it may be.
    Limit,
    /// The switch should have said that it has ended the recording.
    Stop,
}

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// The switch has been told to record into a file and has not said that it does.
    Ordered,
    /// It records.
    Recording,
    /// It is to end, for this reason; the switch has not said that it has.
    Ending(EndReason),
}

impl Stage {
    fn waits_for(self) -> Due {
        match self {
            Self::Ordered => Due::Start,
            Self::Recording => Due::Limit,
            Self::Ending(_) => Due::Stop,
        }
    }
}

/// Who waits for what becomes of it.
pub(super) enum Orderer {
    /// The callflow, under this name.
    Flow(Slot),
    /// Another application, by this command.
    Other(Box<Envelope<RecordRequest>>),
    /// Nobody.
    Nobody,
}

/// How the switch names it: in commands to it and in its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) id: String,
    pub(super) media_name: String,
}

impl Names {
    /// The names of a recording: those that another application gave it, else its id and the name of its file.
    pub(super) fn of(ticket: &Ticket, by: &Orderer, terms: &RecordCall) -> Self {
        let id = terms.recording_id.as_deref();
        let file = ticket.switch_file().map(|file| &file.media_name);
        let given = match by {
            Orderer::Flow(_) | Orderer::Nobody => None,
            Orderer::Other(request) => match &request.body.command.application {
                Application::RecordCall { media_name, .. } => media_name.as_deref(),
                _ => None,
            },
        };
        let name = given.or(file.map(String::as_str));
        Self {
            id: id.unwrap_or(ticket.recording_id().as_str()).to_owned(),
            media_name: name.unwrap_or(&ticket.promise().file_name).to_owned(),
        }
    }

    /// Whether an event or a command means this recording: by its id, else by its file name.
    pub(super) fn are(&self, id: Option<&str>, name: Option<&str>) -> bool {
        match (id, name) {
            (Some(id), _) => self.id == id,
            (None, Some(name)) => self.media_name == name,
            (None, None) => false,
        }
    }
}

/// An announcement on its way to those who shall hear it.
pub(super) struct Sounding {
    /// The command's name: the switch says by it that it is done.
    pub(super) name: &'static str,
    /// The command's `Msg-ID`: the switch says by it that it cannot be done.
    pub(super) msg_id: String,
}

/// A recording that has been ordered and has not ended.
pub(super) struct Running {
    pub(super) ticket: Ticket,
    pub(super) kind: RecordingKind,
    /// The name its action gave it.
    pub(super) name: Option<String>,
    /// Whose hand it was.
    pub(super) ordered_by: OrderedBy,
    /// Who waits for it.
    pub(super) by: Orderer,
    pub(super) names: Names,
    /// The callee's leg, if it is of that; else the recorder's own.
    pub(super) leg: Option<CallId>,
    /// The recording of the other party, if both are kept separate: they begin and end together.
    pub(super) twin: Option<Key>,
    /// Whether the flow decides, when it has ended, whether it is kept.
    pub(super) review: bool,
    /// Whether it goes on when the call is transferred.
    pub(super) follows: bool,
    /// Its audio comes from the leg that stayed when ours left.
    pub(super) inherited: bool,
    /// What is still to be sounded because of it, and what is being sounded.
    pub(super) announcements: VecDeque<Application>,
    pub(super) sounding: Option<Sounding>,
    /// It alone hears silence, whatever the call's other recordings hear.
    pub(super) masked_alone: bool,
    /// Whose hand ended it.
    pub(super) ended_by: Option<OrderedBy>,
    /// The `Msg-ID` of the command that started it.
    pub(super) command_id: String,
    /// That command, as long as our switch has not said that it forks.
    pub(super) unconfirmed: Option<Application>,
    pub(super) stage: Stage,
    /// The switch has said that it has opened its file.
    pub(super) begun: bool,
    /// Since when the switch records; until it says so, since when it should.
    pub(super) since: Instant,
    /// When it was to end.
    pub(super) until: Option<Instant>,
    _live: Live,
    /// Ends with it.
    pub(super) span: Span,
    /// Sends `Due`; aborted when what it waits for comes before.
    timer: Option<JoinHandle<Result<(), MessagingErr<RecorderMsg>>>>,
}

impl Running {
    /// One that begins now.
    pub(super) fn new(
        ticket: Ticket,
        order: &RecordingOrder,
        by: Orderer,
        names: Names,
        span: Span,
    ) -> Self {
        Self {
            ticket,
            kind: order.kind.clone(),
            name: order.name.clone(),
            ordered_by: order.by.clone(),
            by,
            names,
            leg: match &order.leg {
                RecordedLeg::A => None,
                RecordedLeg::B { call_id } => Some(call_id.clone()),
            },
            twin: None,
            review: order.review,
            follows: order.follow_transfer,
            inherited: false,
            announcements: order.announcements.clone().into(),
            sounding: None,
            masked_alone: false,
            ended_by: None,
            command_id: callreel_proto::random_hex(32),
            unconfirmed: None,
            stage: Stage::Ordered,
            begun: false,
            since: Instant::now(),
            until: None,
            _live: Live::one_of(&metrics().recordings_live),
            span,
            timer: None,
        }
    }

    /// Whether it is a `record_call`, beside the flow, and not a message for which the flow waits.
    pub(super) fn is_beside(&self) -> bool {
        self.kind == RecordingKind::Recording
    }

    /// By which media name the switch plays a message to the caller who has just spoken it.
    pub(super) fn heard_as(&self) -> Option<String> {
        let name = &self.names.media_name;
        (!self.is_beside()).then(|| format!("local_stream://{name}"))
    }

    /// Its name in the flow, if the flow ordered it.
    pub(super) fn slot(&self) -> Option<Slot> {
        match self.by {
            Orderer::Flow(slot) => Some(slot),
            Orderer::Other(_) | Orderer::Nobody => None,
        }
    }

    /// Whether it is a running `record_call` that a callflow's step began, of this name if one is given.
    pub(super) fn is_the_flows(&self, name: Option<&str>) -> bool {
        self.is_beside()
            && self.goes_on()
            && self.ordered_by.source == RecordingSource::Callflow
            && name.is_none_or(|name| self.name.as_deref() == Some(name))
    }

    /// Where a file that a switch keeps is by now, nanoseconds: its clock starts when the switch says so.
    pub(super) fn file_ns(&self) -> u64 {
        if !self.begun {
            return 0;
        }
        u64::try_from(self.lasted().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether it is to go on until somebody ends it.
    pub(super) fn goes_on(&self) -> bool {
        !matches!(self.stage, Stage::Ending(_))
    }

    /// Whether a timer's word is about what it waits for now.
    pub(super) fn waits_for(&self, due: Due) -> bool {
        self.stage.waits_for() == due
    }

    /// It waits for something else now, for so long.
    pub(super) fn enter(
        &mut self,
        stage: Stage,
        patience: Duration,
        key: Key,
        myself: &ActorRef<RecorderMsg>,
    ) {
        self.stage = stage;
        self.rest();
        let due = stage.waits_for();
        self.timer = Some(myself.send_after(patience, move || RecorderMsg::Due(key, due)));
    }

    /// It waits for nothing more.
    pub(super) fn rest(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
    }

    /// How long it has lasted by our clock.
    pub(super) fn lasted(&self) -> Duration {
        let until = self.until.unwrap_or_else(Instant::now);
        until.saturating_duration_since(self.since)
    }

    /// Whether an event of the switch is about it.
    pub(super) fn is_meant_by(&self, event: &CallEvent) -> bool {
        if let Some(names) = FileNames::of(&self.ticket) {
            return names.fit(event);
        }
        let info = event.recording.as_ref();
        let id = info.and_then(|info| info.id.as_deref());
        let name = info.and_then(|info| info.name.as_deref());
        let path = event.application_response.as_deref();
        let base = path.and_then(|path| path.rsplit('/').next());
        self.names.are(id, name.or(base))
    }
}
