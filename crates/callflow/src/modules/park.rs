//! `park`: has a call wait in a numbered slot until somebody retrieves it, and retrieves it.

mod settings;
mod waiting;

use std::time::Duration;

use callreel_proto::{Application, CallPickup};
use serde_json::Value;

use crate::parking::{ParkingAnswer, ParkingQuery, ParkingSlot};
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Effect, Query};
use crate::wait::{Await, Legs, Outcome};
use settings::{Action, parked_call, replaced};
use waiting::Waiting;

/// Kazoo's time for a pickup.
const PICKUP_GUARD: Duration = Duration::from_secs(10);
/// Kazoo's time from one look at a slot that is only kept to the next.
const KEPT_PAUSE: Duration = Duration::from_secs(1);
/// Looks at a slot that is only kept, as in Kazoo: then the call that keeps it is taken.
const KEPT_LOOKS: u32 = 3;
/// Kazoo's time for a parker who has heard the slot's number to complete the transfer.
const PARKER_STAYS: Duration = Duration::from_secs(30);
/// The child for a call that finds no slot.
const FULL: &str = "MAX_SLOT_EXCEEDED";

#[derive(Debug, Default)]
pub(crate) struct Park {
    step: Step,
    action: Action,
    /// The call was sent here by a transfer: its parker is not on the line.
    sent: bool,
    /// The slot that is meant.
    wanted: Option<String>,
    looks: u32,
    /// What this call has, until it has been given back.
    slot: Option<ParkingSlot>,
    waiting: Waiting,
}

/// What has been asked for; the outcome is its answer.
#[derive(Debug, Default)]
enum Step {
    #[default]
    Take,
    Replace,
    Look,
    LookAgain,
    /// The call in this slot is picked up.
    PickUp(ParkingSlot),
    /// It is in conversation: with whom it picked up, or who was rung back.
    Talk {
        then: Turn,
    },
    /// It must be answered before it waits.
    AnswerFirst,
    /// It must be answered before it is told this.
    Tell(&'static str),
    Told,
    /// The parker knows the slot's number.
    ParkerStays,
    Wait,
}

impl Module for Park {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        self.wanted = settings::slot(stage);
        let referred_to = stage.call.channel_vars.get("Referred-To");
        let referred_to = referred_to.and_then(Value::as_str).unwrap_or_default();
        self.sent = !referred_to.is_empty();
        if let Some(replaced) = replaced(referred_to) {
            self.step = Step::Replace;
            let call = parked_call(stage, false);
            return Turn::Wait(stage.ask(Query::Parking(ParkingQuery::Replace { replaced, call })));
        }
        self.action = settings::action(stage);
        match self.action {
            Action::Retrieve | Action::Auto if !self.sent => self.look(stage),
            _ => self.take(stage),
        }
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match std::mem::take(&mut self.step) {
            Step::Take => self.taken(stage, outcome),
            Step::Replace => match outcome {
                Outcome::Reply(Answer::Parking(ParkingAnswer::Parked(slot))) => {
                    self.slot = Some(slot);
                    self.wait(stage)
                }
                _ => {
                    stage.warn("no slot is kept for the transferred call; it is parked anew");
                    self.take(stage)
                }
            },
            Step::Look => self.found(stage, outcome),
            Step::LookAgain => self.look(stage),
            Step::PickUp(slot) => self.picked_up(stage, &slot, &outcome),
            Step::Talk { then } => then,
            Step::AnswerFirst => self.wait(stage),
            Step::Tell(prompt) => self.tell(stage, prompt),
            Step::Told if self.slot.is_some() => {
                self.step = Step::ParkerStays;
                Turn::Wait(Await::Until(stage.after(PARKER_STAYS)))
            }
            Step::ParkerStays => {
                self.give_back(stage);
                Turn::Stop
            }
            Step::Wait => self.waited(stage, outcome),
            Step::Told => Turn::Stop,
        }
    }

    fn hung_up(&mut self, stage: &mut Stage) {
        self.give_back(stage);
    }
}

impl Park {
    fn take(&mut self, stage: &mut Stage) -> Turn {
        self.step = Step::Take;
        // Whoever dials the slot asks for it; the call that is to wait comes by their transfer.
        let attended = !self.sent && self.action != Action::DirectPark;
        let call = parked_call(stage, attended);
        let highest = stage.whole("max_slot_number");
        Turn::Wait(stage.ask(Query::Parking(ParkingQuery::Take {
            slot: self.wanted.clone(),
            highest,
            call,
        })))
    }

    fn taken(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let Outcome::Reply(Answer::Parking(answer)) = outcome else {
            stage.warn("the account's parking slots cannot be reached; the call is not parked");
            return Turn::next();
        };
        match answer {
            ParkingAnswer::Parked(slot) if slot.attended => {
                self.slot = Some(slot);
                self.answer_and_tell(stage, "park-call_placed_in_spot")
            }
            ParkingAnswer::Parked(slot) => {
                self.slot = Some(slot);
                self.step = Step::AnswerFirst;
                stage.answer_first()
            }
            ParkingAnswer::Occupied(slot) if self.sent => self.turn_back(stage, slot),
            ParkingAnswer::Occupied(_) => self.answer_and_tell(stage, "park-already_in_use"),
            ParkingAnswer::Full => Turn::Continue(FULL.to_owned()),
        }
    }

    fn look(&mut self, stage: &mut Stage) -> Turn {
        let Some(slot) = self.wanted.clone() else {
            // A slot that is chosen for the call is free.
            return self.nobody(stage);
        };
        self.looks += 1;
        self.step = Step::Look;
        Turn::Wait(stage.ask(Query::Parking(ParkingQuery::Find { slot })))
    }

    fn found(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let Outcome::Reply(Answer::Parking(ParkingAnswer::Parked(slot))) = outcome else {
            return self.nobody(stage);
        };
        if slot.attended && self.looks < KEPT_LOOKS {
            self.step = Step::LookAgain;
            return Turn::Wait(Await::Until(stage.after(KEPT_PAUSE)));
        }
        stage.command(Application::CallPickup(Box::new(CallPickup {
            target_call_id: slot.call_id.clone(),
            unbridged_only: Some(true),
            continue_on_fail: Some(false),
            continue_on_cancel: Some(true),
            park_after_pickup: Some(false),
        })));
        self.step = Step::PickUp(slot);
        Turn::Wait(Await::Joined {
            application: "call_pickup",
            give_up: stage.after(PICKUP_GUARD),
        })
    }

    fn picked_up(&mut self, stage: &mut Stage, slot: &ParkingSlot, outcome: &Outcome) -> Turn {
        match outcome {
            Outcome::Done => {
                free(stage, slot);
                self.talk(Turn::Stop)
            }
            Outcome::TimedOut => {
                stage.warn("the switch did not say whether the parked call was picked up");
                self.nobody(stage)
            }
            // It may wait still: at another switch, or for somebody who is being rung. Whoever wants the slot next asks.
            _ => self.nobody(stage),
        }
    }

    /// There is nobody in the slot who could be retrieved.
    fn nobody(&mut self, stage: &mut Stage) -> Turn {
        match self.action {
            Action::Auto => self.take(stage),
            _ => self.answer_and_tell(stage, "park-no_caller"),
        }
    }

    /// The call talks, and this comes after it.
    fn talk(&mut self, then: Turn) -> Turn {
        self.step = Step::Talk { then };
        Turn::Wait(Await::Bridge {
            legs: Legs::PickedUp,
        })
    }

    fn answer_and_tell(&mut self, stage: &mut Stage, prompt: &'static str) -> Turn {
        self.step = Step::Tell(prompt);
        stage.answer_first()
    }

    fn tell(&mut self, stage: &mut Stage, prompt: &str) -> Turn {
        stage.prompt(prompt);
        if let Some(slot) = &self.slot {
            let number = slot.slot.clone();
            stage.say(number, "name_spelled");
        }
        self.step = Step::Told;
        stage.until_heard()
    }

    /// The slot is free for others.
    fn give_back(&mut self, stage: &mut Stage) {
        if let Some(slot) = self.slot.take() {
            free(stage, &slot);
        }
    }
}

fn free(stage: &mut Stage, slot: &ParkingSlot) {
    stage.effect(Effect::Unpark {
        slot: slot.slot.clone(),
        call_id: slot.call_id.clone(),
        // The call it was kept for may be on its way.
        later: slot.attended,
    });
}
