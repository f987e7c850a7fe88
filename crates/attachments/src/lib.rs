//! Where stored recordings rest, and the guarded way out of this node. Knows no ticket and no schedule.
//!
//! [`Attachments`] reads and deletes the audio of a recording's document wherever the document says that it is; [`Outside`] is
//! the one HTTP client for places that strangers choose.

pub mod guard;
mod keeping;
mod outside;

pub use keeping::{Attachments, Deleted, Error, How};
pub use outside::{Barred, Outside, OutsideConfig, OutsideError, answer, explain, one_line};
