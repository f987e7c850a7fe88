//! Carries what telemetry exports to its receiver by the HTTP client that everything else uses, and says once when the receiver
//! is away and once when it is back. Knows nothing of what it carries.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

/// The longest answer that is read, bytes: a receiver says how much it took, and perhaps why not all.
const LONGEST_ANSWER: usize = 64 << 10;

/// The way to a receiver; clones share it. Exporters wait for it in threads of their own, so that the work is done in the runtime's.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    away: Arc<AtomicBool>,
}

impl Sender {
    /// A way by this client, in the runtime this is called in.
    pub(super) fn new(client: reqwest::Client) -> Self {
        Self {
            client,
            runtime: Handle::current(),
            away: Arc::default(),
        }
    }

    /// Says when this changes.
    fn heard(&self, trouble: Option<String>) {
        let was_away = self.away.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(why) if !was_away => {
                tracing::warn!(
                    why,
                    "telemetry.otlp_endpoint takes nothing: traces, metrics and logs are thrown away there until it does"
                );
            }
            None if was_away => tracing::info!("telemetry.otlp_endpoint is there again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let answered = self.runtime.spawn(send(client, request)).await;
        let answered = answered.map_err(HttpError::from).flatten();
        self.heard(match &answered {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        });
        answered
    }
}

async fn send(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    // A URL may hold a secret in its query.
    let tried = client.execute(request.try_into()?).await;
    let mut response = tried.map_err(reqwest::Error::without_url)?;
    let mut answer = Response::builder().status(response.status());
    if let Some(headers) = answer.headers_mut() {
        *headers = response.headers().clone();
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err("its answer is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(answer.body(body.into())?)
}
