//! Callflows that somebody is writing: checked and walked before a call meets them. Stores nothing.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use callreel_callflow::{
    Answer as Found, Problem, Query, Source,
    explain::{self, Script},
    lint,
};
use callreel_proto::{AccountDb, AccountId, Vmbox};
use callreel_store::{Error, Store, View, is_soft_deleted};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    Shared,
    envelope::Answer,
    refusal::{Refusal, Why},
    request::Params,
    scope,
};

/// An account's documents, as a callflow's author meets them.
#[derive(Debug, Clone)]
pub struct Documents {
    store: Store,
    account: AccountId,
}

impl Documents {
    /// Those of this account.
    pub fn of(store: Store, account: AccountId) -> Self {
        Self { store, account }
    }

    /// What a callflow names and the account does not have.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn missing(&self, callflow: &Value) -> Result<Vec<Problem>, Error> {
        let mut there = std::collections::HashMap::new();
        for reference in lint::references(callflow) {
            if let Some(doc) = self.document(&reference.id).await? {
                let pvt_type = doc["pvt_type"].as_str().unwrap_or_default().to_owned();
                there.insert(reference.id, pvt_type);
            }
        }
        Ok(lint::missing(callflow, |id| there.get(id).cloned()))
    }

    /// The talk of a callflow with a made-up call by [`explain::explain`], and with these documents. Nothing is changed.
    ///
    /// # Errors
    /// The document is no callflow.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and on one of its async threads: it waits for the store.
    pub fn explain(
        &self,
        callflow: &Value,
        script: &Script,
    ) -> Result<String, callreel_callflow::MalformedFlow> {
        let runtime = Handle::current();
        let mut known = |query: &Query| match runtime.block_on(self.find(query)) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(account_id = %self.account, ?query, %error, "look-up failed; the walk goes on without");
                Some(Found::Missing)
            }
        };
        explain::explain(callflow, script, &mut known, Instant::now())
    }

    /// The answer to a question about documents; none where it is about something else, or would change something.
    async fn find(&self, query: &Query) -> Result<Option<Found>, Error> {
        let found = match query {
            Query::Callflow { id } => self.document(id).await?.map(Found::Flow),
            Query::Document { id } => self.document(id).await?.map(Found::Document),
            Query::Vmbox { id } => {
                let doc = self.document(id).await?;
                doc.map(|doc| Found::Vmbox(Box::new(Vmbox::read(&doc))))
            }
            Query::Documents { ids } => {
                let mut docs = Vec::new();
                for id in ids {
                    docs.extend(self.document(id).await?);
                }
                Some(Found::Documents(docs))
            }
            Query::DocumentsOf { pvt_type } => {
                let db = AccountDb::name(&self.account);
                let view = View::OfType(pvt_type.clone());
                Some(Found::Documents(self.store.query(&db, view).await?))
            }
            Query::EntriesOf { lists } => {
                let db = AccountDb::name(&self.account);
                let mut entries = Vec::new();
                for list in lists {
                    let view = View::EntriesOfList(list.clone());
                    entries.extend(self.store.query(&db, view).await?);
                }
                Some(Found::Documents(entries))
            }
            Query::UsersIn { directory } => {
                let db = AccountDb::name(&self.account);
                let view = View::UsersInDirectory(directory.clone());
                Some(Found::Documents(self.store.query(&db, view).await?))
            }
            _ => return Ok(None),
        };
        Ok(Some(found.unwrap_or(Found::Missing)))
    }

    async fn document(&self, id: &str) -> Result<Option<Value>, Error> {
        let doc = self.store.get(&AccountDb::name(&self.account), id).await?;
        Ok(doc.filter(|doc| !is_soft_deleted(doc)))
    }
}

/// `POST /v2/accounts/{A}/callflows/check`: what is wrong or doubtful in the callflow that is sent, and where in the text.
pub(crate) async fn check(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<String>,
    params: Params,
    body: Bytes,
) -> Result<Response, Refusal> {
    let strict = params.flag("strict", false)?;
    let account = scope::account(&shared, &account).await?;
    let draft = Draft::read(&body)?;
    let mut problems = lint::check(draft.callflow(), strict);
    let documents = Documents::of(shared.store.clone(), account);
    problems.extend(documents.missing(draft.callflow()).await?);
    let listed: Vec<_> = problems.iter().map(|p| draft.located(p)).collect();
    let placed: Vec<_> = problems.into_iter().map(|p| draft.placed(p)).collect();
    let report = draft.source.report("callflow", &placed);
    let data = json!({"problems": listed, "report": report});
    Ok(Answer::new(data).wrap(&shared))
}

/// `POST /v2/accounts/{A}/callflows/explain`: the talk of the callflow that is sent with a made-up call, by the `script` beside it.
pub(crate) async fn explain(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let account = scope::account(&shared, &account).await?;
    let draft = Draft::read(&body)?;
    let script = draft.source.document["script"].as_str().unwrap_or_default();
    let script = Script::read(script)
        .map_err(|error| Refusal::new(Why::Invalid, error.to_string()).cause("script"))?;
    let documents = Documents::of(shared.store.clone(), account);
    let callflow = draft.callflow().clone();
    let walk = move || documents.explain(&callflow, &script);
    let talk = tokio::task::spawn_blocking(walk)
        .await
        .map_err(|error| Refusal::new(Why::Broken, format!("the walk broke off: {error}")))?
        .map_err(|malformed| Refusal::new(Why::Invalid, malformed.to_string()))?;
    Ok(Answer::new(json!({"talk": talk})).wrap(&shared))
}

/// A body with a callflow in it, bare or as `data`.
struct Draft<'a> {
    source: Source<'a>,
    /// Where in the body the callflow is.
    place: &'static str,
}

impl<'a> Draft<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        let invalid = |reason: String| Refusal::new(Why::Invalid, reason);
        let text = std::str::from_utf8(body).map_err(|_| invalid("the body is no UTF-8".into()))?;
        let source = Source::read(text).map_err(|error| invalid(error.to_string()))?;
        let bare = ["flow", "module"]
            .iter()
            .any(|key| source.document.get(key).is_some());
        let place = if bare { "" } else { "/data" };
        Ok(Self { source, place })
    }

    fn callflow(&self) -> &Value {
        self.source
            .document
            .pointer(self.place)
            .unwrap_or(&Value::Null)
    }

    /// The problem with its pointer into the body.
    fn placed(&self, mut problem: Problem) -> Problem {
        problem.pointer.insert_str(0, self.place);
        problem
    }

    fn located(&self, problem: &Problem) -> Value {
        let pointer = format!("{}{}", self.place, problem.pointer);
        let (line, column) = self.source.line_and_column(&pointer);
        let mut found = json!(problem);
        found["line"] = json!(line);
        found["column"] = json!(column);
        found
    }
}
