//! `webhook`: tells a web server of the call, and goes on at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::modules::pivot::{halves, url, verb};
use crate::stage::{Module, Stage, Turn};
use crate::talk::Effect;
use crate::web::{BodyFormat, Verb, WebRequest};

/// Kazoo's time for a webhook's request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Kazoo's number of further tries.
const RETRIES: u64 = 2;
/// More tries tell a server nothing that fewer have not.
const MOST_RETRIES: u64 = 10;

#[derive(Debug, Default)]
pub(crate) struct Webhook;

impl Module for Webhook {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let Some(url) = url(stage, "uri") else {
            if stage.text("uri").is_none() {
                stage.warn_of("uri", "no server is named; skipped");
            }
            return Turn::next();
        };
        let account = stage.call.account_id.as_str().to_owned();
        let request = WebRequest {
            verb: verb(stage, "http_verb", Verb::Post),
            url,
            headers: BTreeMap::from([("X-Account-ID".to_owned(), account)]),
            parameters: parameters(stage),
            format: BodyFormat::Form,
            patience: PATIENCE,
        };
        let tries = tries(stage);
        let request = Box::new(request);
        stage.effect(Effect::Webhook { request, tries });
        Turn::next()
    }
}

fn tries(stage: &mut Stage) -> u32 {
    let mut retries = stage.whole("retries").unwrap_or(RETRIES);
    if retries > MOST_RETRIES {
        stage.warn_of("retries", format!("at most {MOST_RETRIES} are made"));
        retries = MOST_RETRIES;
    }
    u32::try_from(retries + 1).expect("a handful")
}

/// The call as Kazoo tells of it, and what the author adds; that never stands in the place of the call's own.
fn parameters(stage: &mut Stage) -> Map<String, Value> {
    let custom = stage.data(|data| data.object("custom_data").cloned());
    let call = &stage.call;
    let ((from_user, from_realm), (to_user, to_realm)) = (halves(&call.from), halves(&call.to));
    let (request_user, request_realm) = halves(&call.request);
    let own = json!({
        "hook_event": "callflow",
        "account_id": call.account_id.as_str(),
        "call_id": call.call_id.as_str(),
        "caller_id_name": call.caller_id_name,
        "caller_id_number": call.caller_id_number,
        "from": call.from, "from_user": from_user, "from_realm": from_realm,
        "to": call.to, "to_user": to_user, "to_realm": to_realm,
        "request": call.request, "request_user": request_user, "request_realm": request_realm,
        "authorizing_id": call.channel_vars.get("Authorizing-ID"),
        "authorizing_type": call.channel_vars.get("Authorizing-Type"),
        "owner_id": call.owner_id,
        "language": call.language,
        "resource_type": "audio",
        "custom_application_vars": call.application_vars,
        "custom_sip_headers": call.sip_headers,
    });
    let mut told = custom.unwrap_or_default();
    if let Value::Object(own) = own {
        told.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
    }
    told
}
