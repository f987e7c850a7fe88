//! A speech engine behind HTTP: what it is sent is the operator's to say, what comes back is any file that can be decoded.

use std::sync::Arc;
use std::time::Duration;

use callreel_attachments::explain;
use callreel_doors::Unusable;
use callreel_media::Pcm;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, redirect};
use serde_json::Value;
use url::Url;

use super::blocking;
use super::decoding::decode;
use super::web::body;
use crate::SwitchConfig;
use crate::error::Error;

/// What a piece of a text may weigh as a file: minutes of uncompressed sound.
const MAX_BYTES: usize = 20_000_000;
/// What is posted where the settings say nothing else.
const BODY: &str =
    r#"{"text": "{text}", "voice": "{voice}", "language": "{language}", "format": "wav"}"#;
/// What a URL is asked for that names no text itself.
const QUERY: &str = "text={text}&voice={voice}&language={language}&format=wav";

/// What stands for what in the settings.
struct Terms<'a>([(&'static str, &'a str); 3]);

impl Terms<'_> {
    fn put_into(&self, template: &str, write: impl Fn(&str) -> String) -> String {
        let mut out = String::new();
        let mut rest = template;
        // One pass, so that a text with braces in it is not taken for a template.
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let known = self.0.iter().find(|(name, _)| rest.starts_with(name));
            match known {
                Some((name, value)) => {
                    out.push_str(&write(value));
                    rest = &rest[name.len()..];
                }
                None => {
                    out.push('{');
                    rest = &rest[1..];
                }
            }
        }
        out + rest
    }
}

/// What a request carries besides its head.
enum Body {
    None,
    Json(Value),
    Xml(String),
    Plain(String),
}

/// The engine.
pub(super) struct HttpVoice {
    client: Client,
    url: String,
    method: Method,
    headers: HeaderMap,
    body: Body,
    patience: Duration,
}

impl HttpVoice {
    /// The engine of these settings; none if they name no URL.
    ///
    /// # Errors
    /// [`Error::Speech`] says which of them cannot be used.
    pub(super) fn new(config: &SwitchConfig) -> Result<Option<Self>, Error> {
        let Some(url) = &config.speech_url else {
            return Ok(None);
        };
        let wrong = |key: &str, reason: String| Error::Speech(format!("switch.{key}: {reason}"));
        let sample = Terms([("{text}", "x"), ("{voice}", "x"), ("{language}", "x")]);
        let parsed = Url::parse(&sample.put_into(url, str::to_owned));
        match parsed {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {}
            Ok(_) => return Err(wrong("speech_url", "use http or https".to_owned())),
            Err(reason) => return Err(wrong("speech_url", reason.to_string())),
        }
        let method = match config.speech_method.to_ascii_uppercase().as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            other => {
                return Err(wrong(
                    "speech_method",
                    format!("{other:?} is not GET, POST or PUT"),
                ));
            }
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &config.speech_headers {
            // Not the reason: it may show the value.
            let header = HeaderName::try_from(name)
                .ok()
                .zip(HeaderValue::try_from(value.reveal()).ok());
            let (name, mut value) = header
                .ok_or_else(|| wrong("speech_headers", format!("{name:?} is no HTTP header")))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let url = match method == Method::GET && !url.contains("{text}") {
            true => format!("{url}{}{QUERY}", if url.contains('?') { '&' } else { '?' }),
            false => url.clone(),
        };
        Ok(Some(Self {
            client: client(config)?,
            url,
            body: body_of(config, &method, &headers),
            method,
            headers,
            patience: Duration::from_millis(config.speech_timeout_ms),
        }))
    }

    /// Speaks; the error is a sentence without secrets.
    pub(super) async fn speak(
        &self,
        text: &str,
        voice: Option<&str>,
        language: Option<&str>,
    ) -> Result<Arc<Pcm>, String> {
        let terms = Terms([
            ("{text}", text),
            ("{voice}", voice.unwrap_or("female")),
            ("{language}", language.unwrap_or("en-us")),
        ]);
        let failed = |reason: String| format!("the HTTP speech engine: {reason}");
        let file = tokio::time::timeout(self.patience, self.fetch(&terms)).await;
        let file = match file {
            Ok(file) => file.map_err(failed)?,
            Err(_) => {
                let ms = self.patience.as_millis();
                return Err(failed(format!("no whole answer within {ms} ms")));
            }
        };
        blocking(move || decode(file, None)).await.map_err(failed)
    }

    async fn fetch(&self, terms: &Terms<'_>) -> Result<Vec<u8>, String> {
        let encoded = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        let url = terms.put_into(&self.url, encoded);
        let request = self.client.request(self.method.clone(), url);
        let request = match &self.body {
            Body::None => request,
            Body::Json(template) => {
                let json = filled(template, terms).to_string();
                request.header(CONTENT_TYPE, "application/json").body(json)
            }
            Body::Xml(template) => {
                let text = terms.put_into(template, escaped);
                request.header(CONTENT_TYPE, "application/xml").body(text)
            }
            Body::Plain(template) => {
                let text = terms.put_into(template, str::to_owned);
                request
                    .header(CONTENT_TYPE, "text/plain; charset=utf-8")
                    .body(text)
            }
        };
        // After the usual type of the body: the operator's own goes before it.
        let request = request.headers(self.headers.clone());
        let response = request.send().await.map_err(explain)?;
        match response.status() {
            status if status.is_success() => body(response, MAX_BYTES).await,
            status => Err(format!("it answered {status}")),
        }
    }
}

/// It is the operator's own place: no guard, but certificates are checked.
fn client(config: &SwitchConfig) -> Result<Client, Error> {
    let builder = || {
        Client::builder()
            .user_agent(concat!("callreel/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
    };
    let ca_file = config.speech_ca_file.as_deref();
    callreel_doors::client(builder, ca_file, "switch.speech_ca_file").map_err(|error| {
        Error::Speech(match error {
            Unusable::CaFile(reason) => format!("switch.speech_ca_file cannot be used: {reason}"),
            Unusable::Client(error) => {
                format!("there is no HTTP client for it: {}", explain(error))
            }
        })
    })
}

fn body_of(config: &SwitchConfig, method: &Method, headers: &HeaderMap) -> Body {
    let template = match &config.speech_body {
        None if method == Method::GET => return Body::None,
        None => BODY,
        Some(template) => template,
    };
    if let Ok(json @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(template) {
        return Body::Json(json);
    }
    let said = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    match said.is_some_and(|said| said.contains("xml")) || template.trim_start().starts_with('<') {
        true => Body::Xml(template.to_owned()),
        false => Body::Plain(template.to_owned()),
    }
}

/// The strings of a JSON body filled in, so that no text can break out of its place.
fn filled(template: &Value, terms: &Terms<'_>) -> Value {
    match template {
        Value::String(text) => terms.put_into(text, str::to_owned).into(),
        Value::Array(items) => items.iter().map(|item| filled(item, terms)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), filled(value, terms)))
            .collect(),
        other => other.clone(),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}
