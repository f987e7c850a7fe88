//! Call events of one channel: fills in what every event carries and publishes them in order.

use callreel_bus::Bus;
use callreel_proto::{CallEvent, CallId, EventName, Exchange, Requested, Utc};
use serde_json::{Map, Value};

/// Which way a leg was set up, as the switch sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// A phone called the switch.
    Inbound,
    /// The switch called a phone.
    Outbound,
}

impl Direction {
    /// The name in events.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Who talks with whom on a leg, as its events tell it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parties {
    /// `user@realm`.
    pub(crate) from: String,
    /// `user@realm`.
    pub(crate) to: String,
    /// `user@realm`.
    pub(crate) request: String,
    pub(crate) caller_name: String,
    pub(crate) caller_number: String,
    pub(crate) callee_name: Option<String>,
    pub(crate) callee_number: Option<String>,
}

/// Publishes the events of one channel.
pub(crate) struct Reporter {
    bus: Bus,
    node: String,
    call_id: CallId,
    direction: Direction,
    parties: Parties,
}

impl Reporter {
    /// A reporter for this leg.
    pub(crate) fn new(
        bus: Bus,
        node: String,
        call_id: CallId,
        direction: Direction,
        parties: Parties,
    ) -> Self {
        Self {
            bus,
            node,
            call_id,
            direction,
            parties,
        }
    }

    /// Who talks with whom.
    pub(crate) fn parties(&self) -> &Parties {
        &self.parties
    }

    /// Publishes one event. The channel goes on if the bus does not take it; the failure is logged.
    pub(crate) async fn publish(
        &self,
        name: EventName,
        ccvs: &Map<String, Value>,
        other_leg: Option<&CallId>,
        fill: impl FnOnce(&mut CallEvent) + Send,
    ) {
        let mut event = self.base(ccvs, other_leg);
        fill(&mut event);
        self.send(name, event, None).await;
    }

    /// Publishes a `dialplan` error event: its `Msg-ID` is the refused command's (kazoo-wire §12.1).
    pub(crate) async fn refuse(
        &self,
        ccvs: &Map<String, Value>,
        msg_id: &str,
        command: Map<String, Value>,
        reason: String,
    ) {
        tracing::warn!(call_id = %self.call_id, %reason, "a command was not executed");
        let mut event = self.base(ccvs, None);
        event.application_name = command
            .get("Application-Name")
            .and_then(Value::as_str)
            .map(str::to_owned);
        event.error_message = Some(reason);
        event.request = Some(Requested::Command(command));
        self.send(EventName::DialplanError, event, Some(msg_id))
            .await;
    }

    fn base(&self, ccvs: &Map<String, Value>, other_leg: Option<&CallId>) -> CallEvent {
        let mut event = CallEvent::new(self.call_id.clone(), Utc::now());
        let parties = &self.parties;
        event.custom_channel_vars.clone_from(ccvs);
        event.call_direction = Some(self.direction.name().to_owned());
        event.from = Some(parties.from.clone());
        event.to = Some(parties.to.clone());
        event.request = Some(Requested::Party(parties.request.clone()));
        event.caller_id_name = Some(parties.caller_name.clone());
        event.caller_id_number = Some(parties.caller_number.clone());
        event.callee_id_name.clone_from(&parties.callee_name);
        event.callee_id_number.clone_from(&parties.callee_number);
        event.switch_nodename = Some(self.node.clone());
        event.other_leg_call_id = other_leg.cloned();
        event
    }

    async fn send(&self, name: EventName, event: CallEvent, msg_id: Option<&str>) {
        let key = event.routing_key(name);
        let mut envelope = event.into_envelope(name);
        envelope.headers.node.clone_from(&self.node);
        if let Some(id) = msg_id {
            envelope.headers.msg_id = id.to_owned();
        }
        let body = envelope.to_bytes();
        if let Err(error) = self.bus.publish(Exchange::Callevt, &key, body).await {
            tracing::error!(call_id = %self.call_id, %error, event = name.name(), "an event was not published");
        }
    }
}
