//! What a `park` action is to do, by its data and by how the call came to it. Does nothing.

use std::time::Duration;

use callreel_proto::{CallId, lenient_u64};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::parking::ParkedCall;
use crate::stage::Stage;

/// Kazoo's `default_ringback_timeout`, milliseconds.
const RINGBACK_MS: u64 = 120_000;
/// Kazoo's `default_callback_timeout`, milliseconds.
const CALLBACK_MS: u64 = 30_000;
/// Nobody is rung back more often, or shorter, whatever the data says.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a caller who dials the action's number wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Action {
    /// To wait in the slot.
    DirectPark,
    /// To have the slot for a call that is transferred to it next.
    #[default]
    Park,
    /// The call in the slot.
    Retrieve,
    /// That, or else the slot.
    Auto,
}

pub(super) fn action(stage: &mut Stage) -> Action {
    match stage.text("action").as_deref() {
        None | Some("park") => Action::Park,
        Some("direct_park") => Action::DirectPark,
        Some("retrieve") => Action::Retrieve,
        Some("auto") => Action::Auto,
        Some(other) => {
            let message = format!(
                "{other:?} is no action; use \"park\", \"direct_park\", \"retrieve\" or \"auto\"; park is used"
            );
            stage.warn_of("action", message);
            Action::Park
        }
    }
}

/// The slot that the data names, else the dialled number.
pub(super) fn slot(stage: &mut Stage) -> Option<String> {
    let dialled = stage.call.captures.group.clone();
    let slot = stage.text("slot").or(dialled)?;
    let slot: String = slot
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_SLOT)
        .collect();
    Some(slot).filter(|slot| !slot.is_empty())
}

/// Slots are dialled by hand; a document's id has its limits.
const LONGEST_SLOT: usize = 64;

/// The call as it is parked.
pub(super) fn parked_call(stage: &Stage, attended: bool) -> Box<ParkedCall> {
    let call = &stage.call;
    let referred_by = call.channel_vars.get("Referred-By").and_then(Value::as_str);
    Box::new(ParkedCall {
        call_id: call.call_id.clone(),
        attended,
        parker: referred_by.and_then(user_of),
        name: call.caller_id_name.clone(),
        number: call.caller_id_number.clone(),
        uri: call.from.clone(),
    })
}

/// The user of the SIP URI in a header.
fn user_of(header: &str) -> Option<String> {
    let (_, uri) = header.split_once("sip:")?;
    let (user, _) = uri.split_once('@')?;
    (!user.is_empty()).then(|| user.to_owned())
}

/// The call that a `Refer-To` wants replaced.
pub(super) fn replaced(refer_to: &str) -> Option<CallId> {
    let (_, headers) = refer_to.split_once('?')?;
    let value = headers.split(['&', '>']).find_map(|header| {
        let (name, value) = header.split_once('=')?;
        name.eq_ignore_ascii_case("Replaces").then_some(value)
    })?;
    let value = percent_decode_str(value).decode_utf8().ok()?;
    let id = value.split(';').next()?.trim();
    (!id.is_empty()).then(|| CallId::new(id))
}

/// How long a call waits before its parker is rung back.
pub(super) fn ringback(stage: &mut Stage, slot: &str) -> Duration {
    let (own, all) = ("ringback_timeout", "default_ringback_timeout");
    time(stage, slot, own, all, RINGBACK_MS)
}

/// How long the parker's phone rings; whole seconds.
pub(super) fn callback(stage: &mut Stage, slot: &str) -> Duration {
    let (own, all) = ("callback_timeout", "default_callback_timeout");
    let time = time(stage, slot, own, all, CALLBACK_MS);
    Duration::from_secs(u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX))
}

fn time(stage: &mut Stage, slot: &str, own: &str, all: &str, usual_ms: u64) -> Duration {
    let slots = stage.value("slots").unwrap_or_default();
    let of_slot = slots.get(slot).and_then(|slot| slot.get(own));
    let ms = of_slot.and_then(lenient_u64);
    let ms = ms.or_else(|| stage.whole(all)).unwrap_or(usual_ms);
    Duration::from_millis(ms).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_parked_it_and_what_it_replaces_are_read_from_headers() {
        let parker = |header| user_of(header);
        assert_eq!(parker("<sip:bob@acme.test>").as_deref(), Some("bob"));
        assert_eq!(
            parker("\"Bob\" <sip:bob@acme.test;transport=tcp>").as_deref(),
            Some("bob")
        );
        assert_eq!(parker("<tel:+15550100>"), None);
        let found = |text| replaced(text).map(|id| id.to_string());
        let refer_to = "sip:*3@acme.test?Replaces=a%40192.0.2.1%3Bto-tag%3D1%3Bfrom-tag%3D2";
        assert_eq!(found(refer_to).as_deref(), Some("a@192.0.2.1"));
        assert_eq!(
            found("<sip:*3@acme.test?Replaces=a;to-tag=1>").as_deref(),
            Some("a")
        );
        let odd = "sip:*3@acme.test?Subject=x&replaces=a%2fb%3bto-tag%3d1";
        assert_eq!(found(odd).as_deref(), Some("a/b"));
        assert_eq!(found("sip:*3@acme.test"), None);
    }
}
