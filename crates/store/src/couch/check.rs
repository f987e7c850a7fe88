//! What a check of a CouchDB looks at: that it answers, that it knows us, that its design documents can answer us; and brings those
//! of ours up to date.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::{Couch, designs::Design, lacks};
use crate::Error;

/// Databases looked at at once.
const AT_ONCE: usize = 8;

impl Couch {
    /// What is wrong, in words. A server that does not answer is a finding like others.
    pub(crate) async fn check(&self) -> Result<Vec<String>, Error> {
        match self.look().await {
            Err(away @ (Error::Unavailable { .. } | Error::Denied { .. })) => {
                Ok(vec![away.to_string()])
            }
            looked => looked,
        }
    }

    async fn look(&self) -> Result<Vec<String>, Error> {
        let reply = self.client.get(self.client.address.root()).await?;
        // CouchDB greets by its name, and what speaks like it by another; both tell their version.
        let Some(version) = reply.body["version"].as_str() else {
            return Ok(vec![format!(
                "{} answers, but not as CouchDB does: {}",
                self.client.address, reply.status
            )]);
        };
        let databases = self.databases().await?;
        tracing::info!(place = %self.client.address, version, databases = databases.len(), "the store answers");
        let looks = databases.iter().map(|db| self.look_at(db));
        let found: Vec<Vec<String>> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        Ok(found.concat())
    }

    /// Brings up to date what an older version of ours has written.
    pub(crate) async fn repair(&self) -> Result<Vec<String>, Error> {
        let mut made = Vec::new();
        for db in self.databases().await? {
            for (design, stored) in self.designs(&db).await? {
                if let Some(view) = design.lacking(&stored)
                    && Design::is_ours(&stored)
                {
                    self.install(&db, design).await?;
                    made.push(format!("{} of {db:?} had no view {view:?}", design.id()));
                }
            }
        }
        Ok(made)
    }

    /// Design documents that do not have what we ask for.
    async fn look_at(&self, db: &str) -> Result<Vec<String>, Error> {
        let lacking = |(design, stored): (&Design, Value)| -> Option<String> {
            let view = design.lacking(&stored)?;
            if Design::is_ours(&stored) {
                let id = design.id();
                return Some(format!(
                    "{id} of {db:?} is of an older callreel and has no view {view:?}: whoever asks for it first makes it and waits while \
                     CouchDB reads all documents (`callreel check --repair` would make it now)"
                ));
            }
            Some(lacks(db, design, view))
        };
        let designs = self.designs(db).await?.into_iter();
        Ok(designs.filter_map(lacking).collect())
    }

    /// The design documents that the database should have and has. Those that are missing are made when they are asked for.
    async fn designs(&self, db: &str) -> Result<Vec<(&'static Design, Value)>, Error> {
        let mut url = self.client.address.documents(db);
        url.query_pairs_mut().extend_pairs([
            ("startkey", r#""_design/""#),
            ("endkey", r#""_design0""#),
            ("include_docs", "true"),
        ]);
        let reply = self.client.get(url).await?;
        if reply.lacks_database() {
            return Ok(Vec::new());
        }
        let Some(rows) = reply.body["rows"].as_array() else {
            return Err(reply.unexpected("the design documents"));
        };
        let stored = |design: &&'static Design| {
            let mut docs = rows.iter().map(|row| &row["doc"]);
            let doc = docs.find(|doc| doc["_id"].as_str() == Some(&design.id()))?;
            Some((*design, doc.clone()))
        };
        Ok(Design::of(db).iter().filter_map(stored).collect())
    }
}
