//! Who calls while the node is killed: phones that call again and again, each time with a tone no other call has.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::support::{
    audio,
    estate::CALLER,
    sipp::{Caller, Sipp},
};

/// A phone whose call is not over so long after it should be hangs up for good: its node has died.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Tones apart far enough to be told from each other in a quarter of a second; a soak uses them several times.
const TONES: u32 = 240;

/// A call that was made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// Its tone.
    pub(super) hz: f32,
    /// How long it was to last from its answer to its end, milliseconds.
    pub(super) ms: u32,
    /// Whether it did, from the phone's point of view.
    pub(super) completed: bool,
}

/// All calls, by Call-ID.
#[derive(Clone, Default)]
pub(super) struct Calls {
    made: Arc<Mutex<BTreeMap<String, Made>>>,
    count: Arc<AtomicU32>,
}

impl Calls {
    pub(super) fn made(&self) -> BTreeMap<String, Made> {
        self.made.lock().unwrap().clone()
    }

    /// Calls so many times at once, for this long.
    fn call(&self, phone: &Sipp, number: &str, ms: u32, at_once: u32) {
        let nth = self.count.fetch_add(1, Ordering::Relaxed);
        let hz = 400.0 + 12.0 * (nth % TONES) as f32;
        let voice = phone.audio(&audio::mulaw_tone(hz, ms as f32 / 1000.0 + 1.0));
        let scenario = Caller::dials(number)
            .answered(number)
            .streams(&voice)
            .waits(ms)
            .hangs_up(number)
            .scenario();
        let run = phone.run_at_once("call", &scenario, at_once);
        let ids: Vec<String> = (1..=at_once)
            .map(|n| run.call_id().replace("%u", &n.to_string()))
            .collect();
        let note = |completed| {
            let mut made = self.made.lock().unwrap();
            for id in &ids {
                made.insert(id.clone(), Made { hz, ms, completed });
            }
        };
        note(false);
        note(run.completed_within(PATIENCE + Duration::from_millis(ms.into())));
    }

    /// A few dozen calls, some at a time.
    pub(super) fn backlog(&self, sip: SocketAddr, numbers: &[&'static str], batches: u32) {
        let phones: Vec<JoinHandle<()>> = numbers
            .iter()
            .map(|number| {
                let (calls, number) = (self.clone(), *number);
                std::thread::spawn(move || {
                    let phone = Sipp::new(CALLER, sip);
                    for _ in 0..batches {
                        calls.call(&phone, number, 1500, 4);
                    }
                })
            })
            .collect();
        for phone in phones {
            phone.join().unwrap();
        }
    }
}

/// Phones that call until they are dropped.
pub(super) struct Load {
    over: Arc<AtomicBool>,
    phones: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn begin(
        calls: &Calls,
        sip: SocketAddr,
        numbers: &'static [&'static str],
        phones: u64,
        seed: u64,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let phone = |nth: u64| {
            let (calls, over) = (calls.clone(), over.clone());
            let mut dice = StdRng::seed_from_u64(seed.wrapping_add(nth));
            std::thread::spawn(move || {
                let phone = Sipp::new(CALLER, sip);
                while !over.load(Ordering::Relaxed) {
                    let number = numbers[dice.random_range(0..numbers.len())];
                    calls.call(&phone, number, dice.random_range(200..1500), 1);
                }
            })
        };
        Self {
            phones: (0..phones).map(phone).collect(),
            over,
        }
    }

    /// Lets the phones finish their calls.
    pub(super) fn ends(self) {
        self.over.store(true, Ordering::Relaxed);
        for phone in self.phones {
            phone.join().unwrap();
        }
    }
}
