//! The promise under fire: a node that is killed two hundred times, while phones call and its receiver fails half of what
//! it is sent, delivers every recording once, whole and under its name. From half of the way on its spool is sealed.
//!
//! `CALLREEL_CRASH_SEED` repeats a run's dice, `CALLREEL_CRASH_KILLS` and `CALLREEL_CRASH_PHONES` make it longer
//! (`make soak`).

mod account;
mod load;
mod receiver;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{estate::Estate, eventually, free_port, node::Node, run};
use account::{Account, Struck};
use load::{Calls, Load};
use receiver::Moody;

const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\nbackoff_max_s = 2\n\
                        stall_timeout_s = 3\nencode_threads = 1\n";
/// The numbers of the three flows: a WAV and an MP3 for the receiver, an MP3 for the account's database.
const NUMBERS: [&str; 3] = ["2000", "2001", "2002"];
/// Batches of four calls that each of the first two numbers gets before the receiver is there.
const BACKLOG: u32 = 4;
/// How long a kill waits for what it is aimed at.
const AIM: Duration = Duration::from_millis(1500);

/// What a kill is aimed at.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Before the node is ready.
    Starting,
    /// While a file is being rendered.
    Rendering,
    /// While a file is on its way.
    Uploading,
    /// While a call is being recorded.
    Recording,
    /// Any time, which is mostly while something waits for its next try.
    Any,
}

const MOMENTS: [Moment; 6] = [
    Moment::Rendering,
    Moment::Starting,
    Moment::Rendering,
    Moment::Uploading,
    Moment::Recording,
    Moment::Any,
];

fn number(name: &str, or: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(or, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}"))
    })
}

/// A seed that tells itself when the test fails.
struct Seed(u64);

impl Seed {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(number(
            "CALLREEL_CRASH_SEED",
            u64::from(now.unwrap().subsec_nanos()),
        ))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the dice of this run: CALLREEL_CRASH_SEED={}", self.0);
        }
    }
}

/// Answers, and records until the caller hangs up.
fn recorded(data: &Value) -> Value {
    let sleep = json!({"module": "sleep", "data": {"duration": 60}, "children": {}});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    json!({"module": "answer", "data": {}, "children": {"_": record}})
}

fn estate(receiver: SocketAddr) -> Estate {
    let url = format!("http://{receiver}/r");
    let wav = json!({"action": "start", "format": "wav", "url": url});
    // At this rate rendering lasts long enough to be hit.
    let stored = json!({"action": "start", "format": "mp3", "record_sample_rate": 48_000});
    let mut mp3 = stored.clone();
    mp3["url"] = url.into();
    let estate = Estate::with_flow(&recorded(&wav));
    estate.flow(NUMBERS[1], &recorded(&mp3));
    estate.flow(NUMBERS[2], &recorded(&stored));
    estate.media_config(&json!({"store_recordings": true}));
    estate
}

/// The files that are not whole, each with the time of its last change.
fn parts(recordings: &Path) -> BTreeSet<(PathBuf, SystemTime)> {
    let folders = std::fs::read_dir(recordings).into_iter().flatten();
    let files = folders
        .flatten()
        .filter_map(|folder| std::fs::read_dir(folder.path()).ok());
    let files = files.flatten().flatten().map(|file| file.path());
    files
        .filter(|path| path.extension().is_some_and(|e| e == "part"))
        .filter_map(|path| {
            let changed = path.metadata().ok()?.modified().ok()?;
            Some((path, changed))
        })
        .collect()
}

/// The node that dies, and what is known of its deaths.
struct Victim {
    node: Node,
    receiver: Moody,
    dice: StdRng,
    /// How long a start takes.
    start: Duration,
    life: u32,
    /// What its last life has left half rendered.
    parts: BTreeSet<(PathBuf, SystemTime)>,
    account: Account,
    struck: Struck,
}

impl Victim {
    /// Lives once more, and is killed at one of these moments.
    fn lives_and_dies(&mut self) {
        let moment = MOMENTS[self.dice.random_range(0..MOMENTS.len())];
        self.life += 1;
        self.node.set_env(
            "CALLREEL_DELIVERY_USER_AGENT",
            &format!("life-{}", self.life),
        );
        if let Moment::Starting = moment {
            self.node.begin();
            self.passes(self.start.mul_f64(1.2));
            self.struck.starting += 1;
        } else {
            let began = Instant::now();
            self.node.launch();
            self.start = began.elapsed();
            self.comes(moment);
        }
        let uploading = self.receiver.is_busy();
        self.node.kill();
        self.struck.uploading += u32::from(uploading);
        let parts = parts(&self.recordings());
        self.struck.rendering += u32::from(!parts.is_subset(&self.parts));
        self.parts = parts;
        self.account
            .observe(&self.node, self.life, &mut self.struck);
    }

    /// What it sends from its next start on says so.
    fn is_reborn(&mut self) {
        self.life += 1;
        let name = format!("life-{}", self.life);
        self.node.set_env("CALLREEL_DELIVERY_USER_AGENT", &name);
    }

    /// From its next start on it seals what it keeps, with what it has kept unsealed beside it.
    fn seals(&mut self) {
        let keys = self.node.data().join("keys");
        let keys = keys.to_str().unwrap();
        run(
            env!("CARGO_BIN_EXE_callreel"),
            &["keys", "new", "--out", keys],
        );
        self.node.set_env("CALLREEL_SPOOL_KEY_FILE", keys);
    }

    /// Lets a random part of this time pass.
    fn passes(&mut self, longest: Duration) {
        std::thread::park_timeout(longest.mul_f64(self.dice.random()));
    }

    /// Waits for the moment, but not for ever.
    fn comes(&mut self, moment: Moment) {
        let recordings = self.recordings();
        let deadline = Instant::now() + AIM;
        let is_there = || match moment {
            Moment::Rendering => !parts(&recordings).is_subset(&self.parts),
            Moment::Uploading => self.receiver.is_busy(),
            Moment::Recording => self.node.tickets().iter().any(|t| t["state"] == "growing"),
            Moment::Starting | Moment::Any => true,
        };
        while !is_there() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let within = match moment {
            Moment::Rendering => 3,
            Moment::Uploading => 50,
            Moment::Recording => 800,
            Moment::Starting | Moment::Any => 1500,
        };
        self.passes(Duration::from_millis(within));
    }

    fn recordings(&self) -> PathBuf {
        self.node.data().join("data/spool/recordings")
    }
}

/// A node with a few dozen recordings that nobody takes, and its receiver in a bad mood.
fn victim(calls: &Calls, seed: u64) -> Victim {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut node = Node::asleep(&estate(address), SETTINGS);
    let began = Instant::now();
    node.launch();
    let start = began.elapsed();
    calls.backlog(node.sip(), &NUMBERS[..2], BACKLOG);
    let owed = node.tickets().len();
    assert_eq!(owed, calls.made().len(), "nobody is there to take them");
    node.kill();
    Victim {
        receiver: Moody::start(address, StdRng::seed_from_u64(seed)),
        dice: StdRng::seed_from_u64(seed.wrapping_add(1)),
        start,
        life: 0,
        parts: BTreeSet::new(),
        account: Account::default(),
        struck: Struck::default(),
        node,
    }
}

#[test]
fn killed_at_random_moments_it_delivers_every_recording_once_or_says_why_not() {
    let kills = number("CALLREEL_CRASH_KILLS", 200);
    let phones = number("CALLREEL_CRASH_PHONES", 3);
    let (seed, calls) = (Seed::new(), Calls::default());
    let mut victim = victim(&calls, seed.0);
    let load = Load::begin(&calls, victim.node.sip(), &NUMBERS, phones, seed.0);
    for nth in 0..kills {
        if nth == kills / 2 {
            victim.seals();
        }
        victim.lives_and_dies();
    }
    victim.is_reborn();
    victim.node.launch();
    load.ends();
    victim.receiver.mends();
    let (node, struck) = (&victim.node, &victim.struck);
    eventually("every ticket to be settled", || {
        node.tickets().is_empty().then_some(())
    });
    let delivered = victim.account.settle(node, &victim.receiver, &calls.made());
    eprintln!(
        "{kills} kills, {} calls, {delivered} recordings, {} requests; killed while {struck:?}",
        calls.made().len(),
        victim.receiver.requests()
    );
    let check = node.cli(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success(), "{said}");
    for left in ["captures", "quarantine"] {
        let left = std::fs::read_dir(node.data().join("data/spool").join(left));
        assert_eq!(left.map_or(0, Iterator::count), 0, "{said}");
    }
    assert!(
        struck.least() >= u32::try_from(kills / 20).unwrap(),
        "too few kills where it matters: {struck:?}"
    );
}
