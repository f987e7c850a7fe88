//! Tells which stream of a leg a packet belongs to and unwraps its numbers. Both passes run it, so both see the same streams.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::packet::{Kind, Packet, TICKS_PER_SECOND, ns_of_ticks, ticks_of_ns, ticks_per_rtp};

/// Packets this much behind the newest of their stream still find their place: the longest stall of a network that is mended afterwards.
pub(crate) const REORDER_WINDOW_NS: i64 = 15_000_000_000;
/// A packet this much earlier than its timestamp allows means that the sender has set its timestamp anew; less is jitter.
const EARLY_NS: i64 = 120_000_000;
/// How long a stretch of arrivals the earliest transit is taken from. Long enough to hold an undelayed packet.
pub(crate) const FLOOR_WINDOW_NS: i64 = 10_000_000_000;
/// Streams of a leg that a straggler may still belong to. A leg changes its source a few times per call, rarely twice within a second.
const RECENT_STREAMS: usize = 8;
/// Streams a leg may have in all. A call has a handful; only an attack has a new SSRC in every packet, and it must not fill the memory.
const MAX_STREAMS: usize = 1000;
/// Sequence numbers remembered per stream to tell duplicates: 20 s of 10 ms packets.
const REMEMBERED: i64 = 2048;
/// Another packet under a number that came this much earlier begins the numbering anew. A network that repeats a packet repeats its content too.
const RESTART_NS: i64 = 500_000_000;
/// How long a packet is while nobody knows: 20 ms, in common ticks.
const USUAL_TICKS: i64 = TICKS_PER_SECOND / 50;
/// Common ticks in a tick of telephone events with a clock of their own, 8 kHz.
const EVENT_SCALE: i64 = TICKS_PER_SECOND / 8000;
/// A packet without audio further away than this is not of the stream.
const NEAR_SEQUENCE: i64 = 3000;

/// What became of a packet's sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// Seen for the first time.
    Fresh,
    /// Seen before.
    Repeated,
    /// So old that nobody remembers.
    Ancient,
}

/// A packet recognised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    /// Which stream of its leg, counted from 0 in order of appearance.
    pub(crate) stream: usize,
    /// Sequence number without wraps.
    pub(crate) sequence: i64,
    /// Timestamp without wraps, in common ticks.
    pub(crate) tick: i64,
    pub(crate) novelty: Novelty,
    /// No packet of the stream with a higher sequence number came before it.
    pub(crate) newest: bool,
    /// How long it lasts, in common ticks: audio that was taken away as long as is usual, a telephone event as long as it has been so far.
    pub(crate) length: i64,
}

/// The packet that first came under a number.
#[derive(Clone, Copy)]
struct First {
    arrival: i64,
    /// A hash of its payload; `None` when it was taken away.
    content: Option<u64>,
}

impl First {
    fn of(packet: &Packet<'_>) -> Self {
        let content = (!packet.payload.is_empty()).then(|| {
            let mut hasher = DefaultHasher::new();
            packet.payload.hash(&mut hasher);
            hasher.finish()
        });
        Self {
            arrival: packet.arrival(),
            content,
        }
    }
}

/// The sequence numbers of one stream that have been seen, a ring.
struct Seen {
    top: i64,
    ring: Vec<Option<First>>,
}

impl Seen {
    fn new(first: i64) -> Self {
        Self {
            // One below, so that the first insertion is fresh.
            top: first - 1,
            ring: vec![None; REMEMBERED as usize],
        }
    }

    fn slot(sequence: i64) -> usize {
        usize::try_from(sequence.rem_euclid(REMEMBERED)).expect("not negative")
    }

    fn insert(&mut self, sequence: i64, packet: &Packet<'_>) -> Novelty {
        if sequence <= self.top - REMEMBERED {
            return Novelty::Ancient;
        }
        for passed in (self.top + 1).max(sequence - REMEMBERED + 1)..=sequence {
            self.ring[Self::slot(passed)] = None;
        }
        self.top = self.top.max(sequence);
        let slot = &mut self.ring[Self::slot(sequence)];
        if slot.is_some() {
            Novelty::Repeated
        } else {
            *slot = Some(First::of(packet));
            Novelty::Fresh
        }
    }

    /// Whether a packet not above the newest is another one than what came long before under its number: then the sender has begun anew.
    fn is_reused(&self, sequence: i64, packet: &Packet<'_>) -> bool {
        let remembered = (self.top - REMEMBERED + 1..=self.top).contains(&sequence);
        let first = self.ring[Self::slot(sequence)].filter(|_| remembered);
        first
            .filter(|first| packet.arrival() - first.arrival > RESTART_NS)
            .and_then(|first| first.content)
            .zip(First::of(packet).content)
            .is_some_and(|(first, now)| first != now)
    }
}

/// The smallest transit of the last one or two windows.
struct Floor {
    window: i64,
    now: i64,
    before: i64,
}

impl Floor {
    fn lower(&mut self, arrival: i64, transit: i64) {
        let window = arrival / FLOOR_WINDOW_NS;
        if window != self.window {
            (self.window, self.before, self.now) = (window, self.now, transit);
        }
        self.now = self.now.min(transit);
    }

    fn value(&self) -> i64 {
        self.now.min(self.before)
    }
}

/// How long a packet is, in common ticks; `None` when its audio was taken away.
fn known_length(packet: &Packet<'_>) -> Option<i64> {
    Some(packet.ticks()).filter(|ticks| *ticks > 0)
}

struct Stream {
    id: usize,
    ssrc: u32,
    /// Common ticks in a tick of its RTP clock.
    scale: i64,
    /// Sequence number of its first packet.
    first: i64,
    /// Of the newest audio packet.
    sequence: i64,
    timestamp: u32,
    tick: i64,
    arrival: i64,
    packet_ticks: i64,
    seen: Seen,
    floor: Floor,
}

impl Stream {
    fn open(id: usize, packet: &Packet<'_>, scale: i64) -> Self {
        let sequence = i64::from(packet.sequence);
        let tick = i64::from(packet.timestamp) * scale;
        let transit = packet.arrival() - ns_of_ticks(tick);
        Self {
            id,
            ssrc: packet.ssrc,
            scale,
            first: sequence,
            sequence,
            timestamp: packet.timestamp,
            tick,
            arrival: packet.arrival(),
            packet_ticks: known_length(packet).unwrap_or(USUAL_TICKS),
            seen: Seen::new(sequence),
            floor: Floor {
                window: packet.arrival() / FLOOR_WINDOW_NS,
                now: transit,
                before: transit,
            },
        }
    }

    /// Sequence numbers and ticks from the newest audio packet to this one.
    fn distance(&self, packet: &Packet<'_>) -> (i64, i64) {
        let sequence = packet.sequence.wrapping_sub(self.sequence as u16);
        let timestamp = packet.timestamp.wrapping_sub(self.timestamp);
        (
            i64::from(sequence.cast_signed()),
            i64::from(timestamp.cast_signed()) * self.scale,
        )
    }

    /// Whether an audio packet goes on with this stream's numbering. If not, the sender has begun anew under the same SSRC.
    fn accepts(&self, packet: &Packet<'_>) -> bool {
        let (ahead, ticks) = self.distance(packet);
        match ahead {
            0 => ticks == 0 && !self.seen.is_reused(self.sequence, packet),
            1.. => {
                let transit = packet.arrival() - ns_of_ticks(self.tick + ticks);
                let on_time = transit >= self.floor.value() - EARLY_NS;
                let in_step = (ticks - ahead * self.packet_ticks).abs() <= self.packet_ticks;
                ticks >= 0 && (on_time || in_step)
            }
            _ => {
                (-ticks_of_ns(REORDER_WINDOW_NS)..=0).contains(&ticks)
                    && !self.seen.is_reused(self.sequence + ahead, packet)
            }
        }
    }

    fn sight_audio(&mut self, packet: &Packet<'_>) -> Sighting {
        let (ahead, ticks) = self.distance(packet);
        let (sequence, tick) = (self.sequence + ahead, self.tick + ticks);
        let novelty = self.seen.insert(sequence, packet);
        if novelty == Novelty::Fresh {
            let transit = packet.arrival() - ns_of_ticks(tick);
            self.floor.lower(packet.arrival(), transit);
            if ahead > 0 {
                (self.sequence, self.tick) = (sequence, tick);
                (self.timestamp, self.arrival) = (packet.timestamp, packet.arrival());
                self.packet_ticks = known_length(packet).unwrap_or(self.packet_ticks);
            }
        }
        Sighting {
            stream: self.id,
            sequence,
            tick,
            novelty,
            newest: ahead >= 0,
            length: known_length(packet).unwrap_or(self.packet_ticks),
        }
    }

    /// Telephone events may count by a clock of their own (RFC 4733 §2.1 leaves it to SDP, and phones beside Opus use 8 kHz too): a timestamp
    /// that does not fit the packet's arrival is not believed, and the arrival is.
    fn sight_silent(&mut self, packet: &Packet<'_>) -> Option<Sighting> {
        let (ahead, ticks) = self.distance(packet);
        let later = packet.arrival() - self.arrival;
        let arrived = self.tick + ticks_of_ns(later);
        let believed = (ns_of_ticks(ticks) - later).abs() <= REORDER_WINDOW_NS;
        let scale = if believed { self.scale } else { EVENT_SCALE };
        let told = match packet.payload {
            [_, _, high, low, ..] => Some(i64::from(u16::from_be_bytes([*high, *low])) * scale),
            _ => None,
        };
        let tick = if believed {
            self.tick + ticks
        } else {
            arrived - told.map_or(0, |told| told - self.packet_ticks)
        };
        let length = told.unwrap_or((arrived - tick).max(0));
        (ahead.abs() <= NEAR_SEQUENCE).then(|| Sighting {
            stream: self.id,
            sequence: self.sequence + ahead,
            tick,
            novelty: self.seen.insert(self.sequence + ahead, packet),
            newest: false,
            length,
        })
    }
}

/// Recognises the packets of one leg, in the order of the journal.
#[derive(Default)]
pub(crate) struct Follower {
    /// The stream that spoke last comes first.
    recent: VecDeque<Stream>,
    opened: usize,
}

impl Follower {
    /// Whether an audio packet goes on with a stream. A source that changes to a codec of another clock counts anew (RFC 7160): what it sends
    /// after the change is not of the stream before, even when it comes back to the first clock.
    fn is_of(&self, packet: &Packet<'_>, scale: i64, stream: &Stream) -> bool {
        let changed = |later: &Stream| {
            later.ssrc == packet.ssrc
                && later.scale != scale
                && later.id > stream.id
                && later.sequence + later.distance(packet).0 >= later.first
        };
        stream.ssrc == packet.ssrc
            && stream.scale == scale
            && stream.accepts(packet)
            && !self.recent.iter().any(changed)
    }

    /// `None` when the packet belongs to no stream: no audio was heard from its source, or there have been too many sources.
    pub(crate) fn sight(&mut self, packet: &Packet<'_>) -> Option<Sighting> {
        let Kind::Audio(codec) = packet.kind() else {
            let stream = self.recent.iter_mut().find(|s| s.ssrc == packet.ssrc)?;
            return stream.sight_silent(packet);
        };
        let scale = ticks_per_rtp(codec);
        let stream = match self
            .recent
            .iter()
            .position(|s| self.is_of(packet, scale, s))
        {
            Some(at) => self.recent.remove(at).expect("position is in range"),
            None if self.opened < MAX_STREAMS => {
                self.recent.truncate(RECENT_STREAMS - 1);
                self.opened += 1;
                Stream::open(self.opened - 1, packet, scale)
            }
            None => return None,
        };
        self.recent.push_front(stream);
        Some(self.recent[0].sight_audio(packet))
    }
}

#[cfg(test)]
mod tests {
    use callreel_proto::Leg;

    use super::*;

    fn packet(arrival_ms: u64, sequence: u16, timestamp: u32) -> Packet<'static> {
        Packet {
            leg: Leg::A,
            arrival_ns: arrival_ms * 1_000_000,
            payload_type: 0,
            marker: false,
            sequence,
            timestamp,
            ssrc: 7,
            payload: &[0xff; 160],
        }
    }

    #[test]
    fn numbers_go_on_across_the_wraps() {
        let mut follower = Follower::default();
        let first = follower.sight(&packet(0, 65535, u32::MAX - 99)).unwrap();
        let second = follower.sight(&packet(20, 0, 60)).unwrap();
        assert_eq!(second.stream, first.stream);
        assert_eq!(second.sequence - first.sequence, 1);
        assert_eq!(second.tick - first.tick, 960, "of 48 kHz");
        let straggler = follower.sight(&packet(30, 65534, u32::MAX - 259)).unwrap();
        assert_eq!(straggler.sequence - first.sequence, -1);
        assert_eq!(straggler.novelty, Novelty::Fresh);
    }

    #[test]
    fn duplicates_are_told_even_long_after() {
        let mut follower = Follower::default();
        for n in 0..500u16 {
            follower.sight(&packet(u64::from(n) * 20, n, u32::from(n) * 160));
        }
        for n in [499u16, 498, 0] {
            let again = follower.sight(&packet(10_000, n, u32::from(n) * 160));
            assert_eq!(again.unwrap().novelty, Novelty::Repeated, "{n}");
        }
    }

    #[test]
    fn a_number_used_again_for_other_audio_begins_anew_and_a_late_copy_does_not() {
        let said = |n: u16| [n as u8; 160];
        let mut follower = Follower::default();
        let mut sight = |arrival_ms, n: u16, payload: &[u8]| {
            let seen = follower.sight(&Packet {
                leg: Leg::A,
                arrival_ns: arrival_ms * 1_000_000,
                payload_type: 0,
                marker: false,
                sequence: n,
                timestamp: u32::from(n) * 160,
                ssrc: 7,
                payload,
            });
            seen.map(|seen| (seen.stream, seen.novelty)).unwrap()
        };
        for n in 0..80 {
            sight(u64::from(n) * 20, n, &said(n));
        }
        // A stall lets go of copies, all at once.
        for n in 20..80 {
            assert_eq!(sight(5000, n, &said(n)), (0, Novelty::Repeated), "{n}");
        }
        assert_eq!(sight(5000, 3, &[]), (0, Novelty::Repeated), "taken away");
        for n in 0..100 {
            let anew = sight(6000 + u64::from(n) * 20, n, &said(n + 100));
            assert_eq!(anew, (1, Novelty::Fresh), "{n}");
        }
        assert_eq!(sight(8000, 50, &said(50)), (0, Novelty::Repeated));
    }

    #[test]
    fn a_sender_that_begins_anew_opens_a_stream_and_stragglers_find_the_old_one() {
        let mut follower = Follower::default();
        follower.sight(&packet(0, 100, 16_000));
        follower.sight(&packet(40, 102, 16_320));
        let anew = follower.sight(&packet(60, 103, 900_000)).unwrap();
        assert_eq!(anew.stream, 1);
        let straggler = follower.sight(&packet(61, 101, 16_160)).unwrap();
        assert_eq!((straggler.stream, straggler.sequence), (0, 101));
        assert_eq!(follower.sight(&packet(80, 104, 900_160)).unwrap().stream, 1);
    }

    #[test]
    fn silence_loss_and_a_stall_do_not_open_a_stream() {
        let mut follower = Follower::default();
        follower.sight(&packet(0, 0, 0));
        // Silence suppression: the timestamp runs on, the sequence does not.
        assert_eq!(follower.sight(&packet(4000, 1, 32_000)).unwrap().stream, 0);
        // Loss: both run on.
        assert_eq!(
            follower.sight(&packet(6000, 101, 48_000)).unwrap().stream,
            0
        );
        // A stall of three seconds, then all at once.
        assert_eq!(
            follower.sight(&packet(9020, 102, 48_160)).unwrap().stream,
            0
        );
        assert_eq!(
            follower.sight(&packet(9021, 250, 71_840)).unwrap().stream,
            0
        );
    }

    #[test]
    fn a_new_source_in_every_packet_is_refused_in_the_end() {
        let mut follower = Follower::default();
        let recognised = (0..5000)
            .filter(|n| {
                let stranger = Packet {
                    ssrc: *n,
                    ..packet(0, 0, 0)
                };
                follower.sight(&stranger).is_some()
            })
            .count();
        assert_eq!(recognised, MAX_STREAMS);
        assert!(follower.recent.len() <= RECENT_STREAMS);
    }
}
