//! What can be played to a caller: a media name or a text, as an action's data gives it. Never waits for its end.

use callreel_proto::{AccountId, Application, Terminators, Tone};

use crate::data::Data;
use crate::stage::Stage;

/// About five minutes of speech. Kazoo's schema takes a fifth of it.
const LONGEST_TEXT: usize = 5000;
/// Kazoo's default voice.
const VOICE: &str = "female";
/// Kazoo's default way to say something.
const METHOD: &str = "pronounced";

/// What `say` can say, by Kazoo's names.
const KINDS: [&str; 19] = [
    "account_number",
    "currency",
    "current_date",
    "current_date_time",
    "current_time",
    "e-mail_address",
    "ip_address",
    "items",
    "messages",
    "name_phonetic",
    "name_spelled",
    "number",
    "persons",
    "postal_address",
    "short_date_time",
    "telephone_extension",
    "telephone_number",
    "time_measurement",
    "url",
];
/// How it can say it.
const METHODS: [&str; 4] = ["none", "pronounced", "iterated", "counted"];

/// The text of an action as a command, in the call's language unless it names one; none, with a warning, if it has none.
pub(crate) fn spoken(data: &mut Data<'_>, language: Option<&str>) -> Option<Application> {
    let Some(text) = data.text("text") else {
        data.warn_of("text", "there is nothing to say; skipped");
        return None;
    };
    let text = cut(data, "text", text);
    if data.flag("endless_playback") == Some(true) {
        data.warn_of("endless_playback", "a text is spoken once");
    }
    let (voice, voice_name) = voice(data);
    Some(Application::Tts {
        text,
        voice: Some(voice),
        language: data
            .text("language")
            .or_else(|| language.map(str::to_owned)),
        voice_name,
        engine: data.text("engine"),
        terminators: data.terminators(),
        leg: None,
    })
}

/// What tells the parties that they are recorded: a text to say if it has a space in it, else the media of that name. No key
/// ends it.
pub(crate) fn announcement(
    data: &mut Data<'_>,
    key: &str,
    account: &AccountId,
) -> Option<Application> {
    let words = data.text(key)?;
    if words.contains(char::is_whitespace) {
        return Some(Application::Tts {
            text: cut(data, key, words),
            voice: Some(VOICE.to_owned()),
            language: None,
            voice_name: None,
            engine: None,
            terminators: Terminators::none(),
            leg: None,
        });
    }
    Some(Application::Play {
        media_name: media(data, key, account)?,
        terminators: Terminators::none(),
        endless: None,
        loop_count: None,
        leg: None,
    })
}

fn cut(data: &mut Data<'_>, key: &str, mut text: String) -> String {
    if let Some((cut, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(cut);
        data.warn_of(key, format!("cut after {LONGEST_TEXT} characters"));
    }
    text
}

/// Kazoo's two voices; any other name is one of an HTTP engine's own.
fn voice(data: &mut Data<'_>) -> (String, Option<String>) {
    match data.text("voice") {
        None => (VOICE.to_owned(), None),
        Some(voice) if matches!(voice.as_str(), "male" | "female") => (voice, None),
        Some(other) => (VOICE.to_owned(), Some(other)),
    }
}

/// Something that is no text, as a command; none, with a warning, if there is nothing to say or no such kind of thing.
pub(crate) fn said(data: &mut Data<'_>, language: &str) -> Option<Application> {
    let Some(text) = data.text("text") else {
        data.warn_of("text", "there is nothing to say; skipped");
        return None;
    };
    let kind = data
        .text("type")
        .unwrap_or_else(|| "name_spelled".to_owned());
    if !KINDS.contains(&kind.as_str()) {
        let message = format!(
            "{kind:?} is nothing that can be said; there are {}; skipped",
            KINDS.join(", ")
        );
        data.warn_of("type", message);
        return None;
    }
    let mut method = data.text("method").unwrap_or_else(|| METHOD.to_owned());
    if !METHODS.contains(&method.as_str()) {
        let message = format!(
            "{method:?} is no way to say it; {METHOD} is used; there are {}",
            METHODS.join(", ")
        );
        data.warn_of("method", message);
        METHOD.clone_into(&mut method);
    }
    Some(Application::Say {
        text: cut(data, "text", text),
        kind,
        method,
        language: Some(data.text("language").unwrap_or_else(|| language.to_owned())),
        leg: None,
    })
}

/// The media a data key names, as the switch understands it; none, with a warning, if it names none a callflow may play.
///
/// A bare id is a media document of the account. Another account's media, files of the switch and streams of unknown kinds
/// are refused: a tenant's document must not reach them.
pub(crate) fn media(data: &mut Data<'_>, key: &str, account: &AccountId) -> Option<String> {
    let id = data.text(key)?;
    match named(&id, account) {
        Ok(name) => Some(name),
        Err(reason) => {
            data.warn_of(key, format!("{reason}; skipped"));
            None
        }
    }
}

/// The media that an id in a document of this account names, as the switch understands it.
///
/// # Errors
/// It names none that the account may play; a sentence for its author.
pub fn named(id: &str, account: &AccountId) -> Result<String, String> {
    let own = format!("/{account}/");
    if let Some((scheme, rest)) = id.split_once("://") {
        return match scheme {
            "http" | "https" | "tone_stream" | "silence_stream" => Ok(id.to_owned()),
            "prompt" if rest.starts_with(&own[1..]) || rest.starts_with("system_media/") => {
                Ok(id.to_owned())
            }
            "prompt" => Err("the prompts of another account cannot be played".to_owned()),
            _ => Err(format!("media of the kind {scheme}:// cannot be played")),
        };
    }
    if id.starts_with("/system_media/") || id.starts_with(&own) {
        return Ok(id.to_owned());
    }
    match id.starts_with('/') {
        true => Err("only the account's own media and /system_media/ can be played".to_owned()),
        false => Ok(format!("{own}{id}")),
    }
}

/// The beep that asks to speak, or that tells of a recording.
pub(crate) fn beep() -> Application {
    Application::Tones {
        tones: vec![Tone::beep()],
        terminators: Terminators::none(),
        leg: None,
    }
}

/// The name of a prompt of Kazoo's, such as `vm-saved`: the account's own words if it has a media document for them, else the
/// system's. What is a whole name already, stays.
pub(crate) fn prompt(id: &str, stage: &Stage) -> String {
    prompt_in(id, &stage.language(), stage)
}

/// The same in another language than the call's.
pub(crate) fn prompt_in(id: &str, language: &str, stage: &Stage) -> String {
    if id.starts_with("prompt://") {
        return id.to_owned();
    }
    let id = id.strip_prefix("/system_media/").unwrap_or(id);
    let language = language.to_lowercase();
    match stage.settings.media.support_account_overrides {
        true => format!("prompt://{}/{id}/{language}", stage.call.account_id),
        false => format!("prompt://system_media/{id}/{language}"),
    }
}

impl Stage {
    /// The language of prompts and texts: the call's, else the system's; in small letters.
    pub(crate) fn language(&self) -> String {
        let language = self.call.language.as_deref();
        let language = language.unwrap_or(&self.settings.media.default_language);
        language.to_lowercase()
    }

    /// Queues a prompt of Kazoo's, such as `vm-saved`, in the call's language; any key ends it.
    pub(crate) fn prompt(&mut self, id: &str) {
        let media_name = prompt(id, self);
        self.play(media_name);
    }

    /// Queues media by their whole name, as [`Stage::media`] and [`named`] give it; any key ends it.
    pub(crate) fn play(&mut self, media_name: String) {
        self.command(Application::Play {
            media_name,
            terminators: Terminators::any(),
            endless: None,
            loop_count: None,
            leg: None,
        });
    }

    /// Queues something that is no text: a number, a date and the like, in the call's language. `kind` is Kazoo's `Type`:
    /// `number`, `name_spelled`, `telephone_number`, `current_date_time` and so on.
    pub(crate) fn say(&mut self, text: impl Into<String>, kind: &str) {
        let language = Some(self.language());
        self.command(Application::Say {
            text: text.into(),
            kind: kind.to_owned(),
            method: METHOD.to_owned(),
            language,
            leg: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use callreel_proto::{CallId, MediaConfig};
    use serde_json::json;

    use super::*;
    use crate::talk::{CallInfo, Settings};

    fn stage(media: serde_json::Value, language: Option<&str>) -> Stage {
        let account = AccountId::parse("0123456789abcdef0123456789abcdef").unwrap();
        let call = CallInfo {
            language: language.map(str::to_owned),
            ..CallInfo::new(account, CallId::new("a"), "m".to_owned(), "1".to_owned())
        };
        let settings = Settings {
            media: MediaConfig::read(&media),
            ..Settings::default()
        };
        Stage::new(call, settings)
    }

    #[test]
    fn a_prompt_is_the_accounts_in_the_calls_language_unless_the_system_says_otherwise() {
        const OWN: &str = "prompt://0123456789abcdef0123456789abcdef";
        let name = |media, language, id: &str| prompt(id, &stage(media, language));
        let none = || json!({});
        assert_eq!(
            name(none(), None, "vm-saved"),
            format!("{OWN}/vm-saved/en-us")
        );
        assert_eq!(
            name(none(), Some("fr-FR"), "/system_media/vm-saved"),
            format!("{OWN}/vm-saved/fr-fr")
        );
        let elsewhere =
            json!({"default": {"default_language": "sv-SE", "support_account_overrides": false}});
        assert_eq!(
            name(elsewhere, None, "vm-saved"),
            "prompt://system_media/vm-saved/sv-se"
        );
        assert_eq!(name(none(), None, "prompt://a/b/c"), "prompt://a/b/c");
    }

    #[test]
    fn the_prompts_of_others_are_not_played() {
        let account = AccountId::parse("0123456789abcdef0123456789abcdef").unwrap();
        for good in [
            "prompt://system_media/vm-saved/en-us",
            &format!("prompt://{account}/x/en-us"),
        ] {
            assert_eq!(named(good, &account).as_deref(), Ok(good));
        }
        for bad in [
            "prompt://ffffffffffffffffffffffffffffffff/vm-saved/en-us",
            "/etc/passwd",
            "file:///etc/passwd",
        ] {
            assert!(named(bad, &account).is_err(), "{bad}");
        }
    }
}
