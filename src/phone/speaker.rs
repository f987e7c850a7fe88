//! What the phone says next, packet by packet: clips, digits and the silence between them. It owns no socket and no clock.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use callreel_media::{Codec, Encoder, Pcm, dtmf};
use rtp_types::RtpPacketBuilder;
use tokio::sync::oneshot;

use super::sdp::Remote;

/// Packets per second: one every 20 ms, the packet time every phone speaks (RFC 3551 §4.2).
pub(crate) const PACKETS_PER_SECOND: u32 = 50;
/// A digit sounds for 100 ms, a gap of 60 ms follows: what slow detectors still hear (RFC 4733 §2.5.1.2 has 40 ms as
/// the least).
const DIGIT_PACKETS: u16 = 5;
const GAP_PACKETS: u16 = 3;
/// The end of a digit is said three times (RFC 4733 §2.5.1.4).
const END_PACKETS: u16 = 3;
/// A key sounds at -10 dBm0, as telephones do.
const DIGIT_VOLUME: u8 = 10;

/// When a clip was said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Played {
    /// Its first packet was sent then.
    pub(crate) started: Instant,
    /// Its last packet was sent then.
    pub(crate) ended: Instant,
}

/// Audio to be said, and whom to tell when it has been.
pub(crate) struct Clip {
    pub(crate) pcm: Arc<Pcm>,
    pub(crate) done: oneshot::Sender<Played>,
}

struct Saying {
    pcm: Arc<Pcm>,
    at: usize,
    started: Instant,
    done: oneshot::Sender<Played>,
}

/// Keys of a telephone to be dialled, and whom to tell when they have been.
pub(crate) struct Digits {
    pub(crate) digits: VecDeque<char>,
    pub(crate) done: oneshot::Sender<()>,
}

struct Key {
    digit: char,
    timestamp: u32,
    sent: u16,
}

/// The sending half of a call's audio.
pub(crate) struct Speaker {
    codec: Codec,
    encoder: Encoder,
    payload_type: u8,
    telephone_event: Option<u8>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The next audio packet begins a talk spurt (RFC 3551 §4.1).
    marker: bool,
    clips: VecDeque<Clip>,
    saying: Option<Saying>,
    digits: VecDeque<Digits>,
    key: Option<Key>,
    samples: Vec<i16>,
    payload: Vec<u8>,
}

impl Speaker {
    /// A speaker that starts at `sequence` and `timestamp`, which RFC 3550 §5.1 wants random.
    pub(crate) fn new(codec: Codec, ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self {
            codec,
            encoder: Encoder::new(codec),
            payload_type: codec.payload_type(),
            telephone_event: None,
            ssrc,
            sequence,
            timestamp,
            marker: true,
            clips: VecDeque::new(),
            saying: None,
            digits: VecDeque::new(),
            key: None,
            samples: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Speaks as the other side understands.
    pub(crate) fn tune(&mut self, remote: &Remote) {
        if remote.codec != self.codec {
            self.codec = remote.codec;
            self.encoder = Encoder::new(remote.codec);
            self.marker = true;
        }
        self.payload_type = remote.payload_type;
        self.telephone_event = remote.telephone_event;
    }

    /// Says a clip after those before it.
    pub(crate) fn say(&mut self, clip: Clip) {
        self.clips.push_back(clip);
    }

    /// Dials digits, at once; the clip being said waits for them.
    pub(crate) fn dial(&mut self, digits: Digits) {
        self.digits.push_back(digits);
    }

    /// Lets 20 ms pass unsaid: the other side does not want to hear us.
    pub(crate) fn stay_silent(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(self.ticks());
        self.marker = true;
    }

    /// The packet of the next 20 ms.
    pub(crate) fn next_packet(&mut self, now: Instant) -> Vec<u8> {
        let takes_digits = self.telephone_event;
        let packet = match takes_digits {
            Some(payload_type) if self.pressing() => self.digit_packet(payload_type),
            _ => self.audio_packet(now),
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.ticks());
        packet
    }

    /// RTP clock ticks of a packet.
    fn ticks(&self) -> u32 {
        self.codec.rtp_clock() / PACKETS_PER_SECOND
    }

    /// Whether a digit is under way in these 20 ms; takes the next one if need be.
    fn pressing(&mut self) -> bool {
        if let Some(key) = &self.key {
            if key.sent < DIGIT_PACKETS + END_PACKETS - 1 + GAP_PACKETS {
                return true;
            }
            self.key = None;
        }
        while let Some(order) = self.digits.front_mut() {
            if let Some(digit) = order.digits.pop_front() {
                self.key = Some(Key {
                    digit,
                    timestamp: self.timestamp,
                    sent: 0,
                });
                return true;
            }
            if let Some(order) = self.digits.pop_front() {
                // Whoever ordered the digits may have gone.
                order.done.send(()).ok();
            }
        }
        false
    }

    fn digit_packet(&mut self, payload_type: u8) -> Vec<u8> {
        let ticks = u16::try_from(self.ticks()).expect("20 ms of any codec's clock fit");
        let (digit, timestamp, sent) = {
            let key = self.key.as_mut().expect("pressing() put it there");
            key.sent += 1;
            (key.digit, key.timestamp, key.sent)
        };
        if sent > DIGIT_PACKETS + END_PACKETS - 1 {
            return self.silence_packet();
        }
        let end = sent >= DIGIT_PACKETS;
        let duration = sent.min(DIGIT_PACKETS) * ticks;
        let event = dtmf::Event {
            digit,
            end,
            volume: DIGIT_VOLUME,
            duration,
        };
        let payload = event.payload().expect("only digits are dialled");
        self.marker = true;
        write(
            &payload,
            payload_type,
            sent == 1,
            self.sequence,
            timestamp,
            self.ssrc,
        )
    }

    fn silence_packet(&mut self) -> Vec<u8> {
        self.samples.clear();
        self.encode_and_write()
    }

    fn audio_packet(&mut self, now: Instant) -> Vec<u8> {
        self.samples.clear();
        self.fill(now);
        self.encode_and_write()
    }

    fn frame(&self) -> usize {
        (self.codec.sample_rate() / PACKETS_PER_SECOND) as usize
    }

    /// Takes one packet's samples from the clip being said, or the next one.
    fn fill(&mut self, now: Instant) {
        if self.saying.is_none() {
            let rate = self.codec.sample_rate();
            self.saying = self.clips.pop_front().map(|clip| Saying {
                pcm: if clip.pcm.sample_rate == rate {
                    clip.pcm
                } else {
                    Arc::new(clip.pcm.resampled(rate))
                },
                at: 0,
                started: now,
                done: clip.done,
            });
        }
        let frame = self.frame();
        let Some(mut saying) = self.saying.take() else {
            return;
        };
        let end = saying.pcm.samples.len().min(saying.at + frame);
        self.samples
            .extend_from_slice(&saying.pcm.samples[saying.at..end]);
        saying.at = end;
        if end < saying.pcm.samples.len() {
            self.saying = Some(saying);
            return;
        }
        // Whoever ordered the clip may have gone.
        let played = Played {
            started: saying.started,
            ended: now,
        };
        saying.done.send(played).ok();
    }

    fn encode_and_write(&mut self) -> Vec<u8> {
        self.samples.resize(self.frame(), 0);
        self.payload.clear();
        self.encoder.encode(&self.samples, &mut self.payload);
        let marker = std::mem::take(&mut self.marker);
        write(
            &self.payload,
            self.payload_type,
            marker,
            self.sequence,
            self.timestamp,
            self.ssrc,
        )
    }
}

fn write(
    payload: &[u8],
    payload_type: u8,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
) -> Vec<u8> {
    RtpPacketBuilder::<&[u8], &[u8]>::new()
        .payload_type(payload_type)
        .marker_bit(marker)
        .sequence_number(sequence)
        .timestamp(timestamp)
        .ssrc(ssrc)
        .payload(payload)
        .write_vec()
        .expect("a payload type below 128 and no extension cannot fail")
}

#[cfg(test)]
mod tests {
    use rtp_types::RtpPacket;

    use super::*;

    fn remote(telephone_event: Option<u8>) -> Remote {
        Remote {
            address: "127.0.0.1:9".parse().unwrap(),
            codec: Codec::Pcmu,
            payload_type: 0,
            telephone_event,
            sends: true,
            hears: true,
        }
    }

    fn speaker() -> Speaker {
        let mut speaker = Speaker::new(Codec::Pcmu, 7, u16::MAX, u32::MAX - 100);
        speaker.tune(&remote(Some(101)));
        speaker
    }

    #[test]
    fn headers_run_on_through_the_wrap() {
        let mut speaker = speaker();
        let mut before: Option<(u16, u32)> = None;
        for number in 0..4 {
            let bytes = speaker.next_packet(Instant::now());
            let packet = RtpPacket::parse(&bytes).unwrap();
            assert_eq!(packet.payload_len(), 160);
            assert_eq!(packet.marker_bit(), number == 0);
            assert_eq!(packet.ssrc(), 7);
            if let Some((sequence, timestamp)) = before {
                assert_eq!(packet.sequence_number(), sequence.wrapping_add(1));
                assert_eq!(packet.timestamp(), timestamp.wrapping_add(160));
            }
            before = Some((packet.sequence_number(), packet.timestamp()));
        }
    }

    #[test]
    fn a_clip_is_said_once_and_its_span_is_told() {
        let mut speaker = speaker();
        let (done, mut told) = oneshot::channel();
        let pcm = Pcm {
            sample_rate: 8000,
            samples: vec![8000; 170],
        };
        speaker.say(Clip {
            pcm: Arc::new(pcm),
            done,
        });
        let start = Instant::now();
        let first = speaker.next_packet(start);
        assert!(told.try_recv().is_err(), "ten samples are left");
        let later = start + std::time::Duration::from_millis(20);
        let second = speaker.next_packet(later);
        let played = told.try_recv().unwrap();
        assert_eq!((played.started, played.ended), (start, later));
        let (first, second) = (&first[12..], &second[12..]);
        assert_eq!(first, &[first[0]; 160][..]);
        assert_eq!(second[..10], first[..10]);
        assert_ne!(second[10], first[0], "the rest is silence");
    }

    #[test]
    fn a_digit_is_one_event_with_three_ends() {
        let mut speaker = speaker();
        let (done, mut told) = oneshot::channel();
        speaker.dial(Digits {
            digits: "5".chars().collect(),
            done,
        });
        let mut events = Vec::new();
        let mut packets = 0;
        while told.try_recv().is_err() {
            let bytes = speaker.next_packet(Instant::now());
            let packet = RtpPacket::parse(&bytes).unwrap();
            if packet.payload_type() == 101 {
                let event = dtmf::Event::parse(packet.payload()).unwrap();
                events.push((
                    packet.marker_bit(),
                    packet.timestamp(),
                    event.digit,
                    event.end,
                    event.duration,
                ));
            }
            packets += 1;
            assert!(packets < 20);
        }
        assert_eq!(events.len(), 7);
        assert!(events.iter().all(|e| e.1 == events[0].1 && e.2 == '5'));
        assert_eq!(events.iter().filter(|e| e.0).count(), 1);
        assert_eq!(events.iter().filter(|e| e.3 && e.4 == 800).count(), 3);
    }
}
