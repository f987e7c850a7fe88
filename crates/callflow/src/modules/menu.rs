//! `menu`: plays a greeting, takes keys, and goes where they lead: a child, or the callflow of an extension.

use callreel_proto::{Menu as Document, MenuMedia, Terminators};

mod greeting;

use self::greeting::Take;
use crate::branching::Hunted;
use crate::dialogue::INTERDIGIT;
use crate::digits::Wanted;
use crate::order::Slot;
use crate::speech;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Dialled, Query};
use crate::wait::Outcome;

/// The branch of callers who press nothing.
const TIMEOUT: &str = "timeout";
/// The branch of callers who have used up their attempts.
const MAX_RETRIES: &str = "max_retries";

#[derive(Debug, Default)]
pub(crate) struct Menu {
    step: Step,
    menu: Option<Document>,
    /// Attempts that failed.
    failed: u64,
    /// A greeting that was recorded in this call.
    fresh: Option<String>,
    /// How often the caller was asked what to do with one.
    questions: u32,
}

/// What has been asked for; the outcome is its answer.
#[derive(Debug, Default)]
enum Step {
    #[default]
    Find,
    Answer,
    Choose,
    /// The callflow of these keys.
    Hunt(String),
    /// A new greeting.
    Record(Slot),
    /// What to do with it.
    Review(Take),
    Transfer(Box<Dialled>),
    Leave(Turn),
}

impl Module for Menu {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(id) = stage.text("id") else {
            stage.warn_of("id", "no menu is named; skipped");
            return Turn::next();
        };
        Turn::Wait(stage.ask(Query::Document { id }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match (std::mem::take(&mut self.step), outcome) {
            (Step::Find, outcome) => self.found(stage, outcome),
            (Step::Answer, _) => self.ask(stage),
            (Step::Choose, Outcome::Digits(digits)) => self.chosen(stage, digits.keys),
            (Step::Hunt(_), Outcome::Reply(Answer::Dialled(found))) if !found.fallback => {
                self.transfer(stage, found)
            }
            (Step::Hunt(keys), _) => self.not_found(stage, &keys),
            (Step::Record(slot), outcome) => self.recorded(stage, slot, outcome),
            (Step::Review(take), Outcome::Digits(digits)) => {
                self.reviewed(stage, take, &digits.keys)
            }
            (Step::Choose | Step::Review(_), _) => self.invalid(stage),
            (Step::Transfer(found), _) => self.transferred(stage, *found),
            (Step::Leave(turn), _) => turn,
        }
    }
}

impl Menu {
    fn document(&self) -> Document {
        let missing = || Document::read(&serde_json::Value::Null);
        self.menu.clone().unwrap_or_else(missing)
    }

    fn found(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Reply(Answer::Document(document)) => {
                self.menu = Some(Document::read(&document));
            }
            _ => stage.warn_of(
                "id",
                "there is no such menu in the account; Kazoo's own is used",
            ),
        }
        self.step = Step::Answer;
        stage.answer_first()
    }

    fn ask(&mut self, stage: &mut Stage) -> Turn {
        let menu = self.document();
        if self.failed >= menu.retries {
            return self.leave(stage);
        }
        let greeting = menu.greeting.map_or(MenuMedia::Usual, MenuMedia::Named);
        match self.fresh.clone() {
            Some(media) => stage.play(media),
            None => play(stage, &greeting, "menu-no_prompt"),
        }
        let own = menu.interdigit_timeout;
        let interdigit = own.or_else(|| stage.millis("interdigit_timeout"));
        self.step = Step::Choose;
        stage.ask_keys(Wanted {
            max: menu.max_extension_length,
            first: menu.timeout,
            interdigit: interdigit.unwrap_or(INTERDIGIT),
            terminators: Terminators("#".to_owned()),
        })
    }

    fn chosen(&mut self, stage: &mut Stage, keys: String) -> Turn {
        let key = match keys.as_str() {
            "" => TIMEOUT.to_owned(),
            _ => keys,
        };
        if stage.leads_to(&key) {
            return Turn::Continue(key);
        }
        if key == TIMEOUT {
            return self.again(stage);
        }
        self.hunt(stage, key)
    }

    fn hunt(&mut self, stage: &mut Stage, number: String) -> Turn {
        let menu = self.document();
        let hunted = Hunted {
            allow: menu.hunt_allow,
            deny: menu.hunt_deny,
        };
        let allowed = menu.hunt
            && hunted.allows(&number).unwrap_or_else(|reason| {
                stage.warn(reason);
                false
            });
        if !allowed {
            return self.not_found(stage, &number);
        }
        self.step = Step::Hunt(number.clone());
        Turn::Wait(stage.ask(Query::Dialled { number }))
    }

    fn transfer(&mut self, stage: &mut Stage, found: Box<Dialled>) -> Turn {
        play(
            stage,
            &self.document().transfer_media,
            "menu-transferring_call",
        );
        self.step = Step::Transfer(found);
        stage.until_heard()
    }

    fn transferred(&mut self, stage: &mut Stage, found: Dialled) -> Turn {
        stage.branch_hunted(found).unwrap_or_else(|reason| {
            stage.warn(reason);
            self.invalid(stage)
        })
    }

    /// The keys are no child's and nobody's extension.
    fn not_found(&mut self, stage: &mut Stage, keys: &str) -> Turn {
        match self.is_pin(stage, keys) {
            true => self.record(stage),
            false => self.invalid(stage),
        }
    }

    fn invalid(&mut self, stage: &mut Stage) -> Turn {
        play(stage, &self.document().invalid_media, "menu-invalid_entry");
        self.again(stage)
    }

    fn again(&mut self, stage: &mut Stage) -> Turn {
        self.failed += 1;
        self.ask(stage)
    }

    /// All attempts have failed: to `max_retries` if it is there, else to `_`.
    fn leave(&mut self, stage: &mut Stage) -> Turn {
        let menu = self.document();
        play(stage, &menu.exit_media, "menu-exit");
        let next = match (stage.leads_to(MAX_RETRIES), stage.leads_to("_")) {
            (true, _) => Turn::Continue(MAX_RETRIES.to_owned()),
            (false, true) => {
                play(stage, &menu.transfer_media, "menu-transferring_call");
                Turn::next()
            }
            (false, false) => {
                stage.prompt("vm-goodbye");
                Turn::next()
            }
        };
        self.step = Step::Leave(next);
        stage.until_heard()
    }
}

/// Queues what a menu plays on some occasion; `usual` is Kazoo's prompt for it.
fn play(stage: &mut Stage, media: &MenuMedia, usual: &str) {
    match media {
        MenuMedia::Nothing => {}
        MenuMedia::Usual => stage.prompt(usual),
        MenuMedia::Named(id) => match speech::named(id, &stage.call.account_id) {
            Ok(media) => stage.play(media),
            Err(reason) => {
                stage.warn(format!("media of the menu: {reason}"));
                stage.prompt(usual);
            }
        },
    }
}
