//! The store in a CouchDB as Kazoo lays it out: databases made on demand with the views Kazoo lists them by, revisions
//! followed, what cannot be done now told apart from what never can. Keeps nothing on this machine.

mod address;
mod attachments;
mod batch;
mod check;
mod client;
mod designs;
mod views;

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use self::{address::Address, client::Client, designs::Design};
use crate::{Error, MessageCounts, View, document::Draft};

/// Tries of a change that others overtake. Each lost try means that another's change was made, so even sixteen at once
/// are done long before.
const TRIES: u32 = 40;
/// Longest pause before the next of them: a few round trips.
const PAUSE: Duration = Duration::from_millis(40);

/// How CouchDB is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouchConfig {
    /// PEM file of private authorities that may vouch for it.
    pub ca_file: Option<PathBuf>,
    /// Seconds a request may take; for an attachment, seconds it may stand still.
    pub request_timeout_s: NonZeroU64,
}

impl Default for CouchConfig {
    fn default() -> Self {
        Self {
            ca_file: None,
            request_timeout_s: NonZeroU64::new(30).expect("30 is not 0"),
        }
    }
}

/// One CouchDB; clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Couch {
    client: Client,
}

/// Which attachments a document keeps when it is saved over what is stored.
#[derive(Clone, Copy)]
enum Keep<'a> {
    All,
    Only(&'a str),
}

impl Couch {
    pub(crate) fn new(url: &str, config: &CouchConfig) -> Result<Self, Error> {
        Ok(Self {
            client: Client::new(Address::parse(url)?, config)?,
        })
    }

    pub(crate) async fn get(&self, db: &str, id: &str) -> Result<Option<Value>, Error> {
        let reply = self
            .client
            .get(self.client.address.document(db, id))
            .await?;
        match reply.status {
            StatusCode::OK => Ok(Some(reply.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(reply.unexpected("a look-up")),
        }
    }

    /// Writes a document over the revision it names.
    pub(crate) async fn put(&self, db: &str, draft: &Draft) -> Result<String, Error> {
        let mut doc = draft.body.clone();
        doc["_id"] = draft.id.clone().into();
        if let Some(rev) = &draft.rev {
            doc["_rev"] = rev.clone().into();
        }
        if !draft.stubs.is_empty() {
            doc["_attachments"] = Value::Object(draft.stubs.clone());
        }
        let url = self.client.address.document(db, &draft.id);
        let put = || self.client.send(Method::PUT, url.clone(), Some(&doc));
        let mut reply = put().await?;
        if reply.lacks_database() {
            self.create(db).await?;
            reply = put().await?;
        }
        let refuse = |reason: &str| {
            Err(Error::Document {
                id: draft.id.clone(),
                reason: reason.to_owned(),
            })
        };
        match reply.status {
            StatusCode::CONFLICT => Err(Error::Conflict {
                db: db.to_owned(),
                id: draft.id.clone(),
            }),
            StatusCode::PRECONDITION_FAILED => {
                refuse("it has a stub for something that is not attached")
            }
            StatusCode::PAYLOAD_TOO_LARGE => refuse("it is larger than this CouchDB takes"),
            _ => reply.revision("a document"),
        }
    }

    pub(crate) async fn save(&self, db: &str, draft: Draft) -> Result<String, Error> {
        self.save_over(db, draft, Keep::All).await
    }

    async fn save_over(&self, db: &str, mut draft: Draft, keep: Keep<'_>) -> Result<String, Error> {
        for _ in 0..TRIES {
            let stored = self.get(db, &draft.id).await?;
            draft.rev = stored.as_ref().and_then(revision);
            draft.stubs = stored.map(stubs).unwrap_or_default();
            if let Keep::Only(name) = keep {
                draft.stubs.retain(|stub, _| stub == name);
            }
            match self.put(db, &draft).await {
                Err(Error::Conflict { .. }) => pause().await,
                done => return done,
            }
        }
        Err(Error::Conflict {
            db: db.to_owned(),
            id: draft.id,
        })
    }

    pub(crate) async fn delete(&self, db: &str, id: &str) -> Result<bool, Error> {
        for _ in 0..TRIES {
            let Some(rev) = self.get(db, id).await?.as_ref().and_then(revision) else {
                return Ok(false);
            };
            let mut url = self.client.address.document(db, id);
            url.query_pairs_mut().append_pair("rev", &rev);
            let reply = self.client.send(Method::DELETE, url, None).await?;
            match reply.status {
                StatusCode::NOT_FOUND => return Ok(false),
                StatusCode::CONFLICT => pause().await,
                _ => return reply.revision("a deletion").map(|_| true),
            }
        }
        Err(Error::Conflict {
            db: db.to_owned(),
            id: id.to_owned(),
        })
    }

    pub(crate) async fn query(&self, db: &str, view: &View) -> Result<Vec<Value>, Error> {
        let answer = self.ask(db, &views::ask(view)).await?;
        Ok(views::documents(view, answer))
    }

    pub(crate) async fn message_counts(
        &self,
        db: &str,
        mailbox: &str,
    ) -> Result<MessageCounts, Error> {
        let answer = self.ask(db, &views::count_messages(mailbox)).await?;
        Ok(views::counts(&answer))
    }

    /// What a view answers, made if it is not there; null if there is no such database.
    async fn ask(&self, db: &str, ask: &views::Ask) -> Result<Value, Error> {
        let mut url = self.client.address.view(db, ask.design, ask.view);
        url.query_pairs_mut().extend_pairs(&ask.query);
        let mut reply = self.client.get(url.clone()).await?;
        if reply.is(StatusCode::NOT_FOUND) && !reply.lacks_database() {
            let design = Design::named(ask.design).expect("every view is of a known design");
            self.install(db, design).await?;
            reply = self.client.get(url).await?;
        }
        match reply.status {
            StatusCode::OK => Ok(reply.body),
            StatusCode::NOT_FOUND if reply.lacks_database() => Ok(Value::Null),
            _ => Err(reply.unexpected("a query")),
        }
    }

    /// Documents in order of their ids, design documents left out.
    pub(crate) async fn page(
        &self,
        db: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Value>, Error> {
        let mut last = after.to_owned();
        loop {
            let mut docs = self.all_from(db, &last, limit.saturating_add(1)).await?;
            // The one it begins with may be gone by now, so it is asked for and left out.
            docs.retain(|doc| id_of(doc) > last.as_str());
            let Some(end) = docs.last() else {
                return Ok(docs);
            };
            last = id_of(end).to_owned();
            docs.retain(|doc| !id_of(doc).starts_with('_'));
            docs.truncate(limit);
            // Design documents may fill a page and are not the end.
            if !docs.is_empty() {
                return Ok(docs);
            }
        }
    }

    async fn all_from(&self, db: &str, first: &str, limit: usize) -> Result<Vec<Value>, Error> {
        let mut url = self.client.address.documents(db);
        url.query_pairs_mut()
            .append_pair("include_docs", "true")
            .append_pair("limit", &limit.to_string());
        if !first.is_empty() {
            let first = json!(first).to_string();
            url.query_pairs_mut().append_pair("startkey", &first);
        }
        let mut reply = self.client.get(url).await?;
        if reply.lacks_database() {
            return Ok(Vec::new());
        }
        match reply.body.get_mut("rows").map(Value::take) {
            Some(Value::Array(rows)) => {
                Ok(rows.into_iter().map(|mut row| row["doc"].take()).collect())
            }
            _ => Err(reply.unexpected("a list of documents")),
        }
    }

    pub(crate) async fn databases(&self) -> Result<Vec<String>, Error> {
        self.list(Vec::new()).await
    }

    /// The databases whose names begin with `prefix`, among others if the server knows no ranges. PouchDB's server lists
    /// names without their slashes and takes them with: whoever asks gets those he knows.
    pub(crate) async fn databases_after(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let (first, last) = (json!(prefix), json!(format!("{prefix}\u{fff0}")));
        let query = vec![
            ("startkey", first.to_string()),
            ("endkey", last.to_string()),
        ];
        let names = self.list(query).await?.into_iter();
        Ok(names.map(|name| with_slashes(prefix, name)).collect())
    }

    async fn list(&self, query: Vec<(&str, String)>) -> Result<Vec<String>, Error> {
        let mut url = self.client.address.databases();
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let reply = self.client.get(url).await?;
        let Some(names) = reply.body.as_array() else {
            return Err(reply.unexpected("the list of databases"));
        };
        let names = names.iter().filter_map(Value::as_str);
        // Those that begin with an underscore are CouchDB's own.
        let mut names: Vec<String> = names
            .filter(|name| !name.starts_with('_'))
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok(names)
    }

    /// Makes a database with its views. Another process may be making it in the same moment.
    async fn create(&self, db: &str) -> Result<(), Error> {
        let url = self.client.address.database(db);
        let reply = self.client.send(Method::PUT, url, None).await?;
        if reply.status.is_success() {
            tracing::info!(db, "made a database");
        } else if !reply.is(StatusCode::PRECONDITION_FAILED) {
            return Err(reply.unexpected("a new database"));
        }
        for design in Design::of(db) {
            self.install(db, design).await?;
        }
        Ok(())
    }

    /// Writes a design document, unless there is one of its name that will do: a Kazoo's is never touched.
    async fn install(&self, db: &str, design: &Design) -> Result<(), Error> {
        let id = design.id();
        let mut document = design.document();
        if let Some(stored) = self.get(db, &id).await? {
            match design.lacking(&stored) {
                None => return Ok(()),
                Some(_) if Design::is_ours(&stored) => document["_rev"] = stored["_rev"].clone(),
                Some(view) => return Err(Error::Storage(lacks(db, design, view))),
            }
        }
        let url = self.client.address.document(db, &id);
        let reply = self.client.send(Method::PUT, url, Some(&document)).await?;
        if reply.is(StatusCode::CONFLICT) {
            return Ok(());
        }
        reply.revision("a design document").map(drop)
    }
}

fn lacks(db: &str, design: &Design, view: &str) -> String {
    format!(
        "{} of {db:?} has no view {view:?}, and it is not ours to change; have Kazoo refresh its views",
        design.id()
    )
}

fn id_of(doc: &Value) -> &str {
    doc["_id"].as_str().unwrap_or_default()
}

fn revision(doc: &Value) -> Option<String> {
    doc["_rev"].as_str().map(str::to_owned)
}

fn stubs(mut doc: Value) -> Map<String, Value> {
    match doc["_attachments"].take() {
        Value::Object(stubs) => stubs,
        _ => Map::new(),
    }
}

/// A pause of random length, so that those who collided do not collide again.
async fn pause() {
    tokio::time::sleep(PAUSE.mul_f64(rand::random::<f64>())).await;
}

/// The name as whoever asks for `prefix` knows it.
fn with_slashes(prefix: &str, name: String) -> String {
    match name.strip_prefix(&prefix.replace('/', "")) {
        Some(rest) => format!("{prefix}{rest}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_lost_its_slashes_gets_them_back_and_no_other_is_touched() {
        for (listed, known) in [
            ("accountabcdef-202611", "account/ab/cd/ef-202611"),
            ("account/ab/cd/ef-202611", "account/ab/cd/ef-202611"),
            ("accountabcdee-202611", "accountabcdee-202611"),
            ("accounts", "accounts"),
        ] {
            assert_eq!(with_slashes("account/ab/cd/ef-", listed.to_owned()), known);
        }
    }
}
