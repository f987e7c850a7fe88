//! The callflow mind from outside: talks as snapshots, the linter, the twins, and properties of every flow.
#![allow(
    clippy::unwrap_used,
    reason = "clippy sees only #[test] functions as tests, not what they share"
)]

mod support;

mod bridges;
mod callers;
mod cursor;
mod digits;
mod directory;
mod drawn;
mod explained;
mod features;
mod forwards;
mod groups;
mod guest;
mod keys;
mod lint;
mod mailbox;
mod mandates;
mod markers;
mod matrix;
mod media;
mod menus;
mod metaflows;
mod mid_call;
mod missed;
mod parks;
mod properties;
mod published;
mod recordings;
mod source;
mod steps;
mod temporal;
mod transfers;
mod trunks;
mod twins;
mod voicemail;
mod web;
