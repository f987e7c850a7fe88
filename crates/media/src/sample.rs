//! Test phones: they make the packets a real one would send over a bad network, and look for their sound in what was rendered.

use std::io::Cursor;

use callreel_proto::{AudioFormat, Channels, Leg};

use crate::{
    Codec, Cut, Encoder, Packet, Pcm, Profile, Renderer, Summary, Timeline, TimelineBuilder,
    read_audio,
};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const S: u64 = 1000 * MS;

/// A packet that owns its payload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) leg: Leg,
    pub(crate) arrival_ns: u64,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: Vec<u8>,
}

impl Sent {
    pub(crate) fn packet(&self) -> Packet<'_> {
        Packet {
            leg: self.leg,
            arrival_ns: self.arrival_ns,
            payload_type: self.payload_type,
            marker: false,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload: &self.payload,
        }
    }
}

/// One phone's stream.
pub(crate) struct Phone {
    pub(crate) leg: Leg,
    pub(crate) codec: Codec,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    /// True time of the next packet's first sample, in nanoseconds.
    pub(crate) clock_ns: f64,
    /// How much faster than ours its clock runs.
    pub(crate) ppm: f64,
    /// Milliseconds in a packet.
    pub(crate) ptime: u32,
    encoder: Encoder,
}

impl Phone {
    pub(crate) fn new(leg: Leg, codec: Codec) -> Self {
        Self {
            leg,
            codec,
            ssrc: if leg == Leg::A { 0xaaaa } else { 0xbbbb },
            sequence: 65_000,
            timestamp: u32::MAX - 40_000,
            clock_ns: 0.0,
            ppm: 0.0,
            ptime: 20,
            encoder: Encoder::new(codec),
        }
    }

    pub(crate) fn with_codec(&mut self, codec: Codec) {
        self.codec = codec;
        self.encoder = Encoder::new(codec);
    }

    fn ns_per_packet(&self) -> f64 {
        f64::from(self.ptime) * 1e6 / (1.0 + self.ppm / 1e6)
    }

    fn ticks(&self) -> u32 {
        self.codec.rtp_clock() / 1000 * self.ptime
    }

    /// Sends the sound `sound(true seconds)` for so many packets. Each arrives when its last sample has been spoken.
    pub(crate) fn talk(&mut self, packets: usize, sound: impl Fn(f64) -> f64) -> Vec<Sent> {
        (0..packets)
            .map(|_| {
                let samples = (self.codec.sample_rate() / 1000 * self.ptime) as usize;
                let step = self.ns_per_packet() / samples as f64;
                let pcm: Vec<i16> = (0..samples)
                    .map(|n| sound((self.clock_ns + n as f64 * step) / 1e9) as i16)
                    .collect();
                let mut payload = Vec::new();
                self.encoder.encode(&pcm, &mut payload);
                self.send(self.codec.payload_type(), payload)
            })
            .collect()
    }

    pub(crate) fn send(&mut self, payload_type: u8, payload: Vec<u8>) -> Sent {
        let sent = Sent {
            leg: self.leg,
            arrival_ns: (self.clock_ns + self.ns_per_packet()) as u64,
            payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.ticks());
        self.clock_ns += self.ns_per_packet();
        sent
    }

    /// Says nothing for so many packets' time, while its timestamp runs on: silence suppression.
    pub(crate) fn pause(&mut self, packets: u32) {
        self.timestamp = self.timestamp.wrapping_add(self.ticks() * packets);
        self.clock_ns += self.ns_per_packet() * f64::from(packets);
    }

    /// Says nothing, and its timestamp stands still.
    pub(crate) fn freeze(&mut self, packets: u32) {
        self.clock_ns += self.ns_per_packet() * f64::from(packets);
    }
}

/// A voice nobody else has: two tones whose loudness wavers at its own pace.
pub(crate) fn voice(hz: f64) -> impl Fn(f64) -> f64 {
    move |t| {
        let waver = 0.6 + 0.4 * (t * std::f64::consts::TAU * (1.3 + hz / 1000.0)).sin();
        let tone = |hz: f64| (t * hz * std::f64::consts::TAU).sin();
        (tone(hz) * 0.7 + tone(hz * 2.37) * 0.3) * waver * 9000.0
    }
}

/// A tone that rises and falls around a pitch of its own: shifted by a millisecond it is not like itself any more.
pub(crate) fn song(hz: f64) -> impl Fn(f64) -> f64 {
    move |t| {
        let turn = std::f64::consts::TAU;
        let sway = 300.0 / (turn * 0.9) * (t * 0.9 * turn).cos();
        ((t * hz - sway) * turn).sin() * 6000.0 * (0.7 + 0.3 * (t * 4.0 * turn).sin())
    }
}

/// How far a channel's sound lies behind where it should, in milliseconds, and how like it is there. Up to 60 ms are looked at.
pub(crate) fn shift(
    pcm: &Pcm,
    span_s: (f64, f64),
    offset_s: f64,
    sound: impl Fn(f64) -> f64,
) -> (f64, f64) {
    let rate = f64::from(pcm.sample_rate);
    let reach = (rate * 0.06) as usize;
    let span = (span_s.0 * rate) as usize..(span_s.1 * rate) as usize;
    let heard: Vec<f64> = pcm.samples[span.clone()]
        .iter()
        .map(|s| f64::from(*s))
        .collect();
    let meant: Vec<f64> = (0..heard.len() + 2 * reach)
        .map(|n| sound((span.start + n) as f64 / rate - 0.06 + offset_s))
        .collect();
    let energy = |samples: &[f64]| samples.iter().map(|s| s * s).sum::<f64>();
    // The sound is as loud everywhere in so short a reach.
    let loud = (energy(&heard) * energy(&meant[reach..reach + heard.len()])).sqrt();
    let like = |at: usize| {
        let meant = &meant[at..at + heard.len()];
        let product: f64 = heard.iter().zip(meant).map(|(h, m)| h * m).sum();
        product / loud.max(1.0)
    };
    let best = |places: &mut dyn Iterator<Item = usize>| {
        places
            .max_by(|a, b| like(*a).total_cmp(&like(*b)))
            .expect("there are places")
    };
    let coarse = best(&mut (0..=2 * reach).step_by(3));
    let fine = best(&mut (coarse.saturating_sub(3)..=(coarse + 3).min(2 * reach)));
    ((reach as f64 - fine as f64) * 1000.0 / rate, like(fine))
}

/// Short bursts of a tone, one at each whole multiple of `every` seconds.
pub(crate) fn ticks(every: f64) -> impl Fn(f64) -> f64 {
    move |t| {
        let since = t - (t / every).floor() * every;
        if since < 0.005 {
            (since * 1000.0 * std::f64::consts::TAU).sin() * 12_000.0
        } else {
            0.0
        }
    }
}

/// Both legs' packets as a journal has them: by arrival.
pub(crate) fn journal(parts: impl IntoIterator<Item = Vec<Sent>>) -> Vec<Sent> {
    let mut all: Vec<Sent> = parts.into_iter().flatten().collect();
    all.sort_by_key(|sent| sent.arrival_ns);
    all
}

pub(crate) fn timeline(journal: &[Sent]) -> Timeline {
    let mut builder = TimelineBuilder::new();
    for sent in journal {
        builder.push(&sent.packet());
    }
    builder.finish()
}

pub(crate) fn cut(start_ns: u64, end_ns: u64) -> Cut {
    Cut {
        start_ns,
        end_ns,
        masks: Vec::new(),
        channels: Channels::Stereo,
    }
}

pub(crate) fn wav() -> Profile {
    Profile {
        format: AudioFormat::Wav,
        ..Profile::default()
    }
}

/// Both passes; the file's bytes.
pub(crate) fn file(journal: &[Sent], cut: Cut, profile: Profile) -> (Vec<u8>, Summary) {
    let timeline = timeline(journal);
    let mut bytes = Cursor::new(Vec::new());
    let mut renderer = Renderer::new(cut, profile, &timeline, &mut bytes).unwrap();
    for sent in journal {
        renderer.push(&sent.packet()).unwrap();
    }
    let summary = renderer.finish().unwrap();
    (bytes.into_inner(), summary)
}

/// Both passes; the audio a player would play, by channel.
pub(crate) fn play(journal: &[Sent], cut: Cut, profile: Profile) -> (Vec<Pcm>, Summary) {
    let (bytes, summary) = file(journal, cut, profile);
    let played = read_audio(bytes, Some(profile.format.extension())).unwrap();
    (played, summary)
}

/// How well a channel resembles a sound that began at `offset_s` of its time, over a span of the channel: 1 is the same, 0 is unrelated.
pub(crate) fn likeness(
    pcm: &Pcm,
    span_s: (f64, f64),
    offset_s: f64,
    sound: impl Fn(f64) -> f64,
) -> f64 {
    let rate = f64::from(pcm.sample_rate);
    let span = (span_s.0 * rate) as usize..(span_s.1 * rate) as usize;
    let (mut product, mut heard, mut meant) = (0.0, 0.0, 0.0);
    for n in span {
        let (h, m) = (f64::from(pcm.samples[n]), sound(n as f64 / rate + offset_s));
        product += h * m;
        heard += h * h;
        meant += m * m;
    }
    product / (heard * meant).sqrt().max(1.0)
}

/// Where ticks begin in a channel, in seconds.
pub(crate) fn onsets(pcm: &Pcm) -> Vec<f64> {
    let rate = pcm.sample_rate as usize;
    let mut found = Vec::new();
    let mut quiet_since = rate;
    for (n, sample) in pcm.samples.iter().enumerate() {
        if sample.unsigned_abs() > 2000 {
            if quiet_since > rate / 20 {
                found.push(n as f64 / rate as f64);
            }
            quiet_since = 0;
        } else {
            quiet_since += 1;
        }
    }
    found
}
