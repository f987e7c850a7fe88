//! Asks web servers that flows name: guarded, bounded in time and size, and those that keep failing are left alone. Never says
//! what an answer means.

mod breaker;
pub(crate) mod letter;
pub(crate) mod pivot;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callreel_attachments::{Outside, explain, hop::next_hop};
use callreel_callflow::web::{Verb, WebRequest};
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap},
};
use tokio::{sync::Semaphore, time::Instant};
use url::Url;

use breaker::Breakers;

/// Bytes of an answer that are taken: the largest callflows of accounts have a tenth of it.
const LARGEST_ANSWER: usize = 1 << 20;
/// Redirects followed: more are a circle.
const MOST_HOPS: usize = 4;
/// Letters under way at once, each with its answer in memory; more are not sent, and that is an error.
const MOST_LETTERS: usize = 1000;

/// The way to web servers, of which there is one per node.
pub(crate) struct Web {
    outside: Outside,
    breakers: Mutex<Breakers>,
    letters: Arc<Semaphore>,
}

/// What a server has answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer, for people; without credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// Nothing is sent there, or what came is not taken. The server may be well.
    #[error("{0}")]
    Refused(String),
    /// The server cannot be reached, or does not answer.
    #[error("{0}")]
    Failed(String),
}

impl Web {
    pub(crate) fn new(outside: Outside) -> Self {
        Self {
            outside,
            breakers: Mutex::default(),
            letters: Arc::new(Semaphore::new(MOST_LETTERS)),
        }
    }

    /// Asks once, within the request's patience.
    ///
    /// # Errors
    /// There is no whole answer. One that says no is an answer.
    pub(crate) async fn ask(&self, request: &WebRequest) -> Result<Reply, Trouble> {
        let host = request.url.origin().ascii_serialization();
        self.breakers()
            .may(&host, Instant::now())
            .map_err(Trouble::Refused)?;
        let asked = tokio::time::timeout(request.patience, self.send(request)).await;
        let asked = asked.unwrap_or_else(|_| {
            let patience = request.patience.as_millis();
            Err(Trouble::Failed(format!(
                "no whole answer came within {patience} ms"
            )))
        });
        let now = Instant::now();
        match &asked {
            Ok(reply) if reply.status.is_server_error() => {
                let said = format!("it answered {}", reply.status.as_u16());
                self.breakers().failed(&host, &said, now);
            }
            Ok(_) => self.breakers().lives(&host),
            Err(Trouble::Failed(said)) => self.breakers().failed(&host, said, now),
            Err(Trouble::Refused(_)) => {}
        }
        asked
    }

    async fn send(&self, request: &WebRequest) -> Result<Reply, Trouble> {
        let mut url = request.target();
        let home = url.origin();
        let body = request.body();
        for _ in 0..=MOST_HOPS {
            let own = url.origin() == home;
            let response = self.once(request, url.clone(), body.clone(), own).await?;
            let status = match response.status() {
                // "Get it there" (RFC 9110 §15.4.4): what a GET does anyway.
                StatusCode::SEE_OTHER if request.verb == Verb::Get => StatusCode::FOUND,
                status => status,
            };
            match next_hop(&url, status, response.headers()) {
                Some(Ok(next)) => url = next,
                Some(Err(reason)) => return Err(Trouble::Refused(reason)),
                None => return whole(response).await,
            }
        }
        let said = format!("redirected more than {MOST_HOPS} times");
        Err(Trouble::Refused(said))
    }

    /// One request. The author's headers go to no other server than the author's.
    async fn once(
        &self,
        request: &WebRequest,
        url: Url,
        body: Option<String>,
        own: bool,
    ) -> Result<Response, Trouble> {
        let method = match request.verb {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
        };
        let barred = |error: callreel_attachments::Barred| Trouble::Refused(error.to_string());
        let mut sent = self.outside.request(method, url).map_err(barred)?;
        sent = sent.header(ACCEPT, "application/json");
        if own {
            for (name, value) in &request.headers {
                sent = sent.header(name, value);
            }
        }
        if let Some(body) = body {
            sent = sent
                .header(CONTENT_TYPE, request.format.content_type())
                .body(body);
        }
        let failed = |error| Trouble::Failed(explain(error));
        sent.send().await.map_err(failed)
    }

    /// Returns when no letter is under way.
    pub(crate) async fn settled(&self) {
        let all = u32::try_from(MOST_LETTERS).expect("a thousand");
        // The semaphore is never closed.
        drop(self.letters.acquire_many(all).await);
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads an answer to its end.
async fn whole(mut response: Response) -> Result<Reply, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| Trouble::Failed(explain(e)))?
    {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            let said = format!("its answer is larger than {LARGEST_ANSWER} bytes");
            return Err(Trouble::Refused(said));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body,
    })
}
