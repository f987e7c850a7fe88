//! `set_cid`: shows another name and number in the place of the caller's.

use crate::caller::Identity;
use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct SetCid;

impl Module for SetCid {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let instead = Identity {
            name: stage.text("caller_id_name"),
            number: stage.text("caller_id_number"),
        };
        stage.replace_caller(instead);
        Turn::next()
    }
}
