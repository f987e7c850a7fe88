//! A phone's media of our own making, beside sipp's signalling: every packet is known, marked and sent when a script says,
//! over a network as bad as a test wants it; and what comes back is heard.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::audio::{self, Heard};

/// Samples of G.711 in a packet of 20 ms.
const FRAME: usize = 160;
/// Bytes of a packet that only this packet has.
pub(crate) const MARK: usize = 16;
/// The next speech's SSRC.
static SOURCES: AtomicU32 = AtomicU32::new(0x0a0a_0001);
/// Payload type of RFC 4733 events in all our SDP.
const EVENTS: u8 = 101;

/// The key `*` (RFC 4733 §3.2).
pub(crate) const STAR: u8 = 10;

/// One packet of a script.
#[derive(Debug, Clone)]
struct Said {
    at_ms: u64,
    payload_type: u8,
    marker: bool,
    timestamp: u32,
    payload: Vec<u8>,
}

/// What a phone says: RTP payloads and when each is sent. Nothing is sent by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speech {
    packets: Vec<Said>,
    /// So much of the beginning of each second is lost on the way.
    lost_each_second_ms: u64,
}

/// What becomes of packets between phone and switch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Network {
    /// One packet in so many is lost; none if 0.
    pub(crate) loses_one_in: usize,
    /// One packet in so many comes twice; none if 0.
    pub(crate) repeats_one_in: usize,
    /// Each packet is delayed by between nothing and this; who is overtaken comes out of order.
    pub(crate) delays_up_to_ms: u64,
}

impl Speech {
    /// These bytes of µ-law in packets of 20 ms.
    pub(crate) fn mulaw(bytes: &[u8]) -> Self {
        Self::in_packets(bytes, 0)
    }

    /// These bytes of A-law.
    pub(crate) fn alaw(bytes: &[u8]) -> Self {
        Self::in_packets(bytes, 8)
    }

    fn in_packets(bytes: &[u8], payload_type: u8) -> Self {
        let packets = bytes.chunks(FRAME).enumerate();
        let said = packets.map(|(n, payload)| Said {
            at_ms: n as u64 * 20,
            payload_type,
            marker: n == 0,
            timestamp: (n * FRAME) as u32,
            payload: payload.to_vec(),
        });
        Self {
            packets: said.collect(),
            lost_each_second_ms: 0,
        }
    }

    /// A tone in µ-law.
    pub(crate) fn tone(hz: f32, seconds: f32) -> Self {
        Self::mulaw(&audio::mulaw_tone(hz, seconds))
    }

    /// Each packet begins with bytes that no other has ([`Speech::mark`]): a click of 2 ms in the tone.
    pub(crate) fn marked(mut self, whose: u8) -> Self {
        for (n, said) in self.packets.iter_mut().enumerate() {
            said.payload[..MARK].copy_from_slice(&mark(whose, n));
        }
        self
    }

    /// What is said in so much of each second's beginning is sent, and never comes.
    pub(crate) fn losing_each_second(mut self, ms: u64) -> Self {
        self.lost_each_second_ms = ms;
        self
    }

    /// Silent between these: no packets at all.
    pub(crate) fn without(mut self, from_ms: u64, until_ms: u64) -> Self {
        let silent = from_ms..until_ms;
        self.packets.retain(|said| !silent.contains(&said.at_ms));
        self
    }

    /// The key 0 to 9, or [`STAR`], is held for `held_ms`; audio pauses meanwhile (RFC 4733 §2.5).
    pub(crate) fn with_key(mut self, key: u8, at_ms: u64, held_ms: u64) -> Self {
        let until = at_ms + held_ms;
        self.packets
            .retain(|said| !(at_ms..until).contains(&said.at_ms));
        let timestamp = (at_ms * 8) as u32;
        let event = |sent_ms: u64, end: u8| {
            let ticks = ((sent_ms + 20 - at_ms) * 8).min(held_ms * 8) as u16;
            let [high, low] = ticks.to_be_bytes();
            Said {
                at_ms: sent_ms,
                payload_type: EVENTS,
                marker: sent_ms == at_ms && end == 0,
                timestamp,
                payload: vec![key, 10 | end, high, low],
            }
        };
        let last = until - 20;
        let lasting = (at_ms..last).step_by(20).map(|ms| event(ms, 0));
        let ended = (0..3).map(|_| event(last, 0x80));
        self.packets.extend(lasting.chain(ended));
        self.packets.sort_by_key(|said| said.at_ms);
        self
    }

    /// These keys, one after the other; nothing else is said.
    pub(crate) fn keys(keys: &str) -> Self {
        Self::default().with_keys(keys, 0)
    }

    /// These keys, one after the other, each for 80 ms and as far from the next.
    pub(crate) fn with_keys(self, keys: &str, at_ms: u64) -> Self {
        let keys = keys.chars().enumerate();
        keys.fold(self, |speech, (n, key)| {
            let event = match key {
                '*' => STAR,
                '#' => STAR + 1,
                digit => u8::try_from(digit.to_digit(10).expect("a key")).unwrap(),
            };
            speech.with_key(event, at_ms + 160 * n as u64, 80)
        })
    }

    /// The packets as they leave the phone: numbered, and then what the network does to them, by the same dice every time.
    fn sent(self, network: Network, ssrc: u32) -> Vec<(u64, Vec<u8>)> {
        let mut dice = seeded(self.packets.len() as u64);
        let mut sent = Vec::new();
        for (sequence, said) in self.packets.into_iter().enumerate() {
            let mut one_in = |n: usize| n > 0 && (dice() as usize).is_multiple_of(n);
            let (lost, twice) = (one_in(network.loses_one_in), one_in(network.repeats_one_in));
            let delay = dice() % (network.delays_up_to_ms + 1);
            let packet = said.packet(sequence as u16, ssrc);
            if twice {
                sent.push((said.at_ms + delay + 5, packet.clone()));
            }
            let swallowed = said.at_ms % 1000 < self.lost_each_second_ms;
            if !lost && !swallowed {
                sent.push((said.at_ms + delay, packet));
            }
        }
        sent.sort_by_key(|(at_ms, _)| *at_ms);
        sent
    }
}

impl Said {
    fn packet(&self, sequence: u16, ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0x80, self.payload_type | u8::from(self.marker) << 7];
        packet.extend(sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend(&self.payload);
        packet
    }
}

/// The bytes that the `n`th packet of a marked speech begins with, and no other packet.
pub(crate) fn mark(whose: u8, n: usize) -> [u8; MARK] {
    let mut dice = seeded((u64::from(whose) << 32) + n as u64 + 1);
    let mut bytes = [0; MARK];
    bytes.fill_with(|| dice() as u8);
    bytes
}

/// Numbers that look random and are the same in every run.
fn seeded(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    }
}

/// What came, and when.
type Datagrams = Vec<(Instant, Vec<u8>)>;

/// The media of one phone: a port, what it sends, and what it has heard.
pub(crate) struct Voice {
    socket: UdpSocket,
    heard: Arc<Mutex<Datagrams>>,
    over: Arc<AtomicBool>,
}

impl Voice {
    /// A free port of loopback, and an ear on it.
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let voice = Self {
            heard: Arc::default(),
            over: Arc::default(),
            socket,
        };
        let (ear, heard, over) = (
            voice.socket.try_clone().unwrap(),
            voice.heard.clone(),
            voice.over.clone(),
        );
        ear.set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        thread::spawn(move || {
            let mut datagram = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                if let Ok(n) = ear.recv(&mut datagram) {
                    heard
                        .lock()
                        .unwrap()
                        .push((Instant::now(), datagram[..n].to_vec()));
                }
            }
        });
        voice
    }

    /// A scenario whose media are these instead of sipp's.
    pub(crate) fn of(&self, scenario: &str) -> String {
        let port = self.socket.local_addr().unwrap().port().to_string();
        assert!(scenario.contains("[rtpstream_audio_port]"), "{scenario}");
        scenario.replace("[rtpstream_audio_port]", &port)
    }

    /// Begins to speak now, beside the test; it ends with the speech.
    pub(crate) fn speaks(&self, to: SocketAddr, speech: Speech) {
        self.speaks_over(to, speech, Network::default());
    }

    /// The same over a bad network. Each speech is a source of its own.
    pub(crate) fn speaks_over(&self, to: SocketAddr, speech: Speech, network: Network) {
        let ssrc = SOURCES.fetch_add(1, Ordering::Relaxed);
        let packets = speech.sent(network, ssrc);
        let (socket, over) = (self.socket.try_clone().unwrap(), self.over.clone());
        thread::spawn(move || {
            let start = Instant::now();
            for (at_ms, packet) in packets {
                let due = start + Duration::from_millis(at_ms);
                while let Some(left) = due.checked_duration_since(Instant::now()) {
                    thread::park_timeout(left);
                }
                if over.load(Ordering::Relaxed) {
                    return;
                }
                drop(socket.send_to(&packet, to));
            }
        });
    }

    /// What came so far, from its first packet on: each source where it began, and from there by its own clock.
    pub(crate) fn heard(&self) -> Heard {
        let packets = self.heard.lock().unwrap().clone();
        let first = packets.first().map(|(at, _)| *at);
        let mut sources: BTreeMap<[u8; 4], (usize, u32)> = BTreeMap::new();
        let mut samples: Vec<f32> = Vec::new();
        for (at, packet) in &packets {
            if packet.len() <= 12 || packet[1] & 0x7f != 0 {
                continue;
            }
            let ssrc = packet[8..12].try_into().unwrap();
            let timestamp = u32::from_be_bytes(packet[4..8].try_into().unwrap());
            let (base, began) = *sources.entry(ssrc).or_insert_with(|| {
                let since = at.duration_since(first.unwrap());
                ((since.as_secs_f64() * 8000.0) as usize, timestamp)
            });
            let place = base + timestamp.wrapping_sub(began) as usize;
            assert!(place < 8000 * 600, "a timestamp out of all bounds");
            let payload = &packet[12..];
            samples.resize(samples.len().max(place + payload.len()), 0.0);
            for (sample, byte) in samples[place..].iter_mut().zip(payload) {
                *sample = audio::of_mulaw(*byte);
            }
        }
        Heard::of(samples)
    }

    /// The keys that were pressed towards it, one after the other.
    pub(crate) fn keys(&self) -> String {
        let heard = self.heard.lock().unwrap();
        let packets = heard.iter().map(|(_, packet)| packet.as_slice());
        let mut events: Vec<_> = packets
            .filter(|packet| packet.len() >= 16 && packet[1] & 0x7f == EVENTS)
            .map(|packet| (&packet[4..8], packet[12]))
            .collect();
        // All packets of one key have one timestamp.
        events.dedup();
        let keys = events.iter().map(|(_, key)| match *key {
            STAR => '*',
            key if key == STAR + 1 => '#',
            digit => char::from(b'0' + digit),
        });
        keys.collect()
    }

    /// How many packets of each payload type have come.
    pub(crate) fn packets(&self) -> BTreeMap<u8, usize> {
        let mut counts = BTreeMap::new();
        for (_, packet) in self.heard.lock().unwrap().iter() {
            *counts.entry(packet[1] & 0x7f).or_default() += 1;
        }
        counts
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
