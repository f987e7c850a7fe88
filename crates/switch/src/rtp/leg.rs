//! One leg's handle for the rest of the switch: hands every request to the leg's state, and keeps none itself.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use callreel_proto::MediaFork;

use super::core::{Core, dial};
use super::engine::Shared;
use super::mixer::Mixer;
use super::playback::Player;
use super::{Error, LegStats, PlayId, Playback, Remote, SilenceWatch, Tape, locked, now};

/// One leg; clones share it, and the last one dropped closes it. No method waits or blocks.
///
/// A leg sends only what it is told to: a bridged phone's packets, a playback, keys. Between these it is silent, but for one
/// frame of silence a second once the phone itself has sent, to keep NATs and phones content.
/// `play` and `send_digits` must be called within a tokio runtime.
#[derive(Clone)]
pub struct MediaLeg {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl fmt::Debug for MediaLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaLeg")
            .field("port", &self.local_port())
            .finish_non_exhaustive()
    }
}

impl MediaLeg {
    pub(super) fn new(core: Arc<Core>, shared: Arc<Shared>) -> Self {
        Self {
            handle: Arc::new(Handle { core, shared }),
        }
    }

    fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// The RTP port, for SDP. Always even; RTCP is on the next one.
    pub fn local_port(&self) -> u16 {
        self.core().port
    }

    /// Says what SDP agreed on; call it again after every new agreement.
    ///
    /// Packets go to `addr` until the phone's own packets show where it really is. That source then keeps the leg to itself until
    /// it has been quiet for a second, SDP names another address, or the named address itself begins to send.
    pub fn set_remote(&self, remote: Remote) {
        self.core().set_remote(remote);
    }

    /// Joins two legs: each is sent what the other's phone sends, transcoded only if their codecs differ. Ends earlier bridges of
    /// either. A leg is not bridged to itself, nor to a closed one.
    pub fn bridge(&self, other: &MediaLeg) {
        let (ours, theirs) = (self.core(), other.core());
        if Arc::ptr_eq(ours, theirs) || ours.is_closed() || theirs.is_closed() {
            return;
        }
        let _bridging = locked(&self.handle.shared.bridging);
        ours.part();
        theirs.part();
        locked(&ours.inbound).peer = Some(Arc::downgrade(theirs));
        locked(&theirs.inbound).peer = Some(Arc::downgrade(ours));
    }

    /// Takes part in a mixer: is sent what all others there say, and is heard there itself if it `speaks`. Ends an earlier bridge or
    /// part in a mixer; [`MediaLeg::unbridge`] ends this one.
    pub fn join(&self, mixer: &Mixer, speaks: bool) {
        let core = self.core();
        if core.is_closed() {
            return;
        }
        let _bridging = locked(&self.handle.shared.bridging);
        core.part();
        locked(&core.inbound).mic = Some(mixer.admit(Arc::downgrade(core), speaks));
    }

    /// Parts this leg from whatever it is bridged to.
    pub fn unbridge(&self) {
        let _bridging = locked(&self.handle.shared.bridging);
        self.core().part();
    }

    /// Plays to the phone, in place of a running playback and of what a bridge sends it. Time goes on while the phone is on hold.
    pub fn play(&self, playback: Playback) -> PlayId {
        let id = PlayId(self.handle.shared.next_play.fetch_add(1, Relaxed));
        self.core().start_playing(id, Player::new(playback));
        id
    }

    /// Stops this playback, if it is still the one that runs.
    pub fn stop(&self, id: PlayId) {
        self.core().stop_playing_of(id);
    }

    /// Stops the running playback, if any.
    pub fn stop_playback(&self) {
        self.core().stop_playing();
    }

    /// Copies both streams to one more recorder (docs/fork.md); the same fork again changes nothing. Returns where they come from.
    ///
    /// # Errors
    /// [`Error::ForkFamily`] and [`Error::Fork`] when no packet could get there, [`Error::TooManyForks`].
    pub fn start_fork(&self, fork: MediaFork) -> Result<SocketAddr, Error> {
        let source = self.handle.shared.fork.source_towards(&fork)?;
        self.core().start_fork(fork)?;
        Ok(source)
    }

    /// Ends this fork, if it runs; others go on.
    pub fn stop_fork(&self, fork: &MediaFork) {
        self.core().stop_fork(fork);
    }

    /// Watches what the phone sends for silence, from now on; `None` stops watching.
    pub fn watch_silence(&self, watch: Option<SilenceWatch>) {
        locked(&self.core().inbound).watch_silence(watch, now());
    }

    /// Remembers what the phone says from now on, to be heard again at once.
    pub fn start_tape(&self) {
        locked(&self.core().inbound).deck.start();
    }

    /// Ends that, and gives what was said; none if nothing was.
    pub fn stop_tape(&self) -> Option<Tape> {
        locked(&self.core().inbound).deck.stop()
    }

    /// Sends keys to the phone as RFC 4733 events, one after the other, after those already waiting.
    ///
    /// # Errors
    /// [`Error::NoTelephoneEvent`], [`Error::NotADigit`], [`Error::TooManyDigits`]; then nothing is sent.
    pub fn send_digits(&self, digits: &str) -> Result<(), Error> {
        let begin = locked(&self.core().outbound).dial(digits)?;
        if begin {
            tokio::spawn(dial(Arc::downgrade(self.core())));
        }
        Ok(())
    }

    /// Counters so far.
    pub fn stats(&self) -> LegStats {
        self.core().stats()
    }

    /// Ends the leg at once: playback, fork, bridge, sockets. Its events end after that of a broken playback.
    pub fn close(&self) {
        self.unbridge();
        self.core().close();
    }
}
