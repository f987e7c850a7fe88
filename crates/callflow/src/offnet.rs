//! A call to the public network: what the modules `offnet` and `resources` have in common. Never looks a trunk up.

mod guest;

use std::time::Duration;

use callreel_proto::{Application, E164, HangupCause};
use serde_json::{Map, Value, json};

use crate::ring::{Unreached, outbound, ringback, unreached_by, usual_ringback};
use crate::stage::{Stage, Turn};
use crate::talk::{Answer, Query};
use crate::trunk::{Outgoing, Trunks};
use crate::wait::{Await, Legs, Outcome};

/// Who is called far away is given longer than a phone on the desk, seconds.
const RING_S: u64 = 60;
/// Nobody rings for longer than a day.
const LONGEST_RING_S: u64 = 86_400;
/// So long after the last gateway's time the switch counts as silent.
const GUARD: Duration = Duration::from_secs(20);

/// Asks for the trunks: an account's own, or everybody's. A guest asks only who the caller is.
pub(crate) fn begin(stage: &mut Stage, own_usually: bool) -> Turn {
    let own = stage.flag("use_local_resources").unwrap_or(own_usually);
    let hunt = own.then(|| hunted(stage));
    let device = stage.call.calling_device.clone();
    let caller_only = stage.call.guest;
    Turn::Wait(stage.ask(Query::Trunks {
        hunt,
        device,
        caller_only,
    }))
}

/// The account whose own trunks are meant.
fn hunted(stage: &mut Stage) -> String {
    let hunt = stage.text("hunt_account_id");
    hunt.unwrap_or_else(|| stage.call.account_id.to_string())
}

/// Goes on after the documents came, and after the bridge.
pub(crate) fn resume(stage: &mut Stage, outcome: Outcome) -> Turn {
    match outcome {
        Outcome::Reply(Answer::Trunks(trunks)) if stage.call.guest => guest::ask(stage, &trunks),
        Outcome::Reply(Answer::Trunks(trunks)) => call_out(stage, &trunks),
        Outcome::Reply(_) => {
            stage.warn("the trunks cannot be read; nobody is called");
            no_trunk(stage)
        }
        Outcome::Talked => Turn::Stop,
        Outcome::NotAnswered(event) => or_turn(unreached_by(stage, &event)),
        Outcome::Offnet(response) => guest::answered(stage, &response),
        Outcome::TimedOut if stage.call.guest => guest::silent(stage),
        Outcome::TimedOut => {
            stage.warn("the switch did not say how the bridge ended; going on without it");
            Turn::next()
        }
        _ => Turn::next(),
    }
}

fn or_turn(unreached: Result<Turn, Unreached>) -> Turn {
    unreached.unwrap_or_else(Unreached::turn)
}

fn call_out(stage: &mut Stage, trunks: &Trunks) -> Turn {
    let shown = stage.caller_shown();
    let call = outgoing(stage, trunks);
    let mut warnings = Vec::new();
    let mut endpoints = trunks.endpoints(&call, &mut warnings);
    for warning in warnings {
        stage.warn(warning);
    }
    if endpoints.is_empty() {
        stage.warn(format!("no trunk takes {}", call.number));
        return no_trunk(stage);
    }
    if !shown.vars.is_empty() {
        for endpoint in &mut endpoints {
            endpoint.caller_id_name.clone_from(&shown.name);
            endpoint.caller_id_number.clone_from(&shown.number);
            endpoint.custom_channel_vars.shift_remove("From-URI");
        }
    }
    let timeout_s = match stage.whole("timeout") {
        None | Some(0) => RING_S,
        Some(s) => s.min(LONGEST_RING_S),
    };
    let each = Duration::from_secs(timeout_s);
    let longest = each.saturating_mul(u32::try_from(endpoints.len()).unwrap_or(u32::MAX));
    let mut vars = shown.vars;
    vars.insert("Ignore-Display-Updates".to_owned(), json!("true"));
    let bridge = Application::Bridge {
        endpoints,
        timeout_s: Some(timeout_s),
        method: Some("single".to_owned()),
        fail_on_single_reject: Some(true),
        caller_id_name: shown.name,
        caller_id_number: shown.number,
        ignore_early_media: stage.flag("ignore_early_media"),
        ringback: ringing(stage),
        ignore_forward: None,
        custom_channel_vars: vars,
        custom_sip_headers: headers(stage, trunks),
    };
    stage.command(bridge);
    let legs = Legs::Apart(stage.after(longest + GUARD));
    Turn::Wait(Await::Bridge { legs })
}

/// What the caller hears meanwhile, if not the far end's own ringing.
fn ringing(stage: &mut Stage) -> Option<String> {
    let account = stage.call.account_id.clone();
    let own = stage.data(|data| ringback(data, &account));
    own.or_else(|| usual_ringback(stage))
}

/// Whom the flow calls, and as whom.
fn outgoing(stage: &mut Stage, trunks: &Trunks) -> Outgoing {
    let dialled = dialled(stage);
    let as_dialled = is_as_dialled(stage);
    let number = stage.text("to_did").unwrap_or_else(|| dialled.clone());
    let number = match E164::of(&number).filter(|_| !as_dialled) {
        Some(number) => number.as_str().to_owned(),
        None => number,
    };
    let mut flags = trunks.flags();
    flags.extend(texts(stage, "outbound_flags"));
    for name in texts(stage, "dynamic_flags") {
        flags.extend(dynamic_flag(stage, &name));
    }
    let formatted = stage.flag("format_from_uri") == Some(true);
    let realm = stage.text("from_uri_realm");
    Outgoing {
        number,
        dialled,
        name: stage.call.caller_id_name.clone(),
        caller: stage.call.caller_id_number.clone(),
        cid_type: stage
            .text("caller_id_type")
            .unwrap_or_else(|| "external".to_owned()),
        flags,
        from_realm: formatted.then(|| realm.unwrap_or_else(|| trunks.realm.clone())),
        account_id: stage.call.account_id.to_string(),
    }
}

/// The number as the caller wrote it.
fn dialled(stage: &Stage) -> String {
    let request = &stage.call.request;
    let written = request.split('@').next().filter(|user| !user.is_empty());
    written.unwrap_or(&stage.call.number).to_owned()
}

/// Whether the number is left as it is.
fn is_as_dialled(stage: &mut Stage) -> bool {
    stage.flag("do_not_normalize") == Some(true) || stage.flag("bypass_e164") == Some(true)
}

/// What a dynamic flag stands for in this call.
fn dynamic_flag(stage: &mut Stage, name: &str) -> Option<String> {
    let call = &stage.call;
    let realm = |address: &str| address.split_once('@').map(|(_, realm)| realm.to_owned());
    let user = |address: &str| address.split('@').next().map(str::to_owned);
    let flag = match name.strip_prefix("custom_channel_vars.") {
        Some(var) => call.channel_vars.get(var)?.as_str().map(str::to_owned),
        None => match name {
            "account_id" => Some(call.account_id.to_string()),
            "owner_id" => call.owner_id.clone(),
            "authorizing_id" => call.calling_device.clone(),
            "caller_id_number" => call.caller_id_number.clone(),
            "caller_id_name" => call.caller_id_name.clone(),
            "from_realm" => realm(&call.from),
            "from_user" => user(&call.from),
            "to_realm" => realm(&call.to),
            "to_user" => user(&call.to),
            "request_user" => user(&call.request),
            "request_realm" => realm(&call.request),
            _ => {
                let message = format!("{name:?} is no dynamic flag of a call; ignored");
                stage.warn_of("dynamic_flags", message);
                None
            }
        },
    };
    flag.filter(|flag| !flag.is_empty())
}

fn headers(stage: &mut Stage, trunks: &Trunks) -> Map<String, Value> {
    let mut headers = trunks.headers();
    match stage.value("custom_sip_headers") {
        None => {}
        Some(Value::Object(own)) => headers.extend(outbound(own)),
        Some(_) => stage.warn_of("custom_sip_headers", "not an object; ignored"),
    }
    if stage.flag("emit_account_id") == Some(true) {
        headers.insert(
            "X-Account-ID".to_owned(),
            json!(stage.call.account_id.to_string()),
        );
    }
    headers
}

/// Stepswitch's word when no trunk is there for a number.
fn no_trunk(stage: &mut Stage) -> Turn {
    stage.last_failure = Some(HangupCause::UnallocatedNumber);
    Turn::Attempt(vec![
        "NO_ROUTE_DESTINATION".to_owned(),
        "sip:404".to_owned(),
    ])
}

/// The words of an array.
fn texts(stage: &mut Stage, key: &str) -> Vec<String> {
    match stage.value(key) {
        None => Vec::new(),
        Some(Value::Array(words)) => {
            let texts = words.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        Some(_) => {
            stage.warn_of(key, "wanted an array of words; ignored");
            Vec::new()
        }
    }
}
