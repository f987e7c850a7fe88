//! The thread that makes journals safe against power loss: one sync of the whole file system per interval, and only if
//! something was written. It never touches a journal's contents.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use callreel_telemetry::metrics;

use crate::{Error, error::At};

/// A wake-up only says "no longer clean", which one waiting message says as well as many.
const WAKE_QUEUE: usize = 1;

#[derive(Default)]
struct Shared {
    dirty: AtomicBool,
    rounds: AtomicU64,
    failures: AtomicU64,
}

/// Owns the thread `spool-sync`; dropping it ends the thread after a last sync.
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread for the file system that holds `dir`.
    pub(crate) fn start(dir: &Path, interval: Duration) -> Result<Self, Error> {
        let folder = File::open(dir).at("open the folder", dir)?;
        let (wake, woken) = sync_channel(WAKE_QUEUE);
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            shared: Arc::clone(&shared),
            folder,
            dir: dir.to_owned(),
            interval,
        };
        let thread = thread::Builder::new()
            .name("spool-sync".to_owned())
            .spawn(move || worker.run(&woken))
            .at("start the sync thread of", dir)?;
        Ok(Self {
            shared,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Something was written: it will be synced within one interval.
    pub(crate) fn wrote(&self) {
        if self.shared.dirty.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(wake) = &self.wake {
            // A full queue means that the thread is about to wake anyway.
            wake.try_send(()).ok();
        }
    }

    /// Syncs that were made, and syncs that failed.
    pub(crate) fn rounds(&self) -> (u64, u64) {
        (
            self.shared.rounds.load(Ordering::Relaxed),
            self.shared.failures.load(Ordering::Relaxed),
        )
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the spool's sync thread had died: the last second may not be on disk");
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    folder: File,
    dir: PathBuf,
    interval: Duration,
}

impl Worker {
    fn run(&self, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            // One interval lets everything else that is written meanwhile share the sync.
            let stop = self.wait(woken);
            self.sync();
            if stop {
                return;
            }
        }
        self.sync();
    }

    /// Waits one interval; says whether the spool was closed meanwhile.
    fn wait(&self, woken: &Receiver<()>) -> bool {
        // No second wake-up can come before `sync` clears the flag, so this ends by time or by the end of the spool.
        matches!(
            woken.recv_timeout(self.interval),
            Err(RecvTimeoutError::Disconnected)
        )
    }

    fn sync(&self) {
        // Cleared first: what is written during the sync asks for the next one.
        if !self.shared.dirty.swap(false, Ordering::AcqRel) {
            return;
        }
        let began = Instant::now();
        let synced = nix::unistd::syncfs(&self.folder);
        metrics()
            .spool_sync_duration
            .record(began.elapsed().as_secs_f64(), &[]);
        match synced {
            Ok(()) => self.shared.rounds.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                tracing::error!(
                    dir = %self.dir.display(), %error,
                    "cannot sync the spool: a power loss now would take more than a second of audio"
                );
                self.shared.failures.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_writes_within_an_interval_share_one_sync() {
        let dir = tempfile::tempdir().unwrap();
        let syncer = Syncer::start(dir.path(), Duration::from_secs(3600)).unwrap();
        for _ in 0..1000 {
            syncer.wrote();
        }
        let shared = Arc::clone(&syncer.shared);
        drop(syncer);
        assert_eq!(shared.rounds.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_spool_nobody_writes_to_is_never_synced() {
        let dir = tempfile::tempdir().unwrap();
        let syncer = Syncer::start(dir.path(), Duration::from_millis(1)).unwrap();
        let shared = Arc::clone(&syncer.shared);
        drop(syncer);
        assert_eq!(shared.rounds.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_write_after_a_sync_is_synced_again() {
        let dir = tempfile::tempdir().unwrap();
        let syncer = Syncer::start(dir.path(), Duration::from_millis(1)).unwrap();
        for round in 1..=3 {
            syncer.wrote();
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            while syncer.rounds().0 < round {
                assert!(std::time::Instant::now() < deadline, "no sync came");
                thread::yield_now();
            }
        }
        assert_eq!(syncer.rounds().1, 0);
    }
}
