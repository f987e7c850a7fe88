//! What the phone hears: packets in, one track of audio and the digits pressed out. It owns no socket and no clock.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use callreel_media::{Codec, Decoder, Pcm, Resampler, dtmf};
use rtp_types::RtpPacket;

use super::sdp::Remote;

/// The phone keeps an hour: enough for any test call, and a forgotten one cannot eat the machine (115 MB at 16 kHz).
const KEPT: Duration = Duration::from_secs(3600);
/// RTP time and arrival may disagree by this much before the phone believes the arrival: longer than any sane jitter,
/// shorter than a hold.
const TRUST_RTP_WITHIN: Duration = Duration::from_millis(400);

/// What was heard so far.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// The audio, silence where nothing arrived.
    pub(crate) pcm: Pcm,
    /// When its first sample arrived; `None` while nothing has.
    pub(crate) began: Option<Instant>,
    /// Audio packets heard.
    pub(crate) packets: u64,
    /// Digits pressed by the other side, in order.
    pub(crate) digits: String,
}

struct Track {
    began: Instant,
    sample_rate: u32,
    samples: Vec<i16>,
}

/// Where a stream's RTP time lies on the track.
struct Anchor {
    ssrc: u32,
    clock: u32,
    timestamp: u32,
    position: i64,
}

/// The receiving half of a call's audio.
#[derive(Default)]
pub(crate) struct Hearing {
    codecs: HashMap<u8, Codec>,
    telephone_event: Option<u8>,
    decoder: Option<(Codec, Decoder)>,
    resampler: Option<(u32, Resampler)>,
    track: Option<Track>,
    anchor: Option<Anchor>,
    digits: dtmf::DigitDetector,
    pressed: String,
    packets: u64,
    decoded: Vec<i16>,
    fitted: Vec<i16>,
}

impl Hearing {
    /// Understands these codecs under their static payload types.
    pub(crate) fn new(codecs: &[Codec]) -> Self {
        Self {
            codecs: codecs.iter().map(|c| (c.payload_type(), *c)).collect(),
            telephone_event: Some(callreel_media::TELEPHONE_EVENT),
            ..Self::default()
        }
    }

    /// Understands what was agreed with the other side as well.
    pub(crate) fn tune(&mut self, remote: &Remote) {
        self.codecs.insert(remote.payload_type, remote.codec);
        if remote.telephone_event.is_some() {
            self.telephone_event = remote.telephone_event;
        }
    }

    /// Takes one datagram; what is not RTP or not understood is ignored.
    pub(crate) fn take(&mut self, arrived: Instant, datagram: &[u8]) {
        let Ok(packet) = RtpPacket::parse(datagram) else {
            return;
        };
        if Some(packet.payload_type()) == self.telephone_event {
            if let Some(event) = dtmf::Event::parse(packet.payload()) {
                let digits = self.digits.push(packet.timestamp(), event);
                self.pressed.extend(digits.iter().map(|d| d.digit));
            }
            return;
        }
        if let Some(codec) = self.codecs.get(&packet.payload_type()).copied() {
            self.packets += 1;
            self.decode(codec, packet.payload());
            self.place(arrived, &packet, codec.rtp_clock());
        }
    }

    fn decode(&mut self, codec: Codec, payload: &[u8]) {
        if self.decoder.as_ref().is_none_or(|(c, _)| *c != codec) {
            self.decoder = Some((codec, Decoder::new(codec)));
            self.resampler = None;
        }
        let (_, decoder) = self.decoder.as_mut().expect("set above");
        self.decoded.clear();
        decoder.decode(payload, &mut self.decoded);
        let rate = self
            .track
            .as_ref()
            .map_or(codec.sample_rate(), |t| t.sample_rate);
        if rate == codec.sample_rate() {
            std::mem::swap(&mut self.decoded, &mut self.fitted);
            return;
        }
        let (_, resampler) = self
            .resampler
            .get_or_insert_with(|| (rate, Resampler::new(codec.sample_rate(), rate)));
        self.fitted.clear();
        resampler.push(&self.decoded, &mut self.fitted);
    }

    fn place(&mut self, arrived: Instant, packet: &RtpPacket<'_>, clock: u32) {
        let rate = self
            .decoder
            .as_ref()
            .map_or(8000, |(codec, _)| codec.sample_rate());
        let track = self.track.get_or_insert_with(|| Track {
            began: arrived,
            sample_rate: rate,
            samples: Vec::new(),
        });
        let position = position(&mut self.anchor, track, arrived, packet, clock);
        let limit = KEPT.as_secs() as usize * track.sample_rate as usize;
        let Ok(start) = usize::try_from(position) else {
            return; // sent before the first one we heard
        };
        let end = start + self.fitted.len();
        if end > limit {
            return;
        }
        if track.samples.len() < end {
            track.samples.resize(end, 0);
        }
        track.samples[start..end].copy_from_slice(&self.fitted);
    }

    /// A copy of everything heard so far.
    pub(crate) fn heard(&self) -> Heard {
        Heard {
            pcm: self.track.as_ref().map_or(
                Pcm {
                    sample_rate: 8000,
                    samples: Vec::new(),
                },
                |track| Pcm {
                    sample_rate: track.sample_rate,
                    samples: track.samples.clone(),
                },
            ),
            began: self.track.as_ref().map(|track| track.began),
            packets: self.packets,
            digits: self.pressed.clone(),
        }
    }
}

/// The sample at which a packet belongs: by RTP time while that agrees with its arrival, else by arrival.
fn position(
    anchor: &mut Option<Anchor>,
    track: &Track,
    arrived: Instant,
    packet: &RtpPacket<'_>,
    clock: u32,
) -> i64 {
    let rate = i64::from(track.sample_rate);
    let by_arrival =
        arrived.saturating_duration_since(track.began).as_micros() as i64 * rate / 1_000_000;
    let same = |a: &&Anchor| a.ssrc == packet.ssrc() && a.clock == clock;
    if let Some(anchor) = anchor.as_ref().filter(same) {
        let ticks = packet
            .timestamp()
            .wrapping_sub(anchor.timestamp)
            .cast_signed();
        let by_rtp = anchor.position + i64::from(ticks) * rate / i64::from(clock);
        let apart = (by_rtp - by_arrival).unsigned_abs();
        if apart <= TRUST_RTP_WITHIN.as_millis() as u64 * rate.unsigned_abs() / 1000 {
            return by_rtp;
        }
    }
    *anchor = Some(Anchor {
        ssrc: packet.ssrc(),
        clock,
        timestamp: packet.timestamp(),
        position: by_arrival,
    });
    by_arrival
}

#[cfg(test)]
mod tests {
    use callreel_media::Encoder;
    use rtp_types::RtpPacketBuilder;

    use super::*;

    fn packet(ssrc: u32, sequence: u16, timestamp: u32, level: i16) -> Vec<u8> {
        let mut payload = Vec::new();
        Encoder::new(Codec::Pcmu).encode(&[level; 160], &mut payload);
        RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(0)
            .sequence_number(sequence)
            .timestamp(timestamp)
            .ssrc(ssrc)
            .payload(&payload[..])
            .write_vec()
            .unwrap()
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn is_near(sample: i16, level: i16) -> bool {
        (i32::from(sample) - i32::from(level)).abs() < 300
    }

    #[test]
    fn loss_is_silence_of_its_length_and_order_does_not_matter() {
        let start = Instant::now();
        let mut hearing = Hearing::new(&[Codec::Pcmu]);
        hearing.take(at(start, 0), &packet(1, 10, u32::MAX - 159, 8000));
        hearing.take(at(start, 60), &packet(1, 13, 320, 4000));
        hearing.take(at(start, 61), &packet(1, 11, 0, 6000));
        let heard = hearing.heard();
        assert_eq!(heard.began, Some(start));
        assert_eq!(heard.pcm.samples.len(), 4 * 160);
        assert!(is_near(heard.pcm.samples[80], 8000));
        assert!(is_near(heard.pcm.samples[240], 6000));
        assert!(is_near(heard.pcm.samples[400], 0), "packet 12 was lost");
        assert!(is_near(heard.pcm.samples[560], 4000));
    }

    #[test]
    fn a_new_source_and_a_jump_in_its_time_are_placed_by_arrival() {
        let start = Instant::now();
        let mut hearing = Hearing::new(&[Codec::Pcmu]);
        hearing.take(at(start, 0), &packet(1, 1, 0, 8000));
        hearing.take(at(start, 100), &packet(2, 900, 5_000_000, 6000));
        hearing.take(at(start, 200), &packet(2, 901, 9_000_000, 4000));
        let samples = hearing.heard().pcm.samples;
        assert_eq!(samples.len(), 200 * 8 + 160);
        assert!(is_near(samples[100 * 8 + 5], 6000));
        assert!(is_near(samples[200 * 8 + 5], 4000));
    }

    #[test]
    fn garbage_is_ignored() {
        let mut hearing = Hearing::new(&[Codec::Pcmu]);
        for length in 0..40 {
            hearing.take(Instant::now(), &vec![0xFF; length]);
            hearing.take(Instant::now(), &vec![0x80; length]);
        }
        assert_eq!(hearing.heard().began.is_some(), hearing.heard().packets > 0);
    }
}
