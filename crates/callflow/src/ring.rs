//! Rings people and reads how that ended: what all modules that bridge have in common. Never looks anybody up.

mod chance;
mod endpoint;
mod forward;
mod members;
mod rounds;

use std::time::{Duration, Instant};

use callreel_proto::{Application, CallEvent, Endpoint, HangupCause, InsertAt};
use serde_json::{Map, Value};

use crate::data::Data;
use crate::stage::{Stage, Turn};
use crate::talk::{Answer, Endpoints, Query};
use crate::wait::{Await, Legs, Outcome};
use endpoint::Terms;

pub(crate) use endpoint::outbound;
pub use members::{Member, MemberKind, members_of};
pub(crate) use members::{Wanted, wanted};
pub(crate) use rounds::{Rounds, ringback, usual_ringback};

/// Kazoo's ring time, seconds.
const RING_S: u64 = 20;
/// Nobody rings a phone longer than a day, and an instant has its limits.
pub(crate) const LONGEST_RING_S: u64 = 86_400;
/// Kazoo's `bridge_timeout_extended_ms`: so long after the ring time the switch counts as silent.
pub(crate) const RING_GUARD: Duration = Duration::from_secs(20);
/// So many endpoints fit in one command: the switch takes 256 KiB, and fifty with all their variables are a third of that.
const MOST_ENDPOINTS: usize = 100;

/// Who of those that are rung is rung when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Strategy {
    /// All at once.
    #[default]
    Simultaneous,
    /// One after the other.
    Single,
    /// One after the other in an order that chance makes: who weighs more is likely to be rung sooner.
    WeightedRandom,
}

impl Strategy {
    /// The strategy a data key names, out of these; all at once if it names none.
    pub(crate) fn read(data: &mut Data<'_>, key: &str, known: &[Self]) -> Self {
        let Some(asked) = data.text(key) else {
            return Self::default();
        };
        let found = known.iter().find(|strategy| strategy.name() == asked);
        found.copied().unwrap_or_else(|| {
            let names: Vec<_> = known.iter().map(|s| format!("{:?}", s.name())).collect();
            let names = names.join(" or ");
            data.warn_of(key, format!("{asked:?} is no strategy; use {names}"));
            Self::default()
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Simultaneous => "simultaneous",
            Self::Single => "single",
            Self::WeightedRandom => "weighted_random",
        }
    }

    /// The `Dial-Endpoint-Method`.
    fn method(self) -> &'static str {
        match self {
            Self::Simultaneous => "simultaneous",
            Self::Single | Self::WeightedRandom => "single",
        }
    }
}

/// What a module wants of a bridge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ringing {
    /// Whom to ring, in the order of the data.
    pub(crate) members: Vec<Wanted>,
    /// How long, seconds.
    pub(crate) timeout_s: u64,
    pub(crate) strategy: Strategy,
    /// A group is rung, not a person: forwards of direct calls alone do not hold, and no ringing tone of a callee is heard.
    pub(crate) group: bool,
    /// A phone's own redirection (3xx) is not followed.
    pub(crate) ignore_forward: Option<bool>,
    /// What the caller hears meanwhile, as the switch names media.
    pub(crate) ringback: Option<String>,
    /// How the phones ring: the `Alert-Info` for calls of the account's own, and for those from outside.
    pub(crate) ringtones: Map<String, Value>,
    /// The caller's own phones ring, too, whatever the action says.
    pub(crate) can_call_self: bool,
    /// What the phones show in the place of the caller's name.
    pub(crate) caller_name: Option<String>,
}

/// Nobody was reached; the flow may try again.
#[derive(Debug)]
pub(crate) struct Unreached {
    /// The children that would say what to do: by the cause, by the SIP code.
    keys: Vec<String>,
}

impl Unreached {
    /// Whether the flow says what to do for just this reason.
    pub(crate) fn is_provided_for(&self, stage: &Stage) -> bool {
        let node = stage.node.as_ref();
        let has = |key: &String| node.is_some_and(|node| node.action(key).is_some());
        self.keys.iter().any(has)
    }

    /// The child named by the cause, else by the SIP code, else `_`.
    pub(crate) fn turn(self) -> Turn {
        Turn::Attempt(self.keys)
    }
}

/// A ring time of a data key: 0 means Kazoo's usual time.
pub(crate) fn ring_time(asked: Option<u64>) -> u64 {
    match asked {
        None | Some(0) => RING_S,
        Some(s) => s.min(LONGEST_RING_S),
    }
}

impl Ringing {
    /// Rings a person or a phone, as the modules `user` and `device` do.
    pub(crate) fn ring_only(
        &mut self,
        stage: &mut Stage,
        kind: MemberKind,
        strategy: &str,
    ) -> Turn {
        let Some(id) = stage.text("id") else {
            stage.warn_of("id", format!("no {kind} is named; skipped"));
            return Turn::next();
        };
        let known = [Strategy::Simultaneous, Strategy::Single];
        let timeout_s = ring_time(stage.whole("timeout"));
        let member = Wanted {
            delay_s: stage.whole("delay"),
            timeout_s: Some(timeout_s),
            ..Wanted::of(kind, id)
        };
        self.members = vec![member];
        self.timeout_s = timeout_s;
        self.strategy = stage.data(|data| Strategy::read(data, strategy, &known));
        self.begin(stage)
    }

    /// Asks for the documents of all who are wanted.
    pub(crate) fn begin(&self, stage: &mut Stage) -> Turn {
        let members = self.members.iter().map(|m| m.member.clone()).collect();
        Turn::Wait(stage.ask(Query::Endpoints { members }))
    }

    /// Goes on after the documents came, and after the bridge.
    pub(crate) fn resume(&self, stage: &mut Stage, outcome: Outcome) -> Result<Turn, Unreached> {
        match outcome {
            Outcome::Reply(Answer::Endpoints(found)) => Ok(self.ring(stage, &found)),
            Outcome::Reply(_) => {
                stage.warn("the account's documents cannot be read; nobody is rung");
                Ok(Turn::next())
            }
            Outcome::Talked => Ok(Turn::Stop),
            Outcome::NotAnswered(event) => unreached_by(stage, &event),
            Outcome::TimedOut => {
                stage.warn("the switch did not say how the bridge ended; going on without it");
                Err(Unreached { keys: Vec::new() })
            }
            _ => Ok(Turn::next()),
        }
    }

    /// Rings those whose documents these are.
    pub(crate) fn ring(&self, stage: &mut Stage, found: &Endpoints) -> Turn {
        match self.bridge(stage, found) {
            Some(give_up) => Turn::Wait(Await::Bridge {
                legs: Legs::Apart(give_up),
            }),
            None => Turn::next(),
        }
    }

    /// The same, and gives the instant after which the switch counts as silent; none if there is nobody to ring.
    pub(crate) fn bridge(&self, stage: &mut Stage, found: &Endpoints) -> Option<Instant> {
        let endpoints = self.endpoints(stage, found);
        if endpoints.is_empty() {
            return None;
        }
        let give_up = stage.after(self.longest(&endpoints) + RING_GUARD);
        let caller = stage.caller_shown();
        let fail_on_single_reject = stage.flag("fail_on_single_reject");
        let own = self.ringback.clone();
        let ringback = own.or_else(|| usual_ringback(stage));
        stage.command(Application::Bridge {
            endpoints,
            timeout_s: Some(self.timeout_s),
            method: Some(self.strategy.method().to_owned()),
            fail_on_single_reject,
            caller_id_name: self.caller_name.clone().or(caller.name),
            caller_id_number: caller.number,
            // The phones of a group ring each in their way.
            ignore_early_media: self.group.then_some(true),
            ringback,
            ignore_forward: self.ignore_forward,
            custom_channel_vars: caller.vars,
            custom_sip_headers: Map::new(),
        });
        Some(give_up)
    }

    /// The phones and numbers to be rung, as the switch is told of them.
    pub(crate) fn endpoints(&self, stage: &mut Stage, found: &Endpoints) -> Vec<Endpoint> {
        stage.ring_anew();
        let terms = Terms::read(stage, self, found);
        let mut endpoints = Vec::new();
        for rung in self.resolve(stage, found) {
            terms.add(stage, &rung, &mut endpoints);
        }
        if endpoints.len() > MOST_ENDPOINTS {
            let message =
                format!("a bridge rings at most {MOST_ENDPOINTS} phones; others are left out");
            stage.warn(message);
            endpoints.truncate(MOST_ENDPOINTS);
        }
        endpoints
    }

    /// How long it may ring: one by one, each has its own time.
    fn longest(&self, endpoints: &[Endpoint]) -> Duration {
        let each = |endpoint: &Endpoint| {
            let own = endpoint.timeout_s.unwrap_or(self.timeout_s);
            own.min(self.timeout_s)
                .saturating_add(endpoint.delay_s.unwrap_or_default())
        };
        Duration::from_secs(match self.strategy {
            Strategy::Simultaneous => self.timeout_s,
            Strategy::Single | Strategy::WeightedRandom => {
                endpoints.iter().map(each).fold(0, u64::saturating_add)
            }
        })
    }
}

/// Why nobody was reached, as the switch says; a caller who gave up is not led on.
pub(crate) fn unreached_by(stage: &mut Stage, event: &CallEvent) -> Result<Turn, Unreached> {
    let result = event.application_response.as_deref();
    let code = event.hangup_code.as_deref();
    unreached(stage, result, event.hangup_cause, code)
}

/// The same, told by the result of the bridge, the cause behind it, and the SIP code.
pub(crate) fn unreached(
    stage: &mut Stage,
    result: Option<&str>,
    cause: Option<HangupCause>,
    code: Option<&str>,
) -> Result<Turn, Unreached> {
    let result = result.filter(is_cause);
    stage.last_failure = cause.or_else(|| result.and_then(HangupCause::of_name));
    let cause = result.or(cause.map(HangupCause::name));
    // The caller gave up: whatever the flow holds for a callee who does not answer, nobody is left to hear it.
    if cause == Some(HangupCause::OriginatorCancel.name()) {
        return Ok(stage.hang_up(InsertAt::Tail, None));
    }
    let keys = cause.into_iter().chain(code).map(str::to_owned);
    Err(Unreached {
        keys: keys.collect(),
    })
}

/// `NONE` and `FAIL` are what a switch says for want of a cause.
fn is_cause(word: &&str) -> bool {
    !word.is_empty() && !matches!(*word, "NONE" | "FAIL")
}
