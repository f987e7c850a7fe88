//! The queue's picture of what is owed: which recording waits until when, which can be worked on, which is being worked
//! on. Pure: holds ids and instants, never a ticket, never a clock.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use callreel_proto::{AccountId, RecordingId};
use serde::Serialize;

use crate::{
    breaker::{Instant, Sign},
    schedule::Policy,
    turns::Turns,
    watch::Tick,
    ways::{Claim, Trouble, Way, Ways},
};

#[cfg(test)]
mod tests;

/// The next work on a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Get what a foreign switch has recorded.
    Fetch,
    /// Make the audio file.
    Render,
    /// Bring it, or its document, where it must go.
    Deliver,
}

impl Stage {
    /// In the order of a recording's way.
    pub(crate) const ALL: [Self; 3] = [Self::Fetch, Self::Render, Self::Deliver];
}

/// Where a recording stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// Until then there is nothing to do.
    Waiting,
    /// It waits for a free thread or worker.
    Ready,
    /// It waits until fewer deliveries to its destination, or fetches from its switch, are under way, or until its
    /// destination is back.
    Held,
    /// A thread or worker has it.
    Out,
}

/// One owed recording.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) account: AccountId,
    pub(crate) stage: Stage,
    pub(crate) place: Place,
    /// When there is, or was, something to do.
    pub(crate) due: Tick,
    /// Since when it has been owed as it is: its last outcome, or when it was found.
    since: Tick,
    /// When it began to be recorded.
    began: Tick,
    /// Someone wants it gone as soon as it comes back.
    pub(crate) unwanted: bool,
}

/// All recordings that are owed, and the names of those that have been given up.
#[derive(Debug)]
pub(crate) struct Book {
    entries: HashMap<RecordingId, Entry>,
    waiting: BTreeSet<(Tick, RecordingId)>,
    ready: [Turns; Stage::ALL.len()],
    out: [usize; Stage::ALL.len()],
    ways: Ways,
    at_rest: HashSet<RecordingId>,
}

impl Book {
    /// `waits`: between two probes of a destination that keeps failing.
    pub(crate) fn new(waits: Policy) -> Self {
        Self {
            entries: HashMap::new(),
            waiting: BTreeSet::new(),
            ready: Default::default(),
            out: Default::default(),
            ways: Ways::new(waits),
            at_rest: HashSet::new(),
        }
    }

    pub(crate) fn contains(&self, id: &RecordingId) -> bool {
        self.entries.contains_key(id)
    }

    /// Whether its ticket need not be read to know what is owed.
    pub(crate) fn knows(&self, id: &RecordingId) -> bool {
        self.contains(id) || self.at_rest.contains(id)
    }

    pub(crate) fn is_out(&self, id: &RecordingId) -> bool {
        self.place(id) == Some(Place::Out)
    }

    pub(crate) fn place(&self, id: &RecordingId) -> Option<Place> {
        self.entries.get(id).map(|entry| entry.place)
    }

    /// How long it has been owed as it is.
    pub(crate) fn waited(&self, id: &RecordingId, now: Tick) -> Duration {
        let since = self.entries.get(id).map(|entry| entry.since);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Recordings that are being worked on.
    pub(crate) fn out(&self, stage: Stage) -> usize {
        self.out[stage as usize]
    }

    /// Recordings owed, of all places.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// When the oldest of them began to be recorded.
    pub(crate) fn oldest(&self) -> Option<Tick> {
        self.entries.values().map(|entry| entry.began).min()
    }

    /// Recordings that are held.
    pub(crate) fn held(&self) -> usize {
        let held = |entry: &&Entry| entry.place == Place::Held;
        self.entries.values().filter(held).count()
    }

    /// A recording that was not known to be owed is due at this instant.
    pub(crate) fn open(
        &mut self,
        id: RecordingId,
        account: AccountId,
        stage: Stage,
        began: Tick,
        due: Tick,
        now: Tick,
    ) {
        self.at_rest.remove(&id);
        if self.contains(&id) {
            return;
        }
        self.waiting.insert((due, id.clone()));
        let entry = Entry {
            account,
            stage,
            place: Place::Waiting,
            due,
            since: now,
            began,
            unwanted: false,
        };
        self.entries.insert(id, entry);
    }

    /// An owed recording is due at this instant, whatever was known of it before. No change if it is not owed.
    pub(crate) fn put(&mut self, id: &RecordingId, stage: Stage, due: Tick, now: Tick) {
        self.lift(id);
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        entry.stage = stage;
        entry.place = Place::Waiting;
        entry.due = due;
        entry.since = now;
        entry.unwanted = false;
        self.waiting.insert((due, id.clone()));
        let ready = self.ways.back(id, now);
        self.make_ready(ready);
    }

    /// Nothing is owed any more; false if nothing was.
    pub(crate) fn remove(&mut self, id: &RecordingId, now: Tick) -> bool {
        self.at_rest.remove(id);
        self.lift(id);
        let ready = self.ways.forget(id, now);
        self.make_ready(ready);
        self.entries.remove(id).is_some()
    }

    /// It has been given up, and waits for a person. No change if it is owed.
    pub(crate) fn rest(&mut self, id: RecordingId) {
        if !self.contains(&id) {
            self.at_rest.insert(id);
        }
    }

    /// Takes it from where it stands, ways aside.
    fn lift(&mut self, id: &RecordingId) {
        let Some(entry) = self.entries.get(id) else {
            return;
        };
        match entry.place {
            Place::Waiting => drop(self.waiting.remove(&(entry.due, id.clone()))),
            Place::Ready => {
                let ready = &mut self.ready[entry.stage as usize];
                ready.remove(&entry.account, entry.due, id);
            }
            Place::Held => {}
            Place::Out => self.out[entry.stage as usize] -= 1,
        }
    }

    /// What is out goes this way if there is room; else it is held until its turn comes, and the answer is false.
    /// `patience`: how long it may still fail. Afterwards it does not wait for the time of a probe.
    pub(crate) fn direct(
        &mut self,
        id: &RecordingId,
        way: &Way,
        patience: Duration,
        now: Tick,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        let by_order = entry.due == Tick::FIRST;
        let claim = Claim {
            account: entry.account.clone(),
            due: entry.due,
            pressing_from: if by_order {
                Tick::FIRST
            } else {
                entry.since.after(patience)
            },
        };
        let (goes, ready) = self.ways.direct(id, way, claim, now);
        if !goes {
            entry.place = Place::Held;
            self.out[entry.stage as usize] -= 1;
        }
        self.make_ready(ready);
        goes
    }

    /// What is out told something of its destination. To be followed by [`Book::put`] or [`Book::remove`].
    pub(crate) fn hear(&mut self, id: &RecordingId, sign: Sign, at: Instant) {
        self.ways.hear(id, sign, at);
    }

    fn make_ready(&mut self, ids: Vec<RecordingId>) {
        for id in ids {
            let entry = self.entries.get_mut(&id).expect("all invited are owed");
            entry.place = Place::Ready;
            self.ready[entry.stage as usize].put(&entry.account, entry.due, id);
        }
    }

    /// When it comes back it is to be dropped.
    pub(crate) fn unwant(&mut self, id: &RecordingId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.unwanted = true;
        }
    }

    /// Everything due by now becomes ready, and what its destination has room for by now.
    pub(crate) fn advance(&mut self, now: Tick) {
        let mut due = Vec::new();
        while let Some((until, _)) = self.waiting.first()
            && *until <= now
        {
            due.extend(self.waiting.pop_first().map(|(_, id)| id));
        }
        self.make_ready(due);
        let ready = self.ways.wake(now);
        self.make_ready(ready);
    }

    /// Hands out the recording whose turn it is.
    pub(crate) fn take(&mut self, stage: Stage) -> Option<RecordingId> {
        let id = self.ready[stage as usize].next()?;
        let entry = self
            .entries
            .get_mut(&id)
            .expect("all that is ready is owed");
        entry.place = Place::Out;
        self.out[stage as usize] += 1;
        Some(id)
    }

    /// When [`Book::advance`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<Tick> {
        let waiting = self.waiting.first().map(|(until, _)| *until);
        waiting.into_iter().chain(self.ways.next_wake()).min()
    }

    /// Every owed recording, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RecordingId, &Entry)> {
        self.entries.iter()
    }

    /// Destinations that are left alone because they keep failing.
    pub(crate) fn troubled(&self) -> impl Iterator<Item = Trouble> {
        self.ways.troubled()
    }
}
