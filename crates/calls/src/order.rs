//! What an order becomes: a ticket for the spool and commands for the switch. Makes neither happen.

use callreel_callflow::{
    OrderDestination, RecordedLeg, RecordingKind, RecordingOrder,
    destination::{self, Nth, Templates},
};
use callreel_proto::{
    AccountId, Application, CallId, Channels, Destination, InsertAt, Leg, MediaFork, RecordAction,
    RecordCall, RecordingId, RouteReq, TraceParent, Utc, random_hex,
};
use callreel_spool::{Promise, Source, Ticket, TicketKind, check_file_name};
use serde_json::{Map, json};

use crate::{config::RecordingConfig, document};

/// The `Media-Recorder` that marks recordings of ours in the switch's events.
const RECORDER: &str = "callreel";

/// Where and of what a recording is made.
pub(crate) struct Place<'a> {
    /// The recorded call.
    pub(crate) route: &'a RouteReq,
    /// Its account.
    pub(crate) account: AccountId,
    /// To which key of the account it is sealed.
    pub(crate) recipient: Option<String>,
    /// Where its audio comes from.
    pub(crate) source: Source,
    /// Now, on the source's clock.
    pub(crate) start_ns: u64,
    /// The how-manieth file that is asked for of this leg, from 1.
    pub(crate) nth: u32,
    /// The leg the call is bridged with.
    pub(crate) peer: Option<&'a CallId>,
    /// Its span.
    pub(crate) span: Option<TraceParent>,
}

/// The two orders of which one with separate files consists: the caller's, and the other party's, which announces nothing.
pub(crate) fn parts(order: &RecordingOrder) -> Option<[RecordingOrder; 2]> {
    let part = |channels, announcements| RecordingOrder {
        channels,
        announcements,
        ..order.clone()
    };
    order.separate.then(|| {
        [
            part(Channels::Caller, order.announcements.clone()),
            part(Channels::Callee, Vec::new()),
        ]
    })
}

/// Whether it is the second of two [`parts`].
pub(crate) fn is_second(order: &RecordingOrder) -> bool {
    order.separate && order.channels == Channels::Callee
}

/// The recorded leg.
pub(crate) fn leg<'a>(order: &'a RecordingOrder, caller: &'a CallId) -> &'a CallId {
    match &order.leg {
        RecordedLeg::A => caller,
        RecordedLeg::B { call_id } => call_id,
    }
}

/// The ticket of a recording that starts now.
///
/// # Errors
/// The spool does not take it, in words.
pub(crate) fn ticket(
    order: &RecordingOrder,
    place: Place<'_>,
    config: &RecordingConfig,
) -> Result<Ticket, String> {
    let started_at = Utc::now();
    let recording_id = RecordingId::random(started_at);
    let caller = &place.route.call_id;
    let call_id = leg(order, caller);
    let (of_leg, peer) = match &order.leg {
        RecordedLeg::A => (Leg::A, place.peer),
        RecordedLeg::B { .. } => (Leg::B, Some(caller)),
    };
    let file_name = file_name(order, call_id);
    let destination = destination(order, &place, config, (&recording_id, started_at));
    let document = document::at_start(&document::Subject {
        route: place.route,
        order,
        id: &recording_id,
        file_name: &file_name,
        started_at,
        legs: [Some(call_id), peer],
    });
    let promise = Promise {
        recording_id,
        source: place.source,
        account_id: place.account,
        call_id: call_id.clone(),
        of_leg,
        kind: match order.kind {
            RecordingKind::Recording | RecordingKind::Message => TicketKind::Recording,
            RecordingKind::Voicemail { .. } => TicketKind::Voicemail,
            RecordingKind::Greeting { .. } => TicketKind::Greeting,
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
        redact_dtmf: config.redact_dtmf,
        recipient: place.recipient,
        span: place.span,
    };
    Ticket::new(promise, document).map_err(|error| error.to_string())
}

/// Where the file goes, with all that the URL leaves to be filled in.
fn destination(
    order: &RecordingOrder,
    place: &Place<'_>,
    config: &RecordingConfig,
    (recording_id, started_at): (&RecordingId, Utc),
) -> Destination {
    let OrderDestination::Url {
        base,
        method,
        headers,
    } = &order.destination
    else {
        return Destination::AccountDb;
    };
    let call_id = leg(order, &place.route.call_id);
    let owner_id = place.route.channel_var("Owner-ID");
    let templates = Templates {
        account_id: place.account.as_str(),
        user_id: owner_id,
        owner_id,
        call_id,
        recording_id,
        started_at,
    };
    let nth = Nth {
        number: place.nth,
        other_party: is_second(order),
    };
    let base = match config.expand_url {
        true => &destination::expand(base, &templates),
        false => base,
    };
    Destination::Http {
        url: destination::request_url(base, call_id, order.format.extension(), nth),
        method: *method,
        headers: headers.clone(),
        metadata_query: config.metadata_query,
    }
}

/// The name the order gave it, else one nobody else has. A name is never a reason not to record.
fn file_name(order: &RecordingOrder, call_id: &CallId) -> String {
    let made_up = || format!("{}.{}", random_hex(32), order.format.extension());
    let Some(asked) = &order.media_name else {
        return made_up();
    };
    match check_file_name(asked) {
        Ok(()) if is_second(order) => match asked.rsplit_once('.') {
            Some((stem, extension)) => format!("{stem}_b.{extension}"),
            None => format!("{asked}_b"),
        },
        Ok(()) => asked.clone(),
        Err(error) => {
            tracing::warn!(%call_id, pointer = order.pointer, %error, "another name is used");
            made_up()
        }
    }
}

/// Whose a recording is that the flow orders: ours.
pub(crate) fn own_terms(order: &RecordingOrder, id: &RecordingId) -> RecordCall {
    RecordCall {
        recording_id: Some(id.to_string()),
        recorder: Some(RECORDER.to_owned()),
        origin: Some(order.origin.clone()),
        ..RecordCall::default()
    }
}

/// The command that makes the switch give us the audio: `record_call` beside the flow, `record` in its turn. `terms` say
/// whose it is.
pub(crate) fn start(
    order: &RecordingOrder,
    terms: RecordCall,
    media_name: String,
    fork: Option<MediaFork>,
) -> (InsertAt, Application) {
    let limit = Some(order.time_limit.as_secs());
    match order.kind {
        RecordingKind::Recording => {
            let terms = RecordCall {
                time_limit_s: limit,
                ..terms
            };
            let terms = match fork {
                Some(_) => terms,
                None => for_a_file(order, terms, &media_name),
            };
            let command = Application::RecordCall {
                action: RecordAction::Start,
                media_name: Some(media_name),
                terms: Box::new(terms),
                fork,
            };
            (InsertAt::Now, command)
        }
        RecordingKind::Message
        | RecordingKind::Voicemail { .. }
        | RecordingKind::Greeting { .. } => (
            InsertAt::Tail,
            Application::Record {
                media_name,
                terminators: order.terminators.clone(),
                time_limit_s: limit,
                silence_threshold: order.silence.map(|s| u64::from(s.threshold)),
                silence_hits: order.silence.map(|s| s.after.as_secs()),
                // Only a switch that forks knows what to do with it.
                recording_id: fork.and(terms.recording_id),
                fork,
            },
        ),
    }
}

/// What a switch must know that records into a file of its own.
fn for_a_file(order: &RecordingOrder, terms: RecordCall, media_name: &str) -> RecordCall {
    let mut variables = Map::new();
    variables.insert("Name".to_owned(), json!(media_name));
    variables.insert("Recorder".to_owned(), json!(terms.recorder));
    variables.insert("ID".to_owned(), json!(terms.recording_id));
    RecordCall {
        sample_rate: order.sample_rate.map(u64::from),
        // FreeSWITCH throws shorter files away, by default those under three seconds. What is too short is for delivery to
        // say, where it is seen.
        min_s: Some(0),
        stereo: Some(order.separate || order.channels == Channels::Stereo),
        follow_transfer: Some(order.follow_transfer),
        variables: Some(variables),
        ..terms
    }
}

/// The command that ends a `record_call`.
pub(crate) fn stop(id: Option<String>, media_name: String, fork: Option<MediaFork>) -> Application {
    about(RecordAction::Stop, id, media_name, fork)
}

/// A command about a running `record_call`. To our switch it names the fork, as all commands of recorders do: one without a
/// fork is another application's, and comes back to us. Others know the recording by its name.
pub(crate) fn about(
    action: RecordAction,
    id: Option<String>,
    media_name: String,
    fork: Option<MediaFork>,
) -> Application {
    Application::RecordCall {
        action,
        media_name: Some(media_name),
        terms: Box::new(RecordCall {
            recording_id: fork.and(id),
            ..RecordCall::default()
        }),
        fork,
    }
}
