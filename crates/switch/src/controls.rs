//! The switch's own queue on the bus: hands answers to who asked and commands to the channel they name.

use std::sync::Arc;

use callreel_bus::{Binding, Bus, Delivery, QueueOptions, Subscription};
use callreel_proto::{CallEvent, CallId, Envelope, EventName, Exchange, Utc, encode_word};
use serde_json::Value;

use crate::channel::ChannelMsg;
use crate::events::{complain, publish};
use crate::shared::Shared;

/// Messages that may wait: commands of a few thousand calls, a handful each. They are handed on without waiting for
/// anything, so that more would mean a broken controller.
const CAPACITY: usize = 16_384;
/// Largest message taken, bytes: a bridge to fifty endpoints with all their variables has a third of it, and a channel
/// keeps hundreds of commands.
const LARGEST: usize = 256 * 1024;
/// Longest routing key of AMQP 0-9-1 (§4.2.5.3), bytes.
const LONGEST_KEY: usize = 255;
/// The longest event name that leads a routing key.
const LONGEST_LEAD: usize = "call.CHANNEL_EXECUTE_COMPLETE.".len();

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

/// Whether events can be about this call: its id is a word of their routing keys.
pub(crate) fn is_addressable(call_id: &CallId) -> bool {
    encode_word(call_id.as_str()).len() + LONGEST_LEAD <= LONGEST_KEY
}

/// Serves the queue until the bus or the switch ends.
pub(crate) async fn serve(shared: Arc<Shared>, mut subscription: Subscription) {
    while let Some(delivery) = subscription.recv().await {
        if let Err((kind, what)) = one(&shared, &delivery).await {
            shared.note(kind, what);
        }
    }
}

/// A kind of mishap, and more about it.
type Mishap = (&'static str, String);

/// Answers come on `targeted`, commands on `callctl`; Kazoo's control queues take commands on both.
async fn one(shared: &Shared, delivery: &Delivery) -> Result<(), Mishap> {
    if delivery.body.len() > LARGEST {
        let bytes = delivery.body.len().to_string();
        return Err(("larger than any command", bytes));
    }
    let message: Value =
        serde_json::from_slice(&delivery.body).map_err(|error| ("not JSON", error.to_string()))?;
    if !message.is_object() {
        return Err(("not JSON", "another kind of JSON".to_owned()));
    }
    match (
        text(&message, "Event-Category"),
        text(&message, "Event-Name"),
    ) {
        ("call", "command") => command(shared, message).await,
        ("dialplan", "route_resp") => {
            let answer = Envelope::from_bytes(&delivery.body);
            let answer = answer.map_err(|error| ("malformed route_resp", error.to_string()))?;
            shared.askings.answer(answer);
            Ok(())
        }
        (category, name) => {
            let named = format!("{category}/{name}");
            Err(("neither command nor answer", shown(&named)))
        }
    }
}

/// As much of a stranger's text as a log line bears.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

fn text<'a>(message: &'a Value, key: &str) -> &'a str {
    message.get(key).and_then(Value::as_str).unwrap_or_default()
}

async fn command(shared: &Shared, message: Value) -> Result<(), Mishap> {
    let name = text(&message, "Application-Name").to_owned();
    let call_id = CallId::parse(text(&message, "Call-ID"))
        .ok()
        .filter(|id| !id.as_str().is_empty() && is_addressable(id));
    let call_id = call_id.ok_or_else(|| ("command without call", shown(&name)))?;
    let message = match shared.channels.find(&call_id) {
        None => message,
        Some(channel) => match channel.cast(ChannelMsg::Command(message)) {
            Ok(()) => return Ok(()),
            Err(ractor::MessagingErr::SendErr(ChannelMsg::Command(message))) => message,
            // It has ended and the message with it: its controller hears of that by the last event.
            Err(_) => return Ok(()),
        },
    };
    // Kazoo never reports a hangup of what is gone already.
    if name != "hangup" {
        gone(shared, call_id, message).await;
    }
    Ok(())
}

/// The error event for a command to a call that is no more.
async fn gone(shared: &Shared, call_id: CallId, message: Value) {
    let app = text(&message, "Application-Name");
    let reason = format!("Session ID not found for {app}");
    let msg_id = message.get("Msg-ID").and_then(Value::as_str);
    let msg_id = msg_id.map(str::to_owned);
    let mut event = CallEvent::new(call_id, Utc::now());
    shared.identity.sign(&mut event);
    event.channel_state = Some("DESTROY".to_owned());
    event.channel_call_state = Some("DOWN".to_owned());
    if let Value::Object(command) = message {
        complain(&mut event, command, reason);
    }
    let (bus, identity) = (&shared.bus, &shared.identity);
    publish(bus, identity, EventName::DialplanError, event, msg_id).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_fits_no_routing_key_is_no_id() {
        assert!(is_addressable(&CallId::new("a".repeat(225))));
        assert!(!is_addressable(&CallId::new("a".repeat(226))));
        assert!(!is_addressable(&CallId::new("@".repeat(76))));
    }
}
