//! Many calls' RTP, sent by a process of its own, so that what it costs is not the server's: `callreel bench load`, which other benches
//! start. It is told where to send by one line of JSON, and answers by one when all is sent.

use std::{
    io::IoSlice,
    net::{SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd as _,
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::talk::{FRAME, Talk};
use crate::serve::say;

/// A leg sends every so often.
const PACKET: Duration = Duration::from_millis(20);
/// Calls take turns within that time: so many turns.
const TURNS: usize = 10;
/// Datagrams of one system call; Linux takes at most 1024.
const BATCH: usize = 512;
/// RTP's header without extensions (RFC 3550 section 5.1).
const HEADER: usize = 12;

/// `callreel bench load`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args;

/// What is to be sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// Where both legs of each call go.
    pub(super) calls: Vec<[SocketAddr; 2]>,
    /// Packets of each leg.
    pub(super) packets: usize,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) packets: u64,
    /// How late the latest turn was, ms: the machine was too busy for this load.
    pub(super) late_ms: u64,
}

/// Sends by what standard input says. The first line of output names the address that all comes from.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    let talk = Talk::speak()?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    say(&format!("{}\n", socket.local_addr()?));
    for line in std::io::stdin().lines() {
        let orders: Orders = serde_json::from_str(&line?).context("orders")?;
        let sent = send(&socket, &talk, &orders)?;
        say(&format!("{}\n", serde_json::to_string(&sent)?));
    }
    Ok(ExitCode::SUCCESS)
}

fn send(socket: &UdpSocket, talk: &Talk, orders: &Orders) -> anyhow::Result<Sent> {
    let calls: Vec<[SockaddrIn; 2]> = orders
        .calls
        .iter()
        .map(addresses)
        .collect::<Result<_, _>>()?;
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut buffers = vec![[0_u8; HEADER + FRAME]; BATCH];
    let mut sent = Sent {
        packets: 0,
        late_ms: 0,
    };
    let began = Instant::now();
    for turn in 0..orders.packets * TURNS {
        let due = began + PACKET * u32::try_from(turn)? / u32::try_from(TURNS)?;
        wait_until(due);
        let late = u64::try_from(due.elapsed().as_millis())?;
        sent.late_ms = sent.late_ms.max(late);
        let packet = turn / TURNS;
        let mine = (turn % TURNS..calls.len()).step_by(TURNS);
        let legs: Vec<(usize, usize)> = mine.flat_map(|call| [(call, 0), (call, 1)]).collect();
        for batch in legs.chunks(BATCH) {
            let to: Vec<Option<SockaddrIn>> = batch
                .iter()
                .map(|(call, leg)| Some(calls[*call][*leg]))
                .collect();
            for (buffer, (call, leg)) in buffers.iter_mut().zip(batch) {
                fill(
                    buffer,
                    *call,
                    *leg,
                    packet,
                    talk.payload(*call, *leg, packet),
                );
            }
            let slices: Vec<[IoSlice<'_>; 1]> = buffers[..batch.len()]
                .iter()
                .map(|buffer| [IoSlice::new(buffer)])
                .collect();
            let taken = sendmmsg(
                socket.as_raw_fd(),
                &mut headers,
                &slices,
                &to,
                [],
                MsgFlags::empty(),
            );
            let taken = taken.context("sendmmsg")?.count();
            if taken < batch.len() {
                bail!("the system took {taken} of {} packets", batch.len());
            }
            sent.packets += taken as u64;
        }
    }
    Ok(sent)
}

/// Holds up a thread that has nothing else to do.
pub(super) fn wait_until(due: Instant) {
    loop {
        let rest = due.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        std::thread::park_timeout(rest);
    }
}

fn addresses(call: &[SocketAddr; 2]) -> anyhow::Result<[SockaddrIn; 2]> {
    let of = |address: SocketAddr| -> anyhow::Result<SockaddrIn> {
        let SocketAddr::V4(v4) = address else {
            bail!("{address} is not IPv4");
        };
        Ok(SocketAddrV4::into(v4))
    };
    Ok([of(call[0])?, of(call[1])?])
}

fn fill(buffer: &mut [u8; HEADER + FRAME], call: usize, leg: usize, packet: usize, payload: &[u8]) {
    let ssrc = (call * 2 + leg + 1) as u32;
    // Version 2, PCMU, the marker at the beginning of the talk.
    buffer[0] = 0x80;
    buffer[1] = if packet == 0 { 0x80 } else { 0 };
    buffer[2..4].copy_from_slice(&(packet as u16).to_be_bytes());
    buffer[4..8].copy_from_slice(&((packet * FRAME) as u32).to_be_bytes());
    buffer[8..12].copy_from_slice(&ssrc.to_be_bytes());
    buffer[HEADER..].copy_from_slice(payload);
}

/// The sending process, seen from the bench.
pub(super) struct Load {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    source: SocketAddr,
}

impl Load {
    /// Starts it.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(own_program()?)
            .args(["bench", "load"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the sender")?;
        let orders = child.stdin.take().context("the sender has no input")?;
        let output = child.stdout.take().context("the sender has no output")?;
        let mut answers = BufReader::new(output).lines();
        let source = answers.next_line().await?.context("the sender has ended")?;
        Ok(Self {
            child,
            orders,
            answers,
            source: source.parse()?,
        })
    }

    /// Where all its packets come from.
    pub(super) fn source(&self) -> SocketAddr {
        self.source
    }

    /// Has it send all this, and returns when it has.
    pub(super) async fn send(&mut self, orders: &Orders) -> anyhow::Result<Sent> {
        let line = format!("{}\n", serde_json::to_string(orders)?);
        self.orders.write_all(line.as_bytes()).await?;
        let answer = self.answers.next_line().await?;
        let Some(answer) = answer else {
            bail!("the sender has ended: {}", self.child.wait().await?);
        };
        Ok(serde_json::from_str(&answer)?)
    }
}

/// This program, to be started once more.
pub(super) fn own_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("where this program lies")
}
