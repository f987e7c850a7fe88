//! Finishes recordings that nobody works on any more, as interrupted: those of a dead process, and those of a recorder, a
//! call or a node that ends. Decides nothing about recordings that live.
//!
//! A capture ends with its journal. A foreign switch has to be told to end its file, and is given a moment to say that it
//! has, for a file fetched too early would be cut off.

use std::{sync::Arc, time::Duration};

use callreel_bus::{Binding, QueueOptions};
use callreel_proto::{
    Application, CallEvent, EndReason, Envelope, EventName, Exchange, InsertAt, RecordingFact,
    RecordingId, RecordingNotice, RecordingState, Utc,
};
use callreel_spool::{Error, Ticket, Writer};
use tokio::time::{Instant, timeout_at};

use crate::{
    context::{Context, blocking},
    control::{Control, Owner},
    files::{self, FileNames},
    order,
};

/// How long a switch is waited for: it closes a file within milliseconds, if it is there at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Word of files that may arrive meanwhile: all `RECORD_STOP`s of a large cluster in that time.
const QUEUE: usize = 1_000;

/// Ends every recording that a dead process left growing; those that a switch keeps, beside the start.
///
/// # Errors
/// The disk refused.
pub(crate) async fn recover(context: &Arc<Context>) -> Result<(), crate::Error> {
    let spool = context.spool.clone();
    let (recovered, kept) = tokio::task::spawn_blocking(move || {
        let recovered = spool.recover()?;
        Ok::<_, Error>((recovered, spool.adopt()?))
    })
    .await
    .map_err(|panic| std::io::Error::other(panic.to_string()))??;
    let why = "its process died";
    for ticket in recovered {
        tracing::warn!(recording_id = %ticket.recording_id(), length_ms = ticket.length_ms(), "recording of a dead process finished");
        context.notify(ended(&ticket, why)).await;
    }
    for ticket in kept.iter().filter(|ticket| !is_reachable(ticket)).cloned() {
        tokio::spawn(end_at_limit(Arc::clone(context), ticket));
    }
    let context = Arc::clone(context);
    tokio::spawn(async move { finish_files(&context, kept, why).await });
    Ok(())
}

/// Ends a file that its switch cannot be told to end, when it must have ended by itself.
async fn end_at_limit(context: Arc<Context>, ticket: Ticket) {
    let promise = ticket.promise();
    let age = Utc::now().unix_ms() - promise.started_at.unix_ms();
    let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
    let limit = Duration::from_secs(promise.time_limit_s);
    tokio::time::sleep(limit.saturating_sub(age)).await;
    finish_file(&context, ticket, None, "its process died").await;
}

/// Ends what dead recorders (or the recorders of dead calls) left behind, as the next start of this spool would.
pub(crate) async fn abandon(context: &Arc<Context>, left: Vec<RecordingId>) {
    let spool = context.spool.clone();
    let read = move || {
        let tickets = left.iter().map(|id| spool.view().ticket(id));
        tickets.collect::<Result<Vec<_>, Error>>()
    };
    let left = match blocking(read).await {
        Ok(left) => left,
        Err(reason) => {
            tracing::error!(
                reason,
                "recordings of dead recorders not found; the next start finishes them"
            );
            return;
        }
    };
    let why = "its recorder died";
    let left = left.into_iter().flatten();
    let (files, captures): (Vec<_>, Vec<_>) = left
        .filter(|ticket| ticket.state() == RecordingState::Growing)
        .partition(|ticket| ticket.switch_file().is_some());
    for ticket in captures {
        finish_capture(context, &ticket, why).await;
    }
    finish_files(context, files, why).await;
}

/// Whether its switch can be told to end it. One whose call another controller took over goes on until the switch ends it,
/// or its limit has passed.
fn is_reachable(ticket: &Ticket) -> bool {
    ticket
        .switch_file()
        .is_some_and(|file| !file.control_queue.is_empty())
}

async fn finish_capture(context: &Context, ticket: &Ticket, why: &str) {
    if let Some(capture) = ticket.capture_id() {
        context.captures.close(capture).await;
    }
    let spool = context.spool.clone();
    let id = ticket.recording_id().clone();
    match blocking(move || spool.interrupt(&id)).await {
        Ok(ticket) if ticket.state() == RecordingState::Growing => {
            report_unfinished(&ticket, "its journal cannot be read for now");
        }
        Ok(ticket) => context.notify(ended(&ticket, why)).await,
        Err(reason) => report_unfinished(ticket, &reason),
    }
}

/// Ends growing recordings that foreign switches keep.
async fn finish_files(context: &Arc<Context>, mut tickets: Vec<Ticket>, why: &str) {
    tickets.retain(is_reachable);
    if tickets.is_empty() {
        return;
    }
    let heard = ask_to_end(context, &tickets).await;
    for ticket in tickets {
        let Some(names) = FileNames::of(&ticket) else {
            continue;
        };
        context.files.forget(&names);
        let stopped = heard.iter().find(|event| names.fit(event)).cloned();
        finish_file(context, ticket, stopped, why).await;
    }
}

async fn finish_file(context: &Context, ticket: Ticket, stopped: Option<CallEvent>, why: &str) {
    let (spool, growing) = (context.spool.clone(), ticket.clone());
    match blocking(move || end_file(&spool, growing, stopped.as_ref())).await {
        Ok(ticket) => context.notify(ended(&ticket, why)).await,
        Err(reason) => report_unfinished(&ticket, &reason),
    }
}

/// Tells the switches to end these files, and gathers their word: until all have answered, or for as long as they are
/// waited for.
async fn ask_to_end(context: &Arc<Context>, tickets: &[Ticket]) -> Vec<CallEvent> {
    let until = Instant::now() + PATIENCE;
    let ends = CallEvent::pattern_of(EventName::RecordStop);
    let ends = vec![Binding::new(Exchange::Callevt, ends)];
    let subscribing = context.bus.subscribe(QueueOptions::private(QUEUE), ends);
    let mut news = match timeout_at(until, subscribing).await {
        Ok(Ok(news)) => news,
        // The broker is away: nobody can be told, and nobody will say anything.
        Ok(Err(_)) | Err(_) => return Vec::new(),
    };
    for ticket in tickets {
        tell_to_end(context, ticket).await;
    }
    let mut missing: Vec<_> = tickets.iter().filter_map(FileNames::of).collect();
    let mut heard = Vec::new();
    while !missing.is_empty()
        && let Ok(Some(delivery)) = timeout_at(until, news.recv()).await
    {
        if let Ok(event) = Envelope::<CallEvent>::from_bytes(&delivery.body) {
            missing.retain(|names| !names.fit(&event.body));
            heard.push(event.body);
        }
    }
    heard
}

async fn tell_to_end(context: &Arc<Context>, ticket: &Ticket) {
    let Some(file) = ticket.switch_file() else {
        return;
    };
    let control = Control {
        context: Arc::clone(context),
        call_id: ticket.promise().call_id.clone(),
        queue: file.control_queue.clone(),
        owner: Owner::Nobody,
        asked_in: None,
    };
    let stop = if file.in_turn {
        Application::Break
    } else {
        order::stop(None, file.media_name.clone(), None)
    };
    control.send(InsertAt::Now, stop, None).await;
}

fn end_file(
    spool: &Writer,
    mut ticket: Ticket,
    stopped: Option<&CallEvent>,
) -> Result<Ticket, Error> {
    ticket.switch_told(|file| {
        if let Some(event) = stopped {
            files::learn(file, event);
        }
        files::assume_path(file);
    })?;
    if let Some(ms) = stopped.and_then(files::length_ms) {
        ticket.end(ms.saturating_mul(1_000_000), EndReason::Interrupted)?;
    }
    spool.save_ticket(&ticket)?;
    // By the clock, if the switch did not say how long it is.
    spool.interrupt(ticket.recording_id())
}

fn report_unfinished(ticket: &Ticket, reason: &str) {
    let id = ticket.recording_id();
    tracing::error!(recording_id = %id, reason, "interrupted recording not finished; the next start does it");
}

fn ended(ticket: &Ticket, why: &str) -> RecordingNotice {
    let promise = ticket.promise();
    let (account_id, call_id) = (promise.account_id.clone(), promise.call_id.clone());
    RecordingNotice {
        recording_id: Some(promise.recording_id.clone()),
        end_reason: ticket.end_reason(),
        detail: Some(why.to_owned()),
        ..RecordingNotice::new(RecordingFact::Ended, account_id, call_id)
    }
}
