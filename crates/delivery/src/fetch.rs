//! Gets a recording's file off a foreign switch: asks the switch over the bus to hand it in, and waits for the file. One try
//! at a time for each recording; keeps no state between tries and never decides whether there is another.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callreel_bus::{Binding, Bus, Mishaps, QueueOptions, Subscription};
use callreel_proto::{Envelope, Exchange, Headers, RecordingId, SwitchCommand, SwitchReply};
use callreel_spool::{SwitchFile, Ticket, View};
use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{
    DeliveryConfig, Error,
    intake::{Awaited, Intake, Shelf},
    render::Failure,
    trail,
};

/// Answers that may wait to be read: each fetch gets one, and reading one takes microseconds.
const BACKLOG: usize = 256;
/// What a file may be larger than the switch announced: it may still write its head and tags as it closes the file, bytes.
const SIZE_SLACK: u64 = 64 * 1024;
/// Characters of a switch's own words that are kept.
const SAID_LIMIT: usize = 200;

/// Where outcomes go.
pub(crate) type Report = Arc<dyn Fn(RecordingId, Result<(), Failure>) + Send + Sync>;

/// Fetches under way, and what they share.
pub(crate) struct Fetcher {
    office: Arc<Office>,
    tasks: TaskTracker,
}

struct Office {
    bus: Bus,
    spool: View,
    intake: Option<Intake>,
    /// This node's name on the bus.
    node: String,
    /// Our address for answers.
    queue: String,
    answers: Answers,
    delete_on_success: bool,
    /// Longest try.
    total: Duration,
    /// No try begins any more, and those that only wait end.
    halt: CancellationToken,
    /// Nothing goes on any more.
    cut_off: CancellationToken,
}

impl Fetcher {
    /// Opens the intake, and an address for the answers of switches.
    pub(crate) async fn start(
        config: &DeliveryConfig,
        bus: Bus,
        spool: View,
        node: &str,
    ) -> Result<Self, Error> {
        let queue = bus.unique_queue_name();
        let options = QueueOptions {
            name: Some(queue.clone()),
            ..QueueOptions::private(BACKLOG)
        };
        let own = Binding::new(Exchange::Targeted, queue.clone());
        let subscription = bus.subscribe(options, vec![own]).await?;
        let (tasks, cut_off) = (TaskTracker::new(), CancellationToken::new());
        let mut intake = None;
        if let Some((opened, serving)) = Intake::open(config).await? {
            tasks.spawn(cut_off.clone().run_until_cancelled_owned(serving));
            intake = Some(opened);
        }
        let office = Arc::new(Office {
            intake,
            bus,
            spool,
            node: node.to_owned(),
            queue,
            answers: Answers::default(),
            delete_on_success: config.intake_delete_on_switch,
            total: Duration::from_secs(config.total_timeout_s),
            halt: CancellationToken::new(),
            cut_off,
        });
        let fetcher = Self {
            office: Arc::clone(&office),
            tasks,
        };
        fetcher.run(listen(subscription, office));
        Ok(fetcher)
    }

    fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cut_off = self.office.cut_off.clone();
        self.tasks.spawn(cut_off.run_until_cancelled_owned(work));
    }

    /// Tries once, in a task of its own, and reports what came of it. The caller bounds how many there are.
    pub(crate) fn dispatch(&self, ticket: Box<Ticket>, report: Report) {
        let office = Arc::clone(&self.office);
        self.run(async move {
            let span = trail::fetch(&ticket);
            let tried = AssertUnwindSafe(office.fetch(&ticket)).catch_unwind().await;
            let outcome = tried.unwrap_or_else(|payload| {
                let said = crate::panic_text(&*payload);
                Err(Failure::Passing(format!("the fetch panicked: {said}")))
            });
            trail::failed(span, &outcome);
            report(ticket.recording_id().clone(), outcome);
        });
    }

    /// Ends the tries that only wait; each reports [`Failure::Stopped`]. What is arriving may go on.
    pub(crate) fn halt(&self) {
        self.office.halt.cancel();
    }

    /// Ends everything, and closes the intake. Tries that are cut off are not reported.
    pub(crate) async fn stop(&self) {
        self.office.cut_off.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A picture of the intake for operators; `null` without one.
    pub(crate) fn describe(&self) -> Value {
        let mut picture = match &self.office.intake {
            Some(intake) => intake.describe(),
            None => return Value::Null,
        };
        picture["unusable_answers"] = json!(self.office.answers.unusable.counts());
        picture
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.office.cut_off.cancel();
    }
}

impl Office {
    async fn fetch(&self, ticket: &Ticket) -> Result<(), Failure> {
        let (node, path) = place(ticket).map_err(Failure::Hopeless)?;
        let failed = |why: String| Failure::Passing(format!("{path} of {node}: {why}"));
        let Some(intake) = &self.intake else {
            let why = "set delivery.intake_listen, so that the switch can hand in its file here";
            return Err(failed(why.to_owned()));
        };
        let announced = ticket.switch_file().and_then(announced);
        let awaited = intake.expect(
            ticket.recording_id().clone(),
            Shelf {
                path: self.spool.switch_file_path(ticket),
                seal_to: self.spool.keys().seals_to().cloned(),
            },
            announced.map(|bytes| bytes.saturating_add(SIZE_SLACK)),
        );
        let url = intake.url(&awaited, path.rsplit('/').next().unwrap_or(path));
        let answer = self.ask(node, path, &url).await.map_err(&failed)?;
        let tried = self.wait(intake, &awaited, answer);
        let ended = tokio::time::timeout(self.total, tried).await;
        if awaited.close().await {
            return Ok(());
        }
        let why = match ended {
            Ok(why) => why,
            Err(_) => Some(format!(
                "not done after {} s (delivery.total_timeout_s)",
                self.total.as_secs()
            )),
        };
        let why = why.ok_or(Failure::Stopped)?;
        // A switch may quote the address in its answer.
        let why = why.replace(awaited.token(), "…");
        Err(failed(match awaited.trouble() {
            Some(trouble) => format!("{why}; what came was not taken: {trouble}"),
            None => why,
        }))
    }

    /// Asks the switch for the file.
    async fn ask(&self, node: &str, path: &str, url: &str) -> Result<Answer<'_>, String> {
        let mut command = SwitchCommand::send_http(node, path, url);
        command.delete_on_success = self.delete_on_success.then_some(true);
        let key = command.routing_key();
        let mut headers = Headers::new("switch_event", "command").server_id(&*self.queue);
        headers.node.clone_from(&self.node);
        let answer = self.answers.expect(headers.msg_id.clone());
        let envelope = Envelope {
            headers,
            body: command,
        };
        let sent = self
            .bus
            .publish(Exchange::Switch, &key, envelope.to_bytes());
        let sent = sent
            .await
            .map_err(|error| format!("it cannot be asked: {error}"));
        sent.map(|()| answer)
    }

    /// Waits until the file is there or nothing more is to be expected; says why not, or nothing if the role stops.
    async fn wait(
        &self,
        intake: &Intake,
        awaited: &Awaited,
        mut answer: Answer<'_>,
    ) -> Option<String> {
        let why = tokio::select! {
            () = awaited.arrived() => return None,
            reply = answer.get() => Some(explain(&reply, intake)),
            () = awaited.expired() => Some(format!(
                "no answer within {} s (delivery.intake_token_ttl_s): is the switch running, and connected to Kazoo?",
                intake.ttl().as_secs()
            )),
            () = self.halt.cancelled() => None,
        };
        // What is arriving may still become the file, whatever was said meanwhile.
        awaited.quiet().await;
        why
    }
}

/// Which file of which switch.
fn place(ticket: &Ticket) -> Result<(&str, &str), String> {
    let file = ticket.switch_file().ok_or("no switch has its audio")?;
    let path = file.path.as_deref().filter(|path| !path.is_empty());
    match path {
        _ if file.node.is_empty() => Err(format!(
            "it is not known which switch has recorded {}",
            file.media_name
        )),
        None => Err(format!(
            "{} never said where it records {}",
            file.node, file.media_name
        )),
        Some(path) => Ok((&file.node, path)),
    }
}

/// How large the switch said the file is; nothing is a figure that it did not have.
fn announced(file: &SwitchFile) -> Option<u64> {
    file.bytes.filter(|bytes| *bytes > 0)
}

/// Why an answer without a file is no success.
fn explain(reply: &SwitchReply, intake: &Intake) -> String {
    if reply.succeeded() {
        return format!(
            "the switch says it was sent, and nothing came: is {} this node?",
            intake.base()
        );
    }
    let detail = reply.event_data.get("API-Error").and_then(Value::as_str);
    let said = reply.error.as_deref().or(detail).unwrap_or_default();
    match callreel_attachments::one_line(said, SAID_LIMIT) {
        said if said.is_empty() => "the switch could not send it".to_owned(),
        said => format!("the switch could not send it: {said}"),
    }
}

/// Those who wait for an answer, by the `Msg-ID` of their question.
#[derive(Default)]
struct Answers {
    waiting: Mutex<HashMap<String, oneshot::Sender<SwitchReply>>>,
    unusable: Mishaps,
}

impl Answers {
    fn expect(&self, msg_id: String) -> Answer<'_> {
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(msg_id.clone(), sender);
        Answer {
            answers: self,
            msg_id,
            reply,
        }
    }

    fn hear(&self, body: &[u8]) {
        match Envelope::<SwitchReply>::from_bytes(body) {
            Ok(reply) => match self.waiting().remove(&reply.headers.msg_id) {
                // Whoever asked has its file already, or has given up.
                None => debug!(node = reply.body.node, "an answer nobody waits for"),
                Some(waiting) => drop(waiting.send(reply.body)),
            },
            Err(error) => {
                if self.unusable.count(&error.what) {
                    warn!(%error, "a switch's answer is of no use; more of this kind are only counted");
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<SwitchReply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer to come. Dropping it ends the wait.
struct Answer<'a> {
    answers: &'a Answers,
    msg_id: String,
    reply: oneshot::Receiver<SwitchReply>,
}

impl Answer<'_> {
    async fn get(&mut self) -> SwitchReply {
        let reply = (&mut self.reply).await;
        reply.expect("whoever is removed from those who wait is told")
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.answers.waiting().remove(&self.msg_id);
    }
}

async fn listen(mut subscription: Subscription, office: Arc<Office>) {
    while let Some(delivery) = subscription.recv().await {
        office.answers.hear(&delivery.body);
    }
}
