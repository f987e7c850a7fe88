//! What was said to Pivot servers and what they answered, kept for the authors of flows that asked for it (`debug`), as Crossbar shows it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{Path, State},
    response::Response,
};
use callreel_proto::{AccountId, lenient_u64, pvt_type};
use callreel_store::View;
use serde_json::{Map, Value, json};

use crate::{
    Shared,
    envelope::Answer,
    refusal::{Refusal, Why},
    scope,
};

type Answered = Result<Response, Refusal>;

/// Months that are looked through: whoever mends a flow looks at the calls of these days.
const MONTHS: usize = 2;
/// Calls shown at most, the newest.
const MOST_CALLS: usize = 200;

/// `GET /v2/accounts/{A}/pivot/debug`: the calls of which something is kept, the newest first.
pub(crate) async fn list(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answered {
    let account = scope::account(&shared, &id).await?;
    let mut calls: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for doc in kept(&shared, &account).await? {
        calls.entry(text(&doc, "call_id")).or_default().push(doc);
    }
    let mut calls: Vec<Value> = calls.values().map(|docs| summary(docs)).collect();
    calls.sort_by_key(|call| std::cmp::Reverse(call["created"].as_i64()));
    calls.truncate(MOST_CALLS);
    Ok(Answer::new(Value::Array(calls)).wrap(&shared))
}

/// `GET /v2/accounts/{A}/pivot/debug/{CALL_ID}`: what is kept of one call, in the order in which it was said. `CALL_ID` may have
/// its month before it, as `debug_id` has.
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    Path((id, call_id)): Path<(String, String)>,
) -> Answered {
    let account = scope::account(&shared, &id).await?;
    let mut docs = kept(&shared, &account).await?;
    docs.retain(|doc| text(doc, "call_id") == call_id || debug_id(doc) == call_id);
    if docs.is_empty() {
        let message = format!(
            "nothing is kept of a call {call_id:?}; \"debug\": true in a pivot action keeps it"
        );
        return Err(Refusal::new(Why::NotFound, message).cause(&call_id));
    }
    docs.sort_by_key(order);
    let shown = docs.iter().map(public).collect();
    Ok(Answer::new(Value::Array(shown)).wrap(&shared))
}

/// All documents of the latest months.
async fn kept(shared: &Shared, account: &AccountId) -> Result<Vec<Value>, Refusal> {
    let mut docs = Vec::new();
    for db in shared
        .store
        .month_databases(account)
        .await?
        .iter()
        .take(MONTHS)
    {
        let view = View::OfType(pvt_type::PIVOT_DEBUG.to_owned());
        docs.extend(shared.store.query(db, view).await?);
    }
    Ok(docs)
}

/// A request before its answer.
fn order(doc: &Value) -> (u64, bool) {
    let iteration = doc.get("iteration").and_then(lenient_u64);
    (iteration.unwrap_or_default(), doc.get("uri").is_none())
}

fn text(doc: &Value, key: &str) -> String {
    doc.get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The month and the call, as Kazoo names it.
fn debug_id(doc: &Value) -> String {
    let db = text(doc, "pvt_account_db");
    let month = db
        .rsplit_once('-')
        .map(|(_, month)| month)
        .unwrap_or_default();
    format!("{month}-{}", text(doc, "call_id"))
}

/// One call in few words: those of its first request and its answer.
fn summary(docs: &[Value]) -> Value {
    let mut docs: Vec<&Value> = docs.iter().collect();
    docs.sort_by_key(|doc| order(doc));
    let mut shown = Map::new();
    for doc in docs {
        let Value::Object(doc) = public(doc) else {
            continue;
        };
        for (key, value) in doc {
            let long = matches!(
                key.as_str(),
                "id" | "req_headers" | "req_body" | "resp_headers" | "resp_body"
            );
            if !long {
                shown.entry(key).or_insert(value);
            }
        }
    }
    Value::Object(shown)
}

/// A document without what is the store's own.
fn public(doc: &Value) -> Value {
    let own = doc.as_object().into_iter().flatten();
    let mut shown: Map<String, Value> = own
        .filter(|(key, _)| !key.starts_with('_') && !key.starts_with("pvt_"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    shown.insert("id".to_owned(), doc["_id"].clone());
    shown.insert("created".to_owned(), doc["pvt_created"].clone());
    shown.insert("node".to_owned(), doc["pvt_node"].clone());
    shown.insert("debug_id".to_owned(), json!(debug_id(doc)));
    Value::Object(shown)
}
