//! An account with a storage plan, and recordings for it.

use std::io;

use bytes::Bytes;
use callreel_attachments::{
    Attachments, Error, Facts, Handler, Outside, OutsideConfig, Placed, Plan,
};
use callreel_proto::AccountId;
use callreel_store::{SYSTEM_DATA, Store};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const DB: &str = "account/01/23/456789abcdef0123456789abcdef-202611";
pub(crate) const NAME: &str = "call_recording_ab12%4010.0.0.5.mp3";

/// Documents, and the way out.
pub(crate) struct World {
    pub(crate) attachments: Attachments,
    pub(crate) account: AccountId,
    pub(crate) folder: TempDir,
}

impl World {
    /// One whose plan names this handler, and that may reach this machine.
    pub(crate) async fn new(handler: Value) -> Self {
        let config = OutsideConfig {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..OutsideConfig::default()
        };
        Self::with(handler, config).await
    }

    pub(crate) async fn with(handler: Value, mut config: OutsideConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        config.folder_roots = vec![folder.path().join("share")];
        let store = Store::open(&folder.path().join("store.sqlite")).unwrap();
        let world = Self {
            attachments: Attachments::new(store, Outside::new(&config).unwrap()),
            account: AccountId::parse(ACCOUNT).unwrap(),
            folder,
        };
        world.plan_names(handler).await;
        world
    }

    /// Changes the plan.
    pub(crate) async fn plan_names(&self, handler: Value) {
        let doc = json!({
            "_id": ACCOUNT,
            "plan": {"modb": {"types": {"call_recording": {"attachments": {"handler": "u"}}}}},
            "attachments": {"u": handler},
        });
        self.attachments
            .store()
            .save(SYSTEM_DATA, doc)
            .await
            .unwrap();
    }

    pub(crate) async fn handler(&self) -> Handler {
        let plan: Option<Plan> = self.attachments.plan(&self.account).await.unwrap();
        plan.unwrap().handler
    }

    /// Puts a file there by the account's plan.
    pub(crate) async fn put(&self, file: &File) -> Result<Placed, Error> {
        self.put_as(file, file.blocks()).await
    }

    pub(crate) async fn put_as(
        &self,
        file: &File,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Placed, Error> {
        let handler = self.handler().await;
        let facts = file.facts(&self.account);
        self.attachments.put(&handler, &facts, body).await
    }

    /// Saves its document, which says where it is.
    pub(crate) async fn keep(&self, file: &File, placed: &Placed) -> Value {
        let mut doc = file.doc.clone();
        doc["pvt_attachments"] = json!({NAME: placed.to_value()});
        let store = self.attachments.store();
        store.save(DB, doc).await.unwrap();
        store.get(DB, file.id()).await.unwrap().unwrap()
    }

    /// Its bytes, read by its document.
    pub(crate) async fn fetch(
        &self,
        doc: &Value,
        range: std::ops::Range<u64>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let fetched = self.attachments.fetch(DB, doc, NAME, range).await?;
        let Some(attachment) = fetched else {
            return Ok(None);
        };
        let told = callreel_attachments::audio(doc).unwrap();
        assert_eq!(
            (&told.content_type, told.length, &told.digest),
            (
                &attachment.content_type,
                attachment.length,
                &attachment.digest
            )
        );
        let blocks: Vec<Bytes> = attachment.body.try_collect().await?;
        Ok(Some(blocks.concat()))
    }
}

/// A file to store, with its document.
pub(crate) struct File {
    pub(crate) doc: Value,
    pub(crate) bytes: Vec<u8>,
    sha256: String,
}

impl File {
    /// This many bytes, no two blocks alike.
    pub(crate) fn of(length: usize) -> Self {
        let bytes: Vec<u8> = (0..length as u64)
            .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        Self {
            doc: json!({
                "_id": "202611-0123456789abcdef0123456789abcdef",
                "pvt_account_id": ACCOUNT,
                "pvt_type": "call_recording",
                "owner_id": "0wner",
            }),
            sha256: hex::encode(Sha256::digest(&bytes)),
            bytes,
        }
    }

    pub(crate) fn id(&self) -> &str {
        self.doc["_id"].as_str().unwrap()
    }

    pub(crate) fn facts<'a>(&'a self, account: &'a AccountId) -> Facts<'a> {
        Facts {
            account_id: account,
            db: DB,
            doc: &self.doc,
            name: NAME,
            content_type: "audio/mpeg",
            bytes: self.bytes.len() as u64,
            sha256: &self.sha256,
        }
    }

    /// In blocks as the spool reads them, which do not fit into parts.
    pub(crate) fn blocks(&self) -> BoxStream<'static, io::Result<Bytes>> {
        let bytes = Bytes::from(self.bytes.clone());
        let starts = (0..bytes.len()).step_by(300_000);
        let block = move |at: usize| Ok(bytes.slice(at..bytes.len().min(at + 300_000)));
        futures::stream::iter(starts.map(block).collect::<Vec<_>>()).boxed()
    }
}
