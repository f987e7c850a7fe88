//! Rings a group, again and again if nobody answers: what `ring_group`, `group` and `route_to_cid` have in common.

use callreel_proto::AccountId;
use serde_json::{Map, Value};

use super::{Ringing, Strategy, Wanted, ring_time};
use crate::data::Data;
use crate::speech::{media, named};
use crate::stage::{Stage, Turn};
use crate::talk::Endpoints;
use crate::wait::Outcome;

/// Nobody waits through more: the shortest round is over at once, and the call would never end.
const MOST_ROUNDS: u64 = 100;

/// A group that is rung.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) ringing: Ringing,
    left: u64,
}

impl Rounds {
    /// These members, as the action's data says how.
    pub(crate) fn read(stage: &mut Stage, members: Vec<Wanted>) -> Self {
        Self::read_under(stage, Map::new(), members)
    }

    /// The same, where a group's document goes before what the data says.
    pub(crate) fn read_under(
        stage: &mut Stage,
        group: Map<String, Value>,
        members: Vec<Wanted>,
    ) -> Self {
        let account = stage.call.account_id.clone();
        stage.data_under(group, |data| Self::of(data, members, &account))
    }

    fn of(data: &mut Data<'_>, members: Vec<Wanted>, account: &AccountId) -> Self {
        let known = [
            Strategy::Simultaneous,
            Strategy::Single,
            Strategy::WeightedRandom,
        ];
        let ringtones = data.object("ringtones").cloned();
        Self {
            left: data.whole("repeats").unwrap_or(1).clamp(1, MOST_ROUNDS),
            ringing: Ringing {
                members,
                timeout_s: ring_time(data.whole("timeout")),
                strategy: Strategy::read(data, "strategy", &known),
                group: true,
                ignore_forward: Some(data.flag("ignore_forward").unwrap_or(true)),
                ringback: ringback(data, account),
                ringtones: ringtones.unwrap_or_default(),
                ..Ringing::default()
            },
        }
    }

    /// Rings them; each round asks anew who they are.
    pub(crate) fn begin(&self, stage: &mut Stage) -> Turn {
        if self.ringing.members.is_empty() {
            stage.warn("the group has no members; nobody is rung");
            return Turn::next();
        }
        self.ringing.begin(stage)
    }

    /// Rings those whose documents came already.
    pub(crate) fn ring(&self, stage: &mut Stage, found: &Endpoints) -> Turn {
        self.ringing.ring(stage, found)
    }

    /// Goes on after the documents came, and after each bridge. There is another round only for what the flow has no branch.
    pub(crate) fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let unreached = match self.ringing.resume(stage, outcome) {
            Ok(turn) => return turn,
            Err(unreached) => unreached,
        };
        if self.left <= 1 || unreached.is_provided_for(stage) {
            return unreached.turn();
        }
        self.left -= 1;
        self.ringing.begin(stage)
    }
}

/// What the caller hears: media, or the tones of a switch such as `%(2000,4000,440,480)`.
pub(crate) fn ringback(data: &mut Data<'_>, account: &AccountId) -> Option<String> {
    tones(&data.text("ringback")?).or_else(|| media(data, "ringback", account))
}

/// The same for an action that says nothing of it: what the callflow's document says.
pub(crate) fn usual_ringback(stage: &mut Stage) -> Option<String> {
    let own = &stage.call.ringback;
    let wanted = match stage.answered {
        true => own.transfer.clone()?,
        false => own.early.clone()?,
    };
    if let Some(tones) = tones(&wanted) {
        return Some(tones);
    }
    let named = named(&wanted, &stage.call.account_id);
    named
        .map_err(|reason| stage.warn(format!("ringback of the callflow: {reason}; skipped")))
        .ok()
}

fn tones(text: &str) -> Option<String> {
    text.starts_with('%')
        .then(|| format!("tone_stream://{text}"))
}
