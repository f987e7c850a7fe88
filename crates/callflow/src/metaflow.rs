//! Mid-call feature codes (Kazoo's metaflows): hears the keys of both parties and says what a code wants. Never knows what runs.

mod codes;
mod step;

use std::sync::Arc;
use std::time::Instant;

use callreel_proto::{CallId, OrderedBy, RecordingSource};
use serde_json::Value;

use crate::problem::Problem;
use codes::Codes;

pub use step::{Act, Step, chain};

/// Whoever dials more than this dials no feature code.
const LONGEST: usize = 32;

/// One of the two who talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// On the A leg.
    Caller,
    /// On the B leg.
    Callee,
}

impl Party {
    fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// The `metaflows` of a party's documents; null where there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetaflowRules {
    /// The account's.
    pub account: Value,
    /// Those of the callflow that the party called. They go before the account's.
    pub callflow: Value,
    /// Those of the party's device.
    pub device: Value,
    /// Those of the user the device belongs to. As in Kazoo they go before the device's own, and both before the others.
    pub user: Value,
}

/// A feature code that a party has dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialled {
    /// Who dialled it.
    pub party: Party,
    /// The keys, the binding key first.
    pub keys: String,
    /// What it means, one after the other.
    pub steps: Vec<Step>,
}

impl Dialled {
    /// Who wants what the code means, as evidence; `leg` is that of the party who dialled it.
    pub fn ordered_by(&self, leg: &CallId) -> OrderedBy {
        OrderedBy {
            step: Some(self.keys.clone()),
            who: Some(leg.as_str().to_owned()),
            ..OrderedBy::new(RecordingSource::FeatureCode)
        }
    }
}

/// Listens to the keys of one call's parties.
#[derive(Debug, Default)]
pub struct Metaflows {
    /// At most two for each party.
    ears: Vec<Ear>,
}

/// Hears one party's keys for the codes of one of them.
#[derive(Debug)]
struct Ear {
    codes: Arc<Codes>,
    /// Whose codes they are.
    owner: Party,
    /// Whose keys it hears.
    hears: Party,
    dialling: Option<Dialling>,
}

/// What came since the binding key.
#[derive(Debug)]
struct Dialling {
    digits: String,
    /// Nothing more comes.
    until: Instant,
}

impl Metaflows {
    /// This party is on the call, with these codes instead of those it may have had. Gives back what in them cannot be used;
    /// tell it once.
    pub fn joined(&mut self, party: Party, rules: &MetaflowRules) -> Vec<Problem> {
        self.left(party);
        let (codes, problems) = Codes::read(rules);
        let listens = codes.listen_on();
        if !codes.is_empty() {
            let codes = Arc::new(codes);
            let heard = [party, party.other()].into_iter().zip(listens);
            for (hears, _) in heard.filter(|(_, listens)| *listens) {
                self.ears.push(Ear {
                    codes: Arc::clone(&codes),
                    owner: party,
                    hears,
                    dialling: None,
                });
            }
        }
        problems
    }

    /// This party is no longer on the call.
    pub fn left(&mut self, party: Party) {
        self.ears.retain(|ear| ear.owner != party);
        let deaf = self.ears.iter_mut().filter(|ear| ear.hears == party);
        deaf.for_each(|ear| ear.dialling = None);
    }

    /// A party has pressed a key. A code that nothing could make longer counts at once, others when no further key came in
    /// time: see [`Metaflows::tick`].
    pub fn pressed(&mut self, party: Party, key: char, now: Instant) -> Option<Dialled> {
        let mut dialled = None;
        for ear in self.ears.iter_mut().filter(|ear| ear.hears == party) {
            let code = ear.press(key, now);
            dialled = dialled.or(code);
        }
        if let Some(Dialled { keys, .. }) = &dialled {
            self.forget(party, keys.get(1..).unwrap_or_default());
        }
        dialled
    }

    /// The next code that is complete because no further key came in time. Ask again until there is none.
    pub fn tick(&mut self, now: Instant) -> Option<Dialled> {
        for at in 0..self.ears.len() {
            let ear = &mut self.ears[at];
            let over = ear.dialling.take_if(|dialling| dialling.until <= now);
            let Some(Dialling { digits, .. }) = over else {
                continue;
            };
            if let Some(dialled) = ear.dialled(&digits) {
                self.forget(dialled.party, &digits);
                return Some(dialled);
            }
        }
        None
    }

    /// When a tick is due.
    pub fn deadline(&self) -> Option<Instant> {
        let dialling = self.ears.iter().filter_map(|ear| ear.dialling.as_ref());
        dialling.map(|dialling| dialling.until).min()
    }

    /// Two parties may have the same code; it is dialled once.
    fn forget(&mut self, party: Party, digits: &str) {
        for ear in self.ears.iter_mut().filter(|ear| ear.hears == party) {
            ear.dialling.take_if(|dialling| dialling.digits == digits);
        }
    }
}

impl Ear {
    fn press(&mut self, key: char, now: Instant) -> Option<Dialled> {
        let until = now + self.codes.timeout();
        if key == self.codes.binding() {
            let digits = String::new();
            self.dialling = Some(Dialling { digits, until });
            return None;
        }
        let dialling = self.dialling.as_mut().filter(|d| now < d.until)?;
        dialling.digits.push(key);
        dialling.until = until;
        if dialling.digits.len() > LONGEST {
            self.dialling = None;
            return None;
        }
        if !self.codes.is_complete(&dialling.digits) {
            return None;
        }
        let digits = std::mem::take(&mut dialling.digits);
        self.dialling = None;
        self.dialled(&digits)
    }

    fn dialled(&self, digits: &str) -> Option<Dialled> {
        let steps = self.codes.find(digits)?;
        Some(Dialled {
            party: self.hears,
            keys: format!("{}{digits}", self.codes.binding()),
            steps,
        })
    }
}
