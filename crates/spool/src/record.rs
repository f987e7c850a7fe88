//! The records of a journal and their bytes (docs/journal.md); reads and writes no file.

use callreel_proto::{AccountId, CallId, CaptureId, EndReason, Leg, RecordingId, Utc};
use serde::{Deserialize, Serialize};

/// The longest record body, bytes: what the two length bytes in front of it can say. No UDP payload is longer.
pub const MAX_RECORD: usize = u16::MAX as usize;

/// Length and checksum in front of every record.
pub(crate) const FRAME: usize = 6;

const PACKET: u8 = 1;
const MARK: u8 = 2;
const SEAL: u8 = 3;
const PACKET_FIXED: usize = 21;
const FLAG_LEG_B: u8 = 1;
const FLAG_MARKER: u8 = 2;

/// Whose capture it is: the head of every journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureHeader {
    /// The capture.
    pub capture_id: CaptureId,
    /// The captured call's A leg.
    pub call_id: CallId,
    /// The account the call belongs to.
    pub account_id: AccountId,
    /// Wall-clock time of the capture's nanosecond 0.
    pub started_at: Utc,
}

/// One RTP packet, as the recorder received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketRecord<'a> {
    /// Which stream it belongs to.
    pub leg: Leg,
    /// When it arrived, nanoseconds of the capture's clock.
    pub arrival_ns: u64,
    /// RTP payload type: 0, 8, 9, 111 or 101 in a fork.
    pub payload_type: u8,
    /// RTP marker bit.
    pub marker: bool,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP SSRC.
    pub ssrc: u32,
    /// What follows the RTP header; empty if its audio was taken away.
    pub payload: &'a [u8],
}

/// Something that happened to the call or to one of its recordings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// A recording of this capture began.
    RecordingStarted(RecordingId),
    /// A recording of this capture ended.
    RecordingEnded(RecordingId, EndReason),
    /// The A leg was answered.
    Answered,
    /// The A leg was joined with another.
    Bridged,
    /// They were parted.
    Unbridged,
    /// From here this recording hears silence.
    Masked(RecordingId),
    /// From here it hears audio again.
    Unmasked(RecordingId),
    /// The call ended.
    HungUp,
}

/// One record of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// An RTP packet.
    Packet(PacketRecord<'a>),
    /// Something that happened.
    Mark {
        /// When, nanoseconds of the capture's clock.
        at_ns: u64,
        /// What.
        mark: Mark,
    },
}

impl Record<'_> {
    /// The record's place on the capture's clock, nanoseconds.
    pub fn at_ns(&self) -> u64 {
        match self {
            Self::Packet(packet) => packet.arrival_ns,
            Self::Mark { at_ns, .. } => *at_ns,
        }
    }
}

/// What a record's body says.
pub(crate) enum Body<'a> {
    Record(Record<'a>),
    /// The last record of a journal that was closed in order.
    Seal,
    /// A kind of a newer version: skipped.
    Unknown,
    /// A known kind with impossible contents.
    Malformed(&'static str),
}

/// Appends the framed record to `out`; `seed` is the header's checksum.
pub(crate) fn frame(record: &Record<'_>, seed: u32, out: &mut Vec<u8>) -> Result<(), usize> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    match record {
        Record::Packet(packet) => push_packet(packet, out),
        Record::Mark { at_ns, mark } => {
            out.push(MARK);
            out.extend_from_slice(&at_ns.to_le_bytes());
            serde_json::to_writer(&mut *out, mark)
                .expect("a mark is ids and names, and a Vec takes any bytes");
        }
    }
    close_frame(start, seed, out)
}

/// Appends the framed seal to `out`.
pub(crate) fn frame_seal(seed: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    out.push(SEAL);
    close_frame(start, seed, out).expect("one byte fits a record");
}

fn close_frame(start: usize, seed: u32, out: &mut Vec<u8>) -> Result<(), usize> {
    let bytes = out.len() - start - FRAME;
    let Ok(length) = u16::try_from(bytes) else {
        out.truncate(start);
        return Err(bytes);
    };
    let length = length.to_le_bytes();
    let crc = checksum(seed, length, &out[start + FRAME..]);
    out[start..start + 2].copy_from_slice(&length);
    out[start + 2..start + FRAME].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

fn push_packet(packet: &PacketRecord<'_>, out: &mut Vec<u8>) {
    let mut flags = 0;
    if packet.leg == Leg::B {
        flags |= FLAG_LEG_B;
    }
    if packet.marker {
        flags |= FLAG_MARKER;
    }
    out.extend_from_slice(&[PACKET, flags, packet.payload_type]);
    out.extend_from_slice(&packet.sequence.to_le_bytes());
    out.extend_from_slice(&packet.timestamp.to_le_bytes());
    out.extend_from_slice(&packet.ssrc.to_le_bytes());
    out.extend_from_slice(&packet.arrival_ns.to_le_bytes());
    out.extend_from_slice(packet.payload);
}

/// CRC-32 over the header, the length and the body, so that a block of another journal never passes for ours.
pub(crate) fn checksum(seed: u32, length: [u8; 2], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(seed);
    crc.update(&length);
    crc.update(body);
    crc.finalize()
}

/// Reads a body whose checksum was right.
pub(crate) fn parse(body: &[u8]) -> Body<'_> {
    match body {
        [PACKET, rest @ ..] => parse_packet(rest),
        [MARK, rest @ ..] => parse_mark(rest),
        [SEAL] => Body::Seal,
        [SEAL, ..] => Body::Malformed("a seal with contents"),
        [] => Body::Malformed("an empty record"),
        _ => Body::Unknown,
    }
}

fn parse_packet(rest: &[u8]) -> Body<'_> {
    let Some((fixed, payload)) = rest.split_first_chunk::<{ PACKET_FIXED - 1 }>() else {
        return Body::Malformed("a packet shorter than its fields");
    };
    let [
        flags,
        payload_type,
        s0,
        s1,
        t0,
        t1,
        t2,
        t3,
        c0,
        c1,
        c2,
        c3,
        arrival @ ..,
    ] = *fixed;
    if flags & !(FLAG_LEG_B | FLAG_MARKER) != 0 {
        return Body::Malformed("a packet with unknown flags");
    }
    Body::Record(Record::Packet(PacketRecord {
        leg: if flags & FLAG_LEG_B == 0 {
            Leg::A
        } else {
            Leg::B
        },
        marker: flags & FLAG_MARKER != 0,
        payload_type,
        sequence: u16::from_le_bytes([s0, s1]),
        timestamp: u32::from_le_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_le_bytes([c0, c1, c2, c3]),
        arrival_ns: u64::from_le_bytes(arrival),
        payload,
    }))
}

fn parse_mark(rest: &[u8]) -> Body<'_> {
    let Some((at, json)) = rest.split_first_chunk::<8>() else {
        return Body::Malformed("a mark shorter than its time");
    };
    // A mark that a newer version knows is no reason to lose the audio behind it.
    serde_json::from_slice(json).map_or(Body::Unknown, |mark| {
        Body::Record(Record::Mark {
            at_ns: u64::from_le_bytes(*at),
            mark,
        })
    })
}
