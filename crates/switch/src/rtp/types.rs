//! The words between the media engine and the rest of the switch. Holds no state and touches no socket.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use callreel_media::{Codec, Pcm};
use serde::Serialize;

/// Where the engine binds and when it calls a leg dead.
#[derive(Debug, Clone)]
pub struct RtpConfig {
    /// Local address of every leg's RTP and RTCP socket.
    pub bind: IpAddr,
    /// Ports legs may use: RTP on the even ones, RTCP on the odd one after it (RFC 3550 §11).
    pub ports: RangeInclusive<u16>,
    /// Local address of the socket that sends forks.
    pub fork_bind: IpAddr,
    /// Seconds without RTP after which a leg that should receive tells [`MediaEvent::Inactive`]; 0 = never.
    pub inactivity_s: u64,
}

/// What SDP said about the other end of a leg. All directions are the switch's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// Where to send until the phone's packets show its real source (symmetric RTP, RFC 4961).
    pub addr: SocketAddr,
    /// What to send and what to expect.
    pub codec: Codec,
    /// The number SDP gave that codec.
    pub payload_type: u8,
    /// How SDP lets the phone be told of keys, and tell of them (RFC 4733); `None` if the phone has no telephone-event.
    pub keys: Option<Keys>,
    /// The switch may send to the phone: false while the phone is `sendonly` or `inactive`.
    pub send: bool,
    /// The phone may send to the switch: false while it is `recvonly` or `inactive`. Packets that come all the same
    /// are counted and dropped.
    pub receive: bool,
}

/// A telephone-event format of SDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The number SDP gave it.
    pub payload_type: u8,
    /// Ticks per second of its durations: the clock of the audio beside it (RFC 4733 §2.1), unless the phone has only another.
    pub clock: u32,
}

impl Keys {
    /// The usual format: under an 8 kHz clock.
    pub fn usual(payload_type: u8) -> Self {
        Self {
            payload_type,
            clock: 8000,
        }
    }
}

/// Sound to play to a leg.
#[derive(Debug, Clone)]
pub struct Playback {
    /// The samples, at any rate; the engine resamples to the leg's codec.
    pub pcm: Arc<Pcm>,
    /// How often; `None` = until stopped. Zero times, or no samples, ends at once.
    pub times: Option<u32>,
}

/// Names one playback of one leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlayId(pub(super) u64);

/// When a caller counts as silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SilenceWatch {
    /// Mean absolute amplitude (of 32767) of a packet below which it is silence. A missing packet is silence too.
    pub threshold: u32,
    /// For how long it must last.
    pub after: Duration,
}

/// What the engine tells about a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// The phone's user pressed a key (RFC 4733); told once per press, when the key is let go.
    Digit {
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
        /// How long it was held, in RTP ticks of 1/8000 s.
        duration_ticks: u32,
    },
    /// A playback is over.
    PlaybackEnded {
        /// Which.
        id: PlayId,
        /// It was stopped, replaced or cut off by the leg's end rather than heard to its end.
        broken: bool,
    },
    /// The watched silence has lasted as long as asked. Told once; sound arms it again.
    Silence,
    /// The first valid RTP packet of the phone; told once in a leg's life.
    FirstPacket,
    /// No RTP for `inactivity_s` although the phone should send: counted from the last packet or the last
    /// `set_remote`, told again after each further `inactivity_s`. An unanswered leg may hear it: a phone need not send then.
    Inactive,
}

/// What a leg has seen so far. Packets unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LegStats {
    /// Valid RTP of the phone, digits included.
    pub received: u64,
    /// Payload bytes of those.
    pub received_bytes: u64,
    /// RTP sent to the phone.
    pub sent: u64,
    /// Datagrams that are no RTP.
    pub malformed: u64,
    /// Valid RTP from an address the leg is not locked to.
    pub foreign: u64,
    /// RTP of the phone with a payload type that was not agreed on.
    pub unexpected: u64,
    /// RTP of the phone while SDP said it would send none.
    pub while_held: u64,
    /// RTCP datagrams; nothing is done with them.
    pub rtcp: u64,
    /// Copies sent to forks.
    pub forked: u64,
    /// Copies the network stack did not take; the recording has gaps there.
    pub fork_failed: u64,
    /// Packets to the phone the network stack did not take.
    pub send_failed: u64,
    /// Keys pressed on the phone.
    pub digits: u64,
    /// Events dropped because their reader was behind.
    pub events_dropped: u64,
    /// Where the phone's packets come from, once known.
    pub source: Option<SocketAddr>,
}

/// Why the engine refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured range can hold no leg at all.
    #[error(
        "switch.rtp_ports {first}-{last} has no even port followed by an odd one; give a wider range"
    )]
    NoPorts {
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
    },
    /// Every port of the range is taken, by our legs or by other programs.
    #[error(
        "no free RTP port in switch.rtp_ports {first}-{last}; give a wider range or take fewer calls"
    )]
    PortsExhausted {
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
    },
    /// A leg's socket could not be opened, for another reason than an occupied port.
    #[error("cannot open RTP on {addr}: {source}; check switch.bind and the limit of open files")]
    Bind {
        /// What was to be bound.
        addr: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The fork socket could not be opened, or has no way to the recorder.
    #[error("cannot send forks from {bind}: {source}; check switch.fork_bind")]
    Fork {
        /// `fork_bind`.
        bind: IpAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// IPv4 cannot send to IPv6 or the other way round.
    #[error(
        "cannot fork to {target} from {bind}: one is IPv4, the other IPv6; change switch.fork_bind"
    )]
    ForkFamily {
        /// The recorder's address.
        target: SocketAddr,
        /// `fork_bind`.
        bind: IpAddr,
    },
    /// As many recorders as may hear a leg at once do so.
    #[error("{0} recorders have the channel's audio already; stop one first")]
    TooManyForks(usize),
    /// The phone agreed on no telephone-event payload type.
    #[error("the phone takes no RFC 4733 digits; send them by SIP INFO")]
    NoTelephoneEvent,
    /// Not a key of a telephone.
    #[error("{0:?} is not a telephone key; use 0-9, *, #, A-D")]
    NotADigit(char),
    /// More digits wait than any user would send.
    #[error("{0} digits wait already; send fewer at once")]
    TooManyDigits(usize),
}
