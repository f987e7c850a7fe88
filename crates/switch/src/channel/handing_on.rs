//! A `record_call` of another application: the switch cannot record by itself, and hands it on to those who can.

use callreel_bus::Receipt;
use callreel_proto::{Envelope, Exchange, RecordRequest};
use serde_json::Value;

use super::{Channel, ChannelMsg, commands::Execution};
use crate::events::Direction;
use crate::queue::Slip;

/// The `App-Name` of controllers that record.
const CALLREEL: &str = "callreel";

impl Channel {
    /// Hands a `record_call` on: to the call's controller if that records, else to whichever calls node takes it. Its order will
    /// name a fork. If nobody is there to take it, its sender hears of that.
    pub(super) async fn hand_on(&mut self, slip: Slip) -> Execution {
        if self.controller.is_none() && self.direction == Direction::Inbound {
            return self.fail(slip, "nobody controls this call yet").await;
        }
        let (key, request) = self.record_request(&slip);
        if let Err(error) = Envelope::<RecordRequest>::from_bytes(request.as_bytes()) {
            // Whoever records could not read it either: Kazoo's headers are missing, say.
            return self.fail(slip, &error.to_string()).await;
        }
        let recorder = self.controller.as_ref().filter(|c| c.app == CALLREEL);
        let bus = &self.shared.bus;
        let sent = match recorder {
            Some(recorder) => {
                let to = &recorder.queue;
                bus.send_tracked(Exchange::Targeted, to, request).await
            }
            None => {
                let published = bus.publish(Exchange::Kapps, &key, request).await;
                return match published {
                    Ok(()) => Execution::Done,
                    Err(error) => self.fail(slip, &error.to_string()).await,
                };
            }
        };
        match sent {
            Ok(receipt) => {
                self.watch(receipt, slip);
                Execution::Done
            }
            Err(error) => self.fail(slip, &error.to_string()).await,
        }
    }

    /// The command as it came, with what whoever records must know: a [`RecordRequest`].
    fn record_request(&self, slip: &Slip) -> (String, String) {
        let call = self.route_request();
        let key = RecordRequest::routing_key(&call);
        let mut message = slip.command.clone();
        let queue = self.shared.queue.clone();
        message.insert("Control-Queue".to_owned(), Value::String(queue));
        let call = serde_json::to_value(call).unwrap_or_default();
        message.insert("Call".to_owned(), call);
        (key, Value::Object(message).to_string())
    }

    /// Waits, beside the channel, for word that the request has arrived.
    fn watch(&self, receipt: Receipt, slip: Slip) {
        let me = self.me.clone();
        tokio::spawn(async move {
            if let Err(lost) = receipt.await {
                let reason = format!("the recorder could not be told: {lost}");
                // The channel may have ended; then there is nothing to record.
                drop(me.cast(ChannelMsg::NotTaken { slip, reason }));
            }
        });
    }
}
