//! The program in pieces on a RabbitMQ: switch, two `calls`, delivery and API are processes of their own, and any of them,
//! and the broker, may be taken away.

mod fork;
mod nodes;
mod outage;
mod samples;

use std::net::SocketAddr;

use callreel_proto::Utc;
use serde_json::Value;

use crate::{
    recording::{LEFT, RIGHT, ring, start},
    support::{
        audio::Heard,
        baresip::{Baresip, Habits},
        estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
        eventually,
        receiver::Receiver,
        site::Site,
    },
};

/// An account whose number records as WAV and rings the callee.
fn recorded(receiver: &Receiver) -> Estate {
    Estate::with_flow(&start(&receiver.url("/r"), "wav", ring(CALLEE_USER)))
}

/// A recorded call of two phones that speak until one is told to hang up.
struct Talk {
    caller: Baresip,
    callee: Baresip,
    /// When its recording began, Unix milliseconds.
    began_ms: i64,
}

impl Talk {
    /// Registers both, calls, and returns when they talk and are recorded.
    fn begin(site: &Site) -> Self {
        let mut callee = phone(CALLEE, site.sip(), RIGHT);
        let mut caller = phone(CALLER, site.sip(), LEFT);
        caller.dial(NUMBER);
        caller.awaits("CALL_ESTABLISHED");
        callee.awaits("CALL_ESTABLISHED");
        let began_ms = growing(site)["started_at"].as_i64().expect("a time");
        Self {
            caller,
            callee,
            began_ms,
        }
    }

    /// The caller hangs up, and the callee is told; returns the recording's length so far, seconds.
    fn end(&mut self) -> f64 {
        self.caller.hang_up();
        let seconds = self.seconds();
        self.callee.awaits("CALL_CLOSED");
        seconds
    }

    /// The recording's length so far.
    fn seconds(&self) -> f64 {
        (Utc::now().unix_ms() - self.began_ms) as f64 / 1000.0
    }
}

fn phone(user: &str, proxy: SocketAddr, hz: f32) -> Baresip {
    let habits = Habits {
        plays: hz,
        ..Habits::default()
    };
    Baresip::start(user, proxy, &habits)
}

/// The ticket of a recording that runs.
fn growing(site: &Site) -> Value {
    eventually("a recording to begin", || {
        let mut tickets = site.tickets().into_iter();
        tickets.find(|ticket| ticket["state"] == "growing")
    })
}

/// Both voices without a gap from soon after the start up to the end, which came after so many seconds.
#[track_caller]
fn whole(heard: &Heard, seconds: f64) {
    let length = heard.seconds();
    assert!((length - seconds).abs() < 0.2, "{length} s of {seconds} s");
    for (channel, hz) in [(0, LEFT), (1, RIGHT)] {
        let (from, to) = heard.only_tone(channel, hz);
        assert!(
            from < 1.0 && to > length - 0.3,
            "channel {channel} speaks from {from} to {to} of {length} s"
        );
    }
}
