//! Reads what is wanted of a call's recordings, whoever wants it: a step of its flow, a party's keys or a program. Never
//! knows what runs.

use callreel_proto::{AccountId, MediaConfig, OrderedBy, RecordingSource};
use serde_json::{Map, Value};

use crate::data::Data;
use crate::order::{Meant, RecordingKind, RecordingOrder};
use crate::problem::{Problem, Severity};
use crate::recording::{Origin, Terms, order, when};

/// What a step of a flow does.
#[derive(Debug)]
pub(crate) enum Action {
    Start,
    Stop(Meant),
    Mask(Meant),
    Unmask(Meant),
}

impl Action {
    /// The `action` of a step. As in Kazoo, one that is none starts.
    pub(crate) fn of_step(data: &mut Data<'_>) -> Self {
        match data.text("action").as_deref() {
            Some("stop") => Self::Stop(meant(data)),
            Some("mask") => Self::Mask(meant(data)),
            Some("unmask") => Self::Unmask(meant(data)),
            None | Some("start") => Self::Start,
            Some(other) => {
                let message = format!("{other:?} is no action; taken as \"start\"");
                data.warn_of("action", message);
                Self::Start
            }
        }
    }
}

/// The recording of this name, if one is named.
fn meant(data: &mut Data<'_>) -> Meant {
    data.text("name").map_or(Meant::Usual, Meant::Named)
}

/// Who wants something of a live call's recordings, and what holds for it.
#[derive(Debug)]
pub struct Asker<'a> {
    /// `system_config/media`.
    pub media: &'a MediaConfig,
    /// The call's account.
    pub account_id: &'a AccountId,
    /// Who asks.
    pub by: &'a OrderedBy,
    /// What was dialled: it names the origin of a recording without a `label`.
    pub number: &'a str,
}

/// What is wanted of a live call's recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// What to do.
    pub want: Want,
    /// What was accepted, left out or changed; pointers begin at the data.
    pub warnings: Vec<Problem>,
}

/// What to do with a live call's recordings.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// Begin this recording, now.
    Start(Box<RecordingOrder>),
    /// It should begin one, and there is nowhere to store it: refuse, for this reason.
    Nowhere(String),
    /// End that recording. [`Meant::Usual`]: the newest of the same source, else the newest that may be ended like this.
    Stop(Meant),
    /// From here, record silence.
    Mask(Meant),
    /// Record audio again.
    Unmask(Meant),
    /// End what is meant if it runs, else begin this: see [`Want::settled`].
    Toggle(Meant, Box<Want>),
    /// Unmask what is meant if it is masked, else mask it.
    ToggleMask(Meant),
}

impl Want {
    /// What a toggle means, given whether what is meant runs and whether it is masked. Others mean what they say.
    pub fn settled(self, running: bool, masked: bool) -> Self {
        match self {
            Self::Toggle(meant, _) if running => Self::Stop(meant),
            Self::Toggle(_, start) => *start,
            Self::ToggleMask(meant) if masked => Self::Unmask(meant),
            Self::ToggleMask(meant) => Self::Mask(meant),
            other => other,
        }
    }
}

/// Reads the data of a `record_call` that concerns a live call: a metaflow's, or a program's.
///
/// The keys are those of the callflow module, but for three: `action` may also be `toggle` or `toggle_mask`, `recording_id`
/// names one recording whoever wants it, and what is started begins now. An `action` that is none starts (as in Kazoo).
pub fn read(data: &Map<String, Value>, asker: &Asker<'_>) -> Wish {
    let mut data = Data::new(data, "");
    let want = want(&mut data, asker);
    let problem = |(pointer, message)| Problem::new(Severity::Warning, pointer, message);
    Wish {
        want,
        warnings: data.warnings.into_iter().map(problem).collect(),
    }
}

fn want(data: &mut Data<'_>, asker: &Asker<'_>) -> Want {
    match data.text("action").as_deref() {
        Some("toggle") => {
            let meant = meant_live(data);
            Want::Toggle(meant, Box::new(begin(data, asker)))
        }
        Some("toggle_mask") => Want::ToggleMask(meant_live(data)),
        _ => match Action::of_step(data) {
            Action::Start => begin(data, asker),
            Action::Stop(_) => Want::Stop(meant_live(data)),
            Action::Mask(_) => Want::Mask(meant_live(data)),
            Action::Unmask(_) => Want::Unmask(meant_live(data)),
        },
    }
}

fn meant_live(data: &mut Data<'_>) -> Meant {
    match data.text("recording_id") {
        Some(id) => Meant::Id(id),
        None => meant(data),
    }
}

fn begin(data: &mut Data<'_>, asker: &Asker<'_>) -> Want {
    if when(data) != Default::default() {
        data.warn(
            "record_on_answer and record_on_bridge mean nothing to a live call; it begins now",
        );
    }
    let hand = match asker.by.source {
        RecordingSource::FeatureCode => "metaflow",
        RecordingSource::Callflow => "callflow",
        RecordingSource::Account | RecordingSource::Endpoint => "call_recording",
        RecordingSource::Api | RecordingSource::Application => "api",
    };
    let terms = Terms {
        media: asker.media,
        account: asker.account_id,
        kind: RecordingKind::Recording,
        by: asker.by.clone(),
        origin: Origin::Labelled(hand, asker.number),
        pointer: asker.by.step.clone().unwrap_or_default(),
    };
    match order(data, terms) {
        Ok(order) => Want::Start(Box::new(order)),
        Err(reason) => Want::Nowhere(reason),
    }
}
