//! Finds a controller for a new call: publishes `route_req`, waits for the best `route_resp` (Kazoo `kapi_route`).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use callreel_proto::{
    CallId, Envelope, Exchange, RouteMethod, RouteReq, RouteResp, RouteWin, TraceParent,
    UsurpControl,
};
use callreel_telemetry::{CALL_ID, Span};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::channel::Controller;
use crate::shared::{Shared, locked};
use crate::vars::Vars;

/// Answers to one request that may wait unread: every controller of a cluster answers once, and only the first good one counts.
const ANSWERS: usize = 16;

/// The open requests, by their `Msg-ID`.
#[derive(Default)]
pub(crate) struct Askings {
    open: Mutex<HashMap<String, mpsc::Sender<Envelope<RouteResp>>>>,
}

impl Askings {
    /// Hands a `route_resp` to who asked; late and foreign ones are dropped.
    pub(crate) fn answer(&self, answer: Envelope<RouteResp>) {
        let asker = locked(&self.open).get(&answer.headers.msg_id).cloned();
        if let Some(asker) = asker {
            // A full queue means sixteen answers came first.
            drop(asker.try_send(answer));
        }
    }
}

/// A controller that wants a call.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) controller: Controller,
    /// `ring_ready`, `answer` or nothing.
    pub(crate) pre_park: Option<String>,
    /// Variables to set before parking.
    pub(crate) channel_vars: Map<String, Value>,
    /// And those of the application.
    pub(crate) application_vars: Map<String, Value>,
}

/// What became of the search.
#[derive(Debug)]
pub(crate) enum Routed {
    /// This controller wants the call.
    Park(Box<Offer>),
    /// A controller refuses it.
    Refused {
        /// SIP status.
        code: u16,
        /// Reason phrase.
        message: Option<String>,
    },
    /// Nobody wants it: no callflow has the number, or nobody listens, which cannot be told apart.
    Nobody,
}

/// Asks for a controller. The `Msg-ID` is the call's `Fetch-ID`.
pub(crate) async fn ask(
    shared: &Shared,
    request: RouteReq,
    fetch_id: String,
    asked_in: Option<TraceParent>,
) -> Routed {
    let mut span = Span::asking(asked_in, "route").with(CALL_ID, &request.call_id);
    let (sender, mut answers) = mpsc::channel(ANSWERS);
    locked(&shared.askings.open).insert(fetch_id.clone(), sender);
    let envelope = envelope(shared, request, &fetch_id, span.parent());
    let routed = publish_and_wait(shared, envelope, &mut answers).await;
    locked(&shared.askings.open).remove(&fetch_id);
    match &routed {
        Routed::Park(offer) => span.set("callreel.node", &offer.controller.node),
        Routed::Refused { code, .. } => span.failed("refused", code),
        Routed::Nobody => span.failed("nobody", "no controller wants this call"),
    }
    routed
}

fn envelope(
    shared: &Shared,
    request: RouteReq,
    fetch_id: &str,
    span: Option<TraceParent>,
) -> Envelope<RouteReq> {
    let headers = shared.identity.headers("dialplan", "route_req");
    Envelope {
        headers: headers
            .msg_id(fetch_id)
            .server_id(&shared.queue)
            .trace_parent(span),
        body: request,
    }
}

async fn publish_and_wait(
    shared: &Shared,
    request: Envelope<RouteReq>,
    answers: &mut mpsc::Receiver<Envelope<RouteResp>>,
) -> Routed {
    let key = request.body.routing_key();
    let sent = shared
        .bus
        .publish(Exchange::Callmgr, &key, request.to_bytes())
        .await;
    if let Err(error) = sent {
        tracing::error!(%error, "a call could not be offered to controllers");
        return Routed::Refused {
            code: 503,
            message: None,
        };
    }
    let deadline = Instant::now() + Duration::from_millis(shared.config.route_timeout_ms);
    let mut deferred = None;
    while let Ok(Some(answer)) = timeout_at(deadline, answers.recv()).await {
        let defer = answer.headers.defer_response == Some(true);
        match read(answer) {
            Ok(routed) if !defer => return routed,
            Ok(routed) => deferred = deferred.or(Some(routed)),
            Err(kind) => shared.note(kind, &request.headers.msg_id),
        }
    }
    match deferred {
        Some(routed) => routed,
        None if shared.bus.is_connected() => Routed::Nobody,
        // Whoever would want it could not be asked: the caller may try elsewhere, or again.
        None => Routed::Refused {
            code: 503,
            message: None,
        },
    }
}

/// What an answer means; some mean nothing we can do, and another application may yet answer.
fn read(answer: Envelope<RouteResp>) -> Result<Routed, &'static str> {
    let (headers, resp) = (answer.headers, answer.body);
    let code = resp
        .route_error_code
        .as_deref()
        .and_then(|c| c.trim().parse().ok());
    match (resp.method, headers.server_id) {
        (RouteMethod::Park, Some(queue)) if !queue.is_empty() => {
            Ok(Routed::Park(Box::new(Offer {
                controller: Controller {
                    queue,
                    app: headers.app_name,
                    node: headers.node,
                },
                pre_park: resp.pre_park,
                channel_vars: resp.custom_channel_vars,
                application_vars: resp.custom_application_vars,
            })))
        }
        (RouteMethod::Park, _) => Err("park without Server-ID"),
        (RouteMethod::Other, _) => Err("unsupported route method"),
        (RouteMethod::Error, _) => Ok(Routed::Refused {
            code: code.filter(|c| (300..700).contains(c)).unwrap_or(404),
            message: resp.route_error_message,
        }),
    }
}

/// Tells the controller that the call is its own.
pub(crate) async fn win(
    shared: &Shared,
    controller: &Controller,
    call_id: &CallId,
    channel_vars: &Vars,
) -> bool {
    let headers = shared.identity.headers("dialplan", "route_win");
    let envelope = Envelope {
        headers: headers.msg_id(call_id.as_str()).server_id(&shared.queue),
        body: RouteWin {
            call_id: call_id.clone(),
            control_queue: shared.queue.clone(),
            switch_hostname: Some(shared.identity.hostname.clone()),
            custom_channel_vars: channel_vars.map().clone(),
        },
    };
    let (exchange, bytes) = (Exchange::Targeted, envelope.to_bytes());
    let sent = shared.bus.send(exchange, &controller.queue, bytes).await;
    if let Err(error) = &sent {
        tracing::error!(%call_id, %error, "the controller could not be given its call");
    }
    sent.is_ok()
}

/// Tells every earlier controller of the call that it has another now, as ecallmgr does after each win.
pub(crate) async fn usurp(shared: &Shared, call_id: &CallId, fetch_id: Option<&str>) {
    let body = UsurpControl {
        call_id: call_id.clone(),
        fetch_id: fetch_id.unwrap_or_default().to_owned(),
        reason: Some("Route-Win".to_owned()),
        media_node: Some(shared.identity.node.clone()),
    };
    let key = body.routing_key();
    let headers = shared.identity.headers("call_event", UsurpControl::NAME);
    let (exchange, bytes) = (Exchange::Callevt, Envelope { headers, body }.to_bytes());
    let about = call_id.as_str();
    let sent = shared.bus.publish_about(about, exchange, &key, bytes).await;
    if let Err(error) = sent {
        tracing::error!(%call_id, %error, "earlier controllers were not told");
    }
}
