//! Spans: what roles say of how long something took and what it belonged to. Without a collector a span does nothing and
//! costs next to nothing.

use std::{
    borrow::Cow,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use callreel_proto::TraceParent;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    global::{self, BoxedSpan, BoxedTracer},
    trace::{
        Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _,
    },
};

use crate::SCOPE;

/// Attribute: the Call-ID of the leg it is about.
pub const CALL_ID: &str = "callreel.call_id";
/// Attribute: the account it is done for.
pub const ACCOUNT_ID: &str = "callreel.account_id";
/// Attribute: the recording it is about.
pub const RECORDING_ID: &str = "callreel.recording_id";

/// Whether spans may hold telephone numbers.
static NUMBERS: AtomicBool = AtomicBool::new(false);

/// From now on spans hold telephone numbers, or not. They do not unless somebody says so.
pub fn tell_phone_numbers(tell: bool) {
    NUMBERS.store(tell, Ordering::Relaxed);
}

/// Something that takes time. It ends when it is dropped.
#[derive(Debug)]
pub struct Span(BoxedSpan);

impl Span {
    /// Begins what this process does by itself, within `parent`; without one it begins a trace.
    pub fn within(parent: Option<TraceParent>, name: impl Into<Cow<'static, str>>) -> Self {
        Self::begin(parent, name, SpanKind::Internal)
    }

    /// Begins what another asked for, by a message that came from `parent`.
    pub fn serving(parent: Option<TraceParent>, name: impl Into<Cow<'static, str>>) -> Self {
        Self::begin(parent, name, SpanKind::Server)
    }

    /// Begins what another is asked for.
    pub fn asking(parent: Option<TraceParent>, name: impl Into<Cow<'static, str>>) -> Self {
        Self::begin(parent, name, SpanKind::Client)
    }

    fn begin(
        parent: Option<TraceParent>,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
    ) -> Self {
        let builder = tracer().span_builder(name).with_kind(kind);
        let context = parent.map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(context_of(parent))
        });
        Self(tracer().build_with_context(builder, &context))
    }

    /// Where what belongs to it hangs; none where nothing is traced.
    pub fn parent(&self) -> Option<TraceParent> {
        let context = self.0.span_context();
        TraceParent::new(
            context.trace_id().to_bytes(),
            context.span_id().to_bytes(),
            context.trace_flags().to_u8(),
        )
    }

    /// The same with this attribute.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.set(key, value);
        self
    }

    /// Says this of it.
    pub fn set(&mut self, key: &'static str, value: impl ToString) {
        if self.0.is_recording() {
            self.0.set_attribute(KeyValue::new(key, value.to_string()));
        }
    }

    /// Says this number of it.
    pub fn set_number(&mut self, key: &'static str, value: impl Into<i64>) {
        self.0.set_attribute(KeyValue::new(key, value.into()));
    }

    /// Says this telephone number of it, if that may be said.
    pub fn set_phone_number(&mut self, key: &'static str, value: &str) {
        if NUMBERS.load(Ordering::Relaxed) {
            self.set(key, value);
        }
    }

    /// Says that this happened, now.
    pub fn event(&mut self, name: &'static str) {
        self.0.add_event(name, Vec::new());
    }

    /// It did not do what it was for. `kind` is one of a small set (`error.type`), `why` for people.
    pub fn failed(&mut self, kind: &'static str, why: impl ToString) {
        if self.0.is_recording() {
            self.0.set_attribute(KeyValue::new("error.type", kind));
            self.0.set_status(Status::error(why.to_string()));
        }
    }
}

fn context_of(parent: TraceParent) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(parent.trace()),
        SpanId::from_bytes(parent.span()),
        TraceFlags::new(parent.flags()),
        true,
        TraceState::default(),
    )
}

/// That of the collector that was set before the first span.
fn tracer() -> &'static BoxedTracer {
    static TRACER: OnceLock<BoxedTracer> = OnceLock::new();
    TRACER.get_or_init(|| global::tracer(SCOPE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_collector_a_span_is_nobodys_parent_and_hands_its_own_on() {
        let span = Span::within(None, "alone");
        assert_eq!(span.parent(), None);
        let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            .parse()
            .unwrap();
        // What others trace stays together across a node that does not.
        assert_eq!(Span::serving(Some(parent), "x").parent(), Some(parent));
    }
}
