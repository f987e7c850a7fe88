//! The encode pool: a few OS threads that render recordings, far from the async runtime. Reports every outcome once;
//! knows no schedule.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use callreel_proto::RecordingId;
use callreel_spool::Ticket;
use callreel_telemetry::{KeyValue, metrics};

use crate::{
    render::{Failure, Rendered},
    trail,
};

/// Tickets that wait per thread: one, so that a thread never waits for the queue. The others wait on disk.
const WAITING_PER_THREAD: usize = 1;

/// What a thread does with a ticket: [`crate::render::render`], or a test's stand-in.
pub(crate) type Work = Arc<dyn Fn(&Ticket, &AtomicBool) -> Result<Rendered, Failure> + Send + Sync>;
/// Where outcomes go.
pub(crate) type Report = Arc<dyn Fn(RecordingId, Result<Rendered, Failure>) + Send + Sync>;

/// The threads and their bounded queue. Dropping it stops them at the next record.
pub(crate) struct EncodePool {
    jobs: Option<SyncSender<Box<Ticket>>>,
    capacity: usize,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl EncodePool {
    pub(crate) fn start(threads: usize, work: &Work, report: &Report) -> io::Result<Self> {
        let capacity = threads * (1 + WAITING_PER_THREAD);
        // All of them may have to wait: a thread that is idle has not taken its ticket yet.
        let (jobs, tickets) = sync_channel(capacity);
        let tickets = Arc::new(Mutex::new(tickets));
        let mut pool = Self {
            jobs: Some(jobs),
            capacity,
            threads: Vec::with_capacity(threads),
            stop: Arc::default(),
        };
        for n in 0..threads {
            let tickets = Arc::clone(&tickets);
            let (work, report) = (Arc::clone(work), Arc::clone(report));
            let stop = Arc::clone(&pool.stop);
            let thread = thread::Builder::new()
                .name(format!("encode-{n}"))
                .spawn(move || serve(&tickets, &*work, &*report, &stop))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Tickets the pool takes at any time without refusing one: those in work and those waiting.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Breaks off what is under way and what waits; each is reported as [`Failure::Stopped`].
    pub(crate) fn halt(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Takes a ticket; gives it back if the queue is full.
    pub(crate) fn submit(&self, ticket: Box<Ticket>) -> Result<(), Box<Ticket>> {
        let jobs = self.jobs.as_ref().expect("only dropping takes the sender");
        jobs.try_send(ticket).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(ticket)
            | std::sync::mpsc::TrySendError::Disconnected(ticket) => ticket,
        })
    }
}

impl Drop for EncodePool {
    fn drop(&mut self) {
        self.halt();
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread only panics outside of its work, and then there is nothing left to stop.
            drop(thread.join());
        }
    }
}

fn serve(
    tickets: &Mutex<Receiver<Box<Ticket>>>,
    work: &(dyn Fn(&Ticket, &AtomicBool) -> Result<Rendered, Failure> + Send + Sync),
    report: &(dyn Fn(RecordingId, Result<Rendered, Failure>) + Send + Sync),
    stop: &AtomicBool,
) {
    loop {
        let next = tickets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(ticket) = next else {
            return;
        };
        let outcome = if stop.load(Ordering::Relaxed) {
            Err(Failure::Stopped)
        } else {
            // Nothing outside of the call is changed by it but files that the next try overwrites.
            let began = Instant::now();
            let span = trail::rendering(&ticket);
            let done = catch_unwind(AssertUnwindSafe(|| work(&ticket, stop)));
            told(&ticket, began.elapsed());
            let done = done.unwrap_or_else(|payload| {
                Err(Failure::Suspect(format!(
                    "rendering panicked: {}",
                    crate::panic_text(&*payload)
                )))
            });
            trail::failed(span, &done);
            done
        };
        report(ticket.recording_id().clone(), outcome);
    }
}

/// Tells how long a rendering took, and of how much audio.
fn told(ticket: &Ticket, took: Duration) {
    let format = KeyValue::new("callreel.format", ticket.promise().format.extension());
    let audio_s = ticket.length_ms().unwrap_or_default() as f64 / 1000.0;
    let metrics = metrics();
    metrics
        .render_duration
        .record(took.as_secs_f64(), std::slice::from_ref(&format));
    metrics.render_audio.add(audio_s, &[format]);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::testing;

    fn ticket(file_name: &str) -> Box<Ticket> {
        testing::ticket(|promise| promise.file_name = file_name.to_owned())
    }

    #[test]
    fn a_panic_fails_its_own_recording_and_no_other() {
        let work: Work = Arc::new(|ticket, _| {
            assert!(ticket.promise().file_name != "poison", "bad frame");
            Ok(Rendered::TooShort)
        });
        let (told, outcomes) = channel();
        let report: Report = Arc::new(move |_, outcome| told.send(outcome).unwrap());
        let pool = EncodePool::start(1, &work, &report).unwrap();
        for name in ["poison", "good"] {
            pool.submit(ticket(name)).unwrap();
            let outcome = outcomes.recv().unwrap();
            match name {
                "good" => assert_eq!(outcome, Ok(Rendered::TooShort)),
                _ => assert_eq!(
                    outcome,
                    Err(Failure::Suspect("rendering panicked: bad frame".to_owned()))
                ),
            }
        }
    }

    #[test]
    fn a_full_queue_gives_the_ticket_back_and_stopping_reports_what_waited() {
        let (begun, began) = channel();
        let work: Work = Arc::new(move |_, stop| {
            begun.send(()).unwrap();
            while !stop.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            Err(Failure::Stopped)
        });
        let (told, outcomes) = channel();
        let report: Report = Arc::new(move |_, outcome| told.send(outcome).unwrap());
        let pool = EncodePool::start(1, &work, &report).unwrap();
        assert_eq!(pool.capacity(), 2);
        pool.submit(ticket("a")).unwrap();
        began.recv().unwrap();
        for waits in ["b", "c"] {
            pool.submit(ticket(waits)).unwrap();
        }
        assert!(pool.submit(ticket("d")).is_err());
        drop(pool);
        let outcomes: Vec<_> = outcomes.try_iter().collect();
        assert_eq!(outcomes, vec![Err(Failure::Stopped); 3]);
    }

    #[test]
    fn a_pool_takes_as_much_as_it_says_whether_its_threads_are_awake_or_not() {
        let work: Work = Arc::new(|_, _| Ok(Rendered::TooShort));
        let (told, outcomes) = channel();
        let report: Report = Arc::new(move |_, outcome| told.send(outcome).unwrap());
        let pool = EncodePool::start(2, &work, &report).unwrap();
        for _ in 0..200 {
            for _ in 0..pool.capacity() {
                pool.submit(ticket("burst")).unwrap();
            }
            for _ in 0..pool.capacity() {
                outcomes.recv().unwrap().unwrap();
            }
        }
    }
}
