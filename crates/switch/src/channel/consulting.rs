//! Attended transfers by command: the transferor talks to the target while the other party waits, and joins both by hanging up, or comes
//! back.

use callreel_proto::{Endpoint, EventName, HangupCause, Transfer};

use super::aside::Aside;
use super::bridge::{Bridge, Live, Wishes};
use super::bridging::TIMEOUT_S;
use super::commands::Execution;
use super::joining::Joinable;
use super::outbound::Owner;
use super::referring::{Referring, Terms};
use super::waiting::seconds;
use super::{Channel, ChannelMsg, LegFact, LegOrder};
use crate::events::OtherLeg;
use crate::hunt::Plan;
use crate::queue::Slip;
use crate::rtp::Playback;

/// The key that brings the transferor back if the command names none: that of FreeSWITCH's `att_xfer`.
const TAKEBACK_KEYS: &str = "#";
/// Keys that are looked at together: no code is longer.
const LONGEST_CODE: usize = 32;

/// A consultation: the channel's bridge is the one to the target meanwhile.
pub(super) struct Consulting {
    /// The number of that bridge.
    number: u64,
    /// Whom the transferor consults.
    to: String,
    terms: Terms,
    /// What the transferor presses to come back.
    keys: String,
    /// What it has pressed, the last keys of it.
    pressed: String,
    held: Held,
}

/// The conversation that waits, as this leg had it.
struct Held {
    /// If this is its A leg.
    bridge: Option<Bridge>,
    /// If this is its B leg.
    owner: Option<Owner>,
    other_leg: Option<OtherLeg>,
    party: Live,
}

impl Channel {
    /// `transfer`, attended: this leg is the transferor.
    pub(super) async fn consult(
        &mut self,
        to: String,
        transfer: Transfer,
        slip: Slip,
    ) -> Execution {
        let Some(party) = self.partner() else {
            let reason = "the channel is not bridged: there is nobody to transfer";
            return self.fail(slip, reason).await;
        };
        let (legs, targets) = self.legs_of(vec![self.target(&to)]);
        let plan = Plan {
            targets,
            one_by_one: false,
            timeout: seconds(TIMEOUT_S),
            fail_on_single_reject: false,
            everybody: false,
        };
        let wishes = self.introduction();
        let number = self.number();
        let music = transfer.hold_media.clone();
        let keys = transfer
            .takeback_keys
            .clone()
            .filter(|keys| !keys.is_empty());
        self.put_aside(party, |held| Consulting {
            number,
            to,
            terms: super::transferring::terms_of(transfer),
            keys: keys.unwrap_or_else(|| TAKEBACK_KEYS.to_owned()),
            pressed: String::new(),
            held,
        })
        .await;
        if let Some(music) = music {
            self.fetch_aside(Aside::Held(number), music);
        }
        let bridge = Bridge::hunting(number, plan, legs, wishes, true);
        self.begin_hunt(bridge).await;
        Execution::Done
    }

    /// The number, called as this leg's phone would.
    fn target(&self, number: &str) -> Endpoint {
        let vars = ["Authorizing-ID", "Authorizing-Type", "Owner-ID", "Username"];
        let vars = vars.into_iter().filter_map(|name| {
            let value = self.channel_vars.get(name)?;
            Some((name.to_owned(), value.into()))
        });
        Endpoint {
            invite_format: "loopback".to_owned(),
            route: Some(number.to_owned()),
            custom_channel_vars: vars.collect(),
            ..Endpoint::default()
        }
    }

    /// Who calls the target: the phone of this leg, which may have been called itself.
    fn introduction(&self) -> Wishes {
        let own = &self.parties;
        let (name, number) = match self.owner {
            Some(_) => (own.callee_name.clone(), own.callee_number.clone()),
            None => (None, None),
        };
        Wishes {
            caller_name: name.or_else(|| number.clone()),
            caller_number: number,
            ..Wishes::default()
        }
    }

    async fn put_aside(&mut self, party: Live, consulting: impl FnOnce(Held) -> Consulting) {
        self.unhear(Some(party.media.clone())).await;
        self.media.unbridge();
        self.joined = false;
        self.consulting = Some(consulting(Held {
            bridge: self.bridge.take(),
            owner: self.owner.take(),
            other_leg: self.other_leg.take(),
            party,
        }));
    }

    /// The music for the party that waits is there.
    pub(super) fn entertain(&self, number: u64, music: Playback) {
        let held = self.consulting.as_ref().filter(|c| c.number == number);
        if let Some(consulting) = held {
            consulting.held.party.media.play(music);
        }
    }

    /// A key of the transferor.
    pub(super) async fn consulting_digit(&mut self, digit: char) {
        let Some(consulting) = &mut self.consulting else {
            return;
        };
        if consulting.pressed.len() >= LONGEST_CODE {
            consulting.pressed.remove(0);
        }
        consulting.pressed.push(digit);
        if consulting.pressed.ends_with(&consulting.keys) {
            Box::pin(self.take_back()).await;
        }
    }

    /// The transferor wants it so, or the target is not reached, or has gone: the conversation that waited goes on.
    pub(super) async fn take_back(&mut self) {
        let Some(consulting) = self.consulting.take() else {
            return;
        };
        self.stop_ringback();
        let target = self.partner();
        let talked = target.is_some();
        self.order_legs(LegOrder::HangUp(match talked {
            true => HangupCause::NormalClearing,
            false => HangupCause::OriginatorCancel,
        }));
        self.unhear(target.map(|target| target.media)).await;
        if talked {
            self.publish_unbridge().await;
        }
        let party = consulting.held.party.clone();
        self.restore(consulting.held);
        self.media.bridge(&party.media);
        if talked {
            self.publish(EventName::ChannelBridge, |event| {
                event.bridge_b_unique_id = Some(party.leg.call_id);
            })
            .await;
        }
    }

    /// This leg is in the conversation that waited.
    fn restore(&mut self, held: Held) {
        held.party.media.stop_playback();
        self.bridge = held.bridge;
        self.owner = held.owner;
        self.other_leg = held.other_leg;
        self.note_joined();
    }

    /// It ordered the bridge of this number, whose conversation waits.
    pub(super) fn holds(&self, number: u64) -> bool {
        let held = self
            .consulting
            .as_ref()
            .and_then(|c| c.held.bridge.as_ref());
        held.is_some_and(|bridge| bridge.number == number)
    }

    /// The party that waited has ended: transferor and target are on their own.
    pub(super) fn release_held(&mut self) {
        let Some(consulting) = self.consulting.take() else {
            return;
        };
        let held = consulting.held;
        if let (Some(bridge), Some(first)) = (&mut self.bridge, &held.bridge) {
            bridge.take_the_place_of(first);
        }
        if let Some(owner) = held.owner {
            // Where only its other leg was to end, it waits for this.
            drop(owner.actor.cast(ChannelMsg::Leg {
                bridge: owner.bridge,
                leg: owner.leg,
                fact: LegFact::Gone,
            }));
        }
    }

    /// The transferor ends: the party that waited is joined to the target, or, while that rings, sent to its number.
    pub(super) async fn leave_if_consulting(&mut self) {
        let Some(consulting) = self.consulting.take() else {
            return;
        };
        let target = self.partner();
        if target.is_none() {
            self.order_legs(LegOrder::HangUp(HangupCause::OriginatorCancel));
        }
        self.restore(consulting.held);
        match target {
            Some(other) => {
                let number = self.number();
                self.referring = Some(Referring::attended(number));
                // As if it had two legs: what it tells the second one, it hears no more.
                let found = Joinable {
                    number,
                    leg: self.me.clone(),
                    call_id: self.call_id.clone(),
                    other,
                    is_a_leg: false,
                };
                self.on_joinable(found).await;
            }
            None => {
                let referral = self.referral_to(&consulting.to);
                if let Ok((whom, ask)) = self.refer(&referral, consulting.terms) {
                    // It waits for no answer: it leaves as a phone does that hangs up after its REFER.
                    drop(whom.cast(ask));
                }
            }
        }
    }
}
