//! `language`: sets the language of what the caller hears from here on.

use serde_json::json;

use crate::stage::{Module, Stage, Turn};

#[derive(Debug, Default)]
pub(crate) struct Language;

impl Module for Language {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(language) = stage.text("language") else {
            stage.warn_of("language", "no language is named; skipped");
            return Turn::next();
        };
        let variable = ("default_language".to_owned(), json!(language));
        stage.set_channel_vars([variable].into_iter().collect());
        stage.call.language = Some(language);
        Turn::next()
    }
}
