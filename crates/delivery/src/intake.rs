//! The desk where switches hand in the files they have recorded: which address is good for which recording's file, and
//! until when. Knows no HTTP and no bus; `server` is its door.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callreel_proto::{RecordingId, random_hex};
use callreel_spool::Recipient;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

pub(crate) mod server;
mod taking;
#[cfg(test)]
mod tests;

pub(crate) use server::Intake;

/// Hex digits of a token: 256 bits, which nobody guesses.
const TOKEN_DIGITS: usize = 64;
/// Tokens that are remembered after their time, so that a switch that comes late is told why it is refused: several hours
/// of a busy node. Older ones are unknown, and refused all the same.
const REMEMBERED: usize = 4096;

/// Tokens are found by their digest: how long a search takes tells nothing about any of them.
type Key = [u8; 32];

/// Why a file is not taken; the words go to the switch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "nobody waits for a file under this address: it was never given out, or this node was restarted since"
    )]
    Unknown,
    #[error("this address was good for one file, and that has arrived")]
    UsedUp,
    #[error("this address has expired; the next try has another")]
    Expired,
    #[error("a file is arriving under this address already")]
    Busy,
    #[error("how long is it? send Content-Length, or chunks")]
    NoLength,
    #[error("the file has more than the {0} bytes that are awaited")]
    TooLarge(u64),
    #[error("the file was cut short after {0} bytes")]
    CutShort(u64),
    #[error("nothing came for {} s after {bytes} bytes", patience.as_secs())]
    Stalled { bytes: u64, patience: Duration },
    #[error("this node cannot keep the file: {0}")]
    Disk(String),
}

/// How far the one file of an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Awaited,
    Arriving,
    /// Whole, at its place, and safe on disk.
    Arrived,
}

/// Where a file goes, and to whom it is sealed while it arrives; to nobody if the node has no key.
pub(crate) struct Shelf {
    pub(crate) path: PathBuf,
    pub(crate) seal_to: Option<Recipient>,
}

/// What an address is good for.
struct Pass {
    recording_id: RecordingId,
    /// Where the file goes.
    place: Shelf,
    /// Largest file, bytes.
    limit: u64,
    expires: Instant,
    progress: watch::Sender<Progress>,
    /// Whoever waited for the file has given up.
    withdrawn: CancellationToken,
    /// Why the last file under this address was not taken.
    trouble: Mutex<Option<Refusal>>,
}

/// What happened since the start.
#[derive(Debug, Clone, Default, Serialize)]
struct Counters {
    received: u64,
    received_bytes: u64,
    refused: u64,
}

/// The desk. Clones of its `Arc` share it.
#[derive(Default)]
pub(crate) struct Desk {
    passes: Mutex<Passes>,
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Passes {
    known: HashMap<Key, Known>,
    /// Those whose time is over, oldest first.
    over: VecDeque<Key>,
}

enum Known {
    Good(Arc<Pass>),
    Over(Refusal),
}

impl Desk {
    /// From now on, for as long as the answer lives, one file of at most `limit` bytes may be handed in under a new token.
    /// It must begin to arrive within `ttl`.
    pub(crate) fn expect(
        self: &Arc<Self>,
        recording_id: RecordingId,
        place: Shelf,
        limit: u64,
        ttl: Duration,
    ) -> Awaited {
        let token = Token(random_hex(TOKEN_DIGITS));
        let pass = Arc::new(Pass {
            recording_id,
            place,
            limit,
            expires: Instant::now() + ttl,
            progress: watch::Sender::new(Progress::Awaited),
            withdrawn: CancellationToken::new(),
            trouble: Mutex::new(None),
        });
        let good = Known::Good(Arc::clone(&pass));
        lock(&self.passes).known.insert(token.key(), good);
        Awaited {
            desk: Arc::clone(self),
            token,
            pass,
        }
    }

    /// Somebody stands at the door with a file.
    fn come(self: &Arc<Self>, token: &str) -> Result<Arriving, Refusal> {
        let key = Token(token.to_owned()).key();
        let pass = match lock(&self.passes).known.get(&key) {
            None => return Err(Refusal::Unknown),
            Some(Known::Over(why)) => return Err(why.clone()),
            Some(Known::Good(pass)) => Arc::clone(pass),
        };
        let mut comes = Ok(());
        pass.progress.send_if_modified(|progress| {
            let over = pass.withdrawn.is_cancelled() || Instant::now() >= pass.expires;
            comes = match *progress {
                Progress::Arriving => Err(Refusal::Busy),
                Progress::Arrived => Err(Refusal::UsedUp),
                Progress::Awaited if over => Err(Refusal::Expired),
                Progress::Awaited => {
                    *progress = Progress::Arriving;
                    Ok(())
                }
            };
            comes.is_ok()
        });
        comes.map(|()| Arriving {
            desk: Arc::clone(self),
            pass,
            bytes: 0,
            refusal: None,
        })
    }

    fn refused(&self) {
        lock(&self.counters).refused += 1;
    }

    /// A picture of the desk for operators.
    fn describe(&self) -> serde_json::Value {
        let (mut awaited, mut arriving) = (0, 0);
        for known in lock(&self.passes).known.values() {
            if let Known::Good(pass) = known {
                match *pass.progress.borrow() {
                    Progress::Awaited => awaited += 1,
                    Progress::Arriving => arriving += 1,
                    Progress::Arrived => {}
                }
            }
        }
        serde_json::json!({
            "awaited": awaited,
            "arriving": arriving,
            "since_start": *lock(&self.counters),
        })
    }
}

impl Passes {
    fn end(&mut self, key: Key, why: Refusal) {
        self.known.insert(key, Known::Over(why));
        self.over.push_back(key);
        if self.over.len() > REMEMBERED
            && let Some(oldest) = self.over.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The secret part of an address. Prints nothing.
struct Token(String);

impl Token {
    fn key(&self) -> Key {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The side of the one who waits for a file. Dropping it withdraws the address.
pub(crate) struct Awaited {
    desk: Arc<Desk>,
    token: Token,
    pass: Arc<Pass>,
}

impl Awaited {
    /// The secret part of the address: for the switch, and nobody else.
    pub(crate) fn token(&self) -> &str {
        &self.token.0
    }

    /// Waits until the file is there; for ever if it never comes.
    pub(crate) async fn arrived(&self) {
        self.until(|progress| progress == Progress::Arrived).await;
    }

    /// Waits until the time to begin is over.
    pub(crate) async fn expired(&self) {
        tokio::time::sleep_until(self.pass.expires).await;
    }

    /// Waits until nothing is arriving.
    pub(crate) async fn quiet(&self) {
        self.until(|progress| progress != Progress::Arriving).await;
    }

    /// Takes nothing any more and breaks off what is arriving; says whether the file is there.
    pub(crate) async fn close(&self) -> bool {
        self.pass.withdrawn.cancel();
        self.quiet().await;
        *self.pass.progress.borrow() == Progress::Arrived
    }

    /// Why the last file that came was not taken.
    pub(crate) fn trouble(&self) -> Option<Refusal> {
        lock(&self.pass.trouble).clone()
    }

    async fn until(&self, wanted: impl Fn(Progress) -> bool) {
        let mut progress = self.pass.progress.subscribe();
        let seen = progress.wait_for(|progress| wanted(*progress)).await;
        seen.expect("the pass lives as long as this");
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.pass.withdrawn.cancel();
        let why = match *self.pass.progress.borrow() {
            Progress::Arrived => Refusal::UsedUp,
            Progress::Awaited | Progress::Arriving => Refusal::Expired,
        };
        lock(&self.desk.passes).end(self.token.key(), why);
    }
}

/// The side of the one who brings a file. Dropping it before the file is whole leaves the address as it was.
struct Arriving {
    desk: Arc<Desk>,
    pass: Arc<Pass>,
    /// What has come so far.
    bytes: u64,
    /// Why it is not taken.
    refusal: Option<Refusal>,
}

impl Arriving {
    /// The file is whole, at its place, and safe on disk.
    fn arrived(self) {
        let mut counters = lock(&self.desk.counters);
        counters.received += 1;
        counters.received_bytes += self.bytes;
        drop(counters);
        self.pass.progress.send_replace(Progress::Arrived);
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.pass.progress.send_if_modified(|progress| {
            let unfinished = *progress == Progress::Arriving;
            if unfinished {
                let broken_off = Refusal::CutShort(self.bytes);
                *lock(&self.pass.trouble) = Some(self.refusal.take().unwrap_or(broken_off));
                *progress = Progress::Awaited;
            }
            unfinished
        });
    }
}

/// Nothing in here panics while it holds a lock.
fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
