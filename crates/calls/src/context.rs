//! What every actor of this role shares: the bus, the store, the spool, the capture thread and the settings.

use std::sync::Arc;

use callreel_bus::Bus;
use callreel_proto::{
    Application, CallId, Command, Envelope, Exchange, Headers, InsertAt, RecordingNotice,
};
use callreel_spool::Writer;
use callreel_store::Store;

use crate::{capture::CaptureThread, config::RecordingConfig, sockets::CapturePorts};

/// One per node.
pub(crate) struct Context {
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) spool: Writer,
    pub(crate) captures: CaptureThread,
    pub(crate) ports: CapturePorts,
    pub(crate) config: RecordingConfig,
    /// This node's name on the bus.
    pub(crate) node: String,
    /// This node's queue: where events and replies reach it.
    pub(crate) queue: String,
}

impl Context {
    /// Tells everybody what happened to a recording. A failed notice is logged: delivery also finds tickets by itself.
    pub(crate) async fn notify(&self, notice: RecordingNotice) {
        let key = notice.routing_key();
        let mut envelope = notice.into_envelope();
        envelope.headers.node.clone_from(&self.node);
        if let Err(error) = self
            .bus
            .publish(Exchange::Kapps, &key, envelope.to_bytes())
            .await
        {
            tracing::warn!(%error, key, "recording notice not published");
        }
    }
}

/// Where one call takes its commands.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) context: Arc<Context>,
    pub(crate) call_id: CallId,
    pub(crate) queue: String,
}

impl Control {
    /// Sends a command to the switch. A failure is logged; the cursor's own timeouts carry the call on.
    pub(crate) async fn send(
        &self,
        insert_at: InsertAt,
        application: Application,
        msg_id: Option<String>,
    ) {
        let mut headers = Headers::new("call", "command").server_id(self.context.queue.clone());
        headers.node.clone_from(&self.context.node);
        if let Some(id) = msg_id {
            headers = headers.msg_id(id);
        }
        let name = application.name();
        let command = Envelope {
            headers,
            body: Command {
                call_id: self.call_id.clone(),
                insert_at,
                application,
            },
        };
        let sent = self
            .context
            .bus
            .send(Exchange::Callctl, &self.queue, command.to_bytes())
            .await;
        if let Err(error) = sent {
            tracing::warn!(call_id = %self.call_id, command = name, %error, "command not sent");
        }
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
