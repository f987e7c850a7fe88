//! Every SIP request goes through here once: to its dialog, or by method to who serves it. Owns no state.

use std::sync::Arc;
use std::time::Duration;

use callreel_telemetry::{KeyValue, metrics};
use rsipstack::dialog::DialogId;
use rsipstack::dialog::dialog::{Dialog, DialogState};
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Method, RetryAfter, StatusCode};
use rsipstack::transaction::{Transaction, TransactionReceiver};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::peer::Peer;
use crate::shared::{Shared, count};
use crate::{admission, inbound, message, mwi, registrar};

/// Transactions served at once beside the calls themselves. Each waits for the store or for a phone's ACK at most; when
/// all are busy, new requests are dropped and their senders repeat them.
const MAX_SERVED: usize = 4_096;
/// What a refused caller is asked to wait, seconds.
const RETRY_AFTER_S: u32 = 5;
/// How long the refusal of one request may hold up the others.
const SHED_PATIENCE: Duration = Duration::from_millis(50);

/// How long a request waits for the ACK before it, and how often it looks: less than half a second, after which it is sent again.
const ACK_PATIENCE: Duration = Duration::from_millis(400);
const ACK_LOOK: Duration = Duration::from_millis(5);

/// Serves requests until the transport ends.
pub(crate) async fn serve(shared: Arc<Shared>, mut incoming: TransactionReceiver) {
    let places = Arc::new(Semaphore::new(MAX_SERVED + 2 * shared.config.max_calls));
    while let Some(mut tx) = incoming.recv().await {
        let method = KeyValue::new("callreel.sip.method", tx.original.method.to_string());
        metrics().sip_requests.add(1, &[method]);
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let tasks = shared.tasks.clone();
                let shared = shared.clone();
                tasks.spawn(async move {
                    let method = tx.original.method;
                    if let Err(error) = one(&shared, tx).await {
                        tracing::debug!(%method, %error, "serving a request");
                    }
                    drop(place);
                });
            }
            Err(_) => {
                count(&shared.counters.shed);
                // A peer that does not take its refusal must not hold up the others.
                drop(tokio::time::timeout(SHED_PATIENCE, busy(&mut tx)).await);
            }
        }
    }
}

/// 503 with `Retry-After`.
pub(crate) async fn busy(tx: &mut Transaction) -> rsipstack::Result<()> {
    let headers = vec![Header::RetryAfter(RetryAfter::new(
        RETRY_AFTER_S.to_string(),
    ))];
    tx.reply_with(StatusCode::ServiceUnavailable, headers, None)
        .await
}

async fn one(shared: &Arc<Shared>, mut tx: Transaction) -> rsipstack::Result<()> {
    let Ok(id) = DialogId::try_from(&tx) else {
        return tx.reply(StatusCode::BadRequest).await;
    };
    if tx.original.method == Method::Subscribe {
        // Those that renew name dialogs of ours, too.
        return mwi::take(shared, tx).await;
    }
    if !id.local_tag.is_empty() {
        return match shared.dialogs.get_dialog(&id) {
            Some(dialog) => within(dialog, tx).await,
            None if tx.original.method == Method::Ack => Ok(()),
            None => tx.reply(StatusCode::CallTransactionDoesNotExist).await,
        };
    }
    match tx.original.method {
        Method::Register => registrar::register(shared, tx).await,
        Method::Invite => inbound::invite(shared, tx).await,
        Method::Options => {
            tx.reply_with(StatusCode::OK, message::capabilities(), None)
                .await
        }
        Method::Ack => Ok(()),
        Method::Bye
        | Method::Update
        | Method::Info
        | Method::PRack
        | Method::Cancel
        | Method::Refer => tx.reply(StatusCode::CallTransactionDoesNotExist).await,
        Method::Message | Method::Notify | Method::Publish | Method::Subscribe => {
            tx.reply_with(StatusCode::MethodNotAllowed, vec![message::allow()], None)
                .await
        }
    }
}

async fn within(mut dialog: Dialog, mut tx: Transaction) -> rsipstack::Result<()> {
    // The library says nothing to most requests before the dialog is confirmed.
    let patient = matches!(
        tx.original.method,
        Method::Bye | Method::Ack | Method::PRack | Method::Cancel
    );
    if !patient && !settled(&dialog).await {
        let headers = vec![Header::RetryAfter(RetryAfter::new("1"))];
        let status = StatusCode::ServerInternalError;
        return tx.reply_with(status, headers, None).await;
    }
    if let Some(overtaken) = overtaken(&dialog, &tx) {
        return tx.reply(overtaken).await;
    }
    dialog.handle(&mut tx).await
}

/// Whether the dialog is confirmed. A request that came right behind the ACK may be here before it, each having a task of its own;
/// the library tells of the ACK to nobody but the channel.
async fn settled(dialog: &Dialog) -> bool {
    let acked = async {
        while matches!(dialog.state(), DialogState::WaitAck(..)) {
            tokio::time::sleep(ACK_LOOK).await;
        }
    };
    drop(tokio::time::timeout(ACK_PATIENCE, acked).await);
    matches!(dialog.state(), DialogState::Confirmed(..))
}

/// A request older than one already seen gets 500 (RFC 3261 §12.2.2); the library would drop it on some legs.
fn overtaken(dialog: &Dialog, tx: &Transaction) -> Option<StatusCode> {
    let Dialog::Invite(dialog) = dialog else {
        return None;
    };
    let seq = tx.original.cseq_header().ok()?.seq().ok()?;
    let seen = dialog.snapshot().remote_cseq;
    (tx.original.method != Method::Ack && seen > 0 && seq < seen)
        .then_some(StatusCode::ServerInternalError)
}

/// Refuses a request whose credentials are missing or wrong; hands back the phone otherwise.
pub(crate) async fn authenticated(
    shared: &Shared,
    tx: &mut Transaction,
) -> rsipstack::Result<Option<crate::directory::Phone>> {
    use admission::Admission;
    match admission::admit(shared, &tx.original, Peer::of(tx)).await {
        Ok(Admission::Phone(phone)) => return Ok(Some(*phone)),
        Ok(Admission::Challenge { realm, stale }) => {
            admission::demand(shared, tx, &realm, stale).await?;
        }
        Ok(Admission::Forbidden) => {
            count(&shared.counters.forbidden);
            let from = tx.original.from_header().map(|h| h.value().to_owned());
            tracing::info!(method = %tx.original.method, from = from.unwrap_or_default(), "wrong credentials");
            if let Some(peer) = Peer::of(tx)
                && shared.sources.failed(peer.addr.ip(), Instant::now())
            {
                tracing::warn!(source = %peer.addr.ip(), seconds = shared.config.ban_s, "wrong credentials again and again: this source is not heard any more (switch.ban_after)");
            }
            tx.reply(StatusCode::Forbidden).await?;
        }
        Err(error) => {
            tracing::error!(%error, "credentials could not be looked up");
            tx.reply(StatusCode::ServerInternalError).await?;
        }
    }
    Ok(None)
}
