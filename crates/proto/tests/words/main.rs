//! Types, schemas and examples say the same: what they hold is in each module's first line.

#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod asker;
mod drift;
mod files;
mod held;
mod kinds;
mod lenience;
mod pages;
mod storm;
