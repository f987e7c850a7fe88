//! What a call tells of itself in its trace: its callflow as one span, and in it one for each module.

use callreel_proto::{CallEvent, RouteReq, TraceParent};
use callreel_telemetry::{ACCOUNT_ID, CALL_ID, Span};

/// The spans of a call that is ours.
pub(super) struct Trail {
    // In this order: a module ends before its callflow does.
    module: Option<Span>,
    callflow: Span,
}

impl Trail {
    /// Of the call that its switch asked about within `parent`.
    pub(super) fn begin(parent: Option<TraceParent>, route: &RouteReq, account: &str) -> Self {
        let mut callflow = Span::serving(parent, "callflow")
            .with(CALL_ID, &route.call_id)
            .with(ACCOUNT_ID, account);
        callflow.set_phone_number("callreel.number.dialled", route.dialled());
        callflow.set_phone_number("callreel.number.calling", &route.caller_id_number);
        Self {
            module: None,
            callflow,
        }
    }

    /// This module begins where the one before it ends.
    pub(super) fn enter(&mut self, module: &'static str) {
        drop(self.module.take());
        let span = Span::within(self.callflow.parent(), module);
        self.module = Some(span.with("callreel.module", module));
    }

    /// Where what the call wants now belongs.
    pub(super) fn parent(&self) -> Option<TraceParent> {
        self.module.as_ref().unwrap_or(&self.callflow).parent()
    }

    /// The channel is gone, as this says.
    pub(super) fn hung_up(&mut self, event: &CallEvent) {
        if let Some(cause) = event.hangup_cause {
            self.callflow.set("callreel.hangup.cause", cause.name());
        }
    }
}
