//! The steps of a metaflow: which modules there are (Kazoo's konami), and what each wants done. Does nothing itself.

use callreel_proto::{
    AccountId, Application, Hearers, SoftHold, Terminators, Transfer, TransferKind, TransferLeg,
};
use serde_json::{Map, Value};

use super::Party;
use crate::data::Data;
use crate::problem::{Problem, Severity};
use crate::speech;

/// More steps than any code has.
const LONGEST_CHAIN: usize = 16;
/// Kazoo's key that takes a held party back.
const UNHOLD_KEY: &str = "1";
/// Kazoo's keys that bring a transferor back.
const TAKEBACK_KEYS: &str = "*1";
/// What a metaflow can do.
const MODULES: &[&str] = &[
    "break",
    "callflow",
    "hangup",
    "hold",
    "play",
    "record_call",
    "resume",
    "say",
    "transfer",
    "tts",
];

/// One step of a metaflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which module.
    pub module: String,
    /// What it is told.
    pub data: Map<String, Value>,
}

/// What a step wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Something with the call's recordings: see [`crate::wish::read`].
    Record(Map<String, Value>),
    /// That the switch does this at once, with the leg of that party.
    Command(Party, Box<Application>),
    /// That the callflow of this document is run for the caller when the parties have parted.
    Callflow(String),
    /// The same with the callflow of this number.
    Number(String),
}

/// The steps of a metaflow, one after the other: none waits for what becomes of another, so that `_` always follows. One that
/// cannot be used ends them.
pub fn chain(flow: &Value, place: &str) -> (Vec<Step>, Vec<Problem>) {
    let mut steps = Vec::new();
    let mut problems = Vec::new();
    let mut warn = |place: &str, message: String| {
        problems.push(Problem::new(Severity::Warning, place.to_owned(), message));
    };
    let (mut next, mut place) = (Some(flow), place.to_owned());
    while let Some(flow) = next {
        if steps.len() >= LONGEST_CHAIN {
            warn(
                &place,
                format!("a code has at most {LONGEST_CHAIN} steps; what follows is left out"),
            );
            break;
        }
        match flow.get("module").and_then(Value::as_str) {
            Some(module) if MODULES.contains(&module) => {
                let data = flow.get("data").and_then(Value::as_object);
                steps.push(Step {
                    module: module.to_owned(),
                    data: data.cloned().unwrap_or_default(),
                });
            }
            Some(other) => {
                warn(
                    &place,
                    format!("the module {other:?} is not built; the code does nothing"),
                );
                break;
            }
            None => {
                warn(
                    &place,
                    "it names no module; the code does nothing".to_owned(),
                );
                break;
            }
        }
        if flow.get("data").is_some_and(|data| !data.is_object()) {
            let kind = crate::flow::kind(&flow["data"]);
            warn(
                &format!("{place}/data"),
                format!("wanted an object, found {kind}; ignored"),
            );
        }
        next = flow.pointer("/children/_").filter(|child| !is_empty(child));
        place += "/children/_";
    }
    (steps, problems)
}

fn is_empty(flow: &Value) -> bool {
    flow.as_object().is_some_and(Map::is_empty)
}

impl Step {
    /// What is to be done, and what in the data was ignored.
    ///
    /// # Errors
    /// Why nothing is done, for people.
    pub fn act(&self, by: Party, account: &AccountId) -> (Result<Act, String>, Vec<Problem>) {
        let mut data = Data::new(&self.data, "");
        let wanted = self.wanted(&mut data, by, account);
        let problem = |(place, message)| Problem::new(Severity::Warning, place, message);
        let problems = data.warnings.into_iter().map(problem).collect();
        (wanted, problems)
    }

    fn wanted(&self, data: &mut Data<'_>, by: Party, account: &AccountId) -> Result<Act, String> {
        let with = |party, application| Ok(Act::Command(party, Box::new(application)));
        match self.module.as_str() {
            "record_call" => Ok(Act::Record(self.data.clone())),
            "break" => with(by, Application::Break),
            "hangup" => {
                let (hangup_cause, other_leg_only) = (None, None);
                with(
                    by,
                    Application::Hangup {
                        hangup_cause,
                        other_leg_only,
                    },
                )
            }
            "hold" => with(by, Application::SoftHold(hold(data, account))),
            "resume" => with(by, Application::Break),
            "transfer" => transfer(data, by, account),
            "play" => {
                let media_name = speech::media(data, "id", account);
                let media_name = media_name.ok_or("there is nothing to play")?;
                let leg = hearers(data, by, "both");
                with(
                    Party::Caller,
                    Application::Play {
                        media_name,
                        terminators: Terminators::any(),
                        endless: None,
                        loop_count: None,
                        leg,
                    },
                )
            }
            "tts" => {
                let mut words = speech::spoken(data, None).ok_or("there is nothing to say")?;
                if let Application::Tts { leg, .. } = &mut words {
                    *leg = hearers(data, by, "self");
                }
                with(Party::Caller, words)
            }
            "say" => with(Party::Caller, say(data, by)?),
            "callflow" => match (data.text("id"), captured(data)) {
                (Some(id), _) => Ok(Act::Callflow(id)),
                (None, Some(number)) => Ok(Act::Number(number)),
                (None, None) => Err("no callflow is named".to_owned()),
            },
            other => Err(format!("the module {other:?} is not built")),
        }
    }
}

/// The other party waits, with music, until the key brings it back.
fn hold(data: &mut Data<'_>, account: &AccountId) -> SoftHold {
    let a_moh = speech::media(data, "moh_aleg", account);
    SoftHold {
        unhold_key: data
            .text("unhold_key")
            .unwrap_or_else(|| UNHOLD_KEY.to_owned()),
        b_moh: speech::media(data, "moh_bleg", account).or_else(|| a_moh.clone()),
        a_moh,
    }
}

/// The other party goes, unless it is to be who dialled the code; attended, when whoever dialled it has talked to the target.
fn transfer(data: &mut Data<'_>, by: Party, account: &AccountId) -> Result<Act, String> {
    let target = data.text("target");
    let to = target
        .or_else(|| captured(data))
        .ok_or("nobody is named to transfer to")?;
    let mut order = Transfer {
        to,
        ..Transfer::default()
    };
    let mut party = Party::Caller;
    if data.text("transfer_type").as_deref() == Some("attended") {
        party = by;
        order.kind = TransferKind::Attended;
        order.hold_media = speech::media(data, "moh", account);
        let keys = data.text("takeback_dtmf");
        order.takeback_keys = Some(keys.unwrap_or_else(|| TAKEBACK_KEYS.to_owned()));
    } else {
        let goes = match data.text("leg").as_deref() {
            Some("self") => by,
            _ => by.other(),
        };
        order.leg = (goes == Party::Callee).then_some(TransferLeg::Bleg);
    }
    Ok(Act::Command(
        party,
        Box::new(Application::Transfer(Box::new(order))),
    ))
}

fn say(data: &mut Data<'_>, by: Party) -> Result<Application, String> {
    let word = |word: Option<String>, usual: &str| word.unwrap_or_else(|| usual.to_owned());
    Ok(Application::Say {
        text: data.text("text").ok_or("there is nothing to say")?,
        kind: word(data.text("type"), "name_spelled"),
        method: word(data.text("method"), "pronounced"),
        language: data.text("language"),
        leg: hearers(data, by, "self"),
    })
}

/// Who hears it, as the A leg's commands name them; `self` is who dialled the code.
fn hearers(data: &mut Data<'_>, by: Party, usual: &str) -> Option<Hearers> {
    let of = |party| match party {
        Party::Caller => Hearers::Own,
        Party::Callee => Hearers::Other,
    };
    let leg = data.text("leg").unwrap_or_else(|| usual.to_owned());
    Some(match leg.as_str() {
        "self" => of(by),
        "peer" => of(by.other()),
        "both" => Hearers::Both,
        other => {
            let message =
                format!("{other:?} is no leg; use \"self\", \"peer\" or \"both\"; both is used");
            data.warn_of("leg", message);
            Hearers::Both
        }
    })
}

/// What a pattern took out of the keys.
fn captured(data: &mut Data<'_>) -> Option<String> {
    let first = data.value("captures")?.get(0)?.as_str()?;
    Some(first.to_owned()).filter(|first| !first.is_empty() && first != "no_match")
}
