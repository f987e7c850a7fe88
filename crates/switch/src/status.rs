//! Answers what others ask about channels (Kazoo `kapi_call`, as ecallmgr does): whether one lives, and which there are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_proto::{
    CallId, ChannelQuery, ChannelQueryReq, ChannelQueryResp, ChannelStatus, ChannelStatusReq,
    ChannelStatusResp, Envelope, Exchange, FoundChannels, Headers,
};
use futures::StreamExt;
use ractor::ActorRef;
use ractor::rpc::CallResult;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::channel::ChannelMsg;
use crate::shared::Shared;

/// Questions that may wait: after an outage of the broker every controller asks for each of its calls at once. They have a queue of
/// their own, so that asking holds up no command.
const CAPACITY: usize = 4_096;
/// Channels asked at once for one answer.
const TOGETHER: usize = 64;
/// How long a channel may take to show itself; whoever asks waits two seconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// A channel as Kazoo's table of channels has it.
pub(crate) type Row = Map<String, Value>;

/// Opens the queue of questions.
pub(crate) async fn subscribe(bus: &Bus) -> Result<Subscription, callreel_bus::Error> {
    let binding = Binding::new(Exchange::Callevt, ChannelStatusReq::PATTERN);
    bus.subscribe(QueueOptions::private(CAPACITY), vec![binding])
        .await
}

/// Answers one question after the other, until the bus or the switch ends.
pub(crate) async fn serve(shared: Arc<Shared>, mut subscription: Subscription) {
    while let Some(delivery) = subscription.recv().await {
        if let Err((kind, what)) = one(&shared, &delivery.body).await {
            shared.note(kind, what);
        }
    }
}

async fn one(shared: &Shared, body: &[u8]) -> Result<(), (&'static str, String)> {
    let malformed = |error: &dyn ToString| ("malformed question", error.to_string());
    let message: Envelope<Row> = Envelope::from_bytes(body).map_err(|e| malformed(&e))?;
    let asker = message.headers;
    if asker.event_category != "call_event" {
        return Err((
            "no question",
            asker.event_category.chars().take(80).collect(),
        ));
    }
    if asker.event_name == ChannelStatusReq::NAME {
        let request = read(message.body).map_err(|e| malformed(&e))?;
        return status(shared, &asker, request).await;
    }
    let way = ChannelQuery::of(&asker.event_name);
    let way = way.ok_or_else(|| ("no question", asker.event_name.chars().take(80).collect()))?;
    let request = read(message.body).map_err(|e| malformed(&e))?;
    query(shared, &asker, way, &request).await
}

fn read<T: DeserializeOwned>(body: Row) -> Result<T, serde_json::Error> {
    serde_json::from_value(Value::Object(body))
}

/// `channel_status_req`.
async fn status(
    shared: &Shared,
    asker: &Headers,
    request: ChannelStatusReq,
) -> Result<(), (&'static str, String)> {
    let row = match shared.channels.find(&request.call_id) {
        Some(channel) => row_of(channel).await,
        None => None,
    };
    let body = match row {
        Some(row) => found(shared, request.call_id, &row),
        None if request.active_only == Some(true) => return Ok(()),
        None => ChannelStatusResp::new(request.call_id, ChannelStatus::Terminated),
    };
    answer(shared, asker, ChannelStatusResp::NAME, body).await
}

fn found(shared: &Shared, call_id: CallId, row: &Row) -> ChannelStatusResp {
    let text = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
    let vars = |key: &str| row.get(key).and_then(Value::as_object).cloned();
    let other = text("Other-Leg-Call-ID").map(CallId::new);
    ChannelStatusResp {
        other_leg_call_id: other,
        switch_nodename: Some(shared.identity.node.clone()),
        switch_hostname: Some(shared.identity.hostname.clone()),
        switch_url: Some(shared.identity.url.clone()),
        from_tag: text("From-Tag"),
        to_tag: text("To-Tag"),
        realm: text("Realm"),
        username: text("Username"),
        custom_channel_vars: vars("Custom-Channel-Vars").unwrap_or_default(),
        custom_application_vars: vars("Custom-Application-Vars").unwrap_or_default(),
        ..ChannelStatusResp::new(call_id, ChannelStatus::Active)
    }
}

/// The four other questions.
async fn query(
    shared: &Shared,
    asker: &Headers,
    way: ChannelQuery,
    request: &ChannelQueryReq,
) -> Result<(), (&'static str, String)> {
    let mut rows = rows(shared, way, request).await;
    rows.retain(|row| is_wanted(way, request, row));
    let silent = request.active_only.unwrap_or(way == ChannelQuery::User);
    if rows.is_empty() && silent {
        return Ok(());
    }
    let channels = match way {
        ChannelQuery::All => FoundChannels::ByCallId(by_call_id(rows, request.fields.as_ref())),
        _ => FoundChannels::List(rows),
    };
    answer(shared, asker, way.response(), ChannelQueryResp { channels }).await
}

/// The one channel named, or all.
async fn rows(shared: &Shared, way: ChannelQuery, request: &ChannelQueryReq) -> Vec<Row> {
    let named = request
        .call_id
        .as_deref()
        .filter(|_| way == ChannelQuery::All);
    let channels = match named {
        Some(call_id) => Vec::from_iter(shared.channels.find(&CallId::new(call_id))),
        None => shared.channels.all(),
    };
    let asked = futures::stream::iter(channels).map(row_of);
    asked
        .buffered(TOGETHER)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// A channel that has just ended, or is busy for so long, shows nothing.
async fn row_of(channel: ActorRef<ChannelMsg>) -> Option<Row> {
    match channel.call(ChannelMsg::Row, Some(PATIENCE)).await {
        Ok(CallResult::Success(row)) => Some(row),
        _ => None,
    }
}

fn is_wanted(way: ChannelQuery, request: &ChannelQueryReq, row: &Row) -> bool {
    let is = |key: &str, wanted: &str| {
        let value = row.get(key).and_then(Value::as_str);
        value.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    let account = request.account_id.as_deref();
    let mut users = request.username.iter().chain(&request.usernames);
    let mut devices = request.authorizing_ids.iter();
    match way {
        ChannelQuery::All => true,
        ChannelQuery::AuthId => {
            let device = request.auth_id.as_deref();
            device.is_some_and(|id| is("Authorizing-ID", id))
        }
        ChannelQuery::Account => {
            let anybody = users.clone().next().is_none();
            let of_account = account.is_some_and(|id| is("Account-ID", id));
            of_account && (anybody || users.any(|user| is("Username", user)))
        }
        ChannelQuery::User => {
            let realm = request.realm.as_deref();
            let at_realm = realm.is_some_and(|realm| is("Realm", realm));
            (at_realm && users.any(|user| is("Username", user)))
                || devices.any(|id| is("Authorizing-ID", id))
        }
    }
}

/// By Call-ID, with the fields that are wanted: all, some by name, or none.
fn by_call_id(rows: Vec<Row>, fields: Option<&Value>) -> BTreeMap<String, Row> {
    let is_all = fields.and_then(Value::as_str) == Some("all");
    let names: Vec<_> = fields
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    rows.into_iter()
        .filter_map(|mut row| {
            let call_id = row.get("Call-ID")?.as_str()?.to_owned();
            row.retain(|key, _| is_all || names.contains(&key.as_str()));
            Some((call_id, row))
        })
        .collect()
}

/// Sends an answer to whoever wants one.
async fn answer<T: Serialize>(
    shared: &Shared,
    asker: &Headers,
    name: &str,
    body: T,
) -> Result<(), (&'static str, String)> {
    let Some(to) = asker.server_id.as_deref().filter(|to| !to.is_empty()) else {
        return Err(("question without Server-ID", asker.event_name.clone()));
    };
    let headers = shared.identity.headers("call_event", name);
    let headers = headers.msg_id(&asker.msg_id);
    let bytes = Envelope { headers, body }.to_bytes();
    let sent = shared.bus.send(Exchange::Targeted, to, bytes).await;
    sent.map_err(|error| ("answer that cannot be sent", error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(json: Value) -> Row {
        json.as_object().cloned().unwrap()
    }

    fn asked(json: Value) -> ChannelQueryReq {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn only_the_channels_asked_for_are_found() {
        let row = row(
            json!({"Account-ID": "a1", "Username": "204", "Realm": "north.test", "Authorizing-ID": "d1"}),
        );
        for (way, request, wanted) in [
            (ChannelQuery::AuthId, json!({"Auth-ID": "d1"}), true),
            (ChannelQuery::AuthId, json!({"Auth-ID": "d2"}), false),
            (ChannelQuery::AuthId, json!({}), false),
            (ChannelQuery::Account, json!({"Account-ID": "a1"}), true),
            (
                ChannelQuery::Account,
                json!({"Account-ID": "a1", "Usernames": ["205"]}),
                false,
            ),
            (
                ChannelQuery::Account,
                json!({"Account-ID": "a1", "Username": 204}),
                true,
            ),
            (
                ChannelQuery::User,
                json!({"Realm": "North.test", "Usernames": ["203", "204"]}),
                true,
            ),
            (
                ChannelQuery::User,
                json!({"Realm": "south.test", "Username": "204"}),
                false,
            ),
            (ChannelQuery::User, json!({"Authorizing-IDs": ["d1"]}), true),
            (ChannelQuery::All, json!({}), true),
        ] {
            assert_eq!(
                is_wanted(way, &asked(request.clone()), &row),
                wanted,
                "{way:?} {request}"
            );
        }
    }

    #[test]
    fn all_fields_some_or_none_are_told() {
        let rows = vec![row(json!({"Call-ID": "c", "Answered": true, "From": "x"}))];
        for (fields, told) in [
            (
                json!("all"),
                json!({"Call-ID": "c", "Answered": true, "From": "x"}),
            ),
            (json!(["Answered", "Nonsense"]), json!({"Answered": true})),
            (json!([]), json!({})),
            (json!(7), json!({})),
        ] {
            let found = by_call_id(rows.clone(), Some(&fields));
            assert_eq!(json!(found), json!({"c": told}), "{fields}");
        }
    }
}
