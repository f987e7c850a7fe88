//! `collect_dtmf`: collects keys of the caller under a name, for what comes later in the call.

use std::time::Duration;

use crate::digits::{Digits, Wanted};
use crate::stage::{Module, Stage, Turn};
use crate::wait::{Await, Outcome};

/// Kazoo's time until the first key, milliseconds.
const FIRST_MS: u64 = 5000;
/// Kazoo's time from one key to the next, milliseconds.
const INTERDIGIT_MS: u64 = 2000;
/// Kazoo's name of a collection that has none.
const NAME: &str = "default";

#[derive(Debug, Default)]
pub(crate) struct CollectDtmf;

impl Module for CollectDtmf {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let millis = |found: Option<u64>, usual| Duration::from_millis(found.unwrap_or(usual));
        let max = stage.whole("max_digits").unwrap_or(1).max(1);
        let wanted = Wanted {
            max: usize::try_from(max).unwrap_or(usize::MAX),
            first: millis(stage.whole("timeout"), FIRST_MS),
            interdigit: millis(stage.whole("interdigit_timeout"), INTERDIGIT_MS),
            terminators: stage.data(|data| data.ending_keys()),
        };
        match stage.collect(wanted) {
            Ok(collecting) => Turn::Wait(Await::Digits(collecting)),
            Err(digits) => collected(stage, digits),
        }
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Digits(digits) => collected(stage, digits),
            _ => Turn::next(),
        }
    }
}

fn collected(stage: &mut Stage, digits: Digits) -> Turn {
    let name = stage.text("collection_name");
    let name = name.unwrap_or_else(|| NAME.to_owned());
    stage.collections.insert(name, digits.keys);
    Turn::next()
}
