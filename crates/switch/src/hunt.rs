//! The mind of a bridge before anybody answers: whom to ring when, who won, and why nobody did. Rings nobody itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use callreel_proto::HangupCause;

/// Whoever is to press a key has this long: for a prompt of some seconds, heard twice.
const CONFIRMING: Duration = Duration::from_secs(30);

/// One leg a bridge may ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The endpoint it belongs to: all registrations of an endpoint ring together.
    pub(crate) endpoint: usize,
    /// How long after its turn has come it is rung.
    pub(crate) delay: Duration,
    /// How long it rings at most.
    pub(crate) timeout: Option<Duration>,
    /// How long it may take until it rings or can be heard.
    pub(crate) progress: Option<Duration>,
    /// It is a way to the public network: what it says of the callee holds for the others, too.
    pub(crate) trunk: bool,
}

/// What a `bridge` command asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whom to ring, ordered by endpoint.
    pub(crate) targets: Vec<Target>,
    /// One endpoint after another instead of all at once.
    pub(crate) one_by_one: bool,
    /// How long it may ring in all (all at once), or each endpoint (one by one).
    pub(crate) timeout: Duration,
    /// A busy or refusing callee ends the hunt.
    pub(crate) fail_on_single_reject: bool,
    /// All who answer are wanted, not the first alone.
    pub(crate) everybody: bool,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// This leg rings, or can be heard.
    Progressed(usize),
    /// This leg was answered by somebody who has yet to press a key.
    Confirming(usize),
    /// This leg was answered.
    Answered(usize),
    /// This leg failed, with the SIP status if there was one.
    Failed(usize, HangupCause, Option<u16>),
    /// Time has passed.
    Tick,
}

/// What the bridge must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Ring this leg.
    Dial(usize),
    /// Stop ringing this leg.
    Cancel(usize, HangupCause),
    /// This leg has won: join it. The hunt is over, unless everybody is wanted.
    Won(usize),
    /// Nobody answered. The hunt is over.
    Lost(HangupCause, Option<u16>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leg {
    /// Its endpoint's turn has not come.
    Idle,
    /// To be rung at this instant.
    Due(Instant),
    /// Ringing, until this instant at most; and it must say so until the other.
    Ringing(Instant, Option<Instant>),
    Gone,
}

/// A hunt in progress.
#[derive(Debug)]
pub(crate) struct Hunt {
    plan: Plan,
    legs: Vec<Leg>,
    endpoint: usize,
    until: Instant,
    failures: Vec<(HangupCause, Option<u16>)>,
    /// Somebody has won, and others still may.
    won: bool,
    over: bool,
    acts: VecDeque<Act>,
}

impl Hunt {
    /// Begins to hunt.
    pub(crate) fn new(now: Instant, plan: Plan) -> Self {
        let mut hunt = Self {
            legs: vec![Leg::Idle; plan.targets.len()],
            endpoint: 0,
            until: now + plan.timeout,
            failures: Vec::new(),
            won: false,
            over: false,
            acts: VecDeque::new(),
            plan,
        };
        hunt.begin_turn(now);
        hunt.handle_input(now, Input::Tick);
        hunt
    }

    /// One that is over, with nothing to do.
    pub(crate) fn over(now: Instant) -> Self {
        Self {
            plan: Plan {
                targets: Vec::new(),
                one_by_one: false,
                timeout: Duration::ZERO,
                fail_on_single_reject: false,
                everybody: false,
            },
            legs: Vec::new(),
            endpoint: 0,
            until: now,
            failures: Vec::new(),
            won: false,
            over: true,
            acts: VecDeque::new(),
        }
    }

    /// Tells what happened.
    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) {
        if self.over {
            return;
        }
        match input {
            Input::Progressed(leg) => {
                if let Leg::Ringing(_, progress) = &mut self.legs[leg] {
                    *progress = None;
                }
            }
            Input::Confirming(leg) => {
                if matches!(self.legs[leg], Leg::Ringing(..)) {
                    let until = now + CONFIRMING;
                    self.legs[leg] = Leg::Ringing(until, None);
                    self.until = self.until.max(until);
                }
            }
            Input::Answered(leg) if matches!(self.legs[leg], Leg::Ringing(..)) => {
                self.legs[leg] = Leg::Gone;
                if !self.plan.everybody {
                    self.cancel_all(HangupCause::LoseRace);
                    self.finish(Act::Won(leg));
                    return;
                }
                self.won = true;
                self.acts.push_back(Act::Won(leg));
            }
            Input::Answered(_) => {}
            Input::Failed(leg, cause, status) => {
                if self.legs[leg] == Leg::Gone {
                    return;
                }
                if self.fail(leg, cause, status) {
                    return;
                }
            }
            Input::Tick => {}
        }
        self.advance(now);
    }

    /// What to do next, until `None`.
    pub(crate) fn poll_output(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// Nobody rings any more, and nobody will.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// When to send [`Input::Tick`] at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let legs = self.legs.iter().filter_map(|leg| match leg {
            Leg::Due(at) => Some(*at),
            Leg::Ringing(until, progress) => Some(progress.map_or(*until, |p| p.min(*until))),
            Leg::Idle | Leg::Gone => None,
        });
        legs.chain([self.until]).min()
    }

    fn advance(&mut self, now: Instant) {
        loop {
            self.ring_and_expire(now);
            if self.over {
                return;
            }
            if self
                .legs
                .iter()
                .any(|l| matches!(l, Leg::Due(_) | Leg::Ringing(..)))
            {
                return;
            }
            if !self.legs.contains(&Leg::Idle) && self.won {
                self.over = true;
                return;
            }
            if !self.legs.contains(&Leg::Idle) {
                let (cause, status) = self.verdict();
                self.finish(Act::Lost(cause, status));
                return;
            }
            self.endpoint += 1;
            self.until = now + self.plan.timeout;
            self.begin_turn(now);
        }
    }

    fn ring_and_expire(&mut self, now: Instant) {
        for index in 0..self.legs.len() {
            match self.legs[index] {
                Leg::Due(at) if at <= now && now < self.until => {
                    let target = self.plan.targets[index];
                    let limit = target.timeout.map(|t| now + t);
                    let until = limit.unwrap_or(self.until).min(self.until);
                    self.legs[index] = Leg::Ringing(until, target.progress.map(|t| now + t));
                    self.acts.push_back(Act::Dial(index));
                }
                Leg::Ringing(until, progress) => {
                    let cause = if until <= now {
                        HangupCause::NoAnswer
                    } else if progress.is_some_and(|p| p <= now) {
                        HangupCause::NoUserResponse
                    } else {
                        continue;
                    };
                    self.acts.push_back(Act::Cancel(index, cause));
                    if self.fail(index, cause, None) {
                        return;
                    }
                }
                Leg::Due(_) if now >= self.until => {
                    self.legs[index] = Leg::Gone;
                    self.failures.push((HangupCause::NoAnswer, None));
                }
                _ => {}
            }
        }
    }

    /// This leg has failed; true if that ends the hunt.
    fn fail(&mut self, leg: usize, cause: HangupCause, status: Option<u16>) -> bool {
        self.legs[leg] = Leg::Gone;
        self.failures.push((cause, status));
        let trunk = self.plan.targets[leg].trunk;
        let ends = self.plan.fail_on_single_reject && is_reject(trunk, cause, status);
        if ends {
            self.cancel_all(cause);
            self.finish(Act::Lost(cause, status));
        }
        ends
    }

    fn begin_turn(&mut self, now: Instant) {
        for (leg, target) in self.legs.iter_mut().zip(&self.plan.targets) {
            let its_turn = !self.plan.one_by_one || target.endpoint == self.endpoint;
            if *leg == Leg::Idle && its_turn {
                *leg = Leg::Due(now + target.delay);
            }
        }
    }

    fn cancel_all(&mut self, cause: HangupCause) {
        for (index, leg) in self.legs.iter_mut().enumerate() {
            if matches!(leg, Leg::Ringing(..)) {
                self.acts.push_back(Act::Cancel(index, cause));
            }
            *leg = Leg::Gone;
        }
    }

    fn finish(&mut self, act: Act) {
        self.over = true;
        self.acts.push_back(act);
    }

    /// The failure that says most about the callee: a person's choice before a person's absence before a machine's trouble.
    fn verdict(&self) -> (HangupCause, Option<u16>) {
        let weight = |cause: HangupCause| match cause {
            HangupCause::UserBusy => 0,
            HangupCause::CallRejected => 1,
            HangupCause::NoAnswer => 2,
            HangupCause::NoUserResponse => 3,
            HangupCause::IncompatibleDestination => 4,
            HangupCause::UserNotRegistered => 6,
            _ => 5,
        };
        self.failures
            .iter()
            .copied()
            .min_by_key(|(cause, _)| weight(*cause))
            .unwrap_or((HangupCause::UserNotRegistered, None))
    }
}

/// Whether the callee does not want the call. A trunk says so with 486, 600 and 603, or rings in vain; that it wants no call of ours
/// (401, 403) is no word of the callee.
fn is_reject(trunk: bool, cause: HangupCause, status: Option<u16>) -> bool {
    match cause {
        HangupCause::UserBusy => true,
        HangupCause::CallRejected => !trunk || matches!(status, Some(600 | 603)),
        HangupCause::NoAnswer => trunk,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
