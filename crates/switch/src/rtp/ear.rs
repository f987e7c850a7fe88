//! Listens to what a phone sends: decodes it when someone asks, and watches it for silence. Never forwards anything.

use std::time::Instant;

use callreel_media::{Codec, Decoder, level};

use super::SilenceWatch;

/// A leg's decoder: each packet is decoded at most once, and not at all if nobody asks.
#[derive(Default)]
pub(super) struct Ear {
    decoder: Option<Decoder>,
    pcm: Vec<i16>,
    heard: bool,
}

impl Ear {
    /// A new packet has come.
    pub(super) fn begin_packet(&mut self) {
        self.heard = false;
    }

    /// The samples of the packet, at the codec's rate.
    pub(super) fn hear(&mut self, codec: Codec, payload: &[u8]) -> &[i16] {
        if !self.heard {
            self.heard = true;
            self.pcm.clear();
            if self.decoder.as_ref().is_none_or(|d| d.codec() != codec) {
                self.decoder = Some(Decoder::new(codec));
            }
            if let Some(decoder) = &mut self.decoder {
                decoder.decode(payload, &mut self.pcm);
            }
        }
        &self.pcm
    }
}

/// A running watch for silence.
#[derive(Debug)]
pub(super) struct Silence {
    watch: SilenceWatch,
    quiet_since: Instant,
    told: bool,
}

impl Silence {
    pub(super) fn new(watch: SilenceWatch, now: Instant) -> Self {
        Self {
            watch,
            quiet_since: now,
            told: false,
        }
    }

    /// Takes the sound of a packet.
    pub(super) fn hear(&mut self, now: Instant, pcm: &[i16]) {
        if level(pcm) >= self.watch.threshold {
            self.quiet_since = now;
            self.told = false;
        }
    }

    /// Whether the silence has now lasted long enough; true once until there is sound again.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let lasted = now.saturating_duration_since(self.quiet_since);
        let due = !self.told && lasted >= self.watch.after;
        self.told |= due;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn silence_is_told_once_and_again_after_sound() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut silence = Silence::new(
            SilenceWatch {
                threshold: 200,
                after: 2 * second,
            },
            start,
        );
        silence.hear(start + second, &[199; 160]);
        assert!(!silence.is_due(start + second));
        assert!(silence.is_due(start + 2 * second));
        assert!(!silence.is_due(start + 3 * second));
        silence.hear(start + 4 * second, &[-200; 160]);
        assert!(!silence.is_due(start + 5 * second));
        assert!(silence.is_due(start + 6 * second));
    }
}
