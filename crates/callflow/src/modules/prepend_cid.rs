//! `prepend_cid`: puts words before the caller's name and number.

use crate::caller::Identity;
use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct PrependCid;

impl Module for PrependCid {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        match stage.text("action").as_deref() {
            None | Some("prepend") => {
                let before = Identity {
                    name: stage.text("caller_id_name_prefix"),
                    number: stage.text("caller_id_number_prefix"),
                };
                let keep = keeps(stage);
                stage.prefix_caller(before, keep);
            }
            Some("reset") => stage.prefix_caller(Identity::default(), false),
            Some(other) => {
                let message =
                    format!("{other:?} is no action; use \"prepend\" or \"reset\"; skipped");
                stage.warn_of("action", message);
            }
        }
        Turn::next()
    }
}

/// Whether what was put there before stays.
fn keeps(stage: &mut Stage) -> bool {
    match stage.text("apply_to").as_deref() {
        None | Some("current") => true,
        Some("original") => false,
        Some(other) => {
            let message = format!(
                "{other:?} is nothing to apply it to; use \"current\" or \"original\"; \"current\" is used"
            );
            stage.warn_of("apply_to", message);
            true
        }
    }
}
