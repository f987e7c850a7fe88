//! `cidlistmatch`: goes on by whether a list of the account has the caller's number.

use crate::numbers;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Cidlistmatch {
    list: String,
}

impl Module for Cidlistmatch {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(list) = stage.text("id") else {
            stage.warn_of("id", "no list is named; it matches nobody");
            return Turn::Attempt(vec!["nomatch".to_owned()]);
        };
        self.list.clone_from(&list);
        let lists = vec![list];
        Turn::Wait(stage.ask(Query::EntriesOf { lists }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let entries = match outcome {
            Outcome::Reply(Answer::Documents(entries)) => entries,
            _ => Vec::new(),
        };
        let number = stage.call.caller_id_number.as_deref().unwrap_or_default();
        let key = match numbers::entry_of(&entries, &self.list, number) {
            Some(_) => "match",
            None => "nomatch",
        };
        Turn::Attempt(vec![key.to_owned()])
    }
}
