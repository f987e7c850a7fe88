//! The switch's media engine: RTP sockets, relay, transcoding, playback, digits, forks. Knows nothing of SIP or calls.
//!
//! A packet's way, all of it in the receiving leg's own task: `wire` takes it from the socket, `inbound` judges it (`source`: is it
//! the phone's?), forks it, reports keys and silence, and `outbound` of the bridged leg numbers it (`stream`), transcodes it if it must
//! (`transcode`), and sends it. What we say ourselves comes from `playback` and `dial`, on a schedule kept in `core`.
//! Where more than two legs hear each other, `mixer` takes what each says and sends each the others on such a schedule, too.

mod core;
mod dial;
mod ear;
mod engine;
mod fork;
mod inbound;
mod leg;
mod mixer;
mod outbound;
mod packet;
mod playback;
mod ports;
mod source;
mod stream;
mod tape;
mod transcode;
mod types;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use engine::MediaEngine;
pub use leg::MediaLeg;
pub use mixer::Mixer;
pub use tape::Tape;
pub use types::{
    Error, Keys, LegStats, MediaEvent, PlayId, Playback, Remote, RtpConfig, SilenceWatch,
};

/// Now, by the clock the engine's tasks are woken by.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Locks, also after a panic elsewhere: a leg's state is valid between any two statements, and other calls must go on.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
