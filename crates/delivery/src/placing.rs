//! One try to bring a file where the account's storage plan says: to a handler, or to its backup. Decides no schedule.

use std::time::Duration;

use callreel_attachments::{Error, Facts, Handler, HttpUpload, Plan};
use callreel_spool::{PlacedInfo, RenditionInfo, Ticket};
use futures::StreamExt as _;
use serde_json::Map;

use crate::{
    access::Access,
    courier::Parcel,
    document,
    rendition::Rendition,
    schedule::Verdict,
    upload::{Desk, Tried},
};

/// Why a handler does not have the file, and how long it asked to be left alone.
struct Failed {
    error: Error,
    retry_after: Option<Duration>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }
}

impl From<Failed> for Verdict {
    fn from(Failed { error, retry_after }: Failed) -> Self {
        let reason = error.to_string();
        match error.is_refused() {
            true => Self::Unwelcome {
                reason,
                retry_after,
            },
            false => Self::Retry {
                reason,
                retry_after,
            },
        }
    }
}

/// What a try is about.
#[derive(Clone, Copy)]
struct Errand<'a> {
    ticket: &'a Ticket,
    rendition: &'a RenditionInfo,
    facts: &'a Facts<'a>,
}

impl Desk {
    /// Puts the file where the plan says; the document is another step, so that it never points at what is not there.
    pub(crate) async fn place(
        &self,
        plan: &Plan,
        ticket: &Ticket,
        rendition: &RenditionInfo,
    ) -> Tried {
        let promise = ticket.promise();
        let facts = Facts {
            account_id: &promise.account_id,
            db: &document::database(ticket),
            doc: &document::document(ticket, rendition, promise.started_at),
            name: &promise.delivered_name(),
            content_type: promise.delivered_type(),
            bytes: rendition.bytes,
            sha256: &rendition.sha256,
        };
        let errand = Errand {
            ticket,
            rendition,
            facts: &facts,
        };
        let failed = match self.put(&plan.handler, errand).await {
            Ok(placed) => return Tried::Placed(placed),
            Err(failed) => failed,
        };
        let attempt = ticket.delivery().attempts.saturating_add(1);
        let Some(backup) = plan.backup_for(&failed.error, attempt) else {
            return Tried::File(failed.into());
        };
        match self.put(backup, errand).await {
            Ok(placed) => Tried::Placed(placed),
            Err(second) => Tried::File(Verdict::Retry {
                reason: format!("{}; and its backup: {}", failed.error, second.error),
                retry_after: failed.retry_after.max(second.retry_after),
            }),
        }
    }

    async fn put(&self, handler: &Handler, errand: Errand<'_>) -> Result<PlacedInfo, Failed> {
        let mut fields = Map::new();
        let placed = if let Some(upload) = handler.http(errand.facts) {
            self.request(handler, &upload, errand).await?;
            if let Some(field) = upload.document_url_field {
                let destination = callreel_proto::Destination::http(upload.url, upload.method);
                fields.insert(field, destination.describe().into());
            }
            handler.placed(errand.facts)
        } else {
            let file = Rendition::of(self.spool.view(), errand.ticket, errand.rendition);
            let blocks = file.blocks(0).await.map_err(Error::from)?;
            let putting = self.attachments.put(handler, errand.facts, blocks.boxed());
            // Object storage has no word of ours for a try that takes too long.
            match tokio::time::timeout(self.total, putting).await {
                Ok(placed) => placed?,
                Err(_) => return Err(self.took_too_long(handler).into()),
            }
        };
        Ok(PlacedInfo {
            told: placed.told(),
            attachment: placed.to_value(),
            fields,
        })
    }

    fn took_too_long(&self, handler: &Handler) -> Error {
        Error::Unavailable {
            place: handler.place(),
            reason: format!(
                "not done after {} s (delivery.total_timeout_s)",
                self.total.as_secs()
            ),
        }
    }

    /// A handler that is a receiver like any other: what the account's receivers ask for goes along.
    async fn request(
        &self,
        handler: &Handler,
        upload: &HttpUpload,
        errand: Errand<'_>,
    ) -> Result<(), Failed> {
        let refused = |reason: String| Error::Refused {
            place: handler.place(),
            reason,
        };
        let unavailable = |reason: String| Error::Unavailable {
            place: handler.place(),
            reason,
        };
        if upload.multipart || upload.base64 {
            let why = "send_multipart and base64_encode_data are not supported: take them out of its settings";
            return Err(refused(why.to_owned()).into());
        }
        let verdict = match self.account_access(errand.ticket).await {
            Ok(account) => {
                let parcel = Parcel {
                    url: &upload.url,
                    method: upload.method,
                    access: &Access::new(&upload.url, &Default::default(), &account, &self.house),
                    metadata: &self.told(errand.ticket, errand.rendition),
                    file: &Rendition::of(self.spool.view(), errand.ticket, errand.rendition),
                    recording_id: errand.ticket.recording_id(),
                    content_type: errand.ticket.promise().delivered_type(),
                    sha256: &errand.rendition.sha256,
                    attempt: errand.ticket.delivery().attempts.saturating_add(1),
                };
                self.courier.carry(parcel).await
            }
            Err(verdict) => verdict,
        };
        match verdict {
            Verdict::Delivered => Ok(()),
            Verdict::Retry {
                reason,
                retry_after,
            } => Err(Failed {
                error: unavailable(reason),
                retry_after,
            }),
            Verdict::Unwelcome {
                reason,
                retry_after,
            } => Err(Failed {
                error: refused(reason),
                retry_after,
            }),
            Verdict::Refused { reason } => Err(refused(reason).into()),
        }
    }
}
