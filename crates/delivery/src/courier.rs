//! Carries one file to one URL: a single try, streamed from disk. Keeps no state between tries and never decides
//! whether there is another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use callreel_attachments::{
    Outside, answer, explain,
    hop::{self, next_hop},
};
use callreel_proto::{HttpMethod, RecordingId, Utc};
use futures::TryStreamExt as _;
use reqwest::{
    Body, Method, RequestBuilder, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER},
};
use tokio::sync::Notify;
use url::{Position, Url};

use crate::{DeliveryConfig, access::Access, rendition::Rendition, schedule::Verdict};

mod metadata;
mod signature;
#[cfg(test)]
mod tests;

pub(crate) use metadata::metadata;

use signature::{Signed, signature};

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
    /// What is told of the recording; goes along everywhere, as the file does.
    pub(crate) metadata: &'a HeaderMap,
    /// What lets it in at the URL's origin, and nowhere else.
    pub(crate) access: &'a Access,
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
        let mut access = parcel.access.clone();
        for _ in 0..=HOPS {
            let (mut response, sent) = self.send(parcel, url.clone(), &access).await?;
            match next_hop(&url, response.status(), response.headers()) {
                Some(next) => {
                    url = next.map_err(Verdict::retry)?;
                    if url.origin() != parcel.url.origin() {
                        // For good: who leads away may lead back to a place of its choice.
                        access.nothing();
                    }
                }
                None if response.status().is_success() && sent < parcel.file.bytes() => {
                    return Err(Verdict::retry(format!(
                        "the receiver answered {} before it had the whole file",
                        response.status().as_u16()
                    )));
                }
                None => {
                    let said = answer(&mut response, self.stall).await;
                    let said = parcel.access.without_secrets(said);
                    let said = hop::explain(response.status()).map_or(said, str::to_owned);
                    let pause = retry_after(&response, Utc::now());
                    return Ok(Verdict::of_status(response.status().as_u16(), &said, pause));
                }
            }
        }
        Err(Verdict::retry(format!("redirected more than {HOPS} times")))
    }

    /// One request; its answer, and the bytes of the file that were sent by then.
    async fn send(
        &self,
        parcel: Parcel<'_>,
        url: Url,
        access: &Access,
    ) -> Result<(Response, u64), Verdict> {
        let request = self.outside.request(method(parcel.method), url.clone())?;
        let progress = Arc::new(Progress::default());
        let body = body(parcel, Arc::clone(&progress)).await?;
        let request = labelled(request, parcel, &url, access).body(body);
        match unless_stalled(self.stall, &progress, request.send()).await {
            Some(Ok(response)) => Ok((response, progress.sent.load(Ordering::Relaxed))),
            Some(Err(error)) => Err(Verdict::retry(explain(error))),
            None => Err(Verdict::retry(format!(
                "no progress for {} s (delivery.stall_timeout_s)",
                self.stall.as_secs()
            ))),
        }
    }
}

/// The request with all its headers. Signed anew for every hop, because the target and the instant are part of it.
fn labelled(
    request: RequestBuilder,
    parcel: Parcel<'_>,
    url: &Url,
    access: &Access,
) -> RequestBuilder {
    let base64 = BASE64_STANDARD.encode(hex::decode(parcel.sha256).unwrap_or_default());
    let request = request
        .headers(parcel.metadata.clone())
        .header(CONTENT_TYPE, parcel.content_type)
        .header(CONTENT_LENGTH, parcel.file.bytes())
        // RFC 9530 §3, and RFC 3230 §4.3.2 for receivers that know no better.
        .header("Repr-Digest", format!("sha-256=:{base64}:"))
        .header("Digest", format!("SHA-256={base64}"))
        .header("X-Callreel-Sha256", parcel.sha256)
        .header("Idempotency-Key", parcel.recording_id.as_str())
        .header("X-Callreel-Recording-Id", parcel.recording_id.as_str())
        .header("X-Callreel-Attempt", parcel.attempt)
        .headers(access.headers.clone());
    let Some(secret) = &access.signing_secret else {
        return request;
    };
    let method = method(parcel.method);
    let signed = Signed {
        method: method.as_str(),
        target: &url[Position::BeforePath..Position::AfterQuery],
        sha256: parcel.sha256,
        idempotency_key: parcel.recording_id.as_str(),
    };
    request.header(
        "X-Callreel-Signature",
        signature(secret, signed, Utc::now()),
    )
}

/// How far a request has come.
#[derive(Debug, Default)]
struct Progress {
    moved: Notify,
    /// Bytes of the file that the connection has taken.
    sent: AtomicU64,
}

impl Progress {
    fn goes_on(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.moved.notify_one();
    }
}

/// The file as a stream of blocks that tells of its progress.
async fn body(parcel: Parcel<'_>, progress: Arc<Progress>) -> Result<Body, Verdict> {
    let blocks = parcel.file.blocks(0).await;
    let blocks = blocks.map_err(|error| Verdict::retry(error.to_string()))?;
    Ok(Body::wrap_stream(blocks.inspect_ok(move |block| {
        progress.goes_on(block.len() as u64)
    })))
}

pub(crate) fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Put => Method::PUT,
        HttpMethod::Post => Method::POST,
    }
}

/// Waits for `work` as long as it makes progress; `None` if it made none for `patience`.
async fn unless_stalled<T>(
    patience: Duration,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            () = progress.moved.notified() => {}
            () = tokio::time::sleep(patience) => return None,
        }
    }
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
