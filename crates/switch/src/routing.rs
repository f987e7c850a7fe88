//! Finds a controller for a new call: publishes `route_req`, waits for the best `route_resp` (kazoo-wire §5).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use callreel_proto::{
    CallId, Envelope, Exchange, Headers, RouteMethod, RouteReq, RouteResp, RouteWin,
};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::shared::{Shared, locked};

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

/// What became of the search.
#[derive(Debug)]
pub(crate) enum Routed {
    /// This controller wants the call.
    Park {
        /// Where its `route_win` goes.
        controller: String,
        /// `ring_ready`, `answer` or nothing.
        pre_park: Option<String>,
        /// Variables to set before parking.
        channel_vars: Map<String, Value>,
    },
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
pub(crate) async fn ask(shared: &Shared, request: RouteReq, fetch_id: String) -> Routed {
    let (sender, mut answers) = mpsc::channel(ANSWERS);
    locked(&shared.askings.open).insert(fetch_id.clone(), sender);
    let routed = publish_and_wait(shared, request, &fetch_id, &mut answers).await;
    locked(&shared.askings.open).remove(&fetch_id);
    routed
}

async fn publish_and_wait(
    shared: &Shared,
    request: RouteReq,
    fetch_id: &str,
    answers: &mut mpsc::Receiver<Envelope<RouteResp>>,
) -> Routed {
    let key = request.routing_key();
    let mut headers = Headers::new("dialplan", "route_req")
        .msg_id(fetch_id)
        .server_id(&shared.queue);
    headers.node.clone_from(&shared.node);
    let body = Envelope {
        headers,
        body: request,
    };
    let sent = shared
        .bus
        .publish(Exchange::Callmgr, &key, body.to_bytes())
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
            routed if !defer => return routed,
            routed => deferred = deferred.or(Some(routed)),
        }
    }
    deferred.unwrap_or(Routed::Nobody)
}

fn read(answer: Envelope<RouteResp>) -> Routed {
    let resp = answer.body;
    let code = resp
        .route_error_code
        .as_deref()
        .and_then(|c| c.parse().ok());
    match (resp.method, answer.headers.server_id) {
        (RouteMethod::Park, Some(controller)) if !controller.is_empty() => Routed::Park {
            controller,
            pre_park: resp.pre_park,
            channel_vars: resp.custom_channel_vars,
        },
        (RouteMethod::Park, _) => Routed::Refused {
            code: 500,
            message: Some("Controller Without Address".to_owned()),
        },
        (RouteMethod::Other, _) => Routed::Nobody,
        (RouteMethod::Error, _) => Routed::Refused {
            code: code.filter(|c| (300..700).contains(c)).unwrap_or(404),
            message: resp.route_error_message,
        },
    }
}

/// Tells the controller that the call is its own.
pub(crate) async fn win(
    shared: &Shared,
    controller: &str,
    call_id: &CallId,
    channel_vars: &Map<String, Value>,
) -> bool {
    let mut headers = Headers::new("dialplan", "route_win")
        .msg_id(call_id.as_str())
        .server_id(&shared.queue);
    headers.node.clone_from(&shared.node);
    let body = Envelope {
        headers,
        body: RouteWin {
            call_id: call_id.clone(),
            control_queue: shared.queue.clone(),
            switch_hostname: None,
            custom_channel_vars: channel_vars.clone(),
        },
    };
    let sent = shared
        .bus
        .send(Exchange::Targeted, controller, body.to_bytes())
        .await;
    if let Err(error) = &sent {
        tracing::error!(%call_id, %error, "the controller could not be given its call");
    }
    sent.is_ok()
}
