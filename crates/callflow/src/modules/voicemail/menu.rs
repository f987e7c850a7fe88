//! The main menu of a box: how many messages there are, and where to go. Plays none.

use callreel_proto::Folder;

use super::{ROUNDS, Step, Voicemail, key_of, listen::Listen};
use crate::mailbox::{MailboxAnswer, MailboxQuery};
use crate::stage::{Stage, Turn};
use crate::talk::Answer;
use crate::wait::Outcome;

/// What has been asked for, and how many rounds led to nothing.
#[derive(Debug)]
pub(super) enum Menu {
    /// How many messages there are.
    Counting(u32),
    /// A key.
    Choice(u32),
}

impl Voicemail {
    /// The caller is in: first the first settings, if nobody has made them.
    pub(super) fn enter(&mut self, stage: &mut Stage) -> Turn {
        if self.vmbox.as_ref().is_some_and(|vmbox| !vmbox.is_setup) {
            return self.set_up(stage);
        }
        self.main_menu(stage, 0)
    }

    /// The main menu, after so many rounds that led to nothing.
    pub(super) fn main_menu(&mut self, stage: &mut Stage, rounds: u32) -> Turn {
        if rounds >= ROUNDS {
            return self.last(stage, "vm-goodbye");
        }
        let box_id = self.box_id();
        let counting = Step::Menu(Menu::Counting(rounds));
        self.look_up(stage, MailboxQuery::Counts { box_id }, counting)
    }

    pub(super) fn menu_on(&mut self, stage: &mut Stage, step: Menu, outcome: Outcome) -> Turn {
        match step {
            Menu::Counting(rounds) => {
                let counts = match outcome {
                    Outcome::Reply(Answer::Mailbox(MailboxAnswer::Counts { new, saved })) => {
                        (new, saved)
                    }
                    _ => (0, 0),
                };
                self.offer(stage, counts, rounds)
            }
            Menu::Choice(rounds) => self.went(stage, key_of(&outcome), rounds),
        }
    }

    fn offer(&mut self, stage: &mut Stage, counts: (u64, u64), rounds: u32) -> Turn {
        say_counts(stage, counts);
        stage.prompt(match self.is_configurable() {
            true => "vm-main_menu",
            false => "vm-main_menu_not_configurable",
        });
        self.ask(stage, 1, Step::Menu(Menu::Choice(rounds)))
    }

    fn is_configurable(&self) -> bool {
        self.vmbox.as_ref().is_some_and(|v| !v.not_configurable)
    }

    fn went(&mut self, stage: &mut Stage, key: Option<char>, rounds: u32) -> Turn {
        match key {
            Some('1') => self.open(stage, Folder::New, rounds),
            Some('2') => self.open(stage, Folder::Saved, rounds),
            Some('5') if self.is_configurable() => self.settings(stage, 0),
            Some('#') => Turn::next(),
            _ => self.main_menu(stage, rounds + 1),
        }
    }

    fn open(&mut self, stage: &mut Stage, folder: Folder, rounds: u32) -> Turn {
        let query = MailboxQuery::Messages {
            box_id: self.box_id(),
            folder,
            timezone: self.vmbox.as_ref().and_then(|v| v.timezone.clone()),
        };
        let listen = Listen::opening(rounds);
        self.look_up(stage, query, Step::Listen(listen))
    }
}

/// Kazoo's sentences of how many messages there are.
fn say_counts(stage: &mut Stage, counts: (u64, u64)) {
    let (new, saved) = counts;
    if (new, saved) == (0, 0) {
        return stage.prompt("vm-no_messages");
    }
    stage.prompt("vm-you_have");
    if new > 0 {
        stage.say(new.to_string(), "messages");
        stage.prompt(match (new, saved) {
            (_, 1..) => "vm-new_and",
            (1, _) => "vm-new_message",
            _ => "vm-new_messages",
        });
    }
    if saved > 0 {
        stage.say(saved.to_string(), "messages");
        stage.prompt(match saved {
            1 => "vm-saved_message",
            _ => "vm-saved_messages",
        });
    }
}
