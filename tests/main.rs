//! The black-box ring: the real binary, real phones, a real HTTP receiver, and assertions on the audio.
//!
//! One binary for all of it, so that it links once. `support` drives the parts; each other module is named after
//! the promise it tests.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

mod api_auth;
mod callflows;
mod cli;
mod cluster;
mod consent;
mod console;
mod control;
mod couch;
mod crash;
mod delivery;
mod demo;
mod failures;
mod guard;
mod holds;
mod hostile;
mod k8s;
mod kazoo;
mod licences;
mod lifecycle;
mod mandates;
mod manifest;
mod mask;
mod metrics;
mod network;
mod patience;
mod pivot;
mod platform;
mod recording;
mod registration;
mod retention;
mod rules;
mod sealed;
mod signalling;
mod tidy;
mod tracing;
mod transfers;
mod upgrades;
mod webhooks;
mod wideband;
mod worlds;
