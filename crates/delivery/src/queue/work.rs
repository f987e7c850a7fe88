//! Which work the queue hands to whom, and when it looks again; and its picture for operators.

use std::{sync::Arc, time::Duration};

use callreel_proto::{Account, AccountDb, Destination, RecordingId, Utc};
use callreel_spool::{Recipient, Ticket};
use ractor::ActorRef;
use serde_json::{Value, json};
use tracing::error;
use url::Position;

use super::{DESCRIBED, HANDED_PER_TURN, QueueMsg, ROOM_PAUSE, State};
use crate::{
    book::{Entry, Place, Stage},
    ledger::Needs,
    ways::Way,
};

/// The place where documents go. No host has a space in its name.
const STORE: &str = "account database";

/// Where the next try goes.
fn destination(ticket: &Ticket) -> String {
    let owes_only_document = ticket.delivery().uploaded_at.is_some();
    match &ticket.promise().destination {
        Destination::Http { url, .. } if !owes_only_document => {
            let host = &url[Position::BeforeHost..Position::AfterPort];
            format!("{}://{host}", url.scheme())
        }
        // A storage plan may send it anywhere, and one account's dead bucket must hold up no other account.
        Destination::AccountDb if !owes_only_document => {
            format!("storage of account {}", ticket.promise().account_id)
        }
        _ => STORE.to_owned(),
    }
}

/// How long the queue waits for an account's document: a store that answers does so in milliseconds, and everybody waits with it.
const LOOKING_UP: Duration = Duration::from_secs(2);

impl State {
    /// Hands out what can be worked on, and sets the timer for what is due next.
    pub(super) async fn go_on(&mut self, myself: &ActorRef<QueueMsg>) {
        if self.stopping {
            if Stage::ALL.iter().all(|stage| self.book.out(*stage) == 0) {
                myself.stop(None);
            }
            return;
        }
        self.book.advance(self.watch.now());
        for stage in Stage::ALL {
            if self.hand_out_some(stage).await {
                // An actor that has ended goes on with nothing.
                drop(myself.cast(QueueMsg::GoOn));
            }
        }
        self.set_timer(myself);
        self.tell_receivers();
    }

    /// True if there may be more to hand out.
    async fn hand_out_some(&mut self, stage: Stage) -> bool {
        for _ in 0..HANDED_PER_TURN {
            if self.book.out(stage) >= self.capacities[stage as usize] {
                return false;
            }
            let Some(id) = self.book.take(stage) else {
                return false;
            };
            self.hand_out(id, stage).await;
        }
        true
    }

    async fn hand_out(&mut self, id: RecordingId, stage: Stage) {
        let asked = id.clone();
        match self.ask(move |ledger| ledger.hand_out(&asked, stage)).await {
            Ok(Needs::Work(ticket)) => {
                let ticket = match stage {
                    Stage::Render => self.with_recipient(ticket).await,
                    Stage::Fetch | Stage::Deliver => ticket,
                };
                self.give(id, stage, ticket);
            }
            Ok(Needs::Other(stage)) => {
                let now = self.watch.now();
                self.book.put(&id, stage, now, now);
            }
            Ok(Needs::Room) => {
                let now = self.watch.now();
                self.book.put(&id, stage, now.after(ROOM_PAUSE), now);
            }
            Ok(Needs::Nothing) => drop(self.book.remove(&id, self.watch.now())),
            Err(error) => self.disk_refused(&id, stage, &error),
        }
    }

    /// Gives the work to a pool, unless its destination has no room for it.
    fn give(&mut self, id: RecordingId, stage: Stage, ticket: Box<Ticket>) {
        if let Some(way) = self.way(&ticket, stage) {
            let failing = Duration::from_millis(ticket.delivery().failing_ms);
            let patience = self.ledger.policy.give_up_after.saturating_sub(failing);
            if !self.book.direct(&id, &way, patience, self.watch.now()) {
                return;
            }
        }
        let taken = match stage {
            Stage::Fetch => {
                let report = Arc::clone(&self.report_fetched);
                self.fetcher.dispatch(ticket, report);
                true
            }
            Stage::Render => self.encode.submit(ticket).is_ok(),
            Stage::Deliver => self.upload.dispatch(id.clone(), ticket).is_ok(),
        };
        if !taken {
            // Neither happens while both pools live: no more is handed out than they take.
            error!(recording_id = %id, ?stage, "a pool refused work");
            self.pause(&id, stage);
        }
    }

    /// A ticket whose recipient is no key gets the one that its account has by now; as it is, it would not be rendered.
    async fn with_recipient(&self, ticket: Box<Ticket>) -> Box<Ticket> {
        let promised = ticket.promise().recipient.as_deref();
        if promised.is_none_or(|key| key.parse::<Recipient>().is_ok()) {
            return ticket;
        }
        let account = &ticket.promise().account_id;
        let db = AccountDb::name(account);
        let doc = self.attachments.store().get(&db, account.as_str());
        let doc = tokio::time::timeout(LOOKING_UP, doc).await;
        // A store that is away says nothing: it is asked again at the next try.
        let Ok(Ok(Some(doc))) = doc else {
            return ticket;
        };
        let (id, now) = (
            ticket.recording_id().clone(),
            Account::read(&doc).public_key(),
        );
        match self.ask(move |ledger| ledger.mended(&id, now)).await {
            Ok(mended) => Box::new(mended),
            Err(error) => {
                error!(recording_id = %ticket.recording_id(), call_id = %ticket.promise().call_id, account_id = %ticket.promise().account_id, %error, "its account's public key cannot be written down");
                ticket
            }
        }
    }

    /// With whom this work is done, and with how many recordings at once; none if only with ourselves.
    fn way(&self, ticket: &Ticket, stage: Stage) -> Option<Way> {
        let way = |name, most| Way { name, most };
        match stage {
            Stage::Fetch => ticket
                .switch_file()
                .map(|file| way(format!("switch {}", file.node), self.fetches_per_switch)),
            Stage::Render => None,
            Stage::Deliver => Some(way(destination(ticket), self.uploads_per_host)),
        }
    }

    fn set_timer(&mut self, myself: &ActorRef<QueueMsg>) {
        let due = self.book.next_due();
        if self.timer.as_ref().map(|(at, _)| *at) == due {
            return;
        }
        if let Some((_, old)) = self.timer.take() {
            old.abort();
        }
        let Some(due) = due else {
            return;
        };
        let wait = due.since(self.watch.now());
        let queue = myself.clone();
        let timer = ractor::concurrency::spawn(async move {
            tokio::time::sleep(wait).await;
            // A queue that is gone needs no waking.
            drop(queue.cast(QueueMsg::Wake));
        });
        self.timer = Some((due, timer));
    }

    pub(super) fn describe(&self) -> Value {
        let (now, wall) = (self.watch.now(), Utc::now());
        let picture = |(id, entry): (&RecordingId, &Entry)| {
            let waits = entry.place == Place::Waiting;
            json!({
                "recording_id": id,
                "account_id": entry.account,
                "stage": entry.stage,
                "place": entry.place,
                "until": waits.then(|| now.wall(entry.due, wall)),
                "unwanted": entry.unwanted,
            })
        };
        let owed: Vec<Value> = self.book.iter().take(DESCRIBED).map(picture).collect();
        json!({
            "owed": self.book.len(),
            "oldest_s": self.book.oldest().map_or(0, |began| now.since(began).as_secs()),
            "fetching": self.book.out(Stage::Fetch),
            "rendering": self.book.out(Stage::Render),
            "delivering": self.book.out(Stage::Deliver),
            "held": self.book.held(),
            "receivers_left_alone": self.book.troubled().count(),
            "fetches": self.capacities[Stage::Fetch as usize],
            "encode_capacity": self.capacities[Stage::Render as usize],
            "upload_workers": self.capacities[Stage::Deliver as usize],
            "intake": self.fetcher.describe(),
            "disk": self.ledger.spool.space().picture(),
            "since_start": self.counters,
            "recordings": owed,
        })
    }
}
