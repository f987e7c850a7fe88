//! Recordings at rest, wherever their audio is: put there, read, deleted, or refused because a legal hold is on them.

use std::{ops::Range, sync::Arc};

use callreel_proto::{AccountId, Hold, Utc};
use callreel_store::{Attachment, SYSTEM_DATA, Store};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    Error, Facts, Handler, Outside, Placed, Plan,
    objects::{PART, PARTS_IN_MEMORY},
    place::{Body, Place, Removed},
    placed,
    plan::{Layers, SYSTEM},
};

/// What all uploads to object storage have in memory together, in units of a mebibyte: five large files, or more small ones.
const BUDGET_MIB: usize = 128;
const MIB: u64 = 1024 * 1024;

/// Stored recordings. Clones share everything.
#[derive(Debug, Clone)]
pub struct Attachments {
    store: Store,
    outside: Outside,
    budget: Arc<Semaphore>,
}

/// How a recording is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The document says that it is deleted, and everything stays, as Kazoo's API does it.
    Soft,
    /// Document and audio go.
    Hard,
}

/// What a deletion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Sentences for people, one for each place: what was deleted there, and what stays there because nobody can delete it.
    pub receipts: Vec<String>,
}

/// Whether the account's storage plan says where its recordings go, so that one without a URL is worth recording. A plan
/// that is malformed counts: what it is about is kept until it is corrected.
///
/// # Errors
/// The store cannot be read.
pub async fn stores(store: &Store, account: &AccountId) -> Result<bool, callreel_store::Error> {
    Ok(layers(store, account).await?.stores())
}

async fn layers(store: &Store, account: &AccountId) -> Result<Layers, callreel_store::Error> {
    let mut layers = Layers::default();
    let own = store.get(SYSTEM_DATA, account.as_str()).await?;
    layers.push(account.as_str(), own);
    if let Some(plan) = layers.reseller_plan() {
        layers.push(&plan, store.get(SYSTEM_DATA, &plan).await?);
    }
    layers.push(SYSTEM, store.get(SYSTEM_DATA, SYSTEM).await?);
    Ok(layers)
}

impl Attachments {
    /// The recordings of this store, and the way to those whose audio is elsewhere.
    pub fn new(store: Store, outside: Outside) -> Self {
        Self {
            store,
            outside,
            budget: Arc::new(Semaphore::new(BUDGET_MIB)),
        }
    }

    /// The store the documents are in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The way out.
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// Where the account's recordings go by its storage plan as it is now; `None`: into its own database.
    ///
    /// # Errors
    /// [`Error::Plan`], or the store cannot be read.
    pub async fn plan(&self, account: &AccountId) -> Result<Option<Plan>, Error> {
        Ok(layers(&self.store, account).await?.plan()?)
    }

    /// Puts a file where the handler has its files: whole or not at all, over one of the same name. Memory stays bounded, over all
    /// calls together. Not for handlers whose [`Handler::http`] gives a request.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unavailable`], or [`Error::Source`]: `body` failed or is not what `facts` say.
    pub async fn put(
        &self,
        handler: &Handler,
        facts: &Facts<'_>,
        body: Body,
    ) -> Result<Placed, Error> {
        let _share = self.share(facts.bytes).await;
        let placed = handler.placed(facts);
        let place = Place::new(handler, &placed, &self.outside);
        place.put(facts, body).await?;
        Ok(placed)
    }

    async fn share(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        let most = (PARTS_IN_MEMORY * PART) as u64;
        let whole = if bytes <= PART as u64 { bytes } else { most };
        let share = u32::try_from(whole.div_ceil(MIB).max(1)).unwrap_or(u32::MAX);
        // Never closed, so this only waits.
        self.budget.acquire_many(share).await.ok()
    }

    /// The audio `name` of a recording's document, or some of its bytes; `None` if it is not there (any more).
    ///
    /// # Errors
    /// The place where it is cannot be read.
    pub async fn fetch(
        &self,
        db: &str,
        doc: &Value,
        name: &str,
        range: Range<u64>,
    ) -> Result<Option<Attachment>, Error> {
        let beside = doc.get("_attachments").and_then(|stubs| stubs.get(name));
        let (None, Some(placed)) = (beside, placed::placed(doc, name)) else {
            let id = doc["_id"].as_str().unwrap_or_default();
            return Ok(self.store.attachment_range(db, id, name, range).await?);
        };
        let range = range.start..range.end.min(placed.length);
        if range.is_empty() {
            return Ok(Some(placed.attachment(futures::stream::empty().boxed())));
        }
        let handler = self.handler(doc, &placed).await?;
        let place = Place::new(&handler, &placed, &self.outside);
        let body = place.get(range).await?;
        Ok(body.map(|body| placed.attachment(body)))
    }

    /// The handler that has it, by today's storage documents of the recording's account.
    async fn handler(&self, doc: &Value, placed: &Placed) -> Result<Handler, Error> {
        let gone = || Error::Gone {
            handler: placed.handler.clone(),
            place: placed.told(),
        };
        let account = doc["pvt_account_id"].as_str();
        let account = account.and_then(|id| AccountId::parse(id).ok());
        let layers = layers(&self.store, &account.ok_or_else(gone)?).await?;
        let handler = layers.handler(&placed.handler)?;
        handler.filter(|h| h.is(&placed.kind)).ok_or_else(gone)
    }

    /// Deletes a recording; `None` if there was none.
    ///
    /// # Errors
    /// [`Error::Held`], or the place where it is cannot be written: then everything is as it was, or asking again completes it.
    pub async fn delete(&self, db: &str, id: &str, how: How) -> Result<Option<Deleted>, Error> {
        let Some(doc) = self.begin_deletion(db, id, how).await? else {
            return Ok(None);
        };
        if how == How::Soft {
            return Ok(Some(Deleted {
                receipts: vec!["marked as deleted".to_owned()],
            }));
        }
        let mut receipts = self.delete_elsewhere(&doc).await?;
        if !self.store.delete(db, id).await? {
            // Somebody else has completed it, and tells of it.
            return Ok(None);
        }
        receipts.push("document and audio deleted".to_owned());
        Ok(Some(Deleted { receipts }))
    }

    /// Writes into the document that it is being deleted, unless a hold came first: whoever puts one on it later sees that he is
    /// too late.
    async fn begin_deletion(&self, db: &str, id: &str, how: How) -> Result<Option<Value>, Error> {
        loop {
            let Some(mut doc) = self.store.get(db, id).await? else {
                return Ok(None);
            };
            if let Some(hold) = doc.as_object().and_then(Hold::of) {
                return Err(Error::Held(hold));
            }
            let now = Utc::now().gregorian_seconds();
            match how {
                How::Soft => doc["pvt_deleted"] = true.into(),
                How::Hard => doc["pvt_deletion"] = json!({"began": now}),
            }
            doc["pvt_modified"] = now.into();
            match self.store.put(db, doc.clone()).await {
                Ok(_) => return Ok(Some(doc)),
                Err(callreel_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn delete_elsewhere(&self, doc: &Value) -> Result<Vec<String>, Error> {
        let mut receipts = Vec::new();
        let names = doc.get("pvt_attachments").and_then(Value::as_object);
        for (name, value) in names.into_iter().flatten() {
            let Some(placed) = Placed::read(value) else {
                receipts.push(format!(
                    "{name} stays at the handler that others gave it to"
                ));
                continue;
            };
            let handler = self.handler(doc, &placed).await?;
            let place = Place::new(&handler, &placed, &self.outside);
            receipts.push(match place.delete().await? {
                Removed::Gone => format!("{} deleted", placed.told()),
                Removed::Cannot => format!(
                    "{} stays: the handler's settings do not say that it takes a DELETE",
                    placed.told()
                ),
            });
        }
        if let Some(url) = doc.get("url").and_then(Value::as_str) {
            receipts.push(format!("what was sent to {url} stays there"));
        }
        Ok(receipts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::OutsideConfig;

    const DB: &str = "account/ab/cd/0123456789abcdef0123456789ab-202611";

    #[tokio::test]
    async fn what_a_legal_hold_is_on_is_not_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
        let outside = Outside::new(&OutsideConfig::default()).unwrap();
        let attachments = Attachments::new(store.clone(), outside);
        let hold = json!({"by": "records@example.com", "reason": "court order", "since": 1});
        store
            .save(DB, json!({"_id": "a", "hold": hold}))
            .await
            .unwrap();
        for how in [How::Soft, How::Hard] {
            let refused = attachments.delete(DB, "a", how).await.unwrap_err();
            assert_eq!(
                refused.to_string(),
                "records@example.com put a legal hold on it (court order); lift the hold first"
            );
        }
        store
            .save(DB, json!({"_id": "a", "hold": null}))
            .await
            .unwrap();
        assert!(
            attachments
                .delete(DB, "a", How::Hard)
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            attachments
                .delete(DB, "a", How::Hard)
                .await
                .unwrap()
                .is_none()
        );
    }
}
