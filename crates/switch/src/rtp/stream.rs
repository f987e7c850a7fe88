//! The one RTP stream a leg sends: its SSRC, gapless numbering and timestamps whatever the source. No socket, no clock.

use std::time::Instant;

use super::packet::Header;

/// A sequence step forward beyond which a source has started anew (RFC 3550 appendix A.1, `MAX_DROPOUT`).
const MAX_DROPOUT: i16 = 3000;
/// How far behind the newest packet a late one may be (RFC 3550 appendix A.1, `MAX_MISORDER`).
const MAX_MISORDER: i16 = 100;
/// A source's timestamps may disagree with their arrival by so many seconds before they count as started anew: phones stop
/// or reset their clock during a hold, and far ends take a jump of minutes badly.
const MAX_TIMESTAMP_ERROR_S: u32 = 10;

/// A leg's outgoing numbering. What it is fed may change between a bridged phone and our own sound at any time.
#[derive(Debug)]
pub(super) struct Stream {
    ssrc: u32,
    /// Ticks of its timestamps in a second.
    clock: u32,
    /// Sequence number of the newest packet sent.
    sequence: u16,
    /// The newest timestamp sent, and when.
    newest: (u32, Option<Instant>),
    /// Ticks the packet with the newest timestamp lasts.
    duration: u32,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Nothing, or whatever it was has ended.
    None,
    /// Sound of ours; the next frame has this timestamp.
    Own { next: u32 },
    /// A bridged phone's stream.
    Phone {
        ssrc: u32,
        /// The newest sequence number it sent.
        sequence: u16,
        /// Added to its timestamps.
        offset: u32,
    },
}

/// Where a packet stands in its source's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// This much after the newest one.
    Newer(u16),
    /// The newest one again, or one that was overtaken: this much before it.
    Late(u16),
    /// Another stream, or the same one started anew.
    Anew,
}

impl Stream {
    /// A stream under this clock that has sent nothing; the other three should be random (RFC 3550 §5.1).
    pub(super) fn new(clock: u32, ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self {
            ssrc,
            clock,
            sequence,
            newest: (timestamp, None),
            duration: 0,
            source: Source::None,
        }
    }

    /// Ticks of its timestamps in a second.
    pub(super) fn clock(&self) -> u32 {
        self.clock
    }

    /// Whether a packet of a bridged phone comes after its newest one, so that a codec with memory may decode it.
    pub(super) fn is_late(&self, from: &Header) -> bool {
        matches!(self.place(from), Place::Late(_))
    }

    /// Whether this is a packet of ours that has come back (RFC 3550 §8.2).
    pub(super) fn is_looped(&self, from: &Header) -> bool {
        from.ssrc == self.ssrc
    }

    /// Whether the last thing sent was this bridged phone's.
    pub(super) fn is_from(&self, from: &Header) -> bool {
        matches!(self.source, Source::Phone { ssrc, .. } if ssrc == from.ssrc)
    }

    /// The header for a packet of a bridged phone: its losses, reorderings and pauses stay as they are.
    pub(super) fn relayed(&mut self, now: Instant, from: &Header, ticks: u32) -> Header {
        match self.place(from) {
            Place::Late(behind) => Header {
                sequence: self.sequence.wrapping_sub(behind),
                timestamp: from.timestamp.wrapping_add(self.offset()),
                ssrc: self.ssrc,
                marker: from.marker,
            },
            Place::Newer(ahead) if self.agrees_with_arrival(now, from) => {
                let timestamp = from.timestamp.wrapping_add(self.offset());
                self.source_reached(from.ssrc, from.sequence, self.offset());
                self.send(now, ahead, timestamp, ticks, from.marker)
            }
            Place::Newer(_) | Place::Anew => {
                let timestamp = self.next_timestamp(now);
                let offset = timestamp.wrapping_sub(from.timestamp);
                self.source_reached(from.ssrc, from.sequence, offset);
                self.send(now, 1, timestamp, ticks, true)
            }
        }
    }

    /// The header for one more frame cut from the packet that `relayed` has just numbered, at `timestamp` of the source.
    pub(super) fn following(&mut self, now: Instant, timestamp: u32, ticks: u32) -> Header {
        let timestamp = timestamp.wrapping_add(self.offset());
        self.send(now, 1, timestamp, ticks, false)
    }

    /// Passes over a packet of a bridged phone that the leg is not sent on purpose, so that it does not look lost.
    pub(super) fn skipped(&mut self, from: &Header) {
        if matches!(self.place(from), Place::Newer(_)) {
            self.source_reached(from.ssrc, from.sequence, self.offset());
        }
    }

    /// The header for a frame of our own; the first one after anything else carries the marker.
    pub(super) fn own(&mut self, now: Instant, ticks: u32) -> Header {
        let (timestamp, first) = match self.source {
            Source::Own { next } => (next, false),
            Source::None | Source::Phone { .. } => (self.next_timestamp(now), true),
        };
        let next = timestamp.wrapping_add(ticks);
        self.source = Source::Own { next };
        self.send(now, 1, timestamp, ticks, first)
    }

    /// The next packet begins a new stretch: timestamps will account for the time until then.
    pub(super) fn end_source(&mut self) {
        self.source = Source::None;
    }

    /// The timestamp of a key pressed now (RFC 4733 §2.2); it keeps it while it lasts.
    pub(super) fn begin_event(&mut self, now: Instant) -> u32 {
        let timestamp = self.next_timestamp(now);
        self.newest = (timestamp, Some(now));
        timestamp
    }

    /// The header for a packet of a key of ours, beside whatever else the leg is sent.
    pub(super) fn event(&mut self, timestamp: u32, marker: bool) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        Header {
            marker,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }

    fn offset(&self) -> u32 {
        match self.source {
            Source::Phone { offset, .. } => offset,
            Source::None | Source::Own { .. } => 0,
        }
    }

    fn source_reached(&mut self, ssrc: u32, sequence: u16, offset: u32) {
        self.source = Source::Phone {
            ssrc,
            sequence,
            offset,
        };
    }

    fn place(&self, from: &Header) -> Place {
        let Source::Phone { ssrc, sequence, .. } = self.source else {
            return Place::Anew;
        };
        let step = from.sequence.wrapping_sub(sequence).cast_signed();
        match step {
            _ if ssrc != from.ssrc => Place::Anew,
            1..=MAX_DROPOUT => Place::Newer(step.unsigned_abs()),
            _ if (-MAX_MISORDER..=0).contains(&step) => Place::Late(step.unsigned_abs()),
            _ => Place::Anew,
        }
    }

    fn agrees_with_arrival(&self, now: Instant, from: &Header) -> bool {
        let timestamp = from.timestamp.wrapping_add(self.offset());
        let expected = self.newest.0.wrapping_add(self.ticks_since_newest(now));
        let error = timestamp.wrapping_sub(expected).cast_signed();
        // A key keeps its timestamp however long it is held.
        let most = MAX_TIMESTAMP_ERROR_S.saturating_mul(self.clock);
        timestamp == self.newest.0 || error.unsigned_abs() <= most
    }

    /// Where a new stretch begins: after the last packet, and as much later as it is later.
    fn next_timestamp(&self, now: Instant) -> u32 {
        let gone = self.ticks_since_newest(now).max(self.duration);
        self.newest.0.wrapping_add(gone)
    }

    fn ticks_since_newest(&self, now: Instant) -> u32 {
        let Some(at) = self.newest.1 else { return 0 };
        let ticks =
            now.saturating_duration_since(at).as_micros() * u128::from(self.clock) / 1_000_000;
        // RTP time wraps after six days; so may this.
        (ticks & u128::from(u32::MAX)) as u32
    }

    fn send(
        &mut self,
        now: Instant,
        ahead: u16,
        timestamp: u32,
        ticks: u32,
        marker: bool,
    ) -> Header {
        self.sequence = self.sequence.wrapping_add(ahead);
        // Packets of one key share a timestamp: the first of them is when it was.
        if self.newest.1.is_none() || timestamp != self.newest.0 {
            self.newest = (timestamp, Some(now));
            self.duration = ticks;
        }
        Header {
            marker,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }
}

#[cfg(test)]
mod tests;
