//! The documents that calls read: remembered for some seconds, or until somebody says that they changed; and what calls write,
//! told to all who remember. Never decides what a document means.

mod kept;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_proto::{DocNotice, Envelope, Exchange, pvt_type};
use callreel_store::{Error, Store, View};
use serde_json::Value;
use tokio::time::Instant;

use kept::{Kept, Question};

/// What is older is read again. Notices come at once, but none comes of a document that a person changed in CouchDB itself, or
/// that another process imported; a busy account's calls still share one reading of its patterns.
const OLDEST: Duration = Duration::from_secs(3);
/// Notices that may wait to be heard. More than that at once, and the eldest are lost: then age has the last word.
const NOTICES: usize = 10_000;

/// The store as calls see it; clones share what is remembered.
#[derive(Clone)]
pub(crate) struct Documents {
    store: Store,
    bus: Bus,
    kept: Arc<Mutex<Kept>>,
}

impl Documents {
    pub(crate) fn new(store: Store, bus: Bus) -> Self {
        let kept = Arc::default();
        Self { store, bus, kept }
    }

    /// The store itself: nothing that is read there is remembered, and what is written is told to nobody.
    pub(crate) fn raw(&self) -> &Store {
        &self.store
    }

    /// [`Store::get`].
    pub(crate) async fn get(&self, db: &str, id: &str) -> Result<Option<Value>, Error> {
        let read = async {
            let found = self.store.get(db, id).await?;
            Ok(found.into_iter().collect())
        };
        let found = self.remembered(db, Question::Document(id), read).await?;
        Ok(found.first().cloned())
    }

    /// [`Store::query`].
    pub(crate) async fn query(&self, db: &str, view: View) -> Result<Vec<Value>, Error> {
        Ok(self.listed(db, view).await?.to_vec())
    }

    /// The same, to be read only: patterns are many and large.
    pub(crate) async fn listed(&self, db: &str, view: View) -> Result<Arc<[Value]>, Error> {
        let name = format!("{view:?}");
        let read = self.store.query(db, view);
        self.remembered(db, Question::View(&name), read).await
    }

    /// [`Store::save`], and everybody is told.
    pub(crate) async fn save(&self, db: &str, doc: Value) -> Result<String, Error> {
        let notice = notice(db, &doc);
        let rev = self.store.save(db, doc).await?;
        self.written(db, notice, &rev).await;
        Ok(rev)
    }

    /// [`Store::change`], and everybody is told.
    pub(crate) async fn change(
        &self,
        db: &str,
        id: &str,
        set: &[(String, Value)],
    ) -> Result<Option<Value>, Error> {
        let changed = self.store.change(db, id, set).await?;
        if let Some(doc) = &changed {
            let rev = doc["_rev"].as_str().unwrap_or_default();
            self.written(db, notice(db, doc), rev).await;
        }
        Ok(changed)
    }

    async fn remembered(
        &self,
        db: &str,
        question: Question<'_>,
        read: impl Future<Output = Result<Vec<Value>, Error>>,
    ) -> Result<Arc<[Value]>, Error> {
        if is_of_a_month(db) {
            return Ok(read.await?.into());
        }
        let now = Instant::now();
        if let Some(found) = self.kept().answer(db, question, now) {
            return Ok(found);
        }
        let since = self.kept().since();
        let found: Arc<[Value]> = read.await?.into();
        // Who looks for a document that is not there yet waits for it.
        if !found.is_empty() || matches!(question, Question::View(_)) {
            self.kept().keep(db, question, &found, now + OLDEST, since);
        }
        Ok(found)
    }

    async fn written(&self, db: &str, notice: Option<DocNotice>, rev: &str) {
        self.kept().forget(db);
        let Some(mut notice) = notice else {
            return;
        };
        notice.rev = Some(rev.to_owned());
        let key = notice.routing_key("doc_edited");
        let bytes = notice.edited().to_bytes();
        if let Err(error) = self.bus.publish(Exchange::Configuration, &key, bytes).await {
            tracing::warn!(%error, key, "nobody is told of a changed document; others see it some seconds later");
        }
    }

    /// Everything is read again: notices may have been lost.
    pub(crate) fn forget_all(&self) {
        self.kept().forget_all();
    }

    /// Hears of changed documents from here on. Call [`follow`] with what this gives.
    ///
    /// # Errors
    /// The bus refused the queue.
    pub(crate) async fn notices(&self) -> Result<Subscription, callreel_bus::Error> {
        let patterns = DocNotice::PATTERNS.map(|p| Binding::new(Exchange::Configuration, p));
        let options = QueueOptions::private(NOTICES);
        self.bus.subscribe(options, patterns.to_vec()).await
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets what notices say has changed, as long as they come.
pub(crate) async fn follow(documents: Documents, mut notices: Subscription) {
    while let Some(delivery) = notices.recv().await {
        match Envelope::<DocNotice>::from_bytes(&delivery.body) {
            Ok(notice) => documents.kept().forget(&notice.body.database()),
            Err(error) => {
                tracing::debug!(key = delivery.routing_key, %error, "a notice of a document that names none");
                documents.forget_all();
            }
        }
    }
}

/// What everybody is told of a written document; nothing of a month's, of which nobody remembers any.
fn notice(db: &str, doc: &Value) -> Option<DocNotice> {
    let text = |key: &str| doc.get(key).and_then(Value::as_str).map(str::to_owned);
    if is_of_a_month(db) || text("pvt_type").as_deref() == Some(pvt_type::PIVOT_DEBUG) {
        return None;
    }
    let mut notice = DocNotice::new(db, text("_id")?);
    notice.kind = text("pvt_type");
    notice.account_id = text("pvt_account_id");
    Some(notice)
}

/// Month databases have recordings and messages, which are written all the time and read once.
fn is_of_a_month(db: &str) -> bool {
    db.starts_with("account/") && db.rsplit('/').next().is_some_and(|end| end.contains('-'))
}

#[cfg(test)]
mod tests {
    use callreel_proto::{AccountDb, AccountId, month_db};
    use serde_json::json;

    use super::*;

    struct World {
        documents: Documents,
        bus: Bus,
        db: String,
        _folder: tempfile::TempDir,
    }

    async fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let bus = Bus::embedded();
        let documents = Documents::new(store, bus.clone());
        let db = AccountDb::name(&AccountId::random());
        let doc = json!({"_id": "bob", "pvt_type": "user", "n": 1});
        documents.raw().save(&db, doc).await.unwrap();
        World {
            documents,
            bus,
            db,
            _folder: folder,
        }
    }

    impl World {
        /// Another process writes.
        async fn elsewhere(&self, n: u64) {
            let doc = json!({"_id": "bob", "pvt_type": "user", "n": n});
            self.documents.raw().save(&self.db, doc).await.unwrap();
        }

        async fn n(&self) -> u64 {
            let doc = self.documents.get(&self.db, "bob").await.unwrap();
            let users = View::OfType("user".to_owned());
            let listed = self.documents.query(&self.db, users).await.unwrap();
            let doc = doc.unwrap();
            assert_eq!(doc["n"], listed[0]["n"]);
            doc["n"].as_u64().unwrap()
        }
    }

    #[tokio::test]
    async fn what_was_read_is_remembered_for_some_seconds() {
        let world = world().await;
        assert_eq!(world.n().await, 1);
        world.elsewhere(2).await;
        assert_eq!(world.n().await, 1);
        tokio::time::pause();
        tokio::time::advance(OLDEST).await;
        tokio::time::resume();
        assert_eq!(world.n().await, 2);
    }

    #[tokio::test]
    async fn a_document_that_was_not_there_is_looked_for_again() {
        let world = world().await;
        let (db, documents) = (&world.db, &world.documents);
        assert_eq!(documents.get(db, "eve").await.unwrap(), None);
        let doc = json!({"_id": "eve", "pvt_type": "user"});
        documents.raw().save(db, doc).await.unwrap();
        assert!(documents.get(db, "eve").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_is_written_here_is_seen_at_once_and_told_to_others() {
        let world = world().await;
        let mut notices = world.documents.notices().await.unwrap();
        assert_eq!(world.n().await, 1);
        let mut doc = world
            .documents
            .get(&world.db, "bob")
            .await
            .unwrap()
            .unwrap();
        doc["n"] = json!(2);
        world.documents.save(&world.db, doc).await.unwrap();
        assert_eq!(world.n().await, 2);
        let doc = json!({"_id": "bob", "pvt_type": "user", "n": 3});
        world.documents.save(&world.db, doc).await.unwrap();
        assert_eq!(world.n().await, 3);
        let told = notices.recv().await.unwrap();
        let told = Envelope::<DocNotice>::from_bytes(&told.body).unwrap().body;
        assert_eq!(
            (told.database(), told.id.as_str()),
            (world.db.clone(), "bob")
        );
        assert_eq!(told.kind.as_deref(), Some("user"));
    }

    #[tokio::test]
    async fn a_notice_of_anybody_makes_it_read_again() {
        let world = world().await;
        let notices = world.documents.notices().await.unwrap();
        let following = tokio::spawn(follow(world.documents.clone(), notices));
        assert_eq!(world.n().await, 1);
        world.elsewhere(2).await;
        let notice = DocNotice::new(&world.db, "bob");
        let key = notice.routing_key("doc_edited");
        let bytes = notice.edited().to_bytes();
        world
            .bus
            .publish(Exchange::Configuration, &key, bytes)
            .await
            .unwrap();
        let seen = async {
            while world.n().await != 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(OLDEST / 2, seen)
            .await
            .expect("before it is too old");
        following.abort();
    }

    #[test]
    fn only_months_are_not_remembered() {
        let account = AccountId::random();
        assert!(is_of_a_month(&month_db(&account, "202611")));
        assert!(!is_of_a_month(&AccountDb::name(&account)));
        assert!(!is_of_a_month("system_config"));
    }
}
