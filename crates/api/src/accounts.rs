//! The platform's accounts, for an operator who chooses one. Shows nothing else of them.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use callreel_proto::pvt_type;
use callreel_store::{ACCOUNTS, is_soft_deleted};
use serde_json::{Value, json};

use crate::{
    Shared,
    envelope::{Answer, Page},
    refusal::Refusal,
    request::Params,
};

/// Accounts of a page.
const PAGE: usize = 1000;

/// `GET /v2/accounts`: by id, page by page.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    params: Params,
) -> Result<Response, Refusal> {
    let after = params.text("start_key").unwrap_or_default();
    let found = shared.store.page(ACCOUNTS, after, PAGE).await?;
    let last = found.last().filter(|_| found.len() == PAGE);
    let next = last.and_then(|doc| doc["_id"].as_str()).map(str::to_owned);
    let is_meant = |doc: &&Value| doc["pvt_type"] == pvt_type::ACCOUNT && !is_soft_deleted(doc);
    let shown = found.iter().filter(is_meant);
    let shown =
        shown.map(|doc| json!({"id": doc["_id"], "name": doc["name"], "realm": doc["realm"]}));
    let page = Page {
        size: PAGE,
        start: params.text("start_key").map(str::to_owned),
        next,
    };
    let answer = Answer {
        page: Some(page),
        ..Answer::new(shown.collect())
    };
    Ok(answer.wrap(&shared))
}
