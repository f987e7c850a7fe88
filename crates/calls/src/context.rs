//! What every actor of this role shares: the bus, the store, the spool, the capture thread and the settings.

use std::sync::{Arc, Mutex, PoisonError};

use callreel_attachments::Attachments;
use callreel_bus::{Binder, Bus};
use callreel_proto::{
    AccountId, Envelope, Exchange, Notification, NotificationName, RecordingNotice, Utc,
};
use callreel_spool::Writer;
use serde::Serialize;

use tokio::time::Instant;

use crate::{
    bucket::Buckets,
    capture::CaptureThread,
    config::{CallsConfig, RecordingConfig},
    documents::Documents,
    files::Files,
    held::Held,
    legs::Legs,
    sockets::CapturePorts,
    web::Web,
};

/// One per node.
pub(crate) struct Context {
    pub(crate) bus: Bus,
    pub(crate) store: Documents,
    pub(crate) spool: Writer,
    /// The way to web servers that callflows name.
    pub(crate) web: Arc<Web>,
    /// Stored messages, wherever their audio is.
    pub(crate) attachments: Attachments,
    pub(crate) captures: CaptureThread,
    pub(crate) ports: CapturePorts,
    pub(crate) files: Files,
    pub(crate) held: Held,
    pub(crate) legs: Legs,
    /// Says what the node's queue hears.
    pub(crate) binder: Binder,
    pub(crate) calls: CallsConfig,
    pub(crate) config: RecordingConfig,
    /// What each account may still do.
    pub(crate) buckets: Mutex<Buckets>,
    /// This node's name on the bus.
    pub(crate) node: String,
    /// This node's queue: where events and replies reach it.
    pub(crate) queue: String,
}

impl Context {
    /// Whether the account may still run so many more calls and actions; then it has.
    pub(crate) fn grants(&self, account: &AccountId, tokens: u64) -> bool {
        let buckets = self.buckets.lock();
        let mut buckets = buckets.unwrap_or_else(PoisonError::into_inner);
        buckets.take(account, tokens, Instant::now())
    }

    /// Tells everybody what happened to a recording. A failed notice is logged: delivery also finds tickets by itself.
    pub(crate) async fn notify(&self, notice: RecordingNotice) {
        let key = notice.routing_key();
        self.tell(Exchange::Kapps, &key, notice.into_envelope())
            .await;
    }

    /// Publishes a message of the node, for which nobody waits.
    pub(crate) async fn tell<T: Serialize>(
        &self,
        exchange: Exchange,
        key: &str,
        envelope: Envelope<T>,
    ) {
        self.bus.tell(&self.node, exchange, key, envelope).await;
    }

    /// Tells whoever writes to people what happened in a call, and when: now.
    pub(crate) async fn notify_people(&self, name: NotificationName, mut fields: Notification) {
        let now = Utc::now().gregorian_seconds();
        match name {
            NotificationName::MissedCall => fields.timestamp = Some(now),
            NotificationName::VoicemailNew | NotificationName::VoicemailSaved => {
                fields.voicemail_timestamp.get_or_insert(now);
            }
            NotificationName::VoicemailFull => {}
        }
        let envelope = fields.into_envelope(name);
        self.tell(Exchange::Notifications, name.routing_key(), envelope)
            .await;
    }
}

/// Runs work that waits for the disk off the async threads.
///
/// # Errors
/// What the work said, or that it panicked.
pub(crate) async fn blocking<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("the spool panicked: {panic}")),
    }
}
