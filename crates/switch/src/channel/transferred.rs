//! The leg that is transferred: looks for a controller for where it shall go, leaves the leg it was joined to, and begins a
//! control session of its own, with its media, recordings and forks as they are.

use callreel_proto::{CallId, EventName, HangupCause, random_hex};

use super::referring::{Kind, TransferOrder, nobody};
use super::{Channel, ChannelMsg};
use crate::events::Parties;
use crate::queue::Slip;
use crate::routing::{self, Routed};
use crate::vars::Vars;

/// A transfer of this leg in progress.
pub(super) struct Transferred {
    order: TransferOrder,
    fetch_id: String,
    /// It has left the other leg.
    left: bool,
    /// The command, if this leg's own wants it.
    pub(super) slip: Option<Slip>,
}

impl Channel {
    /// The leg this one is joined to, or a command of its own, wants it to go elsewhere.
    pub(super) fn on_transfer(&mut self, order: TransferOrder) {
        let partner = self.partner().map(|partner| partner.leg.call_id);
        let asked = [Some(&self.call_id), partner.as_ref()].contains(&Some(&order.from));
        let refused = match asked {
            false => Some(481),
            // Both parties at once: neither.
            true if self.transferred.is_some() || self.referring.is_some() => Some(491),
            true => None,
        };
        if refused.is_some() {
            return answer(&order, refused);
        }
        let fetch_id = random_hex(32);
        let parties = self.transferred_parties(&order);
        let vars = self.transferred_vars(&order, &fetch_id);
        let request = self.route_request_as(&parties, &vars);
        let (shared, me) = (self.shared.clone(), self.me.clone());
        let (number, asked) = (order.number, fetch_id.clone());
        let asked_in = self.span.parent();
        tokio::spawn(async move {
            let routed = routing::ask(&shared, request, asked, asked_in).await;
            // The leg may have ended meanwhile.
            drop(me.cast(ChannelMsg::Rerouted(number, routed)));
        });
        self.transferred = Some(Transferred {
            order,
            fetch_id,
            left: false,
            slip: None,
        });
    }

    /// The search for a controller of a transferred leg is over.
    pub(super) async fn on_rerouted(&mut self, number: u64, routed: Routed) {
        let known = self.transferred.as_ref();
        if known.is_none_or(|t| t.order.number != number) {
            return;
        }
        match routed {
            Routed::Park(offer) => {
                self.leave_for_transfer().await;
                self.transferred = None;
                // What the old controller set is the call's; what only it waits for is not.
                self.park(*offer).await;
            }
            Routed::Refused { code, .. } => self.not_transferred(code).await,
            Routed::Nobody => self.not_transferred(404).await,
        }
    }

    /// Nobody wants it there: it stays where it is, if that is still there.
    async fn not_transferred(&mut self, code: u16) {
        let Some(transferred) = self.transferred.take() else {
            return;
        };
        tracing::info!(call_id = %self.call_id, to = transferred.order.to, code, "a transfer found nobody");
        if transferred.left {
            return self.end(HangupCause::from_sip_status(code)).await;
        }
        if let Some(slip) = transferred.slip {
            self.fail(slip, &nobody(code)).await;
        }
        answer(&transferred.order, Some(code));
    }

    /// The leg that asked for the transfer is gone before it was done.
    pub(super) async fn on_transferor_gone(&mut self, from: &CallId) {
        let transferred = self.transferred.as_ref();
        if transferred.is_some_and(|t| t.order.from == *from) {
            self.leave_for_transfer().await;
        }
    }

    /// Leaves the other leg and whoever controlled this one.
    pub(super) async fn leave_for_transfer(&mut self) {
        let Some(transferred) = self.transferred.as_mut().filter(|t| !t.left) else {
            return;
        };
        transferred.left = true;
        let (order, fetch_id) = (transferred.order.clone(), transferred.fetch_id.clone());
        let to = format!("{}@{}", order.to, self.realm());
        self.publish(EventName::ChannelTransferee, |event| {
            event.transfer_type = Some("blind".to_owned());
            event.transfer_to = Some(to.clone());
        })
        .await;
        answer(&order, None);
        if order.from == self.call_id {
            self.leave_behind(to);
        }
        let (parties, vars) = (
            self.transferred_parties(&order),
            self.transferred_vars(&order, &fetch_id),
        );
        self.drop_orders().await;
        self.let_go().await;
        self.parties = parties;
        self.channel_vars = vars;
        self.controller = None;
    }

    /// It goes by itself: whom it talks to has nobody left.
    fn leave_behind(&mut self, to: String) {
        match self.partner() {
            // One that has ended needs no word.
            Some(partner) => drop(partner.actor.cast(ChannelMsg::Relieved(Kind::Blind, to))),
            None => self.stop_ringback(),
        }
    }

    /// Who talks to whom from now on: the phone of this leg has called that number.
    fn transferred_parties(&self, order: &TransferOrder) -> Parties {
        let own = &self.parties;
        let request = format!("{}@{}", order.to, self.realm());
        let mut parties = Parties {
            request,
            callee_name: None,
            callee_number: Some(order.to.clone()),
            ..own.clone()
        };
        if self.owner.is_some() {
            // It was called: now it is the caller.
            let number = own.callee_number.clone();
            let number = number.unwrap_or_else(|| own.destination().to_owned());
            parties.from.clone_from(&own.phone);
            parties.to.clone_from(&parties.request);
            parties.from_uri.clone_from(&own.to_uri);
            parties.to_uri.clone_from(&parties.request);
            parties.caller_name = own.callee_name.clone().unwrap_or_else(|| number.clone());
            parties.caller_number = number;
        }
        let terms = order.terms.clone();
        parties.caller_name = terms.caller_name.unwrap_or(parties.caller_name);
        parties.caller_number = terms.caller_number.unwrap_or(parties.caller_number);
        parties
    }

    fn transferred_vars(&self, order: &TransferOrder, fetch_id: &str) -> Vars {
        let mut vars = self.channel_vars.clone();
        vars.extend(order.terms.vars.clone());
        vars.set("Fetch-ID", fetch_id);
        vars.set("Bridge-ID", self.call_id.as_str());
        vars.set("Referred-By", order.referred_by.as_str());
        vars.set("Referred-To", order.refer_to.as_str());
        vars
    }
}

/// Tells the leg that asked: the status that refuses it, or that it is done.
fn answer(order: &TransferOrder, refused: Option<u16>) {
    let outcome = ChannelMsg::TransferOutcome(order.number, refused);
    // It may have ended.
    drop(order.by.cast(outcome));
}
