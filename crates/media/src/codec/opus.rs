//! Opus for telephone speech: a packet's length by its first bytes, decoding to 16 kHz mono, encoding with forward error correction.

use opus_rs::{Application, OpusDecoder as Decode, OpusEncoder as Encode};

/// Samples per second in and out; the wideband of Opus, which is what speech needs.
const SAMPLE_RATE: usize = 16_000;
/// RTP ticks in one of our samples (RFC 7587 §4.1: the clock is 48 kHz whatever the audio's rate).
const TICKS_PER_SAMPLE: u32 = 3;
/// RFC 6716 §3.2.5: a packet holds at most 120 ms.
const MAX_TICKS: u32 = 5760;
/// Frames speech is coded in, in samples: 10 to 60 ms.
const FRAMES: [usize; 4] = [160, 320, 640, 960];
/// The shortest frame of all, 2.5 ms: losses are concealed in multiples of it.
const SHORTEST: usize = 40;
/// RFC 6716 §3.4: the most a frame of up to 60 ms takes, and the byte before it.
const MAX_BYTES: usize = 1276;
/// Good wideband speech, with a third of it to spare for the copy of the packet before.
const BITS_PER_SECOND: i32 = 32_000;
/// Of 0 to 10. More costs twice the time for a tenth of a decibel.
const COMPLEXITY: i32 = 5;
/// Loss the encoder prepares for: without an expectation it makes no copies.
const EXPECTED_LOSS_PERCENT: i32 = 10;

/// RTP ticks of one frame, by the configuration in the first byte (RFC 6716 §3.1).
fn frame_ticks(toc: u8) -> u32 {
    let config = toc >> 3;
    match config {
        // SILK: 10, 20, 40, 60 ms.
        0..=11 => [480, 960, 1920, 2880][usize::from(config % 4)],
        // Hybrid: 10, 20 ms.
        12..=15 => [480, 960][usize::from(config % 2)],
        // CELT: 2.5, 5, 10, 20 ms.
        _ => [120, 240, 480, 960][usize::from(config % 4)],
    }
}

/// RTP ticks a packet lasts. One that names more frames than a packet can hold, or none, counts as one frame.
pub(super) fn ticks(payload: &[u8]) -> u32 {
    let Some(toc) = payload.first() else {
        return 0;
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => payload.get(1).map_or(0, |count| u32::from(count & 0x3f)),
    };
    let frame = frame_ticks(*toc);
    match frame * frames {
        total @ 1..=MAX_TICKS => total,
        _ => frame,
    }
}

fn samples(payload: &[u8]) -> usize {
    (ticks(payload) / TICKS_PER_SAMPLE) as usize
}

pub(super) struct OpusDecoder {
    inner: Box<Decode>,
    decoded: Vec<f32>,
}

impl OpusDecoder {
    pub(super) fn new() -> Self {
        let inner = Decode::new(SAMPLE_RATE as i32, 1).expect("Opus decodes to 16 kHz mono");
        Self {
            inner: Box::new(inner),
            decoded: Vec::new(),
        }
    }

    /// Appends the samples of a packet, always as many as it lasts. `false` when it was not valid, and they are silence.
    pub(super) fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> bool {
        let length = samples(payload);
        self.decoded.clear();
        self.decoded.resize(length, 0.0);
        let decoded = self.inner.decode(payload, length, &mut self.decoded);
        let valid = length > 0 && decoded == Ok(length);
        if !valid {
            self.decoded.fill(0.0);
        }
        self.give(out);
        valid
    }

    /// Appends `samples` in place of lost ones, the last of them from the copy in the packet that follows, if it has one.
    pub(super) fn conceal(&mut self, samples: usize, next: &[u8], out: &mut Vec<i16>) -> bool {
        if samples == 0 || !samples.is_multiple_of(SHORTEST) {
            return false;
        }
        self.decoded.clear();
        self.decoded.resize(samples, 0.0);
        let made = self.inner.decode_fec(next, samples, &mut self.decoded);
        if made == Ok(samples) {
            self.give(out);
        }
        made == Ok(samples)
    }

    fn give(&self, out: &mut Vec<i16>) {
        // A float cast saturates, which is what clipping should do.
        let to_i16 = |sample: &f32| (sample * 32768.0).round() as i16;
        out.extend(self.decoded.iter().map(to_i16));
    }
}

pub(super) struct OpusEncoder {
    inner: Box<Encode>,
    frame: Vec<i16>,
}

impl OpusEncoder {
    pub(super) fn new() -> Self {
        let mut inner = Encode::new(SAMPLE_RATE as i32, 1, Application::Voip)
            .expect("Opus encodes 16 kHz mono");
        inner.bitrate_bps = BITS_PER_SECOND;
        inner.use_cbr = false;
        inner.complexity = COMPLEXITY;
        inner.use_inband_fec = true;
        inner.packet_loss_perc = EXPECTED_LOSS_PERCENT;
        Self {
            inner: Box::new(inner),
            frame: Vec::new(),
        }
    }

    /// Appends the packet of these samples, filled up with silence to a frame. No samples make no packet.
    pub(super) fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) {
        if pcm.is_empty() {
            return;
        }
        let longest = FRAMES[FRAMES.len() - 1];
        let frame = FRAMES.into_iter().find(|frame| *frame >= pcm.len());
        let frame = frame.unwrap_or(longest);
        self.frame.clear();
        self.frame.extend_from_slice(&pcm[..pcm.len().min(frame)]);
        self.frame.resize(frame, 0);
        let start = out.len();
        out.resize(start + MAX_BYTES, 0);
        let encoded = self.inner.encode_i16(&self.frame, frame, &mut out[start..]);
        out.truncate(start + encoded.expect("the frame and the buffer have sizes Opus takes"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Its loudness wavers as speech does: of an even tone the codec thinks that nobody speaks, and makes no copies.
    fn voice(n: usize) -> i16 {
        crate::sample::voice(310.0)(n as f64 / SAMPLE_RATE as f64) as i16
    }

    fn packets(count: usize, frame: usize) -> Vec<Vec<u8>> {
        let mut encoder = OpusEncoder::new();
        (0..count)
            .map(|n| {
                let pcm: Vec<i16> = (n * frame..(n + 1) * frame).map(voice).collect();
                let mut payload = Vec::new();
                encoder.encode(&pcm, &mut payload);
                payload
            })
            .collect()
    }

    fn likeness(heard: &[i16], from: usize) -> f64 {
        let lag = 104;
        let (mut product, mut a, mut b) = (0.0, 0.0, 0.0);
        for (n, sample) in heard.iter().enumerate() {
            let (h, m) = (f64::from(*sample), f64::from(voice(from + n - lag)));
            product += h * m;
            a += h * h;
            b += m * m;
        }
        product / (a * b).sqrt().max(1.0)
    }

    #[test]
    fn lengths_are_those_of_rfc_6716() {
        for (payload, ms) in [
            (&[0b0000_0000u8][..], 10.0),
            (&[0b0001_1000], 60.0),
            (&[0b0100_1000], 20.0),
            (&[0b0110_0001], 20.0),
            (&[0b1000_0000], 2.5),
            (&[0b1111_1010], 40.0),
            (&[0b1111_1011, 6], 120.0),
            (&[0b1111_1011, 0xc0 | 3], 60.0),
            // None at all, more than 120 ms, and a count that is not there: one frame.
            (&[0b1111_1011, 0], 20.0),
            (&[0b0001_1011, 3], 60.0),
            (&[0b1110_0011], 2.5),
            (&[], 0.0),
        ] {
            assert_eq!(f64::from(ticks(payload)) / 48.0, ms, "{payload:?}");
        }
    }

    #[test]
    fn every_frame_length_survives_and_odd_ones_are_filled_up() {
        for frame in FRAMES {
            let mut decoder = OpusDecoder::new();
            let mut heard = Vec::new();
            let count = 16_000 / frame;
            for payload in packets(count, frame) {
                assert_eq!(samples(&payload), frame);
                assert!(decoder.decode(&payload, &mut heard));
            }
            assert_eq!(heard.len(), count * frame);
            let like = likeness(&heard[8000..], 8000);
            assert!(like > 0.9, "{frame} samples: {like}");
        }
        for (given, coded) in [(1, 160), (161, 320), (5000, 960)] {
            let mut payload = Vec::new();
            OpusEncoder::new().encode(&vec![3; given], &mut payload);
            assert_eq!(samples(&payload), coded);
        }
        let mut nothing = Vec::new();
        OpusEncoder::new().encode(&[], &mut nothing);
        assert!(nothing.is_empty());
    }

    #[test]
    fn a_lost_packet_comes_back_out_of_the_next_one() {
        let sent = packets(100, 320);
        let conceal = |lost: usize, next: &[u8]| {
            let mut decoder = OpusDecoder::new();
            let mut heard = Vec::new();
            for payload in &sent[..60] {
                decoder.decode(payload, &mut heard);
            }
            let mut covered = Vec::new();
            assert!(decoder.conceal(lost, next, &mut covered));
            assert_eq!(covered.len(), lost);
            likeness(&covered[lost - 320..], 60 * 320 + lost - 320)
        };
        let one = conceal(320, &sent[61]);
        assert!(one > 0.6, "{one}");
        // After three lost packets the last of them is nothing like what came before.
        let (with, without) = (conceal(960, &sent[63]), conceal(960, &[]));
        assert!(with > without + 0.1, "{with} and {without}");
        let mut untouched = Vec::new();
        assert!(!OpusDecoder::new().conceal(321, &sent[1], &mut untouched));
        assert!(untouched.is_empty(), "nothing is added when it cannot");
    }

    #[test]
    fn what_is_not_valid_is_silence_of_the_length_it_claims() {
        let mut decoder = OpusDecoder::new();
        let mut heard = Vec::new();
        // Two frames in an odd number of bytes, and one frame more than fits.
        for (payload, length) in [
            (&[0b0000_1001u8, 1, 2, 3][..], 640),
            (&[0b0001_1011, 9, 9], 960),
        ] {
            heard.clear();
            assert!(!decoder.decode(payload, &mut heard), "{payload:?}");
            assert_eq!(heard, vec![0; length]);
        }
        assert!(!decoder.decode(&[], &mut heard));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_bytes_become_as_many_samples_as_they_claim(
            payloads in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..60), 0usize..8), 1..40),
        ) {
            let mut decoder = OpusDecoder::new();
            for (payload, lost) in payloads {
                let mut out = Vec::new();
                if decoder.conceal(lost * SHORTEST, &payload, &mut out) {
                    prop_assert_eq!(out.len(), lost * SHORTEST);
                    out.clear();
                }
                decoder.decode(&payload, &mut out);
                prop_assert_eq!(out.len(), samples(&payload));
            }
        }
    }
}
