//! A greeting that is stored takes the place of the one before: what pointed at that points at it now.

use callreel_proto::AccountDb;
use callreel_spool::Ticket;
use callreel_store::Error;
use serde_json::{Value, json};

use crate::{document, upload::Desk};

impl Desk {
    /// Lets the document that the ticket names point at the greeting, and puts away the one it pointed at, if that was recorded
    /// the same way: what somebody uploaded may be in use elsewhere.
    pub(crate) async fn put_to_use(&self, ticket: &Ticket) -> Result<(), Error> {
        let used_by = ticket.document().get("used_by");
        let named = |key: &str| used_by.and_then(|used| used[key].as_str());
        let (Some(user), Some(pointer)) = (named("id"), named("pointer")) else {
            return Ok(());
        };
        let store = self.attachments.store();
        let db = AccountDb::name(&ticket.promise().account_id);
        let id = document::id(ticket);
        let before = store.get(&db, user).await?.unwrap_or_default();
        let before = before.pointer(pointer).and_then(Value::as_str);
        if before == Some(id) {
            return Ok(());
        }
        let set = [(pointer.to_owned(), json!(id))];
        if store.change(&db, user, &set).await?.is_none() {
            tracing::warn!(account_id = %ticket.promise().account_id, id = user, "a greeting is stored, and what was to use it is gone");
        }
        let Some(before) = before else {
            return Ok(());
        };
        let old = store.get(&db, before).await?.unwrap_or_default();
        let source = ticket.document().get("source_id");
        if old["media_source"] == "recording" && old.get("source_id") == source {
            store.soft_delete(&db, before).await?;
        }
        Ok(())
    }
}
