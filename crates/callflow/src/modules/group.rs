//! `group`: rings the members of a group document, as `ring_group` does those it names itself.

use serde_json::Value;

use crate::ring::{MemberKind, Rounds, Wanted, wanted};
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Endpoints};
use crate::wait::Outcome;

/// What the document says before the action does (Kazoo's `cf_group`).
const OF_THE_GROUP: &[&str] = &["timeout", "strategy", "ignore_forward", "ringback"];

#[derive(Debug, Default)]
pub(crate) struct Group {
    rounds: Rounds,
    /// The document's id, until it is read.
    id: Option<String>,
    /// Who is rung once the call is answered.
    found: Option<Endpoints>,
}

impl Module for Group {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let members = wanted(stage);
        if !members.is_empty() {
            self.rounds = Rounds::read(stage, members);
            return self.rounds.begin(stage);
        }
        let Some(id) = stage.text("id") else {
            stage.warn_of("id", "no group is named; skipped");
            return Turn::next();
        };
        let members = vec![Wanted::of(MemberKind::Group, id.clone())];
        self.id = Some(id);
        self.rounds = Rounds::read(stage, members);
        self.rounds.begin(stage)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        if let Some(found) = self.found.take() {
            return self.rounds.ring(stage, &found);
        }
        match (self.id.take(), outcome) {
            (Some(id), Outcome::Reply(Answer::Endpoints(found))) => self.answer(stage, &id, found),
            (_, outcome) => self.rounds.resume(stage, outcome),
        }
    }
}

impl Group {
    fn answer(&mut self, stage: &mut Stage, id: &str, found: Endpoints) -> Turn {
        let group = found.groups.iter().find(|group| group["_id"] == id);
        if let Some(Value::Object(group)) = group {
            let said = OF_THE_GROUP.iter().filter_map(|key| {
                let value = group.get(*key).filter(|value| !value.is_null())?;
                Some(((*key).to_owned(), value.clone()))
            });
            let members = std::mem::take(&mut self.rounds.ringing.members);
            self.rounds = Rounds::read_under(stage, said.collect(), members);
        }
        match stage.answer() {
            Some(answered) => {
                self.found = Some(found);
                Turn::Wait(answered)
            }
            None => self.rounds.ring(stage, &found),
        }
    }
}
