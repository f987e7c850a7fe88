//! `flush_dtmf`: forgets keys that were collected.

use crate::stage::{COLLECTION, Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct FlushDtmf;

impl Module for FlushDtmf {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let name = stage.text("collection_name");
        let name = name.as_deref().unwrap_or(COLLECTION);
        stage.collections.remove(name);
        if name == COLLECTION {
            stage.kept_keys.clear();
        }
        Turn::next()
    }
}
