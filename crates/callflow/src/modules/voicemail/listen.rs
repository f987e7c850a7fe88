//! Plays the messages of a folder, one after the other, and does with each what the caller wants. Never plays one unasked.

use callreel_proto::Folder;

use super::{ROUNDS, Step, Voicemail, forward::Forward, key_of};
use crate::mailbox::{MailboxAnswer, MailboxQuery, Message};
use crate::stage::{Stage, Turn};
use crate::talk::Answer;
use crate::wait::Outcome;

/// A folder that is being listened to.
#[derive(Debug)]
pub(super) struct Listen {
    step: Listening,
    /// The messages, each with the number it has in this folder.
    messages: Vec<(usize, Message)>,
    at: usize,
    /// Keys of no use to the message that was played last; of the main menu's before there is one.
    rounds: u32,
}

/// What has been asked for.
#[derive(Debug, Clone, Copy)]
enum Listening {
    /// The messages.
    Opening,
    /// A key.
    Choice,
    /// A move to that folder.
    Moving(Folder, After),
}

/// Where to go on when a message has been moved.
#[derive(Debug, Clone, Copy)]
enum After {
    /// The next message.
    Next,
    /// The main menu.
    Return,
}

impl Listen {
    /// A folder whose messages are being looked up.
    pub(super) fn opening(rounds: u32) -> Box<Self> {
        Box::new(Self {
            step: Listening::Opening,
            messages: Vec::new(),
            at: 0,
            rounds,
        })
    }

    fn message(&self) -> Option<&(usize, Message)> {
        self.messages.get(self.at)
    }
}

impl Voicemail {
    pub(super) fn listen_on(
        &mut self,
        stage: &mut Stage,
        mut listen: Box<Listen>,
        outcome: Outcome,
    ) -> Turn {
        match listen.step {
            Listening::Opening => {
                let found = match outcome {
                    Outcome::Reply(Answer::Mailbox(MailboxAnswer::Messages(found))) => found,
                    _ => Vec::new(),
                };
                self.opened(stage, listen, found)
            }
            Listening::Choice => self.handled(stage, listen, key_of(&outcome)),
            Listening::Moving(folder, after) => {
                let moved = matches!(
                    outcome,
                    Outcome::Reply(Answer::Mailbox(MailboxAnswer::Done))
                );
                if moved {
                    stage.prompt(moved_prompt(folder));
                    note(&mut listen, folder);
                } else {
                    stage.warn("a voicemail message could not be moved; it stays where it was");
                    listen.at += 1;
                }
                match after {
                    After::Next => self.play_message(stage, listen),
                    After::Return => self.main_menu(stage, 0),
                }
            }
        }
    }

    fn opened(&mut self, stage: &mut Stage, mut listen: Box<Listen>, found: Vec<Message>) -> Turn {
        if found.is_empty() {
            // The menu says how many there are.
            return self.main_menu(stage, listen.rounds + 1);
        }
        listen.messages = (1..).zip(found).collect();
        let oldest_first = self.vmbox.as_ref().is_some_and(|v| v.oldest_message_first);
        if oldest_first {
            let messages = listen.messages.drain(..).rev().map(|(_, message)| message);
            listen.messages = (1..).zip(messages).collect();
        }
        self.play_message(stage, listen)
    }

    /// Plays the message that it is at; behind the last comes the main menu.
    pub(super) fn play_message(&mut self, stage: &mut Stage, mut listen: Box<Listen>) -> Turn {
        let Some((number, message)) = listen.message() else {
            return self.main_menu(stage, 0);
        };
        stage.prompt("vm-message_number");
        stage.say(number.to_string(), "number");
        let account = &stage.call.account_id;
        stage.play(format!("/{account}/{}", message.id));
        if !self.vmbox.as_ref().is_some_and(|v| v.skip_envelope) {
            stage.prompt("vm-received");
            stage.say(message.received.to_string(), "current_date_time");
        }
        listen.rounds = 0;
        self.message_menu(stage, listen)
    }

    /// What can be done with the message that was played.
    pub(super) fn message_menu(&mut self, stage: &mut Stage, mut listen: Box<Listen>) -> Turn {
        stage.prompt("vm-message_menu");
        listen.step = Listening::Choice;
        self.ask(stage, 1, Step::Listen(listen))
    }

    fn handled(&mut self, stage: &mut Stage, mut listen: Box<Listen>, key: Option<char>) -> Turn {
        match key {
            Some('1') => self.keep_message(stage, listen),
            Some('2') => self.play_message(stage, listen),
            Some('3') => {
                let id = listen.message().map(|(_, message)| message.id.clone());
                self.forward(stage, Forward::of(id.unwrap_or_default(), listen))
            }
            Some('4') => {
                listen.at = listen.at.saturating_sub(1);
                self.play_message(stage, listen)
            }
            Some('6') => {
                listen.at = (listen.at + 1).min(listen.messages.len().saturating_sub(1));
                self.play_message(stage, listen)
            }
            Some('7') => self.move_message(stage, listen, Folder::Deleted, After::Next),
            Some('0') => self.move_message(stage, listen, Folder::Saved, After::Return),
            _ => {
                listen.rounds += 1;
                if listen.rounds >= ROUNDS {
                    return self.last(stage, "vm-goodbye");
                }
                stage.prompt("menu-invalid_entry");
                self.message_menu(stage, listen)
            }
        }
    }

    /// It is among the saved ones from now on, and the next is played.
    pub(super) fn keep_message(&mut self, stage: &mut Stage, listen: Box<Listen>) -> Turn {
        self.move_message(stage, listen, Folder::Saved, After::Next)
    }

    fn move_message(
        &mut self,
        stage: &mut Stage,
        mut listen: Box<Listen>,
        folder: Folder,
        after: After,
    ) -> Turn {
        listen.step = Listening::Moving(folder, after);
        let message = listen.message().map(|(_, message)| message);
        if message.is_none_or(|message| message.folder == folder) {
            // It is where it is to be.
            let done = Outcome::Reply(Answer::Mailbox(MailboxAnswer::Done));
            return self.listen_on(stage, listen, done);
        }
        let message_id = message.map(|message| message.id.clone());
        let query = MailboxQuery::Move {
            box_id: self.box_id(),
            message_id: message_id.unwrap_or_default(),
            folder,
        };
        self.look_up(stage, query, Step::Listen(listen))
    }
}

/// A deleted message is heard no more; another can be gone back to.
fn note(listen: &mut Listen, folder: Folder) {
    let at = listen.at;
    if folder == Folder::Deleted {
        if at < listen.messages.len() {
            drop(listen.messages.remove(at));
        }
        return;
    }
    if let Some((_, message)) = listen.messages.get_mut(at) {
        message.folder = folder;
    }
    listen.at += 1;
}

fn moved_prompt(folder: Folder) -> &'static str {
    match folder {
        Folder::Deleted => "vm-deleted",
        Folder::New | Folder::Saved => "vm-saved",
    }
}
