//! What callers hear before they speak: the greeting, or why no message is taken. Records nothing.

use callreel_proto::{Notification, NotificationName};

use super::{Next, OPERATOR_KEY, Step, Voicemail, ask_for_operator, operator, take::Take};
use crate::mailbox::{MailboxAnswer, MailboxQuery};
use crate::stage::{Stage, Turn};
use crate::talk::Answer;
use crate::wait::Outcome;

/// The key by which a box's owner gets in from the greeting.
const LOGIN: char = '*';

/// What has been asked for.
#[derive(Debug)]
pub(super) enum Compose {
    /// How many messages there are.
    Counting,
    /// The greeting before a message, or a key.
    Greeting,
    /// The greeting without a message, or a key.
    Announcement,
    /// The operator's callflow.
    Operator,
}

impl Voicemail {
    /// A message is to be left.
    pub(super) fn compose(&mut self, stage: &mut Stage) -> Turn {
        let Some(vmbox) = &self.vmbox else {
            stage.warn("there is no voicemail box to leave a message in");
            return self.answer(stage, Next::Excuse);
        };
        // To somebody who was called by name, one's own box is where the message goes; on the way through a flow that has rung
        // others, it is not.
        let listens = vmbox
            .check_if_owner
            .unwrap_or_else(|| !stage.callees.any_rung());
        let limited = self.most_messages(stage) > 0 && !vmbox.announcement_only;
        if listens && self.is_owner(stage) {
            return self.answer(stage, Next::Login);
        }
        if !limited {
            return self.answer(stage, Next::Greet);
        }
        let box_id = self.box_id();
        let counting = Step::Compose(Compose::Counting);
        self.look_up(stage, MailboxQuery::Counts { box_id }, counting)
    }

    pub(super) fn compose_on(
        &mut self,
        stage: &mut Stage,
        step: Compose,
        outcome: Outcome,
    ) -> Turn {
        match step {
            Compose::Counting => self.counted(stage, &outcome),
            Compose::Greeting => match outcome {
                Outcome::Key(key) => self.pressed(stage, key),
                _ => self.take(stage, Take::message()),
            },
            Compose::Announcement => match outcome {
                Outcome::Key(LOGIN) => {
                    stage.flush();
                    self.login(stage)
                }
                _ => Turn::next(),
            },
            Compose::Operator => match operator(stage, outcome) {
                Some(flow) => Turn::Branch(flow),
                None => self.take(stage, Take::message()),
            },
        }
    }

    /// How many messages the box may hold; 0 is no limit.
    fn most_messages(&self, stage: &Stage) -> u64 {
        let own = self.vmbox.as_ref().and_then(|v| v.max_message_count);
        own.unwrap_or(stage.settings.callflow.voicemail.max_message_count)
    }

    fn counted(&mut self, stage: &mut Stage, outcome: &Outcome) -> Turn {
        let most = self.most_messages(stage);
        let Outcome::Reply(Answer::Mailbox(MailboxAnswer::Counts { new, saved })) = outcome else {
            // A count that cannot be had refuses nobody.
            return self.answer(stage, Next::Greet);
        };
        let count = new.saturating_add(*saved);
        if count < most {
            return self.answer(stage, Next::Greet);
        }
        stage.warn(format!(
            "the voicemail box is full: it may hold {most} messages"
        ));
        let fields = Notification {
            voicemail_box: Some(self.box_id()),
            max_message_count: Some(most),
            message_count: Some(count),
            ..stage.notification()
        };
        stage.notify(NotificationName::VoicemailFull, fields);
        self.answer(stage, Next::Full)
    }

    /// The greeting, and how to leave a message.
    pub(super) fn greet(&mut self, stage: &mut Stage) -> Turn {
        let Some(vmbox) = &self.vmbox else {
            return Turn::next();
        };
        if vmbox.announcement_only {
            self.greeting(stage);
            return self.announced(stage);
        }
        let (silent, instructs) = (vmbox.skip_greeting, !vmbox.skip_instructions);
        let introduced = vmbox.play_greeting_intro;
        self.greeting(stage);
        if instructs {
            stage.prompt("vm-record_message");
        }
        if silent && !instructs && !introduced {
            return self.take(stage, Take::message());
        }
        self.step = Step::Compose(Compose::Greeting);
        Turn::Wait(stage.mark_or_key())
    }

    /// The greeting, and that the box is full.
    pub(super) fn full(&mut self, stage: &mut Stage) -> Turn {
        self.greeting(stage);
        stage.prompt("vm-mailbox_full");
        self.announced(stage)
    }

    fn announced(&mut self, stage: &mut Stage) -> Turn {
        self.step = Step::Compose(Compose::Announcement);
        Turn::Wait(stage.mark_or_key())
    }

    fn pressed(&mut self, stage: &mut Stage, key: char) -> Turn {
        stage.flush();
        match key {
            LOGIN => self.login(stage),
            OPERATOR_KEY => {
                self.step = Step::Compose(Compose::Operator);
                ask_for_operator(stage)
            }
            _ => self.take(stage, Take::message()),
        }
    }

    /// The owner's own words, or that the person at the box's number is not available.
    fn greeting(&self, stage: &mut Stage) {
        let Some(vmbox) = &self.vmbox else { return };
        if vmbox.play_greeting_intro {
            stage.prompt("vm-greeting_intro");
        }
        if vmbox.skip_greeting {
            return;
        }
        let own = vmbox.greeting();
        match own.map(|media| crate::speech::named(media, &stage.call.account_id)) {
            Some(Ok(media)) => return stage.play(media),
            Some(Err(reason)) => stage.warn(format!("the greeting of the box: {reason}")),
            None => {}
        }
        if vmbox.use_person_not_available {
            return stage.prompt("vm-person_not_available");
        }
        stage.prompt("vm-person");
        let dialled = stage.call.number.clone();
        let number = vmbox.mailbox.clone().unwrap_or(dialled);
        // Letter by letter: 1001 is not a thousand and one.
        stage.say(number, "name_spelled");
        stage.prompt("vm-not_available");
    }
}
