//! What a leg's phone sends: whether it is the phone's at all, keys, silence, how long it has been quiet. Sends only forks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use callreel_media::dtmf::{Digit, DigitDetector, Event};

use super::core::Core;
use super::ear::{Ear, Silence};
use super::fork::Copies;
use super::mixer::Mic;
use super::packet::{DATAGRAM_ROOM, Header, Incoming, Kind, parse};
use super::source::SourceLock;
use super::tape::Deck;
use super::transcode::rescaled;
use super::{LegStats, MediaEvent, Remote, SilenceWatch, locked};

/// A key whose packets stop without an end counts as let go after this long (packets come every 20 to 50 ms).
const KEY_GONE_AFTER: Duration = Duration::from_millis(200);
/// A key this many seconds before the one before it was not overtaken on the way: the phone has set its clock anew.
const MAX_KEY_LATENESS_S: u32 = 10;
/// Ticks per second of the durations we tell.
const TOLD_CLOCK: u32 = 8000;

/// A leg's receiving half.
pub(super) struct Inbound {
    remote: Option<Remote>,
    source: SourceLock,
    /// Where the phone's packets are sent on to.
    pub(super) peer: Option<Weak<Core>>,
    /// Where a mixer takes the phone's sound.
    pub(super) mic: Option<Arc<Mutex<Mic>>>,
    pub(super) copies: Copies,
    pub(super) ear: Ear,
    silence: Option<Silence>,
    pub(super) deck: Deck,
    keys: DigitDetector,
    /// The newest key packet, when it came, and the clock of its duration.
    last_key: Option<(Header, Instant, u32)>,
    inactivity: Option<Duration>,
    /// The last packet, agreement, or complaint of inactivity.
    active_at: Instant,
    /// Counters of this half; the others stay zero.
    pub(super) stats: LegStats,
    buffer: [u8; DATAGRAM_ROOM],
}

impl Inbound {
    pub(super) fn new(copies: Copies, inactivity: Option<Duration>, now: Instant) -> Self {
        Self {
            remote: None,
            source: SourceLock::default(),
            peer: None,
            mic: None,
            copies,
            ear: Ear::default(),
            silence: None,
            deck: Deck::default(),
            keys: DigitDetector::new(),
            last_key: None,
            inactivity,
            active_at: now,
            stats: LegStats::default(),
            buffer: [0; DATAGRAM_ROOM],
        }
    }

    /// Takes a new agreement; gives where to send for now.
    pub(super) fn set_remote(&mut self, remote: Remote, now: Instant) -> Option<SocketAddr> {
        self.source.signal(remote.addr);
        self.remote = Some(remote);
        self.active_at = now;
        self.source.target()
    }

    pub(super) fn watch_silence(&mut self, watch: Option<SilenceWatch>, now: Instant) {
        self.silence = watch.map(|watch| Silence::new(watch, now));
    }

    /// Where the phone's packets come from, once known.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        self.source.source()
    }

    /// Judges a datagram: the phone's packet, or `None` after counting why not.
    pub(super) fn admit<'d>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &'d [u8],
    ) -> Option<Incoming<'d>> {
        let Some((header, payload_type, payload)) = parse(datagram) else {
            self.stats.malformed += 1;
            return None;
        };
        let Some(remote) = self.remote else {
            self.stats.foreign += 1;
            return None;
        };
        let kind = Kind::of(payload_type, &remote);
        let agreed = payload_type == remote.payload_type || matches!(kind, Some(Kind::Event(_)));
        // From elsewhere only an agreed payload type can win the lock. From the locked source, and from where the phone said
        // it is, anything we can decode will do: some phones send another codec of their offer than the one chosen.
        let known = self.source.is_locked_to(from) || from == remote.addr;
        match kind {
            None if known => self.stats.unexpected += 1,
            Some(_) if (agreed || known) && self.source.admit(now, from, header.sequence) => {
                if remote.receive {
                    let clock = match kind {
                        Some(Kind::Audio(codec)) => codec.rtp_clock(),
                        _ => remote.codec.rtp_clock(),
                    };
                    return kind.map(|kind| Incoming {
                        kind,
                        clock,
                        header,
                        payload,
                        datagram,
                    });
                }
                self.stats.while_held += 1;
            }
            _ => self.stats.foreign += 1,
        }
        None
    }

    /// Takes in an admitted packet: counts, forks, listens. Tells what there is to tell.
    pub(super) fn take(
        &mut self,
        now: Instant,
        packet: &Incoming,
        mut tell: impl FnMut(MediaEvent),
    ) {
        if self.stats.received == 0 {
            tell(MediaEvent::FirstPacket);
        }
        self.stats.received += 1;
        self.stats.received_bytes += packet.payload.len() as u64;
        self.active_at = now;
        self.copies.received(&mut self.buffer, packet);
        self.ear.begin_packet();
        match packet.kind {
            Kind::Event(clock) => self.take_event(now, packet, clock, tell),
            Kind::Audio(codec) => {
                self.deck.hear(codec, packet.header, packet.payload);
                if let Some(silence) = &mut self.silence {
                    silence.hear(now, self.ear.hear(codec, packet.payload));
                    if silence.is_due(now) {
                        tell(MediaEvent::Silence);
                    }
                }
            }
        }
    }

    /// Gives the sound of a packet to the leg's mixer, if there is one that wants it.
    pub(super) fn speak(&mut self, packet: &Incoming) {
        if let (Some(mic), Kind::Audio(codec)) = (&self.mic, packet.kind) {
            let mut mic = locked(mic);
            if mic.wants(&packet.header) {
                mic.push(codec.sample_rate(), self.ear.hear(codec, packet.payload));
            }
        }
    }

    fn take_event(
        &mut self,
        now: Instant,
        packet: &Incoming,
        clock: u32,
        mut tell: impl FnMut(MediaEvent),
    ) {
        let Some(event) = Event::parse(packet.payload) else {
            return;
        };
        // The detector drops keys from the past; one of a stream that began anew only looks like it.
        let lateness = MAX_KEY_LATENESS_S.saturating_mul(packet.clock);
        let anew = |(last, ..): (Header, Instant, u32)| {
            last.ssrc != packet.header.ssrc
                || last
                    .timestamp
                    .wrapping_sub(packet.header.timestamp)
                    .cast_signed()
                    > lateness.cast_signed()
        };
        if self.last_key.is_some_and(anew) {
            self.finish_key(&mut tell);
            self.keys = DigitDetector::new();
        }
        self.last_key = Some((packet.header, now, clock));
        for digit in self.keys.push(packet.header.timestamp, event) {
            self.stats.digits += 1;
            tell(told(digit, clock));
        }
    }

    /// Takes a key whose end has not come as let go.
    fn finish_key(&mut self, mut tell: impl FnMut(MediaEvent)) {
        let clock = self.last_key.map_or(TOLD_CLOCK, |(.., clock)| clock);
        if let Some(digit) = self.keys.finish() {
            self.stats.digits += 1;
            tell(told(digit, clock));
        }
    }

    /// What only the passing of time brings about.
    pub(super) fn tick(&mut self, now: Instant, mut tell: impl FnMut(MediaEvent)) {
        if self
            .silence
            .as_mut()
            .is_some_and(|silence| silence.is_due(now))
        {
            tell(MediaEvent::Silence);
        }
        let gone = |(_, at, _): (Header, Instant, u32)| {
            now.saturating_duration_since(at) >= KEY_GONE_AFTER
        };
        if self.last_key.is_some_and(gone) {
            self.finish_key(&mut tell);
        }
        let expected = self.remote.is_some_and(|remote| remote.receive);
        if !expected {
            self.active_at = now;
        }
        let quiet = now.saturating_duration_since(self.active_at);
        if self.inactivity.is_some_and(|limit| quiet >= limit) {
            self.active_at = now;
            tell(MediaEvent::Inactive);
        }
    }
}

fn told(digit: Digit, clock: u32) -> MediaEvent {
    MediaEvent::Digit {
        digit: digit.digit,
        duration_ticks: rescaled(digit.duration_ticks, clock, TOLD_CLOCK),
    }
}
