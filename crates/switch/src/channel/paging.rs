//! The `page` command on its A leg: rings all at once, has their phones answer by themselves, and lets those who did hear the caller.

use callreel_proto::{Endpoint, HangupCause, Page};
use rsipstack::sip::Param;
use serde_json::{Map, Value, json};

use super::bridge::{Bridge, Wishes};
use super::commands::Execution;
use super::waiting::seconds;
use super::{Channel, LegOrder};
use crate::hunt::{Input, Plan};
use crate::queue::Slip;
use crate::rtp::Mixer;

/// Kazoo's default, seconds: a phone that answers by itself does so at once.
const TIMEOUT_S: u64 = 5;
/// What tells phones how to ring; Kazoo's `intercom` has them answer.
const ALERT_INFO: &str = "Alert-Info";

/// Who is in a page.
pub(super) struct Paging {
    mixer: Mixer,
    /// Those who are paged are heard, too.
    two_way: bool,
    /// The legs that have answered and are there.
    joined: Vec<usize>,
}

impl Paging {
    /// Nobody is there.
    pub(super) fn is_empty(&self) -> bool {
        self.joined.is_empty()
    }
}

impl Channel {
    /// `page`.
    pub(super) async fn execute_page(&mut self, page: Page, slip: Slip, now: bool) -> Execution {
        if page.endpoints.is_empty() {
            return self.fail(slip, "page request had no endpoints").await;
        }
        if self.bridge.is_some() {
            let reason = "the call is being bridged already";
            return self.fail(slip, reason).await;
        }
        let endpoints = page.endpoints.into_iter().map(without_ringtone).collect();
        let (mut legs, targets) = self.legs_of(endpoints);
        if let Err(reason) = self.check_names(&legs) {
            return self.fail(slip, &reason).await;
        }
        for way in legs.iter_mut().filter_map(|leg| leg.way.as_mut()) {
            let intercom = ("intercom".into(), Some("true".into()));
            way.target.params.push(Param::Other(intercom.0, intercom.1));
        }
        let plan = Plan {
            targets,
            one_by_one: false,
            timeout: seconds(page.timeout_s.filter(|s| *s > 0).unwrap_or(TIMEOUT_S)),
            fail_on_single_reject: false,
            everybody: true,
        };
        let mut vars = page.custom_channel_vars;
        vars.insert("Auto-Answer".to_owned(), json!("true"));
        let mut headers = answering_itself(&self.realm());
        headers.extend(page.custom_sip_headers);
        let wishes = Wishes {
            caller_name: page.caller_id_name,
            caller_number: page.caller_id_number,
            vars,
            headers,
            ..Wishes::default()
        };
        let mut bridge = Bridge::hunting(self.number(), plan, legs, wishes, now);
        bridge.page = Some(Paging {
            mixer: Mixer::start(),
            two_way: page.options.two_way_audio == Some(true),
            joined: Vec::new(),
        });
        self.begin_hunt(bridge).await
    }

    /// Takes in the leg that answered; true if the caller cannot be answered and the page is over.
    pub(super) async fn join_page(&mut self, leg: usize) -> bool {
        let found = self.bridge.as_ref().and_then(|b| {
            let found = &b.legs[leg];
            Some((found.live.as_ref()?.media.clone(), found.codec))
        });
        let Some((media, codec)) = found else {
            return false;
        };
        if self.answer(codec).await.is_err() {
            let cause = HangupCause::IncompatibleDestination;
            self.order_legs(LegOrder::HangUp(cause));
            self.bridge_failed(cause, Some(488)).await;
            return true;
        }
        self.stop_ringback();
        self.talked = true;
        let page = self.bridge.as_mut().and_then(|b| b.page.as_mut());
        if let Some(page) = page {
            if page.is_empty() {
                self.media.join(&page.mixer, true);
            }
            media.join(&page.mixer, page.two_way);
            page.joined.push(leg);
        }
        false
    }

    /// A leg that had answered is gone: the others go on.
    pub(super) async fn leave_page(&mut self, leg: usize) {
        if let Some(bridge) = &mut self.bridge {
            bridge.legs[leg].live = None;
            if let Some(page) = &mut bridge.page {
                page.joined.retain(|joined| *joined != leg);
            }
        }
        self.drive(Input::Tick).await;
    }

    /// All who heard it have gone.
    pub(super) async fn end_page(&mut self) {
        self.media.unbridge();
        self.order_legs(LegOrder::HangUp(HangupCause::NormalClearing));
        self.bridge = None;
        self.bridge_succeeded("page").await;
    }
}

/// The headers that have phones answer by themselves: some know the one, some the other.
fn answering_itself(realm: &str) -> Map<String, Value> {
    [
        (ALERT_INFO, "intercom".to_owned()),
        ("Call-Info", format!("<sip:{realm}>;answer-after=0")),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Value::String(value)))
    .collect()
}

/// A page has a way to ring of its own.
fn without_ringtone(mut endpoint: Endpoint) -> Endpoint {
    let headers = &mut endpoint.custom_sip_headers;
    headers.retain(|name, _| !name.eq_ignore_ascii_case(ALERT_INFO));
    endpoint
}
