//! Carries one file to one URL: a single try, streamed from disk. Keeps no state between tries and never decides
//! whether there is another.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use callreel_attachments::{Outside, answer, explain};
use callreel_proto::{HttpMethod, RecordingId, Utc};
use futures::TryStreamExt as _;
use reqwest::{
    Body, Method, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
};
use tokio::sync::Notify;
use url::Url;

use crate::{DeliveryConfig, rendition::Rendition, schedule::Verdict};

mod headers;
#[cfg(test)]
mod tests;

use headers::extra;

/// Redirects followed in one try; as many as Kazoo follows.
const HOPS: usize = 10;
/// One file and where it goes.
#[derive(Clone, Copy)]
pub(crate) struct Parcel<'a> {
    pub(crate) recording_id: &'a RecordingId,
    pub(crate) url: &'a Url,
    pub(crate) method: HttpMethod,
    pub(crate) file: &'a Rendition,
    pub(crate) content_type: &'static str,
    /// Hex digits.
    pub(crate) sha256: &'a str,
    /// 1 for the first try.
    pub(crate) attempt: u32,
    /// The action's own headers, which may hold secrets.
    pub(crate) headers: &'a BTreeMap<String, String>,
}

/// The way out and the patience of deliveries.
#[derive(Debug)]
pub(crate) struct Courier {
    outside: Outside,
    stall: Duration,
    total: Duration,
}

impl Courier {
    pub(crate) fn new(config: &DeliveryConfig, outside: Outside) -> Self {
        Self {
            outside,
            stall: Duration::from_secs(config.stall_timeout_s),
            total: Duration::from_secs(config.total_timeout_s),
        }
    }

    /// Tries once.
    pub(crate) async fn carry(&self, parcel: Parcel<'_>) -> Verdict {
        match tokio::time::timeout(self.total, self.follow(parcel)).await {
            Ok(Ok(verdict) | Err(verdict)) => verdict,
            Err(_) => Verdict::retry(format!(
                "not done after {} s (delivery.total_timeout_s)",
                self.total.as_secs()
            )),
        }
    }

    /// Sends the file, again at every place the receiver redirects to.
    async fn follow(&self, parcel: Parcel<'_>) -> Result<Verdict, Verdict> {
        let mut url = parcel.url.clone();
        let mut extra = extra(parcel.headers, &url);
        for _ in 0..=HOPS {
            let mut response = self.send(parcel, url.clone(), extra.clone()).await?;
            match next_hop(&url, &response) {
                Some(next) => {
                    url = next.map_err(Verdict::retry)?;
                    if url.origin() != parcel.url.origin() {
                        // For good: who leads away may lead back to a place of its choice.
                        extra.clear();
                    }
                }
                None => {
                    let said = answer(&mut response, self.stall).await;
                    let said = headers::without_values(said, parcel.headers);
                    let pause = retry_after(&response, Utc::now());
                    return Ok(Verdict::of_status(response.status().as_u16(), &said, pause));
                }
            }
        }
        Err(Verdict::retry(format!("redirected more than {HOPS} times")))
    }

    async fn send(
        &self,
        parcel: Parcel<'_>,
        url: Url,
        extra: HeaderMap,
    ) -> Result<Response, Verdict> {
        let request = self.outside.request(method(parcel.method), url)?;
        let progress = Arc::new(Notify::new());
        let body = body(parcel, Arc::clone(&progress)).await?;
        let request = request
            .header(CONTENT_TYPE, parcel.content_type)
            .header(CONTENT_LENGTH, parcel.file.bytes())
            .header("Repr-Digest", repr_digest(parcel.sha256))
            .header("Idempotency-Key", parcel.recording_id.as_str())
            .header("X-Callreel-Recording-Id", parcel.recording_id.as_str())
            .header("X-Callreel-Attempt", parcel.attempt)
            .headers(extra)
            .body(body);
        match unless_stalled(self.stall, &progress, request.send()).await {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => Err(Verdict::retry(explain(error))),
            None => Err(Verdict::retry(format!(
                "no progress for {} s (delivery.stall_timeout_s)",
                self.stall.as_secs()
            ))),
        }
    }
}

/// The file as a stream of blocks that tells of its progress.
async fn body(parcel: Parcel<'_>, progress: Arc<Notify>) -> Result<Body, Verdict> {
    let blocks = parcel.file.blocks(0).await;
    let blocks = blocks.map_err(|error| Verdict::retry(error.to_string()))?;
    Ok(Body::wrap_stream(
        blocks.inspect_ok(move |_| progress.notify_one()),
    ))
}

pub(crate) fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Put => Method::PUT,
        HttpMethod::Post => Method::POST,
    }
}

/// RFC 9530 §3.
fn repr_digest(sha256: &str) -> String {
    let raw = hex::decode(sha256).unwrap_or_default();
    format!("sha-256=:{}:", BASE64_STANDARD.encode(raw))
}

/// Waits for `work` as long as it makes progress; `None` if it made none for `patience`.
async fn unless_stalled<T>(
    patience: Duration,
    progress: &Notify,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            () = progress.notified() => {}
            () = tokio::time::sleep(patience) => return None,
        }
    }
}

/// Where a redirect leads: the same method and body go there, as Kazoo does for 301 and 302. Credentials stay with
/// their origin, and encryption is never given up.
fn next_hop(from: &Url, response: &Response) -> Option<Result<Url, String>> {
    let moved = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !moved {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok();
    let Some(mut next) = location.and_then(|location| from.join(location).ok()) else {
        return Some(Err("redirected to something that is no URL".to_owned()));
    };
    if from.scheme() == "https" && next.scheme() != "https" {
        return Some(Err(format!(
            "redirected from https to {}, which would give up encryption",
            next.scheme()
        )));
    }
    if next.origin() == from.origin() && next.username().is_empty() {
        let takes = "a URL of an origin has a host, and such URLs take credentials";
        next.set_username(from.username()).expect(takes);
        next.set_password(from.password()).expect(takes);
    }
    Some(Ok(next))
}

/// RFC 9110 §10.2.3: seconds, or a date.
pub(crate) fn retry_after(response: &Response, now: Utc) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since_1970 = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(now.unix_ms()).ok()?);
    Some(since_1970.saturating_sub(now))
}
