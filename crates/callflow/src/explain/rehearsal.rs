//! A switch, a caller and those who are called, as far as a cursor can tell. Answers no question about the account.

use std::collections::VecDeque;
use std::time::Duration;

use callreel_proto::{
    Application, CallEvent, EndReason, EventName, HangupCause, InsertAt, Terminators, Utc,
};

use super::World;
use super::script::{Script, Step};
use crate::order::{RecordingOrder, Slot};
use crate::talk::{Answer, CallInfo, Effect, Input};

/// The made-up phone rings this long before it is answered.
const RINGING: Duration = Duration::from_secs(5);
/// The made-up parties talk, and the made-up caller speaks after a beep, this long.
const TALKING: Duration = Duration::from_secs(10);
/// The made-up caller's fingers take this long from key to key.
const KEY: Duration = Duration::from_millis(200);

/// A switch and people.
#[derive(Debug)]
pub(super) struct Rehearsal {
    call: CallInfo,
    world: World,
    /// What will be said, soonest first. Bounded by what one action asks for.
    coming: VecDeque<(Duration, Input)>,
    /// When the switch has done what it was told.
    busy_until: Duration,
    /// Something is queued behind what has no end.
    held_up: bool,
    /// What is played and when, and the keys that end it.
    playing: Vec<(Duration, Duration, Terminators)>,
    /// What people will do.
    script: VecDeque<(Duration, Step)>,
    /// Whether the script says who answers.
    scripted: bool,
    bridge: Bridge,
}

/// How far a call to others got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bridge {
    None,
    Ringing,
    Talking,
}

impl Rehearsal {
    pub(super) fn new(call: CallInfo, world: World, script: &Script) -> Self {
        Self {
            call,
            world,
            coming: VecDeque::new(),
            busy_until: Duration::ZERO,
            held_up: false,
            playing: Vec::new(),
            script: single_keys(script),
            scripted: script.rings(),
            bridge: Bridge::None,
        }
    }

    /// What happens next: what was caused, what people do, the tick asked for, or, where nothing else ever would, the caller
    /// hangs up.
    pub(super) fn next(&mut self, now: Duration, wake_at: Option<Duration>) -> (Duration, Input) {
        loop {
            let caused = self.coming.front().map(|(at, _)| *at);
            let done = self.script.front().map(|(at, _)| (*at).max(now));
            // Whoever waits for the end of that looks up now and then, in vain.
            let in_vain = self.held_up && self.busy_until == Duration::MAX;
            let wake_at = wake_at.filter(|_| !in_vain);
            let soonest = [caused, done, wake_at].into_iter().flatten().min();
            let Some(soonest) = soonest else {
                return (now + TALKING, self.event(EventName::ChannelDestroy, |_| {}));
            };
            if caused == Some(soonest) {
                return self.coming.pop_front().expect("there is one at the front");
            }
            if done != Some(soonest) {
                return (soonest, Input::Tick);
            }
            if let Some((_, step)) = self.script.pop_front() {
                self.act(soonest, step);
            }
        }
    }

    /// The answer to a look-up.
    pub(super) fn answer(&mut self, now: Duration, answer: Answer) {
        self.say(now, Input::Found(answer));
    }

    /// Somebody does something.
    fn act(&mut self, now: Duration, step: Step) {
        match (step, self.bridge) {
            (Step::Press(key), _) => {
                let digit = Some(key.clone());
                let pressed = self.event(EventName::Dtmf, |event| event.dtmf_digit = digit);
                self.say(now, pressed);
                self.silence(now, &key);
            }
            (Step::HangUp, _) => {
                let gone = self.event(EventName::ChannelDestroy, |_| {});
                self.coming.push_front((now, gone));
            }
            (Step::Answer, Bridge::Ringing) => {
                self.coming.retain(|(_, input)| !is_end_of_bridge(input));
                self.talk(now);
            }
            (Step::Refuse(cause, code), Bridge::Ringing) => {
                self.bridge_ends(now, Some((cause, code)));
            }
            (Step::Part, Bridge::Talking) => self.bridge_ends(now, None),
            // Nobody is there to do it.
            (Step::Answer | Step::Refuse(..) | Step::Part, _) => {}
        }
    }

    /// A key ends what is played, and what was to come comes sooner.
    fn silence(&mut self, now: Duration, key: &str) {
        let heard = self.playing.iter().find_map(|(from, to, terminators)| {
            let ends = key.chars().any(|key| terminators.contains(key));
            (*from <= now && now < *to && ends).then_some(*to)
        });
        let Some(end) = heard else { return };
        let saved = end - now;
        let sooner = |at: &mut Duration| {
            if *at >= end {
                *at -= saved;
            }
        };
        self.coming.iter_mut().for_each(|(at, _)| sooner(at));
        for (from, to, _) in &mut self.playing {
            sooner(from);
            sooner(to);
        }
        sooner(&mut self.busy_until);
    }

    pub(super) fn perform(&mut self, now: Duration, effect: Effect) {
        match effect {
            Effect::Command {
                insert_at,
                application,
                msg_id,
            } => self.command(now, insert_at, &application, msg_id),
            Effect::RecordMessage(order) => self.record(now, &order),
            Effect::StartRecording(order) => {
                let slot = order.slot;
                self.say(now, Input::RecordingStarted { slot });
            }
            Effect::Offnet { request, .. } => {
                self.bridge(now, request.timeout_s.unwrap_or(20));
            }
            Effect::Lookup(_)
            | Effect::StopRecording { .. }
            | Effect::Mask { .. }
            | Effect::Unmask { .. }
            | Effect::Webhook { .. }
            | Effect::Unpark { .. }
            | Effect::Keep { .. }
            | Effect::Discard { .. }
            | Effect::Skipped { .. }
            | Effect::Notification { .. }
            | Effect::Warn { .. } => {}
        }
    }

    fn record(&mut self, now: Duration, order: &RecordingOrder) {
        let length = TALKING.min(order.time_limit);
        let at = self.take(now, length);
        self.say(at, recorded(order.slot, length));
    }

    fn command(
        &mut self,
        now: Duration,
        insert_at: InsertAt,
        application: &Application,
        msg_id: Option<String>,
    ) {
        if insert_at == InsertAt::Flush {
            self.coming.clear();
            self.playing.clear();
            self.busy_until = now;
            self.held_up = false;
        }
        let begins = self.busy_until.max(now);
        let done_at = match insert_at {
            InsertAt::Now => now,
            _ => self.take(now, how_long(application)),
        };
        if let Some(terminators) = ended_by(application) {
            self.playing.push((begins, done_at, terminators));
        }
        match application {
            Application::Bridge { timeout_s, .. } => self.bridge(done_at, timeout_s.unwrap_or(20)),
            // A call that is transferred is another controller's: for this flow it is gone.
            Application::Hangup { .. } | Application::Respond { .. } | Application::Transfer(_) => {
                let gone = self.event(EventName::ChannelDestroy, |_| {});
                self.say(done_at, gone);
            }
            Application::Hold { .. }
            | Application::Play {
                endless: Some(true),
                ..
            } => self.busy_until = Duration::MAX,
            _ => {
                let done = self.event(EventName::ChannelExecuteComplete, |event| {
                    event.application_name = Some(application.name().to_owned());
                    event.application_response = msg_id;
                });
                self.say(done_at, done);
            }
        }
    }

    fn bridge(&mut self, now: Duration, timeout_s: u64) {
        self.bridge = Bridge::Ringing;
        let nobody = Duration::from_secs(timeout_s);
        let (after, result) = match self.world {
            _ if self.scripted => (nobody, NOBODY),
            World::Answered => {
                let at = self.take(now, RINGING);
                return self.talk(at);
            }
            World::NotAnswered => (nobody, NOBODY),
            World::Busy => (Duration::from_secs(1), (HangupCause::UserBusy, "sip:486")),
        };
        let at = self.take(now, after);
        self.parted(at, Some(result));
    }

    /// Who rang has answered.
    fn talk(&mut self, now: Duration) {
        self.bridge = Bridge::Talking;
        for name in [EventName::ChannelAnswer, EventName::ChannelBridge] {
            let event = self.event(name, |_| {});
            self.say(now, event);
        }
        self.busy_until = now;
        let parts = self.script.iter().any(|(_, step)| *step == Step::Part);
        if !parts {
            let at = self.take(now, TALKING);
            self.parted(at, None);
        }
    }

    /// The call to others is over now.
    fn bridge_ends(&mut self, now: Duration, failure: Option<(HangupCause, &'static str)>) {
        self.coming.retain(|(_, input)| !is_end_of_bridge(input));
        self.bridge = Bridge::None;
        self.busy_until = now;
        self.parted(now, failure);
    }

    fn parted(&mut self, at: Duration, failure: Option<(HangupCause, &'static str)>) {
        let result = failure.map_or("SUCCESS", |(cause, _)| cause.name());
        let complete = self.event(EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("bridge".to_owned());
            event.application_response = Some(result.to_owned());
            event.hangup_code = failure.map(|(_, code)| code.to_owned());
        });
        self.say(at, complete);
    }

    /// Occupies the switch for this long after what it is doing, and says until when.
    fn take(&mut self, now: Duration, length: Duration) -> Duration {
        self.busy_until = self.busy_until.max(now).saturating_add(length);
        self.busy_until
    }

    fn say(&mut self, at: Duration, input: Input) {
        // What an endless playback holds up never happens.
        if at == Duration::MAX {
            self.held_up = true;
        } else {
            let place = self.coming.partition_point(|(other, _)| *other <= at);
            self.coming.insert(place, (at, input));
        }
    }

    fn event(&self, name: EventName, fill: impl FnOnce(&mut CallEvent)) -> Input {
        let mut event = CallEvent::new(self.call.call_id.clone(), Utc::from_unix_ms(0));
        fill(&mut event);
        Input::Event {
            name,
            event: Box::new(event),
        }
    }
}

/// Nobody answers in time.
const NOBODY: (HangupCause, &str) = (HangupCause::NoAnswer, "sip:480");

/// The steps with the keys of one line one after the other.
fn single_keys(script: &Script) -> VecDeque<(Duration, Step)> {
    let mut steps = Vec::new();
    for (at, step) in script.steps() {
        match step {
            Step::Press(keys) => {
                let single = keys.chars().map(|key| Step::Press(key.to_string()));
                steps.extend((0..).map(|n| *at + KEY * n).zip(single));
            }
            other => steps.push((*at, other.clone())),
        }
    }
    steps.sort_by_key(|(at, _)| *at);
    steps.into()
}

fn is_end_of_bridge(input: &Input) -> bool {
    let Input::Event { name, event } = input else {
        return false;
    };
    *name == EventName::ChannelExecuteComplete
        && event.application_name.as_deref() == Some("bridge")
}

/// The keys that end what is played; none for what is not heard.
fn ended_by(application: &Application) -> Option<Terminators> {
    match application {
        Application::Play { terminators, .. }
        | Application::Tts { terminators, .. }
        | Application::Tones { terminators, .. } => Some(terminators.clone()),
        _ => None,
    }
}

fn recorded(slot: Slot, length: Duration) -> Input {
    Input::RecordingEnded {
        slot,
        reason: EndReason::Silence,
        length_ms: length.as_secs() * 1000,
        media_name: Some("local_stream://example".to_owned()),
    }
}

/// Made-up lengths: 15 characters are spoken in a second, a file lasts three.
fn how_long(application: &Application) -> Duration {
    match application {
        Application::Answer => Duration::from_millis(100),
        Application::Play { loop_count, .. } => {
            let times = loop_count.unwrap_or(1).clamp(1, 1000);
            Duration::from_secs(3 * times)
        }
        Application::Tts { text, .. } | Application::Say { text, .. } => {
            Duration::from_secs(text.chars().count().div_ceil(15) as u64)
        }
        Application::Tones { .. } => Duration::from_millis(600),
        _ => Duration::ZERO,
    }
}
