//! `collect_dtmf`: collects keys of the caller under a name, for what comes later in the call.

use std::time::Duration;

use crate::dialogue::INTERDIGIT;
use crate::digits::Wanted;
use crate::stage::{Module, Stage, Turn};
use crate::wait::Outcome;

/// Kazoo's time until the first key.
const FIRST: Duration = Duration::from_secs(5);
/// Kazoo's name of a collection that has none.
const NAME: &str = "default";

#[derive(Debug, Default)]
pub(crate) struct CollectDtmf;

impl Module for CollectDtmf {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let max = stage.whole("max_digits").unwrap_or(1).max(1);
        let wanted = Wanted {
            max: usize::try_from(max).unwrap_or(usize::MAX),
            first: stage.millis("timeout").unwrap_or(FIRST),
            interdigit: stage.millis("interdigit_timeout").unwrap_or(INTERDIGIT),
            terminators: stage.data(|data| data.ending_keys()),
        };
        stage.ask_keys(wanted)
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        if let Outcome::Digits(digits) = outcome {
            let name = stage.text("collection_name");
            let name = name.unwrap_or_else(|| NAME.to_owned());
            stage.collections.insert(name, digits.keys);
        }
        Turn::next()
    }
}
