//! Tells what the API did to a stored recording: to the manifest, for later, and on the bus, for now. Does nothing itself.

use callreel_proto::{AccountId, CallId, Exchange, RecordingFact, RecordingId, RecordingNotice};
use callreel_spool::{Entry, What};
use serde_json::Value;

use crate::Shared;

/// Tells that this was done to the recording of a document. What is done stays done, whoever cannot hear of it.
pub(crate) async fn tell(shared: &Shared, doc: &Value, fact: RecordingFact, what: What) {
    let text = |key: &str| doc[key].as_str().unwrap_or_default();
    let Some((account, id)) = whose(doc) else {
        return;
    };
    let detail = detail(&what);
    tracing::info!(%account, %id, fact = fact.name(), detail, "done by the API");
    note(shared, Entry::new(account.clone(), id.clone(), what)).await;
    let call_id = text("call_id");
    if call_id.is_empty() {
        // Not every Kazoo wrote down which call it was, and a notice without one is none.
        return;
    }
    let notice = RecordingNotice {
        recording_id: Some(id),
        detail: Some(detail),
        ..RecordingNotice::new(fact, account, CallId::new(call_id))
    };
    let key = notice.routing_key();
    let (bus, envelope) = (&shared.bus, notice.into_envelope());
    bus.tell(&shared.node, Exchange::Kapps, &key, envelope)
        .await;
}

/// Tells the manifest who is given the audio of a document's recording.
pub(crate) async fn listened(shared: &Shared, doc: &Value, by: Option<String>) {
    let Some((account, id)) = whose(doc) else {
        return;
    };
    let by = by.unwrap_or_else(|| "the API".to_owned());
    tracing::info!(%account, %id, by, "its audio is fetched");
    note(shared, Entry::new(account, id, What::Listened { by })).await;
}

/// The account and the id of a recording's document.
fn whose(doc: &Value) -> Option<(AccountId, RecordingId)> {
    let text = |key: &str| doc[key].as_str().unwrap_or_default();
    let account = AccountId::parse(text("pvt_account_id"));
    let id = RecordingId::parse(text("_id"));
    if let (Ok(account), Ok(id)) = (account, id) {
        return Some((account, id));
    }
    tracing::warn!(
        id = text("_id"),
        "a document does not say whose it is, so that nothing tells what was done to it"
    );
    None
}

async fn note(shared: &Shared, entry: Entry) {
    let manifest = shared.spool.manifest();
    if let Err(error) = tokio::task::spawn_blocking(move || manifest.note(&entry)).await {
        tracing::error!(%error, "the manifest was not written");
    }
}

/// Who and why, in a sentence.
fn detail(what: &What) -> String {
    match what {
        What::Held { by, reason } | What::Released { by, reason } => format!("{by}: {reason}"),
        What::Deleted {
            by,
            reason,
            receipts,
        } => format!("{by}: {reason}; {}", receipts.join("; ")),
        _ => String::new(),
    }
}
