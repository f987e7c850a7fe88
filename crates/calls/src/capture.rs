//! The capture thread: sweeps the RTP sockets of all recorded calls and appends what it finds to their journals.
//!
//! It decodes nothing and knows nothing of recordings. A sweep every [`SWEEP`] costs a quarter of a wake-up per packet;
//! the kernel's receive timestamps keep arrival times exact all the same. Audio that nobody may keep is taken out of its
//! packets here, before any of it reaches the journal's memory.

mod arrival;
mod swept;

use std::{
    collections::HashMap,
    io::IoSliceMut,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::AtomicU64,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use callreel_proto::{CaptureId, Leg};
use callreel_spool::{Journal, Mark};
use callreel_telemetry::metrics;
use nix::{
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt,
        sockopt::{ReceiveTimestampns, RxqOvfl},
    },
};
use serde::Serialize;
use tokio::sync::oneshot;

use arrival::Now;
use swept::Swept;

/// Time between two sweeps, and so the most audio a killed process loses (with the flush that ends each sweep).
const SWEEP: Duration = Duration::from_millis(100);
/// Datagrams taken from a socket by one system call: twice what a leg sends between two sweeps, with room for a burst.
const BATCH: usize = 16;
/// Longest datagram kept. RTP of telephone codecs is under 400 bytes; Ethernet ends at 1500.
const DATAGRAM: usize = 2048;
/// Orders waiting for the thread: it takes them at least every [`SWEEP`], a node starts far fewer calls in that time.
const ORDERS: usize = 1024;

/// What a capture has received so far; read by `Describe` without asking the thread.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Counters {
    /// RTP packets journalled, per leg.
    pub(crate) packets: [AtomicU64; 2],
    /// When the last of them came, by the capture's clock.
    pub(crate) last_ns: AtomicU64,
    /// Datagrams that were not RTP.
    pub(crate) malformed: AtomicU64,
    /// RTP from a source other than the switch's fork.
    pub(crate) foreign: AtomicU64,
    /// Datagrams the kernel threw away because they were not taken in time.
    pub(crate) dropped: AtomicU64,
    /// RTP packets whose payload was taken away: masked audio, redacted keys.
    pub(crate) emptied: AtomicU64,
    /// Writes to the journal that failed.
    pub(crate) failed_writes: AtomicU64,
}

/// One call being captured: its two sockets and its journal.
pub(crate) struct Capture {
    pub(crate) id: CaptureId,
    /// Receives leg A and leg B, in this order.
    pub(crate) sockets: [UdpSocket; 2],
    pub(crate) journal: Journal,
    pub(crate) clock: CaptureClock,
    pub(crate) counters: Arc<Counters>,
    /// Whether the payload of every packet is taken away, until an [`Entry`] says otherwise.
    pub(crate) shut: bool,
    /// Whether the payload of telephone events is taken away: which keys were pressed.
    pub(crate) redact_keys: bool,
}

/// What a recorder wants written behind all that has arrived.
pub(crate) struct Entry {
    /// When it happened, by the capture's clock.
    pub(crate) at_ns: u64,
    /// What.
    pub(crate) marks: Vec<Mark>,
    /// Whether the payload of what arrives from then on is taken away.
    pub(crate) shut: bool,
}

/// The clock of one capture: nanoseconds since it began, monotonic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CaptureClock(Instant);

impl CaptureClock {
    /// A clock that reads zero now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub(crate) fn now_ns(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

enum Order {
    /// From a recorder: sweep this one too.
    Open(Box<Capture>),
    /// From a recorder: packets come from here and nowhere else.
    Source(CaptureId, SocketAddr),
    /// From a recorder: write down all that has arrived, then this, and flush; answered by when it took effect.
    Write(CaptureId, Entry, oneshot::Sender<u64>),
    /// From a recorder, or from whoever found it dead: write down all that has arrived and seal the journal.
    Close(CaptureId, oneshot::Sender<()>),
}

/// A handle to the capture thread; the thread ends, with every journal sealed, when the last handle is gone.
#[derive(Clone)]
pub(crate) struct CaptureThread(Arc<Running>);

struct Running {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                "the capture thread panicked; recovery finishes its journals at the next start"
            );
        }
    }
}

impl CaptureThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system refuses another thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        // Told from the beginning, so that the first loss is seen as one more.
        metrics().capture_dropped.add(0, &[]);
        let (orders, inbox) = sync_channel(ORDERS);
        let thread = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || Sweeper::new(inbox).run())?;
        Ok(Self(Arc::new(Running {
            orders: Some(orders),
            thread: Some(thread),
        })))
    }

    /// Takes a capture into the sweep.
    pub(crate) fn open(&self, capture: Capture) {
        self.order(Order::Open(Box::new(capture)));
    }

    /// Accepts packets of this capture from `source` only.
    pub(crate) fn expect_source(&self, id: &CaptureId, source: SocketAddr) {
        self.order(Order::Source(id.clone(), source));
    }

    /// Appends an entry after everything that has arrived, and returns once it is flushed: with the entry's own instant,
    /// or, where that is a moment in the past already written down and audio is to be taken away or kept again, with the
    /// first instant from which that is so.
    pub(crate) async fn write(&self, id: &CaptureId, entry: Entry) -> u64 {
        let (done, flushed) = oneshot::channel();
        let at_ns = entry.at_ns;
        self.order(Order::Write(id.clone(), entry, done));
        // A closed channel means the capture is gone, and with it everything there was to flush.
        flushed.await.unwrap_or(at_ns)
    }

    /// Seals a capture's journal, and returns once that is done.
    pub(crate) async fn close(&self, id: &CaptureId) {
        let (done, sealed) = oneshot::channel();
        self.order(Order::Close(id.clone(), done));
        drop(sealed.await);
    }

    fn order(&self, order: Order) {
        let orders = self.0.orders.as_ref().expect("taken only on drop");
        if orders.send(order).is_err() {
            tracing::error!("the capture thread is gone; nothing more is recorded until a restart");
        }
    }
}

struct Sweeper {
    inbox: Receiver<Order>,
    captures: HashMap<CaptureId, Swept>,
    /// Captures that are over and wait for the disk to take their end, each with whoever waits for that.
    closing: Vec<(Swept, oneshot::Sender<()>)>,
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Vec<[u8; DATAGRAM]>,
}

impl Sweeper {
    fn new(inbox: Receiver<Order>) -> Self {
        Self {
            inbox,
            captures: HashMap::new(),
            closing: Vec::new(),
            headers: MultiHeaders::preallocate(
                BATCH,
                Some(nix::cmsg_space!(nix::sys::time::TimeSpec, u32)),
            ),
            buffers: vec![[0; DATAGRAM]; BATCH],
        }
    }

    fn run(mut self) {
        let mut next_sweep = Instant::now() + SWEEP;
        loop {
            let wait = next_sweep.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(wait) {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {
                    self.sweep_all();
                    self.close_what_can_be();
                    next_sweep = Instant::now() + SWEEP;
                }
                Err(RecvTimeoutError::Disconnected) => return self.close_all(),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Open(capture) => self.open(*capture),
            Order::Source(id, source) => {
                if let Some(swept) = self.captures.get_mut(&id) {
                    swept.sources = [Some(source); 2];
                }
            }
            Order::Write(id, entry, done) => {
                let mut at_ns = entry.at_ns;
                if let Some(mut swept) = self.captures.remove(&id) {
                    at_ns = swept.turn(&entry);
                    self.sweep(&mut swept);
                    swept.turned(entry.shut);
                    swept.mark(at_ns, entry.marks);
                    self.captures.insert(id, swept);
                }
                // Nobody waits any more when the recorder died meanwhile.
                done.send(at_ns).ok();
            }
            Order::Close(id, done) => {
                let Some(mut swept) = self.captures.remove(&id) else {
                    done.send(()).ok();
                    return;
                };
                self.sweep(&mut swept);
                self.closing.push((swept, done));
                self.close_what_can_be();
            }
        }
    }

    /// Seals what is over, unless the disk refuses its last packets: they stay in memory until it takes them.
    fn close_what_can_be(&mut self) {
        for (mut swept, done) in std::mem::take(&mut self.closing) {
            if swept.flush() {
                swept.seal();
                // Nobody waits any more when the recorder died meanwhile.
                done.send(()).ok();
            } else {
                self.closing.push((swept, done));
            }
        }
    }

    fn open(&mut self, capture: Capture) {
        for socket in &capture.sockets {
            if let Err(error) = setsockopt(socket, ReceiveTimestampns, &true) {
                tracing::warn!(%error, "no receive timestamps; arrival times are those of the sweep");
            }
            if let Err(error) = setsockopt(socket, RxqOvfl, &1) {
                tracing::warn!(%error, "the kernel will not say what it drops");
            }
        }
        let swept = Swept::new(capture);
        self.captures.insert(swept.capture.id.clone(), swept);
    }

    fn sweep_all(&mut self) {
        let mut captures = std::mem::take(&mut self.captures);
        for swept in captures.values_mut() {
            self.sweep(swept);
            swept.flush();
        }
        self.captures = captures;
    }

    fn close_all(mut self) {
        let captures = std::mem::take(&mut self.captures);
        for mut swept in captures.into_values() {
            self.sweep(&mut swept);
            swept.seal();
        }
        for (swept, _) in self.closing {
            swept.seal();
        }
    }

    fn sweep(&mut self, swept: &mut Swept) {
        for leg in [Leg::A, Leg::B] {
            while self.receive(swept, leg) == BATCH {}
        }
    }

    /// Takes one batch from one socket and says how many datagrams it held.
    fn receive(&mut self, swept: &mut Swept, leg: Leg) -> usize {
        let fd = swept.capture.sockets[index(leg)].as_raw_fd();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = self
            .buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let asked_ns = swept.capture.clock.now_ns();
        let batch = match recvmmsg(fd, &mut self.headers, slices.iter_mut(), flags, None) {
            Ok(batch) => batch,
            Err(Errno::EAGAIN) => {
                swept.drained_ns[index(leg)] = asked_ns;
                return 0;
            }
            Err(error) => {
                tracing::error!(%error, "cannot receive RTP: what comes meanwhile is not recorded");
                return 0;
            }
        };
        let now = Now::read(swept.capture.clock, swept.drained_ns[index(leg)]);
        let (mut count, mut taken) = (0, 0);
        for message in batch {
            count += 1;
            let mut stamp = None;
            for told in message.cmsgs().into_iter().flatten() {
                match told {
                    ControlMessageOwned::ScmTimestampns(at) => stamp = Some(Duration::from(at)),
                    ControlMessageOwned::RxqOvfl(all) => swept.dropped(leg, all),
                    _ => {}
                }
            }
            let source = message.address.as_ref().and_then(socket_address);
            let arrival_ns = now.arrival_ns(stamp);
            if let Some(bytes) = message.iovs().next() {
                taken += u64::from(swept.take(leg, source, arrival_ns, bytes));
            }
        }
        metrics().capture_packets.add(taken, &[]);
        if count < BATCH {
            swept.drained_ns[index(leg)] = asked_ns;
        }
        count
    }
}

fn index(leg: Leg) -> usize {
    match leg {
        Leg::A => 0,
        Leg::B => 1,
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::V6((*v6).into()))
    })
}
