//! What an order of the flow becomes: a ticket for the spool and a command for the switch. Does neither.

use callreel_callflow::{OrderDestination, RecordingKind, RecordingOrder, destination};
use callreel_proto::{
    AccountId, Application, CallId, CaptureId, Destination, InsertAt, MediaFork, RecordAction,
    RecordCall, RecordingId, RouteReq, Utc, random_hex,
};
use callreel_spool::{Promise, Source, Ticket, TicketKind, check_file_name};

use crate::document;

/// The `Media-Recorder` that marks recordings of ours in the switch's events.
const RECORDER: &str = "callreel";

/// Where and of what a recording is made.
pub(crate) struct Place<'a> {
    /// The recorded call.
    pub(crate) route: &'a RouteReq,
    /// Its account.
    pub(crate) account: AccountId,
    /// Its capture.
    pub(crate) capture_id: &'a CaptureId,
    /// Now, on the capture's clock.
    pub(crate) start_ns: u64,
    /// The how-manieth file this call asks for, from 1.
    pub(crate) nth: u32,
}

/// The ticket of a recording that starts now.
///
/// # Errors
/// The spool does not take it, in words.
pub(crate) fn ticket(order: &RecordingOrder, place: Place<'_>) -> Result<Ticket, String> {
    let started_at = Utc::now();
    let recording_id = RecordingId::random(started_at);
    let extension = order.format.extension();
    let call_id = &place.route.call_id;
    let file_name = file_name(order, call_id);
    let destination = match &order.destination {
        OrderDestination::AccountDb => Destination::AccountDb,
        OrderDestination::Url { base, method } => Destination::Http {
            url: destination::request_url(base, call_id, extension, place.nth),
            method: *method,
        },
    };
    let document = document::at_start(&document::Subject {
        route: place.route,
        order,
        id: &recording_id,
        file_name: &file_name,
        started_at,
    });
    let promise = Promise {
        recording_id,
        source: Source::Capture(place.capture_id.clone()),
        account_id: place.account,
        call_id: call_id.clone(),
        kind: match order.kind {
            RecordingKind::Recording | RecordingKind::Message => TicketKind::Recording,
            RecordingKind::Voicemail { .. } => TicketKind::Voicemail,
        },
        format: order.format,
        channels: order.channels,
        sample_rate: order.sample_rate,
        destination,
        file_name,
        started_at,
        start_ns: place.start_ns,
        time_limit_s: order.time_limit.as_secs(),
        min_ms: u64::try_from(order.min.as_millis()).unwrap_or(u64::MAX),
    };
    Ticket::new(promise, document).map_err(|error| error.to_string())
}

/// The name the flow gave it, else one nobody else has. A name is never a reason not to record.
fn file_name(order: &RecordingOrder, call_id: &CallId) -> String {
    let made_up = || format!("{}.{}", random_hex(32), order.format.extension());
    let Some(asked) = &order.media_name else {
        return made_up();
    };
    match check_file_name(asked) {
        Ok(()) => asked.clone(),
        Err(error) => {
            tracing::warn!(%call_id, pointer = order.pointer, %error, "another name is used");
            made_up()
        }
    }
}

/// The command that makes the switch send us the audio: `record_call` beside the flow, `record` in its turn.
pub(crate) fn command(
    order: &RecordingOrder,
    id: RecordingId,
    media_name: String,
    fork: MediaFork,
) -> (InsertAt, Application) {
    let limit = Some(order.time_limit.as_secs());
    match order.kind {
        RecordingKind::Recording => (
            InsertAt::Now,
            Application::RecordCall {
                action: RecordAction::Start,
                media_name: Some(media_name),
                terms: Box::new(RecordCall {
                    time_limit_s: limit,
                    ..terms(id)
                }),
                fork: Some(fork),
            },
        ),
        RecordingKind::Message | RecordingKind::Voicemail { .. } => (
            InsertAt::Tail,
            Application::Record {
                media_name,
                terminators: order.terminators.clone(),
                time_limit_s: limit,
                silence_threshold: order.silence.map(|s| u64::from(s.threshold)),
                silence_hits: order.silence.map(|s| s.after.as_secs()),
                recording_id: Some(id.into()),
                fork: Some(fork),
            },
        ),
    }
}

/// The command that tells the switch a `record_call` needs no audio any more. It names the fork, as all commands of recorders
/// do: our switch takes one without a fork for another application's, and hands it on to us.
pub(crate) fn stop(id: RecordingId, media_name: String, fork: MediaFork) -> Application {
    Application::RecordCall {
        action: RecordAction::Stop,
        media_name: Some(media_name),
        terms: Box::new(terms(id)),
        fork: Some(fork),
    }
}

/// Whose recording it is.
fn terms(id: RecordingId) -> RecordCall {
    RecordCall {
        recording_id: Some(id.into()),
        recorder: Some(RECORDER.to_owned()),
        ..RecordCall::default()
    }
}
