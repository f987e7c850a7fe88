//! Many documents saved to CouchDB, which has no transactions: each whole, several at a time, and the rest named if some
//! fail.

use futures::{StreamExt, stream};
use tokio_util::io::ReaderStream;

use super::{Couch, Keep};
use crate::{AttachmentFile, Error, Saving, attachment::Place, document::Draft};

/// Documents on their way at once: enough to hide the round trips, few enough for the smallest server.
const AT_ONCE: usize = 8;
/// Unsaved documents that an error names.
const NAMED: usize = 5;

impl Couch {
    /// Saves a batch. What cannot be read is found before anything is written.
    pub(crate) async fn save_all(&self, batch: Vec<Saving>) -> Result<(), Error> {
        let mut ready = Vec::with_capacity(batch.len());
        for saving in batch {
            let draft = Draft::parse(saving.doc)?;
            if let Some(file) = &saving.attachment {
                open(file).await?;
            }
            ready.push((saving.db, draft, saving.attachment));
        }
        let of = ready.len();
        let saves = ready.into_iter().map(|(db, draft, file)| async move {
            let name = format!("{:?} in {db:?}", draft.id);
            let saved = self.save_one(&db, draft, file).await;
            saved.map_err(|reason| (name, reason))
        });
        // In the batch's order, so that the same failure always names the same documents.
        let outcomes: Vec<_> = stream::iter(saves).buffered(AT_ONCE).collect().await;
        let mut left: Vec<(String, Error)> = outcomes.into_iter().filter_map(Result::err).collect();
        if left.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = left
            .iter()
            .take(NAMED)
            .map(|(name, _)| name.as_str())
            .collect();
        let first = names.join(", ");
        Err(Error::Batch {
            left: left.len(),
            of,
            first,
            reason: Box::new(left.swap_remove(0).1),
        })
    }

    async fn save_one(
        &self,
        db: &str,
        draft: Draft,
        file: Option<AttachmentFile>,
    ) -> Result<(), Error> {
        let Some(file) = file else {
            return self.save_over(db, draft, Keep::All).await.map(drop);
        };
        let place = Place::new(db, &draft.id, &file.name);
        self.save_over(db, draft, Keep::Only(&file.name)).await?;
        let (body, length) = open(&file).await?;
        let body = ReaderStream::new(body);
        self.put_attachment(place, &file.content_type, length, body)
            .await
            .map(drop)
    }
}

/// The file and its length, if it is one.
async fn open(file: &AttachmentFile) -> Result<(tokio::fs::File, u64), Error> {
    let failed = |reason: String| Error::Upload {
        name: file.name.clone(),
        reason: format!("{}: {reason}", file.path.display()),
    };
    let opened = tokio::fs::File::open(&file.path).await;
    let opened = opened.map_err(|error| failed(error.to_string()))?;
    let about = opened.metadata().await;
    let about = about.map_err(|error| failed(error.to_string()))?;
    if !about.is_file() {
        return Err(failed("it is not a file".to_owned()));
    }
    Ok((opened, about.len()))
}
