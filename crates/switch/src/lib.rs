//! Placeholder.

pub mod rtp;
