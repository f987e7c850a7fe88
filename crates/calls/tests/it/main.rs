//! The role among its neighbours: a switch played by the test on the embedded bus, a real store, spool and sockets.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod control;
mod fork;
mod guest;
mod kazoo;
mod late;
mod live;
mod mandates;
mod mask;
mod metaflows;
mod offers;
mod orphans;
mod others;
mod parks;
mod pivot;
mod restrictions;
mod rings;
mod several;
mod strays;
mod transfer;
mod voicemail;
mod web;
mod world;
