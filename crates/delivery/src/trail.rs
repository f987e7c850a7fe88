//! What delivery tells of itself in a recording's trace: fetching, rendering, and every try to deliver.

use callreel_proto::Destination;
use callreel_spool::Ticket;
use callreel_telemetry::{ACCOUNT_ID, CALL_ID, RECORDING_ID, Span};

use crate::{render::Failure, schedule::Verdict, upload::Tried};

/// The span of having a foreign switch hand in its file.
pub(crate) fn fetch(ticket: &Ticket) -> Span {
    let span = about(ticket, Span::asking(ticket.promise().span, "fetch"));
    match ticket.switch_file() {
        Some(file) => span.with("callreel.node", &file.node),
        None => span,
    }
}

/// The span of making the audio file.
pub(crate) fn rendering(ticket: &Ticket) -> Span {
    let span = Span::within(ticket.promise().span, "rendering");
    about(ticket, span).with("callreel.format", ticket.promise().format.extension())
}

/// The span of one try to deliver this part of it.
pub(crate) fn attempt(ticket: &Ticket, part: &'static str) -> Span {
    let span = Span::asking(ticket.promise().span, "delivery");
    let mut span = about(ticket, span).with("callreel.part", part);
    span.set_number(
        "callreel.attempt",
        ticket.delivery().attempts.saturating_add(1),
    );
    match &ticket.promise().destination {
        // Neither path nor query: they may hold a number, or a secret.
        Destination::Http { url, .. } if part == "file" => {
            span.with("server.address", url.host_str().unwrap_or_default())
        }
        _ => span,
    }
}

fn about(ticket: &Ticket, span: Span) -> Span {
    let promise = ticket.promise();
    span.with(RECORDING_ID, &promise.recording_id)
        .with(CALL_ID, &promise.call_id)
        .with(ACCOUNT_ID, &promise.account_id)
}

/// Says why nothing came of it.
pub(crate) fn failed<T>(mut span: Span, outcome: &Result<T, Failure>) {
    if let Err(failure) = outcome {
        let kind = match failure {
            Failure::Passing(_) => "passing",
            Failure::Suspect(_) => "suspect",
            Failure::Hopeless(_) => "hopeless",
            Failure::Stopped => "stopped",
        };
        span.failed(kind, failure);
    }
}

/// What came of a try, in a word: `delivered`, `refused` or `failed`.
pub(crate) fn outcome(tried: &Tried) -> &'static str {
    match verdict(tried) {
        None | Some(Verdict::Delivered) => "delivered",
        Some(Verdict::Refused { .. } | Verdict::Unwelcome { .. }) => "refused",
        Some(Verdict::Retry { .. }) => "failed",
    }
}

fn verdict(tried: &Tried) -> Option<&Verdict> {
    match tried {
        Tried::Placed(_) | Tried::Kept(_) => None,
        Tried::File(verdict) | Tried::Document(verdict) => Some(verdict),
    }
}

/// Says what came of a try.
pub(crate) fn tried(mut span: Span, tried: &Tried) {
    span.set("callreel.outcome", outcome(tried));
    if let Some(
        Verdict::Retry { reason, .. }
        | Verdict::Unwelcome { reason, .. }
        | Verdict::Refused { reason },
    ) = verdict(tried)
    {
        span.failed(outcome(tried), reason);
    }
}
