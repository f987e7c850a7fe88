//! Where one call takes its commands, and who is told of a command that never got there.

use std::sync::Arc;

use callreel_bus::Receipt;
use callreel_proto::{
    Application, CallEvent, CallId, Command, Envelope, EventName, Exchange, Headers, InsertAt,
    Requested, TraceParent, Utc, random_hex,
};
use futures::FutureExt;
use ractor::ActorRef;
use serde_json::{Map, Value, json};

use crate::{call::CallMsg, context::Context, recorder::RecorderMsg};

/// Where one call takes its commands.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) context: Arc<Context>,
    pub(crate) call_id: CallId,
    pub(crate) queue: String,
    /// Who hears of a command that was lost.
    pub(crate) owner: Owner,
    /// In which span the commands are sent.
    pub(crate) asked_in: Option<TraceParent>,
}

/// Who sends a call's commands.
#[derive(Clone)]
pub(crate) enum Owner {
    /// Its call actor, which tells its recorder, too.
    Call(ActorRef<CallMsg>),
    /// A recorder for another's call.
    Recorder(ActorRef<RecorderMsg>),
    /// Nobody waits for what comes of it.
    Nobody,
}

impl Owner {
    fn tell(&self, event: Box<CallEvent>) {
        // An owner that is gone waits for nothing.
        match self {
            Self::Call(call) => drop(call.cast(CallMsg::Event(EventName::DialplanError, event))),
            Self::Recorder(recorder) => {
                drop(recorder.cast(RecorderMsg::Event(EventName::DialplanError, event)));
            }
            Self::Nobody => {}
        }
    }
}

impl Control {
    /// The same, for commands about another leg of the call.
    pub(crate) fn about(&self, leg: &CallId) -> Self {
        Self {
            call_id: leg.clone(),
            ..self.clone()
        }
    }

    /// Sends a command to the switch. One that never gets there comes back to the owner as the dialplan error the switch
    /// would have sent.
    pub(crate) async fn send(
        &self,
        insert_at: InsertAt,
        application: Application,
        msg_id: Option<String>,
    ) {
        let msg_id = msg_id.unwrap_or_else(|| random_hex(32));
        let name = application.name();
        let bytes = self.command(insert_at, application, &msg_id).to_bytes();
        let bus = &self.context.bus;
        match bus
            .send_tracked(Exchange::Callctl, &self.queue, bytes)
            .await
        {
            Ok(receipt) => self.follow(receipt, name, msg_id),
            Err(error) => self.lost(&error, name, &msg_id),
        }
    }

    fn command(
        &self,
        insert_at: InsertAt,
        application: Application,
        msg_id: &str,
    ) -> Envelope<Command> {
        let mut headers = Headers::new("call", "command")
            .server_id(self.context.queue.clone())
            .msg_id(msg_id)
            .trace_parent(self.asked_in);
        headers.node.clone_from(&self.context.node);
        Envelope {
            headers,
            body: Command {
                call_id: self.call_id.clone(),
                insert_at,
                application,
            },
        }
    }

    /// Waits for what becomes of the command, beside everything else; in one process that is known at once.
    fn follow(&self, receipt: Receipt, name: &'static str, msg_id: String) {
        let mut receipt = Box::pin(receipt);
        match receipt.as_mut().now_or_never() {
            Some(Ok(())) => {}
            Some(Err(lost)) => self.lost(&lost, name, &msg_id),
            None => {
                let control = self.clone();
                tokio::spawn(async move {
                    if let Err(lost) = receipt.await {
                        control.lost(&lost, name, &msg_id);
                    }
                });
            }
        }
    }

    fn lost(&self, why: &dyn std::fmt::Display, name: &'static str, msg_id: &str) {
        if let Owner::Nobody = self.owner {
            // Others say themselves what it means.
            tracing::warn!(call_id = %self.call_id, command = name, %why, "a command never reached the switch");
            return;
        }
        let mut command = Map::new();
        command.insert("Application-Name".to_owned(), json!(name));
        command.insert("Msg-ID".to_owned(), Value::String(msg_id.to_owned()));
        let mut event = CallEvent::new(self.call_id.clone(), Utc::now());
        event.error_message = Some(format!("{name} never reached the switch: {why}"));
        event.application_name = Some(name.to_owned());
        event.request = Some(Requested::Command(command));
        self.owner.tell(Box::new(event));
    }
}
