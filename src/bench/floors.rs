//! `callreel bench floors`: the least that each step of a recording can cost on this machine, done barely: no calls, no promises, no way
//! back after a crash. The other benches hold themselves against it, in the same run.

use std::{
    io::{BufWriter, IoSliceMut, Write as _},
    net::{SocketAddr, UdpSocket},
    num::NonZeroU32,
    os::fd::AsRawFd as _,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use bytes::Bytes;
use callreel_media::{Codec, Decoder};
use mp3lame_encoder::{
    Bitrate, Builder, DualPcm, FlushNoGap, Mode, Quality, VbrMode, max_required_buffer_size,
};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg},
};

use super::{
    cost::{own_cpu, thread_cpu},
    load::{Load, Orders, wait_until},
    row::{Row, Table},
    talk::Talk,
};

/// Between two looks at all sockets: as long as the recorder's.
const SWEEP: Duration = Duration::from_millis(100);
/// Datagrams taken by one system call, and room for each.
const BATCH: usize = 16;
const DATAGRAM: usize = 2048;
/// Bytes gathered before a write.
const WRITE: usize = 256 << 10;
/// Samples given to LAME at once: a second.
const BLOCK: usize = 8000;
/// Minutes of audio that a codec is measured on at least.
pub(super) const MINUTES: u32 = 3;

/// `callreel bench floors`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Calls whose packets are received
    #[arg(long, value_name = "N", default_value_t = 100)]
    calls: usize,
    /// How long they are received
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// Print one JSON object per row
    #[arg(long)]
    json: bool,
}

/// Measures all of them.
pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let talk = Arc::new(Talk::speak()?);
    let mut table = Table::begin(args.json, true);
    let mut load = Load::start().await?;
    let took = receive(&mut load, args.calls, args.seconds).await?;
    let received = took.received as f64 / took.sent as f64;
    let each = Duration::from_secs(args.seconds);
    let row = Row::new("floors", "receive and append").cpu(took.cpu, args.calls as u64, each);
    table.add(&row.complete(received).with("late ms", took.late_ms));
    let minutes = Duration::from_secs(60 * u64::from(MINUTES));
    for (name, settings) in [("LAME, ours", OURS), ("LAME, FreeSWITCH's", FREESWITCH)] {
        let talk = Arc::clone(&talk);
        let cpu = tokio::task::spawn_blocking(move || lame(&talk, &settings)).await??;
        table.add(&Row::new("floors", name).cpu(cpu, 1, minutes));
    }
    let cpu = tokio::task::spawn_blocking(move || wav(&talk)).await??;
    table.add(&Row::new("floors", "decode, interleave, write").cpu(cpu, 1, minutes));
    Ok(table.end())
}

/// What receiving cost.
pub(super) struct Received {
    pub(super) cpu: Duration,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) late_ms: u64,
}

/// Receives both legs of so many calls by a thread that does nothing else, and appends them to one file.
pub(super) async fn receive(
    load: &mut Load,
    calls: usize,
    seconds: u64,
) -> anyhow::Result<Received> {
    let sockets = (0..2 * calls).map(|_| UdpSocket::bind("127.0.0.1:0"));
    let sockets: Vec<UdpSocket> = sockets.collect::<Result<_, _>>()?;
    let addresses: Vec<SocketAddr> = sockets
        .iter()
        .map(UdpSocket::local_addr)
        .collect::<Result<_, _>>()?;
    let orders = Orders {
        calls: addresses.chunks(2).map(|legs| [legs[0], legs[1]]).collect(),
        packets: Talk::packets_in(seconds)?,
    };
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    let sweeping = thread::spawn(move || sweep(&sockets, &told));
    let sent = load.send(&orders).await?;
    over.store(true, Ordering::Release);
    let swept = tokio::task::spawn_blocking(move || sweeping.join()).await?;
    let (cpu, received) = swept.map_err(|_| anyhow!("the receiving thread panicked"))??;
    Ok(Received {
        cpu,
        received,
        sent: sent.packets,
        late_ms: sent.late_ms,
    })
}

fn sweep(sockets: &[UdpSocket], over: &AtomicBool) -> anyhow::Result<(Duration, u64)> {
    let mut out = BufWriter::with_capacity(WRITE, tempfile::tempfile()?);
    let mut headers = MultiHeaders::preallocate(BATCH, None);
    let mut buffers = Box::new([[0; DATAGRAM]; BATCH]);
    let before = thread_cpu()?;
    let (mut received, mut last) = (0, false);
    loop {
        let next = Instant::now() + SWEEP;
        for socket in sockets {
            received += take(socket, &mut headers, &mut buffers, &mut out)?;
        }
        if last {
            out.flush()?;
            return Ok((thread_cpu()? - before, received));
        }
        wait_until(next);
        last = over.load(Ordering::Acquire);
    }
}

/// Appends what one socket holds.
fn take(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    buffers: &mut [[u8; DATAGRAM]; BATCH],
    out: &mut impl std::io::Write,
) -> anyhow::Result<u64> {
    let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
    let flags = MsgFlags::MSG_DONTWAIT;
    let batch = match recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), flags, None) {
        Ok(batch) => batch,
        Err(Errno::EAGAIN) => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let mut taken = 0;
    for bytes in batch.flat_map(|message| message.iovs()) {
        out.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
        out.write_all(bytes)?;
        taken += 1;
    }
    Ok(taken)
}

/// How LAME is asked to work.
#[derive(Clone, Copy)]
pub(super) struct Lame {
    quality: Quality,
    mode: Mode,
    bitrate: Bitrate,
}

/// The telephone profile (docs/performance.md).
pub(super) const OURS: Lame = Lame {
    quality: Quality::Ok,
    mode: Mode::Stereo,
    bitrate: Bitrate::Kbps64,
};

/// What FreeSWITCH's mod_shout asks for with two channels of 8 kHz.
pub(super) const FREESWITCH: Lame = Lame {
    quality: Quality::NearBest,
    mode: Mode::JointStereo,
    bitrate: Bitrate::Kbps32,
};

/// CPU of [`MINUTES`] of MP3 by one handle, from samples in memory.
pub(super) fn lame(talk: &Talk, settings: &Lame) -> anyhow::Result<Duration> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("LAME: {error}");
    let mut encoder = Builder::new()
        .ok_or_else(|| failed(&"no memory"))?
        .with_num_channels(2)
        .and_then(|it| it.with_sample_rate(8000))
        .and_then(|it| it.with_output_sample_rate(NonZeroU32::new(8000)))
        .and_then(|it| it.with_brate(settings.bitrate))
        .and_then(|it| it.with_mode(settings.mode))
        .and_then(|it| it.with_vbr_mode(VbrMode::Off))
        .and_then(|it| it.with_quality(settings.quality))
        .and_then(Builder::build)
        .map_err(|error| failed(&error))?;
    let [a, b] = talk.sound();
    let mut out = Vec::new();
    let before = thread_cpu()?;
    for _ in 0..MINUTES {
        for (left, right) in a.samples.chunks(BLOCK).zip(b.samples.chunks(BLOCK)) {
            out.clear();
            out.reserve(max_required_buffer_size(BLOCK));
            let block = DualPcm { left, right };
            let encoded = encoder.encode_to_vec(block, &mut out);
            encoded.map_err(|error| failed(&error))?;
        }
    }
    out.reserve(max_required_buffer_size(0));
    let flushed = encoder.flush_to_vec::<FlushNoGap>(&mut out);
    flushed.map_err(|error| failed(&error))?;
    Ok(thread_cpu()? - before)
}

/// CPU of [`MINUTES`] of PCM in a file, from payloads in memory.
pub(super) fn wav(talk: &Talk) -> anyhow::Result<Duration> {
    let mut file = BufWriter::with_capacity(WRITE, tempfile::tempfile()?);
    let mut decoders = [Decoder::new(Codec::Pcmu), Decoder::new(Codec::Pcmu)];
    let mut heard = [Vec::new(), Vec::new()];
    let mut block = Vec::new();
    let before = thread_cpu()?;
    for packet in 0..talk.packets() * MINUTES as usize {
        for leg in [0, 1] {
            heard[leg].clear();
            decoders[leg].decode(talk.payload(0, leg, packet), &mut heard[leg]);
        }
        block.clear();
        for (left, right) in heard[0].iter().zip(&heard[1]) {
            block.extend_from_slice(&left.to_le_bytes());
            block.extend_from_slice(&right.to_le_bytes());
        }
        file.write_all(&block)?;
    }
    file.flush()?;
    Ok(thread_cpu()? - before)
}

/// CPU of this process for sending so many bodies, so many at a time.
pub(super) async fn put(
    url: &url::Url,
    body: Bytes,
    times: usize,
    at_once: usize,
) -> anyhow::Result<Duration> {
    let client = reqwest::Client::new();
    let before = own_cpu()?;
    let one = |n: usize| {
        let mut url = url.clone();
        url.set_path(&format!("/floor_{n}"));
        let sent = client.put(url).body(body.clone()).send();
        async move { sent.await?.error_for_status().map(drop) }
    };
    let mut all = futures::stream::StreamExt::buffer_unordered(
        futures::stream::iter((0..times).map(one)),
        at_once,
    );
    while let Some(sent) = futures::StreamExt::next(&mut all).await {
        sent?;
    }
    Ok(own_cpu()? - before)
}
