//! Lets a caller into a box: by number and code, or because it is the owner. What is done there is not its business.

use callreel_proto::Vmbox;

use super::{Step, Voicemail, keys_of};
use crate::mailbox::MailboxQuery;
use crate::stage::{Stage, Turn};
use crate::talk::Answer;
use crate::wait::Outcome;

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
        let system = stage.settings.callflow.voicemail.clone();
        if self.failures >= system.max_login_attempts {
            return self.last(stage, "vm-abort");
        }
        let Some(vmbox) = &self.vmbox else {
            stage.prompt("vm-enter_id");
            let longest = system.max_box_number_length;
            return self.ask(stage, longest, Step::Login(Login::Number));
        };
        let needs_pin = vmbox.require_pin || system.force_require_pin;
        if self.is_owner(stage) && !(vmbox.is_setup && needs_pin) {
            return self.enter(stage);
        }
        let Some(pin) = &vmbox.pin else {
            stage.warn("a voicemail box without a PIN is open to its owner's phones only");
            return self.last(stage, "vm-no_access");
        };
        // A longer code is taken whole all the same.
        let length = pin.reveal().chars().count().max(system.max_pin_length);
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
