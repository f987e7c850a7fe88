//! The switch's own queue on the bus: hands replies to who asked and commands to the channel they name.

use std::sync::Arc;

use callreel_bus::{Binding, Bus, Delivery, QueueOptions, Subscription};
use callreel_proto::{CallEvent, CallId, Envelope, EventName, Exchange, Requested, RouteResp, Utc};
use serde_json::Value;

use crate::channel::ChannelMsg;
use crate::shared::Shared;

/// Messages that may wait: commands of a few thousand calls, a handful each. They are handed on without waiting for
/// anything, so that more would mean a broken controller.
const CAPACITY: usize = 16_384;

/// Opens the queue, bound under its own name for replies and for commands.
pub(crate) async fn subscribe(bus: &Bus) -> Result<Subscription, callreel_bus::Error> {
    let name = bus.unique_queue_name();
    let own = |exchange| Binding::new(exchange, &name);
    let options = QueueOptions {
        name: Some(name.clone()),
        shared: false,
        capacity: CAPACITY,
    };
    bus.subscribe(
        options,
        vec![own(Exchange::Targeted), own(Exchange::Callctl)],
    )
    .await
}

/// Serves the queue until the bus or the switch ends.
pub(crate) async fn serve(shared: Arc<Shared>, mut subscription: Subscription) {
    while let Some(delivery) = subscription.recv().await {
        match delivery.exchange {
            Exchange::Callctl => command(&shared, &delivery).await,
            _ => reply(&shared, &delivery),
        }
    }
}

fn reply(shared: &Shared, delivery: &Delivery) {
    match Envelope::<RouteResp>::from_bytes(&delivery.body) {
        Ok(answer) => shared.askings.answer(answer),
        Err(error) => tracing::warn!(%error, "a reply was not understood"),
    }
}

async fn command(shared: &Shared, delivery: &Delivery) {
    let message: Value = match serde_json::from_slice(&delivery.body) {
        Ok(message) => message,
        Err(error) => {
            tracing::warn!(%error, "a command was no JSON");
            return;
        }
    };
    let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default();
    let call_id = CallId::new(text("Call-ID"));
    let channel = shared.channels.find(&call_id);
    let taken = channel.is_some_and(|c| c.cast(ChannelMsg::Command(message.clone())).is_ok());
    if taken {
        return;
    }
    // Kazoo never reports a hangup of what is gone already (kazoo-wire §12.1).
    if text("Application-Name") != "hangup" {
        gone(shared, call_id, message).await;
    }
}

/// The error event for a command to a call that is no more.
async fn gone(shared: &Shared, call_id: CallId, command: Value) {
    let app = command.get("Application-Name").and_then(Value::as_str);
    let mut event = CallEvent::new(call_id, Utc::now());
    event.application_name = app.map(str::to_owned);
    event.error_message = Some(format!(
        "session id not found for {}",
        app.unwrap_or_default()
    ));
    event.switch_nodename = Some(shared.node.clone());
    let msg_id = command
        .get("Msg-ID")
        .and_then(Value::as_str)
        .map(str::to_owned);
    event.request = command.as_object().cloned().map(Requested::Command);
    let key = event.routing_key(EventName::DialplanError);
    let mut envelope = event.into_envelope(EventName::DialplanError);
    envelope.headers.node.clone_from(&shared.node);
    if let Some(id) = msg_id {
        envelope.headers.msg_id = id;
    }
    let sent = shared
        .bus
        .publish(Exchange::Callevt, &key, envelope.to_bytes())
        .await;
    if let Err(error) = sent {
        tracing::error!(%error, "an error event was not published");
    }
}
