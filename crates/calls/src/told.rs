//! Tells a program what came of what it wanted of a live call. Does nothing of it.

use callreel_proto::{ActionStatus, CallId, Exchange, Headers, LiveRecording, MetaflowActionResp};

use crate::context::Context;

/// Answers a `metaflow.action`, if it asked for an answer.
pub(crate) async fn answer(
    context: &Context,
    asked: &Headers,
    call_id: CallId,
    outcome: (ActionStatus, Option<String>),
    recordings: Vec<LiveRecording>,
) {
    let Some(asker) = asked.server_id.as_deref().filter(|s| !s.is_empty()) else {
        return;
    };
    let (status, detail) = outcome;
    let answer = MetaflowActionResp {
        call_id,
        status,
        detail,
        recordings,
    };
    let mut answer = answer.into_envelope(&asked.msg_id);
    answer.headers.node.clone_from(&context.node);
    let sent = context
        .bus
        .send(Exchange::Targeted, asker, answer.to_bytes());
    if let Err(error) = sent.await {
        tracing::warn!(%error, "an answer about a live call was not sent");
    }
}
