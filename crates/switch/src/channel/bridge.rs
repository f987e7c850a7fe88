//! What a bridge, or a page, is made of, and what it knows of itself. Rings nobody and joins nobody.

use std::time::Instant;

use callreel_media::Codec;
use callreel_proto::{AccountId, CallId, Endpoint};
use ractor::ActorRef;
use rsipstack::sip::Uri;
use serde_json::{Map, Value};

use super::ChannelMsg;
use super::paging::Paging;
use crate::events::OtherLeg;
use crate::hunt::{Hunt, Plan};
use crate::peer::Peer;
use crate::rtp::MediaLeg;
use crate::sdp::Allowed;

/// A bridge that hunts, or has found. A page is one, too: one that finds many.
pub(super) struct Bridge {
    pub(super) number: u64,
    pub(super) hunt: Hunt,
    pub(super) legs: Vec<Leg>,
    pub(super) wishes: Wishes,
    /// Which leg is heard before anybody answers.
    pub(super) early: Option<usize>,
    pub(super) joined: Option<usize>,
    /// It is a page.
    pub(super) page: Option<Paging>,
    pub(super) now: bool,
}

/// What a bridge wants of all its legs.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) caller_name: Option<String>,
    pub(super) caller_number: Option<String>,
    /// What is sent before an answer is not heard.
    pub(super) ignore_early_media: bool,
    /// What the caller hears while it rings.
    pub(super) ringback: Option<String>,
    pub(super) vars: Map<String, Value>,
    pub(super) headers: Map<String, Value>,
}

/// One leg a bridge may ring.
pub(super) struct Leg {
    pub(super) endpoint: Endpoint,
    /// Its Call-ID, if its orderer gave it one.
    pub(super) call_id: Option<CallId>,
    /// `None`: not registered.
    pub(super) way: Option<Way>,
    pub(super) live: Option<Live>,
    /// What it was answered with.
    pub(super) codec: Option<Codec>,
}

/// How a phone can be reached.
pub(super) struct Way {
    pub(super) target: Uri,
    pub(super) destination: Option<Peer>,
    pub(super) allowed: Allowed,
    pub(super) vars: Vec<(String, String)>,
    /// It is a call of this switch to itself, of this account.
    pub(super) loops: Option<AccountId>,
}

/// Another leg, as this one holds it: one that is being rung, or that it is joined to.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) leg: OtherLeg,
    pub(super) actor: ActorRef<ChannelMsg>,
    pub(super) media: MediaLeg,
}

impl Bridge {
    /// One that begins to hunt.
    pub(super) fn hunting(
        number: u64,
        plan: Plan,
        legs: Vec<Leg>,
        wishes: Wishes,
        now: bool,
    ) -> Self {
        Self {
            number,
            hunt: Hunt::new(Instant::now(), plan),
            legs,
            wishes,
            early: None,
            joined: None,
            page: None,
            now,
        }
    }

    /// One that found its leg elsewhere.
    pub(super) fn joined(number: u64, live: Live, now: bool) -> Self {
        let leg = Leg {
            endpoint: Endpoint::default(),
            call_id: None,
            way: None,
            live: Some(live),
            codec: None,
        };
        Self {
            number,
            hunt: Hunt::over(Instant::now()),
            legs: vec![leg],
            wishes: Wishes::default(),
            early: None,
            joined: Some(0),
            page: None,
            now,
        }
    }

    /// Whether the caller does not hear what this leg sends before it answers.
    pub(super) fn ignores_early(&self, leg: usize) -> bool {
        let own = self.legs[leg].endpoint.ignore_early_media;
        self.page.is_some() || own.unwrap_or(self.wishes.ignore_early_media)
    }

    /// What the caller shall hear while it rings, unless it hears somebody already.
    pub(super) fn ringback(&self) -> Option<Option<&str>> {
        let heard = self.joined.is_some() || self.early.is_some() || self.is_paging();
        (!heard).then_some(self.wishes.ringback.as_deref())
    }

    /// It is a page that somebody hears.
    pub(super) fn is_paging(&self) -> bool {
        self.page.as_ref().is_some_and(|page| !page.is_empty())
    }

    /// It is a page that nobody hears, nor will.
    pub(super) fn is_deserted(&self) -> bool {
        self.page.as_ref().is_some_and(Paging::is_empty) && self.hunt.is_over()
    }

    /// The command it carries out.
    pub(super) fn application(&self) -> &'static str {
        match self.page {
            Some(_) => "page",
            None => "bridge",
        }
    }

    /// It runs beside the queue.
    pub(super) fn is_now(&self) -> bool {
        self.now
    }

    /// From now on it is what the command waits for that made the other one.
    pub(super) fn take_the_place_of(&mut self, other: &Self) {
        self.now = other.now;
    }
}
