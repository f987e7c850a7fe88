//! Attended transfers: a phone has two calls and joins their other ends. Its two legs leave; one of the other ends keeps, or takes, the
//! part of the A leg, the other one that of the B leg. Where the second call has no other end, that of the first goes where it had gone.

use callreel_proto::{CallId, EventName, HangupCause};
use ractor::ActorRef;

use super::bridge::{Bridge, Live};
use super::dialling::other_leg;
use super::outbound::Owner;
use super::referring::{Kind, Stage, Terms};
use super::{Channel, ChannelMsg, Controller};
use crate::events::Direction;
use crate::queue::Queue;
use crate::refer::Referral;
use crate::vars::Vars;

/// What one leg of the phone asks its other one.
pub(crate) struct JoinOrder {
    /// Who asks.
    pub(super) by: ActorRef<ChannelMsg>,
    /// Its number for this.
    pub(super) number: u64,
    /// Whose calls both must be.
    pub(super) account: Option<String>,
    /// The tags `Replaces` names, in any order.
    pub(super) tags: [String; 2],
    /// What the phone wants.
    pub(super) referral: Referral,
}

/// The second call has no other end: it talks to a callflow, or rings somebody still.
pub(crate) struct Alone {
    pub(super) number: u64,
    /// The phone's leg in that call.
    pub(super) leg: ActorRef<ChannelMsg>,
    /// The number it called.
    pub(super) to: String,
    /// What the phone wants.
    pub(super) referral: Referral,
}

/// The other end of the second call.
pub(crate) struct Joinable {
    pub(super) number: u64,
    /// The phone's leg in that call.
    pub(super) leg: ActorRef<ChannelMsg>,
    pub(super) call_id: CallId,
    pub(super) other: Live,
    /// That end is the A leg of its call.
    pub(super) is_a_leg: bool,
}

/// What the A leg of the new conversation is told.
pub(crate) struct Adoption {
    /// The leg it was joined to.
    from: CallId,
    /// The leg it is joined to now.
    partner: Live,
    /// What it takes over from the A leg that leaves, if it was none itself.
    estate: Option<Box<Estate>>,
}

/// What makes an A leg: its controller and what that has ordered.
pub(crate) struct Estate {
    controller: Option<Controller>,
    queue: Queue,
    fetch_id: String,
    exported_vars: Vars,
    /// The bridge runs beside the queue.
    now: bool,
}

impl Channel {
    /// The phone of this leg wants this call's other end joined to that of another call of it.
    pub(super) fn on_join(&mut self, order: JoinOrder) {
        let (from, to) = self.tags();
        let tags = [from.unwrap_or_default(), to.unwrap_or_default()];
        let [one, other] = &order.tags;
        let meant = tags == [one.clone(), other.clone()] || tags == [other.clone(), one.clone()];
        let ours = self.channel_vars.get("Account-ID") == order.account.as_deref();
        let refused = |status| ChannelMsg::TransferOutcome(order.number, Some(status));
        let outcome = match (self.partner(), self.dialled()) {
            _ if !(meant && ours) => refused(481),
            _ if self.is_busy() => refused(491),
            (Some(other), _) => ChannelMsg::Joinable(Box::new(Joinable {
                number: order.number,
                leg: self.me.clone(),
                call_id: self.call_id.clone(),
                other,
                is_a_leg: self.owner.is_some(),
            })),
            (None, Some(to)) => ChannelMsg::Alone(Box::new(Alone {
                number: order.number,
                leg: self.me.clone(),
                to,
                referral: order.referral,
            })),
            (None, None) => refused(481),
        };
        // Whoever asked may have ended.
        drop(order.by.cast(outcome));
    }

    /// The number that this leg's phone has called.
    fn dialled(&self) -> Option<String> {
        let called = self.direction == Direction::Inbound && self.owner.is_none();
        called.then(|| self.parties.destination().to_owned())
    }

    /// The other call has no other end: this one's goes to the number that it had called.
    pub(super) fn on_alone(&mut self, alone: Alone) {
        let to = format!("{}@{}", alone.to, self.realm());
        let asked = self.referring.as_mut();
        let asked = asked.filter(|r| r.number == alone.number && r.stage == Stage::Asked);
        let Some(referring) = asked else { return };
        referring.go_on_blind(to, alone.leg);
        let order = self.transfer_order(alone.number, &alone.to, &alone.referral, Terms::default());
        // Who has just ended says so.
        if let Some(partner) = self.partner() {
            drop(partner.actor.cast(ChannelMsg::Transfer(Box::new(order))));
        }
    }

    /// The other call's other end is known: joins it with this one's.
    pub(super) async fn on_joinable(&mut self, found: Joinable) {
        let asked = self.referring.as_ref();
        let asked = asked.is_some_and(|r| r.number == found.number && r.stage == Stage::Asked);
        let Some(ours) = self.partner().filter(|_| asked) else {
            return;
        };
        let (stays, successor) = (ours.leg.call_id.clone(), found.other.leg.call_id.clone());
        let ours_is_a_leg = self.owner.is_some();
        let replaced = !ours_is_a_leg && !found.is_a_leg;
        let (a_leg, from, b_leg) = match ours_is_a_leg {
            true => (ours, self.call_id.clone(), found.other),
            false => (found.other, found.call_id, ours),
        };
        let adoption = Adoption {
            from,
            partner: b_leg,
            estate: replaced.then(|| Box::new(self.estate())),
        };
        if replaced {
            let successor = &successor;
            self.publish(EventName::ChannelReplaced, |event| {
                event.replaced_by = Some(successor.clone());
            })
            .await;
        }
        self.note_goal(&successor);
        let alone = adoption.partner.actor.clone();
        let adopt = ChannelMsg::Adopt(Box::new(adoption));
        if a_leg.actor.cast(adopt).is_err() {
            // It has just ended: nobody is left for the other one.
            drop(alone.cast(ChannelMsg::HangUp(HangupCause::NormalClearing)));
        }
        let stays = stays.to_string();
        drop(found.leg.cast(ChannelMsg::Relieved(Kind::Attended, stays)));
        self.on_transfer_outcome(found.number, None).await;
    }

    /// What the leg that takes this one's place gets.
    fn estate(&mut self) -> Estate {
        Estate {
            controller: self.controller.clone(),
            queue: std::mem::take(&mut self.queue),
            fetch_id: self
                .channel_vars
                .get("Fetch-ID")
                .unwrap_or_default()
                .to_owned(),
            exported_vars: self.exported_vars.clone(),
            now: self.bridge.as_ref().is_some_and(Bridge::is_now),
        }
    }

    /// The other end of this call has gone elsewhere, or been joined to another leg: this one has nothing more to do.
    pub(super) async fn on_relieved(&mut self, kind: Kind, to: String) {
        if !self.joined {
            // It has left that end itself.
            return;
        }
        self.publish(EventName::ChannelTransferor, |event| {
            event.transfer_type = Some(kind.name().to_owned());
            event.transfer_to = Some(to);
        })
        .await;
        self.let_go().await;
        self.end(HangupCause::NormalClearing).await;
    }

    /// This leg is the A leg of a new conversation.
    pub(super) async fn on_adopt(&mut self, adoption: Adoption) {
        Box::pin(self.take_back()).await;
        let before = self.partner();
        let Some(before) = before.filter(|b| b.leg.call_id == adoption.from) else {
            // It was parted from the one that leaves a moment ago: the other end has nobody left.
            let alone = ChannelMsg::HangUp(HangupCause::NormalClearing);
            return drop(adoption.partner.actor.cast(alone));
        };
        self.joined = false;
        self.unhear(Some(before.media)).await;
        self.publish_unbridge().await;
        self.owner = None;
        let number = self.number();
        let mut now = self.bridge.as_ref().is_some_and(Bridge::is_now);
        if let Some(estate) = adoption.estate {
            now = estate.now;
            self.inherit(*estate);
        }
        let partner = adoption.partner;
        self.bridge = Some(Bridge::joined(number, partner.clone(), now));
        self.media.bridge(&partner.media);
        let owner = Owner {
            actor: self.me.clone(),
            media: self.media.clone(),
            bridge: number,
            leg: 0,
        };
        let own = other_leg(&self.call_id, self.direction, &self.parties);
        let fetch_id = self.channel_vars.get("Fetch-ID").map(str::to_owned);
        let serve = ChannelMsg::Serve(Box::new((owner, own, fetch_id)));
        self.note_joined();
        self.other_leg = Some(partner.leg.clone());
        self.publish(EventName::ChannelBridge, |event| {
            event.bridge_b_unique_id = Some(partner.leg.call_id);
        })
        .await;
        if partner.actor.cast(serve).is_err() {
            let gone = super::LegFact::Gone;
            self.on_leg(number, 0, gone).await;
        }
    }

    fn inherit(&mut self, estate: Estate) {
        if let Some(controller) = &estate.controller {
            let channels = &self.shared.channels;
            channels.set_controller(&self.call_id, &controller.queue);
        }
        self.controller = estate.controller;
        self.queue = estate.queue;
        self.exported_vars = estate.exported_vars;
        self.channel_vars.set("Fetch-ID", estate.fetch_id);
        self.channel_vars.set("Bridge-ID", self.call_id.as_str());
    }

    /// This leg is the B leg of a new conversation.
    pub(super) async fn on_serve(
        &mut self,
        owner: Owner,
        a_leg: crate::events::OtherLeg,
        fetch_id: Option<String>,
    ) {
        Box::pin(self.take_back()).await;
        if self.controller.is_some() {
            // Its controller lets go: the other leg's has the conversation.
            self.publish(EventName::ChannelTransferee, |event| {
                event.transfer_type = Some("attended".to_owned());
                event.transfer_to = Some(a_leg.call_id.to_string());
            })
            .await;
            self.drop_orders().await;
            self.controller = None;
        }
        let before = self.partner();
        self.joined = false;
        self.unhear(before.map(|before| before.media)).await;
        self.publish_unbridge().await;
        self.bridge = None;
        self.channel_vars.set("Bridge-ID", a_leg.call_id.as_str());
        self.channel_vars
            .set("Fetch-ID", fetch_id.unwrap_or_default());
        self.owner = Some(owner);
        self.other_leg = Some(a_leg);
        self.note_joined();
        let b_leg = self.call_id.clone();
        self.publish(EventName::ChannelBridge, |event| {
            event.bridge_b_unique_id = Some(b_leg);
        })
        .await;
    }
}
