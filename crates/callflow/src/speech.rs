//! What can be played to a caller: a media name or a text, as an action's data gives it. Never waits for its end.

use callreel_proto::Application;

use crate::stage::Stage;

/// Kazoo's schema limits a text to this many characters; an engine needs seconds for it.
const LONGEST_TEXT: usize = 1000;
/// Kazoo's default voice.
const VOICE: &str = "female";

/// The text of the running action as a command; none, with a warning, if it has none.
pub(crate) fn spoken(stage: &mut Stage) -> Option<Application> {
    let Some(mut text) = stage.text("text") else {
        stage.warn_of("text", "there is nothing to say; skipped");
        return None;
    };
    if let Some((cut, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(cut);
        stage.warn_of("text", format!("cut after {LONGEST_TEXT} characters"));
    }
    if stage.flag("endless_playback") == Some(true) {
        stage.warn_of("endless_playback", "a text is spoken once");
    }
    Some(Application::Tts {
        text,
        voice: Some(voice(stage)),
        language: stage.text("language"),
        terminators: stage.terminators(),
        leg: None,
    })
}

fn voice(stage: &mut Stage) -> String {
    match stage.text("voice") {
        None => VOICE.to_owned(),
        Some(voice) if matches!(voice.as_str(), "male" | "female") => voice,
        Some(other) => {
            let message =
                format!("{other:?} is no voice; use \"male\" or \"female\"; {VOICE} is used");
            stage.warn_of("voice", message);
            VOICE.to_owned()
        }
    }
}

/// The media a data key names, as the switch understands it; none, with a warning, if it names none a callflow may play.
///
/// A bare id is a media document of the account. Another account's media, files of the switch and streams of unknown kinds
/// are refused: a tenant's document must not reach them.
pub(crate) fn media(stage: &mut Stage, key: &str) -> Option<String> {
    let id = stage.text(key)?;
    let account = stage.call.account_id.as_str();
    let own = format!("/{account}/");
    if let Some((scheme, _)) = id.split_once("://") {
        if matches!(scheme, "http" | "https" | "tone_stream" | "silence_stream") {
            return Some(id);
        }
        let message = format!("media of the kind {scheme}:// cannot be played; skipped");
        stage.warn_of(key, message);
        return None;
    }
    if id.starts_with("/system_media/") || id.starts_with(&own) {
        return Some(id);
    }
    if id.starts_with('/') {
        stage.warn_of(
            key,
            "only the account's own media and /system_media/ can be played; skipped",
        );
        return None;
    }
    Some(format!("{own}{id}"))
}

/// A prompt of the system.
pub(crate) fn prompt(name: &str) -> String {
    format!("/system_media/{name}")
}
