//! The settings of a box by phone: greetings, name, PIN; and the way through them when it is new. Takes no message.

use serde_json::{Value, json};

use super::{
    ROUNDS, Step, Voicemail, key_of,
    take::{Of, Take},
};
use crate::stage::{Stage, Turn};
use crate::talk::Query;
use crate::wait::Outcome;

/// What has been asked for.
#[derive(Debug)]
pub(super) enum Settings {
    /// A key; so many rounds led to nothing.
    Choice(u32),
    /// That there be no temporary greeting.
    Removing,
    /// That the box is set up.
    Completing,
}

impl Voicemail {
    /// The menu of settings, after so many rounds that led to nothing.
    pub(super) fn settings(&mut self, stage: &mut Stage, rounds: u32) -> Turn {
        if rounds >= ROUNDS {
            return self.main_menu(stage, 1);
        }
        stage.prompt("vm-settings_menu");
        self.ask(stage, 1, Step::Settings(Settings::Choice(rounds)))
    }

    /// One setting has been made, or not: on to the others.
    pub(super) fn settings_again(&mut self, stage: &mut Stage) -> Turn {
        match self.setting_up {
            true => self.complete(stage),
            false => self.settings(stage, 0),
        }
    }

    pub(super) fn settings_on(
        &mut self,
        stage: &mut Stage,
        step: Settings,
        outcome: Outcome,
    ) -> Turn {
        match step {
            Settings::Choice(rounds) => self.set(stage, key_of(&outcome), rounds),
            Settings::Removing => {
                stage.prompt("vm-saved");
                self.settings(stage, 0)
            }
            Settings::Completing => {
                if let Some(vmbox) = &mut self.vmbox {
                    vmbox.is_setup = true;
                }
                stage.prompt("vm-setup_complete");
                self.main_menu(stage, 0)
            }
        }
    }

    fn set(&mut self, stage: &mut Stage, key: Option<char>, rounds: u32) -> Turn {
        match key {
            Some('1') => self.take(stage, Take::of(Of::Unavailable)),
            Some('2') => self.take(stage, Take::of(Of::Name)),
            Some('3') => self.change_pin(stage),
            Some('4') => self.take(stage, Take::of(Of::Temporary)),
            Some('5') => {
                let set = ("/media/temporary_unavailable", Value::Null);
                self.change(stage, set, Settings::Removing)
            }
            Some('0') => self.main_menu(stage, 0),
            _ => self.settings(stage, rounds + 1),
        }
    }

    /// A new box: a PIN, then a greeting.
    pub(super) fn set_up(&mut self, stage: &mut Stage) -> Turn {
        self.setting_up = true;
        stage.prompt("vm-setup_intro");
        self.change_pin(stage)
    }

    /// The PIN is set.
    pub(super) fn pin_changed(&mut self, stage: &mut Stage) -> Turn {
        if !self.setting_up {
            return self.settings(stage, 0);
        }
        stage.prompt("vm-setup_rec_greeting");
        self.take(stage, Take::of(Of::Unavailable))
    }

    /// It was tried too often.
    pub(super) fn pin_not_changed(&mut self, stage: &mut Stage) -> Turn {
        if !self.setting_up {
            return self.settings(stage, 0);
        }
        stage.prompt("vm-goodbye");
        self.step = Step::End;
        Turn::Wait(stage.mark())
    }

    fn complete(&mut self, stage: &mut Stage) -> Turn {
        self.setting_up = false;
        let set = ("/is_setup", json!(true));
        self.change(stage, set, Settings::Completing)
    }

    fn change(&mut self, stage: &mut Stage, set: (&str, Value), step: Settings) -> Turn {
        self.step = Step::Settings(step);
        let (pointer, value) = set;
        Turn::Wait(stage.ask(Query::Change {
            id: self.box_id(),
            set: vec![(pointer.to_owned(), value)],
        }))
    }
}
