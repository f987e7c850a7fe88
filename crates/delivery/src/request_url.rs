//! The URL a file is sent to: the ticket's, completed with the metadata it asks for. The same on every try: what it is made of
//! is on disk before the first. Pure.

use callreel_callflow::destination::{Metadata, complete};
use callreel_proto::MetadataQuery;
use callreel_spool::{RenditionInfo, Ticket};
use serde_json::Value;
use url::Url;

/// The request's URL.
pub(crate) fn request_url(
    url: &Url,
    query: MetadataQuery,
    ticket: &Ticket,
    rendition: &RenditionInfo,
) -> Url {
    let (promise, doc) = (ticket.promise(), ticket.document());
    let text = |field: &str| doc.get(field).and_then(Value::as_str);
    let metadata = Metadata {
        from: text("from"),
        to: text("to"),
        caller_id_name: text("caller_id_name"),
        caller_id_number: text("caller_id_number"),
        call_id: Some(promise.call_id.as_str()),
        cdr_id: text("cdr_id"),
        interaction_id: text("interaction_id"),
        owner_id: text("owner_id"),
        account_id: Some(promise.account_id.as_str()),
        start: Some(promise.started_at.gregorian_seconds()),
        duration_ms: Some(rendition.duration_ms),
        recording_id: Some(promise.recording_id.as_str()),
    };
    complete(url, query, &metadata)
}
