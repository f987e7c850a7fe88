//! Call events of one channel: fills in what every event carries (as ecallmgr's `ecallmgr_call_events` does) and publishes them
//! in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use callreel_bus::Bus;
use callreel_proto::{CallEvent, CallId, EventName, Exchange, Requested, Utc};
use serde_json::{Map, Value};

use crate::identity::Identity;
use crate::states::Stage;
use crate::vars::Vars;

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
    /// `user@host` of From as it came, or goes out.
    pub(crate) from_uri: String,
    /// `user@host` of To.
    pub(crate) to_uri: String,
    /// The phone of this leg, `user@realm`.
    pub(crate) phone: String,
    pub(crate) caller_name: String,
    pub(crate) caller_number: String,
    pub(crate) callee_name: Option<String>,
    pub(crate) callee_number: Option<String>,
}

impl Parties {
    /// The number the leg was called for.
    pub(crate) fn destination(&self) -> &str {
        self.request.split('@').next().unwrap_or_default()
    }
}

/// The leg at the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherLeg {
    pub(crate) call_id: CallId,
    pub(crate) direction: Direction,
    pub(crate) caller_name: String,
    pub(crate) caller_number: String,
    /// The number it was called for.
    pub(crate) destination: String,
}

/// How a leg looks when something happens to it.
pub(crate) struct Look<'a> {
    pub(crate) stage: Stage,
    pub(crate) parties: &'a Parties,
    pub(crate) channel_vars: &'a Vars,
    pub(crate) application_vars: &'a Vars,
    /// `X-` headers of the INVITE.
    pub(crate) sip_headers: &'a Vars,
    pub(crate) other: Option<&'a OtherLeg>,
    /// Where commands for it go, once it has a controller.
    pub(crate) control_queue: Option<&'a str>,
    /// Tags of From and To, as far as they are known.
    pub(crate) tags: (Option<String>, Option<String>),
    /// The phone's own name.
    pub(crate) user_agent: Option<&'a str>,
}

/// Microseconds since 1970.
fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}

fn utc(us: u64) -> Utc {
    Utc::from_unix_ms(i64::try_from(us / 1000).unwrap_or(i64::MAX))
}

/// Publishes the events of one channel.
pub(crate) struct Reporter {
    bus: Bus,
    identity: Arc<Identity>,
    call_id: CallId,
    created_us: u64,
    last_us: AtomicU64,
}

impl Reporter {
    /// A reporter for this leg, which is new.
    pub(crate) fn new(bus: Bus, identity: Arc<Identity>, call_id: CallId) -> Self {
        let created_us = unix_us();
        Self {
            bus,
            identity,
            call_id,
            created_us,
            last_us: AtomicU64::new(0),
        }
    }

    /// When the leg was created.
    pub(crate) fn created(&self) -> Utc {
        utc(self.created_us)
    }

    /// Publishes one event. The channel goes on if the bus does not take it; the failure is logged.
    pub(crate) async fn publish(
        &self,
        name: EventName,
        look: Look<'_>,
        fill: impl FnOnce(&mut CallEvent) + Send,
    ) {
        let us = self.instant();
        let mut event = self.base(us, &look);
        fill(&mut event);
        // Events of a switch are told apart, and put in order, by their instant.
        self.send(name, event, us.to_string()).await;
    }

    /// Publishes a `dialplan` error event: its `Msg-ID` is the refused command's.
    pub(crate) async fn refuse(
        &self,
        look: Look<'_>,
        msg_id: &str,
        command: Map<String, Value>,
        reason: String,
    ) {
        let mut event = self.base(self.instant(), &look);
        complain(&mut event, command, reason);
        self.send(EventName::DialplanError, event, msg_id.to_owned())
            .await;
    }

    /// Now; never an instant of an earlier event of this leg.
    fn instant(&self) -> u64 {
        let now = unix_us();
        let next = |last: u64| Some(now.max(last + 1));
        let last = self
            .last_us
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        now.max(last.map_or(0, |last| last + 1))
    }

    /// What every event carries.
    fn base(&self, us: u64, look: &Look<'_>) -> CallEvent {
        let mut event = CallEvent::new(self.call_id.clone(), utc(us));
        event.channel_created_us = Some(self.created_us);
        event.channel_is_loopback = Some(false);
        event
            .custom_channel_vars
            .clone_from(look.channel_vars.map());
        event.custom_application_vars = some(look.application_vars);
        event.custom_sip_headers = some(look.sip_headers);
        event.control_queue = look.control_queue.map(str::to_owned);
        event.user_agent = look.user_agent.map(str::to_owned);
        (event.from_tag, event.to_tag) = look.tags.clone();
        self.identity.sign(&mut event);
        tell_stage(&mut event, look.stage);
        tell_parties(&mut event, look);
        if let Some(other) = look.other {
            tell_other_leg(&mut event, other);
        }
        event
    }

    async fn send(&self, name: EventName, event: CallEvent, msg_id: String) {
        publish(&self.bus, &self.identity, name, event, Some(msg_id)).await;
    }
}

/// Empty ones are left out.
fn some(vars: &Vars) -> Option<Map<String, Value>> {
    (!vars.map().is_empty()).then(|| vars.map().clone())
}

fn tell_stage(event: &mut CallEvent, stage: Stage) {
    event.call_direction = Some(stage.direction.name().to_owned());
    event.channel_state = Some(stage.channel().to_owned());
    event.channel_call_state = Some(stage.call().to_owned());
    event.channel_answer_state = Some(stage.answer().to_owned());
}

fn tell_parties(event: &mut CallEvent, look: &Look<'_>) {
    let parties = look.parties;
    event.from = Some(parties.from.clone());
    event.to = Some(parties.to.clone());
    event.request = Some(Requested::Party(parties.request.clone()));
    event.from_uri = Some(parties.from_uri.clone());
    event.to_uri = Some(parties.to_uri.clone());
    event.caller_destination_number = Some(parties.destination().to_owned());
    event.caller_id_name = Some(parties.caller_name.clone());
    event.caller_id_number = Some(parties.caller_number.clone());
    event.callee_id_name.clone_from(&parties.callee_name);
    event.callee_id_number.clone_from(&parties.callee_number);
    let presence = look.channel_vars.get("Presence-ID");
    event.presence_id = Some(presence.unwrap_or(&parties.phone).to_owned());
    // FreeSWITCH's module and profile stand first; listeners only look whether it is a loopback.
    event.channel_name = Some(format!("sofia/callreel/{}", parties.phone));
}

fn tell_other_leg(event: &mut CallEvent, other: &OtherLeg) {
    event.other_leg_call_id = Some(other.call_id.clone());
    event.other_leg_direction = Some(other.direction.name().to_owned());
    event.other_leg_caller_id_name = Some(other.caller_name.clone());
    event.other_leg_caller_id_number = Some(other.caller_number.clone());
    event.other_leg_destination_number = Some(other.destination.clone());
}

/// Makes an event a `dialplan` error about this command.
pub(crate) fn complain(event: &mut CallEvent, mut command: Map<String, Value>, reason: String) {
    // Everybody hears events; the passwords of trunks are for the switch.
    let endpoints = command.get_mut("Endpoints").and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten() {
        endpoint
            .as_object_mut()
            .and_then(|e| e.shift_remove("Auth-Password"));
    }
    let name = command.get("Application-Name").and_then(Value::as_str);
    event.application_name = name.map(str::to_owned);
    event.request = Some(Requested::Command(command));
    event.dialplan_error = Some(reason.clone());
    event.error_message = Some(reason);
}

/// Puts an event on the bus. If the bus does not take it, that is logged: nobody waits for more.
pub(crate) async fn publish(
    bus: &Bus,
    identity: &Identity,
    name: EventName,
    event: CallEvent,
    msg_id: Option<String>,
) {
    let key = event.routing_key(name);
    let call_id = event.call_id.clone();
    let mut envelope = event.into_envelope(name);
    envelope.headers.node.clone_from(&identity.node);
    // A command without an id still gets an error that has one: Kazoo takes none without.
    if let Some(id) = msg_id.filter(|id| !id.is_empty()) {
        envelope.headers.msg_id = id;
    }
    let (exchange, bytes) = (Exchange::Callevt, envelope.to_bytes());
    let sent = bus
        .publish_about(call_id.as_str(), exchange, &key, bytes)
        .await;
    if let Err(error) = sent {
        tracing::error!(%call_id, %error, event = name.name(), "an event was not published");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_events_of_a_leg_share_an_instant() {
        let own = crate::peer::OwnAddress::new("127.0.0.1:5060".parse().unwrap(), None);
        let identity = Arc::new(Identity::new("callreel@test", &own));
        let reporter = Reporter::new(Bus::embedded(), identity, CallId::new("a"));
        let instants: Vec<_> = (0..1_000).map(|_| reporter.instant()).collect();
        assert!(instants.is_sorted_by(|a, b| a < b));
        assert!(instants[0] >= reporter.created_us);
    }
}
