//! Object storage's requests through the guarded way out, and what the last of them that failed met. Knows no kind of storage.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpResponseBody, HttpService,
    },
};
use reqwest::{Body, Response};
use url::Url;

use crate::{Outside, explain, one_line};

/// From the first byte of a request to the head of its answer. A request carries at most one part, so this is 28 kB/s.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of a refusal that are read.
const REFUSAL_LIMIT: usize = 64 * 1024;
/// Characters of it that are kept.
const SAID_LIMIT: usize = 200;

/// What the library itself repeats: a part that met a hiccup, so that a long file need not begin again. All else is for the
/// schedule of deliveries, which knows the other recordings and survives a restart.
pub(crate) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(2),
            base: 2.,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(30),
    }
}

/// What a request met that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// The answer's status; `None` if there was no answer.
    pub(crate) status: Option<u16>,
    /// What happened, for people; no credentials.
    pub(crate) said: String,
}

/// The way out for one object store; clones share what went wrong.
#[derive(Clone)]
pub(crate) struct Connector {
    outside: Outside,
    trouble: Arc<Mutex<Option<Trouble>>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    pub(crate) fn new(outside: Outside) -> Self {
        let trouble = Arc::default();
        Self { outside, trouble }
    }

    /// What the last request met that failed.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, status: Option<u16>, said: String) {
        let trouble = Trouble { status, said };
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    fn failed(&self, kind: HttpErrorKind, said: String) -> HttpError {
        self.note(None, said.clone());
        HttpError::new(kind, std::io::Error::other(said))
    }

    async fn send(&self, request: HttpRequest) -> Result<Response, HttpError> {
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string());
        let url = url.map_err(|e| self.failed(HttpErrorKind::Unknown, e.to_string()))?;
        // Another try would be barred as well, so it is of a kind that is not repeated.
        let barred = |e: crate::Barred| self.failed(HttpErrorKind::Unknown, e.to_string());
        let request = self.outside.request(head.method, url).map_err(barred)?;
        let request = request.headers(head.headers).body(Body::wrap(body));
        match tokio::time::timeout(PATIENCE, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let kind = kind_of(&error);
                Err(self.failed(kind, explain(error)))
            }
            Err(_) => {
                let said = format!("no answer for {} s", PATIENCE.as_secs());
                Err(self.failed(HttpErrorKind::Timeout, said))
            }
        }
    }

    /// Reads a refusal, notes it and passes it on.
    async fn refusal(&self, mut response: Response) -> HttpResponse {
        let mut said = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            said.extend_from_slice(&chunk[..chunk.len().min(REFUSAL_LIMIT - said.len())]);
            if said.len() == REFUSAL_LIMIT {
                break;
            }
        }
        let text = meaning(&String::from_utf8_lossy(&said));
        self.note(Some(response.status().as_u16()), text);
        let body = Full::new(Bytes::from(said)).map_err(|never| match never {});
        answer(&mut response, HttpResponseBody::new(body))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.send(request).await?;
        if !response.status().is_success() {
            let refusal = tokio::time::timeout(PATIENCE, self.refusal(response)).await;
            return refusal.map_err(|_| {
                self.failed(
                    HttpErrorKind::Timeout,
                    "an answer that did not end".to_owned(),
                )
            });
        }
        let mut head = answer(&mut response, HttpResponseBody::from(Bytes::new()));
        let body = Body::from(response);
        let body = body.map_err(|e| HttpError::new(kind_of(&e), e.without_url()));
        *head.body_mut() = HttpResponseBody::new(body);
        Ok(head)
    }
}

fn answer(response: &mut Response, body: HttpResponseBody) -> HttpResponse {
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    answer
}

fn kind_of(error: &reqwest::Error) -> HttpErrorKind {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<crate::guard::Forbidden>() {
            return HttpErrorKind::Unknown;
        }
        cause = inner.source();
    }
    if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_timeout() {
        HttpErrorKind::Timeout
    } else {
        HttpErrorKind::Interrupted
    }
}

/// Code and message of an XML refusal. The rest of one may repeat what was signed.
fn meaning(text: &str) -> String {
    let tag = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (inner, _) = rest.split_once(&format!("</{name}>"))?;
        Some(one_line(inner, SAID_LIMIT))
    };
    match (tag("Code"), tag("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => String::new(),
    }
}
