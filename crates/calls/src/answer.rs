//! What a bid says: the `route_resp` of a call we can run, in the words stock callflow uses. Sends nothing.

use callreel_proto::{AccountId, RouteMethod, RouteReq, RouteResp};
use callreel_store::Store;
use serde_json::{Map, Value, json};

use crate::lookup;

/// "Park it, it is ours."
pub(crate) async fn park(
    store: &Store,
    account: &AccountId,
    route: &RouteReq,
    flow_id: &str,
) -> RouteResp {
    let realm = match lookup::realm(store, account).await {
        Ok(realm) => Some(realm).filter(|realm| !realm.is_empty()),
        Err(error) => {
            tracing::warn!(account_id = %account, %error, "the account's realm cannot be read");
            None
        }
    };
    RouteResp {
        pre_park: Some(pre_park(store, route).await.to_owned()),
        custom_channel_vars: channel_vars(store, account, route, realm.as_deref(), flow_id).await,
        custom_application_vars: route.custom_application_vars.clone(),
        from_realm: realm,
        ..RouteResp::new(RouteMethod::Park)
    }
}

/// A caller from outside hears at once that it rings (Kazoo's `callflow/ring_ready_offnet`).
async fn pre_park(store: &Store, route: &RouteReq) -> &'static str {
    let from_outside = route.channel_var("Inception").is_some();
    if from_outside && lookup::ring_ready_offnet(store).await {
        "ring_ready"
    } else {
        "none"
    }
}

/// What the request carries, for whoever looked the account up may have put it there and not yet onto the channel; and
/// what this call is.
async fn channel_vars(
    store: &Store,
    account: &AccountId,
    route: &RouteReq,
    realm: Option<&str>,
    flow_id: &str,
) -> Map<String, Value> {
    let mut vars = route.custom_channel_vars.clone();
    vars.insert("CallFlow-ID".to_owned(), json!(flow_id));
    if !vars.contains_key("Presence-ID")
        && route.channel_var("Authorizing-Type") == Some("device")
        && let Some(id) = route.channel_var("Authorizing-ID")
        && let Some(presence) = lookup::presence_id(store, account, id, realm).await
    {
        vars.insert("Presence-ID".to_owned(), json!(presence));
    }
    vars
}
