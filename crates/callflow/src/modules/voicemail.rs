//! `voicemail`: takes a message for a box, or lets its owner listen to those that are there and change its settings. Never looks
//! into a box by itself.
//!
//! One file for each thing a caller does: `compose` (be greeted), `take` (speak and review), `login`, `menu`, `listen`, `forward`,
//! `settings` and `pin`. Each asks for keys with [`Voicemail::ask`] and names the step at which it goes on.

mod compose;
mod forward;
mod listen;
mod login;
mod menu;
mod pin;
mod settings;
mod take;

use std::time::Duration;

use callreel_proto::{Terminators, Vmbox};

use crate::digits::{Digits, Wanted};
use crate::flow::Flow;
use crate::mailbox::{MailboxAnswer, MailboxQuery};
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::{Await, Outcome};

use compose::Compose;
use forward::Forward;
use listen::Listen;
use login::Login;
use menu::Menu;
use pin::Pin;
use settings::Settings;
use take::Take;

/// Kazoo's time until the first key, once all has been said.
const FIRST: Duration = Duration::from_secs(5);
/// Kazoo's time from one key to the next, milliseconds.
const INTERDIGIT_MS: u64 = 2000;
/// How often a caller is asked who says nothing of use: Kazoo's four rounds.
const ROUNDS: u32 = 4;
/// The key that leads to the operator.
const OPERATOR_KEY: char = '0';

#[derive(Debug, Default)]
pub(crate) struct Voicemail {
    step: Step,
    vmbox: Option<Box<Vmbox>>,
    /// Failed tries to get in.
    failures: u32,
    /// The owner goes through the first settings.
    setting_up: bool,
}

/// What has been asked for; the outcome is its answer.
#[derive(Debug, Default)]
enum Step {
    /// Which box it is about.
    #[default]
    Find,
    /// The answer command.
    Answer(Next),
    Compose(Compose),
    Take(Box<Take>),
    Login(Login),
    Menu(Menu),
    Listen(Box<Listen>),
    Forward(Box<Forward>),
    Settings(Settings),
    Pin(Pin),
    /// The last words are being said; then the flow goes on.
    Last,
    /// The last words are being said; then the flow ends.
    End,
}

/// What the call is answered for.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// To let the caller in.
    Login,
    /// To take a message, or only to say the greeting.
    Greet,
    /// To say that the box is full.
    Full,
    /// To say that there is no box.
    Excuse,
}

impl Module for Voicemail {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let known = ["compose", "check"];
        if let Some(action) = stage
            .text("action")
            .filter(|a| !known.contains(&a.as_str()))
        {
            stage.warn_of("action", format!("there is no action {action:?}; skipped"));
            return Turn::next();
        }
        let query = if let Some(id) = stage.text("id") {
            Query::Vmbox { id }
        } else if let Some(number) = stage.call.captures.group.clone().filter(|n| !n.is_empty()) {
            Query::Mailbox(MailboxQuery::Numbered { number })
        } else if let Some(owner_id) = stage.call.owner_id.clone() {
            Query::Mailbox(MailboxQuery::OwnedBy { owner_id })
        } else {
            return self.begin(stage);
        };
        Turn::Wait(stage.ask(query))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        match std::mem::take(&mut self.step) {
            Step::Find => self.found(stage, outcome),
            Step::Answer(next) => self.answered(stage, next),
            Step::Compose(step) => self.compose_on(stage, step, outcome),
            Step::Take(take) => self.take_on(stage, take, outcome),
            Step::Login(step) => self.login_on(stage, step, outcome),
            Step::Menu(step) => self.menu_on(stage, step, outcome),
            Step::Listen(listen) => self.listen_on(stage, listen, outcome),
            Step::Forward(forward) => self.forward_on(stage, forward, outcome),
            Step::Settings(step) => self.settings_on(stage, step, outcome),
            Step::Pin(pin) => self.pin_on(stage, pin, outcome),
            Step::Last => Turn::next(),
            Step::End => Turn::Stop,
        }
    }
}

impl Voicemail {
    fn found(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let boxes = match outcome {
            Outcome::Reply(Answer::Vmbox(vmbox)) => {
                self.vmbox = Some(vmbox);
                Vec::new()
            }
            Outcome::Reply(Answer::Mailbox(MailboxAnswer::Boxes(boxes))) => boxes,
            _ => Vec::new(),
        };
        if self.vmbox.is_none() {
            self.vmbox = the_callers(stage, boxes).map(Box::new);
        }
        self.begin(stage)
    }

    /// The box is known, or there is none.
    fn begin(&mut self, stage: &mut Stage) -> Turn {
        if self.vmbox.is_none() && stage.text("id").is_some() {
            stage.warn_of("id", "there is no such voicemail box in the account");
        }
        match stage.text("action").as_deref() {
            Some("check") => self.answer(stage, Next::Login),
            _ => self.compose(stage),
        }
    }

    fn answer(&mut self, stage: &mut Stage, next: Next) -> Turn {
        match stage.answer() {
            Some(answered) => {
                self.step = Step::Answer(next);
                Turn::Wait(answered)
            }
            None => self.answered(stage, next),
        }
    }

    fn answered(&mut self, stage: &mut Stage, next: Next) -> Turn {
        match next {
            Next::Login => self.login(stage),
            Next::Greet => self.greet(stage),
            Next::Full => self.full(stage),
            Next::Excuse => self.last(stage, "vm-not_available_no_voicemail"),
        }
    }

    /// Asks for keys, behind what is being said; the step goes on with them. Keys that came early may answer at once: as many
    /// questions as there are such keys.
    fn ask(&mut self, stage: &mut Stage, max: usize, step: Step) -> Turn {
        let wanted = Wanted {
            max,
            first: FIRST,
            interdigit: self.interdigit(stage),
            terminators: Terminators("#".to_owned()),
        };
        self.step = step;
        match stage.collect(wanted) {
            Ok(collecting) => Turn::Wait(Await::Digits(collecting)),
            Err(digits) => self.resume(stage, Outcome::Digits(digits)),
        }
    }

    fn interdigit(&self, stage: &mut Stage) -> Duration {
        let own = self.vmbox.as_ref().and_then(|v| v.interdigit_timeout);
        let wanted = own.or_else(|| stage.whole("interdigit_timeout"));
        Duration::from_millis(wanted.unwrap_or(INTERDIGIT_MS))
    }

    /// Says this, and the flow goes on.
    fn last(&mut self, stage: &mut Stage, prompt: &str) -> Turn {
        stage.prompt(prompt);
        self.step = Step::Last;
        Turn::Wait(stage.mark())
    }

    /// Looks something up about boxes; the step goes on with the answer.
    fn look_up(&mut self, stage: &mut Stage, query: MailboxQuery, step: Step) -> Turn {
        self.step = step;
        Turn::Wait(stage.ask(Query::Mailbox(query)))
    }

    /// Whether the caller is the user that the box belongs to.
    fn is_owner(&self, stage: &Stage) -> bool {
        let owner = self.vmbox.as_ref().and_then(|v| v.owner_id.as_deref());
        owner.is_some() && owner == stage.call.owner_id.as_deref()
    }

    /// The box's document id; whoever asks is at a step that only a box leads to.
    fn box_id(&self) -> String {
        self.vmbox
            .as_ref()
            .map(|v| v.id.clone())
            .unwrap_or_default()
    }
}

/// The one of the caller's own boxes that needs no choice.
fn the_callers(stage: &mut Stage, boxes: Vec<Vmbox>) -> Option<Vmbox> {
    let single = stage.flag("single_mailbox_login") == Some(true);
    if single && boxes.len() == 1 {
        return boxes.into_iter().next();
    }
    if stage.flag("callerid_match_login") != Some(true) {
        return None;
    }
    let number = stage.call.caller_id_number.as_deref();
    let matches = |vmbox: &Vmbox| number.is_some() && vmbox.mailbox.as_deref() == number;
    boxes.into_iter().find(matches)
}

/// The one key that was pressed; none if nobody pressed any in time.
fn key_of(outcome: &Outcome) -> Option<char> {
    let Outcome::Digits(Digits { keys, terminator }) = outcome else {
        return None;
    };
    keys.chars().next().or(*terminator)
}

/// All keys that were pressed, without the one that ended them.
fn keys_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Digits(digits) => digits.keys,
        _ => String::new(),
    }
}

/// Asks for the operator's callflow.
fn ask_for_operator(stage: &mut Stage) -> Turn {
    let number = stage.settings.callflow.operator_key.clone();
    Turn::Wait(stage.ask(Query::Dialled { number }))
}

/// The operator's callflow, if the account has one: one that lists the number, not just any that takes it.
fn operator(stage: &mut Stage, outcome: Outcome) -> Option<Flow> {
    let Outcome::Reply(Answer::Dialled(found)) = outcome else {
        return None;
    };
    let captures = &found.captures;
    if found.fallback || captures.group.is_some() || !captures.named.is_empty() {
        return None;
    }
    let id = found.document["_id"].as_str().unwrap_or("operator");
    match Flow::parse_below(&format!("{id}#"), &found.document, stage.settings.strict) {
        Ok(flow) => Some(flow),
        Err(malformed) => {
            stage.warn(format!("the operator's callflow: {malformed}"));
            None
        }
    }
}
