//! `flush_dtmf`: forgets keys that were collected.

use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct FlushDtmf;

impl Module for FlushDtmf {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let name = stage.text("collection_name");
        let name = name.as_deref().unwrap_or("default");
        stage.collections.remove(name);
        Turn::next()
    }
}
