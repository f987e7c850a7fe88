//! `voicemail`: greets the caller and takes a message for a box. Never plays messages back: that is a later issue.

use std::time::Duration;

use callreel_proto::{AudioFormat, Channels, EndReason, InsertAt, Terminators, Vmbox};

use crate::order::{OrderDestination, RecordedLeg, RecordingKind, RecordingOrder};
use crate::recording::{MESSAGE_SILENCE, by_step};
use crate::speech::beep;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

/// Kazoo's longest message, seconds.
const LONGEST_MESSAGE_S: u64 = 500;

#[derive(Debug, Default)]
pub(crate) struct Voicemail {
    step: Step,
    vmbox: Option<Vmbox>,
}

/// What has been asked for; the outcome is its answer.
#[derive(Debug, Default)]
enum Step {
    #[default]
    FindBox,
    CountMessages,
    Answer(Purpose),
    Greet,
    Record,
    SayGoodbye,
}

/// Why the call is answered.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    /// To take a message.
    Message,
    /// To say why none is taken, by this prompt.
    Excuse(&'static str),
}

impl Module for Voicemail {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        if let Some(action) = stage.text("action").filter(|action| action != "compose") {
            let message = format!("the action {action:?} is not built yet; skipped");
            stage.warn_of("action", message);
            return Turn::next();
        }
        let Some(id) = stage.text("id") else {
            stage.warn_of("id", "no voicemail box is named; skipped");
            return Turn::next();
        };
        Turn::Wait(stage.ask(Query::Vmbox { id }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match std::mem::take(&mut self.step) {
            Step::FindBox => self.found(stage, outcome),
            Step::CountMessages => self.counted(stage, &outcome),
            Step::Answer(purpose) => self.answered(stage, purpose),
            Step::Greet => {
                if let Outcome::Key(_) = outcome {
                    stage.flush();
                }
                self.record(stage)
            }
            Step::Record => self.recorded(stage, outcome),
            Step::SayGoodbye => Turn::next(),
        }
    }
}

impl Voicemail {
    fn found(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let Outcome::Reply(Answer::Vmbox(vmbox)) = outcome else {
            stage.warn_of("id", "there is no such voicemail box in the account");
            return self.answer(stage, Purpose::Excuse("vm-not_available_no_voicemail"));
        };
        let limited = vmbox.max_message_count > 0;
        let box_id = vmbox.id.clone();
        self.vmbox = Some(vmbox);
        if !limited {
            return self.answer(stage, Purpose::Message);
        }
        self.step = Step::CountMessages;
        Turn::Wait(stage.ask(Query::MessageCount { box_id }))
    }

    fn counted(&mut self, stage: &mut Stage, outcome: &Outcome) -> Turn {
        let most = self
            .vmbox
            .as_ref()
            .map_or(0, |vmbox| vmbox.max_message_count);
        // A count that cannot be had refuses nobody.
        let full = matches!(outcome, Outcome::Reply(Answer::Count(n)) if *n >= most);
        if full {
            stage.warn(format!(
                "the voicemail box is full: it may hold {most} messages"
            ));
            return self.answer(stage, Purpose::Excuse("vm-mailbox_full"));
        }
        self.answer(stage, Purpose::Message)
    }

    fn answer(&mut self, stage: &mut Stage, purpose: Purpose) -> Turn {
        match stage.answer() {
            Some(answered) => {
                self.step = Step::Answer(purpose);
                Turn::Wait(answered)
            }
            None => self.answered(stage, purpose),
        }
    }

    fn answered(&mut self, stage: &mut Stage, purpose: Purpose) -> Turn {
        match purpose {
            Purpose::Message => self.greet(stage),
            Purpose::Excuse(name) => {
                self.step = Step::SayGoodbye;
                stage.prompt(name);
                Turn::Wait(stage.mark())
            }
        }
    }

    fn greet(&mut self, stage: &mut Stage) -> Turn {
        let Some(vmbox) = &self.vmbox else {
            return Turn::next();
        };
        if vmbox.skip_greeting && vmbox.skip_instructions {
            return self.record(stage);
        }
        if !vmbox.skip_greeting {
            greeting(stage, vmbox);
        }
        if !vmbox.skip_instructions {
            stage.prompt("vm-record_message");
        }
        self.step = Step::Greet;
        Turn::Wait(stage.mark_or_key())
    }

    fn record(&mut self, stage: &mut Stage) -> Turn {
        let Some(vmbox) = &self.vmbox else {
            return Turn::next();
        };
        stage.command(beep());
        let order = order(stage, vmbox);
        self.step = Step::Record;
        Turn::Wait(stage.record_message(order))
    }

    fn recorded(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Recorded {
                reason: EndReason::Hangup,
                length_ms,
            } => {
                let long = Duration::from_millis(length_ms) >= stage.settings.min_message;
                stage.missed.message_left |= long;
                stage.hang_up(InsertAt::Tail, None)
            }
            Outcome::Recorded {
                reason: EndReason::TooShort,
                ..
            } => Turn::next(),
            Outcome::Recorded { length_ms, .. }
                if Duration::from_millis(length_ms) < stage.settings.min_message =>
            {
                Turn::next()
            }
            Outcome::Recorded { .. } => {
                stage.missed.message_left = true;
                for name in ["vm-saved", "vm-thank_you"] {
                    stage.prompt(name);
                }
                self.step = Step::SayGoodbye;
                Turn::Wait(stage.mark())
            }
            Outcome::NotRecorded(reason) => {
                stage.warn(format!("the message could not be recorded: {reason}"));
                Turn::next()
            }
            _ => {
                stage.warn("nothing was heard of the recording's end; going on");
                Turn::next()
            }
        }
    }
}

/// The owner's own words, or "the person at …, is not available".
fn greeting(stage: &mut Stage, vmbox: &Vmbox) {
    if let Some(media) = &vmbox.greeting {
        let account = stage.call.account_id.to_string();
        stage.play(format!("/{account}/{media}"));
        return;
    }
    stage.prompt("vm-person");
    if let Some(number) = &vmbox.mailbox {
        stage.say(number.clone(), "name_spelled");
    }
    stage.prompt("vm-not_available");
}

fn order(stage: &mut Stage, vmbox: &Vmbox) -> RecordingOrder {
    let format = match vmbox.media_extension.as_deref().map(str::parse) {
        None => AudioFormat::Mp3,
        Some(Ok(format)) => format,
        Some(Err(reason)) => {
            stage.warn(format!(
                "media_extension of the voicemail box: {reason}; mp3 is used"
            ));
            AudioFormat::Mp3
        }
    };
    let most = stage.settings.media.max_recording_time_limit;
    let longest = stage.whole("max_message_length").filter(|s| *s > 0);
    RecordingOrder {
        slot: stage.slot(),
        name: None,
        by: by_step(stage),
        separate: false,
        leg: RecordedLeg::A,
        announcements: Vec::new(),
        kind: RecordingKind::Voicemail {
            box_id: vmbox.id.clone(),
            mailbox: vmbox.mailbox.clone(),
            owner_id: vmbox.owner_id.clone(),
        },
        format,
        destination: OrderDestination::AccountDb,
        time_limit: Duration::from_secs(longest.unwrap_or(LONGEST_MESSAGE_S).min(most)),
        min: stage.settings.min_message,
        channels: Channels::Caller,
        sample_rate: None,
        terminators: Terminators::any(),
        silence: Some(MESSAGE_SILENCE),
        media_name: None,
        follow_transfer: true,
        origin: "voicemail".to_owned(),
        pointer: stage.pointer(),
    }
}
