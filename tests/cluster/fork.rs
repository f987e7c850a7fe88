//! The audio's way from the switch to recorders with addresses of their own.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::nodes::{Calls, file_of, growing_since, recorded, whole};
use crate::support::{audio, broker::Broker, cluster::Cluster, receiver::Receiver};

/// Ports of both recorders: below those the system gives out, above those of phones and switch.
const PORTS: std::ops::RangeInclusive<u16> = 30_000..=30_099;

/// What the stranger sings, Hz.
const STRANGER: f32 = 2000.0;

/// Somebody who sends RTP to every port of both recorders until dropped.
struct Stranger {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stranger {
    fn at(address: &str) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        let voice = audio::mulaw_tone(STRANGER, 0.02);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut n: u16 = 0;
            while !stopped.load(Ordering::SeqCst) {
                let mut packet = vec![0x80, 0];
                packet.extend(n.to_be_bytes());
                packet.extend((u32::from(n) * 160).to_be_bytes());
                packet.extend(*b"evil");
                packet.extend(&voice);
                for to in ["127.0.0.2", "127.0.0.4"] {
                    for port in PORTS {
                        // A port without a recorder may answer that.
                        drop(socket.send_to(&packet, (to, port)));
                    }
                }
                n = n.wrapping_add(1);
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

#[test]
fn recorders_hear_the_switch_at_the_addresses_they_are_given_and_nobody_else() {
    let receiver = Receiver::start();
    let ports = format!("{}-{}", PORTS.start(), PORTS.end());
    let variables = [
        ("switch", "CALLREEL_SWITCH_FORK_BIND", "127.0.0.3"),
        ("calls-1", "CALLREEL_RECORDING_CAPTURE_BIND", "0.0.0.0"),
        (
            "calls-1",
            "CALLREEL_RECORDING_CAPTURE_ADVERTISED",
            "127.0.0.2",
        ),
        ("calls-1", "CALLREEL_RECORDING_CAPTURE_PORTS", &ports),
        ("calls-2", "CALLREEL_RECORDING_CAPTURE_BIND", "127.0.0.4"),
        ("calls-2", "CALLREEL_RECORDING_CAPTURE_PORTS", &ports),
    ];
    let estate = recorded(&receiver.url("/r"), 4);
    let cluster = Cluster::with(&estate, &Broker::shared().vhost(), &variables);
    let mut calls = Calls::at_both(&cluster);
    for call_id in calls.won.keys() {
        growing_since(&cluster, call_id);
    }
    let strangers = ["127.0.0.9", "127.0.0.3"].map(Stranger::at);
    calls.completed();
    drop(strangers);
    for call_id in calls.won.keys() {
        let heard = file_of(&receiver, call_id);
        whole(&heard, 4.0);
        assert_eq!(heard.tone(0, STRANGER), []);
    }
}
