//! `set_alert_info`: has the phones that are rung from here on ring in another way.

use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct SetAlertInfo;

impl Module for SetAlertInfo {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        match stage.text("alert_info") {
            None => stage.warn_of("alert_info", "there is nothing to send; skipped"),
            Some(text) if text.contains(char::is_control) => {
                stage.warn_of("alert_info", "no header may have such characters; skipped");
            }
            Some(text) => stage.set_alert_info(text),
        }
        Turn::next()
    }
}
