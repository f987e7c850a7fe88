//! The caller speaks after the beep and reviews it: a message, a greeting, a name. What is kept is delivered by others.

use std::time::Duration;

use callreel_proto::{AudioFormat, EndReason, InsertAt};

use super::{OPERATOR_KEY, ROUNDS, Step, Voicemail, ask_for_operator, key_of, operator};
use crate::order::{RecordingKind, RecordingOrder, Slot, UsedBy};
use crate::recording::spoken;
use crate::speech::beep;
use crate::stage::{Stage, Turn};
use crate::talk::Effect;
use crate::wait::Outcome;

/// Kazoo's longest greeting, seconds.
const LONGEST_GREETING_S: u64 = 300;
/// How often somebody may speak anew, or listen, before it counts as a decision: nobody needs so many.
const TAKES: u32 = 10;
/// How often somebody speaks too briefly before it is no use.
const SHORT_TAKES: u32 = 3;

/// What is spoken, and how far it is.
#[derive(Debug)]
pub(super) struct Take {
    of: Of,
    step: Taking,
    /// The recording, once there is one.
    slot: Option<Slot>,
    /// By which name it can be heard.
    media_name: Option<String>,
    /// Rounds of the menu that led to nothing.
    rounds: u32,
    /// Times it was spoken or heard.
    takes: u32,
    /// Times it was too short.
    short: u32,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// A message for the box.
    Message,
    /// Its greeting.
    Unavailable,
    /// Its greeting for the time being.
    Temporary,
    /// Its owner's name.
    Name,
}

/// What has been asked for.
#[derive(Debug, Clone, Copy)]
enum Taking {
    /// The caller to speak.
    Words,
    /// What to do with it.
    Choice,
    /// The end of what the caller has said.
    Playback,
    /// The operator's callflow.
    Operator,
}

impl Take {
    /// A message.
    pub(super) fn message() -> Box<Self> {
        Self::of(Of::Message)
    }

    /// A message or a greeting.
    pub(super) fn of(of: Of) -> Box<Self> {
        Box::new(Self {
            of,
            step: Taking::Words,
            slot: None,
            media_name: None,
            rounds: 0,
            takes: 0,
            short: 0,
        })
    }
}

impl Of {
    /// What its speaker is told first.
    fn instructions(self) -> Option<&'static str> {
        match self {
            Self::Message => None,
            Self::Unavailable => Some("vm-record_greeting"),
            Self::Temporary => Some("vm-record_temp_greeting"),
            Self::Name => Some("vm-record_name"),
        }
    }
}

impl Voicemail {
    /// A beep, and the caller speaks.
    pub(super) fn take(&mut self, stage: &mut Stage, mut take: Box<Take>) -> Turn {
        if let Some(instructions) = take.of.instructions() {
            stage.prompt(instructions);
        }
        stage.command(beep());
        let order = self.order(stage, take.of);
        take.slot = Some(order.slot);
        take.takes += 1;
        take.step = Taking::Words;
        self.step = Step::Take(take);
        Turn::Wait(stage.record_message(order))
    }

    pub(super) fn take_on(&mut self, stage: &mut Stage, take: Box<Take>, outcome: Outcome) -> Turn {
        match take.step {
            Taking::Words => self.spoken(stage, take, outcome),
            Taking::Choice => self.chosen(stage, take, key_of(&outcome)),
            Taking::Playback => {
                if let Outcome::Key(key) = outcome {
                    stage.flush();
                    stage.pressed_early(key);
                }
                self.review(stage, take)
            }
            Taking::Operator => match operator(stage, outcome) {
                Some(flow) => {
                    keep(stage, &take);
                    stage.prompt("vm-saved");
                    Turn::Branch(flow)
                }
                None => self.again(stage, take),
            },
        }
    }

    fn spoken(&mut self, stage: &mut Stage, mut take: Box<Take>, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Recorded {
                reason: EndReason::Hangup,
                ..
            } => {
                left(stage, &take);
                stage.hang_up(InsertAt::Tail, None)
            }
            Outcome::Recorded {
                reason, length_ms, ..
            } if reason == EndReason::TooShort
                || Duration::from_millis(length_ms)
                    < stage.settings.callflow.voicemail.min_message =>
            {
                self.too_short(stage, take)
            }
            Outcome::Recorded { media_name, .. } => {
                take.media_name = media_name;
                self.review(stage, take)
            }
            Outcome::NotRecorded(reason) => {
                stage.warn(format!("what was said could not be recorded: {reason}"));
                self.given_up(stage, &take)
            }
            _ => {
                stage.warn("nothing was heard of the recording's end; going on");
                keep_or_not(stage, &take);
                self.given_up(stage, &take)
            }
        }
    }

    fn too_short(&mut self, stage: &mut Stage, mut take: Box<Take>) -> Turn {
        discard(stage, &take);
        stage.prompt("vm-recording_to_short");
        take.short += 1;
        if take.short >= SHORT_TAKES {
            return self.given_up(stage, &take);
        }
        self.take(stage, take)
    }

    /// Save, listen, speak anew, or the operator.
    fn review(&mut self, stage: &mut Stage, mut take: Box<Take>) -> Turn {
        stage.prompt("vm-review_recording");
        take.step = Taking::Choice;
        self.ask(stage, 1, Step::Take(take))
    }

    fn chosen(&mut self, stage: &mut Stage, mut take: Box<Take>, key: Option<char>) -> Turn {
        match key {
            Some('1') => self.kept(stage, &take),
            _ if take.takes >= TAKES => self.undecided(stage, &take),
            Some('2') => {
                take.takes += 1;
                let Some(media_name) = take.media_name.clone() else {
                    return self.again(stage, take);
                };
                stage.play(media_name);
                take.step = Taking::Playback;
                self.step = Step::Take(take);
                Turn::Wait(stage.mark_or_key())
            }
            Some('3') => {
                discard(stage, &take);
                self.take(stage, take)
            }
            Some(OPERATOR_KEY) if take.of == Of::Message => {
                take.step = Taking::Operator;
                self.step = Step::Take(take);
                ask_for_operator(stage)
            }
            _ => self.again(stage, take),
        }
    }

    fn again(&mut self, stage: &mut Stage, mut take: Box<Take>) -> Turn {
        take.rounds += 1;
        if take.rounds >= ROUNDS {
            return self.undecided(stage, &take);
        }
        self.review(stage, take)
    }

    fn undecided(&mut self, stage: &mut Stage, take: &Take) -> Turn {
        if take.of == Of::Message {
            return self.kept(stage, take);
        }
        discard(stage, take);
        stage.prompt("vm-deleted");
        self.settings_again(stage)
    }

    fn kept(&mut self, stage: &mut Stage, take: &Take) -> Turn {
        keep(stage, take);
        stage.prompt("vm-saved");
        match take.of {
            Of::Message => self.last(stage, "vm-thank_you"),
            _ => self.settings_again(stage),
        }
    }

    fn given_up(&mut self, stage: &mut Stage, take: &Take) -> Turn {
        match take.of {
            Of::Message => {
                self.step = Step::Last;
                Turn::Wait(stage.mark())
            }
            _ => self.settings_again(stage),
        }
    }

    fn order(&self, stage: &mut Stage, of: Of) -> RecordingOrder {
        let limit = match of {
            Of::Message => self.longest(stage),
            _ => LONGEST_GREETING_S,
        };
        let limit = Duration::from_secs(limit);
        RecordingOrder {
            format: self.format(stage),
            min: stage.settings.callflow.voicemail.min_message,
            ..spoken(stage, self.kind(of), limit, "voicemail")
        }
    }

    /// Kazoo looks into the action's data first.
    fn longest(&self, stage: &mut Stage) -> u64 {
        let own = self.vmbox.as_ref().and_then(|v| v.max_message_length);
        let wanted = stage.whole("max_message_length").filter(|s| *s > 0);
        let usual = stage.settings.callflow.voicemail.max_message_length;
        wanted.or(own).unwrap_or(usual)
    }

    fn kind(&self, of: Of) -> RecordingKind {
        let vmbox = self.vmbox.as_ref();
        let (mailbox, owner_id) = vmbox
            .map(|v| (v.mailbox.clone(), v.owner_id.clone()))
            .unwrap_or_default();
        let box_id = self.box_id();
        let (what, place) = match of {
            Of::Message => {
                return RecordingKind::Voicemail {
                    box_id,
                    mailbox,
                    owner_id,
                };
            }
            Of::Unavailable => ("unavailable greeting", "/media/unavailable"),
            Of::Temporary => (
                "temporary unavailable greeting",
                "/media/temporary_unavailable",
            ),
            Of::Name => ("users name", "/media/name"),
        };
        // A name is its owner's wherever it is heard.
        let id = match of {
            Of::Name => owner_id.clone().unwrap_or_else(|| box_id.clone()),
            _ => box_id.clone(),
        };
        let number = mailbox.as_deref().unwrap_or(&box_id);
        RecordingKind::Greeting {
            name: format!("mailbox {number} {what}"),
            used_by: UsedBy {
                id,
                pointer: place.to_owned(),
            },
            owner_id,
            box_id,
        }
    }

    fn format(&self, stage: &mut Stage) -> AudioFormat {
        let own = self.vmbox.as_ref().and_then(|v| v.media_extension.clone());
        let usual = &stage.settings.callflow.voicemail.extension;
        let (whose, named) = match own {
            Some(own) => ("media_extension of the voicemail box", own),
            None => (
                "voicemail.extension of system_config/callflow",
                usual.clone(),
            ),
        };
        named.parse().unwrap_or_else(|reason| {
            stage.warn(format!("{whose}: {reason}; mp3 is used"));
            AudioFormat::Mp3
        })
    }
}

fn keep(stage: &mut Stage, take: &Take) {
    left(stage, take);
    if let Some(slot) = take.slot {
        stage.effect(Effect::Keep { slot });
    }
}

fn discard(stage: &mut Stage, take: &Take) {
    if let Some(slot) = take.slot {
        stage.effect(Effect::Discard { slot });
    }
}

/// It may have been recorded all the same.
fn keep_or_not(stage: &mut Stage, take: &Take) {
    match take.of {
        Of::Message => keep(stage, take),
        _ => discard(stage, take),
    }
}

/// Somebody has left word: nobody needs to be told of a call that was missed.
fn left(stage: &mut Stage, take: &Take) {
    if take.of == Of::Message {
        stage.missed.message_left = true;
    }
}
