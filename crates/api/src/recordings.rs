//! The recordings of an account, or of one of its users, as Crossbar shows them: list, one, its audio, delete.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, Method, StatusCode, request::Parts},
    response::Response,
};
use callreel_attachments::{Deleted, How};
use callreel_proto::{AccountId, GREGORIAN_UNIX_OFFSET, RecordingFact, Utc, month_db, pvt_type};
use callreel_spool::What;
use callreel_store::is_soft_deleted;
use serde_json::{Map, Value, json};

use crate::{
    Shared, audio, audit,
    auth::{self, By, Caller, beyond},
    deliveries::NO_REASON,
    envelope::{Answer, Page},
    listing::{self, Asked, print_key},
    refusal::{Refusal, Why},
    request::{self, Params, Posted, reason},
    scope,
};

type Answered = Result<Response, Refusal>;

/// Whose recordings a path is about.
struct Scope {
    account: AccountId,
    user: Option<String>,
}

/// `GET /v2/accounts/{A}/recordings`.
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<String>,
    params: Params,
) -> Answered {
    answer_list(&shared, &account, None, &params).await
}

/// `GET /v2/accounts/{A}/users/{U}/recordings`.
pub(crate) async fn list_of_user(
    State(shared): State<Arc<Shared>>,
    Path((account, user)): Path<(String, String)>,
    params: Params,
) -> Answered {
    answer_list(&shared, &account, Some(user), &params).await
}

/// `GET /v2/accounts/{A}/recordings/{ID}`: the document, or the audio if that is asked for.
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    Path((account, id)): Path<(String, String)>,
    listener: Listener,
    params: Params,
    headers: HeaderMap,
) -> Answered {
    answer_one(&shared, (&account, None, &id), listener, &params, &headers).await
}

/// `GET /v2/accounts/{A}/users/{U}/recordings/{ID}`.
pub(crate) async fn show_of_user(
    State(shared): State<Arc<Shared>>,
    Path((account, user, id)): Path<(String, String, String)>,
    listener: Listener,
    params: Params,
    headers: HeaderMap,
) -> Answered {
    answer_one(
        &shared,
        (&account, Some(user), &id),
        listener,
        &params,
        &headers,
    )
    .await
}

/// `DELETE /v2/accounts/{A}/recordings/{ID}`.
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path((account, id)): Path<(String, String)>,
    By(by): By,
    params: Params,
    Posted(body): Posted,
) -> Answered {
    let why = (by, reason(&body)?);
    answer_removal(&shared, (&account, None, &id), &params, why).await
}

/// `DELETE /v2/accounts/{A}/users/{U}/recordings/{ID}`.
pub(crate) async fn remove_of_user(
    State(shared): State<Arc<Shared>>,
    Path((account, user, id)): Path<(String, String, String)>,
    By(by): By,
    params: Params,
    Posted(body): Posted,
) -> Answered {
    let why = (by, reason(&body)?);
    answer_removal(&shared, (&account, Some(user), &id), &params, why).await
}

async fn answer_list(
    shared: &Shared,
    account: &str,
    user: Option<String>,
    params: &Params,
) -> Answered {
    let asked = Asked::read(params, Utc::now().gregorian_seconds())?;
    let scope = scope(shared, account, user).await?;
    let given = asked.start.as_ref().map(print_key);
    let (user, account) = (scope.user.as_deref(), &scope.account);
    let (docs, next) = listing::page(&shared.store, account, user, asked, public).await?;
    let page = Page {
        size: docs.len(),
        start: given,
        next: next.as_ref().map(print_key),
    };
    let answer = Answer {
        page: Some(page),
        ..Answer::new(Value::Array(docs))
    };
    Ok(answer.wrap(shared))
}

async fn answer_one(
    shared: &Shared,
    (account, user, id): (&str, Option<String>, &str),
    listener: Listener,
    params: &Params,
    headers: &HeaderMap,
) -> Answered {
    let scope = scope(shared, account, user).await?;
    let (db, doc) = find(shared, &scope, id).await?;
    let Some(types) = audio::asked_for(params, headers) else {
        return Ok(answer_document(shared, &doc, StatusCode::OK));
    };
    beyond(&listener.caller, auth::Scope::AudioRead)?;
    let answer = audio::send(shared, &db, &doc, &types, params, headers).await?;
    if listener.method == Method::GET && audio::is_begun(&answer) {
        audit::listened(shared, &doc, listener.by).await;
    }
    Ok(answer)
}

/// Who wants to hear a recording, should it be that.
pub(crate) struct Listener {
    method: Method,
    caller: Caller,
    by: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Listener {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Ok(caller) = Caller::from_request_parts(parts, state).await;
        let By(by) = By::from_request_parts(parts, state).await?;
        let method = parts.method.clone();
        Ok(Self { method, caller, by })
    }
}

async fn answer_removal(
    shared: &Shared,
    (account, user, id): (&str, Option<String>, &str),
    params: &Params,
    (by, reason): (Option<String>, Option<String>),
) -> Answered {
    let soft = params.flag("should_soft_delete", true)?;
    let scope = scope(shared, account, user).await?;
    let (db, mut doc) = find(shared, &scope, id).await?;
    let how = if soft { How::Soft } else { How::Hard };
    let deleted = shared.attachments.delete(&db, id, how).await?;
    if let Some(Deleted { receipts }) = deleted {
        let what = What::Deleted {
            by: by.unwrap_or_else(|| "the API".to_owned()),
            reason: reason.unwrap_or_else(|| NO_REASON.to_owned()),
            receipts: receipts.clone(),
        };
        audit::tell(shared, &doc, RecordingFact::Deleted, what).await;
        doc["receipts"] = receipts.into();
    }
    doc["pvt_deleted"] = true.into();
    Ok(answer_document(shared, &doc, StatusCode::OK))
}

/// A recording's document in its envelope.
pub(crate) fn answer_document(shared: &Shared, doc: &Value, status: StatusCode) -> Response {
    let answer = Answer {
        status,
        revision: doc["_rev"].as_str().map(str::to_owned),
        ..Answer::new(public(doc))
    };
    answer.wrap(shared)
}

/// The account of a path and its user; both must exist.
async fn scope(shared: &Shared, account: &str, user: Option<String>) -> Result<Scope, Refusal> {
    let account = scope::account(shared, account).await?;
    if let Some(user) = &user {
        scope::user(shared, &account, user).await?;
    }
    Ok(Scope { account, user })
}

/// A recording's month database and its document.
async fn find(shared: &Shared, scope: &Scope, id: &str) -> Result<(String, Value), Refusal> {
    let recording = request::recording(id)?;
    let db = month_db(&scope.account, recording.month());
    let found = shared.store.get(&db, id).await?;
    let is_meant = |doc: &Value| {
        let owner = scope.user.as_deref();
        doc["pvt_type"] == pvt_type::CALL_RECORDING
            && !is_soft_deleted(doc)
            && owner.is_none_or(|owner| doc["owner_id"] == owner)
    };
    found.filter(is_meant).map(|doc| (db, doc)).ok_or_else(|| {
        let message = format!(
            "there is no recording {id} here; if its call has just ended, look at /deliveries/{id}"
        );
        Refusal::new(Why::NotFound, message).cause(id)
    })
}

/// The document as the world may see it: without private fields, with its `id`, and with what is read-only about it.
fn public(doc: &Value) -> Value {
    let mut shown = Map::new();
    shown.insert("id".into(), doc["_id"].clone());
    for (key, value) in doc.as_object().into_iter().flatten() {
        if !key.starts_with('_') && !key.starts_with("pvt_") {
            shown.insert(key.clone(), value.clone());
        }
    }
    shown.insert("_read_only".into(), read_only(doc));
    Value::Object(shown)
}

fn read_only(doc: &Value) -> Value {
    let types = callreel_attachments::audio(doc).map(|audio| audio.content_type);
    let mut about = json!({"content_types": Vec::from_iter(types)});
    let times = [
        ("created", "pvt_created"),
        ("modified", "pvt_modified"),
        ("start", "start"),
    ];
    for (name, field) in times {
        if let Some(gregorian) = doc[field].as_i64() {
            about[name] = gregorian.into();
            about[format!("{name}_unix")] = (gregorian - GREGORIAN_UNIX_OFFSET).into();
        }
    }
    if is_soft_deleted(doc) {
        about["deleted"] = true.into();
    }
    about
}
