//! One leg's life: its receive task, its tasks that send on a schedule, and the locks between them. No SIP, no policy.
//!
//! Lock order: the bridging lock, then the forks or a mixer's members, then an inbound half, then a mic or an outbound half, then the event
//! channel. Never two halves of the same kind at once, so two legs may relay to each other at the same moment. No lock is held across an await.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use callreel_proto::MediaFork;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::fork::Forks;
use super::inbound::Inbound;
use super::outbound::{Outbound, Played};
use super::packet::{DATAGRAM_ROOM, FRAME_MS};
use super::playback::Player;
use super::wire::Wire;
use super::{Error, LegStats, MediaEvent, PlayId, Remote, locked, now};

/// Events that may wait for their reader: a leg has at most some ten a second (keys), so this is seconds of a busy reader.
pub(super) const EVENTS: usize = 64;
/// Packets taken per wake-up before other tasks get their turn.
const BATCH: usize = 32;
/// How often a leg looks for what does not happen (silence, inactivity, lost key ends) and empties its RTCP socket.
const TICK: Duration = Duration::from_millis(200);

/// What all holders of a leg share: its handle, its tasks, and the leg bridged to it.
pub(super) struct Core {
    pub(super) port: u16,
    pub(super) inbound: Mutex<Inbound>,
    pub(super) outbound: Mutex<Outbound>,
    forks: Mutex<Forks>,
    events: Mutex<Option<mpsc::Sender<MediaEvent>>>,
    events_dropped: AtomicU64,
    stop: CancellationToken,
}

impl Core {
    pub(super) fn new(
        port: u16,
        inbound: Inbound,
        outbound: Outbound,
        events: mpsc::Sender<MediaEvent>,
    ) -> Self {
        Self {
            port,
            inbound: Mutex::new(inbound),
            outbound: Mutex::new(outbound),
            forks: Mutex::default(),
            events: Mutex::new(Some(events)),
            events_dropped: AtomicU64::new(0),
            stop: CancellationToken::new(),
        }
    }

    fn tell(&self, event: MediaEvent) {
        let Some(events) = &*locked(&self.events) else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event) {
            self.events_dropped.fetch_add(1, Relaxed);
            tracing::error!(
                port = self.port,
                ?event,
                "media event dropped: its reader is behind"
            );
        }
    }

    pub(super) fn set_remote(&self, remote: Remote) {
        let target = locked(&self.inbound).set_remote(remote, now());
        locked(&self.outbound).set_remote(remote, target);
    }

    /// Cuts the way from this leg to its peer and back, or out of its mixer.
    pub(super) fn part(&self) {
        let peer = {
            let mut inbound = locked(&self.inbound);
            inbound.mic = None;
            inbound.peer.take()
        };
        locked(&self.outbound).end_source();
        if let Some(peer) = peer.and_then(|peer| peer.upgrade()) {
            locked(&peer.inbound).peer = None;
            locked(&peer.outbound).end_source();
        }
    }

    pub(super) fn start_playing(self: &Arc<Self>, id: PlayId, player: Player) {
        if self.is_closed() {
            return;
        }
        let replaced = locked(&self.outbound).start_playing(id);
        self.tell_broken(replaced);
        tokio::spawn(play(Arc::downgrade(self), id, player));
    }

    pub(super) fn stop_playing_of(&self, id: PlayId) {
        let mut outbound = locked(&self.outbound);
        let stopped = outbound.plays(id).then(|| outbound.stop_playing());
        drop(outbound);
        self.tell_broken(stopped.flatten());
    }

    pub(super) fn stop_playing(&self) {
        let stopped = locked(&self.outbound).stop_playing();
        self.tell_broken(stopped);
    }

    /// Adds a fork.
    pub(super) fn start_fork(&self, fork: MediaFork) -> Result<(), Error> {
        let mut forks = locked(&self.forks);
        forks.add(fork)?;
        self.aim(&forks);
        Ok(())
    }

    /// Takes a fork away; the others go on.
    pub(super) fn stop_fork(&self, fork: &MediaFork) {
        let mut forks = locked(&self.forks);
        forks.remove(fork);
        self.aim(&forks);
    }

    fn aim(&self, forks: &Forks) {
        if !self.is_closed() {
            locked(&self.inbound)
                .copies
                .aim(forks.targets(|fork| fork.a));
            locked(&self.outbound)
                .copies
                .aim(forks.targets(|fork| fork.b));
        }
    }

    fn tell_broken(&self, playback: Option<PlayId>) {
        if let Some(id) = playback {
            self.tell(MediaEvent::PlaybackEnded { id, broken: true });
        }
    }

    pub(super) fn stats(&self) -> LegStats {
        let (mut stats, copies) = {
            let inbound = locked(&self.inbound);
            let stats = LegStats {
                source: inbound.source(),
                ..inbound.stats
            };
            (stats, (inbound.copies.sent, inbound.copies.failed))
        };
        let outbound = locked(&self.outbound);
        (stats.sent, stats.send_failed) = outbound.counts();
        stats.forked = copies.0 + outbound.copies.sent;
        stats.fork_failed = copies.1 + outbound.copies.failed;
        stats.events_dropped = self.events_dropped.load(Relaxed);
        stats
    }

    /// Ends everything; the port is free again once the receive task has noticed, which it does at once.
    pub(super) fn close(&self) {
        self.stop.cancel();
        {
            let mut inbound = locked(&self.inbound);
            inbound.copies.aim(Vec::new());
            inbound.peer = None;
            inbound.mic = None;
        }
        let playing = locked(&self.outbound).close();
        self.tell_broken(playing);
        locked(&self.events).take();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn receive(&self, now: Instant, datagram: &[u8], from: std::net::SocketAddr) {
        let mut inbound = locked(&self.inbound);
        let known = inbound.source();
        let Some(packet) = inbound.admit(now, from, datagram) else {
            // A packet that only tells where the phone is (on hold) still tells it.
            if inbound.source() != known {
                locked(&self.outbound).set_target(inbound.source());
            }
            return;
        };
        if inbound.source() != known {
            locked(&self.outbound).set_target(inbound.source());
        }
        inbound.take(now, &packet, |event| self.tell(event));
        inbound.speak(&packet);
        if let Some(peer) = inbound.peer.as_ref().and_then(Weak::upgrade) {
            locked(&peer.outbound).relay(now, &packet, &mut inbound.ear);
        }
    }

    fn tick(&self, now: Instant, wire: &Wire) {
        let mut inbound = locked(&self.inbound);
        inbound.stats.rtcp += wire.drain_rtcp();
        inbound.tick(now, |event| self.tell(event));
        if inbound.source().is_some() {
            locked(&self.outbound).keep_alive(now);
        }
    }
}

/// The receive task: until the leg is closed, then the last to let go of the sockets.
pub(super) async fn receive(core: Arc<Core>, wire: Arc<Wire>) {
    let mut buffer = [0; DATAGRAM_ROOM];
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = tick.tick() => core.tick(now(), &wire),
            received = wire.receive(&mut buffer, BATCH, |datagram, from| {
                core.receive(now(), datagram, from);
            }) => if let Err(error) = received {
                tracing::debug!(port = core.port, %error, "rtp socket");
            },
        }
    }
}

/// The schedule of frames: late wake-ups are made up for at once, so that a playback lasts as long as its sound.
pub(super) fn frames() -> tokio::time::Interval {
    let mut frames = interval(Duration::from_millis(FRAME_MS));
    frames.set_missed_tick_behavior(MissedTickBehavior::Burst);
    frames
}

async fn play(core: Weak<Core>, id: PlayId, mut player: Player) {
    let mut frames = frames();
    loop {
        frames.tick().await;
        let Some(core) = core.upgrade() else { return };
        let played = locked(&core.outbound).play_frame(now(), id, &mut player);
        match played {
            Played::Frame => {}
            Played::Ended => return core.tell(MediaEvent::PlaybackEnded { id, broken: false }),
            Played::Replaced => return,
        }
    }
}

/// Presses the queued keys.
pub(super) async fn dial(core: Weak<Core>) {
    let mut frames = frames();
    loop {
        frames.tick().await;
        let Some(core) = core.upgrade() else { return };
        if core.is_closed() || !locked(&core.outbound).dial_frame(now()) {
            return;
        }
    }
}
