//! Reads what a recording action's data asks for: format, limit, destination. Never decides whether the call is recorded.

use std::{collections::BTreeMap, time::Duration};

use callreel_proto::{
    AudioFormat, HttpMethod, OrderedBy, RecordingSource, Terminators, lenient_f64,
};
use serde_json::Value;
use url::Url;

use crate::order::{OrderDestination, RecordedLeg, RecordingKind, RecordingOrder, Silence};
use crate::print::seconds;
use crate::stage::Stage;
use crate::talk::Effect;

/// Kazoo's schema: shorter limits make no sense.
const SHORTEST_LIMIT_S: u64 = 5;
/// The rates a telephone recording can sensibly have, Hz.
const SAMPLE_RATES: std::ops::RangeInclusive<u64> = 8_000..=48_000;
/// Longest file name taken from a document: file systems allow 255 bytes, and the recording's own suffixes need room.
const LONGEST_NAME: usize = 128;

/// Kazoo's silence rule for messages: threshold 200, five seconds.
pub(crate) const MESSAGE_SILENCE: Silence = Silence {
    threshold: 200,
    after: Duration::from_secs(5),
};

/// The order the running action describes; none if there is nowhere to store it, which has then been said.
pub(crate) fn order(stage: &mut Stage, kind: RecordingKind) -> Option<RecordingOrder> {
    let destination = match destination(stage) {
        Ok(destination) => destination,
        Err(reason) => {
            let pointer = stage.pointer();
            stage.effect(Effect::Skipped { pointer, reason });
            return None;
        }
    };
    let format = format(stage);
    let caller_alone = kind != RecordingKind::Recording;
    Some(RecordingOrder {
        slot: stage.slot(),
        name: None,
        by: by_step(stage),
        separate: false,
        leg: RecordedLeg::A,
        announcements: Vec::new(),
        format,
        destination,
        time_limit: time_limit(stage),
        min: min(stage),
        channels: if caller_alone {
            callreel_proto::Channels::Caller
        } else {
            callreel_proto::Channels::Stereo
        },
        sample_rate: sample_rate(stage),
        terminators: if caller_alone {
            Terminators::any()
        } else {
            Terminators::none()
        },
        silence: caller_alone.then_some(MESSAGE_SILENCE),
        media_name: media_name(stage, format),
        follow_transfer: stage.flag("should_follow_transfer").unwrap_or(true),
        origin: origin(stage),
        pointer: stage.pointer(),
        kind,
    })
}

/// The running action, as evidence.
pub(crate) fn by_step(stage: &Stage) -> OrderedBy {
    OrderedBy {
        step: Some(stage.pointer()),
        ..OrderedBy::new(RecordingSource::Callflow)
    }
}

/// The first that holds: a `url`; `store_recordings`; nowhere.
fn destination(stage: &mut Stage) -> Result<OrderDestination, String> {
    match stage.value("url") {
        Some(Value::String(url)) if !url.is_empty() => match http_url(&url) {
            Ok(base) => Ok(OrderDestination::Url {
                base,
                method: method(stage),
                headers: BTreeMap::new(),
            }),
            Err(reason) => {
                stage.warn_of("url", &reason);
                Err(reason)
            }
        },
        None | Some(Value::String(_)) if stage.settings.media.store_recordings => {
            Ok(OrderDestination::AccountDb)
        }
        None | Some(Value::String(_)) => Err(
            "the action has no \"url\" and store_recordings in system_config/media is false"
                .to_owned(),
        ),
        Some(_) => {
            let reason = "the \"url\" is not a string".to_owned();
            stage.warn_of("url", &reason);
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

fn method(stage: &mut Stage) -> HttpMethod {
    let Some(method) = stage.text("method") else {
        return HttpMethod::Put;
    };
    match method.to_ascii_lowercase().as_str() {
        "put" => HttpMethod::Put,
        "post" => HttpMethod::Post,
        _ => {
            let message = format!("{method:?} is no method for a delivery; put is used");
            stage.warn_of("method", message);
            HttpMethod::Put
        }
    }
}

fn format(stage: &mut Stage) -> AudioFormat {
    let usual = stage.settings.media.call_recording_extension.clone();
    let usual = usual.parse().unwrap_or_else(|_| {
        stage.warn(format!(
            "call_recording.extension {usual:?} in system_config/media is not a format; mp3 is used"
        ));
        AudioFormat::Mp3
    });
    match stage
        .text("format")
        .map(|text| text.to_ascii_lowercase().parse())
    {
        None => usual,
        Some(Ok(format)) => format,
        Some(Err(reason)) => {
            stage.warn_of("format", format!("{reason}; {usual} is used"));
            usual
        }
    }
}

/// Absent: the system's limit. Else within five seconds and that limit.
fn time_limit(stage: &mut Stage) -> Duration {
    let most = stage.settings.media.max_recording_time_limit;
    let least = SHORTEST_LIMIT_S.min(most);
    let Some(value) = stage.value("time_limit") else {
        return Duration::from_secs(most);
    };
    let Some(wanted) = lenient_f64(&value).filter(|s| s.is_finite()) else {
        stage.warn_of("time_limit", format!("not a number; {most}s is used"));
        return Duration::from_secs(most);
    };
    // Saturating: a negative number becomes 0, a fraction its whole part.
    let used = (wanted as u64).clamp(least, most);
    if wanted < least as f64 || wanted > most as f64 {
        let used = seconds(Duration::from_secs(used));
        let message = format!("{wanted}s is outside {least}s to {most}s; {used} is used");
        stage.warn_of("time_limit", message);
    }
    Duration::from_secs(used)
}

fn min(stage: &mut Stage) -> Duration {
    let usual = stage.settings.media.record_min_sec;
    Duration::from_secs(stage.whole("record_min_sec").unwrap_or(usual))
}

fn sample_rate(stage: &mut Stage) -> Option<u32> {
    let hz = stage.whole("record_sample_rate")?;
    if SAMPLE_RATES.contains(&hz) {
        return u32::try_from(hz).ok();
    }
    let (least, most) = SAMPLE_RATES.into_inner();
    let message = format!("{hz} Hz is outside {least} to {most} Hz; ignored");
    stage.warn_of("record_sample_rate", message);
    None
}

fn origin(stage: &mut Stage) -> String {
    let name = stage
        .text("label")
        .or_else(|| stage.call.callflow_name.clone())
        .unwrap_or_else(|| stage.call.number.clone());
    format!("callflow : {name}")
}

fn media_name(stage: &mut Stage, format: AudioFormat) -> Option<String> {
    let asked = stage.text("media_name")?;
    let safe = safe_name(&asked, format)?;
    if !safe.starts_with(&asked) {
        stage.warn_of(
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
