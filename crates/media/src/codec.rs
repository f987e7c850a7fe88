//! The telephone codecs by their RTP payload types (RFC 3551, RFC 7587): names, rates, decoding, encoding.

use audio_codec::{
    g722::G722Decoder, g722::G722Encoder, pcma::PcmaDecoder, pcma::PcmaEncoder, pcmu::PcmuDecoder,
    pcmu::PcmuEncoder,
};

mod opus;

use opus::{OpusDecoder, OpusEncoder};

/// Payload type of RFC 4733 telephone events in a fork and in our own offers.
pub const TELEPHONE_EVENT: u8 = 101;

/// A codec Callreel decodes and encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s: 16 kHz audio under an 8 kHz RTP clock (RFC 3551 §4.5.2).
    G722,
    /// Opus (RFC 6716), taken as 16 kHz mono whatever the sender's, under a 48 kHz RTP clock (RFC 7587 §4.1).
    Opus,
}

impl Codec {
    /// Every codec, narrowband first.
    pub const ALL: [Self; 4] = [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus];

    /// The codec of a payload type as journals and forks have it.
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

    /// The static payload type (RFC 3551 table 4). Opus has none: 111 is what journals, forks and our own offers have.
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 111,
        }
    }

    /// The encoding name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// Ticks of the RTP timestamp per second.
    pub fn rtp_clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8000,
            Self::Opus => 48_000,
        }
    }

    /// Samples per second of the audio.
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
            Self::G722 | Self::Opus => 16000,
        }
    }

    /// Whether it carries more than the telephone band.
    pub(crate) fn is_wideband(self) -> bool {
        self.sample_rate() > 8000
    }

    /// Samples by which coding and decoding delay the audio: the filter banks of G.722, the look-ahead and overlap of Opus.
    pub(crate) fn lag(self) -> i64 {
        match self {
            Self::Pcmu | Self::Pcma => 0,
            Self::G722 => 22,
            Self::Opus => 104,
        }
    }

    /// RTP ticks a payload lasts. An empty one lasts none: it does not tell.
    pub fn ticks(self, payload: &[u8]) -> u32 {
        match self {
            // One byte a tick.
            Self::Pcmu | Self::Pcma | Self::G722 => {
                u32::try_from(payload.len()).unwrap_or(u32::MAX)
            }
            Self::Opus => opus::ticks(payload),
        }
    }
}

enum AnyDecoder {
    Pcmu(PcmuDecoder),
    Pcma(PcmaDecoder),
    G722(Box<G722Decoder>),
    Opus(OpusDecoder),
}

/// Payloads in, samples out. Keeps state between payloads (G.722, Opus), so use one per stream.
pub struct Decoder {
    inner: AnyDecoder,
    invalid: u64,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new(codec: Codec) -> Self {
        let inner = match codec {
            Codec::Pcmu => AnyDecoder::Pcmu(PcmuDecoder::new()),
            Codec::Pcma => AnyDecoder::Pcma(PcmaDecoder::new()),
            Codec::G722 => AnyDecoder::G722(Box::new(G722Decoder::new())),
            Codec::Opus => AnyDecoder::Opus(OpusDecoder::new()),
        };
        Self { inner, invalid: 0 }
    }

    /// What it decodes.
    pub fn codec(&self) -> Codec {
        match self.inner {
            AnyDecoder::Pcmu(_) => Codec::Pcmu,
            AnyDecoder::Pcma(_) => Codec::Pcma,
            AnyDecoder::G722(_) => Codec::G722,
            AnyDecoder::Opus(_) => Codec::Opus,
        }
    }

    /// Payloads so far that were not valid. Only Opus has such: any bytes are a payload of the others.
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Appends the samples of one payload, at [`Codec::sample_rate`]. One that is not valid becomes silence of the length it claims,
    /// and is counted in [`Decoder::invalid`].
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        let decoder: &mut dyn audio_codec::Decoder = match &mut self.inner {
            AnyDecoder::Pcmu(d) => d,
            AnyDecoder::Pcma(d) => d,
            AnyDecoder::G722(d) => d.as_mut(),
            AnyDecoder::Opus(d) => {
                self.invalid += u64::from(!d.decode(payload, out));
                return;
            }
        };
        let start = out.len();
        out.resize(start + decoder.max_decode_samples(payload.len()), 0);
        let written = decoder
            .decode_into(payload, &mut out[start..])
            .expect("the buffer has the size the decoder asked for");
        out.truncate(start + written);
    }

    /// Appends what a codec with a concealment of its own makes of `samples` that were lost, and of what the payload after them tells of them
    /// (RFC 6716 §2.1.7, §4.4): call it before decoding that payload. `false`, and nothing appended, when the codec has none or cannot.
    pub(crate) fn conceal(&mut self, samples: usize, next: &[u8], out: &mut Vec<i16>) -> bool {
        match &mut self.inner {
            AnyDecoder::Pcmu(_) | AnyDecoder::Pcma(_) | AnyDecoder::G722(_) => false,
            AnyDecoder::Opus(d) => d.conceal(samples, next, out),
        }
    }
}

enum AnyEncoder {
    Pcmu(PcmuEncoder),
    Pcma(PcmaEncoder),
    G722(Box<G722Encoder>),
    Opus(OpusEncoder),
}

/// Samples in, payloads out. Keeps state between payloads (G.722, Opus), so use one per stream.
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
            Codec::Opus => AnyEncoder::Opus(OpusEncoder::new()),
        };
        Self { inner }
    }

    /// What it encodes to.
    pub fn codec(&self) -> Codec {
        match self.inner {
            AnyEncoder::Pcmu(_) => Codec::Pcmu,
            AnyEncoder::Pcma(_) => Codec::Pcma,
            AnyEncoder::G722(_) => Codec::G722,
            AnyEncoder::Opus(_) => Codec::Opus,
        }
    }

    /// Appends the payload of these samples, taken at [`Codec::sample_rate`].
    ///
    /// G.722 codes pairs of samples: give it an even number, a last odd one is dropped. Opus codes a frame of 10, 20, 40 or 60 ms:
    /// silence is added up to the next of these, and what lies beyond 60 ms is dropped.
    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) {
        let (encoder, pcm): (&mut dyn audio_codec::Encoder, _) = match &mut self.inner {
            AnyEncoder::Pcmu(e) => (e, pcm),
            AnyEncoder::Pcma(e) => (e, pcm),
            AnyEncoder::G722(e) => (e.as_mut(), &pcm[..pcm.len() & !1]),
            AnyEncoder::Opus(e) => return e.encode(pcm, out),
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

    /// Signal to noise in dB, when `delay` samples are left out.
    fn snr(sent: &[i16], heard: &[i16], delay: usize) -> f64 {
        let pairs = || {
            sent.iter()
                .zip(&heard[delay..])
                .skip(800)
                .map(|(s, h)| (f64::from(*s), f64::from(*h)))
        };
        let signal: f64 = pairs().map(|(s, _)| s * s).sum();
        let noise: f64 = pairs().map(|(s, h)| (s - h) * (s - h)).sum();
        10.0 * (signal / noise.max(1e-9)).log10()
    }

    #[test]
    fn every_codec_gives_back_what_was_put_in() {
        for (codec, least_db) in [
            (Codec::Pcmu, 34.0),
            (Codec::Pcma, 34.0),
            (Codec::G722, 20.0),
            (Codec::Opus, 12.0),
        ] {
            let sent = speechlike(codec.sample_rate());
            let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
            let mut heard = Vec::new();
            for frame in sent.chunks(codec.sample_rate() as usize / 50) {
                let mut payload = Vec::new();
                encoder.encode(frame, &mut payload);
                let ticks = codec.ticks(&payload);
                assert_eq!(ticks, codec.rtp_clock() / 50, "{codec:?}: 20 ms");
                decoder.decode(&payload, &mut heard);
            }
            assert_eq!(heard.len(), sent.len());
            let lag = usize::try_from(codec.lag()).unwrap();
            let db = snr(&sent, &heard, lag);
            assert!(db > least_db, "{codec:?}: {db:.1} dB at its own lag");
            assert_eq!(decoder.invalid(), 0);
        }
    }

    #[test]
    fn payload_types_and_names_are_those_of_the_rfcs() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_payload_type(codec.payload_type()), Some(codec));
            assert_eq!(Codec::from_name(&codec.name().to_lowercase()), Some(codec));
            assert_eq!(Decoder::new(codec).codec(), codec);
            assert_eq!(Encoder::new(codec).codec(), codec);
        }
        assert_eq!(Codec::from_payload_type(18), None);
        assert_eq!(Codec::from_payload_type(TELEPHONE_EVENT), None);
        assert_eq!(Codec::G722.rtp_clock(), 8000);
        assert_eq!(Codec::from_name("OPUS"), Some(Codec::Opus));
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
