//! One captured RTP packet, borrowed from wherever the journal's bytes lie.

use callreel_proto::Leg;

use crate::{Codec, TELEPHONE_EVENT};

/// Comfort noise (RFC 3389): says that silence follows, carries no audio we keep.
const COMFORT_NOISE: u8 = 13;

/// One RTP packet of a capture.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Which stream of the call.
    pub leg: Leg,
    /// When it arrived, in nanoseconds since the capture's start.
    pub arrival_ns: u64,
    /// RTP payload type: 0, 8, 9 and 111 are audio, 101 are telephone events.
    pub payload_type: u8,
    /// RTP marker bit.
    pub marker: bool,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, in ticks of its codec's clock.
    pub timestamp: u32,
    /// RTP synchronisation source.
    pub ssrc: u32,
    /// The payload, without RTP header and padding. An empty one of an audio type is one whose audio was taken away: masked, or a key.
    pub payload: &'a [u8],
}

/// Ticks per second in which all streams are counted, whatever their own clock: every codec's clock divides it.
pub(crate) const TICKS_PER_SECOND: i64 = 48_000;

/// Common ticks in one tick of a codec's RTP clock.
pub(crate) fn ticks_per_rtp(codec: Codec) -> i64 {
    TICKS_PER_SECOND / i64::from(codec.rtp_clock())
}

/// How long so many common ticks last, in nanoseconds, rounded down.
pub(crate) fn ns_of_ticks(ticks: i64) -> i64 {
    (ticks * 62_500).div_euclid(3)
}

/// Common ticks in so many nanoseconds, rounded down.
pub(crate) fn ticks_of_ns(ns: i64) -> i64 {
    (ns * 3).div_euclid(62_500)
}

/// What a packet is to the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Audio, or where audio was taken away: has a place in time.
    Audio(Codec),
    /// Telephone events and comfort noise: they only use up sequence numbers.
    Silent,
    /// A payload type nobody agreed on: counted, otherwise like `Silent`.
    Unknown,
}

impl Packet<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match Codec::from_payload_type(self.payload_type) {
            Some(codec) => Kind::Audio(codec),
            None if matches!(self.payload_type, TELEPHONE_EVENT | COMFORT_NOISE) => Kind::Silent,
            None => Kind::Unknown,
        }
    }

    /// Common ticks of audio in it; none when it was taken away.
    pub(crate) fn ticks(&self) -> i64 {
        match self.kind() {
            Kind::Audio(codec) => i64::from(codec.ticks(self.payload)) * ticks_per_rtp(codec),
            Kind::Silent | Kind::Unknown => 0,
        }
    }

    pub(crate) fn arrival(&self) -> i64 {
        i64::try_from(self.arrival_ns).unwrap_or(i64::MAX / 4)
    }
}
