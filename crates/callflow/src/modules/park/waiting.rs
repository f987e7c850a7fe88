//! A call that waits in its slot: hears music, has its parker rung back from time to time, and is picked up.

use std::time::{Duration, Instant};

use callreel_proto::Application;

use super::{Park, Step, settings};
use crate::parking::ParkingSlot;
use crate::ring::{MemberKind, Ringing, Wanted};
use crate::speech;
use crate::stage::{Stage, Turn};
use crate::talk::Answer;
use crate::wait::{Await, Outcome};

/// Music that has broken off begins again after this: a switch that cannot play it is not asked without end.
const MUSIC_PAUSE: Duration = Duration::from_secs(1);

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    state: State,
    /// When the parker is rung back.
    ring_at: Option<Instant>,
    /// The account's own music cannot be played.
    plain: bool,
    ringing: Ringing,
    /// The parker is rung because the slot was taken: the call has none to go back to.
    turned_back: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Music,
    /// It has broken off.
    Silence,
    /// The parker's phone is looked up, then rung.
    Parker,
}

impl Park {
    /// The call waits, from now on or again.
    pub(super) fn wait(&mut self, stage: &mut Stage) -> Turn {
        let Some(slot) = &self.slot else {
            return Turn::Stop;
        };
        let after = settings::ringback(stage, &slot.slot);
        let parker = slot.ringback_id.as_ref();
        self.waiting.ring_at = parker.map(|_| stage.after(after));
        self.play(stage)
    }

    fn play(&mut self, stage: &mut Stage) -> Turn {
        let media_name = self.music(stage);
        stage.command(Application::Hold { media_name });
        self.parked(State::Music, self.waiting.ring_at)
    }

    fn parked(&mut self, state: State, until: Option<Instant>) -> Turn {
        self.waiting.state = state;
        self.step = Step::Wait;
        Turn::Wait(Await::Parked { until })
    }

    fn music(&mut self, stage: &mut Stage) -> Option<String> {
        let own = self.slot.as_ref()?.hold_media.clone()?;
        if self.waiting.plain {
            return None;
        }
        let named = speech::named(&own, &stage.call.account_id);
        named
            .map_err(|reason| stage.warn(format!("music on hold: {reason}; other music is played")))
            .ok()
    }

    /// Something has happened to a call that waits.
    pub(super) fn waited(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match (self.waiting.state, outcome) {
            (State::Parker, outcome) => self.rung(stage, outcome),
            // Somebody has the call: this is where a switch of others says so, ours takes it from the flow.
            (_, Outcome::Done) => {
                self.give_back(stage);
                Turn::Wait(Await::Hangup)
            }
            (State::Music, Outcome::TimedOut) => self.ring_back(stage),
            (State::Silence, Outcome::TimedOut) => self.play(stage),
            (_, _) => {
                self.waiting.plain = true;
                let again = stage.after(MUSIC_PAUSE);
                self.parked(State::Silence, Some(again))
            }
        }
    }

    /// The slot is taken by another call: whoever sent this one is rung.
    pub(super) fn turn_back(&mut self, stage: &mut Stage, slot: ParkingSlot) -> Turn {
        self.waiting.turned_back = true;
        self.slot = Some(slot);
        self.ring_back(stage)
    }

    fn ring_back(&mut self, stage: &mut Stage) -> Turn {
        let slot = self.slot.as_ref();
        let parker = slot.and_then(|slot| Some((slot.slot.clone(), slot.ringback_id.clone()?)));
        let Some((slot, device)) = parker else {
            return self.parker_is_gone(stage);
        };
        let member = Wanted::of(MemberKind::Device, device);
        let timeout_s = settings::callback(stage, &slot).as_secs();
        let name = stage.call.caller_id_name.as_deref().unwrap_or_default();
        self.waiting.ringing = Ringing {
            members: vec![member],
            timeout_s,
            can_call_self: true,
            caller_name: Some(format!("Parking slot {slot} - {name}")),
            ..Ringing::default()
        };
        self.waiting.state = State::Parker;
        self.step = Step::Wait;
        self.waiting.ringing.begin(stage)
    }

    fn rung(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Reply(Answer::Endpoints(found)) => {
                // The music, too, has its turn in the queue.
                stage.flush();
                let ringing = self.waiting.ringing.clone();
                match ringing.bridge(stage, &found) {
                    Some(give_up) => {
                        self.step = Step::Wait;
                        Turn::Wait(Await::Joined {
                            application: "bridge",
                            give_up,
                        })
                    }
                    None => self.parker_is_gone(stage),
                }
            }
            Outcome::Done => {
                self.give_back(stage);
                self.talk(match self.waiting.turned_back {
                    true => Turn::Stop,
                    false => Turn::next(),
                })
            }
            _ => self.parker_is_gone(stage),
        }
    }

    /// The parker does not answer: the flow may know what to do, else the call waits on.
    fn parker_is_gone(&mut self, stage: &mut Stage) -> Turn {
        if self.waiting.turned_back {
            stage.warn("the slot is taken, and whoever sent the call there does not take it back; hanging up");
            return stage.hang_up(callreel_proto::InsertAt::Tail, None);
        }
        let slot = self.slot.as_ref().map(|slot| slot.slot.clone());
        match slot.filter(|slot| stage.has_child(slot)) {
            Some(slot) => {
                self.give_back(stage);
                Turn::Continue(slot)
            }
            None => self.wait(stage),
        }
    }
}
