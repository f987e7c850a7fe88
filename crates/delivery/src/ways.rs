//! Where work goes: how much may be under way to one destination, and what is held because that is enough, or because the
//! destination keeps failing. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use callreel_proto::{AccountId, RecordingId, Utc};

use crate::{
    breaker::{Breaker, Instant, Sign},
    schedule::Policy,
    turns::Turns,
    watch::Tick,
};

#[cfg(test)]
mod tests;

/// Where a piece of work goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// The destination: scheme, host and port, or the name of a place; never credentials.
    pub(crate) name: String,
    /// How many recordings may be under way to it at once.
    pub(crate) most: usize,
}

/// What a recording that may be held brings along.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) account: AccountId,
    /// Its place in its account's line.
    pub(crate) due: Tick,
    /// From here on it does not wait for a probe's time: its patience is over, or a person wants it tried.
    pub(crate) pressing_from: Tick,
}

/// A destination that is left alone, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) name: String,
    /// Failures in a row.
    pub(crate) failures: u32,
    pub(crate) failing_since: Option<Utc>,
    pub(crate) last_error: String,
    /// When the next try goes there.
    pub(crate) next_probe: Utc,
    /// Recordings that are owed to it and not under way.
    pub(crate) waiting: usize,
}

#[derive(Debug)]
enum Standing {
    /// It was on this way before, and may be again.
    Known,
    /// It waits for its turn.
    Held(Claim),
    /// Its turn has come, and is kept for it.
    Invited,
    /// It is under way; a probe is, when the destination is left alone otherwise.
    Out { probe: bool },
}

#[derive(Debug)]
struct Course {
    to: Arc<str>,
    standing: Standing,
}

#[derive(Debug, Default)]
struct Destination {
    /// Recordings that have a course to it: without any it is forgotten.
    courses: usize,
    most: usize,
    out: usize,
    invited: usize,
    held: Turns,
    /// The same, by when they begin to press.
    pressing: BTreeSet<(Tick, RecordingId)>,
    breaker: Breaker,
}

/// The ways of all recordings.
#[derive(Debug)]
pub(crate) struct Ways {
    courses: HashMap<RecordingId, Course>,
    destinations: HashMap<Arc<str>, Destination>,
    /// Those that are left alone.
    troubled: BTreeSet<Arc<str>>,
    /// Between probes.
    waits: Policy,
}

impl Ways {
    pub(crate) fn new(waits: Policy) -> Self {
        Self {
            courses: HashMap::new(),
            destinations: HashMap::new(),
            troubled: BTreeSet::new(),
            waits,
        }
    }

    /// The recording is about to go this way: true if it may, else it is held. Also names those whose turn it is instead.
    pub(crate) fn direct(
        &mut self,
        id: &RecordingId,
        way: &Way,
        claim: Claim,
        now: Tick,
    ) -> (bool, Vec<RecordingId>) {
        let moved = self
            .courses
            .get(id)
            .is_some_and(|course| *course.to != *way.name);
        let mut ready = if moved {
            self.forget(id, now)
        } else {
            Vec::new()
        };
        let to = self.set_out(id, way);
        let course = self.courses.get_mut(id).expect("it has set out");
        if matches!(course.standing, Standing::Known) {
            let there = self.destinations.get_mut(&to).expect("it is set out for");
            there.held.put(&claim.account, claim.due, id.clone());
            there.pressing.insert((claim.pressing_from, id.clone()));
            course.standing = Standing::Held(claim);
            ready.extend(self.invite(&to, now));
            ready.retain(|invited| invited != id);
        }
        (self.go(id, &to), ready)
    }

    fn set_out(&mut self, id: &RecordingId, way: &Way) -> Arc<str> {
        let known = self.destinations.get_key_value(&*way.name);
        let to = known.map_or_else(|| Arc::from(&*way.name), |(to, _)| Arc::clone(to));
        let there = self.destinations.entry(Arc::clone(&to)).or_default();
        there.most = way.most;
        self.courses.entry(id.clone()).or_insert_with(|| {
            there.courses += 1;
            Course {
                to: Arc::clone(&to),
                standing: Standing::Known,
            }
        });
        to
    }

    /// Sets out if its turn has come.
    fn go(&mut self, id: &RecordingId, to: &Arc<str>) -> bool {
        let course = self.courses.get_mut(id).expect("it has a course");
        if !matches!(course.standing, Standing::Invited) {
            return false;
        }
        let there = self.destinations.get_mut(to).expect("it has courses");
        there.invited -= 1;
        there.out += 1;
        course.standing = Standing::Out {
            probe: there.breaker.probe_at().is_some(),
        };
        true
    }

    /// A try of it told something of its destination.
    pub(crate) fn hear(&mut self, id: &RecordingId, sign: Sign, at: Instant) {
        let Some(course) = self.courses.get(id) else {
            return;
        };
        let Standing::Out { probe } = course.standing else {
            return;
        };
        let there = self.destinations.get_mut(&course.to);
        let breaker = &mut there.expect("it has courses").breaker;
        breaker.hear(sign, probe, at, &self.waits);
        if breaker.probe_at().is_some() {
            self.troubled.insert(Arc::clone(&course.to));
        } else {
            self.troubled.remove(&course.to);
        }
    }

    /// It is under way no more, nor waits to be; names those whose turn it is now.
    pub(crate) fn back(&mut self, id: &RecordingId, now: Tick) -> Vec<RecordingId> {
        let Some(course) = self.courses.get_mut(id) else {
            return Vec::new();
        };
        let to = Arc::clone(&course.to);
        let there = self.destinations.get_mut(&to).expect("it has courses");
        match std::mem::replace(&mut course.standing, Standing::Known) {
            Standing::Known => {}
            Standing::Held(claim) => {
                there.held.remove(&claim.account, claim.due, id);
                there.pressing.remove(&(claim.pressing_from, id.clone()));
            }
            Standing::Invited => there.invited -= 1,
            Standing::Out { .. } => there.out -= 1,
        }
        self.invite(&to, now)
    }

    /// It goes nowhere any more; names those whose turn it is now.
    pub(crate) fn forget(&mut self, id: &RecordingId, now: Tick) -> Vec<RecordingId> {
        let ready = self.back(id, now);
        if let Some(course) = self.courses.remove(id) {
            let there = self.destinations.get_mut(&course.to);
            let there = there.expect("it has courses");
            there.courses -= 1;
            if there.courses == 0 {
                self.destinations.remove(&course.to);
                self.troubled.remove(&course.to);
            }
        }
        ready
    }

    /// Names those whose turn has come because it is this late.
    pub(crate) fn wake(&mut self, now: Tick) -> Vec<RecordingId> {
        let troubled: Vec<Arc<str>> = self.troubled.iter().cloned().collect();
        troubled
            .iter()
            .flat_map(|to| self.invite(to, now))
            .collect()
    }

    /// When [`Ways::wake`] has something to do next.
    pub(crate) fn next_wake(&self) -> Option<Tick> {
        let there = self.troubled.iter().map(|to| &self.destinations[to]);
        there
            .filter(|there| there.held.len() > 0 && there.out + there.invited == 0)
            .filter_map(|there| there.breaker.probe_at())
            .min()
    }

    /// Destinations that are left alone, in order of name.
    pub(crate) fn troubled(&self) -> impl Iterator<Item = Trouble> {
        self.troubled.iter().filter_map(|to| {
            let there = &self.destinations[to];
            Some(Trouble {
                name: to.to_string(),
                failures: there.breaker.failures(),
                failing_since: there.breaker.failing_since(),
                last_error: there.breaker.last_error().to_owned(),
                next_probe: there.breaker.next_probe()?,
                waiting: there.courses - there.out,
            })
        })
    }

    /// Those of the held for whom there is room now.
    fn invite(&mut self, to: &Arc<str>, now: Tick) -> Vec<RecordingId> {
        let mut ready = Vec::new();
        let Some(there) = self.destinations.get_mut(to) else {
            return ready;
        };
        while let Some(next) = there.next(now) {
            let course = self.courses.get_mut(&next).expect("all held have a course");
            let held = std::mem::replace(&mut course.standing, Standing::Invited);
            if let Standing::Held(claim) = held {
                there.held.remove(&claim.account, claim.due, &next);
                there.pressing.remove(&(claim.pressing_from, next.clone()));
            }
            there.invited += 1;
            ready.push(next);
        }
        ready
    }
}

impl Destination {
    /// Whose turn it is, if there is room. A destination that is left alone has room for one: at a probe's time, or at any
    /// time for one that presses.
    fn next(&mut self, now: Tick) -> Option<RecordingId> {
        let under_way = self.out + self.invited;
        let Some(probe_at) = self.breaker.probe_at() else {
            return (under_way < self.most).then(|| self.held.next()).flatten();
        };
        if under_way > 0 {
            return None;
        }
        let pressing = self.pressing.first().filter(|(from, _)| *from <= now);
        match pressing {
            Some((_, id)) => Some(id.clone()),
            None if probe_at <= now => self.held.next(),
            None => None,
        }
    }
}
