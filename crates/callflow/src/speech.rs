//! What can be played to a caller: a media name or a text, as an action's data gives it. Never waits for its end.

use callreel_proto::{AccountId, Application, Terminators, Tone};

use crate::data::Data;

/// Kazoo's schema limits a text to this many characters; an engine needs seconds for it.
const LONGEST_TEXT: usize = 1000;
/// Kazoo's default voice.
const VOICE: &str = "female";

/// The text of an action as a command; none, with a warning, if it has none.
pub(crate) fn spoken(data: &mut Data<'_>) -> Option<Application> {
    let Some(text) = data.text("text") else {
        data.warn_of("text", "there is nothing to say; skipped");
        return None;
    };
    let text = cut(data, "text", text);
    if data.flag("endless_playback") == Some(true) {
        data.warn_of("endless_playback", "a text is spoken once");
    }
    Some(Application::Tts {
        text,
        voice: Some(voice(data)),
        language: data.text("language"),
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

fn voice(data: &mut Data<'_>) -> String {
    match data.text("voice") {
        None => VOICE.to_owned(),
        Some(voice) if matches!(voice.as_str(), "male" | "female") => voice,
        Some(other) => {
            let message =
                format!("{other:?} is no voice; use \"male\" or \"female\"; {VOICE} is used");
            data.warn_of("voice", message);
            VOICE.to_owned()
        }
    }
}

/// The media a data key names, as the switch understands it; none, with a warning, if it names none a callflow may play.
///
/// A bare id is a media document of the account. Another account's media, files of the switch and streams of unknown kinds
/// are refused: a tenant's document must not reach them.
pub(crate) fn media(data: &mut Data<'_>, key: &str, account: &AccountId) -> Option<String> {
    let id = data.text(key)?;
    let own = format!("/{account}/");
    if let Some((scheme, _)) = id.split_once("://") {
        if matches!(scheme, "http" | "https" | "tone_stream" | "silence_stream") {
            return Some(id);
        }
        let message = format!("media of the kind {scheme}:// cannot be played; skipped");
        data.warn_of(key, message);
        return None;
    }
    if id.starts_with("/system_media/") || id.starts_with(&own) {
        return Some(id);
    }
    if id.starts_with('/') {
        data.warn_of(
            key,
            "only the account's own media and /system_media/ can be played; skipped",
        );
        return None;
    }
    Some(format!("{own}{id}"))
}

/// The beep that asks to speak, or that tells of a recording.
pub(crate) fn beep() -> Application {
    Application::Tones {
        tones: vec![Tone::beep()],
        terminators: Terminators::none(),
        leg: None,
    }
}

/// A prompt of the system.
pub(crate) fn prompt(name: &str) -> String {
    format!("/system_media/{name}")
}
