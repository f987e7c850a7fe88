//! What Callreel tells of itself: every metric by name, the instruments that count, the page that explains them, and spans.
//!
//! Roles count with [`metrics`]; what they show of themselves anyway ([`Seen`]) is read by [`observe`] when somebody collects.
//! Who collects, and whether anybody does, is the product's business: without a collector an instrument does nothing.
//!
//! No attribute of a metric ever has an account, a number, a URL or anything else a stranger chooses: each has a known, small set of values.

mod instruments;
mod metric;
mod observed;
mod span;

pub use instruments::{Instruments, Live, metrics};
pub use metric::{Kind, Metric, page, table};
pub use observed::{Seen, observe};
pub use opentelemetry::KeyValue;
pub use span::{ACCOUNT_ID, CALL_ID, RECORDING_ID, Span, tell_phone_numbers};

/// Under which name all instruments are made.
pub const SCOPE: &str = "callreel";
