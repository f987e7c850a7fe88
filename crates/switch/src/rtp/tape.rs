//! Remembers what a phone says while a message is recorded, so that whoever spoke it can hear it at once. Keeps the packets as
//! they came: decoding waits until somebody listens.

use callreel_media::{Codec, Decoder, Pcm};

use super::packet::Header;

/// Bytes kept of one message: nine minutes of G.711, more of Opus. What is spoken after them is recorded, and not heard here.
const MOST_BYTES: usize = 4_500_000;
/// Packets kept of it: as many of 20 ms.
const MOST_PACKETS: usize = 27_000;
/// A pause is not heard longer than this: a phone whose clock leaps would fill the memory with silence.
const LONGEST_PAUSE_S: u32 = 10;

/// What was said.
#[derive(Debug, Clone)]
pub struct Tape {
    codec: Codec,
    bytes: Vec<u8>,
    /// RTP timestamp, and where the payload ends.
    packets: Vec<(u32, usize)>,
}

impl Tape {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            bytes: Vec::new(),
            packets: Vec::new(),
        }
    }

    /// Takes a packet. Those of another codec, late ones and those beyond the limit are left out.
    fn take(&mut self, codec: Codec, header: Header, payload: &[u8]) {
        let room = self.bytes.len() + payload.len() <= MOST_BYTES;
        let is_late =
            |(last, _): &(u32, usize)| header.timestamp.wrapping_sub(*last).cast_signed() <= 0;
        if codec != self.codec
            || !room
            || self.packets.len() >= MOST_PACKETS
            || self.packets.last().is_some_and(is_late)
        {
            return;
        }
        self.bytes.extend_from_slice(payload);
        self.packets.push((header.timestamp, self.bytes.len()));
    }

    /// The sound, with its pauses. Takes a while.
    pub fn sound(&self) -> Pcm {
        let (rate, clock) = (self.codec.sample_rate(), self.codec.rtp_clock());
        let mut decoder = Decoder::new(self.codec);
        let mut samples: Vec<i16> = Vec::new();
        let (mut start, mut due) = (0, None);
        for (timestamp, end) in &self.packets {
            let missing = due.map_or(0, |due: u32| timestamp.wrapping_sub(due));
            let pause = match missing.cast_signed() {
                1.. => u64::from(missing.min(clock * LONGEST_PAUSE_S)),
                _ => 0,
            };
            let silence = pause * u64::from(rate) / u64::from(clock);
            let before = samples.len() + usize::try_from(silence).unwrap_or(0);
            samples.resize(before, 0);
            decoder.decode(&self.bytes[start..*end], &mut samples);
            start = *end;
            let heard = (samples.len() - before) as u64;
            let ticks = heard * u64::from(clock) / u64::from(rate);
            due = Some(timestamp.wrapping_add(u32::try_from(ticks).unwrap_or(0)));
        }
        Pcm {
            sample_rate: rate,
            samples,
        }
    }
}

/// A leg's tape recorder.
#[derive(Debug, Default)]
pub(super) struct Deck {
    running: bool,
    tape: Option<Tape>,
}

impl Deck {
    /// From now on, over whatever was on it.
    pub(super) fn start(&mut self) {
        self.running = true;
        self.tape = None;
    }

    /// What was said since.
    pub(super) fn stop(&mut self) -> Option<Tape> {
        self.running = false;
        self.tape.take()
    }

    /// Takes a packet of the phone.
    pub(super) fn hear(&mut self, codec: Codec, header: Header, payload: &[u8]) {
        if self.running {
            let tape = self.tape.get_or_insert_with(|| Tape::new(codec));
            tape.take(codec, header, payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(timestamp: u32) -> Header {
        Header {
            marker: false,
            sequence: 0,
            timestamp,
            ssrc: 1,
        }
    }

    #[test]
    fn what_was_said_is_heard_with_its_pauses_and_without_what_came_late() {
        let mut deck = Deck::default();
        deck.hear(Codec::Pcmu, header(0), &[0; 160]);
        deck.start();
        for at in [800, 960, 960, 1440, 1280] {
            deck.hear(Codec::Pcmu, header(at), &[0x80; 160]);
        }
        deck.hear(Codec::Pcma, header(1600), &[0x80; 160]);
        let sound = deck.stop().unwrap().sound();
        assert_eq!(sound.sample_rate, 8000);
        // Two packets, a pause of two, and one more.
        assert_eq!(sound.samples.len(), 5 * 160);
        assert!(sound.samples[320..640].iter().all(|sample| *sample == 0));
        assert!(sound.samples[..320].iter().all(|sample| *sample != 0));
        deck.hear(Codec::Pcmu, header(9999), &[0x80; 160]);
        assert!(deck.stop().is_none());
    }

    #[test]
    fn a_tape_has_an_end_and_a_leap_of_the_clock_is_a_short_pause() {
        let mut deck = Deck::default();
        deck.start();
        for n in 0..40_000_u32 {
            deck.hear(Codec::Pcmu, header(n * 160), &[0x80; 160]);
        }
        let tape = deck.stop().unwrap();
        assert_eq!(tape.packets.len(), MOST_PACKETS);
        deck.start();
        deck.hear(Codec::Pcmu, header(0), &[0x80; 160]);
        deck.hear(Codec::Pcmu, header(0x4000_0000), &[0x80; 160]);
        let sound = deck.stop().unwrap().sound();
        assert_eq!(sound.samples.len(), 320 + 10 * 8000);
    }
}
