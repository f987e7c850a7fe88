//! Deletes the stored recordings whose time is over: a task that walks the month databases, round by round.

use std::{
    cmp::Ordering,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use callreel_attachments::{Attachments, Deleted, Error as AttachmentsError, How};
use callreel_bus::Bus;
use callreel_proto::{
    AccountDb, AccountId, CallId, Exchange, RecordingFact, RecordingId, RecordingNotice, Utc,
};
use callreel_spool::{Entry, Manifest, View as SpoolView, What};
use callreel_store::{Error as StoreError, RecordingKey, Recordings, View};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use super::{
    Fate, Term,
    clock::{Believed, Clock},
    cutoff, fate, looks, month_database, wait,
};
use crate::DeliveryConfig;

/// Documents read at once: some hundreds of kilobytes.
const PAGE: usize = 100;

/// The first round waits at most this long, so that a node's start is over before it.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// Who deletes, for manifest and notices.
const BY: &str = "retention";

/// When rounds are, and what they go by.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// For accounts that say nothing.
    pub(crate) default: Term,
    /// From round to round.
    pub(crate) interval: Duration,
    /// A clock that went on by more than this from one round to the next is not believed.
    pub(crate) most: Duration,
}

impl Settings {
    /// What the configuration says; none if there are to be no rounds.
    pub(crate) fn of(config: &DeliveryConfig) -> Option<Self> {
        let default = config.retain_for.as_deref().map(Term::parse);
        (config.retention_interval_s > 0).then(|| Self {
            // The configuration has been checked.
            default: default.and_then(Result::ok).unwrap_or(Term::Forever),
            interval: Duration::from_secs(config.retention_interval_s),
            most: Duration::from_hours(config.retention_clock_days.saturating_mul(24)),
        })
    }
}

/// The last round and all of them, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Picture {
    /// When the last round ended, RFC 3339.
    last_round: Option<String>,
    /// Why it did not look at everything, if it did not.
    trouble: Option<String>,
    /// Recordings whose time is over, and which a legal hold keeps.
    held: u64,
    /// Recordings that could not be deleted in the last round.
    failed: u64,
    /// Recordings deleted since the start.
    deleted: u64,
}

/// The task, and what it shows.
#[derive(Debug)]
pub(crate) struct Keeper {
    task: JoinHandle<()>,
    picture: Arc<Mutex<Picture>>,
}

impl Keeper {
    /// Starts the rounds; none if the configuration wants none.
    pub(crate) fn start(
        settings: Option<Settings>,
        attachments: Attachments,
        bus: Bus,
        spool: &SpoolView,
        node: &str,
    ) -> Option<Self> {
        let settings = settings?;
        let picture = Arc::default();
        let rounds = Rounds {
            clock: Arc::new(Clock::beside(spool.dir(), settings.most)),
            settings,
            attachments,
            bus,
            manifest: spool.manifest(),
            node: node.to_owned(),
            picture: Arc::clone(&picture),
        };
        let task = tokio::spawn(rounds.run());
        Some(Self { task, picture })
    }

    pub(crate) fn describe(&self) -> Picture {
        let picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        picture.clone()
    }

    /// Breaks off: what is half deleted is completed by another round.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

pub(super) struct Rounds {
    pub(super) settings: Settings,
    pub(super) clock: Arc<Clock>,
    pub(super) attachments: Attachments,
    pub(super) bus: Bus,
    pub(super) manifest: Manifest,
    pub(super) node: String,
    pub(super) picture: Arc<Mutex<Picture>>,
}

/// One account in one round.
struct Visit<'a> {
    account: &'a AccountId,
    cutoff: i64,
    why: String,
}

impl Rounds {
    async fn run(self) {
        let first = wait(self.settings.interval.min(FIRST_WAIT), rand::random());
        tokio::time::sleep(first).await;
        loop {
            let now = Utc::now();
            let trouble = match self.clock_is_believed().await {
                Ok(()) => self.round(now).await.err().map(|error| error.to_string()),
                Err(reason) => Some(reason),
            };
            if let Some(trouble) = &trouble {
                warn!(
                    trouble,
                    "recordings whose time is over were not all looked at; the next round does"
                );
            }
            self.show(|picture| {
                picture.last_round = Some(now.rfc3339());
                picture.trouble = trouble;
            });
            tokio::time::sleep(wait(self.settings.interval, rand::random())).await;
        }
    }

    async fn clock_is_believed(&self) -> Result<(), String> {
        let clock = Arc::clone(&self.clock);
        let look = tokio::task::spawn_blocking(move || clock.look(SystemTime::now()));
        let path = self.clock.path().display();
        match look.await.expect("looking at a file does not panic") {
            Ok(Believed::Yes) => Ok(()),
            Ok(Believed::NotYet) => Err(
                "it is the first round here: the clock's time is noted, the next one deletes"
                    .to_owned(),
            ),
            Ok(Believed::Jumped(by)) => {
                let days = by.as_secs() / 86_400;
                error!(days, clock = %path, "the clock is days later than at the last round: nothing is deleted until you have looked at it");
                Err(format!(
                    "the clock is {days} days later than at the last round; if it is right, touch {path}"
                ))
            }
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    /// Looks at every account once. What cannot be deleted now is tried again at the next round.
    pub(super) async fn round(&self, now: Utc) -> Result<(), StoreError> {
        self.show(|picture| (picture.held, picture.failed) = (0, 0));
        let names = self.attachments.store().databases().await?;
        let months: Vec<_> = names
            .iter()
            .filter_map(|name| month_database(name).map(|(account, month)| (name, account, month)))
            .collect();
        for of_account in months.chunk_by(|a, b| a.1 == b.1) {
            let account = &of_account[0].1;
            let Term::Seconds(seconds) = self.term(account).await? else {
                continue;
            };
            let visit = Visit {
                account,
                cutoff: cutoff(now, seconds),
                why: format!("kept for {seconds} s after its end (retain_for)"),
            };
            for (db, _, month) in of_account {
                match looks(month, visit.cutoff) {
                    Ordering::Less => {}
                    Ordering::Equal => self.newest_month(&visit, db).await?,
                    Ordering::Greater => self.older_month(&visit, db).await?,
                }
            }
        }
        Ok(())
    }

    /// How long the account's recordings are kept. While that cannot be told, they are.
    async fn term(&self, account: &AccountId) -> Result<Term, StoreError> {
        let db = AccountDb::name(account);
        let Some(doc) = self.attachments.store().get(&db, account.as_str()).await? else {
            warn!(account_id = %account, "it has recordings and no account document, so nothing tells how long they are kept: none is deleted");
            return Ok(Term::Forever);
        };
        Ok(Term::of(&doc, self.settings.default).unwrap_or_else(|reason| {
            error!(account_id = %account, reason, "call_recording.retain_for of the account's document cannot be read: none of its recordings is deleted");
            Term::Forever
        }))
    }

    /// The month the cutoff is in: only what was created before it is read.
    async fn newest_month(&self, visit: &Visit<'_>, db: &str) -> Result<(), StoreError> {
        let mut last: Option<RecordingKey> = None;
        loop {
            let page = View::Recordings(Recordings {
                created_to: Some(visit.cutoff),
                start: last.clone(),
                limit: PAGE + 1,
                ..Recordings::default()
            });
            let mut docs = self.attachments.store().query(db, page).await?;
            // A page begins with the last one of the page before, unless that is deleted.
            docs.retain(|doc| last.as_ref() != Some(&RecordingKey::of(doc)));
            let Some(end) = docs.last() else {
                return Ok(());
            };
            last = Some(RecordingKey::of(end));
            self.judge(visit, db, &docs).await;
        }
    }

    /// A month before it: all there is, also what was deleted softly and is in no listing.
    async fn older_month(&self, visit: &Visit<'_>, db: &str) -> Result<(), StoreError> {
        let mut last = String::new();
        loop {
            let docs = self.attachments.store().page(db, &last, PAGE).await?;
            let Some(id) = docs.last().and_then(|doc| doc["_id"].as_str()) else {
                return Ok(());
            };
            last = id.to_owned();
            self.judge(visit, db, &docs).await;
        }
    }

    async fn judge(&self, visit: &Visit<'_>, db: &str, docs: &[Value]) {
        for doc in docs {
            match fate(doc, visit.cutoff) {
                Fate::Stays => {}
                Fate::Held => self.show(|picture| picture.held += 1),
                Fate::Goes => self.delete(visit, db, doc).await,
            }
        }
    }

    async fn delete(&self, visit: &Visit<'_>, db: &str, doc: &Value) {
        let id = doc["_id"].as_str().unwrap_or_default();
        match self.attachments.delete(db, id, How::Hard).await {
            Ok(Some(deleted)) => self.tell(visit, id, doc, deleted).await,
            // Another node was faster.
            Ok(None) => {}
            Err(AttachmentsError::Held(_)) => self.show(|picture| picture.held += 1),
            Err(error) => {
                warn!(recording_id = id, account_id = %visit.account, %error, "its time is over, and it cannot be deleted; the next round tries again");
                self.show(|picture| picture.failed += 1);
            }
        }
    }

    async fn tell(&self, visit: &Visit<'_>, id: &str, doc: &Value, deleted: Deleted) {
        let (account, receipts) = (visit.account, deleted.receipts.join("; "));
        info!(recording_id = id, account_id = %account, receipts, "deleted: its time is over");
        self.show(|picture| picture.deleted += 1);
        let recording_id = RecordingId::parse(id).ok();
        let reason = match recording_id {
            Some(_) => visit.why.clone(),
            None => format!("document {id:?}, {}", visit.why),
        };
        let entry = Entry {
            account_id: Some(account.clone()),
            recording_id: recording_id.clone(),
            what: What::Deleted {
                by: BY.to_owned(),
                reason,
                receipts: deleted.receipts,
            },
        };
        let manifest = self.manifest.clone();
        let noted = tokio::task::spawn_blocking(move || manifest.note(&entry));
        noted.await.expect("the manifest does not panic");
        // Notices are about recordings that have an id of today's form.
        if recording_id.is_some() {
            let call_id = CallId::new(doc["call_id"].as_str().unwrap_or_default());
            let notice = RecordingNotice {
                recording_id,
                detail: Some(format!("{}: {receipts}", visit.why)),
                ..RecordingNotice::new(RecordingFact::Deleted, account.clone(), call_id)
            };
            self.publish(notice).await;
        }
    }

    async fn publish(&self, notice: RecordingNotice) {
        let key = notice.routing_key();
        let (node, envelope) = (&self.node, notice.into_envelope());
        self.bus.tell(node, Exchange::Kapps, &key, envelope).await;
    }

    fn show(&self, change: impl FnOnce(&mut Picture)) {
        change(&mut self.picture.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
