//! Finishes the recordings of a recorder or a call that died, as the next start of this spool would.

use callreel_proto::{CallId, EndReason, RecordingFact, RecordingNotice, RecordingState};
use callreel_spool::{Spool, Ticket};

use crate::context::{Context, blocking};

/// Ends what a dead recorder (or the recorder of a dead call) left behind: seals its capture and ends its recordings as
/// interrupted, as the next start of this spool would.
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
        context.captures.close(ticket.capture_id()).await;
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

fn growing_tickets(spool: &Spool, call_id: &CallId) -> Result<Vec<Ticket>, callreel_spool::Error> {
    let mut growing = Vec::new();
    for ticket in spool.tickets()? {
        if ticket.state() == RecordingState::Growing && ticket.promise().call_id == *call_id {
            growing.push(ticket);
        }
    }
    Ok(growing)
}
