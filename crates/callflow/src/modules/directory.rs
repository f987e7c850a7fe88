//! `directory`: the caller spells a name on the keypad, and is connected to whoever has it.

use std::collections::VecDeque;
use std::time::Duration;

use callreel_proto::{Application, Directory as Document, Terminators};

use crate::dialogue::INTERDIGIT;
use crate::digits::Wanted;
use crate::people::Person;
use crate::speech;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

/// Until the first key of a name, or an answer. Kazoo gives two seconds, and asks three times.
const PATIENCE: Duration = Duration::from_secs(5);
/// So often a name may be spelled anew, and nothing be pressed where there is a choice.
const MOST_QUESTIONS: u32 = 3;

#[derive(Debug, Default)]
pub(crate) struct Directory {
    step: Step,
    directory: Option<Document>,
    people: Vec<Person>,
    /// Who may be meant, in the order they are offered.
    found: VecDeque<Person>,
    /// There is nobody else who may be meant.
    only: bool,
    spelled: u32,
    unanswered: u32,
}

/// What has been asked for; the outcome is its answer.
#[derive(Debug, Default)]
enum Step {
    #[default]
    Find,
    ListUsers,
    Answer,
    Spell,
    /// Whether there is audio of the name.
    FindName,
    Choose,
    Connect,
    Leave(Box<Turn>),
}

impl Module for Directory {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(id) = stage.text("id") else {
            stage.warn_of("id", "no directory is named; skipped");
            return Turn::next();
        };
        Turn::Wait(stage.ask(Query::Document { id }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match (std::mem::take(&mut self.step), outcome) {
            (Step::Find, outcome) => self.found(stage, outcome),
            (Step::ListUsers, outcome) => self.listed(stage, outcome),
            (Step::Answer, _) => self.begin(stage),
            (Step::Spell, Outcome::Digits(digits)) => self.spelled(stage, &digits.keys),
            (Step::FindName, outcome) => self.offer(stage, &outcome),
            (Step::Choose, Outcome::Digits(digits)) => self.chosen(stage, &digits.keys),
            (Step::Connect, outcome) => self.connected(stage, outcome),
            (Step::Leave(turn), _) => *turn,
            (Step::Spell | Step::Choose, _) => Turn::next(),
        }
    }
}

impl Directory {
    fn found(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let Outcome::Reply(Answer::Document(document)) = outcome else {
            stage.warn_of("id", "there is no such directory in the account; skipped");
            return Turn::next();
        };
        self.directory = Some(Document::read(&document));
        self.step = Step::ListUsers;
        let directory = stage.text("id").unwrap_or_default();
        Turn::Wait(stage.ask(Query::UsersIn { directory }))
    }

    fn listed(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        if let (Outcome::Reply(Answer::Documents(users)), Some(directory)) =
            (outcome, &self.directory)
        {
            self.people = Person::of(directory, &users);
        }
        self.step = Step::Answer;
        stage.answer_first()
    }

    fn begin(&mut self, stage: &mut Stage) -> Turn {
        if self.people.is_empty() {
            stage.warn("nobody is in this directory");
            stage.prompt("dir-no_results_found");
            return self.leave(stage, Turn::next());
        }
        self.spell(stage)
    }

    fn spell(&mut self, stage: &mut Stage) -> Turn {
        let Some(directory) = self
            .directory
            .as_ref()
            .filter(|_| self.spelled < MOST_QUESTIONS)
        else {
            stage.prompt("dir-no_results_found");
            return self.leave(stage, Turn::Stop);
        };
        self.spelled += 1;
        stage.prompt(
            match (directory.search_first_name, directory.search_last_name) {
                (true, true) => "dir-enter_person_name",
                (true, false) => "dir-enter_person_firstname",
                (false, _) => "dir-enter_person_lastname",
            },
        );
        self.step = Step::Spell;
        stage.ask_keys(Wanted {
            max: directory.max_dtmf,
            first: PATIENCE,
            interdigit: INTERDIGIT,
            terminators: Terminators("#".to_owned()),
        })
    }

    fn spelled(&mut self, stage: &mut Stage, keys: &str) -> Turn {
        let Some(directory) = &self.directory else {
            return Turn::next();
        };
        if keys == "0" {
            return Turn::next();
        }
        if keys.len() < directory.min_dtmf {
            stage.prompt("dir-specify_minimum");
            return self.spell(stage);
        }
        let is_meant = |person: &&Person| person.is_spelled(directory, keys);
        self.found = self.people.iter().filter(is_meant).cloned().collect();
        if self.found.is_empty() {
            stage.prompt("dir-no_results_found");
            return self.spell(stage);
        }
        self.only = self.found.len() == 1;
        self.unanswered = 0;
        match self.only && !directory.confirm_match {
            true => self.connect(stage),
            false => self.announce(stage),
        }
    }

    /// Names the next who may be meant.
    fn announce(&mut self, stage: &mut Stage) -> Turn {
        let Some(person) = self.found.front() else {
            stage.prompt("dir-no_more_results");
            return self.spell(stage);
        };
        match person.spoken_name.clone() {
            Some(id) => {
                self.step = Step::FindName;
                Turn::Wait(stage.ask(Query::Document { id }))
            }
            None => self.offer(stage, &Outcome::Done),
        }
    }

    fn offer(&mut self, stage: &mut Stage, name: &Outcome) -> Turn {
        let Some(person) = self.found.front() else {
            return Turn::next();
        };
        let [before, after] = match self.only {
            true => ["dir-found", "dir-confirm_menu"],
            false => ["dir-result_number", "dir-result_menu"],
        };
        stage.prompt(before);
        match media(stage, name) {
            Some(media) => stage.play(media),
            None => speak(stage, person.name()),
        }
        stage.prompt(after);
        self.step = Step::Choose;
        stage.ask_key(PATIENCE)
    }

    fn chosen(&mut self, stage: &mut Stage, key: &str) -> Turn {
        match key {
            "1" => self.connect(stage),
            "2" if !self.only => {
                self.found.pop_front();
                self.unanswered = 0;
                self.announce(stage)
            }
            "3" => self.spell(stage),
            _ if self.only => self.spell(stage),
            other => self.ask_again(stage, other),
        }
    }

    fn ask_again(&mut self, stage: &mut Stage, key: &str) -> Turn {
        self.unanswered += 1;
        if self.unanswered >= MOST_QUESTIONS {
            stage.prompt("dir-no_more_results");
            return self.leave(stage, Turn::Stop);
        }
        if !key.is_empty() {
            stage.prompt("dir-invalid_key");
        }
        self.announce(stage)
    }

    fn connect(&mut self, stage: &mut Stage) -> Turn {
        let Some(id) = self.found.front().map(|person| person.callflow_id.clone()) else {
            return Turn::next();
        };
        self.step = Step::Connect;
        Turn::Wait(stage.ask(Query::Callflow { id }))
    }

    fn connected(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let person = self.found.pop_front();
        let id = person.map(|person| person.callflow_id).unwrap_or_default();
        let way = match outcome {
            Outcome::Reply(Answer::Flow(document)) => stage.branch_to(&id, &document),
            _ => Err(format!("there is no callflow {id:?} in the account")),
        };
        way.unwrap_or_else(|reason| {
            stage.warn(reason);
            Turn::next()
        })
    }

    fn leave(&mut self, stage: &mut Stage, turn: Turn) -> Turn {
        self.step = Step::Leave(Box::new(turn));
        stage.until_heard()
    }
}

/// The media of a name, if the document that was found has audio.
fn media(stage: &Stage, found: &Outcome) -> Option<String> {
    let Outcome::Reply(Answer::Document(document)) = found else {
        return None;
    };
    let audio = document["_attachments"].as_object();
    audio.filter(|audio| !audio.is_empty())?;
    let id = document["_id"].as_str()?;
    speech::named(id, &stage.call.account_id).ok()
}

fn speak(stage: &mut Stage, text: String) {
    let language = Some(stage.language());
    stage.command(Application::Tts {
        text,
        voice: None,
        language,
        voice_name: None,
        engine: None,
        terminators: Terminators::any(),
        leg: None,
    });
}
