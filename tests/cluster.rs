//! The program in pieces on a RabbitMQ: switch, two `calls`, delivery and API are processes of their own, and any of them,
//! and the broker, may be taken away.

mod fork;
mod hostile;
mod live;
mod nodes;
mod outage;
mod owed;
mod rolling;
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

/// Bytes of a journal that holds two seconds of both legs: a hundred packets a second of some 200 bytes.
const SOME_SECONDS: u64 = 40_000;

/// A recorded call of two phones that speak until one is told to hang up.
struct Talk {
    caller: Baresip,
    callee: Baresip,
    call_id: String,
    /// When its recording began, Unix milliseconds.
    began_ms: i64,
}

impl Talk {
    /// Registers both, calls, and returns when they talk and are recorded.
    fn begin(site: &Site) -> Self {
        let callee = phone(CALLEE, site.sip(), RIGHT);
        let mut talk = Self {
            caller: phone(CALLER, site.sip(), LEFT),
            callee,
            call_id: String::new(),
            began_ms: 0,
        };
        talk.again(site);
        talk
    }

    /// The same phones talk once more.
    fn again(&mut self, site: &Site) {
        self.caller.dial(NUMBER);
        self.caller.awaits("CALL_ESTABLISHED");
        self.callee.awaits("CALL_ESTABLISHED");
        let ticket = growing(site);
        self.call_id = ticket["call_id"].as_str().expect("a word").to_owned();
        self.began_ms = ticket["started_at"].as_i64().expect("a time");
    }

    /// Waits until some of it has been written down.
    fn is_heard(&self, site: &Site) {
        let captures = site.data().join("data/spool/captures");
        eventually("audio to be written down", || {
            let captures = std::fs::read_dir(&captures).ok()?.flatten();
            let journals = captures.map(|capture| capture.path().join("journal"));
            let mut sizes = journals.filter_map(|journal| Some(journal.metadata().ok()?.len()));
            sizes.find(|size| *size > SOME_SECONDS)
        });
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
