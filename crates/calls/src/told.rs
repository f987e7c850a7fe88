//! Answers those who asked on the bus. Does nothing of what they want.

use callreel_proto::{
    ActionStatus, CallId, Envelope, Exchange, Headers, LiveRecording, MetaflowActionResp,
};
use serde::Serialize;

use crate::context::Context;

/// Answers a `metaflow.action`, if it asked for an answer.
pub(crate) async fn answer(
    context: &Context,
    asked: &Headers,
    call_id: CallId,
    outcome: (ActionStatus, Option<String>),
    recordings: Vec<LiveRecording>,
) {
    let (status, detail) = outcome;
    let answer = MetaflowActionResp {
        call_id,
        status,
        detail,
        recordings,
    };
    reply(context, asked, answer.into_envelope(&asked.msg_id)).await;
}

/// Sends an answer of this node to whoever asked with these headers, if they ask for one.
pub(crate) async fn reply<T: Serialize>(
    context: &Context,
    asked: &Headers,
    mut answer: Envelope<T>,
) {
    let Some(asker) = asked.server_id.as_deref().filter(|s| !s.is_empty()) else {
        return;
    };
    answer.headers.node.clone_from(&context.node);
    let sent = context
        .bus
        .send(Exchange::Targeted, asker, answer.to_bytes());
    if let Err(error) = sent.await {
        let name = answer.headers.event_name;
        tracing::warn!(%error, asker, answer = name, "an answer was not sent");
    }
}
