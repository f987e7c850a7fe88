//! `collect_dtmf`: collects keys of the caller under a name, for what comes later in the call.

use std::time::Duration;

use crate::dialogue::INTERDIGIT;
use crate::digits::Wanted;
use crate::stage::{COLLECTION, Module, Stage, Turn};
use crate::wait::Outcome;

/// Kazoo's time until the first key.
const FIRST: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct CollectDtmf;

impl Module for CollectDtmf {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        stage.answer_first()
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let Outcome::Digits(digits) = outcome else {
            return collect(stage);
        };
        let name = stage.text("collection_name");
        let name = name.unwrap_or_else(|| COLLECTION.to_owned());
        stage.collections.insert(name, digits.keys);
        Turn::next()
    }
}

fn collect(stage: &mut Stage) -> Turn {
    let max = stage.whole("max_digits").unwrap_or(1).max(1);
    let wanted = Wanted {
        max: usize::try_from(max).unwrap_or(usize::MAX),
        first: stage.millis("timeout").unwrap_or(FIRST),
        interdigit: stage.millis("interdigit_timeout").unwrap_or(INTERDIGIT),
        terminators: stage.data(|data| data.ending_keys()),
    };
    stage.recall_keys();
    stage.ask_keys(wanted)
}
