//! Attachments on their way to and from CouchDB, block by block. Owns the promise that CouchDB commits only a body of the
//! promised length, and that what it committed is what was sent.

use std::{io, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use callreel_doors::explain;
use futures::{Stream, StreamExt, stream};
use md5::{Digest, Md5};
use reqwest::{
    Body, Method, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, RANGE},
};
use tokio::sync::{Notify, mpsc};

use super::Couch;
use crate::{
    Attachment, Error,
    attachment::{Place, digest},
};

/// A whole upload. A recording of three hours in WAV has 350 MB, which takes 47 minutes at 1 Mbit/s.
const UPLOAD: Duration = Duration::from_secs(2 * 60 * 60);
/// Blocks between the body and the connection: one is being sent while the next is read.
const IN_HAND: usize = 1;

impl Couch {
    pub(crate) async fn put_attachment<S>(
        &self,
        place: Place,
        content_type: &str,
        length: u64,
        body: S,
    ) -> Result<String, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let stored = self.get(&place.db, &place.id).await?;
        let Some(rev) = stored.as_ref().and_then(super::revision) else {
            return Err(Error::Missing {
                db: place.db,
                id: place.id,
            });
        };
        let upload = self.upload(&place, &rev, content_type, length, body);
        let (rev, sent) = match tokio::time::timeout(UPLOAD, upload).await {
            Ok(done) => done?,
            Err(_) => return Err(self.client.away(format!("not done after {UPLOAD:?}"))),
        };
        self.verify(&place, &rev, content_type, length, &sent)
            .await?;
        Ok(rev)
    }

    /// Sends the body; returns the document's new revision and the digest of what was sent.
    async fn upload<S>(
        &self,
        place: &Place,
        rev: &str,
        content_type: &str,
        length: u64,
        body: S,
    ) -> Result<(String, String), Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send,
    {
        let mut url = self.client.address.attachment(place);
        url.query_pairs_mut().append_pair("rev", rev);
        let (blocks, received) = mpsc::channel(IN_HAND);
        let progress = Arc::new(Notify::new());
        let mut pump = std::pin::pin!(pump(&place.name, length, body, blocks, &progress));
        // The headers of an empty body are the whole request, so its end must be known before.
        let mut sent = match length {
            0 => Some(pump.as_mut().await?),
            _ => None,
        };
        let request = self
            .client
            .request(Method::PUT, url)
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_LENGTH, length)
            .body(Body::wrap_stream(received_blocks(received)));
        let mut request = std::pin::pin!(request.send());
        let response = loop {
            tokio::select! {
                biased;
                response = &mut request => break response,
                pumped = &mut pump, if sent.is_none() => sent = Some(pumped?),
                () = progress.notified() => {}
                () = tokio::time::sleep(self.client.patience) => {
                    let patience = self.client.patience.as_secs();
                    return Err(self.client.away(format!("an upload stood still for {patience} s (store.request_timeout_s)")));
                }
            }
        };
        let reply = self.client.reply(response).await?;
        if reply.is(StatusCode::CONFLICT) {
            return Err(Error::Conflict {
                db: place.db.clone(),
                id: place.id.clone(),
            });
        }
        let rev = reply.revision("an attachment")?;
        // Nobody can have answered so before the last block, but a broken proxy.
        let sent = sent.ok_or_else(|| reply.unexpected("half an attachment"))?;
        Ok((rev, sent))
    }

    /// Holds what CouchDB says it stored against what was sent. Of types that compress well it has compressed the bytes,
    /// and the digest is of those; recordings are not among them.
    async fn verify(
        &self,
        place: &Place,
        rev: &str,
        content_type: &str,
        length: u64,
        sent: &str,
    ) -> Result<(), Error> {
        let mut url = self.client.address.document(&place.db, &place.id);
        url.query_pairs_mut().append_pair("rev", rev);
        let reply = self.client.get(url).await?;
        if reply.is(StatusCode::NOT_FOUND) {
            // Compacted away: someone has changed the document since, and has our attachment in it or has taken it out.
            return Ok(());
        }
        let stub = &reply.body["_attachments"][&place.name];
        let whole = stub["length"].as_u64() == Some(length);
        let same = stub["digest"] == sent || !content_type.starts_with("audio/");
        if reply.is(StatusCode::OK) && whole && same {
            return Ok(());
        }
        Err(Error::Upload {
            name: place.name.clone(),
            reason: format!(
                "CouchDB stored {} bytes with the digest {}, and {length} bytes with the digest {sent} were sent",
                stub["length"], stub["digest"]
            ),
        })
    }

    pub(crate) async fn attachment(
        &self,
        place: Place,
        range: Range<u64>,
    ) -> Result<Option<Attachment>, Error> {
        if range.is_empty() {
            return self.without_bytes(&place).await;
        }
        let url = self.client.address.attachment(&place);
        let mut request = self.client.request(Method::GET, url);
        if range != (0..u64::MAX) {
            let last = match range.end {
                u64::MAX => String::new(),
                end => (end - 1).to_string(),
            };
            request = request.header(RANGE, format!("bytes={}-{last}", range.start));
        }
        let response = self.open(request).await?;
        let headers = response.headers();
        let (length, skip) = match response.status() {
            // It does not speak of ranges: what is not wanted is read and thrown away.
            StatusCode::OK => (content_length(headers), range.start),
            StatusCode::PARTIAL_CONTENT => (total(headers), 0),
            StatusCode::RANGE_NOT_SATISFIABLE => return self.without_bytes(&place).await,
            _ => return self.none(response).await,
        };
        let length = length.ok_or_else(|| self.client.away(NO_LENGTH.to_owned()))?;
        let take = range.end.min(length).saturating_sub(range.start);
        let found = self.describe(&place, headers, length).await?;
        let body = part(response.bytes_stream(), skip, take);
        let body = impatient(body, self.client.patience);
        Ok(found.map(|found| Attachment {
            body: body.boxed(),
            ..found
        }))
    }

    /// An attachment of which no byte is wanted.
    async fn without_bytes(&self, place: &Place) -> Result<Option<Attachment>, Error> {
        let url = self.client.address.attachment(place);
        let response = self.open(self.client.request(Method::HEAD, url)).await?;
        if response.status() != StatusCode::OK {
            return self.none(response).await;
        }
        let length = content_length(response.headers());
        let length = length.ok_or_else(|| self.client.away(NO_LENGTH.to_owned()))?;
        self.describe(place, response.headers(), length).await
    }

    /// Waits for the head of an answer; its body is not hurried.
    async fn open(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        let response = tokio::time::timeout(self.client.patience, request.send()).await;
        match response {
            Ok(Ok(response)) => {
                self.client.refused(response.status(), "an attachment")?;
                Ok(response)
            }
            Ok(Err(error)) => Err(self.client.away(explain(error))),
            Err(_) => Err(self.client.away(format!(
                "no answer for {} s (store.request_timeout_s)",
                self.client.patience.as_secs()
            ))),
        }
    }

    async fn none(&self, response: Response) -> Result<Option<Attachment>, Error> {
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let reply = self.client.reply(Ok(response)).await?;
        Err(reply.unexpected("a request for an attachment"))
    }

    /// What the head of an answer says of the attachment. CouchDB's entity tag is the MD5; if a proxy has made another of
    /// it, the document tells.
    async fn describe(
        &self,
        place: &Place,
        headers: &HeaderMap,
        length: u64,
    ) -> Result<Option<Attachment>, Error> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let tag = text(ETAG).map(|tag| tag.trim_matches('"'));
        let digest = match tag.filter(|tag| tag.len() == 24 && tag.ends_with("==")) {
            Some(tag) => format!("md5-{tag}"),
            None => {
                let Some(doc) = self.get(&place.db, &place.id).await? else {
                    return Ok(None);
                };
                let digest = &doc["_attachments"][&place.name]["digest"];
                digest.as_str().unwrap_or_default().to_owned()
            }
        };
        let content_type = text(CONTENT_TYPE).unwrap_or("application/octet-stream");
        Ok(Some(Attachment {
            content_type: content_type.to_owned(),
            length,
            digest,
            body: stream::empty().boxed(),
        }))
    }
}

const NO_LENGTH: &str = "it does not say how long an attachment is";

/// Reads the body and passes it on, the last block only when the body has ended and was as long as promised: until it has
/// that block, CouchDB commits nothing. Returns the digest.
async fn pump<S>(
    name: &str,
    promised: u64,
    body: S,
    blocks: mpsc::Sender<Bytes>,
    progress: &Notify,
) -> Result<String, Error>
where
    S: Stream<Item = io::Result<Bytes>> + Send,
{
    let mut body = std::pin::pin!(body);
    let (mut hash, mut got, mut held) = (Md5::new(), 0, None);
    let wrong = |got| Error::Length {
        name: name.to_owned(),
        promised,
        got,
    };
    while let Some(block) = body.next().await {
        let block = block.map_err(|error| Error::Upload {
            name: name.to_owned(),
            reason: error.to_string(),
        })?;
        if block.is_empty() {
            continue;
        }
        got += block.len() as u64;
        if got > promised {
            return Err(wrong(got));
        }
        hash.update(&block);
        if let Some(ready) = held.replace(block) {
            pass(&blocks, ready, progress).await;
        }
    }
    if got != promised {
        return Err(wrong(got));
    }
    if let Some(last) = held {
        pass(&blocks, last, progress).await;
    }
    Ok(digest(&hash.finalize()))
}

/// If nobody takes blocks any more the request has ended, and says why.
async fn pass(blocks: &mpsc::Sender<Bytes>, block: Bytes, progress: &Notify) {
    if blocks.send(block).await.is_err() {
        std::future::pending::<()>().await;
    }
    progress.notify_one();
}

fn received_blocks(
    received: mpsc::Receiver<Bytes>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(received, |mut received| async move {
        Some((Ok(received.recv().await?), received))
    })
}

/// `take` bytes of a body after `skip` of it; an error if it ends before.
fn part<S>(body: S, skip: u64, take: u64) -> impl Stream<Item = io::Result<Bytes>> + Send
where
    S: Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
{
    let state = (Box::pin(body), skip, take);
    stream::try_unfold(state, |(mut body, mut skip, take)| async move {
        if take == 0 {
            return Ok(None);
        }
        loop {
            let Some(block) = body.next().await else {
                return Err(io::Error::other("the attachment ended before its length"));
            };
            let mut block = block.map_err(|error| io::Error::other(explain(error)))?;
            let unwanted = skip.min(block.len() as u64);
            skip -= unwanted;
            // Both casts are of numbers that are at most the block's length.
            drop(block.split_to(unwanted as usize));
            block.truncate(take.min(block.len() as u64) as usize);
            if !block.is_empty() {
                let rest = take - block.len() as u64;
                return Ok(Some((block, (body, skip, rest))));
            }
        }
    })
}

/// A stream that fails when nothing has come for `patience`.
fn impatient<S>(
    body: S,
    patience: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    stream::try_unfold(Box::pin(body), move |mut body| async move {
        match tokio::time::timeout(patience, body.next()).await {
            Ok(Some(block)) => Ok(Some((block?, body))),
            Ok(None) => Ok(None),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "nothing came for {} s (store.request_timeout_s)",
                    patience.as_secs()
                ),
            )),
        }
    })
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The length of the whole, from `bytes FIRST-LAST/TOTAL` (RFC 9110 §14.4).
fn total(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.rsplit_once('/')?.1.parse().ok()
}
