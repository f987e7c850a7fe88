//! Asks for a new PIN, twice, and sets it. Never says one, and never logs one.

use callreel_proto::Secret;

use super::{Step, Voicemail, keys_of};
use crate::mailbox::{MailboxAnswer, MailboxQuery};
use crate::stage::{Stage, Turn};
use crate::talk::Answer;
use crate::wait::Outcome;

/// The shortest that the schema of boxes allows.
const SHORTEST: usize = 4;
/// Kazoo asks so often.
const ATTEMPTS: u32 = 3;

/// What has been asked for, and how often it failed.
#[derive(Debug)]
pub(super) enum Pin {
    /// A new one.
    New(u32),
    /// The same again.
    Again(u32, Secret),
    /// That it be set.
    Setting(u32, Secret),
}

impl Voicemail {
    /// Asks for a new PIN.
    pub(super) fn change_pin(&mut self, stage: &mut Stage) -> Turn {
        self.new_pin(stage, 0)
    }

    fn new_pin(&mut self, stage: &mut Stage, failures: u32) -> Turn {
        stage.prompt("vm-enter_new_pin");
        self.ask_for_pin(stage, Pin::New(failures))
    }

    /// So many keys need no `#`.
    fn ask_for_pin(&mut self, stage: &mut Stage, pin: Pin) -> Turn {
        let longest = stage.settings.callflow.voicemail.max_pin_length;
        self.ask(stage, longest.max(SHORTEST), Step::Pin(pin))
    }

    pub(super) fn pin_on(&mut self, stage: &mut Stage, pin: Pin, outcome: Outcome) -> Turn {
        match pin {
            Pin::New(failures) => {
                let new = Secret::new(keys_of(outcome));
                stage.prompt("vm-enter_new_pin_confirm");
                self.ask_for_pin(stage, Pin::Again(failures, new))
            }
            Pin::Again(failures, new) => {
                let again = keys_of(outcome);
                let digits = again.chars().all(|key| key.is_ascii_digit());
                if !digits || again.len() < SHORTEST || again != new.reveal() {
                    return self.pin_failed(stage, failures);
                }
                let query = MailboxQuery::SetPin {
                    box_id: self.box_id(),
                    pin: new.clone(),
                };
                self.look_up(stage, query, Step::Pin(Pin::Setting(failures, new)))
            }
            Pin::Setting(failures, new) => match outcome {
                Outcome::Reply(Answer::Mailbox(MailboxAnswer::Done)) => {
                    if let Some(vmbox) = &mut self.vmbox {
                        vmbox.pin = Some(new);
                    }
                    stage.prompt("vm-pin_set");
                    self.pin_changed(stage)
                }
                _ => {
                    stage.warn("the PIN of a voicemail box could not be changed");
                    self.pin_failed(stage, failures)
                }
            },
        }
    }

    fn pin_failed(&mut self, stage: &mut Stage, failures: u32) -> Turn {
        let failures = failures + 1;
        if failures >= ATTEMPTS {
            return self.pin_not_changed(stage);
        }
        stage.prompt("vm-pin_invalid");
        self.new_pin(stage, failures)
    }
}
