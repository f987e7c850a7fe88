//! SIP's door for TCP and TLS: takes in connections, as many as there is room for, and stands between each and the SIP library, whose
//! queues have no bound and which waits for a peer that does not read. Knows no call.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsipstack::sip::Transport;
use rsipstack::transport::stream::StreamConnectionInner;
use rsipstack::transport::tcp::TcpConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportLayer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream, unix};
use tokio::sync::{Mutex as Turn, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::framing::{Frame, MAX_MESSAGE, frame};
use crate::reading::{Reading, read, refusal};
use crate::shared::{Counters, count, locked};
use crate::sources::Sources;

/// Connections at once; each costs the library 130 kB of buffers, and three descriptors.
const MAX_CONNECTIONS: usize = 1_000;
/// Messages of one connection the library has not looked at yet: more than a phone has under way, few enough that their
/// answers fit into the socket between us and the library.
const MAX_IN_HAND: usize = 32;
/// Of the files the process may open, this part is for connections: with three each, calls keep more than half of them.
const SHARE: u64 = 8;
/// How long a message may take from its first byte to its last, and a new connection to its first message. SIP gives up on
/// a transaction after as long.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(32);
/// How long a peer may leave what is sent to it unread.
const READER_PATIENCE: Duration = Duration::from_secs(5);
/// How long no connection is taken after the system refused one: descriptors do not come back faster.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes read at once: some messages' worth.
const CHUNK: usize = 16 * 1024;

/// The connections that are open, and what each may still hand to the library.
pub(crate) struct Streams {
    open: Mutex<HashMap<SocketAddr, Arc<Semaphore>>>,
    most: usize,
}

impl Streams {
    /// For a process that may have this many files open.
    pub(crate) fn new(open_files: u64) -> Self {
        let share = usize::try_from(open_files / SHARE).unwrap_or(MAX_CONNECTIONS);
        Self {
            open: Mutex::default(),
            most: share.min(MAX_CONNECTIONS),
        }
    }

    fn enter(&self, peer: SocketAddr) -> Option<Arc<Semaphore>> {
        let mut open = locked(&self.open);
        if open.len() >= self.most || open.contains_key(&peer) {
            return None;
        }
        let hands = Arc::new(Semaphore::new(MAX_IN_HAND));
        open.insert(peer, hands.clone());
        Some(hands)
    }

    fn leave(&self, peer: SocketAddr) {
        locked(&self.open).remove(&peer);
    }

    /// The library has looked at a message of this peer.
    pub(crate) fn taken(&self, peer: SocketAddr) {
        if let Some(hands) = locked(&self.open).get(&peer) {
            hands.add_permits(1);
        }
    }
}

/// Where accepted connections go.
pub(crate) struct Door {
    pub(crate) layer: TransportLayer,
    /// The address the library calls itself by on these connections.
    pub(crate) own: SocketAddr,
    /// By TLS, if this is there.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) cancel: CancellationToken,
}

/// Takes in connections until the switch stops.
pub(crate) async fn serve(listener: TcpListener, door: Door) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = door.cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let outcome = match accepted {
            Ok((stream, peer)) => door.admit(stream, peer),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "a TCP connection was not taken");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

impl Door {
    fn admit(&self, phone: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let Some(hands) = self.streams.enter(peer) else {
            count(&self.counters.shed);
            return Ok(());
        };
        let library = match self.library_end(peer) {
            Ok(library) => library,
            Err(error) => {
                self.streams.leave(peer);
                return Err(error);
            }
        };
        // Answers are small and somebody waits for them; without the option they are only slower.
        drop(phone.set_nodelay(true));
        let (streams, cancel) = (self.streams.clone(), self.cancel.clone());
        let counters = self.counters.clone();
        let inward = Inward {
            peer,
            transport: self.transport(),
            hands,
            counters,
            sources: self.sources.clone(),
        };
        let tls = self.tls.clone();
        tokio::spawn(async move {
            let carried = async {
                match tls {
                    None => carry(phone.into_split(), library, inward).await,
                    Some(tls) => carry_sealed(phone, &tls, library, inward).await,
                }
            };
            let _ = cancel.run_until_cancelled(carried).await;
            streams.leave(peer);
        });
        Ok(())
    }

    fn transport(&self) -> Transport {
        match self.tls {
            None => Transport::Tcp,
            Some(_) => Transport::Tls,
        }
    }

    /// Gives the library its end of a pair of sockets in place of the connection itself; returns ours. The library reads from
    /// a `TcpStream` only, to which a descriptor is a descriptor.
    fn library_end(&self, peer: SocketAddr) -> io::Result<UnixStream> {
        let (ours, its) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        its.set_nonblocking(true)?;
        let its = TcpStream::from_std(OwnedFd::from(its).into())?;
        let (reading, writing) = tokio::io::split(its);
        let address = |addr: SocketAddr| SipAddr {
            r#type: Some(self.transport()),
            addr: addr.into(),
        };
        let (own, peer) = (address(self.own), address(peer));
        let inner = StreamConnectionInner::new(own, peer, reading, writing);
        let connection = TcpConnection {
            inner: Arc::new(inner),
            cancel_token: Some(self.cancel.child_token()),
        };
        self.layer.add_connection(SipConnection::Tcp(connection));
        UnixStream::from_std(ours)
    }
}

type Pen<W> = Turn<W>;

/// The same by TLS, once both have agreed on it.
async fn carry_sealed(phone: TcpStream, tls: &TlsAcceptor, library: UnixStream, inward: Inward) {
    match timeout(MESSAGE_PATIENCE, tls.accept(phone)).await {
        Ok(Ok(phone)) => Box::pin(carry(tokio::io::split(phone), library, inward)).await,
        Ok(Err(error)) => {
            count(&inward.counters.malformed);
            tracing::debug!(%error, peer = %inward.peer, "no TLS");
        }
        Err(_) => tracing::debug!(peer = %inward.peer, "no TLS in time"),
    }
}

/// Carries both ways until either end has enough.
async fn carry<R, W>((from_phone, to_phone): (R, W), library: UnixStream, inward: Inward)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (from_library, to_library) = library.into_split();
    let pen = Turn::new(to_phone);
    let ended = tokio::select! {
        ended = inward.carry(from_phone, to_library, &pen) => ended,
        ended = outward(from_library, &pen) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a TCP connection has ended");
    }
}

/// What the phone says.
struct Inward {
    peer: SocketAddr,
    transport: Transport,
    hands: Arc<Semaphore>,
    counters: Arc<Counters>,
    sources: Arc<Sources>,
}

impl Inward {
    async fn carry(
        self,
        mut phone: impl AsyncRead + Unpin,
        mut library: unix::OwnedWriteHalf,
        pen: &Pen<impl AsyncWrite + Unpin>,
    ) -> io::Result<()> {
        let mut received = Vec::new();
        let mut deadline = Some(Instant::now() + MESSAGE_PATIENCE);
        let mut greeted = false;
        loop {
            received.reserve(CHUNK);
            let had = received.len();
            let reading = phone.read_buf(&mut received);
            let read = match deadline {
                Some(deadline) => timeout_at(deadline, reading).await??,
                None => reading.await?,
            };
            if read == 0 {
                return Ok(());
            }
            let whole = self.take(&mut received, &mut library, pen).await?;
            greeted |= whole;
            deadline = match deadline {
                first if !greeted => first,
                _ if received.is_empty() => None,
                _ if whole || had == 0 => Some(Instant::now() + MESSAGE_PATIENCE),
                same => same,
            };
        }
    }

    /// Takes what is whole out of the bytes received; tells whether a message was among it.
    async fn take(
        &self,
        received: &mut Vec<u8>,
        library: &mut unix::OwnedWriteHalf,
        pen: &Pen<impl AsyncWrite + Unpin>,
    ) -> io::Result<bool> {
        let (mut at, mut any) = (0, false);
        loop {
            match frame(&received[at..]) {
                Frame::Partial => break,
                // The library answers keep-alives.
                Frame::Blank(length) => {
                    library.write_all(&received[at..at + length]).await?;
                    at += length;
                }
                Frame::Message(length, odd) => {
                    let mut message = received[at..at + length].to_vec();
                    message.drain(odd.unwrap_or_default());
                    self.hand_on(&message, library, pen).await?;
                    (at, any) = (at + length, true);
                }
                Frame::Endless(flaw) => {
                    count(&self.counters.malformed);
                    if let Some(answer) = refusal(&received[at..], flaw) {
                        write(pen, &answer).await?;
                    }
                    return Err(io::Error::other("a message without an end"));
                }
            }
        }
        received.drain(..at);
        Ok(any)
    }

    async fn hand_on(
        &self,
        message: &[u8],
        library: &mut unix::OwnedWriteHalf,
        pen: &Pen<impl AsyncWrite + Unpin>,
    ) -> io::Result<()> {
        if !self.sources.hears(self.peer.ip(), Instant::now()) {
            count(&self.counters.unheard);
            return Err(io::Error::other("nobody listens to this source"));
        }
        match read(message, self.peer, self.transport, MAX_MESSAGE) {
            Reading::Message(message) => {
                let hand = self.hands.acquire().await.map_err(io::Error::other)?;
                hand.forget();
                // Whoever leaves answers unread is not asked for more of them.
                drop(pen.lock().await);
                library.write_all(&message).await
            }
            Reading::Refused(answer) => {
                count(&self.counters.malformed);
                write(pen, &answer).await
            }
            Reading::Garbage => {
                count(&self.counters.malformed);
                Err(io::Error::other("no SIP"))
            }
        }
    }
}

/// What the library says. It must never wait for the phone: all other phones would wait with it.
async fn outward(
    mut library: unix::OwnedReadHalf,
    pen: &Pen<impl AsyncWrite + Unpin>,
) -> io::Result<()> {
    let mut said = vec![0; CHUNK];
    loop {
        let read = library.read(&mut said).await?;
        if read == 0 {
            return Ok(());
        }
        write(pen, &said[..read]).await?;
    }
}

async fn write(pen: &Pen<impl AsyncWrite + Unpin>, bytes: &[u8]) -> io::Result<()> {
    let mut phone = pen.lock().await;
    timeout(READER_PATIENCE, phone.write_all(bytes)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A phone's socket, and the library's end of ours.
    async fn carried() -> (TcpStream, UnixStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let phone = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (accepted, peer) = listener.accept().await.unwrap();
        let (ours, library) = UnixStream::pair().unwrap();
        let inward = Inward {
            peer,
            transport: Transport::Tcp,
            hands: Arc::new(Semaphore::new(MAX_IN_HAND)),
            counters: Arc::default(),
            sources: Arc::new(Sources::new(&crate::SwitchConfig::default())),
        };
        tokio::spawn(carry(accepted.into_split(), ours, inward));
        (phone.unwrap(), library)
    }

    const OPTIONS: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
        To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_half_a_message_is_shown_out_and_who_has_spoken_may_stay() {
        for said in ["", "OPTIONS sip:a@b SIP/2.0\r\nVia: "] {
            let (mut phone, _library) = carried().await;
            phone.write_all(said.as_bytes()).await.unwrap();
            let begun = Instant::now();
            assert_eq!(phone.read(&mut [0; 9]).await.unwrap(), 0, "{said:?}");
            assert!(begun.elapsed() >= MESSAGE_PATIENCE);
        }
        let (mut phone, mut library) = carried().await;
        phone.write_all(OPTIONS.as_bytes()).await.unwrap();
        let mut heard = vec![0; OPTIONS.len()];
        library.read_exact(&mut heard).await.unwrap();
        let silence = timeout(MESSAGE_PATIENCE * 100, phone.read(&mut [0; 9])).await;
        assert!(silence.is_err(), "the connection was closed");
    }

    #[tokio::test]
    async fn no_more_messages_than_a_hand_holds_reach_the_library_unread() {
        let (mut phone, mut library) = carried().await;
        let many = OPTIONS.repeat(MAX_IN_HAND + 1);
        phone.write_all(many.as_bytes()).await.unwrap();
        let mut heard = vec![0; OPTIONS.len() * MAX_IN_HAND];
        library.read_exact(&mut heard).await.unwrap();
        let more = timeout(Duration::from_millis(200), library.read(&mut [0; 9])).await;
        assert!(more.is_err(), "one more came");
    }

    #[test]
    fn connections_leave_files_for_calls() {
        let streams = Streams::new(24);
        let peer = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let entered = (1..=4).filter(|port| streams.enter(peer(*port)).is_some());
        assert_eq!(entered.count(), 3);
        streams.leave(peer(1));
        assert!(streams.enter(peer(9)).is_some());
    }
}
