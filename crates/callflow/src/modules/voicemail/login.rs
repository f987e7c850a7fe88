//! Lets a caller into a box: by number and code, or because it is the owner. What is done there is not its business.

use callreel_proto::Vmbox;

use super::{Step, Voicemail, keys_of};
use crate::mailbox::MailboxQuery;
use crate::stage::{Stage, Turn};
use crate::talk::Answer;
use crate::wait::Outcome;

/// Kazoo's `max_login_attempts`.
const ATTEMPTS: u32 = 3;
/// Kazoo's `max_box_number_length`.
pub(super) const LONGEST_NUMBER: usize = 15;
/// Kazoo's `max_pin_length`; longer codes are taken whole all the same.
const PIN_LENGTH: usize = 6;

/// What has been asked for.
#[derive(Debug)]
pub(super) enum Login {
    /// The number of the box.
    Number,
    /// The box of it.
    Finding,
    /// Its code.
    Pin,
}

impl Voicemail {
    /// Somebody wants in.
    pub(super) fn login(&mut self, stage: &mut Stage) -> Turn {
        if self.failures >= ATTEMPTS {
            return self.last(stage, "vm-abort");
        }
        let Some(vmbox) = &self.vmbox else {
            stage.prompt("vm-enter_id");
            return self.ask(stage, LONGEST_NUMBER, Step::Login(Login::Number));
        };
        if self.is_owner(stage) && (!vmbox.is_setup || !vmbox.require_pin) {
            return self.enter(stage);
        }
        let Some(pin) = &vmbox.pin else {
            stage.warn("a voicemail box without a PIN is open to its owner's phones only");
            return self.last(stage, "vm-no_access");
        };
        let length = pin.reveal().chars().count().max(PIN_LENGTH);
        stage.prompt("vm-enter_pass");
        self.ask(stage, length, Step::Login(Login::Pin))
    }

    pub(super) fn login_on(&mut self, stage: &mut Stage, step: Login, outcome: Outcome) -> Turn {
        match step {
            Login::Number => match box_number(keys_of(outcome)) {
                Some(query) => self.look_up(stage, query, Step::Login(Login::Finding)),
                None => self.failed(stage, "menu-invalid_entry"),
            },
            Login::Finding => match found(outcome) {
                Some(vmbox) => {
                    self.vmbox = Some(vmbox);
                    self.login(stage)
                }
                None => self.failed(stage, "menu-invalid_entry"),
            },
            Login::Pin => {
                let pin = self.vmbox.as_ref().and_then(|v| v.pin.as_ref());
                let dialled = keys_of(outcome);
                if pin.is_some_and(|pin| !dialled.is_empty() && pin.reveal() == dialled) {
                    return self.enter(stage);
                }
                self.failed(stage, "vm-fail_auth")
            }
        }
    }

    fn failed(&mut self, stage: &mut Stage, prompt: &str) -> Turn {
        self.failures += 1;
        stage.prompt(prompt);
        self.login(stage)
    }
}

/// The question for the box of a dialled number; none if it is no number.
pub(super) fn box_number(number: String) -> Option<MailboxQuery> {
    let digits = !number.is_empty() && number.chars().all(|key| key.is_ascii_digit());
    digits.then_some(MailboxQuery::Numbered { number })
}

/// The box that was looked up.
pub(super) fn found(outcome: Outcome) -> Option<Box<Vmbox>> {
    match outcome {
        Outcome::Reply(Answer::Vmbox(vmbox)) => Some(vmbox),
        _ => None,
    }
}
