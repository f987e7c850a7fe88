//! Hands a message on to another box of the account. The message stays where it was, too.

use super::{
    Step, Voicemail, keys_of,
    listen::Listen,
    login::{box_number, found},
};
use crate::mailbox::{MailboxAnswer, MailboxQuery};
use crate::stage::{Stage, Turn};
use crate::talk::Answer;
use crate::wait::Outcome;

/// Kazoo's `max_login_attempts`: it asks so often for the other box, too.
const ATTEMPTS: u32 = 3;

/// A message on its way.
#[derive(Debug)]
pub(super) struct Forward {
    message_id: String,
    /// Where it was listened to.
    listen: Box<Listen>,
    step: Forwarding,
    failures: u32,
}

/// What has been asked for.
#[derive(Debug, Clone, Copy)]
enum Forwarding {
    /// The other box's number.
    Number,
    /// The box of it.
    Finding,
    /// The copy.
    Copying,
}

impl Forward {
    /// This message.
    pub(super) fn of(message_id: String, listen: Box<Listen>) -> Box<Self> {
        Box::new(Self {
            message_id,
            listen,
            step: Forwarding::Number,
            failures: 0,
        })
    }
}

impl Voicemail {
    /// Asks where to.
    pub(super) fn forward(&mut self, stage: &mut Stage, mut forward: Box<Forward>) -> Turn {
        stage.prompt("vm-enter_forward_id");
        forward.step = Forwarding::Number;
        let longest = stage.settings.callflow.voicemail.max_box_number_length;
        self.ask(stage, longest, Step::Forward(forward))
    }

    pub(super) fn forward_on(
        &mut self,
        stage: &mut Stage,
        mut forward: Box<Forward>,
        outcome: Outcome,
    ) -> Turn {
        match forward.step {
            Forwarding::Number => match box_number(keys_of(outcome)) {
                Some(query) => {
                    forward.step = Forwarding::Finding;
                    self.look_up(stage, query, Step::Forward(forward))
                }
                None => self.no_such_box(stage, forward),
            },
            Forwarding::Finding => match found(outcome).filter(|b| b.id != self.box_id()) {
                Some(to) => {
                    forward.step = Forwarding::Copying;
                    let query = MailboxQuery::Forward {
                        message_id: forward.message_id.clone(),
                        from: self.box_id(),
                        to: to.id,
                    };
                    self.look_up(stage, query, Step::Forward(forward))
                }
                None => self.no_such_box(stage, forward),
            },
            Forwarding::Copying => match outcome {
                Outcome::Reply(Answer::Mailbox(MailboxAnswer::Done)) => {
                    self.keep_message(stage, forward.listen)
                }
                _ => {
                    stage.warn("a voicemail message could not be forwarded");
                    stage.prompt("vm-forward_abort");
                    self.message_menu(stage, forward.listen)
                }
            },
        }
    }

    fn no_such_box(&mut self, stage: &mut Stage, mut forward: Box<Forward>) -> Turn {
        forward.failures += 1;
        if forward.failures >= ATTEMPTS {
            stage.prompt("vm-forward_abort");
            return self.message_menu(stage, forward.listen);
        }
        stage.prompt("menu-invalid_entry");
        self.forward(stage, forward)
    }
}
