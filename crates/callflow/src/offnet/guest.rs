//! A call to the public network on a Kazoo: its stepswitch chooses the trunk and bridges the call. Never names a trunk.

use std::time::Duration;

use callreel_proto::{HangupCause, OffnetReq, OffnetResp};
use serde_json::{Map, Value, json};

use super::{GUARD, LONGEST_RING_S, Outgoing, Trunks, dialled, headers, hunted, or_turn, outgoing};
use crate::ring::unreached;
use crate::stage::{Stage, Turn};
use crate::talk::Effect;
use crate::wait::{Await, Legs};

/// Stepswitch gives up a call that is not answered after half a minute; it is given twice that.
const STEPSWITCH_S: u64 = 60;

/// Asks stepswitch for the call.
pub(super) fn ask(stage: &mut Stage, trunks: &Trunks) -> Turn {
    let request = request(stage, trunks);
    let patience = request.timeout_s.unwrap_or_default().max(STEPSWITCH_S);
    let legs = Legs::Apart(stage.after(Duration::from_secs(patience) + GUARD));
    let msg_id = stage.request_id();
    stage.effect(Effect::Offnet {
        request: Box::new(request),
        msg_id: msg_id.clone(),
    });
    Turn::Wait(Await::Offnet { msg_id, legs })
}

fn request(stage: &mut Stage, trunks: &Trunks) -> OffnetReq {
    let call = outgoing(stage, trunks);
    let shown = stage.caller_shown();
    let (caller_id_name, caller_id_number) = match shown.vars.is_empty() {
        true => trunks.seen_as(&call, false, None),
        false => (shown.name, shown.number),
    };
    let (emergency_caller_id_name, emergency_caller_id_number) = trunks.seen_as(&call, true, None);
    let number = stage.text("to_did").unwrap_or_else(|| dialled(stage));
    let account = stage.call.account_id.clone();
    let timeout_s = stage.whole("timeout").filter(|s| *s > 0);
    let Outgoing {
        flags, from_realm, ..
    } = call;
    OffnetReq {
        account_id: Some(account.to_string()),
        account_realm: Some(trunks.realm.clone()).filter(|realm| !realm.is_empty()),
        hunt_account_id: (!trunks.global).then(|| hunted(stage)),
        bypass_e164: Some(super::is_as_dialled(stage)),
        flags,
        caller_id_name,
        caller_id_number,
        emergency_caller_id_name,
        emergency_caller_id_number,
        format_from_uri: Some(from_realm.is_some()),
        from_uri_realm: from_realm.or_else(|| stage.text("from_uri_realm")),
        ignore_early_media: stage.flag("ignore_early_media"),
        inception: variable(stage, "Inception"),
        ringback: super::ringing(stage),
        timeout_s: timeout_s.map(|s| s.min(LONGEST_RING_S)),
        b_leg_events: vec!["DTMF".to_owned()],
        custom_channel_vars: far_vars(stage, shown.vars),
        requestor_custom_channel_vars: stage.call.channel_vars.clone(),
        custom_sip_headers: headers(stage, trunks),
        ..OffnetReq::bridge(number)
    }
}

/// What the far leg knows of who called it.
fn far_vars(stage: &Stage, mut vars: Map<String, Value>) -> Map<String, Value> {
    let early = "Require-Ignore-Early-Media";
    let call = &stage.call;
    let known = [
        ("Authorizing-ID", call.calling_device.clone()),
        ("Owner-ID", call.owner_id.clone()),
        (early, variable(stage, early)),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            vars.insert(name.to_owned(), json!(value));
        }
    }
    vars
}

fn variable(stage: &Stage, name: &str) -> Option<String> {
    let value = stage.call.channel_vars.get(name)?;
    value.as_str().map(str::to_owned)
}

/// Stepswitch has said how it ended.
pub(super) fn answered(stage: &mut Stage, response: &OffnetResp) -> Turn {
    if response.answered() {
        return Turn::Stop;
    }
    if let Some(reason) = &response.error {
        stage.warn(format!("stepswitch has not made the call: {reason}"));
    }
    let (message, code) = (response.message.as_str(), response.code.as_deref());
    or_turn(unreached(stage, Some(message), None, code))
}

/// Nobody has answered the request: as if stepswitch had said that its time is over.
pub(super) fn silent(stage: &mut Stage) -> Turn {
    stage.warn("no stepswitch has answered: does the Kazoo run it? Going on as if no trunk worked");
    let cause = HangupCause::NormalTemporaryFailure.name();
    or_turn(unreached(stage, Some(cause), None, Some("sip:500")))
}
