//! One leg's handle for the rest of the switch.

use std::net::SocketAddr;

use callreel_proto::MediaFork;

use super::{Error, LegStats, PlayId, Playback, Remote, SilenceWatch};

/// One leg; clones share it, and the last one dropped closes it. No method waits or blocks.
#[derive(Debug, Clone)]
pub struct MediaLeg {}

impl MediaLeg {
    /// The RTP port, for SDP. Always even; RTCP is on the next one.
    pub fn local_port(&self) -> u16 {
        unimplemented!("being written")
    }

    /// Says what SDP agreed on; call it again after every new agreement.
    pub fn set_remote(&self, _remote: Remote) {
        unimplemented!("being written")
    }

    /// Joins two legs: each is sent what the other's phone sends. Earlier bridges of either end.
    pub fn bridge(&self, _other: &MediaLeg) {
        unimplemented!("being written")
    }

    /// Parts this leg from whatever it is bridged to.
    pub fn unbridge(&self) {
        unimplemented!("being written")
    }

    /// Plays to the phone, in place of a running playback and of what a bridge sends it.
    pub fn play(&self, _playback: Playback) -> PlayId {
        unimplemented!("being written")
    }

    /// Stops the running playback, if any.
    pub fn stop_playback(&self) {
        unimplemented!("being written")
    }

    /// Copies both streams to a recorder (docs/fork.md), in place of a running fork. Returns where they come from.
    ///
    /// # Errors
    /// [`Error::ForkFamily`] and [`Error::Fork`] when no packet could get there.
    pub fn start_fork(&self, _fork: MediaFork) -> Result<SocketAddr, Error> {
        unimplemented!("being written")
    }

    /// Ends the fork, if any.
    pub fn stop_fork(&self) {
        unimplemented!("being written")
    }

    /// Watches what the phone sends for silence, from now on; `None` stops watching.
    pub fn watch_silence(&self, _watch: Option<SilenceWatch>) {
        unimplemented!("being written")
    }

    /// Sends keys to the phone as RFC 4733 events, one after the other, after those already waiting.
    ///
    /// # Errors
    /// [`Error::NoTelephoneEvent`], [`Error::NotADigit`], [`Error::TooManyDigits`]; then nothing is sent.
    pub fn send_digits(&self, _digits: &str) -> Result<(), Error> {
        unimplemented!("being written")
    }

    /// Counters so far.
    pub fn stats(&self) -> LegStats {
        unimplemented!("being written")
    }

    /// Ends the leg at once: playback, fork, bridge, sockets.
    pub fn close(&self) {
        unimplemented!("being written")
    }
}
