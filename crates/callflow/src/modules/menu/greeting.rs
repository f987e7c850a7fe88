//! A new greeting for a menu, recorded by whoever knows its pin. Stores nothing: what is kept is delivered by others.

use std::time::Duration;

use callreel_proto::{EndReason, InsertAt};

use super::{Menu, Step};
use crate::order::{RecordingKind, RecordingOrder, Slot, UsedBy};
use crate::recording::spoken;
use crate::speech::beep;
use crate::stage::{Stage, Turn};
use crate::talk::Effect;
use crate::wait::Outcome;

/// Kazoo's `min_greeting_length`.
const SHORTEST: Duration = Duration::from_millis(1500);
/// Kazoo's longest greeting.
const LONGEST: Duration = Duration::from_secs(300);
/// Kazoo asks for ever; nobody needs more.
const MOST_QUESTIONS: u32 = 10;

/// What has been spoken.
#[derive(Debug)]
pub(super) struct Take {
    slot: Slot,
    /// By which name it can be heard.
    media_name: Option<String>,
    too_short: bool,
}

impl Menu {
    /// Whether these keys are the menu's pin, and this caller may use it.
    pub(super) fn is_pin(&self, stage: &Stage, keys: &str) -> bool {
        let menu = self.document();
        let pin = menu.record_pin.filter(|pin| !pin.is_empty());
        let allowed = menu.allow_record_from_offnet || !stage.call.from_outside;
        allowed && pin.is_some_and(|pin| pin.reveal() == keys)
    }

    /// A beep, and the caller speaks.
    pub(super) fn record(&mut self, stage: &mut Stage) -> Turn {
        stage.prompt("vm-record_greeting");
        stage.command(beep());
        let order = self.order(stage);
        self.step = Step::Record(order.slot);
        Turn::Wait(stage.record_message(order))
    }

    pub(super) fn recorded(&mut self, stage: &mut Stage, slot: Slot, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Recorded {
                reason: EndReason::Hangup,
                ..
            } => {
                stage.effect(Effect::Discard { slot });
                stage.hang_up(InsertAt::Tail, None)
            }
            Outcome::Recorded {
                reason,
                length_ms,
                media_name,
            } => {
                let length = Duration::from_millis(length_ms);
                let too_short = reason == EndReason::TooShort || length < SHORTEST;
                let take = Take {
                    slot,
                    media_name,
                    too_short,
                };
                self.review(stage, take)
            }
            _ => {
                stage.warn("the greeting could not be recorded");
                self.menu_again(stage, "vm-not_recorded")
            }
        }
    }

    /// Save, listen, or speak anew.
    fn review(&mut self, stage: &mut Stage, take: Take) -> Turn {
        self.questions += 1;
        if self.questions > MOST_QUESTIONS {
            stage.effect(Effect::Discard { slot: take.slot });
            return self.menu_again(stage, "vm-deleted");
        }
        stage.prompt("vm-review_recording");
        self.step = Step::Review(take);
        stage.ask_key(self.document().timeout)
    }

    pub(super) fn reviewed(&mut self, stage: &mut Stage, take: Take, key: &str) -> Turn {
        let slot = take.slot;
        match key {
            "1" if take.too_short => {
                stage.effect(Effect::Discard { slot });
                stage.prompt("vm-recording_to_short");
                self.record(stage)
            }
            "1" => {
                stage.effect(Effect::Keep { slot });
                self.fresh = take.media_name;
                self.menu_again(stage, "vm-saved")
            }
            "2" => {
                if let Some(media) = take.media_name.clone() {
                    stage.play(media);
                }
                self.review(stage, take)
            }
            "3" => {
                stage.effect(Effect::Discard { slot });
                self.record(stage)
            }
            _ => self.review(stage, take),
        }
    }

    fn menu_again(&mut self, stage: &mut Stage, prompt: &str) -> Turn {
        stage.prompt(prompt);
        stage.prompt("menu-return");
        self.ask(stage)
    }

    fn order(&self, stage: &mut Stage) -> RecordingOrder {
        let menu = self.document();
        let name = menu.name.as_ref().unwrap_or(&menu.id);
        let kind = RecordingKind::Greeting {
            name: format!("{name} menu greeting"),
            used_by: UsedBy {
                id: menu.id.clone(),
                pointer: "/media/greeting".to_owned(),
            },
            owner_id: None,
            box_id: menu.id,
        };
        spoken(stage, kind, LONGEST, "menu")
    }
}
