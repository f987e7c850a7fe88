//! `lookupcidname`: calls the caller what a list of the account calls the number.

use serde_json::Value;

use crate::caller::Identity;
use crate::numbers;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;

#[derive(Debug, Default)]
pub(crate) struct Lookupcidname {
    lists: Vec<String>,
}

impl Module for Lookupcidname {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let lists = stage.data(|data| data.list("lists").to_vec());
        let ids = lists.iter().filter_map(Value::as_str);
        self.lists = ids.map(str::to_owned).collect();
        if self.lists.is_empty() {
            return Turn::next();
        }
        let lists = self.lists.clone();
        Turn::Wait(stage.ask(Query::EntriesOf { lists }))
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        if let Outcome::Reply(Answer::Documents(entries)) = outcome {
            let number = stage.call.caller_id_number.clone().unwrap_or_default();
            let found = |list: &String| numbers::entry_of(&entries, list, &number);
            let name = self
                .lists
                .iter()
                .find_map(found)
                .and_then(numbers::display_name);
            stage.know_caller(Identity {
                name: name.map(str::to_owned),
                number: None,
            });
        }
        Turn::next()
    }
}
