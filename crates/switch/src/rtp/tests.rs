//! The engine seen from its phones and recorders, over real sockets on loopback.

mod fork;
mod guard;
mod mixer;
mod opus;
mod playback;
mod relay;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use callreel_media::dtmf::Event;
use callreel_media::{Codec, Decoder, Encoder, Pcm};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::packet::{DATAGRAM_ROOM, Header, parse, write};
use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Longer than anything here takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

fn engine() -> MediaEngine {
    MediaEngine::start(RtpConfig {
        bind: LOOPBACK,
        ports: 22_000..=26_999,
        fork_bind: LOOPBACK,
        inactivity_s: 1,
    })
    .unwrap()
}

/// A packet as a phone or a recorder sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    payload_type: u8,
    header: Header,
    payload: Vec<u8>,
    from: SocketAddr,
}

/// A phone, or a recorder's port: a socket and the stream it sends.
struct Phone {
    socket: UdpSocket,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

impl Phone {
    async fn new(ssrc: u32) -> Self {
        Self {
            socket: UdpSocket::bind((LOOPBACK, 0)).await.unwrap(),
            ssrc,
            sequence: u16::MAX - 3,
            timestamp: u32::MAX - 1000,
        }
    }

    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// What SDP would say about this phone.
    fn remote(&self, codec: Codec) -> Remote {
        Remote {
            addr: self.addr(),
            codec,
            payload_type: codec.payload_type(),
            keys: Some(Keys {
                payload_type: 101,
                clock: codec.rtp_clock(),
            }),
            send: true,
            receive: true,
        }
    }

    async fn send_raw(&self, leg: &MediaLeg, datagram: &[u8]) {
        let to = (LOOPBACK, leg.local_port());
        self.socket.send_to(datagram, to).await.unwrap();
    }

    async fn send_at(&self, leg: &MediaLeg, payload_type: u8, header: Header, payload: &[u8]) {
        let mut buffer = [0; DATAGRAM_ROOM];
        let datagram = write(&mut buffer, header, payload_type, payload).unwrap();
        self.send_raw(leg, datagram).await;
    }

    /// Sends the next packet of the phone's sound.
    async fn send(&mut self, leg: &MediaLeg, payload_type: u8, payload: &[u8]) -> Header {
        let header = self.header();
        self.send_at(leg, payload_type, header, payload).await;
        self.sequence = self.sequence.wrapping_add(1);
        let codec = Codec::from_payload_type(payload_type).unwrap_or(Codec::Pcmu);
        self.timestamp = self.timestamp.wrapping_add(codec.ticks(payload));
        header
    }

    /// Holds a key for five packets and lets it go, the end sent three times (RFC 4733 §2.5.1.4).
    async fn press(&mut self, leg: &MediaLeg, payload_type: u8, digit: char) {
        for n in 1..=8u16 {
            let event = Event {
                digit,
                end: n > 5,
                volume: 10,
                duration: n.min(6) * 160,
            };
            let header = self.header();
            let payload = event.payload().unwrap();
            self.send_at(leg, payload_type, header, &payload).await;
            self.sequence = self.sequence.wrapping_add(1);
        }
        self.timestamp = self.timestamp.wrapping_add(960);
    }

    fn header(&self) -> Header {
        Header {
            marker: false,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        }
    }

    async fn hear(&self) -> Heard {
        let mut buffer = [0; DATAGRAM_ROOM];
        let received = timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("a packet should have come").unwrap();
        let (header, payload_type, payload) = parse(&buffer[..length]).unwrap();
        Heard {
            payload_type,
            header,
            payload: payload.to_vec(),
            from,
        }
    }

    async fn hear_many(&self, count: usize) -> Vec<Heard> {
        let mut heard = Vec::new();
        for _ in 0..count {
            heard.push(self.hear().await);
        }
        heard
    }

    /// Whether nothing has come, now that everything sent must have been handled.
    fn heard_nothing(&self) -> bool {
        self.socket.try_recv(&mut [0; 16]).is_err()
    }
}

/// A leg with its phone and events, agreed on a codec.
struct Party {
    phone: Phone,
    leg: MediaLeg,
    events: mpsc::Receiver<MediaEvent>,
}

impl Party {
    async fn new(engine: &MediaEngine, ssrc: u32, codec: Codec) -> Self {
        let phone = Phone::new(ssrc).await;
        let (leg, events) = engine.open().unwrap();
        leg.set_remote(phone.remote(codec));
        Self { phone, leg, events }
    }

    async fn send(&mut self, payload_type: u8, payload: &[u8]) -> Header {
        self.phone.send(&self.leg, payload_type, payload).await
    }

    /// Sends until the leg knows the phone, so that nothing is in flight.
    async fn greet(&mut self, payload_type: u8) {
        self.send(payload_type, &[0xd5; 160]).await;
        assert_eq!(self.event().await, MediaEvent::FirstPacket);
    }

    async fn event(&mut self) -> MediaEvent {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event
            .expect("an event should have come")
            .expect("the leg is open")
    }

    /// Waits until the counters say so.
    async fn until(&self, what: impl Fn(&LegStats) -> bool) -> LegStats {
        let wait = async {
            loop {
                let stats = self.leg.stats();
                if what(&stats) {
                    return stats;
                }
                // Waking the clock, where it stands still until nothing else is to be done.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reached = timeout(PATIENCE, wait).await;
        reached.unwrap_or_else(|_| panic!("never reached: {:?}", self.leg.stats()))
    }
}

/// A sine at half of full scale.
fn tone(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
    let step = hz * std::f64::consts::TAU / f64::from(rate);
    (0..samples)
        .map(|n| ((n as f64 * step).sin() * 16_000.0) as i16)
        .collect()
}

/// Packets of 20 ms.
fn encoded(codec: Codec, pcm: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec);
    let frames = pcm.chunks(codec.sample_rate() as usize / 50);
    let encode = |frame| {
        let mut payload = Vec::new();
        encoder.encode(frame, &mut payload);
        payload
    };
    frames.map(encode).collect()
}

fn decoded(codec: Codec, heard: &[Heard]) -> Vec<i16> {
    let mut decoder = Decoder::new(codec);
    let mut pcm = Vec::new();
    for packet in heard {
        decoder.decode(&packet.payload, &mut pcm);
    }
    pcm
}

/// The share of a sound's power that is at this frequency: 1.0 for a clean sine of it.
fn purity(pcm: &[i16], hz: f64, rate: u32) -> f64 {
    let step = hz * std::f64::consts::TAU / f64::from(rate);
    let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let (angle, sample) = (n as f64 * step, f64::from(*sample));
        sine += sample * angle.sin();
        cosine += sample * angle.cos();
        power += sample * sample;
    }
    2.0 * (sine * sine + cosine * cosine) / (power * pcm.len() as f64).max(1.0)
}

/// Sequence numbers follow on and the stream is one.
fn assert_continuous(heard: &[Heard]) {
    for pair in heard.windows(2) {
        let (before, after) = (pair[0].header, pair[1].header);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1), "{pair:?}");
        assert_eq!(after.ssrc, before.ssrc);
    }
}

fn sound(pcm: Vec<i16>, sample_rate: u32) -> Arc<Pcm> {
    Arc::new(Pcm {
        sample_rate,
        samples: pcm,
    })
}
