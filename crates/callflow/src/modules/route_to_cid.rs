//! `route_to_cid`: rings whoever has the dialled number as the number of their caller id.

use callreel_proto::pvt_type;
use serde_json::Value;

use crate::ring::{MemberKind, Rounds, Wanted, ring_time};
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct RouteToCid {
    rounds: Rounds,
    /// Kinds of documents that are still to be read.
    kinds: Vec<MemberKind>,
    /// The one that is being read.
    reading: Option<MemberKind>,
    members: Vec<Wanted>,
}

impl Module for RouteToCid {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let types = words(stage, "endpoint_types");
        let kinds = [MemberKind::User, MemberKind::Device];
        let wanted = |kind: &MemberKind| types.iter().any(|word| *word == kind.to_string());
        self.kinds = kinds.into_iter().filter(wanted).collect();
        if self.kinds.is_empty() {
            stage.warn_of(
                "endpoint_types",
                "neither \"user\" nor \"device\" is named; nobody is rung",
            );
        }
        self.read_on(stage)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let Some(kind) = self.reading.take() else {
            return self.rounds.resume(stage, outcome);
        };
        if let Outcome::Reply(Answer::Documents(documents)) = outcome {
            self.find(stage, kind, &documents);
        }
        self.read_on(stage)
    }
}

impl RouteToCid {
    fn read_on(&mut self, stage: &mut Stage) -> Turn {
        if let Some(kind) = self.kinds.pop() {
            self.reading = Some(kind);
            let pvt_type = match kind {
                MemberKind::User => pvt_type::USER,
                _ => pvt_type::DEVICE,
            };
            let pvt_type = pvt_type.to_owned();
            return Turn::Wait(stage.ask(Query::DocumentsOf { pvt_type }));
        }
        if self.members.is_empty() {
            return Turn::next();
        }
        let members = std::mem::take(&mut self.members);
        self.rounds = Rounds::read(stage, members);
        self.rounds.begin(stage)
    }

    fn find(&mut self, stage: &mut Stage, kind: MemberKind, documents: &[Value]) {
        let types = match words(stage, "cid_types") {
            none if none.is_empty() => vec!["internal".to_owned()],
            types => types,
        };
        let timeout_s = ring_time(stage.whole("timeout"));
        let delay_s = stage.whole("delay");
        let number = stage.call.number.as_str();
        let has_it = |document: &&Value| {
            types.iter().any(|word| {
                let cid = document.get("caller_id").and_then(|ids| ids.get(word));
                cid.and_then(|cid| cid.get("number")?.as_str()) == Some(number)
            })
        };
        let found = documents.iter().filter(has_it);
        let ids = found.filter_map(|document| document.get("_id")?.as_str());
        self.members.extend(ids.map(|id| Wanted {
            delay_s,
            timeout_s: Some(timeout_s),
            ..Wanted::of(kind, id.to_owned())
        }));
    }
}

/// The words of an array.
fn words(stage: &mut Stage, key: &str) -> Vec<String> {
    let Some(value) = stage.value(key) else {
        return Vec::new();
    };
    let Value::Array(words) = value else {
        stage.warn_of(key, "wanted an array of words; ignored");
        return Vec::new();
    };
    let text = |word: Value| word.as_str().map(str::to_owned);
    words.into_iter().filter_map(text).collect()
}
