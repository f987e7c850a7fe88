//! Whether the process lives and whether it takes calls, for whatever restarts it and whatever sends it calls.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use callreel_store::SYSTEM_CONFIG;
use serde_json::{Value, json};

use crate::Shared;

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: all roles run and the store answers.
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Value>) {
    let reason = if !*shared.ready.borrow() {
        "the node is starting or stopping".to_owned()
    // Any look-up would do; a list of databases would be long in a CouchDB of many accounts.
    } else if let Err(error) = shared.store.get(SYSTEM_CONFIG, "media").await {
        error.to_string()
    } else {
        return (StatusCode::OK, Json(json!({"status": "ready"})));
    };
    let body = json!({"status": "not ready", "reason": reason});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}
