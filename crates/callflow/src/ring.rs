//! Rings devices and reads how that ended: what `user` and `device` have in common. Never looks a device up.

use std::time::Duration;

use callreel_proto::{Application, CallEvent, Device, Endpoint, HangupCause, InsertAt};
use serde_json::{Map, Value, json};

use crate::stage::{Stage, Turn};
use crate::talk::{Answer, Endpoints};
use crate::wait::{Await, Outcome};

/// Kazoo's ring time, seconds.
const RING_S: u64 = 20;
/// Nobody rings a phone longer than a day, and an instant has its limits.
const LONGEST_RING_S: u64 = 86_400;
/// Kazoo's `bridge_timeout_extended_ms`: so long after the ring time the switch counts as silent.
const RING_GUARD: Duration = Duration::from_secs(20);

/// Goes on after the lookup, and after the bridge. `strategy` names the data key of the dial strategy.
pub(crate) fn resume(stage: &mut Stage, outcome: Outcome, strategy: &str) -> Turn {
    match outcome {
        Outcome::Reply(Answer::Endpoints(found)) => ring(stage, found, strategy),
        Outcome::Reply(_) => {
            stage.warn_of(
                "id",
                "there is no such document in the account; nobody is rung",
            );
            Turn::next()
        }
        Outcome::Talked => Turn::Stop,
        Outcome::NotAnswered(event) => failed(stage, &event),
        Outcome::TimedOut => {
            stage.warn("the switch did not say how the bridge ended; going on without it");
            Turn::next()
        }
        _ => Turn::next(),
    }
}

fn ring(stage: &mut Stage, found: Endpoints, strategy: &str) -> Turn {
    let timeout_s = match stage.whole("timeout") {
        None | Some(0) => RING_S,
        Some(s) => s.min(LONGEST_RING_S),
    };
    let endpoints = endpoints(stage, &found, timeout_s);
    if endpoints.is_empty() {
        return Turn::next();
    }
    let method = method(stage, strategy);
    // RFC 3323 §4.1: what an anonymous caller is called.
    let hidden = stage.flag("suppress_clid") == Some(true);
    let (name, number) = if hidden {
        (Some("Anonymous".to_owned()), Some("anonymous".to_owned()))
    } else {
        let call = &stage.call;
        (call.caller_id_name.clone(), call.caller_id_number.clone())
    };
    let fail_on_single_reject = stage.flag("fail_on_single_reject");
    stage.command(Application::Bridge {
        endpoints,
        timeout_s: Some(timeout_s),
        method: Some(method),
        fail_on_single_reject,
        caller_id_name: name,
        caller_id_number: number,
        ignore_early_media: None,
        ringback: None,
        ignore_forward: None,
        custom_channel_vars: serde_json::Map::new(),
        custom_sip_headers: serde_json::Map::new(),
    });
    let give_up = stage.after(Duration::from_secs(timeout_s) + RING_GUARD);
    Turn::Wait(Await::Bridge {
        give_up: Some(give_up),
    })
}

fn method(stage: &mut Stage, key: &str) -> String {
    let usual = "simultaneous".to_owned();
    match stage.text(key) {
        None => usual,
        Some(method) if matches!(method.as_str(), "single" | "simultaneous") => method,
        Some(other) => {
            let message = format!("{other:?} is no strategy; use \"single\" or \"simultaneous\"");
            stage.warn_of(key, message);
            usual
        }
    }
}

/// The devices that may be rung, as the switch is told of them.
fn endpoints(stage: &mut Stage, found: &Endpoints, timeout_s: u64) -> Vec<Endpoint> {
    let willing = found
        .owner
        .as_ref()
        .is_none_or(|owner| owner.enabled && !owner.do_not_disturb);
    if !willing {
        return Vec::new();
    }
    let can_call_self = stage.flag("can_call_self").unwrap_or(false);
    let wishes = Wishes {
        realm: &found.realm,
        to_user: stage.text("static_invite"),
        delay_s: stage.whole("delay").filter(|s| *s > 0),
        timeout_s,
        headers: headers(stage),
        account_id: stage.call.account_id.to_string(),
    };
    let caller = stage.call.calling_device.clone();
    let mut endpoints = Vec::new();
    stage.ring_anew();
    for device in &found.devices {
        let is_caller = caller.as_deref() == Some(&device.id);
        if !device.enabled || device.do_not_disturb || (is_caller && !can_call_self) {
            continue;
        }
        match wishes.endpoint(device) {
            Ok(endpoint) => endpoints.push(Endpoint {
                outbound_call_id: Some(stage.ring(device, found.owner.as_ref())),
                ..endpoint
            }),
            Err(reason) => stage.warn(format!("device {} is not rung: {reason}", device.id)),
        }
    }
    endpoints
}

/// Headers for the B leg: plain, or in Kazoo's later form below `out`.
fn headers(stage: &mut Stage) -> Map<String, Value> {
    match stage.value("custom_sip_headers") {
        None => Map::new(),
        Some(Value::Object(headers)) => outbound(headers),
        Some(_) => {
            stage.warn_of("custom_sip_headers", "not an object; ignored");
            Map::new()
        }
    }
}

fn outbound(mut headers: Map<String, Value>) -> Map<String, Value> {
    let nested = ["in", "out"]
        .iter()
        .any(|side| headers.get(*side).is_some_and(Value::is_object));
    if !nested {
        return headers;
    }
    match headers.remove("out") {
        Some(Value::Object(out)) => out,
        _ => Map::new(),
    }
}

/// What holds for every endpoint of one bridge.
struct Wishes<'a> {
    realm: &'a str,
    to_user: Option<String>,
    delay_s: Option<u64>,
    timeout_s: u64,
    headers: Map<String, Value>,
    account_id: String,
}

impl Wishes<'_> {
    fn endpoint(&self, device: &Device) -> Result<Endpoint, String> {
        let mut custom_sip_headers = outbound(device.custom_sip_headers.clone());
        custom_sip_headers.extend(self.headers.clone());
        let endpoint = Endpoint {
            delay_s: self.delay_s,
            timeout_s: Some(self.timeout_s),
            custom_channel_vars: self.variables(device),
            custom_sip_headers,
            ..Endpoint::default()
        };
        match device.invite_format.as_str() {
            "route" => Ok(Endpoint {
                invite_format: "route".to_owned(),
                route: Some(device.route.clone().ok_or("it has no sip.route")?),
                ..endpoint
            }),
            // A contact is what a registration holds, so both find the phone by its registration.
            "username" | "contact" => {
                let username = device.username.clone().ok_or("it has no sip.username")?;
                let realm = device
                    .realm
                    .clone()
                    .unwrap_or_else(|| self.realm.to_owned());
                Ok(Endpoint {
                    invite_format: "username".to_owned(),
                    to_user: Some(self.to_user.clone().unwrap_or_else(|| username.clone())),
                    to_username: Some(username),
                    to_realm: Some(realm),
                    ..endpoint
                })
            }
            other => Err(format!("sip.invite_format {other:?} is not supported")),
        }
    }

    /// The variables Kazoo gives a device's leg.
    fn variables(&self, device: &Device) -> Map<String, Value> {
        let mut variables = Map::new();
        variables.insert("Account-ID".into(), json!(self.account_id));
        variables.insert("Authorizing-ID".into(), json!(device.id));
        variables.insert("Authorizing-Type".into(), json!("device"));
        if let Some(owner) = &device.owner_id {
            variables.insert("Owner-ID".into(), json!(owner));
        }
        variables
    }
}

/// The child named by the cause, else by the SIP code, else `_`.
fn failed(stage: &mut Stage, event: &CallEvent) -> Turn {
    let result = event.application_response.as_deref().filter(is_cause);
    stage.last_failure = event.hangup_cause.or_else(|| result.and_then(known_cause));
    let cause = result.or(event.hangup_cause.map(HangupCause::name));
    // The caller gave up: whatever the flow holds for a callee who does not answer, nobody is left to hear it.
    if cause == Some(HangupCause::OriginatorCancel.name()) {
        return stage.hang_up(InsertAt::Tail, None);
    }
    let code = event.hangup_code.as_deref();
    let keys = cause.into_iter().chain(code).map(str::to_owned);
    Turn::Attempt(keys.collect())
}

/// `NONE` and `FAIL` are what a switch says for want of a cause.
fn is_cause(word: &&str) -> bool {
    !word.is_empty() && !matches!(*word, "NONE" | "FAIL")
}

/// The cause of this name; none for names of causes we have no word for.
fn known_cause(name: &str) -> Option<HangupCause> {
    let cause: HangupCause = serde_json::from_value(json!(name)).ok()?;
    (cause.name() == name).then_some(cause)
}
