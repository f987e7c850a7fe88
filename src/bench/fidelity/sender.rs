//! A telephone's sending side: speech in, payloads of 20 ms out, and what a perfect receiver hears of them.

use callreel_media::{Codec, Decoder, Encoder, Pcm};

use crate::correlation::find;

/// Packets per second.
pub(crate) const PACKETS_PER_SECOND: u32 = 50;
/// Speech the codec's delay is measured on, seconds.
const PROBE_S: usize = 8;
/// No codec delays by more than this, ms.
const MOST_LAG_MS: usize = 60;

/// One leg as it was sent.
pub(crate) struct Sent {
    pub(crate) codec: Codec,
    /// One per packet, in order.
    pub(crate) payloads: Vec<Vec<u8>>,
    /// All of them decoded in order: the best a recording can be.
    pub(crate) decoded: Pcm,
    /// Samples by which `decoded` lags what was said: coding takes time, and a recording should not show it.
    pub(crate) lag: usize,
}

impl Sent {
    /// Encodes what was said, at the codec's rate.
    pub(crate) fn encode(codec: Codec, said: &Pcm) -> Self {
        let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
        let mut decoded = Vec::with_capacity(said.samples.len());
        let frame = (codec.sample_rate() / PACKETS_PER_SECOND) as usize;
        let payloads: Vec<Vec<u8>> = said
            .samples
            .chunks_exact(frame)
            .map(|samples| {
                let mut payload = Vec::new();
                encoder.encode(samples, &mut payload);
                decoder.decode(&payload, &mut decoded);
                payload
            })
            .collect();
        Self {
            lag: lag(&said.samples, &decoded, codec.sample_rate()),
            codec,
            payloads,
            decoded: Pcm {
                sample_rate: codec.sample_rate(),
                samples: decoded,
            },
        }
    }

    /// Ticks of the RTP timestamp per packet.
    pub(crate) fn ticks(&self) -> u32 {
        self.codec.rtp_clock() / PACKETS_PER_SECOND
    }
}

/// How much later the decoder gives what was said: measured, not asked of the code under test.
fn lag(said: &[i16], decoded: &[i16], sample_rate: u32) -> usize {
    let most = MOST_LAG_MS * sample_rate as usize / 1000;
    let length = (PROBE_S * sample_rate as usize).min(decoded.len().saturating_sub(most));
    let probe = &said[..length.min(said.len())];
    let around = &decoded[..(length + most).min(decoded.len())];
    find(probe, around).map_or(0, |found| found.at)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::voice, *};

    #[test]
    fn every_codec_gives_packets_of_20_ms_and_its_own_lag() {
        for codec in Codec::ALL {
            let said = voice(3, codec.sample_rate());
            let sent = Sent::encode(codec, &said);
            assert_eq!(sent.payloads.len(), 150);
            assert_eq!(sent.decoded.samples.len(), said.samples.len());
            assert_eq!(sent.ticks() * 50, codec.rtp_clock());
            let is_plain = matches!(codec, Codec::Pcmu | Codec::Pcma);
            assert_eq!(sent.lag == 0, is_plain, "{codec:?}: {}", sent.lag);
        }
    }
}
