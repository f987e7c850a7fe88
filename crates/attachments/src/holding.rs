//! Legal holds on stored recordings: put and lifted in their documents, where every node sees them.

use callreel_proto::{Hold, Utc};
use callreel_store::Error as StoreError;
use serde_json::{Value, json};

use crate::{Attachments, Error};

/// Tries of a change that others overtake; each lost one means that another's change was made.
const TRIES: usize = 40;

/// The field of a document whose recording is being deleted: part of it may be gone already.
const DELETION: &str = "pvt_deletion";

impl Attachments {
    /// Puts a legal hold on a stored recording and returns its document: from then on nothing deletes it, on no node. A hold
    /// it has already stays as it is, with who and why. `None` if there is no such recording, or it is being deleted.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn hold(&self, db: &str, id: &str, hold: &Hold) -> Result<Option<Value>, Error> {
        self.change(db, id, |doc| {
            let free = doc.as_object().and_then(Hold::of).is_none();
            if free {
                doc[Hold::FIELD] = json!(hold);
            }
            free
        })
        .await
    }

    /// Lifts a stored recording's legal hold, if it has one, and returns its document. `None` if there is no such recording.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn release(&self, db: &str, id: &str) -> Result<Option<Value>, Error> {
        self.change(db, id, |doc| {
            let fields = doc.as_object_mut();
            fields.is_some_and(|doc| doc.shift_remove(Hold::FIELD).is_some())
        })
        .await
    }

    /// Changes a document of the revision it was read in, so that a deletion that begins meanwhile, or is begun meanwhile by
    /// this change, has the last word of the two.
    async fn change(
        &self,
        db: &str,
        id: &str,
        change: impl Fn(&mut Value) -> bool,
    ) -> Result<Option<Value>, Error> {
        let mut overtaken = None;
        for _ in 0..TRIES {
            let found = self.store().get(db, id).await?;
            let Some(mut doc) = found.filter(|doc| doc.get(DELETION).is_none()) else {
                return Ok(None);
            };
            if !change(&mut doc) {
                return Ok(Some(doc));
            }
            doc["pvt_modified"] = Utc::now().gregorian_seconds().into();
            match self.store().put(db, doc.clone()).await {
                Ok(rev) => {
                    doc["_rev"] = rev.into();
                    return Ok(Some(doc));
                }
                Err(conflict @ StoreError::Conflict { .. }) => overtaken = Some(conflict),
                Err(error) => return Err(error.into()),
            }
        }
        Err(overtaken
            .expect("a try that neither succeeds nor fails was overtaken")
            .into())
    }
}

#[cfg(test)]
mod tests {
    use callreel_store::Store;

    use super::*;
    use crate::{How, Outside, OutsideConfig};

    const DB: &str = "account/ab/cd/0123456789abcdef0123456789ab-202611";

    async fn with(doc: Value) -> (tempfile::TempDir, Attachments) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
        store.save(DB, doc).await.unwrap();
        let outside = Outside::new(&OutsideConfig::default()).unwrap();
        (dir, Attachments::new(store, outside))
    }

    fn by(name: &str) -> Hold {
        Hold {
            by: name.to_owned(),
            reason: "court order 7".to_owned(),
            since: 1,
        }
    }

    async fn held_by(attachments: &Attachments) -> Option<String> {
        let doc = attachments.store().get(DB, "a").await.unwrap().unwrap();
        doc["hold"]["by"].as_str().map(str::to_owned)
    }

    #[tokio::test]
    async fn a_held_recording_stays_until_it_is_released_and_the_first_hold_counts() {
        let (_dir, attachments) = with(json!({"_id": "a", "name": "x.mp3"})).await;
        for name in ["ann", "bob"] {
            let doc = attachments.hold(DB, "a", &by(name)).await.unwrap().unwrap();
            assert_eq!(doc["hold"]["by"], "ann");
        }
        let refused = attachments.delete(DB, "a", How::Hard).await.unwrap_err();
        assert!(refused.to_string().contains("court order 7"), "{refused}");
        let doc = attachments.release(DB, "a").await.unwrap().unwrap();
        assert_eq!(doc.get("hold"), None);
        assert_eq!(doc["name"], "x.mp3");
        assert_eq!(held_by(&attachments).await, None);
        assert!(attachments.release(DB, "a").await.unwrap().is_some());
        assert!(
            attachments
                .delete(DB, "a", How::Hard)
                .await
                .unwrap()
                .is_some()
        );
        assert_eq!(attachments.hold(DB, "a", &by("ann")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_being_deleted_can_no_longer_be_held() {
        let (_dir, attachments) = with(json!({"_id": "a", "pvt_deletion": {"began": 1}})).await;
        assert_eq!(attachments.hold(DB, "a", &by("ann")).await.unwrap(), None);
        assert_eq!(held_by(&attachments).await, None);
    }

    #[tokio::test]
    async fn of_many_who_hold_it_at_once_one_does_and_all_are_told_who() {
        let (_dir, attachments) = with(json!({"_id": "a", "count": 0})).await;
        let mut holding = Vec::new();
        for n in 0..8 {
            let attachments = attachments.clone();
            holding.push(tokio::spawn(async move {
                let held = attachments.hold(DB, "a", &by(&n.to_string())).await;
                let held = held.unwrap().unwrap();
                held["hold"]["by"].as_str().unwrap().to_owned()
            }));
        }
        let mut told = Vec::new();
        for hold in holding {
            told.push(hold.await.unwrap());
        }
        let winner = held_by(&attachments).await.unwrap();
        assert!(told.iter().all(|by| *by == winner), "{told:?}");
    }
}
