//! Presses keys: the sequence of RFC 4733 packets for digits of ours. No timer, no numbering, no socket.

use std::collections::VecDeque;

use callreel_media::dtmf::Event;

use super::Error;
use super::packet::frame_ticks;

/// Digits that may wait: more than any number, code or card anyone dials in one go.
const MAX_WAITING: usize = 64;
/// Frames a key is held: 100 ms, above the 40 ms receivers must accept (ITU-T Q.24).
const HELD_FRAMES: u16 = 5;
/// How often the end of a key is sent (RFC 4733 §2.5.1.4).
const END_PACKETS: u16 = 3;
/// Frames between keys: with the end packets more than 100 ms.
const PAUSE_FRAMES: u16 = 3;
/// -10 dBm0, a usual level.
const VOLUME: u8 = 10;

/// What to do in this frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Send this packet; `first` begins a key: it takes the time of now and the marker.
    Press { payload: [u8; 4], first: bool },
    /// Send nothing.
    Pause,
    /// All digits are sent.
    Done,
}

/// The keys waiting to be pressed.
#[derive(Debug, Default)]
pub(super) struct Dialer {
    waiting: VecDeque<char>,
    /// The key being pressed, and its frame.
    current: Option<(char, u16)>,
}

impl Dialer {
    /// Puts digits at the end of the queue: all or none.
    pub(super) fn push(&mut self, digits: &str) -> Result<(), Error> {
        if let Some(odd) = digits.chars().find(|digit| press(*digit, 0, 0).is_none()) {
            return Err(Error::NotADigit(odd));
        }
        if self.waiting.len() + digits.len() > MAX_WAITING {
            return Err(Error::TooManyDigits(self.waiting.len()));
        }
        self.waiting.extend(digits.chars());
        Ok(())
    }

    /// Advances by one frame of 20 ms; durations are counted by this clock.
    pub(super) fn step(&mut self, clock: u32) -> Step {
        let (digit, frame) = match self.current {
            Some((digit, frame)) => (digit, frame),
            None => match self.waiting.pop_front() {
                Some(digit) => (digit, 0),
                None => return Step::Done,
            },
        };
        let last = HELD_FRAMES + END_PACKETS + PAUSE_FRAMES - 1;
        self.current = (frame < last).then_some((digit, frame + 1));
        match press(digit, frame, clock) {
            Some(payload) => Step::Press {
                payload,
                first: frame == 0,
            },
            None => Step::Pause,
        }
    }
}

/// The payload of a frame of a key; `None` in the pause after it, or if it is no key.
fn press(digit: char, frame: u16, clock: u32) -> Option<[u8; 4]> {
    if frame >= HELD_FRAMES + END_PACKETS {
        return None;
    }
    let frames = (frame + 1).min(HELD_FRAMES + 1);
    Event {
        digit,
        end: frame >= HELD_FRAMES,
        volume: VOLUME,
        duration: u16::try_from(u32::from(frames) * frame_ticks(clock)).unwrap_or(u16::MAX),
    }
    .payload()
}

#[cfg(test)]
mod tests {
    use super::*;
    use callreel_media::dtmf::DigitDetector;

    #[test]
    fn dialled_digits_are_heard_once_each_by_a_receiver() {
        let mut dialer = Dialer::default();
        dialer.push("11#").unwrap();
        let mut detector = DigitDetector::new();
        let (mut heard, mut timestamp, mut now) = (String::new(), 0, 0);
        loop {
            match dialer.step(8000) {
                Step::Press { payload, first } => {
                    if first {
                        timestamp = now;
                    }
                    let event = Event::parse(&payload).unwrap();
                    heard.extend(detector.push(timestamp, event).iter().map(|d| d.digit));
                }
                Step::Pause => {}
                Step::Done => break,
            }
            now += 160;
        }
        assert_eq!(heard, "11#");
        assert_eq!(now, 3 * 11 * 160);
    }

    #[test]
    fn a_stray_letter_or_a_flood_of_digits_changes_nothing() {
        let mut dialer = Dialer::default();
        assert!(matches!(dialer.push("12x"), Err(Error::NotADigit('x'))));
        assert_eq!(dialer.step(8000), Step::Done);
        assert!(dialer.push(&"1".repeat(MAX_WAITING)).is_ok());
        assert!(matches!(
            dialer.push("1"),
            Err(Error::TooManyDigits(MAX_WAITING))
        ));
    }
}
