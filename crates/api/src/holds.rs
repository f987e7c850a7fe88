//! Legal holds over HTTP: put on a recording and lifted again, whether it is stored or still owed.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use callreel_proto::{AccountId, DeliveryAction, Hold, RecordingFact, RecordingId, Utc, month_db};
use callreel_spool::What;
use serde_json::Value;

use crate::{
    Shared, audit,
    auth::By,
    deliveries::{self, NO_REASON},
    recordings::answer_document,
    refusal::{Refusal, Why},
    request::{self, Posted, reason},
    scope,
};

type Answered = Result<Response, Refusal>;

/// `PUT /v2/accounts/{A}/recordings/{ID}/hold`: from now on nobody and nothing removes it.
pub(crate) async fn put(
    State(shared): State<Arc<Shared>>,
    Path((account, id)): Path<(String, String)>,
    By(by): By,
    Posted(body): Posted,
) -> Answered {
    let reason = reason(&body)?.ok_or_else(|| {
        let message = "a hold says why: send {\"data\": {\"reason\": \"court order 7\"}}";
        Refusal::new(Why::Invalid, message).cause("reason")
    })?;
    let meant = Meant::find(&shared, &account, &id, by, reason).await?;
    meant.answer(&shared, DeliveryAction::Hold).await
}

/// `DELETE /v2/accounts/{A}/recordings/{ID}/hold`: the rules hold again.
pub(crate) async fn lift(
    State(shared): State<Arc<Shared>>,
    Path((account, id)): Path<(String, String)>,
    By(by): By,
    Posted(body): Posted,
) -> Answered {
    let reason = reason(&body)?.unwrap_or_else(|| NO_REASON.to_owned());
    let meant = Meant::find(&shared, &account, &id, by, reason).await?;
    meant.answer(&shared, DeliveryAction::Release).await
}

/// The recording that is meant, and who wants what of it.
struct Meant {
    account: AccountId,
    id: RecordingId,
    by: String,
    reason: String,
}

impl Meant {
    async fn find(
        shared: &Shared,
        account: &str,
        id: &str,
        by: Option<String>,
        reason: String,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            account: scope::account(shared, account).await?,
            id: request::recording(id)?,
            by: by.unwrap_or_else(|| "the API".to_owned()),
            reason,
        })
    }

    /// One that is on its way may be stored at any moment: so the order goes to its ticket first, and then its document is
    /// looked for, which is there before the ticket goes.
    async fn answer(self, shared: &Shared, action: DeliveryAction) -> Answered {
        let ticket = deliveries::ticket(shared, &self.id).await?;
        let owed = ticket.filter(|ticket| ticket.account_id == self.account);
        let ordered = match &owed {
            None => None,
            Some(ticket) => {
                let (reason, by) = (Some(self.reason.clone()), Some(self.by.clone()));
                Some(deliveries::order(shared, ticket, action, reason, by).await?)
            }
        };
        let stored = match action {
            DeliveryAction::Hold => self.hold(shared).await?,
            _ => self.release(shared).await?,
        };
        match (ordered, stored) {
            (Some(answer), _) => Ok(answer),
            (None, Some(doc)) => Ok(answer_document(shared, &doc, StatusCode::OK)),
            (None, None) => {
                let message = format!("there is no recording {} here, stored or owed", self.id);
                Err(Refusal::new(Why::NotFound, message).cause(self.id.as_str()))
            }
        }
    }

    fn db(&self) -> String {
        month_db(&self.account, self.id.month())
    }

    async fn hold(&self, shared: &Shared) -> Result<Option<Value>, Refusal> {
        let (by, reason) = (self.by.clone(), self.reason.clone());
        let since = Utc::now().gregorian_seconds();
        let hold = Hold { by, reason, since };
        let (db, id) = (self.db(), self.id.as_str());
        let Some(doc) = shared.attachments.hold(&db, id, &hold).await? else {
            return Ok(None);
        };
        // Another's hold, from before, stays as it was.
        if doc.as_object().and_then(Hold::of).as_ref() == Some(&hold) {
            let Hold { by, reason, .. } = hold;
            let what = What::Held { by, reason };
            audit::tell(shared, &doc, RecordingFact::Held, what).await;
        }
        Ok(Some(doc))
    }

    async fn release(&self, shared: &Shared) -> Result<Option<Value>, Refusal> {
        let (db, id) = (self.db(), self.id.as_str());
        let before = shared.store.get(&db, id).await?;
        let held = before.is_some_and(|doc| doc.as_object().and_then(Hold::of).is_some());
        let Some(doc) = shared.attachments.release(&db, id).await? else {
            return Ok(None);
        };
        if held {
            let (by, reason) = (self.by.clone(), self.reason.clone());
            let what = What::Released { by, reason };
            audit::tell(shared, &doc, RecordingFact::Released, what).await;
        }
        Ok(Some(doc))
    }
}
