//! Tells webhooks what happens to recordings: hears every notice on the bus, finds who wants to know, and sends it on. Lives in
//! memory, beside the queue of deliveries and never in its way.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use callreel_attachments::Outside;
use callreel_bus::{Binding, Bus, Mishaps, QueueOptions, Subscription};
use callreel_proto::{AccountId, Envelope, Exchange, RecordingNotice, Utc};
use callreel_store::{Store, View, WEBHOOKS};
use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::Error;

mod config;
mod hook;
mod letter;
mod lines;
mod postman;

pub use config::{WEBHOOKS_CONFIG_KEYS, WebhooksConfig};

use hook::Hook;
use letter::{Happened, Letter};
use lines::{Lines, Put};
use postman::{Outcome, Postman};

/// The queue of all delivery roles of a cluster: each notice is told by one of them.
const QUEUE: &str = "callreel-webhooks";
/// Notices that may wait for a look into the store: several seconds of a busy cluster's.
const BACKLOG: usize = 4096;
/// Letters waiting and under way, of all webhooks: some tens of megabytes at most, minutes of a busy node's facts.
const LETTERS: usize = 10_000;
/// Webhooks of one account that are looked at: a guard against a script gone mad.
const HOOKS_PER_ACCOUNT: usize = 50;
/// How long letters may still go out when the role stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// The running part of the role.
#[derive(Debug)]
pub(crate) struct Webhooks {
    stop: CancellationToken,
    counts: Arc<Counts>,
    running: JoinHandle<()>,
}

/// What happened since the start, and how much waits.
#[derive(Debug, Default)]
struct Counts {
    told: AtomicU64,
    given_up: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
    unusable: Mishaps,
}

/// Starts to hear and to tell.
///
/// # Errors
/// The settings are unusable, or the bus refused.
pub(crate) async fn start(
    config: &WebhooksConfig,
    outside: Outside,
    bus: &Bus,
    store: Store,
) -> Result<Webhooks, Error> {
    config.validate()?;
    let options = QueueOptions::shared(QUEUE, BACKLOG);
    let everything = Binding::new(Exchange::Kapps, RecordingNotice::ALL);
    let subscription = bus.subscribe(options, vec![everything]).await?;
    let (stop, counts) = (CancellationToken::new(), Arc::<Counts>::default());
    let office = Office {
        system: Hook::of_system(config).map(Arc::new),
        store,
        lines: Lines::new(LETTERS),
        posts: JoinSet::new(),
        postman: Arc::new(Postman::new(outside, config.timeout())),
        counts: Arc::clone(&counts),
    };
    let running = tokio::spawn(office.run(subscription, stop.clone()));
    Ok(Webhooks {
        stop,
        counts,
        running,
    })
}

impl Webhooks {
    /// How much was told, and how much waits.
    pub(crate) fn describe(&self) -> Value {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        json!({
            "waiting": count(&self.counts.waiting),
            "since_start": {
                "told": count(&self.counts.told),
                "given_up": count(&self.counts.given_up),
                "dropped": count(&self.counts.dropped),
            },
            "unusable": self.counts.unusable.counts(),
        })
    }

    /// Stops: what was heard may still go out for a moment; what waits for another try is lost.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // A panic in it is in the log already.
        drop(self.running.await);
    }
}

/// The one task that owns all lines.
struct Office {
    system: Option<Arc<Hook>>,
    store: Store,
    lines: Lines<Letter>,
    /// Letters under way; each gives its line's key back.
    posts: JoinSet<(String, Outcome)>,
    postman: Arc<Postman>,
    counts: Arc<Counts>,
}

impl Office {
    async fn run(mut self, mut subscription: Subscription, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                heard = subscription.recv() => match heard {
                    Some(delivery) => self.hear(&delivery.body).await,
                    None => break,
                },
                Some(done) = self.posts.join_next() => self.done(done),
            }
        }
        while let Some(Some(delivery)) = subscription.recv().now_or_never() {
            self.hear(&delivery.body).await;
        }
        let rest = async {
            while let Some(done) = self.posts.join_next().await {
                self.done(done);
            }
        };
        drop(timeout(STOP_GRACE, rest).await);
        if self.lines.len() > 0 {
            error!(
                letters = self.lines.len(),
                "webhooks are not told of all that happened: the role stops"
            );
        }
    }

    async fn hear(&mut self, bytes: &[u8]) {
        let notice = match Envelope::<RecordingNotice>::from_bytes(bytes) {
            Ok(notice) => notice,
            Err(error) => {
                if self.counts.unusable.count(&error.what) {
                    warn!(%error, "passing over a notice; more of this kind are only counted");
                }
                return;
            }
        };
        let hooks = self.hooks(&notice.body.account_id).await;
        let what = Arc::new(Happened {
            notice: notice.body,
            msg_id: notice.headers.msg_id,
            node: notice.headers.node,
            at: Utc::now(),
        });
        for hook in hooks.into_iter().filter(|hook| hook.wants(&what.notice)) {
            let what = Arc::clone(&what);
            self.put(Letter { hook, what });
        }
        self.note_waiting();
    }

    /// Who may want to know of this account's recordings.
    async fn hooks(&self, account: &AccountId) -> Vec<Arc<Hook>> {
        let view = View::WebhooksOf(account.as_str().to_owned());
        let docs = self.store.query(WEBHOOKS, view).await;
        let docs = docs.unwrap_or_else(|error| {
            error!(%account, %error, "cannot read its webhooks; they are not told");
            Vec::new()
        });
        let own = docs.iter().take(HOOKS_PER_ACCOUNT).filter_map(|doc| {
            Hook::read(doc).unwrap_or_else(|reason| {
                let id = doc["_id"].as_str().unwrap_or_default();
                if self
                    .counts
                    .unusable
                    .count(&format!("webhook {id}: {reason}"))
                {
                    warn!(%account, id, reason, "a webhook cannot be obeyed");
                }
                None
            })
        });
        self.system
            .iter()
            .cloned()
            .chain(own.map(Arc::new))
            .collect()
    }

    fn put(&mut self, letter: Letter) {
        let key = letter.hook.key.clone();
        let Put { go, dropped } = self.lines.put(&key, letter);
        if let Some(dropped) = dropped {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            error!(
                event = dropped.event(),
                place = dropped.hook.place(),
                capacity = LETTERS,
                "too much waits for webhooks: the oldest is dropped"
            );
        }
        if let Some(letter) = go {
            self.send(key, letter);
        }
    }

    fn send(&mut self, key: String, letter: Letter) {
        let postman = Arc::clone(&self.postman);
        self.posts.spawn(async move {
            let carried = AssertUnwindSafe(postman.carry(&letter)).catch_unwind();
            let outcome = carried.await.unwrap_or_else(|payload| {
                error!(
                    reason = crate::panic_text(&*payload),
                    "telling a webhook panicked"
                );
                Outcome::GivenUp
            });
            (key, outcome)
        });
    }

    fn done(&mut self, done: Result<(String, Outcome), tokio::task::JoinError>) {
        let (key, outcome) = done.expect("a post catches its panics and is not aborted");
        let count = match outcome {
            Outcome::Arrived => &self.counts.told,
            Outcome::GivenUp => &self.counts.given_up,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(next) = self.lines.next(&key) {
            self.send(key, next);
        }
        self.note_waiting();
    }

    fn note_waiting(&self) {
        let letters = self.lines.len() as u64;
        self.counts.waiting.store(letters, Ordering::Relaxed);
    }
}
