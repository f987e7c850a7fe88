//! The upload pool: a ractor factory whose workers make one try each: to a URL, or into the store. They report what came
//! of it and decide nothing.

use std::{io, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use callreel_attachments::Attachments;
use callreel_proto::{AccountDb, Destination, Hold, RecordingId, Utc};
use callreel_spool::{Outbox, PlacedInfo, RenditionInfo, Ticket, TicketKind};
use callreel_telemetry::{KeyValue, metrics};
use futures::FutureExt as _;
use ractor::{
    Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr,
    factory::{
        Factory, FactoryArguments, FactoryMessage, FactoryRef, Job, Worker, WorkerBuilder,
        WorkerId, queues::DefaultQueue, routing::QueuerRouting,
    },
};
use reqwest::header::HeaderMap;
use tokio_util::sync::CancellationToken;

use crate::{
    access::{Access, AccountAccess, HouseAccess},
    courier::{Courier, Parcel, metadata},
    document,
    rendition::Rendition,
    request_url::request_url,
    schedule::Verdict,
    trail,
};

/// Where outcomes go.
pub(crate) type Report = Arc<dyn Fn(RecordingId, Tried) + Send + Sync>;

/// What a try was, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tried {
    /// The file, to its destination.
    File(Verdict),
    /// The file, where the account's storage plan says; its document is owed.
    Placed(PlacedInfo),
    /// The metadata document of a file that was uploaded before.
    Document(Verdict),
    /// The document is saved and all is where it must be. It says this of a legal hold.
    Kept(Option<Hold>),
}

/// What the workers share.
pub(crate) struct Desk {
    pub(crate) courier: Courier,
    pub(crate) attachments: Attachments,
    /// What deliveries carry, whoever they are for.
    pub(crate) house: HouseAccess,
    /// How long one try may last.
    pub(crate) total: Duration,
    /// Receivers are told of the recording in headers.
    pub(crate) tells_metadata: bool,
    pub(crate) spool: Outbox,
    pub(crate) report: Report,
    /// Cancelled when the role stops and has waited long enough: tries break off and are not reported.
    pub(crate) cut_off: CancellationToken,
}

/// The pool, as the queue uses it.
pub(crate) type UploadPool = FactoryRef<RecordingId, Box<Ticket>>;

/// Starts the pool as a child of `owner`.
pub(crate) async fn start(
    workers: usize,
    desk: Arc<Desk>,
    owner: ActorCell,
) -> Result<UploadPool, SpawnErr> {
    let factory = Factory::<
        RecordingId,
        Box<Ticket>,
        Arc<Desk>,
        UploadWorker,
        QueuerRouting<RecordingId, Box<Ticket>>,
        DefaultQueue<RecordingId, Box<Ticket>>,
    >::default();
    // The queue hands out no more tickets than there are workers, so the factory's own queue stays empty.
    let arguments = FactoryArguments::builder()
        .worker_builder(Box::new(Desks(desk)))
        .num_initial_workers(workers)
        .router(QueuerRouting::default())
        .queue(DefaultQueue::default())
        .build();
    let (pool, _) = Actor::spawn_linked(None, factory, arguments, owner).await?;
    Ok(pool)
}

struct Desks(Arc<Desk>);

impl WorkerBuilder<UploadWorker, Arc<Desk>> for Desks {
    fn build(&mut self, _: WorkerId) -> (UploadWorker, Arc<Desk>) {
        (UploadWorker, Arc::clone(&self.0))
    }
}

/// One worker: one try at a time.
struct UploadWorker;

impl Worker for UploadWorker {
    type Key = RecordingId;
    type Message = Box<Ticket>;
    type Arguments = Arc<Desk>;
    type State = Arc<Desk>;

    async fn pre_start(
        &self,
        _: WorkerId,
        _: &ActorRef<FactoryMessage<RecordingId, Box<Ticket>>>,
        desk: Arc<Desk>,
    ) -> Result<Arc<Desk>, ActorProcessingErr> {
        Ok(desk)
    }

    async fn handle(
        &self,
        _: WorkerId,
        _: &ActorRef<FactoryMessage<RecordingId, Box<Ticket>>>,
        job: Job<RecordingId, Box<Ticket>>,
        desk: &mut Arc<Desk>,
    ) -> Result<RecordingId, ActorProcessingErr> {
        let owes_document = job.msg.delivery().uploaded_at.is_some();
        let (part, failed): (_, fn(Verdict) -> Tried) = if owes_document {
            ("document", Tried::Document)
        } else {
            ("file", Tried::File)
        };
        let span = trail::attempt(&job.msg, part);
        let attempt = AssertUnwindSafe(Box::pin(desk.attempt(&job.msg))).catch_unwind();
        let Some(tried) = desk.cut_off.run_until_cancelled(attempt).await else {
            return Ok(job.key);
        };
        let tried = tried.unwrap_or_else(|payload| {
            let said = crate::panic_text(&*payload);
            failed(Verdict::retry(format!("the try panicked: {said}")))
        });
        count(part, &tried);
        trail::tried(span, &tried);
        (desk.report)(job.key.clone(), tried);
        Ok(job.key)
    }
}

/// Counts a try by what came of it.
fn count(part: &'static str, tried: &Tried) {
    let attributes = [
        KeyValue::new("callreel.part", part),
        KeyValue::new("callreel.outcome", trail::outcome(tried)),
    ];
    metrics().delivery_attempts.add(1, &attributes);
}

impl Desk {
    async fn attempt(&self, ticket: &Ticket) -> Tried {
        let Some(rendition) = ticket.rendition() else {
            return Tried::File(Verdict::retry("it has no file yet"));
        };
        if ticket.delivery().uploaded_at.is_some() {
            let saved = self.save_document(ticket, rendition).await;
            return saved.map_or_else(
                |e| Tried::Document(Verdict::retry(e.to_string())),
                Tried::Kept,
            );
        }
        match &ticket.promise().destination {
            Destination::Http { .. } => {
                Tried::File(self.send(ticket, rendition).await.unwrap_or_else(|v| v))
            }
            Destination::AccountDb => self.keep(ticket, rendition).await,
        }
    }

    /// Where the account has its recordings, as its storage plan says at this moment. Messages and greetings are the database's.
    async fn keep(&self, ticket: &Ticket, rendition: &RenditionInfo) -> Tried {
        let promise = ticket.promise();
        let plan = match promise.kind {
            TicketKind::Recording => self.attachments.plan(&promise.account_id).await,
            TicketKind::Voicemail | TicketKind::Greeting => Ok(None),
        };
        match plan {
            Ok(Some(plan)) => self.place(&plan, ticket, rendition).await,
            Ok(None) => {
                let saved = self.save_all(ticket, rendition).await;
                saved.map_or_else(|e| Tried::File(Verdict::retry(e.to_string())), Tried::Kept)
            }
            Err(error) => Tried::File(Verdict::retry(error.to_string())),
        }
    }

    /// To the ticket's URL.
    async fn send(&self, ticket: &Ticket, rendition: &RenditionInfo) -> Result<Verdict, Verdict> {
        let to = ticket.promise().delivered_to();
        let Destination::Http {
            url,
            method,
            headers,
            metadata_query,
        } = &to
        else {
            return Err(Verdict::retry("it has no URL"));
        };
        let account = self.account_access(ticket).await?;
        let url = &request_url(url, *metadata_query, ticket, rendition);
        let parcel = Parcel {
            recording_id: ticket.recording_id(),
            url,
            method: *method,
            file: &Rendition::of(self.spool.view(), ticket, rendition),
            content_type: ticket.promise().delivered_type(),
            sha256: &rendition.sha256,
            attempt: ticket.delivery().attempts.saturating_add(1),
            metadata: &self.told(ticket, rendition),
            access: &Access::new(url, headers, &account, &self.house),
        };
        Ok(self.courier.carry(parcel).await)
    }

    /// What receivers are told of the recording.
    pub(crate) fn told(&self, ticket: &Ticket, rendition: &RenditionInfo) -> HeaderMap {
        if self.tells_metadata {
            metadata(ticket, rendition)
        } else {
            HeaderMap::new()
        }
    }

    /// What the account gives to its receivers, as its document says at this moment: what has changed there counts for
    /// recordings that are owed already, and tickets hold none of it. Without the document nothing is sent.
    pub(crate) async fn account_access(&self, ticket: &Ticket) -> Result<AccountAccess, Verdict> {
        let account = &ticket.promise().account_id;
        let store = self.attachments.store();
        let doc = store.get(&AccountDb::name(account), account.as_str()).await;
        let doc = doc.map_err(|error| {
            Verdict::retry(format!(
                "cannot read what the account's receivers ask for: {error}"
            ))
        })?;
        AccountAccess::read(doc.as_ref()).map_err(Verdict::retry)
    }

    async fn save_document(
        &self,
        ticket: &Ticket,
        rendition: &RenditionInfo,
    ) -> Result<Option<Hold>, SaveError> {
        let doc = document::document(ticket, rendition, Utc::now());
        self.attachments
            .store()
            .save(&document::database(ticket), doc)
            .await?;
        Ok(ticket.hold().cloned())
    }

    /// Document first, audio second, as Kazoo does. Both again on a second try: the same bytes under the same names.
    async fn save_all(
        &self,
        ticket: &Ticket,
        rendition: &RenditionInfo,
    ) -> Result<Option<Hold>, SaveError> {
        let file = Rendition::of(self.spool.view(), ticket, rendition);
        let blocks = file.blocks(0).await?;
        let hold = self.save_document(ticket, rendition).await?;
        let promise = ticket.promise();
        self.attachments
            .store()
            .put_attachment(
                &document::database(ticket),
                document::id(ticket),
                &promise.delivered_name(),
                promise.delivered_type(),
                file.bytes(),
                blocks,
            )
            .await?;
        if promise.kind == TicketKind::Greeting {
            self.put_to_use(ticket).await?;
        }
        Ok(hold)
    }
}

/// Why something did not get into the store.
#[derive(Debug, thiserror::Error)]
enum SaveError {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] callreel_store::Error),
}
