//! Carries one letter to its webhook: tries, waits, tries again, gives up. Knows no other letter.

use std::time::Duration;

use callreel_attachments::{Outside, answer, explain};
use callreel_proto::Utc;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::Semaphore;
use tracing::{debug, error};

use super::letter::{Letter, signature};
use crate::{
    courier::{method, retry_after},
    schedule::{Policy, Verdict},
};

/// Requests under way at once: a second's worth of a busy node's facts at a tenth of a second each, and far fewer sockets
/// than deliveries may need.
const AT_ONCE: usize = 256;
/// The waits between tries; letters live in memory, so that longer ones would only lose more.
const WAITS: Policy = Policy {
    first: Duration::from_secs(1),
    max: Duration::from_secs(60),
    give_up_after: Duration::MAX,
};

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver acknowledged it.
    Arrived,
    /// All tries failed.
    GivenUp,
}

/// The way out, and how long a try may last.
#[derive(Debug)]
pub(super) struct Postman {
    outside: Outside,
    timeout: Duration,
    turns: Semaphore,
}

impl Postman {
    pub(super) fn new(outside: Outside, timeout: Duration) -> Self {
        Self {
            outside,
            timeout,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Brings the letter, at last or not. Whoever waits for another try takes nobody's turn.
    pub(super) async fn carry(&self, letter: &Letter) -> Outcome {
        let (event, place, id) = (letter.event(), letter.hook.place(), letter.id());
        let body = letter.body();
        for attempt in 1..=letter.hook.tries {
            let (reason, pause) = match self.once(letter, &id, body.clone()).await {
                Verdict::Delivered => return Outcome::Arrived,
                Verdict::Refused { reason } => {
                    error!(event, place, id, reason, "a webhook cannot be told");
                    return Outcome::GivenUp;
                }
                Verdict::Retry {
                    reason,
                    retry_after,
                }
                | Verdict::Unwelcome {
                    reason,
                    retry_after,
                } => (reason, retry_after.unwrap_or_default()),
            };
            if attempt == letter.hook.tries {
                let recording_id = letter
                    .what
                    .notice
                    .recording_id
                    .as_ref()
                    .map(|id| id.as_str());
                error!(
                    event,
                    place,
                    id,
                    recording_id,
                    reason,
                    tries = attempt,
                    "a webhook was not told"
                );
                break;
            }
            debug!(
                event,
                place, id, reason, attempt, "a webhook is told again later"
            );
            let wait = WAITS
                .wait(attempt, rand::random())
                .max(pause.min(WAITS.max));
            tokio::time::sleep(wait).await;
        }
        Outcome::GivenUp
    }

    async fn once(&self, letter: &Letter, id: &str, body: Vec<u8>) -> Verdict {
        let Ok(_turn) = self.turns.acquire().await else {
            return Verdict::retry("the role is stopping");
        };
        match tokio::time::timeout(self.timeout, self.send(letter, id, body)).await {
            Ok(Ok(verdict) | Err(verdict)) => verdict,
            Err(_) => Verdict::retry(format!(
                "no answer within {} s (webhooks.timeout_s)",
                self.timeout.as_secs()
            )),
        }
    }

    /// A redirect is no acknowledgement, and is not followed: what is signed for one is not for another.
    async fn send(&self, letter: &Letter, id: &str, body: Vec<u8>) -> Result<Verdict, Verdict> {
        let hook = &letter.hook;
        let mut request = self
            .outside
            .request(method(hook.method), hook.url.clone())?
            .header(CONTENT_TYPE, "application/json")
            .header("X-Callreel-Event", letter.event())
            .header("X-Callreel-Delivery", id);
        if let Some(secret) = &hook.secret {
            let signed = signature(secret, &body, Utc::now());
            request = request.header("X-Callreel-Signature", signed);
        }
        let sent = request.body(body).send().await;
        let mut response = sent.map_err(|error| Verdict::retry(explain(error)))?;
        let status = response.status().as_u16();
        let pause = retry_after(&response, Utc::now());
        let said = answer(&mut response, self.timeout).await;
        Ok(Verdict::of_status(status, &said, pause))
    }
}
