//! A B leg: an INVITE to one phone on behalf of a bridge.

use std::sync::Arc;

use callreel_media::Codec;
use callreel_proto::{CallId, EventName, HangupCause, TraceParent};
use callreel_telemetry::Span;
use ractor::ActorRef;
use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::dialog::Dialog;
use rsipstack::dialog::invitation::InviteOption;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, MaxForwards, Response, Uri};
use tokio::sync::mpsc;

use super::confirm::Confirm;
use super::{Channel, ChannelMsg, LegFact, LegOrder, Parts, Progress, pump_dialog, pump_media};
use crate::events::{Direction, OtherLeg, Parties};
use crate::inbound::entry;
use crate::message::{allow, user_agent};
use crate::peer::{Peer, reachable, unescaped, uri_of};
use crate::rtp::{MediaEvent, MediaLeg};
use crate::sdp::{Allowed, Theirs};
use crate::shared::Shared;
use crate::vars::Vars;

/// What an outbound channel is made of.
pub(crate) struct Outbound {
    pub(crate) owner: Owner,
    /// The A leg.
    pub(crate) a_leg: OtherLeg,
    /// The codecs the A leg has: offered first.
    pub(crate) first: Vec<Codec>,
    /// Request URI.
    pub(crate) target: Uri,
    /// Where to send the INVITE; `None` lets the URI say.
    pub(crate) destination: Option<Peer>,
    pub(crate) realm: String,
    pub(crate) parties: Parties,
    pub(crate) channel_vars: Vars,
    pub(crate) headers: Vec<Header>,
    /// The URI of From; that of the caller's number at `realm` when absent.
    pub(crate) from: Option<Uri>,
    /// For whoever challenges the INVITE.
    pub(crate) credential: Option<Credential>,
    /// Whoever answers must press a key.
    pub(crate) confirm: Option<Confirm>,
    /// What the switch knows its own INVITE by.
    pub(crate) looped: Option<String>,
    pub(crate) allowed: Allowed,
    pub(crate) media: MediaLeg,
    pub(crate) events: mpsc::Receiver<MediaEvent>,
    pub(crate) max_forwards: u32,
    /// The span of the bridge.
    pub(crate) asked_in: Option<TraceParent>,
}

/// The bridge a B leg was dialled for.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) actor: ActorRef<ChannelMsg>,
    pub(crate) media: MediaLeg,
    pub(crate) bridge: u64,
    pub(crate) leg: usize,
}

impl Channel {
    /// Sets up the channel and sends its INVITE.
    pub(super) async fn begin_outbound(
        shared: Arc<Shared>,
        me: ActorRef<ChannelMsg>,
        call_id: CallId,
        outbound: Outbound,
    ) -> Self {
        let peer = outbound.destination.unwrap_or_else(|| Peer {
            transport: rsipstack::sip::Transport::Udp,
            addr: (shared.own.in_general(), 5060).into(),
        });
        let mut channel = Self::new(Parts {
            shared,
            me: me.clone(),
            call_id: call_id.clone(),
            direction: Direction::Outbound,
            parties: outbound.parties,
            channel_vars: outbound.channel_vars,
            peer,
            media: outbound.media,
            allowed: outbound.allowed,
            max_forwards: outbound.max_forwards,
            span: Span::asking(outbound.asked_in, "INVITE"),
        });
        channel.owner = Some(outbound.owner);
        channel.other_leg = Some(outbound.a_leg);
        channel.confirm = outbound.confirm;
        channel.looped = outbound.looped;
        channel
            .shared
            .channels
            .insert(call_id, entry(me.clone(), Direction::Outbound));
        pump_media(&me, outbound.events);
        channel.publish(EventName::ChannelCreate, |_| {}).await;
        let mut headers = vec![
            Header::MaxForwards(MaxForwards::new(channel.max_forwards.to_string())),
            allow(),
        ];
        headers.extend(outbound.headers);
        let offered = channel.allowed.offered(&outbound.first);
        let parties = &channel.parties;
        let options = InviteOption {
            caller_display_name: Some(quotable(&parties.caller_name)),
            caller: outbound
                .from
                .unwrap_or_else(|| uri_of(&parties.caller_number, &outbound.realm)),
            credential: outbound.credential,
            callee: outbound.target,
            destination: outbound.destination.map(Peer::sip_addr),
            offer: Some(channel.ours.offer(&offered)),
            contact: channel.shared.own.contact(peer),
            headers: Some(headers),
            support_prack: false,
            call_id: Some(channel.call_id.as_str().to_owned()),
            ..InviteOption::default()
        };
        let (states, states_of) = channel.shared.dialogs.new_dialog_state_channel();
        match channel.shared.dialogs.do_invite_async(options, states) {
            Ok((dialog, outcome)) => {
                let channels = &channel.shared.channels;
                channels.set_dialog(&channel.call_id, &dialog);
                channel.dialog = Some(dialog);
                pump_dialog(&me, states_of);
                watch(me, outcome);
            }
            Err(error) => {
                tracing::warn!(call_id = %channel.call_id, %error, "an INVITE could not be made");
                channel
                    .finish(HangupCause::NormalTemporaryFailure, 503)
                    .await;
                me.stop(None);
            }
        }
        channel
    }

    /// 1xx of the phone.
    pub(super) async fn on_progress(&mut self, response: &Response) {
        if self.direction != Direction::Outbound || self.answered.is_some() {
            return;
        }
        self.note_user_agent(response);
        let has_body = !response.body.is_empty();
        if has_body && self.progress < Progress::Early && self.take_answer(&response.body).is_ok() {
            self.progress = Progress::Early;
            self.publish(EventName::ChannelProgressMedia, |_| {}).await;
            self.tell_owner(LegFact::EarlyMedia);
        } else if self.progress < Progress::Ringing {
            self.progress = Progress::Ringing;
            self.tell_owner(LegFact::Ringing);
        }
    }

    /// 200 of the phone; also told again after every request within the dialog.
    pub(super) async fn on_confirmed(&mut self, response: &Response) {
        if self.answered.is_some() {
            return self.take_late_answer();
        }
        self.note_user_agent(response);
        self.reach_behind_nat(response);
        let usable = match response.body.is_empty() {
            // The description came with the 183 (RFC 3261 §13.2.1).
            true => self.agreed.is_some(),
            false => self.take_answer(&response.body).is_ok(),
        };
        self.note_answer().await;
        match self.agreed.filter(|_| usable) {
            Some(agreed) if self.confirm.is_none() => {
                self.tell_owner(LegFact::Answered(agreed.codec));
            }
            Some(_) => self.ask_to_confirm(),
            None => {
                self.tell_owner(LegFact::Failed(
                    HangupCause::IncompatibleDestination,
                    Some(488),
                ));
                self.end(HangupCause::IncompatibleDestination).await;
            }
        }
    }

    fn note_user_agent(&mut self, response: &Response) {
        self.user_agent = user_agent(response).or_else(|| self.user_agent.take());
    }

    /// The phone's answer to our offer.
    fn take_answer(&mut self, body: &[u8]) -> Result<(), crate::sdp::Error> {
        let theirs = Theirs::read(body)?;
        let chosen = theirs.choose(&self.allowed, None)?;
        self.theirs = Some(theirs);
        self.agreed = Some(chosen);
        self.media.set_remote(chosen);
        Ok(())
    }

    /// The ACK of a re-INVITE without a description carried the answer to ours.
    fn take_late_answer(&mut self) {
        if !std::mem::take(&mut self.awaits_answer_in_ack) {
            return;
        }
        if let Some(ack) = self.dialog.as_ref().and_then(|d| d.last_remote_ack()) {
            // An unusable answer leaves the session as it was.
            drop(self.take_answer(&ack.body));
        }
    }

    fn reach_behind_nat(&self, response: &Response) {
        let contact = response.typed_contact_headers().ok();
        let uri = contact
            .and_then(|c| c.into_iter().next())
            .map(|c| unescaped(c.uri));
        let routed = response.record_route_header().is_some();
        if let (Some(uri), Some(dialog), false) = (uri, &self.dialog, routed) {
            let raw = response.contact_header().ok().cloned();
            Dialog::Invite(dialog.clone()).set_remote_target(reachable(&uri, self.peer), raw);
        }
    }

    /// The A leg wants something.
    pub(super) async fn on_order(&mut self, order: LegOrder) {
        match order {
            LegOrder::Joined => {
                self.note_joined();
                let b_leg = self.call_id.clone();
                self.publish(EventName::ChannelBridge, |event| {
                    event.bridge_b_unique_id = Some(b_leg);
                })
                .await;
            }
            LegOrder::HangUp(_) if self.consulting.is_some() => self.release_held(),
            LegOrder::HangUp(cause) => {
                // Nobody is left who could go elsewhere.
                self.give_up_referring(None).await;
                self.end(cause).await;
            }
        }
    }

    /// Tells the A leg, if this is a B leg.
    pub(super) fn tell_owner(&self, fact: LegFact) {
        if let Some(owner) = &self.owner {
            let message = ChannelMsg::Leg {
                bridge: owner.bridge,
                leg: owner.leg,
                fact,
            };
            // The A leg may have ended first.
            drop(owner.actor.cast(message));
        }
    }
}

/// The library reports a failure to send only here.
fn watch(
    me: ActorRef<ChannelMsg>,
    outcome: tokio::task::JoinHandle<rsipstack::dialog::invitation::InviteAsyncResult>,
) {
    tokio::spawn(async move {
        let failed = match outcome.await {
            Ok(Ok((_, Some(_)))) => false,
            Ok(Ok((_, None))) => true,
            Ok(Err(error)) => {
                tracing::debug!(%error, "an INVITE failed");
                true
            }
            Err(_) => true,
        };
        if failed {
            // A channel that has ended meanwhile needs no telling.
            drop(me.cast(ChannelMsg::HangUp(HangupCause::NoUserResponse)));
        }
    });
}

/// A display name that cannot end its quotes.
fn quotable(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\' | '<' | '>'))
        .collect()
}
