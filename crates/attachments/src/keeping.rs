//! Stored recordings, wherever their audio is: read, deleted, or refused because a legal hold is on them.

use std::ops::Range;

use callreel_proto::Hold;
use callreel_store::{Attachment, Store};
use serde_json::Value;

use crate::Outside;

/// Stored recordings. Clones share everything.
#[derive(Debug, Clone)]
pub struct Attachments {
    store: Store,
    outside: Outside,
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

/// Why a stored recording could not be read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A legal hold is on it.
    #[error("{} put a legal hold on it ({}); lift the hold first", .0.by, .0.reason)]
    Held(Hold),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] callreel_store::Error),
}

impl Attachments {
    /// The recordings of this store, and the way to those whose audio is elsewhere.
    pub fn new(store: Store, outside: Outside) -> Self {
        Self { store, outside }
    }

    /// The store the documents are in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The way out.
    pub fn outside(&self) -> &Outside {
        &self.outside
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
        let id = doc["_id"].as_str().unwrap_or_default();
        Ok(self.store.attachment_range(db, id, name, range).await?)
    }

    /// Deletes a recording; `None` if there was none.
    ///
    /// # Errors
    /// [`Error::Held`], or the place where it is cannot be written: then everything is as it was, or asking again completes it.
    pub async fn delete(&self, db: &str, id: &str, how: How) -> Result<Option<Deleted>, Error> {
        let Some(doc) = self.store.get(db, id).await? else {
            return Ok(None);
        };
        if let Some(hold) = doc.as_object().and_then(Hold::of) {
            return Err(Error::Held(hold));
        }
        let (done, receipt) = match how {
            How::Soft => (self.store.soft_delete(db, id).await?, "marked as deleted"),
            How::Hard => (
                self.store.delete(db, id).await?,
                "document and audio deleted",
            ),
        };
        Ok(done.then(|| Deleted {
            receipts: vec![receipt.to_owned()],
        }))
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
