//! Where every packet of a capture lies in time. The first of two passes over the journal builds it; it never looks at audio.
//!
//! Each leg is a row of streams (an SSRC, until its sender begins its numbering anew), each stream a row of segments (an even run of timestamps,
//! until its sender pauses them), each segment a handful of knots between RTP time and the capture's clock. A packet lies where its *timestamp* says,
//! and the segment lies where its least delayed packets *arrived*: so jitter, bursts and stalls move nothing, and the drift of a phone's clock over
//! hours is followed as far as jitter cannot explain it (`drift.rs`). The memory it takes grows with the length of the call (a knot per leg and ten seconds), not with its packets.

use std::fmt;

use callreel_proto::Leg;

use crate::packet::{Kind, Packet};

mod anchor;
mod drift;
pub(crate) mod follow;
#[cfg(test)]
mod tests;

use anchor::{Anchor, Segment};
use follow::{Follower, Novelty};

/// Wideband packets closer than this are one span.
const WIDEBAND_SPAN_NS: u64 = 1_000_000_000;

/// Legs in the order of their index.
pub(crate) const LEGS: [Leg; 2] = [Leg::A, Leg::B];

pub(crate) fn index(leg: Leg) -> usize {
    match leg {
        Leg::A => 0,
        Leg::B => 1,
    }
}

struct StreamSoFar {
    ssrc: u32,
    anchor: Anchor,
    end_tick: i64,
    packets: u64,
}

#[derive(Default)]
struct LegSoFar {
    follower: Follower,
    streams: Vec<StreamSoFar>,
    wideband: Vec<(u64, u64)>,
}

/// The first pass: give it every packet of the journal, in the journal's order.
#[derive(Default)]
pub struct TimelineBuilder {
    legs: [LegSoFar; 2],
}

impl TimelineBuilder {
    /// An empty timeline.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next packet.
    pub fn push(&mut self, packet: &Packet<'_>) {
        let leg = &mut self.legs[index(packet.leg)];
        let sighting = leg.follower.sight(packet);
        let Kind::Audio(codec) = packet.kind() else {
            return;
        };
        let Some(seen) = sighting.filter(|seen| seen.novelty == Novelty::Fresh) else {
            return;
        };
        if seen.stream == leg.streams.len() {
            leg.streams.push(StreamSoFar {
                ssrc: packet.ssrc,
                anchor: Anchor::new(packet.arrival(), seen.tick),
                end_tick: seen.tick,
                packets: 0,
            });
        }
        let stream = &mut leg.streams[seen.stream];
        stream
            .anchor
            .observe(packet.arrival(), seen.tick, seen.newest);
        stream.end_tick = stream.end_tick.max(seen.tick + seen.length);
        stream.packets += 1;
        if codec.is_wideband() && !packet.payload.is_empty() {
            leg.note_wideband(packet.arrival_ns);
        }
    }

    /// The timeline, once the journal has ended.
    pub fn finish(self) -> Timeline {
        Timeline {
            legs: self.legs.map(|leg| LegLine {
                streams: leg
                    .streams
                    .into_iter()
                    .map(|stream| Stream {
                        ssrc: stream.ssrc,
                        segments: stream.anchor.finish(),
                        end_tick: stream.end_tick,
                        packets: stream.packets,
                    })
                    .collect(),
                wideband: leg.wideband,
            }),
        }
    }
}

impl LegSoFar {
    fn note_wideband(&mut self, arrival_ns: u64) {
        match self.wideband.last_mut() {
            Some((_, end)) if arrival_ns <= end.saturating_add(WIDEBAND_SPAN_NS) => {
                *end = arrival_ns.max(*end);
            }
            _ => self.wideband.push((arrival_ns, arrival_ns)),
        }
    }
}

#[derive(Debug, Clone)]
struct Stream {
    ssrc: u32,
    segments: Vec<Segment>,
    end_tick: i64,
    packets: u64,
}

#[derive(Debug, Clone)]
struct LegLine {
    streams: Vec<Stream>,
    wideband: Vec<(u64, u64)>,
}

/// A place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which segment of the stream.
    pub(crate) segment: usize,
    /// Capture time.
    pub(crate) ns: i64,
}

/// Where every packet of a capture lies. `Display` shows one line per segment, for logs and people.
#[derive(Debug, Clone)]
pub struct Timeline {
    legs: [LegLine; 2],
}

impl Timeline {
    /// Where a tick of a stream lies. `None` for a stream that was not there in the first pass.
    pub(crate) fn place(&self, leg: Leg, stream: usize, tick: i64) -> Option<Place> {
        let segments = &self.legs[index(leg)].streams.get(stream)?.segments;
        let segment = segments
            .partition_point(|segment| segment.from_tick <= tick)
            .saturating_sub(1);
        Some(Place {
            segment,
            ns: segments.get(segment)?.place(tick),
        })
    }

    /// Whether wideband audio of these legs arrived between two instants of the capture.
    pub(crate) fn has_wideband(&self, legs: &[Leg], start_ns: u64, end_ns: u64) -> bool {
        legs.iter()
            .flat_map(|leg| &self.legs[index(*leg)].wideband)
            .any(|(first, last)| *first < end_ns && *last >= start_ns)
    }

    /// Where the last audio of either leg ends, in nanoseconds of capture time; 0 when there is none.
    pub fn end_ns(&self) -> u64 {
        let end = |stream: &Stream| stream.segments.last().map(|s| s.place(stream.end_tick));
        self.legs
            .iter()
            .flat_map(|leg| leg.streams.iter().filter_map(end))
            .max()
            .map_or(0, |ns| u64::try_from(ns).unwrap_or(0))
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (leg, line) in LEGS.into_iter().zip(&self.legs) {
            for stream in &line.streams {
                writeln!(
                    f,
                    "{leg:?} ssrc {:08x}: {} packets",
                    stream.ssrc, stream.packets
                )?;
                for (n, segment) in stream.segments.iter().enumerate() {
                    let end = stream.segments.get(n + 1);
                    let end = end.map_or(stream.end_tick, |next| next.from_tick);
                    writeln!(
                        f,
                        "  {:9.3} s to {:9.3} s, clock {:+.0} ppm",
                        segment.place(segment.from_tick) as f64 / 1e9,
                        segment.place(end) as f64 / 1e9,
                        segment.drift_ppm(),
                    )?;
                }
            }
        }
        Ok(())
    }
}
