//! What modules that talk with their caller have in common: answer, speak until it is heard, ask for keys. Never knows what
//! is said.
//!
//! Each of these gives the turn to return. The module is resumed in every case, also where there is nothing to wait for: so
//! whatever follows stands in one place.

use std::time::Duration;

use callreel_proto::Terminators;

use crate::digits::Wanted;
use crate::stage::{Stage, Turn};
use crate::wait::{Await, Outcome};

/// Kazoo's time from one key to the next.
pub(crate) const INTERDIGIT: Duration = Duration::from_millis(2000);

impl Stage {
    /// Answers the call, unless that was done.
    pub(crate) fn answer_first(&mut self) -> Turn {
        match self.answer() {
            Some(answered) => Turn::Wait(answered),
            None => Turn::Resume(Outcome::Done),
        }
    }

    /// Goes on when all that is queued has been heard; a key of the caller shortens no more than what is playing.
    pub(crate) fn until_heard(&mut self) -> Turn {
        Turn::Wait(self.mark())
    }

    /// Asks for keys behind what is queued: [`Outcome::Digits`], with no keys in it if none came in time.
    pub(crate) fn ask_keys(&mut self, wanted: Wanted) -> Turn {
        match self.collect(wanted) {
            Ok(collecting) => Turn::Wait(Await::Digits(collecting)),
            Err(digits) => Turn::Resume(Outcome::Digits(digits)),
        }
    }

    /// Asks for one key behind what is queued. `#` counts as none, as in Kazoo.
    pub(crate) fn ask_key(&mut self, first: Duration) -> Turn {
        self.ask_keys(Wanted {
            max: 1,
            first,
            interdigit: INTERDIGIT,
            terminators: Terminators("#".to_owned()),
        })
    }
}
