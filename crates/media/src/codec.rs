//! The telephone codecs by their static RTP payload types (RFC 3551): names, rates, decoding, encoding.

use audio_codec::{
    g722::G722Decoder, g722::G722Encoder, pcma::PcmaDecoder, pcma::PcmaEncoder, pcmu::PcmuDecoder,
    pcmu::PcmuEncoder,
};

/// Payload type of RFC 4733 telephone events in a fork and in our own offers.
pub const TELEPHONE_EVENT: u8 = 101;

/// A codec Callreel decodes and encodes. All have one byte per tick of an 8000 Hz RTP clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s: 16 kHz audio under an 8 kHz RTP clock (RFC 3551 §4.5.2).
    G722,
}

impl Codec {
    /// Every codec, narrowband first.
    pub const ALL: [Self; 3] = [Self::Pcmu, Self::Pcma, Self::G722];

    /// The codec of a static payload type.
    pub fn from_payload_type(payload_type: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.payload_type() == payload_type)
    }

    /// The codec of an encoding name, in any case, such as `PCMU`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// The static payload type (RFC 3551 table 4).
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
        }
    }

    /// The encoding name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
        }
    }

    /// Ticks of the RTP timestamp per second.
    pub fn rtp_clock(self) -> u32 {
        8000
    }

    /// Samples per second of the audio.
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
            Self::G722 => 16000,
        }
    }

    /// Samples by which coding and decoding delay the audio: the filter banks of G.722.
    pub(crate) fn lag(self) -> i64 {
        match self {
            Self::Pcmu | Self::Pcma => 0,
            Self::G722 => 22,
        }
    }

    /// RTP ticks a payload of this many bytes lasts.
    pub fn ticks(self, payload_bytes: usize) -> u32 {
        u32::try_from(payload_bytes).unwrap_or(u32::MAX)
    }
}

enum AnyDecoder {
    Pcmu(PcmuDecoder),
    Pcma(PcmaDecoder),
    G722(Box<G722Decoder>),
}

/// Payloads in, samples out. Keeps state between payloads (G.722), so use one per stream.
pub struct Decoder {
    inner: AnyDecoder,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(codec: Codec) -> Self {
        let inner = match codec {
            Codec::Pcmu => AnyDecoder::Pcmu(PcmuDecoder::new()),
            Codec::Pcma => AnyDecoder::Pcma(PcmaDecoder::new()),
            Codec::G722 => AnyDecoder::G722(Box::new(G722Decoder::new())),
        };
        Self { inner }
    }

    /// What it decodes.
    pub fn codec(&self) -> Codec {
        match self.inner {
            AnyDecoder::Pcmu(_) => Codec::Pcmu,
            AnyDecoder::Pcma(_) => Codec::Pcma,
            AnyDecoder::G722(_) => Codec::G722,
        }
    }

    /// Appends the samples of one payload, at [`Codec::sample_rate`]. Any bytes are a valid payload of these codecs.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        let decoder: &mut dyn audio_codec::Decoder = match &mut self.inner {
            AnyDecoder::Pcmu(d) => d,
            AnyDecoder::Pcma(d) => d,
            AnyDecoder::G722(d) => d.as_mut(),
        };
        let start = out.len();
        out.resize(start + decoder.max_decode_samples(payload.len()), 0);
        let written = decoder
            .decode_into(payload, &mut out[start..])
            .expect("the buffer has the size the decoder asked for");
        out.truncate(start + written);
    }
}

enum AnyEncoder {
    Pcmu(PcmuEncoder),
    Pcma(PcmaEncoder),
    G722(Box<G722Encoder>),
}

/// Samples in, payloads out. Keeps state between payloads (G.722), so use one per stream.
pub struct Encoder {
    inner: AnyEncoder,
}

impl Encoder {
    /// An encoder at the start of a stream.
    pub fn new(codec: Codec) -> Self {
        let inner = match codec {
            Codec::Pcmu => AnyEncoder::Pcmu(PcmuEncoder::new()),
            Codec::Pcma => AnyEncoder::Pcma(PcmaEncoder::new()),
            Codec::G722 => AnyEncoder::G722(Box::new(G722Encoder::new())),
        };
        Self { inner }
    }

    /// What it encodes to.
    pub fn codec(&self) -> Codec {
        match self.inner {
            AnyEncoder::Pcmu(_) => Codec::Pcmu,
            AnyEncoder::Pcma(_) => Codec::Pcma,
            AnyEncoder::G722(_) => Codec::G722,
        }
    }

    /// Appends the payload of these samples, taken at [`Codec::sample_rate`].
    ///
    /// G.722 codes pairs of samples: give it an even number, a last odd one is dropped.
    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) {
        let (encoder, pcm): (&mut dyn audio_codec::Encoder, _) = match &mut self.inner {
            AnyEncoder::Pcmu(e) => (e, pcm),
            AnyEncoder::Pcma(e) => (e, pcm),
            AnyEncoder::G722(e) => (e.as_mut(), &pcm[..pcm.len() & !1]),
        };
        let start = out.len();
        out.resize(start + encoder.max_encode_bytes(pcm.len()), 0);
        let written = encoder
            .encode_into(pcm, &mut out[start..])
            .expect("the buffer has the size the encoder asked for");
        out.truncate(start + written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 400 Hz and a 1500 Hz tone, -9 dBFS together.
    fn speechlike(rate: u32) -> Vec<i16> {
        (0..rate)
            .map(|n| {
                let t = f64::from(n) / f64::from(rate) * std::f64::consts::TAU;
                ((t * 400.0).sin() * 7000.0 + (t * 1500.0).sin() * 4000.0) as i16
            })
            .collect()
    }

    /// Signal to noise in dB, at the best delay of up to `max_delay` samples.
    fn snr(sent: &[i16], heard: &[i16], max_delay: usize) -> f64 {
        (0..=max_delay)
            .map(|delay| {
                let pairs = || {
                    sent.iter()
                        .zip(&heard[delay..])
                        .skip(800)
                        .map(|(s, h)| (f64::from(*s), f64::from(*h)))
                };
                let signal: f64 = pairs().map(|(s, _)| s * s).sum();
                let noise: f64 = pairs().map(|(s, h)| (s - h) * (s - h)).sum();
                10.0 * (signal / noise.max(1e-9)).log10()
            })
            .fold(f64::MIN, f64::max)
    }

    #[test]
    fn every_codec_gives_back_what_was_put_in() {
        for (codec, least_db) in [
            (Codec::Pcmu, 34.0),
            (Codec::Pcma, 34.0),
            (Codec::G722, 20.0),
        ] {
            let sent = speechlike(codec.sample_rate());
            let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
            let mut heard = Vec::new();
            for frame in sent.chunks(codec.sample_rate() as usize / 50) {
                let mut payload = Vec::new();
                encoder.encode(frame, &mut payload);
                assert_eq!(payload.len(), 160, "{codec:?}: 20 ms are 160 bytes");
                decoder.decode(&payload, &mut heard);
            }
            assert_eq!(heard.len(), sent.len());
            let db = snr(&sent, &heard, 40);
            assert!(db > least_db, "{codec:?}: {db:.1} dB");
        }
    }

    #[test]
    fn payload_types_and_names_are_those_of_rfc_3551() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_payload_type(codec.payload_type()), Some(codec));
            assert_eq!(Codec::from_name(&codec.name().to_lowercase()), Some(codec));
            assert_eq!(Decoder::new(codec).codec(), codec);
            assert_eq!(Encoder::new(codec).codec(), codec);
        }
        assert_eq!(Codec::from_payload_type(18), None);
        assert_eq!(Codec::from_payload_type(TELEPHONE_EVENT), None);
        assert_eq!(Codec::G722.rtp_clock(), 8000);
    }

    #[test]
    fn silence_on_the_wire_is_silence_in_samples() {
        let mut out = Vec::new();
        Decoder::new(Codec::Pcmu).decode(&[0xff, 0x7f], &mut out);
        assert_eq!(out, [0, 0]);
        out.clear();
        Decoder::new(Codec::Pcma).decode(&[0xd5], &mut out);
        assert!(out[0].abs() <= 8);
    }

    #[test]
    fn an_odd_last_sample_of_wideband_is_dropped() {
        let mut out = Vec::new();
        Encoder::new(Codec::G722).encode(&[1, 2, 3], &mut out);
        assert_eq!(out.len(), 1);
    }
}
