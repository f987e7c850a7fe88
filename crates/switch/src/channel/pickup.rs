//! The command `call_pickup`: joins this leg to a call that waits, which loses its controller and becomes the B leg.

use callreel_media::Codec;
use callreel_proto::{CallId, CallPickup, EventName, HangupCause};
use ractor::{ActorRef, RpcReplyPort};

use super::bridge::{Bridge, Live};
use super::commands::Execution;
use super::dialling::other_leg;
use super::outbound::Owner;
use super::{Channel, ChannelMsg, LegOrder};
use crate::events::OtherLeg;
use crate::queue::Slip;

/// Why it fails when the other leg ends at the same time.
const ENDED: &str = "that call has just ended";

/// What the legs of a pickup tell each other.
pub(crate) enum PickupMsg {
    /// From a leg that wants to be joined to this one, which waits.
    Order(PickupOrder),
    /// From the task that waits for that leg's word: with the number of the pickup.
    Taken(u64, Taken),
    /// From the leg that wanted this one: it ends.
    Forsaken(CallId),
}

/// What a leg that waits is asked.
pub(crate) struct PickupOrder {
    /// The leg that wants it, and the bridge they will have.
    owner: Owner,
    a_leg: OtherLeg,
    fetch_id: Option<String>,
    /// Whose calls both must be.
    account: Option<String>,
    /// Hears whether it was had.
    reply: RpcReplyPort<Taken>,
}

/// The leg that was picked up.
pub(crate) struct Had {
    live: Live,
    codec: Option<Codec>,
}

/// It, or why it could not be had, for the controller.
pub(crate) type Taken = Result<Box<Had>, String>;

/// A pickup that waits for word.
pub(super) struct Pickup {
    /// The number of the bridge.
    number: u64,
    target: ActorRef<ChannelMsg>,
    slip: Slip,
    /// It runs beside the queue.
    now: bool,
    /// The other leg was had, and has ended since.
    lost: bool,
}

impl Channel {
    /// `call_pickup`.
    pub(super) async fn execute_pickup(
        &mut self,
        pickup: CallPickup,
        slip: Slip,
        now: bool,
    ) -> Execution {
        if self.bridge.is_some() || self.joined || self.is_busy() {
            return self.fail(slip, "the call is being bridged already").await;
        }
        let target = Some(&pickup.target_call_id).filter(|target| **target != self.call_id);
        let Some(target) = target.and_then(|target| self.shared.channels.find(target)) else {
            return self.fail(slip, "there is no such other call here").await;
        };
        let number = self.number();
        let (reply, taken) = ractor::concurrency::oneshot();
        let order = PickupOrder {
            owner: Owner {
                actor: self.me.clone(),
                media: self.media.clone(),
                bridge: number,
                leg: 0,
            },
            a_leg: other_leg(&self.call_id, self.direction, &self.parties),
            fetch_id: self.channel_vars.get("Fetch-ID").map(str::to_owned),
            account: self.channel_vars.get("Account-ID").map(str::to_owned),
            reply: reply.into(),
        };
        // Who has ended drops the order, and the reply with it.
        drop(target.cast(message(PickupMsg::Order(order))));
        let me = self.me.clone();
        tokio::spawn(async move {
            let taken = taken.await;
            let taken = taken.unwrap_or_else(|_| Err(ENDED.to_owned()));
            // This leg may have ended meanwhile; then it has told the other one.
            drop(me.cast(message(PickupMsg::Taken(number, taken))));
        });
        self.pickup = Some(Pickup {
            number,
            target,
            slip,
            now,
            lost: false,
        });
        Execution::Running
    }

    /// A leg of a pickup tells something.
    pub(super) async fn on_pickup(&mut self, message: PickupMsg) {
        match message {
            PickupMsg::Order(order) => self.on_pick_up(order).await,
            PickupMsg::Taken(number, taken) => self.on_picked_up(number, taken).await,
            PickupMsg::Forsaken(by) => self.on_forsaken(&by).await,
        }
    }

    /// Another leg wants this one, which waits.
    async fn on_pick_up(&mut self, order: PickupOrder) {
        let PickupOrder {
            owner,
            a_leg,
            fetch_id,
            account,
            reply,
        } = order;
        let taken = match self.pickable(account.as_deref()).await {
            Ok(()) => {
                self.stop_ringback();
                self.order_legs(LegOrder::HangUp(HangupCause::OriginatorCancel));
                self.on_serve(owner, a_leg, fetch_id).await;
                Ok(Box::new(self.had()))
            }
            Err(reason) => Err(reason.to_owned()),
        };
        // Whoever asked may have ended, and says so.
        drop(reply.send(taken));
    }

    pub(super) fn is_busy(&self) -> bool {
        self.pickup.is_some() || self.is_transferring()
    }

    /// Whether this leg can be had; it is answered then.
    async fn pickable(&mut self, account: Option<&str>) -> Result<(), &'static str> {
        if account.is_none() || self.channel_vars.get("Account-ID") != account {
            return Err("that call is another account's");
        }
        if self.joined {
            return Err("that call talks to somebody");
        }
        if self.owner.is_some() || self.controller.is_none() || self.is_busy() {
            return Err("that call does not wait");
        }
        let answered = self.answer(None).await;
        answered.map_err(|_| "that call cannot be answered")
    }

    fn had(&self) -> Had {
        let live = Live {
            leg: other_leg(&self.call_id, self.direction, &self.parties),
            actor: self.me.clone(),
            media: self.media.clone(),
        };
        let codec = self.agreed.map(|agreed| agreed.codec);
        Had { live, codec }
    }

    /// The other leg is this one's, or cannot be had.
    async fn on_picked_up(&mut self, number: u64, taken: Taken) {
        let Some(pickup) = self.pickup.take_if(|pickup| pickup.number == number) else {
            return;
        };
        match taken {
            Ok(_) if pickup.lost => drop(self.fail(pickup.slip, ENDED).await),
            Ok(had) => {
                if self.answer(had.codec).await.is_err() {
                    drop(
                        had.live
                            .actor
                            .cast(ChannelMsg::HangUp(HangupCause::NormalClearing)),
                    );
                    self.fail(pickup.slip, "this call cannot be answered").await;
                } else {
                    return self.join_picked_up(number, had.live, pickup.now).await;
                }
            }
            Err(reason) => drop(self.fail(pickup.slip, &reason).await),
        }
        if !pickup.now {
            self.completed().await;
        }
    }

    async fn join_picked_up(&mut self, number: u64, live: Live, now: bool) {
        self.bridge = Some(Bridge::joined(number, live.clone(), now));
        self.media.bridge(&live.media);
        self.note_joined();
        self.other_leg = Some(live.leg.clone());
        self.publish(EventName::ChannelBridge, |event| {
            event.bridge_b_unique_id = Some(live.leg.call_id);
        })
        .await;
    }

    /// A leg that this one has not heard of yet tells something: it can only be that it has ended.
    pub(super) fn note_lost_pickup(&mut self, number: u64) {
        if let Some(pickup) = self.pickup.as_mut().filter(|p| p.number == number) {
            pickup.lost = true;
        }
    }

    /// This leg ends before it knows whether it has the other one.
    pub(super) fn drop_pickup(&mut self) {
        if let Some(pickup) = self.pickup.take() {
            let gone = PickupMsg::Forsaken(self.call_id.clone());
            drop(pickup.target.cast(message(gone)));
        }
    }

    /// The leg that wanted this one has ended: nobody is left if it had it.
    async fn on_forsaken(&mut self, by: &CallId) {
        let other = self.other_leg.as_ref();
        if other.is_some_and(|other| other.call_id == *by) {
            self.end(HangupCause::NormalClearing).await;
        }
    }
}

fn message(message: PickupMsg) -> ChannelMsg {
    ChannelMsg::Pickup(Box::new(message))
}
