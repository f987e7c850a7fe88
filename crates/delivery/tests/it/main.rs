//! The role as a whole: real journals, a real spool, store and bus, and real receivers on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

mod call;
mod node;
#[path = "../../../attachments/tests/it/server.rs"]
#[allow(dead_code, reason = "it is used from elsewhere, too")]
mod objects_server;
mod receiver;
mod switch;
mod telling;

mod account_db;
mod fetch;
mod formats;
mod http;
mod https;
mod intake;
mod legs;
mod metadata;
mod object_storage;
mod orders;
mod receivers;
mod redact;
mod restart;
mod sealed;
mod secrets;
mod storage;
mod webhooks;
