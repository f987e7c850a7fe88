//! What a bid says: the `route_resp` of a call we can run, in the words stock callflow uses. Sends nothing.

use callreel_callflow::playable;
use callreel_proto::{AccountId, CallflowConfig, RouteMethod, RouteReq, RouteResp};
use serde_json::{Map, Value, json};

use crate::lookup::PartyDocs;

/// "Park it, it is ours."
pub(crate) fn park(
    route: &RouteReq,
    account: &AccountId,
    caller: &PartyDocs,
    flow_id: &str,
    config: &CallflowConfig,
) -> RouteResp {
    RouteResp {
        pre_park: Some(pre_park(route, config).to_owned()),
        custom_channel_vars: channel_vars(route, account, caller, flow_id),
        custom_application_vars: route.custom_application_vars.clone(),
        from_realm: caller.realm(),
        ..RouteResp::new(RouteMethod::Park)
    }
}

/// A caller from outside hears at once that it rings (Kazoo's `callflow/ring_ready_offnet`).
fn pre_park(route: &RouteReq, config: &CallflowConfig) -> &'static str {
    let from_outside = route.channel_var("Inception").is_some();
    if from_outside && config.ring_ready_offnet {
        "ring_ready"
    } else {
        "none"
    }
}

/// What the request carries, for whoever looked the account up may have put it there and not yet onto the channel; and
/// what this call is.
fn channel_vars(
    route: &RouteReq,
    account: &AccountId,
    caller: &PartyDocs,
    flow_id: &str,
) -> Map<String, Value> {
    let mut vars = route.custom_channel_vars.clone();
    vars.insert("CallFlow-ID".to_owned(), json!(flow_id));
    if !vars.contains_key("Presence-ID")
        && let Some(presence) = caller.presence_id()
    {
        vars.insert("Presence-ID".to_owned(), json!(presence));
    }
    if let Some(music) = caller.hold_media() {
        match playable(&music, account) {
            Ok(music) => drop(vars.insert("Hold-Media".to_owned(), json!(music))),
            Err(reason) => {
                tracing::warn!(call_id = %route.call_id, account_id = %account, reason, "music on hold is not played");
            }
        }
    }
    vars
}
