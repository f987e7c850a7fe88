//! DTMF as RFC 4733 telephone events: payloads to digits and back. It never looks at audio.

use audio_codec::telephone_event::{
    digit_to_event, encode_event_payload, event_to_digit, parse_telephone_event,
};

/// Events 0 to 15 are the keys of a telephone (RFC 4733 §3.2); the others are not digits.
const LAST_DIGIT_EVENT: u8 = 15;

/// One telephone-event payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// `0`-`9`, `*`, `#`, `A`-`D`.
    pub digit: char,
    /// Whether the key has been released.
    pub end: bool,
    /// Power in dBm0 below zero: 10 means -10 dBm0.
    pub volume: u8,
    /// Ticks of the RTP clock since the event's timestamp.
    pub duration: u16,
}

impl Event {
    /// Reads a payload (RFC 4733 §2.3). `None` when it is malformed or not a digit.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let event = parse_telephone_event(payload)?;
        (event.event <= LAST_DIGIT_EVENT).then(|| Self {
            digit: event_to_digit(event.event),
            end: event.end,
            volume: event.volume,
            duration: event.duration,
        })
    }

    /// The payload, or `None` when the digit is not a key of a telephone.
    pub fn payload(&self) -> Option<[u8; 4]> {
        let event = digit_to_event(self.digit)?;
        Some(encode_event_payload(
            event,
            self.end,
            self.volume,
            self.duration,
        ))
    }
}

/// A key that was pressed and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digit {
    /// `0`-`9`, `*`, `#`, `A`-`D`.
    pub digit: char,
    /// How long it was held, in ticks of the RTP clock.
    pub duration_ticks: u32,
}

#[derive(Debug, Clone, Copy)]
struct Press {
    timestamp: u32,
    digit: char,
    /// Ticks of earlier segments of the same press (RFC 4733 §2.5.1.3).
    earlier: u32,
    duration: u16,
    reported: bool,
}

impl Press {
    fn digit(&self) -> Digit {
        Digit {
            digit: self.digit,
            duration_ticks: self.earlier + u32::from(self.duration),
        }
    }
}

/// Makes one [`Digit`] of the many packets of a key press. One per stream.
///
/// A press is known by its RTP timestamp: repeated, reordered and re-sent packets of it change nothing after it was reported.
#[derive(Debug, Default)]
pub struct DigitDetector {
    press: Option<Press>,
}

impl DigitDetector {
    /// A detector at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one event packet and its RTP timestamp. Gives the digits that are complete now: usually none or one; two when the end of the one
    /// before was lost and this packet is already the end of the next.
    pub fn push(&mut self, timestamp: u32, event: Event) -> Vec<Digit> {
        let mut complete = Vec::new();
        let mut press = Press {
            timestamp,
            digit: event.digit,
            earlier: 0,
            duration: event.duration,
            reported: false,
        };
        if let Some(known) = self.press {
            let later = timestamp.wrapping_sub(known.timestamp).cast_signed();
            if later < 0 {
                return complete;
            }
            let continues = known.duration == u16::MAX
                && later == i32::from(u16::MAX)
                && known.digit == event.digit;
            if later == 0 {
                press = Press {
                    duration: known.duration.max(event.duration),
                    ..known
                };
            } else if continues {
                press.earlier = known.earlier + u32::from(known.duration);
                press.reported = known.reported;
            } else {
                complete.extend(self.finish());
            }
        }
        if event.end && !press.reported {
            press.reported = true;
            complete.push(press.digit());
        }
        self.press = Some(press);
        complete
    }

    /// The pressed key, when no more packets of it can be expected though its end never came: say, 200 ms after the last.
    pub fn finish(&mut self) -> Option<Digit> {
        let press = self.press.as_mut().filter(|press| !press.reported)?;
        press.reported = true;
        Some(press.digit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(digit: char, duration: u16, end: bool) -> Event {
        Event {
            digit,
            end,
            volume: 10,
            duration,
        }
    }

    #[test]
    fn every_key_survives_the_wire() {
        for digit in "0123456789*#ABCD".chars() {
            let sent = event(digit, 1600, true);
            assert_eq!(Event::parse(&sent.payload().unwrap()), Some(sent));
        }
        assert_eq!(event('x', 1, true).payload(), None);
    }

    #[test]
    fn malformed_payloads_and_other_events_are_no_digits() {
        for payload in [
            &[][..],
            &[1],
            &[1, 2, 3],
            &[16, 0, 0, 0],
            &[255; 4],
            &[1, 2, 3, 4, 5],
        ] {
            assert_eq!(Event::parse(payload), None, "{payload:?}");
        }
    }

    #[test]
    fn a_press_is_reported_once_however_often_its_end_is_sent() {
        let mut detector = DigitDetector::new();
        assert_eq!(detector.push(100, event('5', 160, false)), []);
        assert_eq!(detector.push(100, event('5', 320, false)), []);
        let five = Digit {
            digit: '5',
            duration_ticks: 480,
        };
        assert_eq!(detector.push(100, event('5', 480, true)), [five]);
        assert_eq!(detector.push(100, event('5', 480, true)), []);
        assert_eq!(detector.push(100, event('5', 320, false)), []);
        assert_eq!(detector.finish(), None);
    }

    #[test]
    fn the_same_key_twice_is_two_digits_and_a_lost_end_costs_none() {
        let mut detector = DigitDetector::new();
        detector.push(0, event('1', 160, false));
        let digits = detector.push(4000, event('1', 800, true));
        assert_eq!(digits.len(), 2);
        assert_eq!(digits[0].duration_ticks, 160);
        assert_eq!(digits[1].duration_ticks, 800);
        detector.push(8000, event('2', 160, false));
        assert_eq!(detector.finish().map(|d| d.digit), Some('2'));
        assert_eq!(detector.push(8000, event('2', 320, true)), []);
    }

    #[test]
    fn a_very_long_press_is_one_digit_and_the_timestamp_may_wrap() {
        let mut detector = DigitDetector::new();
        let start = u32::MAX - 10;
        detector.push(start, event('9', u16::MAX, false));
        let digits = detector.push(start.wrapping_add(65535), event('9', 100, true));
        assert_eq!(
            digits,
            [Digit {
                digit: '9',
                duration_ticks: 65635
            }]
        );
    }
}
