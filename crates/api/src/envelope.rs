//! The envelope of Crossbar's answers: `data` and what goes with it. Decides nothing about the data.

use std::collections::BTreeSet;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use callreel_proto::{Utc, random_hex};
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use crate::{Shared, refusal::Refusal};

/// What is in an answer beside the envelope.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) data: Value,
    /// The document's revision; a hash of the data when there is none.
    pub(crate) revision: Option<String>,
    /// The token that was asked for; of a login only.
    pub(crate) token: Option<String>,
    /// Of a listing.
    pub(crate) page: Option<Page>,
    /// Nodes whose part of the data is missing, because they did not answer.
    pub(crate) silent: BTreeSet<String>,
}

/// Where a listing began and goes on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) size: usize,
    pub(crate) start: Option<String>,
    pub(crate) next: Option<String>,
}

impl Answer {
    pub(crate) fn new(data: Value) -> Self {
        Self {
            data,
            ..Self::default()
        }
    }

    /// The answer in its envelope.
    pub(crate) fn wrap(self, shared: &Shared) -> Response {
        let revision = self.revision.unwrap_or_else(|| hash(&self.data));
        let mut body = Map::new();
        body.insert("data".into(), self.data);
        if let Some(page) = self.page {
            body.insert("page_size".into(), page.size.into());
            let keys = [("start_key", page.start), ("next_start_key", page.next)];
            for (name, key) in keys {
                body.extend(key.map(|key| (name.to_owned(), key.into())));
            }
        }
        if !self.silent.is_empty() {
            body.insert("silent_nodes".into(), json!(self.silent));
        }
        body.insert("revision".into(), revision.into());
        common(&mut body, shared, "success");
        if let Some(token) = self.token {
            body.insert("auth_token".into(), token.into());
        }
        (self.status, Json(Value::Object(body))).into_response()
    }
}

/// The envelope of a refusal.
pub(crate) fn refused(shared: &Shared, refusal: &Refusal) -> Value {
    let mut data = json!({"message": refusal.message});
    if let Some(cause) = &refusal.cause {
        data["cause"] = json!(cause);
    }
    let mut body = Map::new();
    body.insert("data".into(), data);
    let code = refusal.status().as_u16().to_string();
    body.insert("error".into(), code.into());
    body.insert("message".into(), refusal.why.name().into());
    common(&mut body, shared, "error");
    Value::Object(body)
}

fn common(body: &mut Map<String, Value>, shared: &Shared, status: &str) {
    body.insert("timestamp".into(), Utc::now().rfc3339().into());
    body.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    body.insert("node".into(), shared.node.as_str().into());
    body.insert("request_id".into(), random_hex(32).into());
    body.insert("status".into(), status.into());
    body.insert("auth_token".into(), "".into());
}

fn hash(data: &Value) -> String {
    hex::encode(Md5::digest(data.to_string()))
}
