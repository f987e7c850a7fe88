//! Collects the keys that a caller presses, as Kazoo's `collect_digits` does. Never asks for them: whoever does plays something first.

use std::time::{Duration, Instant};

use callreel_proto::{EventName, Terminators};

use crate::marker::Marker;
use crate::stage::Stage;
use crate::talk::Input;
use crate::wait::key_of;

/// What is asked of the caller.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// At most so many keys; this many end it.
    pub(crate) max: usize,
    /// Until the first, from the end of what was played.
    pub(crate) first: Duration,
    /// From one to the next.
    pub(crate) interdigit: Duration,
    /// Keys that end it; they are not part of what was dialled.
    pub(crate) terminators: Terminators,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Digits {
    /// The keys; empty when nobody pressed one in time.
    pub(crate) keys: String,
    /// The key that ended it.
    pub(crate) terminator: Option<char>,
}

/// Keys being collected.
#[derive(Debug)]
pub(crate) struct Collecting {
    wanted: Wanted,
    keys: String,
    /// The marker behind what is played; none once it was reached or a key has silenced it.
    prompt: Option<Marker>,
    /// Nothing more comes.
    until: Option<Instant>,
}

impl Collecting {
    /// When a tick is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.until.or(self.prompt.as_ref().map(Marker::deadline))
    }

    /// Whether this ends it.
    pub(crate) fn hear(
        &mut self,
        stage: &mut Stage,
        now: Instant,
        input: &Input,
    ) -> Option<Digits> {
        match input {
            Input::Event {
                name: EventName::Dtmf,
                event,
            } => {
                let digits = self.press(stage, key_of(event)?);
                if digits.is_some() {
                    return digits;
                }
            }
            Input::Event { name, event } => {
                let prompt = self.prompt.take_if(|marker| marker.reached(*name, event));
                if prompt.is_some() {
                    self.until = Some(stage.after(self.wanted.first));
                }
            }
            _ => {}
        }
        if let Some(prompt) = &mut self.prompt {
            prompt.insist(stage, now);
        }
        let over = self.until.is_some_and(|until| now >= until);
        over.then(|| self.take(None))
    }

    fn press(&mut self, stage: &mut Stage, key: char) -> Option<Digits> {
        if self.prompt.take().is_some() {
            stage.flush();
        }
        if self.wanted.terminators.contains(key) {
            return Some(self.take(Some(key)));
        }
        self.keys.push(key);
        if self.keys.chars().count() >= self.wanted.max {
            return Some(self.take(None));
        }
        self.until = Some(stage.after(self.wanted.interdigit));
        None
    }

    fn take(&mut self, terminator: Option<char>) -> Digits {
        Digits {
            keys: std::mem::take(&mut self.keys),
            terminator,
        }
    }
}

impl Stage {
    /// Collects keys from now on; what was queued before is silenced by the first one. Keys that came while nobody asked
    /// count first: then the caller may hear nothing of what was queued, and it may be over at once.
    pub(crate) fn collect(&mut self, wanted: Wanted) -> Result<Collecting, Digits> {
        let first = self.after(wanted.first);
        let mut collecting = Collecting {
            wanted,
            keys: String::new(),
            prompt: Some(self.marker_behind()),
            until: None,
        };
        while let Some(key) = self.early_key() {
            if let Some(digits) = collecting.press(self, key) {
                return Err(digits);
            }
        }
        if collecting.prompt.is_none() && collecting.until.is_none() {
            collecting.until = Some(first);
        }
        Ok(collecting)
    }
}
