//! Finishes recordings that could not be finished in their turn: of a recorder or a call that died, or on a full disk.

use std::{sync::Arc, time::Duration};

use callreel_proto::{CallId, EndReason, RecordingFact, RecordingNotice, RecordingState};
use callreel_spool::{Ticket, Writer};

use crate::context::{Context, blocking};

/// Time between two tries to save the ticket of an ended recording on a disk that refuses it.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// Saves the ticket of an ended recording as soon as the disk takes it, and tells the world then. A restart before that
/// reads the same end from the journal.
pub(crate) async fn save_ended(context: Arc<Context>, ticket: Ticket, notice: RecordingNotice) {
    let id = ticket.recording_id();
    let saved = loop {
        tokio::time::sleep(DISK_PAUSE).await;
        let (spool, ticket) = (context.spool.clone(), ticket.clone());
        let save = move || match spool.save_ticket(&ticket) {
            // An operator removed it meanwhile: nothing is owed any more.
            Err(callreel_spool::Error::NoTicket(_)) => Ok(()),
            saved => saved,
        };
        match blocking(save).await {
            Ok(()) => break id,
            Err(reason) => tracing::debug!(reason, "ticket still not saved"),
        }
    };
    tracing::info!(recording_id = %saved, "the disk took the ticket after all");
    context.notify(notice).await;
}

/// Ends what a dead recorder (or the recorder of a dead call) left behind: seals its capture and ends its recordings as
/// interrupted, as a recovery would once this process is gone.
pub(crate) async fn abandon(context: &Context, call_id: &CallId) {
    let spool = context.spool.clone();
    let wanted = call_id.clone();
    let growing = blocking(move || growing_tickets(&spool, &wanted)).await;
    let growing = match growing {
        Ok(tickets) => tickets,
        Err(reason) => {
            tracing::error!(%call_id, reason, "recordings of a dead recorder not found; the next start finishes them");
            return;
        }
    };
    for ticket in growing {
        if let Some(capture) = ticket.capture_id() {
            context.captures.close(capture).await;
        }
        let spool = context.spool.clone();
        let id = ticket.recording_id().clone();
        if let Err(reason) = blocking(move || spool.interrupt(&id)).await {
            tracing::error!(%call_id, reason, "interrupted recording not finished; the next start does it");
            continue;
        }
        let notice = RecordingNotice {
            fact: RecordingFact::Ended,
            account_id: ticket.promise().account_id.clone(),
            call_id: call_id.clone(),
            recording_id: Some(ticket.recording_id().clone()),
            end_reason: Some(EndReason::Interrupted),
            detail: Some("its recorder died".to_owned()),
        };
        context.notify(notice).await;
    }
}

fn growing_tickets(spool: &Writer, call_id: &CallId) -> Result<Vec<Ticket>, callreel_spool::Error> {
    let mut growing = Vec::new();
    for ticket in spool.view().tickets()? {
        if ticket.state() == RecordingState::Growing && ticket.promise().call_id == *call_id {
            growing.push(ticket);
        }
    }
    Ok(growing)
}
