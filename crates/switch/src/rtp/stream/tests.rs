//! Behaviour of a leg's outgoing numbering, without sockets or a clock.

use std::time::Duration;

use super::*;

const TICKS: u32 = 160;

/// A stream and the time it lives in.
struct Bench {
    stream: Stream,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self {
            stream: Stream::new(8000, 7, u16::MAX - 1, u32::MAX - 100),
            now: Instant::now(),
        }
    }

    fn wait_ms(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self
    }

    fn relay(&mut self, ssrc: u32, sequence: u16, timestamp: u32) -> Header {
        let from = Header {
            marker: false,
            sequence,
            timestamp,
            ssrc,
        };
        self.stream.relayed(self.now, &from, TICKS)
    }

    fn own(&mut self) -> Header {
        self.stream.own(self.now, TICKS)
    }
}

/// Steps of sequence and timestamp from one header to the next.
fn step(from: Header, to: Header) -> (u16, u32) {
    assert_eq!(to.ssrc, 7);
    (
        to.sequence.wrapping_sub(from.sequence),
        to.timestamp.wrapping_sub(from.timestamp),
    )
}

#[test]
fn a_relayed_stream_keeps_its_losses_reorderings_and_pauses() {
    let mut bench = Bench::new();
    let first = bench.relay(1, u16::MAX, 1000);
    assert!(
        first.marker,
        "the far end must know that a new stretch begins"
    );
    let second = bench.wait_ms(20).relay(1, 0, 1160);
    assert_eq!(step(first, second), (1, 160));
    assert!(!second.marker);
    let after_loss = bench.wait_ms(60).relay(1, 3, 1640);
    assert_eq!(step(second, after_loss), (3, 480));
    let overtaken = bench.wait_ms(1).relay(1, 2, 1480);
    assert_eq!(step(second, overtaken), (2, 320));
    let after_pause = bench.wait_ms(999).relay(1, 4, 9640);
    assert_eq!(step(after_loss, after_pause), (1, 8000));
}

#[test]
fn packets_left_out_on_purpose_do_not_look_lost() {
    let mut bench = Bench::new();
    let first = bench.relay(1, 10, 0);
    for sequence in 11..20 {
        let key = Header {
            marker: false,
            sequence,
            timestamp: 160,
            ssrc: 1,
        };
        bench.stream.skipped(&key);
    }
    let next = bench.wait_ms(200).relay(1, 20, 1600);
    assert_eq!(step(first, next), (1, 1600));
}

#[test]
fn a_change_of_source_continues_sequence_and_time() {
    let mut bench = Bench::new();
    let phone = bench.relay(1, 5000, 77);
    let prompt = bench.wait_ms(100).own();
    assert_eq!(step(phone, prompt), (1, 800));
    assert!(prompt.marker);
    let more = bench.wait_ms(20).own();
    assert_eq!(step(prompt, more), (1, 160));
    assert!(!more.marker);
    let again = bench.wait_ms(20).relay(1, 5007, 77 + 7 * 160);
    assert_eq!(step(more, again), (1, 160));
    assert!(again.marker);
    let other = bench.wait_ms(5).relay(2, 9, 123_456);
    assert_eq!(
        step(again, other),
        (1, 160),
        "never less than what was sent"
    );
}

#[test]
fn a_prompt_after_a_pause_says_how_long_the_pause_was() {
    let mut bench = Bench::new();
    let last = bench.own();
    bench.stream.end_source();
    let next = bench.wait_ms(2000).own();
    assert_eq!(step(last, next), (1, 16_000));
    assert!(next.marker);
}

#[test]
fn a_source_that_resets_its_numbers_does_not_shake_the_far_end() {
    let mut bench = Bench::new();
    bench.relay(1, 40_000, 0);
    let before = bench.wait_ms(20).relay(1, 40_001, 160);
    let sequence_reset = bench.wait_ms(20).relay(1, 10, 320);
    assert_eq!(step(before, sequence_reset), (1, 160));
    let time_reset = bench.wait_ms(20).relay(1, 11, 3_000_000_000);
    assert_eq!(step(sequence_reset, time_reset), (1, 160));
    let goes_on = bench.wait_ms(20).relay(1, 12, 3_000_000_160);
    assert_eq!(step(time_reset, goes_on), (1, 160));
}

#[test]
fn a_clock_that_stood_still_during_a_hold_is_put_right() {
    let mut bench = Bench::new();
    let before = bench.relay(1, 1, 1000);
    let after = bench.wait_ms(60_000).relay(1, 2, 1160);
    assert_eq!(step(before, after), (1, 480_000));
}

#[test]
fn a_key_held_long_stays_one_key_and_what_follows_comes_later() {
    let mut bench = Bench::new();
    let sound = bench.relay(1, 1, 0);
    let pressed = bench.wait_ms(20).relay(1, 2, 160);
    let mut last = pressed;
    for n in 0..600 {
        last = bench.wait_ms(20).relay(1, 3 + n, 160);
        assert_eq!(last.timestamp, pressed.timestamp);
    }
    assert_eq!(step(sound, last).0, 601);
    let prompt = bench.wait_ms(20).own();
    assert_eq!(step(pressed, prompt).1, 601 * 160);
}

#[test]
fn keys_of_ours_fit_between_the_packets_of_a_relayed_stream() {
    let mut bench = Bench::new();
    let sound = bench.relay(1, 1, 0);
    bench.wait_ms(10);
    let timestamp = bench.stream.begin_event(bench.now);
    let key = bench.stream.event(timestamp, true);
    assert_eq!(step(sound, key), (1, 160));
    let more = bench.wait_ms(10).relay(1, 2, 160);
    assert_eq!(step(key, more).0, 1);
    assert_eq!(step(sound, more).1, 160);
}

#[test]
fn keys_of_ours_are_apart_in_time_whatever_else_is_sent() {
    let mut bench = Bench::new();
    let first = bench.stream.begin_event(bench.now);
    bench.wait_ms(220);
    let second = bench.stream.begin_event(bench.now);
    assert_eq!(second.wrapping_sub(first), 1760);
    let prompt = bench.wait_ms(20).own();
    bench.wait_ms(10);
    bench.stream.begin_event(bench.now);
    let more = bench.wait_ms(10).own();
    assert_eq!(
        more.timestamp.wrapping_sub(prompt.timestamp),
        160,
        "a prompt's own time is untouched"
    );
}
