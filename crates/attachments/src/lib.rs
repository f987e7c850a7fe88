//! Where stored recordings rest, and the guarded way out of this node. Knows no ticket and no schedule.
//!
//! [`Attachments`] puts, reads and deletes the audio of a recording's document wherever its account's storage plan, and later the
//! document, says that it is; [`Outside`] is the one HTTP client for places that strangers choose.

mod connector;
mod error;
pub mod guard;
mod handler;
mod holding;
pub mod hop;
mod keeping;
mod naming;
mod objects;
mod outside;
mod place;
mod placed;
mod plan;

pub use error::Error;
pub use handler::{Facts, Handler, HttpUpload};
pub use keeping::{Attachments, Deleted, How, stores};
pub use outside::{Barred, Outside, OutsideConfig, OutsideError, answer, explain, one_line};
pub use placed::{Audio, Placed, audio};
pub use plan::{Malformed, Plan};
