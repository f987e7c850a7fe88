//! A recording's audio over HTTP: whether it is asked for and in which type, whole or in part. Holds no audio in memory.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::Response,
};
use callreel_attachments::audio;
use callreel_store::Attachment;
use serde_json::Value;

use crate::{
    Shared,
    range::{Wanted, has_already, may_be_part, wanted},
    refusal::{Refusal, Why},
    request::Params,
};

/// Types of audio a request takes, best first; `audio/*` and `*/*` are any.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Types(Vec<String>);

/// The types if audio is asked for: by `?accept=`, or by an `Accept` header that names audio before JSON. Without
/// either the document is meant, as in Crossbar.
pub(crate) fn asked_for(params: &Params, headers: &HeaderMap) -> Option<Types> {
    if let Some(accept) = params.text("accept") {
        let types = ranked(accept);
        return is_audio(types.first()?, true).then_some(Types(types));
    }
    let types = ranked(text(headers, header::ACCEPT)?);
    is_audio(types.first()?, false).then_some(Types(types))
}

fn is_audio(media_type: &str, or_anything: bool) -> bool {
    media_type.starts_with("audio/") || (or_anything && media_type == "*/*")
}

/// The media types of an `Accept` header, best first, those with a weight of zero left out (RFC 9110 §12.5.1).
fn ranked(accept: &str) -> Vec<String> {
    let weighed = accept.split(',').map(|one| {
        let mut parts = one.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|p| p.strip_prefix("q=")?.parse::<f32>().ok());
        (weight.unwrap_or(1.0), media_type)
    });
    let mut types: Vec<(f32, String)> =
        weighed.filter(|(w, t)| *w > 0.0 && !t.is_empty()).collect();
    types.sort_by(|a, b| b.0.total_cmp(&a.0));
    types
        .into_iter()
        .map(|(_, media_type)| media_type)
        .collect()
}

/// One name for each type that has several.
fn canonical(media_type: &str) -> &str {
    match media_type {
        "audio/mp3" | "audio/x-mp3" | "audio/x-mpeg" => "audio/mpeg",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav",
        other => other,
    }
}

impl Types {
    fn take(&self, media_type: &str) -> bool {
        let any =
            |t: &String| t == "audio/*" || t == "*/*" || canonical(t) == canonical(media_type);
        self.0.iter().any(any)
    }
}

/// Whether an answer has the beginning of the audio: players ask for a recording part by part.
pub(crate) fn is_begun(answer: &Response) -> bool {
    match answer.status() {
        StatusCode::OK => true,
        StatusCode::PARTIAL_CONTENT => {
            let range = text(answer.headers(), header::CONTENT_RANGE);
            range.is_some_and(|range| range.starts_with("bytes 0-"))
        }
        _ => false,
    }
}

/// Answers with the recording's audio.
pub(crate) async fn send(
    shared: &Shared,
    db: &str,
    doc: &Value,
    types: &Types,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let inline = params.flag("inline", false)?;
    let stored = audio(doc).ok_or_else(|| not_here(doc))?;
    if !types.take(&stored.content_type) {
        let is = &stored.content_type;
        let message = format!("this recording is {is}; ask for that, or for audio/*");
        return Err(Refusal::new(Why::NotAcceptable, message).cause("accept"));
    }
    let (name, length) = (stored.name.as_str(), stored.length);
    let tag = format!("\"{}\"", stored.digest);
    let reply = Response::builder()
        .header(header::ETAG, &tag)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "private, no-cache");
    if has_already(text(headers, header::IF_NONE_MATCH), &tag) {
        return finish(reply.status(StatusCode::NOT_MODIFIED), Body::empty());
    }
    let range =
        text(headers, header::RANGE).filter(|_| may_be_part(text(headers, header::IF_RANGE), &tag));
    let (status, range) = match wanted(range, length) {
        Wanted::Whole => (StatusCode::OK, 0..length),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            let reply = reply
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(header::CONTENT_RANGE, format!("bytes */{length}"));
            return finish(reply, Body::empty());
        }
    };
    let found = shared.attachments.fetch(db, doc, name, range.clone());
    let audio = found.await?.ok_or_else(vanished)?;
    if format!("\"{}\"", audio.digest) != tag {
        return Err(vanished());
    }
    let mut reply = reply
        .status(status)
        .header(header::CONTENT_TYPE, &audio.content_type)
        .header(header::CONTENT_LENGTH, range.end - range.start)
        .header(header::CONTENT_DISPOSITION, disposition(name, inline));
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        reply = reply.header(header::CONTENT_RANGE, part);
    }
    finish(reply, body(audio))
}

fn body(audio: Attachment) -> Body {
    Body::from_stream(audio.body)
}

fn finish(reply: axum::http::response::Builder, body: Body) -> Result<Response, Refusal> {
    reply.body(body).map_err(|e| {
        Refusal::new(
            Why::Broken,
            format!("the stored attachment cannot be named: {e}"),
        )
    })
}

fn vanished() -> Refusal {
    Refusal::new(
        Why::Conflict,
        "the recording changed at this moment; ask again",
    )
}

/// The document has no audio that could be sent.
fn not_here(doc: &Value) -> Refusal {
    let sent = doc["url"]
        .as_str()
        .map_or_else(String::new, |url| format!("; it went to {url}"));
    let message = format!("the audio of this recording is not kept here{sent}");
    Refusal::new(Why::NotFound, message)
}

/// RFC 6266, with a plain name for old programs and the true one for the others.
fn disposition(name: &str, inline: bool) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    let plain: String = name
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~' | '@' | '+' => c,
            _ => '_',
        })
        .collect();
    if plain == name {
        return format!("{kind}; filename=\"{plain}\"");
    }
    let exact: String = name
        .bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'+' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect();
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: Option<&str>, param: Option<&str>) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, accept.parse().unwrap());
        }
        let param = param.map(|p| ("accept".to_owned(), p.to_owned()));
        let params = Params(param.into_iter().collect());
        asked_for(&params, &headers).map(|types| types.0)
    }

    #[test]
    fn audio_is_sent_only_to_those_who_ask_for_it_first() {
        for (accept, param, is_audio) in [
            (None, None, false),
            (Some("*/*"), None, false),
            (Some("application/json, audio/mpeg"), None, false),
            (Some("application/json;q=0.5, audio/mpeg;q=0.9"), None, true),
            (
                Some("text/html,application/xml;q=0.9,*/*;q=0.8"),
                None,
                false,
            ),
            (Some("Audio/MP3"), None, true),
            (Some("audio/*"), None, true),
            (Some("audio/mpeg;q=0, */*"), None, false),
            (Some("application/json"), Some("audio/wav"), true),
            (Some("audio/wav"), Some("application/json"), false),
            (None, Some("*/*"), true),
            (Some(""), None, false),
        ] {
            let got = asked(accept, param).is_some();
            assert_eq!(got, is_audio, "{accept:?} {param:?}");
        }
    }

    #[test]
    fn a_type_has_many_names() {
        let takes = |asked: &str, stored: &str| Types(vec![asked.into()]).take(stored);
        assert!(takes("audio/mp3", "audio/mpeg"));
        assert!(takes("audio/x-wav", "audio/wav"));
        assert!(takes("audio/*", "audio/wav"));
        assert!(!takes("audio/wav", "audio/mpeg"));
    }

    #[test]
    fn odd_file_names_are_written_twice() {
        assert_eq!(disposition("a@b.mp3", true), "inline; filename=\"a@b.mp3\"");
        assert_eq!(
            disposition("x%40\"ü.mp3", false),
            "attachment; filename=\"x_40__.mp3\"; filename*=UTF-8''x%2540%22%C3%BC.mp3"
        );
    }
}
