//! The `bridge` command on its A leg: dials what the hunt says, joins who answers, tells how it went.

use std::time::Instant;

use callreel_proto::{Application, EventName, HangupCause};

use super::bridge::{Bridge, Live, Wishes};
use super::commands::Execution;
use super::waiting::seconds;
use super::{Channel, ChannelMsg, Due, LegFact, LegOrder};
use crate::hunt::{Act, Input, Plan};
use crate::queue::Slip;

/// Kazoo's default, seconds.
pub(super) const TIMEOUT_S: u64 = 20;

impl Channel {
    /// `bridge`.
    pub(super) async fn execute_bridge(
        &mut self,
        application: Application,
        slip: Slip,
        now: bool,
    ) -> Execution {
        let Application::Bridge {
            endpoints,
            timeout_s,
            method,
            fail_on_single_reject,
            caller_id_name,
            caller_id_number,
            ignore_early_media,
            ringback,
            ignore_forward: _,
            custom_channel_vars,
            custom_sip_headers,
        } = application
        else {
            return Execution::Done;
        };
        if endpoints.is_empty() {
            let reason = "bridge request had no endpoints";
            return self.fail(slip, reason).await;
        }
        if self.bridge.is_some() {
            let reason = "the call is being bridged already";
            return self.fail(slip, reason).await;
        }
        let (legs, targets) = self.legs_of(endpoints);
        if let Err(reason) = self.check_names(&legs) {
            return self.fail(slip, &reason).await;
        }
        let plan = Plan {
            targets,
            one_by_one: method.as_deref() == Some("single"),
            timeout: seconds(timeout_s.filter(|s| *s > 0).unwrap_or(TIMEOUT_S)),
            fail_on_single_reject: fail_on_single_reject == Some(true),
            everybody: false,
        };
        let wishes = Wishes {
            caller_name: caller_id_name,
            caller_number: caller_id_number,
            ignore_early_media: ignore_early_media == Some(true),
            ringback,
            vars: custom_channel_vars,
            headers: custom_sip_headers,
        };
        let number = self.number();
        let bridge = Bridge::hunting(number, plan, legs, wishes, now);
        self.begin_hunt(bridge).await
    }

    pub(super) async fn begin_hunt(&mut self, bridge: Bridge) -> Execution {
        self.bridge = Some(bridge);
        match self.hunt().await {
            true => Execution::Done,
            false => Execution::Running,
        }
    }

    /// Does what the hunt says; true if the bridge is over.
    async fn hunt(&mut self) -> bool {
        while let Some(bridge) = &mut self.bridge {
            let Some(act) = bridge.hunt.poll_output() else {
                if bridge.is_deserted() {
                    self.end_page().await;
                    return true;
                }
                self.set_hunt_timer();
                return false;
            };
            match act {
                Act::Dial(leg) => {
                    if let Err((cause, status)) = self.dial(leg).await {
                        let failed = Input::Failed(leg, cause, status);
                        self.tell_hunt(failed);
                    }
                }
                Act::Cancel(leg, cause) => self.order_leg(leg, LegOrder::HangUp(cause)),
                Act::Won(leg) if bridge.page.is_some() => {
                    if self.join_page(leg).await {
                        return true;
                    }
                }
                Act::Won(leg) => return self.join(leg).await,
                Act::Lost(cause, status) => {
                    self.stop_ringback();
                    self.media.unbridge();
                    self.bridge_failed(cause, status).await;
                    return true;
                }
            }
        }
        true
    }

    fn tell_hunt(&mut self, input: Input) {
        if let Some(bridge) = &mut self.bridge {
            bridge.hunt.handle_input(Instant::now(), input);
        }
    }

    fn set_hunt_timer(&self) {
        let Some(bridge) = &self.bridge else {
            return;
        };
        if let Some(at) = bridge.hunt.deadline() {
            let after = at.saturating_duration_since(Instant::now());
            self.set_timer(after, Due::Hunt(bridge.number));
        }
    }

    /// The hunt wanted to know the time.
    pub(super) async fn on_hunt_due(&mut self, number: u64) {
        if self.bridge.as_ref().is_some_and(|b| b.number == number) {
            self.drive(Input::Tick).await;
        }
    }

    pub(super) async fn drive(&mut self, input: Input) {
        let now = self.bridge.as_ref().is_some_and(|b| b.now);
        self.tell_hunt(input);
        if self.hunt().await && !now && !self.over {
            self.completed().await;
        }
    }

    /// A B leg tells something.
    pub(super) async fn on_leg(&mut self, number: u64, leg: usize, fact: LegFact) {
        if fact == LegFact::Gone && self.holds(number) {
            return self.release_held();
        }
        let Some(bridge) = self.bridge.as_mut().filter(|b| b.number == number) else {
            return self.note_lost_pickup(number);
        };
        match fact {
            LegFact::Ringing | LegFact::EarlyMedia if bridge.joined.is_some() => {}
            LegFact::EarlyMedia if !bridge.ignores_early(leg) => {
                if bridge.early.is_none() {
                    bridge.early = Some(leg);
                    self.hear_early(leg).await;
                }
                self.drive(Input::Progressed(leg)).await;
            }
            LegFact::Ringing | LegFact::EarlyMedia => {
                self.ring();
                self.start_ringback();
                self.drive(Input::Progressed(leg)).await;
            }
            LegFact::Confirming => self.drive(Input::Confirming(leg)).await,
            LegFact::Answered(codec) => {
                bridge.legs[leg].codec = Some(codec);
                self.drive(Input::Answered(leg)).await;
            }
            LegFact::Failed(cause, status) => {
                bridge.legs[leg].live = None;
                if bridge.early == Some(leg) {
                    bridge.early = None;
                    self.media.unbridge();
                }
                self.drive(Input::Failed(leg, cause, status)).await;
            }
            LegFact::Gone if bridge.joined == Some(leg) => self.part().await,
            LegFact::Gone if bridge.page.is_some() => self.leave_page(leg).await,
            LegFact::Gone => {}
        }
    }

    async fn hear_early(&mut self, leg: usize) {
        self.open_early().await;
        self.stop_ringback();
        let live = self.bridge.as_ref().and_then(|b| b.legs[leg].live.as_ref());
        if let Some(live) = live {
            self.media.bridge(&live.media);
        }
    }

    /// Joins the leg that answered; true if that failed and the bridge is over.
    async fn join(&mut self, leg: usize) -> bool {
        self.stop_ringback();
        let live = self.bridge.as_ref().and_then(|b| b.legs[leg].live.as_ref());
        let Some((other, media)) = live.map(|l| (l.leg.clone(), l.media.clone())) else {
            self.bridge_failed(HangupCause::NormalTemporaryFailure, None)
                .await;
            return true;
        };
        let wanted = self.bridge.as_ref().and_then(|b| b.legs[leg].codec);
        if self.answer(wanted).await.is_err() {
            self.order_leg(leg, LegOrder::HangUp(HangupCause::IncompatibleDestination));
            self.bridge_failed(HangupCause::IncompatibleDestination, Some(488))
                .await;
            return true;
        }
        self.media.bridge(&media);
        if let Some(bridge) = &mut self.bridge {
            bridge.joined = Some(leg);
        }
        self.note_joined();
        let b_leg = other.call_id.clone();
        self.other_leg = Some(other);
        self.publish(EventName::ChannelBridge, |event| {
            event.bridge_b_unique_id = Some(b_leg);
        })
        .await;
        self.order_leg(leg, LegOrder::Joined);
        false
    }

    /// The leg this one is joined to.
    pub(super) fn partner(&self) -> Option<Live> {
        if !self.joined {
            return None;
        }
        if let Some(bridge) = &self.bridge {
            return bridge.legs[bridge.joined?].live.clone();
        }
        let owner = self.owner.as_ref()?;
        Some(Live {
            leg: self.other_leg.clone()?,
            actor: owner.actor.clone(),
            media: owner.media.clone(),
        })
    }

    /// The leg is joined to another.
    pub(super) fn note_joined(&mut self) {
        self.joined = true;
        self.talked = true;
    }

    /// The legs are parted.
    pub(super) async fn publish_unbridge(&self) {
        let b_leg = match self.owner {
            None => self.other_leg.as_ref().map(|other| &other.call_id),
            Some(_) => Some(&self.call_id),
        };
        self.publish(EventName::ChannelUnbridge, |event| {
            event.bridge_b_unique_id = b_leg.cloned();
            event.disposition = Some("SUCCESS".to_owned());
            event.hangup_cause = Some(HangupCause::NormalClearing);
        })
        .await;
    }

    /// The joined leg is gone: this one stays, parked, until its controller says more, as behind ecallmgr.
    pub(super) async fn part(&mut self) {
        if self.consulting.is_some() {
            return Box::pin(self.take_back()).await;
        }
        self.media.unbridge();
        self.joined = false;
        self.give_up_referring(None).await;
        self.unhear(None).await;
        self.publish_unbridge().await;
        let bridge = self.bridge.take();
        if Box::pin(self.after_bridge()).await {
            self.other_leg = None;
            return;
        }
        let now = bridge.is_some_and(|b| b.now);
        let running = self.queue.running();
        let command = running.filter(|name| *name == "call_pickup");
        let command = command.unwrap_or("bridge");
        self.bridge_succeeded(command).await;
        self.other_leg = None;
        if self.controller.is_none() {
            return self.end(HangupCause::NormalClearing).await;
        }
        if !now {
            self.completed().await;
        }
    }

    /// Parts from the joined leg without a word to it: it has a life of its own now.
    pub(super) async fn let_go(&mut self) {
        let partner = self.partner();
        self.media.unbridge();
        let joined = std::mem::replace(&mut self.joined, false);
        self.unhear(partner.map(|partner| partner.media)).await;
        if joined {
            self.publish_unbridge().await;
        } else {
            // Whoever rings, or hears a page, has nobody left.
            self.order_legs(LegOrder::HangUp(HangupCause::NormalClearing));
        }
        self.bridge = None;
        self.owner = None;
        self.other_leg = None;
    }

    pub(super) async fn bridge_failed(&mut self, cause: HangupCause, status: Option<u16>) {
        if self.consulting.is_some() {
            return Box::pin(self.take_back()).await;
        }
        let bridge = self.bridge.take();
        let application = bridge.map_or("bridge", |bridge| bridge.application());
        self.complete(application, |event| {
            event.application_response = Some(cause.name().to_owned());
            event.disposition = Some(cause.name().to_owned());
            event.hangup_cause = Some(cause);
            event.hangup_code = Some(format!(
                "sip:{}",
                status.unwrap_or_else(|| cause.sip_status())
            ));
        })
        .await;
        if self.controller.is_none() {
            self.end(cause).await;
        }
    }

    /// Somebody was reached, and it is over.
    pub(super) async fn bridge_succeeded(&self, application: &str) {
        self.complete(application, |event| {
            event.application_response = Some("SUCCESS".to_owned());
            event.disposition = Some("SUCCESS".to_owned());
            event.hangup_cause = Some(HangupCause::NormalClearing);
            event.hangup_code = Some("sip:200".to_owned());
        })
        .await;
    }

    fn order_leg(&self, leg: usize, order: LegOrder) {
        let live = self.bridge.as_ref().and_then(|b| b.legs[leg].live.as_ref());
        if let Some(live) = live {
            // A leg that has ended needs no order.
            drop(live.actor.cast(ChannelMsg::Order(order)));
        }
    }

    /// Orders all B legs.
    pub(super) fn order_legs(&self, order: LegOrder) {
        let legs = self.bridge.as_ref().map_or(0, |b| b.legs.len());
        (0..legs).for_each(|leg| self.order_leg(leg, order));
    }

    /// This leg ends, and the others with it.
    pub(super) fn drop_bridge(&mut self, cause: HangupCause) {
        let paging = self.bridge.as_ref().is_some_and(Bridge::is_paging);
        let cause = match (self.joined || paging, cause) {
            (true, _) => HangupCause::NormalClearing,
            (false, cause) => cause,
        };
        self.order_legs(LegOrder::HangUp(cause));
        self.bridge = None;
    }

    /// A digit that came by SIP goes on as RTP.
    pub(super) fn pass_digit(&self, digit: char) {
        let joined = self.bridge.as_ref().and_then(|b| Some(&b.legs[b.joined?]));
        let sent = joined
            .and_then(|leg| leg.live.as_ref())
            .map(|live| live.media.send_digits(&digit.to_string()));
        if let Some(Err(error)) = sent {
            tracing::debug!(call_id = %self.call_id, %error, "a digit was not passed on");
        }
    }
}
