//! The life of an inbound channel until somebody controls it.

use std::sync::Arc;
use std::time::Duration;

use callreel_proto::{CallId, EventName, HangupCause, RouteReq};
use callreel_telemetry::Span;
use ractor::ActorRef;
use rsipstack::sip::StatusCode;

use super::{Channel, ChannelMsg, Due, Inbound, Parts, pump_dialog, pump_media};
use crate::events::{Direction, Parties};
use crate::inbound::entry;
use crate::routing::{self, Offer, Routed};
use crate::shared::{Shared, count};
use crate::vars::Vars;

impl Channel {
    /// Sets up the channel of a new INVITE and begins to look for its controller.
    pub(super) async fn begin_inbound(
        shared: Arc<Shared>,
        me: ActorRef<ChannelMsg>,
        call_id: CallId,
        inbound: Inbound,
    ) -> Self {
        let mut channel = Self::new(Parts {
            shared,
            me: me.clone(),
            call_id: call_id.clone(),
            direction: Direction::Inbound,
            parties: inbound.parties,
            channel_vars: inbound.channel_vars,
            peer: inbound.peer,
            media: inbound.media,
            allowed: inbound.allowed,
            max_forwards: inbound.max_forwards,
            span: Span::serving(inbound.asked_in, "INVITE"),
        });
        channel.sip_headers = inbound.sip_headers;
        channel.user_agent = inbound.user_agent;
        channel.dialog = Some(inbound.dialog.clone());
        channel.theirs = inbound.theirs;
        channel.session = inbound.timer;
        let shared = &channel.shared;
        let entry = entry(me.clone(), Direction::Inbound);
        shared.channels.insert(call_id.clone(), entry);
        shared.channels.set_dialog(&call_id, &inbound.dialog);
        count(&shared.counters.calls);
        pump_media(&me, inbound.events);
        pump_dialog(&me, inbound.states);
        channel.publish(EventName::ChannelCreate, |_| {}).await;
        channel.find_controller(inbound.fetch_id);
        let patience = Duration::from_secs(channel.shared.config.answer_timeout_s);
        channel.set_timer(patience, Due::Answer);
        channel
    }

    /// The call in the words of its `route_req`, with its variables as they are now.
    pub(super) fn route_request(&self) -> RouteReq {
        self.route_request_as(&self.parties, &self.channel_vars)
    }

    /// The same, as between these parties, with these variables.
    pub(super) fn route_request_as(&self, parties: &Parties, channel_vars: &Vars) -> RouteReq {
        let identity = &self.shared.identity;
        let (from_tag, to_tag) = self.tags();
        RouteReq {
            caller_id_number: parties.caller_number.clone(),
            caller_id_name: parties.caller_name.clone(),
            call_direction: self.direction.name().to_owned(),
            switch_nodename: identity.node.clone(),
            switch_hostname: Some(identity.hostname.clone()),
            switch_uri: Some(identity.uri.clone()),
            switch_url: Some(identity.url.clone()),
            from_network_addr: Some(self.peer.addr.ip().to_string()),
            from_network_port: Some(self.peer.addr.port().to_string()),
            from_tag,
            to_tag,
            user_agent: self.user_agent.clone(),
            custom_sip_headers: self.sip_headers.map().clone(),
            media_fork: Some(true),
            custom_channel_vars: channel_vars.map().clone(),
            custom_application_vars: self.application_vars.map().clone(),
            ..RouteReq::new(
                self.call_id.clone(),
                &parties.from,
                &parties.to,
                &parties.request,
            )
        }
    }

    fn find_controller(&self, fetch_id: String) {
        let request = self.route_request();
        let (shared, me) = (self.shared.clone(), self.me.clone());
        let asked_in = self.span.parent();
        tokio::spawn(async move {
            let routed = routing::ask(&shared, request, fetch_id, asked_in).await;
            // The caller may have given up meanwhile.
            drop(me.cast(ChannelMsg::Routed(routed)));
        });
    }

    /// The search for a controller is over.
    pub(super) async fn on_routed(&mut self, routed: Routed) {
        match routed {
            Routed::Park(offer) => self.park(*offer).await,
            Routed::Refused { code, message } => {
                let status = StatusCode::from(code);
                let status = match message.filter(|m| !m.contains(['\r', '\n'])) {
                    Some(phrase) => StatusCode::Other(code, phrase),
                    None => status,
                };
                self.refuse(status).await;
            }
            Routed::Nobody => {
                tracing::info!(call_id = %self.call_id, request = self.parties.request,
                    "no controller wants this call");
                self.refuse(StatusCode::NotFound).await;
            }
        }
    }

    /// The call is this controller's: sets what it wants set, and tells it and whoever had it before.
    pub(super) async fn park(&mut self, offer: Offer) {
        self.set_channel_vars(offer.channel_vars);
        self.application_vars.extend(offer.application_vars);
        for (name, value) in [
            ("Application-Name", &offer.controller.app),
            ("Application-Node", &offer.controller.node),
        ] {
            self.channel_vars.set(name, value);
        }
        let controller = self.controller.insert(offer.controller).clone();
        match offer.pre_park.as_deref() {
            Some("ring_ready") => self.ring(),
            Some("answer") if self.answer(None).await.is_err() => {
                return self.end(HangupCause::IncompatibleDestination).await;
            }
            _ => {}
        }
        let (shared, vars) = (self.shared.clone(), &self.channel_vars);
        let channels = &shared.channels;
        channels.set_controller(&self.call_id, &controller.queue);
        if !routing::win(&shared, &controller, &self.call_id, vars).await {
            return self.refuse(StatusCode::ServiceUnavailable).await;
        }
        routing::usurp(&shared, &self.call_id, vars.get("Fetch-ID")).await;
    }

    /// Refuses the call with this status; an answered one is ended.
    pub(super) async fn refuse(&mut self, status: StatusCode) {
        let code = status.code();
        let cause = HangupCause::from_sip_status(code);
        match &self.dialog {
            // A dialog that has just ended by itself refuses to be refused, which is fine.
            Some(dialog) if self.answered.is_none() => drop(dialog.reject(Some(status), None)),
            _ => self.hang_up_dialog(code),
        }
        self.finish(cause, code).await;
    }
}
