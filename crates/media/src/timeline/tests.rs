//! Where packets come to lie, shown as a person would note it down. No audio here.

use callreel_proto::Leg;

use super::*;
use crate::{
    Codec,
    sample::{MS, Phone, S, Sent, journal, timeline},
};

fn phone() -> Phone {
    Phone::new(Leg::A, Codec::Pcmu)
}

fn quiet(phone: &mut Phone, packets: usize) -> Vec<Sent> {
    phone.talk(packets, |_| 0.0)
}

#[test]
fn an_ordinary_call() {
    let mut caller = phone();
    let mut callee = Phone::new(Leg::B, Codec::G722);
    callee.clock_ns = 3e9;
    let journal = journal([quiet(&mut caller, 1000), quiet(&mut callee, 500)]);
    insta::assert_snapshot!(timeline(&journal), @r"
    A ssrc 0000aaaa: 1000 packets
          0.020 s to    20.020 s, clock +0 ppm
    B ssrc 0000bbbb: 500 packets
          3.020 s to    13.020 s, clock +0 ppm
    ");
}

#[test]
fn a_late_first_packet_does_not_shift_the_leg() {
    let mut sent = quiet(&mut phone(), 500);
    sent[0].arrival_ns += 400 * MS;
    insta::assert_snapshot!(timeline(&journal([sent])), @r"
    A ssrc 0000aaaa: 500 packets
          0.020 s to    10.020 s, clock +0 ppm
    ");
}

#[test]
fn silence_suppression_leaves_a_gap_and_no_segment() {
    let mut caller = phone();
    let before = quiet(&mut caller, 100);
    caller.pause(500);
    insta::assert_snapshot!(timeline(&journal([before, quiet(&mut caller, 100)])), @r"
    A ssrc 0000aaaa: 200 packets
          0.020 s to    14.020 s, clock +0 ppm
    ");
}

#[test]
fn a_hold_with_standing_timestamps_starts_a_segment_at_arrival() {
    let mut caller = phone();
    let before = quiet(&mut caller, 300);
    caller.freeze(1500);
    insta::assert_snapshot!(timeline(&journal([before, quiet(&mut caller, 400)])), @r"
    A ssrc 0000aaaa: 700 packets
          0.020 s to     6.020 s, clock +0 ppm
         36.020 s to    44.020 s, clock +0 ppm
    ");
}

#[test]
fn two_holds_soon_after_one_another_are_both_kept() {
    let mut caller = phone();
    let first = quiet(&mut caller, 300);
    caller.freeze(100);
    let second = quiet(&mut caller, 100);
    caller.freeze(200);
    insta::assert_snapshot!(timeline(&journal([first, second, quiet(&mut caller, 20)])), @r"
    A ssrc 0000aaaa: 420 packets
          0.020 s to     6.020 s, clock +0 ppm
          8.020 s to    10.020 s, clock +0 ppm
         14.020 s to    14.420 s, clock +0 ppm
    ");
}

#[test]
fn a_stall_and_its_burst_start_no_segment() {
    for stalled in [50, 200, 600] {
        let mut sent = quiet(&mut phone(), 1000);
        let end = sent[300 + stalled].arrival_ns;
        for (n, packet) in sent[300..300 + stalled].iter_mut().enumerate() {
            packet.arrival_ns = end + n as u64 * 10_000;
        }
        let line = timeline(&journal([sent]));
        assert_eq!(
            line.legs[0].streams[0].segments.len(),
            1,
            "{stalled} packets"
        );
        assert_eq!(line.end_ns() / MS, 20_020, "{stalled} packets");
    }
}

#[test]
fn a_call_that_ends_in_a_stall_keeps_its_length() {
    let mut sent = quiet(&mut phone(), 500);
    for packet in &mut sent[400..] {
        packet.arrival_ns = 12 * S;
    }
    let line = timeline(&journal([sent]));
    let end_ms = line.end_ns() / MS;
    assert!((10_020..10_026).contains(&end_ms), "{end_ms}");
}

#[test]
fn a_sender_that_resets_its_timestamp_goes_on_where_it_arrives() {
    let mut caller = phone();
    let before = quiet(&mut caller, 200);
    caller.timestamp = 12_345;
    let forth = quiet(&mut caller, 200);
    caller.timestamp -= 8000;
    insta::assert_snapshot!(timeline(&journal([before, forth, quiet(&mut caller, 200)])), @r"
    A ssrc 0000aaaa: 200 packets
          0.020 s to     4.020 s, clock +0 ppm
    A ssrc 0000aaaa: 200 packets
          4.020 s to     8.020 s, clock +0 ppm
    A ssrc 0000aaaa: 200 packets
          8.020 s to    12.020 s, clock +0 ppm
    ");
}

#[test]
fn a_new_source_goes_on_where_it_arrives() {
    let mut caller = phone();
    let before = quiet(&mut caller, 200);
    (caller.ssrc, caller.timestamp, caller.sequence) = (0xcccc, 99, 7);
    insta::assert_snapshot!(timeline(&journal([before, quiet(&mut caller, 200)])), @r"
    A ssrc 0000aaaa: 200 packets
          0.020 s to     4.020 s, clock +0 ppm
    A ssrc 0000cccc: 200 packets
          4.020 s to     8.020 s, clock +0 ppm
    ");
}

#[test]
fn clocks_that_drift_are_followed() {
    for ppm in [-200.0, 50.0, 200.0] {
        let mut caller = phone();
        caller.ppm = ppm;
        let sent = quiet(&mut caller, 60 * 60 * 50);
        let line = timeline(&sent);
        let [segment] = line.legs[0].streams[0].segments.as_slice() else {
            panic!("one segment");
        };
        assert!(
            (segment.drift_ppm() - ppm).abs() < 2.0,
            "{}",
            segment.drift_ppm()
        );
        assert!(segment.knots.len() < 400, "a knot in ten seconds");
        let first = i64::from(sent[0].timestamp);
        for (n, packet) in sent.iter().enumerate() {
            let place = segment.place((first + n as i64 * 160) * 6);
            let error = place - packet.arrival_ns.cast_signed();
            assert!(error.abs() < 2_500_000, "packet {n} is off by {error} ns");
        }
    }
}

#[test]
fn drift_is_told_from_jitter() {
    let mut dice = 7u64;
    for (ppm, hours, jitter_ms, most_ms) in [
        (-200.0, 3, 40, 5.0),
        (200.0, 3, 120, 18.0),
        (0.0, 1, 120, 5.0),
    ] {
        let mut caller = phone();
        caller.ppm = ppm;
        let mut sent = quiet(&mut caller, hours * 60 * 60 * 50);
        let meant: Vec<u64> = sent.iter().map(|packet| packet.arrival_ns).collect();
        let mut behind = 0;
        for packet in &mut sent {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            behind = behind.max(packet.arrival_ns + (dice >> 33) % (jitter_ms * MS));
            packet.arrival_ns = behind;
        }
        let line = timeline(&sent);
        let first = i64::from(sent[0].timestamp);
        let segment = &line.legs[0].streams[0].segments[0];
        for (n, meant) in meant.into_iter().enumerate() {
            let place = segment.place((first + n as i64 * 160) * 6);
            let error_ms = (place - meant.cast_signed()) as f64 / 1e6;
            assert!(
                error_ms.abs() < most_ms,
                "{ppm} ppm, {jitter_ms} ms of jitter: packet {n} is off by {error_ms} ms"
            );
        }
    }
}

#[test]
fn telephone_events_and_strangers_do_not_move_anything() {
    let mut caller = phone();
    let mut sent = quiet(&mut caller, 200);
    let plain = timeline(&sent).to_string();
    for n in 0..10 {
        let mut event = caller.send(101, vec![5, 10, 0, 160]);
        event.timestamp = sent[100].timestamp;
        event.arrival_ns = sent[100 + n].arrival_ns + 1;
        sent.push(event);
        let mut stranger = caller.send(77, vec![0; 33]);
        (stranger.ssrc, stranger.arrival_ns) = (n as u32, sent[n].arrival_ns);
        sent.push(stranger);
    }
    assert_eq!(timeline(&journal([sent])).to_string(), plain);
}

#[test]
fn nothing_has_no_end() {
    let empty = timeline(&[]);
    assert_eq!((empty.end_ns(), empty.to_string().as_str()), (0, ""));
    assert!(!empty.has_wideband(&LEGS, 0, u64::MAX));
}
