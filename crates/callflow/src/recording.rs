//! Reads what a recording action's data asks for: format, limit, destination. Never decides whether the call is recorded.

use std::time::Duration;

use callreel_proto::{
    AccountId, Application, AudioFormat, Channels, HttpMethod, MediaConfig, OrderedBy,
    RecordingSource, Terminators, lenient_f64,
};
use serde_json::Value;
use url::Url;

use crate::data::Data;
use crate::headers;
use crate::order::{OrderDestination, RecordedLeg, RecordingKind, RecordingOrder, Silence, Slot};
use crate::pending::Start;
use crate::print::seconds;
use crate::speech;
use crate::stage::Stage;
use crate::talk::Effect;

/// Kazoo's schema: shorter limits make no sense.
const SHORTEST_LIMIT_S: u64 = 5;
/// The rates a telephone recording can sensibly have, Hz.
const SAMPLE_RATES: std::ops::RangeInclusive<u64> = 8_000..=48_000;
/// Longest file name taken from a document: file systems allow 255 bytes, and the recording's own suffixes need room.
const LONGEST_NAME: usize = 128;

/// Kazoo's silence rule for messages: threshold 200, five seconds.
const MESSAGE_SILENCE: Silence = Silence {
    threshold: 200,
    after: Duration::from_secs(5),
};

/// What an order is made of besides its data.
pub(crate) struct Terms<'a> {
    /// The system's settings.
    pub(crate) media: &'a MediaConfig,
    /// Whose media announcements are.
    pub(crate) account: &'a AccountId,
    /// What it is of.
    pub(crate) kind: RecordingKind,
    /// Who wants it.
    pub(crate) by: OrderedBy,
    /// What its document says of that.
    pub(crate) origin: Origin<'a>,
    /// The place of the order.
    pub(crate) pointer: String,
}

/// What a recording's document says of who wanted it.
pub(crate) enum Origin<'a> {
    /// This hand, and the data's `label` or else the usual.
    Labelled(&'static str, &'a str),
    /// Just this.
    Exactly(String),
}

/// The order that this data describes, without a name in any talk.
///
/// # Errors
/// There is nowhere to store it: then it must not be made, for this reason.
pub(crate) fn order(data: &mut Data<'_>, terms: Terms<'_>) -> Result<RecordingOrder, String> {
    let destination = destination(data, terms.media)?;
    let format = format(data, terms.media);
    let message = terms.kind != RecordingKind::Recording;
    let (channels, separate) = channels(data, message);
    Ok(RecordingOrder {
        slot: Slot::NONE,
        name: if message { None } else { data.text("name") },
        separate,
        leg: RecordedLeg::A,
        announcements: if message {
            Vec::new()
        } else {
            announcements(data, terms.account)
        },
        format,
        destination,
        time_limit: time_limit(data, terms.media),
        min: min(data, terms.media),
        channels,
        sample_rate: sample_rate(data),
        terminators: if message {
            Terminators::any()
        } else {
            Terminators::none()
        },
        silence: message.then_some(MESSAGE_SILENCE),
        media_name: media_name(data, format),
        review: false,
        follow_transfer: data.flag("should_follow_transfer").unwrap_or(true),
        origin: match terms.origin {
            Origin::Labelled(hand, usual) => {
                let label = data.text("label");
                format!("{hand} : {}", label.as_deref().unwrap_or(usual))
            }
            Origin::Exactly(text) => text,
        },
        by: terms.by,
        pointer: terms.pointer,
        kind: terms.kind,
    })
}

/// The order for what the caller says after a beep: a review keeps or drops it.
pub(crate) fn spoken(
    stage: &mut Stage,
    kind: RecordingKind,
    limit: Duration,
    module: &str,
) -> RecordingOrder {
    let most = Duration::from_secs(stage.settings.media.max_recording_time_limit);
    RecordingOrder {
        slot: stage.slot(),
        name: None,
        by: by_step(stage),
        separate: false,
        leg: RecordedLeg::A,
        announcements: Vec::new(),
        kind,
        format: AudioFormat::Mp3,
        destination: OrderDestination::AccountDb,
        time_limit: limit.min(most),
        min: Duration::ZERO,
        channels: Channels::Caller,
        sample_rate: None,
        terminators: Terminators::any(),
        silence: Some(MESSAGE_SILENCE),
        media_name: None,
        review: true,
        follow_transfer: true,
        origin: module.to_owned(),
        pointer: stage.pointer(),
    }
}

/// The order the running action describes; none if there is nowhere to store it, which has then been said.
pub(crate) fn of_step(stage: &mut Stage, kind: RecordingKind) -> Option<RecordingOrder> {
    let media = stage.settings.media.clone();
    let call = stage.call.clone();
    let (by, pointer) = (by_step(stage), stage.pointer());
    let usual = call.callflow_name.as_ref().unwrap_or(&call.number);
    let terms = Terms {
        media: &media,
        account: &call.account_id,
        kind,
        by,
        origin: Origin::Labelled("callflow", usual),
        pointer,
    };
    match stage.data(|data| order(data, terms)) {
        Ok(order) => Some(RecordingOrder {
            slot: stage.slot(),
            ..order
        }),
        Err(reason) => {
            let (by, pointer) = (by_step(stage), stage.pointer());
            stage.effect(Effect::Skipped {
                pointer,
                reason,
                by,
            });
            None
        }
    }
}

/// The running action, as evidence.
pub(crate) fn by_step(stage: &Stage) -> OrderedBy {
    OrderedBy {
        step: Some(stage.pointer()),
        ..OrderedBy::new(RecordingSource::Callflow)
    }
}

/// When the recording that this data describes begins.
pub(crate) fn when(data: &mut Data<'_>) -> Start {
    Start {
        on_answer: data.flag("record_on_answer").unwrap_or(false),
        on_bridge: data.flag("record_on_bridge").unwrap_or(false),
    }
}

/// The first that holds: a `url`; `store_recordings`, which is also true of an account with a storage plan; nowhere.
fn destination(data: &mut Data<'_>, media: &MediaConfig) -> Result<OrderDestination, String> {
    match data.value("url") {
        Some(Value::String(url)) if !url.is_empty() => match http_url(url) {
            Ok(base) => Ok(OrderDestination::Url {
                base,
                method: method(data),
                headers: headers::read(data),
            }),
            Err(reason) => {
                data.warn_of("url", &reason);
                Err(reason)
            }
        },
        None | Some(Value::String(_)) if media.store_recordings => Ok(OrderDestination::AccountDb),
        None | Some(Value::String(_)) => Err(
            "there is no \"url\", store_recordings in system_config/media is false, and no storage plan of the account says where recordings go".to_owned(),
        ),
        Some(_) => {
            let reason = "the \"url\" is not a string".to_owned();
            data.warn_of("url", &reason);
            Err(reason)
        }
    }
}

/// Reads a delivery URL.
///
/// # Errors
/// It is no URL, or not one of HTTP. The text says so and does not repeat the URL, which may hold a password.
pub fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("the \"url\" cannot be read: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("the \"url\" must be http or https, not {other}")),
    }
}

fn method(data: &mut Data<'_>) -> HttpMethod {
    let Some(method) = data.text("method") else {
        return HttpMethod::Put;
    };
    match method.to_ascii_lowercase().as_str() {
        "put" => HttpMethod::Put,
        "post" => HttpMethod::Post,
        _ => {
            let message = format!("{method:?} is no method for a delivery; put is used");
            data.warn_of("method", message);
            HttpMethod::Put
        }
    }
}

fn format(data: &mut Data<'_>, media: &MediaConfig) -> AudioFormat {
    let usual = media.call_recording_extension.clone();
    let usual = usual.parse().unwrap_or_else(|_| {
        data.warn(format!(
            "call_recording.extension {usual:?} in system_config/media is not a format; mp3 is used"
        ));
        AudioFormat::Mp3
    });
    match data
        .text("format")
        .map(|text| text.to_ascii_lowercase().parse())
    {
        None => usual,
        Some(Ok(format)) => format,
        Some(Err(reason)) => {
            data.warn_of("format", format!("{reason}; {usual} is used"));
            usual
        }
    }
}

/// Absent: the system's limit. Else within five seconds and that limit.
fn time_limit(data: &mut Data<'_>, media: &MediaConfig) -> Duration {
    let most = media.max_recording_time_limit;
    let least = SHORTEST_LIMIT_S.min(most);
    let Some(value) = data.value("time_limit") else {
        return Duration::from_secs(most);
    };
    let Some(wanted) = lenient_f64(value).filter(|s| s.is_finite()) else {
        data.warn_of("time_limit", format!("not a number; {most}s is used"));
        return Duration::from_secs(most);
    };
    // Saturating: a negative number becomes 0, a fraction its whole part.
    let used = (wanted as u64).clamp(least, most);
    if wanted < least as f64 || wanted > most as f64 {
        let used = seconds(Duration::from_secs(used));
        let message = format!("{wanted}s is outside {least}s to {most}s; {used} is used");
        data.warn_of("time_limit", message);
    }
    Duration::from_secs(used)
}

fn min(data: &mut Data<'_>, media: &MediaConfig) -> Duration {
    let usual = media.record_min_sec;
    Duration::from_secs(data.whole("record_min_sec").unwrap_or(usual))
}

/// How the legs share the file, or that each gets its own.
fn channels(data: &mut Data<'_>, message: bool) -> (Channels, bool) {
    let asked = data.text("channels");
    let (usual, name) = if message {
        (Channels::Caller, "mono")
    } else {
        (Channels::Stereo, "stereo")
    };
    match asked.as_deref() {
        None => (usual, false),
        Some(same) if same == name => (usual, false),
        Some("mono") => (Channels::Mono, false),
        Some("separate") if !message => (usual, true),
        Some(other) => {
            let message = format!("{other:?} is not possible here; {name} is used");
            data.warn_of("channels", message);
            (usual, false)
        }
    }
}

/// What the parties hear of the recording, in this order: a beep, then the announcement.
fn announcements(data: &mut Data<'_>, account: &AccountId) -> Vec<Application> {
    let beep = data.flag("beep").unwrap_or(false).then(speech::beep);
    let words = speech::announcement(data, "announce", account);
    beep.into_iter().chain(words).collect()
}

fn sample_rate(data: &mut Data<'_>) -> Option<u32> {
    let hz = data.whole("record_sample_rate")?;
    if SAMPLE_RATES.contains(&hz) {
        return u32::try_from(hz).ok();
    }
    let (least, most) = SAMPLE_RATES.into_inner();
    let message = format!("{hz} Hz is outside {least} to {most} Hz; ignored");
    data.warn_of("record_sample_rate", message);
    None
}

fn media_name(data: &mut Data<'_>, format: AudioFormat) -> Option<String> {
    let asked = data.text("media_name")?;
    let safe = safe_name(&asked, format)?;
    if !safe.starts_with(&asked) {
        data.warn_of(
            "media_name",
            format!("not safe as a file name; {safe:?} is used"),
        );
    }
    Some(safe)
}

/// A file name made of a document's text: no path, no dot file, no byte a shell or a header could trip over, and no
/// leading underscore, which CouchDB refuses.
fn safe_name(asked: &str, format: AudioFormat) -> Option<String> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+' | '=');
    let clean: String = asked
        .chars()
        .map(|c| if ok(c) { c } else { '_' })
        .take(LONGEST_NAME)
        .collect();
    let clean = clean.trim_start_matches(['.', '_']);
    if clean.is_empty() {
        return None;
    }
    let extension = format!(".{}", format.extension());
    Some(if clean.ends_with(&extension) {
        clean.to_owned()
    } else {
        format!("{clean}{extension}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_name_never_leaves_its_folder() {
        for (asked, safe) in [
            ("sales", Some("sales.mp3")),
            ("sales.mp3", Some("sales.mp3")),
            ("sales.wav", Some("sales.wav.mp3")),
            ("/etc/passwd", Some("etc_passwd.mp3")),
            ("../../x.mp3", Some("x.mp3")),
            ("_attachments", Some("attachments.mp3")),
            ("ü", None),
            ("a b\u{7}ü", Some("a_b__.mp3")),
            ("...", None),
        ] {
            assert_eq!(
                safe_name(asked, AudioFormat::Mp3).as_deref(),
                safe,
                "{asked}"
            );
        }
        assert_eq!(
            safe_name(&"x".repeat(9000), AudioFormat::Wav).map(|n| n.len()),
            Some(132)
        );
    }

    #[test]
    fn only_http_urls_are_taken_and_a_refusal_keeps_the_password() {
        assert!(http_url("https://u:secret@h/x").is_ok());
        for bad in [
            "ftp://u:secret@h/x",
            "/relative",
            "{URL}",
            "http://",
            "file:///etc/passwd",
        ] {
            let reason = http_url(bad).unwrap_err();
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
}
