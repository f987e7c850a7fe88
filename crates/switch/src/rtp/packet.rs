//! RTP on the wire (RFC 3550 §5.1): classifies what arrives, writes what leaves. Never sends.

use callreel_media::{Codec, TELEPHONE_EVENT};
use rtp_types::{RtpPacket, RtpPacketBuilder};

use super::Remote;

/// Milliseconds of audio in a packet we make.
pub(super) const FRAME_MS: u64 = 20;
/// Room for one datagram: an Ethernet frame's worth and some. Longer ones are no telephone audio and are dropped.
pub(super) const DATAGRAM_ROOM: usize = 1600;

/// Ticks of a packet we make, under this RTP clock.
pub(super) fn frame_ticks(clock: u32) -> u32 {
    clock / 1000 * FRAME_MS as u32
}

/// What an agreed payload type carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sound in this codec.
    Audio(Codec),
    /// A key (RFC 4733), its durations counted by this clock.
    Event(u32),
}

impl Kind {
    /// What this payload type means on a leg with this agreement; `None` if nothing was agreed.
    ///
    /// A static audio type other than the agreed one is heard too: phones that answered with several codecs may switch
    /// among them without asking (RFC 3264 §6.1), and packets of the old codec are still on their way after a new agreement.
    /// Opus has no static number, but the one of our own offers, whatever number the phone's answer gave it.
    pub(super) fn of(payload_type: u8, remote: &Remote) -> Option<Self> {
        let keys = remote.keys.filter(|k| k.payload_type == payload_type);
        if let Some(keys) = keys {
            Some(Self::Event(keys.clock))
        } else if payload_type == remote.payload_type {
            Some(Self::Audio(remote.codec))
        } else {
            let known = Codec::from_payload_type(payload_type);
            let known = known.filter(|c| *c != Codec::Opus || remote.codec == Codec::Opus);
            known.map(Self::Audio)
        }
    }

    /// The payload type of a fork (docs/fork.md).
    pub(super) fn normalised(self) -> u8 {
        match self {
            Self::Audio(codec) => codec.payload_type(),
            Self::Event(_) => TELEPHONE_EVENT,
        }
    }
}

/// A header's facts that travel with a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) marker: bool,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
}

/// A valid packet of a leg's phone. `datagram` is the whole of it, for a fork's copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming<'a> {
    pub(super) kind: Kind,
    /// What its timestamp counts by.
    pub(super) clock: u32,
    pub(super) header: Header,
    pub(super) payload: &'a [u8],
    pub(super) datagram: &'a [u8],
}

/// Reads a header; `None` if the datagram is no RTP.
pub(super) fn parse(datagram: &[u8]) -> Option<(Header, u8, &[u8])> {
    if datagram.len() >= DATAGRAM_ROOM {
        return None;
    }
    let packet = RtpPacket::parse(datagram).ok()?;
    let header = Header {
        marker: packet.marker_bit(),
        sequence: packet.sequence_number(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
    };
    let end = datagram.len() - usize::from(packet.padding().unwrap_or(0));
    let payload = datagram.get(packet.payload_offset()..end)?;
    Some((header, packet.payload_type(), payload))
}

/// Writes a packet without extension, contributors or padding. `None` if it does not fit, which no payload of ours reaches.
pub(super) fn write<'b>(
    buffer: &'b mut [u8; DATAGRAM_ROOM],
    header: Header,
    payload_type: u8,
    payload: &[u8],
) -> Option<&'b [u8]> {
    let written = RtpPacketBuilder::<&[u8], &[u8]>::new()
        .payload_type(payload_type)
        .marker_bit(header.marker)
        .sequence_number(header.sequence)
        .timestamp(header.timestamp)
        .ssrc(header.ssrc)
        .payload(payload)
        .write_into(buffer)
        .ok()?;
    buffer.get(..written)
}

/// Copies a datagram with another payload type: everything else, padding and extensions too, stays as it came.
pub(super) fn renumber<'b>(
    buffer: &'b mut [u8; DATAGRAM_ROOM],
    datagram: &[u8],
    payload_type: u8,
) -> Option<&'b [u8]> {
    let copy = buffer.get_mut(..datagram.len())?;
    copy.copy_from_slice(datagram);
    let second = copy.get_mut(1)?;
    *second = (*second & 0x80) | (payload_type & 0x7f);
    Some(copy)
}
