//! Whether a call's channel is still there when nothing is heard of it. Pure: it is told the time, and asks nobody itself.
//!
//! An event can be lost (a broker that died, a switch that died), and with the last one a call would go on for ever. So a
//! call that has been silent for long, and every call after the bus was away, has its channel asked after
//! (`channel_status_req`). Every switch answers: one *active* outweighs any number of *terminated*.

use std::time::Duration;

use callreel_proto::ChannelStatus;
use tokio::time::Instant;

/// How long switches are given to answer: Kazoo's own requesters wait two seconds.
const WINDOW: Duration = Duration::from_secs(3);
/// Time from one question in vain to the next.
const PAUSE: Duration = Duration::from_secs(5);
/// So often all who answered must have said *terminated*: the one switch that has the channel may have been late.
const DENIALS: u32 = 2;
/// So often nobody at all must have answered, which takes five minutes: an ecallmgr that restarts is away for a while, and
/// its FreeSWITCH goes on with the calls meanwhile.
const SILENCES: u32 = 38;

/// What is to be done about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing for now.
    Nothing,
    /// Ask after it.
    Ask,
    /// It is gone, and nobody said so.
    Gone,
}

/// What is known of one channel's life.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// When its last sign of life came.
    heard: Instant,
    /// Something may have been missed: ask without waiting for silence.
    doubted: bool,
    question: Option<Question>,
    /// When the last question ended in vain.
    vain: Option<Instant>,
    denials: u32,
    silences: u32,
}

#[derive(Debug)]
struct Question {
    msg_id: String,
    asked: Instant,
    denied: bool,
}

impl Pulse {
    /// Of a channel that was heard of now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            heard: now,
            doubted: false,
            question: None,
            vain: None,
            denials: 0,
            silences: 0,
        }
    }

    /// The channel did something.
    pub(crate) fn heard(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Events may have been lost.
    pub(crate) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// The switches were asked.
    pub(crate) fn asked(&mut self, now: Instant, msg_id: String) {
        self.doubted = false;
        self.question = Some(Question {
            msg_id,
            asked: now,
            denied: false,
        });
    }

    /// A switch answered.
    pub(crate) fn answered(&mut self, now: Instant, msg_id: &str, status: ChannelStatus) {
        match status {
            ChannelStatus::Active | ChannelStatus::Tmpdown => self.heard(now),
            ChannelStatus::Terminated => {
                if let Some(question) = &mut self.question
                    && question.msg_id == msg_id
                {
                    question.denied = true;
                }
            }
        }
    }

    /// How long nothing has been heard of it.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        now.duration_since(self.heard)
    }

    /// What is to be done at this instant; `patience` is how long a channel may be silent. While we are `cut_off` from the
    /// broker nobody can answer, so that silence means nothing.
    pub(crate) fn check(&mut self, now: Instant, patience: Duration, cut_off: bool) -> Need {
        if let Some(question) = &self.question {
            if now.duration_since(question.asked) < WINDOW {
                return Need::Nothing;
            }
            if question.denied {
                self.denials += 1;
            } else if !cut_off {
                self.silences += 1;
            }
            self.question = None;
            self.vain = Some(now);
        }
        if self.denials >= DENIALS || self.silences >= SILENCES {
            return Need::Gone;
        }
        let due = match self.vain {
            Some(vain) => now.duration_since(vain) >= PAUSE,
            None => self.doubted || now.duration_since(self.heard) >= patience,
        };
        if due { Need::Ask } else { Need::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Asks and waits for answers until something else is needed; says how often it asked and how long that took.
    fn questions(
        pulse: &mut Pulse,
        start: Instant,
        cut_off: bool,
        answer: Option<ChannelStatus>,
    ) -> (u32, u64) {
        let mut asked = 0;
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            match pulse.check(now, PATIENCE, cut_off) {
                Need::Ask => {
                    asked += 1;
                    pulse.asked(now, asked.to_string());
                    if let Some(status) = answer {
                        pulse.answered(now, &asked.to_string(), status);
                    }
                }
                Need::Gone => return (asked, second),
                Need::Nothing => {}
            }
        }
        (asked, u64::MAX)
    }

    #[test]
    fn a_channel_that_is_heard_of_is_not_asked_after() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for n in 1..10 {
            let now = start + (PATIENCE - Duration::from_secs(1)) * n;
            assert_eq!(pulse.check(now, PATIENCE, false), Need::Nothing);
            pulse.heard(now);
        }
    }

    #[test]
    fn what_every_switch_denies_twice_is_gone() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let denied = Some(ChannelStatus::Terminated);
        let (asked, second) = questions(&mut pulse, start, false, denied);
        assert_eq!((asked, second), (2, 60 + 3 + 5 + 3));
    }

    #[test]
    fn what_nobody_answers_for_is_gone_after_several_questions() {
        let start = Instant::now();
        let (asked, _) = questions(&mut Pulse::new(start), start, false, None);
        assert_eq!(asked, SILENCES);
    }

    #[test]
    fn nobody_is_gone_because_we_could_not_ask() {
        let start = Instant::now();
        let (asked, second) = questions(&mut Pulse::new(start), start, true, None);
        assert!(asked > SILENCES);
        assert_eq!(second, u64::MAX);
    }

    #[test]
    fn one_switch_that_has_it_outweighs_those_that_do_not() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            let need = pulse.check(now, PATIENCE, false);
            assert_ne!(need, Need::Gone);
            if need == Need::Ask {
                pulse.asked(now, "q".to_owned());
                for status in [
                    ChannelStatus::Terminated,
                    ChannelStatus::Active,
                    ChannelStatus::Terminated,
                ] {
                    pulse.answered(now, "q", status);
                }
            }
        }
    }

    #[test]
    fn doubt_asks_at_once_and_an_answer_to_an_old_question_denies_nothing() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.doubt();
        assert_eq!(pulse.check(start, PATIENCE, false), Need::Ask);
        pulse.asked(start, "new".to_owned());
        pulse.answered(start, "old", ChannelStatus::Terminated);
        let later = start + WINDOW;
        assert_eq!(pulse.check(later, PATIENCE, false), Need::Nothing);
        assert_eq!((pulse.denials, pulse.silences), (0, 1));
    }
}
