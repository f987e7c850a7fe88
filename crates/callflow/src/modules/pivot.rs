//! `pivot`: asks a web server for a callflow and runs that in the place of this one.

use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use crate::flow::Flow;
use crate::headers::request_headers;
use crate::recording::http_url;
use crate::stage::{Module, Stage, Turn};
use crate::talk::{Answer, Query};
use crate::wait::Outcome;
use crate::web::{BodyFormat, Hidden, PivotRequest, Verb, WebRequest};

/// Longest a caller is kept waiting for the answer: Kazoo's schema allows no more.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Pivot;

impl Module for Pivot {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        match request(stage) {
            Some(request) => Turn::Wait(stage.ask(Query::Pivot(Box::new(request)))),
            None => Turn::next(),
        }
    }

    fn resume(&mut self, stage: &mut Stage, outcome: Outcome) -> Turn {
        let served = match outcome {
            Outcome::Reply(Answer::Flow(document)) => {
                let origin = format!("pivot-{}#", stage.pivots);
                Flow::parse_below(&origin, &document, stage.settings.strict)
                    .map_err(|malformed| format!("the server's answer cannot be run: {malformed}"))
            }
            Outcome::Reply(Answer::Failed(reason)) => Err(reason),
            _ => Err("nothing was asked".to_owned()),
        };
        match served {
            Ok(flow) => Turn::Replace(flow),
            Err(reason) => {
                stage.warn_of("voice_url", format!("{reason}; going on at \"_\""));
                Turn::next()
            }
        }
    }
}

/// What is asked; none, with a warning, if nobody can be.
fn request(stage: &mut Stage) -> Option<PivotRequest> {
    if let Some(other) = stage.text("req_format").filter(|format| format != "kazoo") {
        let message =
            format!("the format {other:?} is not spoken here, only \"kazoo\"; going on at \"_\"");
        stage.warn_of("req_format", message);
        return None;
    }
    let Some(url) = url(stage, "voice_url") else {
        if stage.text("voice_url").is_none() {
            stage.warn_of("voice_url", "no server is named; skipped");
        }
        return None;
    };
    stage.pivots += 1;
    let headers = own_headers(stage);
    Some(PivotRequest {
        request: WebRequest {
            verb: verb(stage, "method", Verb::Get),
            url,
            headers,
            parameters: parameters(stage),
            format: body_format(stage),
            patience: patience(stage),
        },
        cdr_url: self::url(stage, "cdr_url").map(Hidden),
        debug: stage.flag("debug") == Some(true),
        iteration: stage.pivots,
    })
}

/// A URL that data names; none, with a warning if it is not one of HTTP.
pub(super) fn url(stage: &mut Stage, key: &str) -> Option<Url> {
    let text = stage.text(key)?;
    match http_url(&text) {
        Ok(url) => Some(url),
        Err(reason) => {
            stage.warn_of(
                key,
                format!(
                    "{}; skipped",
                    reason.replace("\"url\"", &format!("{key:?}"))
                ),
            );
            None
        }
    }
}

/// `get` or `post`, in any case.
pub(super) fn verb(stage: &mut Stage, key: &str, usual: Verb) -> Verb {
    let Some(word) = stage.text(key) else {
        return usual;
    };
    match word.to_ascii_lowercase().as_str() {
        "get" => Verb::Get,
        "post" => Verb::Post,
        _ => {
            let named = if usual == Verb::Get { "get" } else { "post" };
            stage.warn_of(
                key,
                format!("{word:?} is neither get nor post; {named} is used"),
            );
            usual
        }
    }
}

fn body_format(stage: &mut Stage) -> BodyFormat {
    match stage.text("req_body_format").as_deref() {
        None | Some("form") => BodyFormat::Form,
        Some("json") => BodyFormat::Json,
        Some(other) => {
            let message = format!("{other:?} is neither form nor json; form is used");
            stage.warn_of("req_body_format", message);
            BodyFormat::Form
        }
    }
}

fn patience(stage: &mut Stage) -> Duration {
    let Some(asked) = stage.whole("req_timeout_ms").map(Duration::from_millis) else {
        return PATIENCE;
    };
    if asked.is_zero() || asked > PATIENCE {
        let most = PATIENCE.as_millis();
        stage.warn_of(
            "req_timeout_ms",
            format!("a caller waits for 1 to {most} ms; {most} are used"),
        );
        return PATIENCE;
    }
    asked
}

/// Headers of the author's own: Kazoo takes those that begin with `X-`.
fn own_headers(stage: &mut Stage) -> std::collections::BTreeMap<String, String> {
    stage.data(|data| {
        let Some(asked) = data.object("custom_request_headers") else {
            return Default::default();
        };
        let (mut taken, left_out) = request_headers(asked);
        for message in left_out {
            data.warn_of("custom_request_headers", message);
        }
        taken.retain(|name, _| {
            let own = name.to_ascii_lowercase().starts_with("x-");
            if !own {
                let message = format!("{name} is left out: such headers begin with X-");
                data.warn_of("custom_request_headers", message);
            }
            own
        });
        taken
    })
}

/// What the server is told of the call, in Kazoo's words (`kzt_kazoo`). What is not known is left out.
fn parameters(stage: &Stage) -> Map<String, Value> {
    let call = &stage.call;
    let mut told = Map::new();
    let mut tell = |key: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        if !empty {
            told.insert(key.to_owned(), value);
        }
    };
    tell("Call-ID", call.call_id.as_str().into());
    tell("Account-ID", call.account_id.as_str().into());
    for (key, address) in [
        ("From", &call.from),
        ("To", &call.to),
        ("Request", &call.request),
    ] {
        let (user, realm) = halves(address);
        tell(key, user.into());
        tell(&format!("{key}-Realm"), realm.into());
    }
    tell(
        "Call-Status",
        if stage.answered {
            "answered"
        } else {
            "ringing"
        }
        .into(),
    );
    tell("Api-Version", "4.x".into());
    tell("Direction", "inbound".into());
    tell("Caller-ID-Name", call.caller_id_name.clone().into());
    tell("Caller-ID-Number", call.caller_id_number.clone().into());
    tell("User-ID", call.owner_id.clone().into());
    tell("Language", call.language.clone().into());
    let digits = stage.pressed().into_iter();
    let digits = digits.map(|(name, keys)| (name, Value::from(keys)));
    tell("Digits", Value::Object(digits.collect()));
    tell(
        "Custom-Application-Vars",
        call.application_vars.clone().into(),
    );
    tell("Custom-SIP-Headers", call.sip_headers.clone().into());
    if let Some(recording) = &stage.last_recording {
        tell("Recording-ID", recording.id.clone().into());
        tell("Recording-Url", recording.url.clone().into());
        tell("Recording-Duration", (recording.length_ms / 1000).into());
    }
    told
}

/// User and realm of an address `user@realm`.
pub(super) fn halves(address: &str) -> (&str, &str) {
    address.rsplit_once('@').unwrap_or((address, ""))
}
