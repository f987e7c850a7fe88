//! `callreel bench recorder`: many calls recorded at once, by real RTP from another process, through the recorder, its journals and delivery.
//! The switch is played; everything behind it is the product's own. Every file is decoded and held against what was said.

mod stage;

use std::{
    net::SocketAddr,
    path::Path,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use callreel_media::read_audio;
use callreel_proto::{AudioFormat, RecordingFact};
use clap::ValueEnum;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use url::Url;

use super::{
    cost::{own_cpu, own_memory},
    floors,
    judge::judge,
    load::{Load, Orders, own_program},
    row::{Row, Table},
    talk::Talk,
};
use stage::{Live, Stage};

/// What each step may cost beside its floor (docs/performance.md).
const LIVE_GOAL: f64 = 1.5;
const MP3_GOAL: f64 = 1.25;
const WAV_GOAL: f64 = 1.5;
const FREESWITCH_GOAL: f64 = 0.36;
/// Resident bytes that a recorded call may take, with a thousand of them.
const MEMORY_GOAL: f64 = 40.0 * 1024.0;
/// How far the legs of a file may be apart, ms.
const MOST_APART_MS: f64 = 20.0;
/// The floor of receiving needs no more seconds than this.
const FLOOR_SECONDS: u64 = 15;
/// Uploads under way at once, as many as the floor of uploading has.
const AT_ONCE: usize = 8;

/// Longest wait for what was sent to be in journals, and the time between two looks.
const RECEIVING: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Which file is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Mp3,
    Wav,
    /// Only the journals are written.
    None,
}

/// `callreel bench recorder`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Calls at once; may be given more than once
    #[arg(long, value_name = "N", default_values_t = [100])]
    calls: Vec<usize>,
    /// How long each of them lasts
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..=10_000))]
    seconds: u64,
    /// What becomes of them
    #[arg(long, value_enum, default_value = "mp3")]
    format: Format,
    /// Fail if a goal is missed, too, and not only if a file is not right
    #[arg(long)]
    strict: bool,
    /// Print one JSON object per row
    #[arg(long)]
    json: bool,
}

/// Measures, prints, and fails if a file is not right.
pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let talk = Arc::new(Talk::speak()?);
    let mut table = Table::begin(args.json, args.strict);
    for calls in &args.calls {
        for row in measure(args, *calls, &talk).await? {
            table.add(&row);
        }
    }
    Ok(table.end())
}

/// What one run cost.
struct Costs {
    live: Duration,
    /// From the first hang-up until all is delivered.
    after: Duration,
    /// Bytes that each call took at most.
    memory: f64,
    /// How late the sender was at worst.
    late_ms: u64,
    /// From the first hang-up until all is delivered, by the clock.
    settled: Duration,
}

async fn measure(args: &Args, calls: usize, talk: &Arc<Talk>) -> anyhow::Result<Vec<Row>> {
    let home = tempfile::tempdir().context("a folder for recordings")?;
    let sink = Sink::start(&home.path().join("received")).await?;
    let mut load = Load::start().await?;
    let floor_seconds = args.seconds.min(FLOOR_SECONDS);
    let floor = floors::receive(&mut load, calls, floor_seconds).await?;
    let receiving = per_minute(floor.cpu, calls, floor_seconds);
    let format = match args.format {
        Format::Mp3 => Some(AudioFormat::Mp3),
        Format::Wav => Some(AudioFormat::Wav),
        Format::None => None,
    };
    let mut stage = Stage::open(home.path(), &sink.url, format).await?;
    let last = match format {
        Some(_) => RecordingFact::Delivered,
        None => RecordingFact::Ended,
    };
    let costs = record(&mut stage, &mut load, calls, args.seconds, last).await;
    stage.close().await;
    let costs = costs?;
    let each = Duration::from_secs(args.seconds);
    let live = Row::new("recorder", "live")
        .cpu(costs.live, calls as u64, each)
        .against(receiving, Some(LIVE_GOAL))
        .with("late ms", costs.late_ms);
    let memory = Row {
        calls: Some(calls as u64),
        rss_bytes_per_call: Some(costs.memory),
        ..Row::new("recorder", "memory of live calls")
    };
    let memory = memory.ratio(costs.memory / MEMORY_GOAL, (calls >= 1000).then_some(1.0));
    let Some(format) = format else {
        return Ok(vec![live, memory]);
    };
    let folder = home.path().join("received");
    let (complete, apart_ms) = judge_all(&folder, talk, calls, args.seconds, format)?;
    let uploading = upload_floor(&sink.url, &folder, calls, args.seconds).await?;
    let rendering = rendering_floor(talk, format).await?;
    let after = Row::new(
        "recorder",
        format!("render {} and deliver", format.extension()),
    )
    .cpu(costs.after, calls as u64, each)
    .against(rendering + uploading, None)
    .with("settled ms", u64::try_from(costs.settled.as_millis())?);
    let goal = if format == AudioFormat::Mp3 {
        MP3_GOAL
    } else {
        WAV_GOAL
    };
    let whole = Row::new("recorder", format!("whole way, {}", format.extension()))
        .cpu(costs.live + costs.after, calls as u64, each)
        .against(receiving + rendering + uploading, Some(goal))
        .complete(complete)
        .with("apart ms", apart_ms);
    let mut rows = vec![live, memory, after, whole];
    if format == AudioFormat::Mp3 {
        let talk = Arc::clone(talk);
        let cpu =
            tokio::task::spawn_blocking(move || floors::lame(&talk, &floors::FREESWITCH)).await??;
        let freeswitch = per_minute(cpu, 1, 60 * u64::from(floors::MINUTES));
        let row = Row::new("recorder", "beside FreeSWITCH's LAME");
        let row = row.cpu(costs.live + costs.after, calls as u64, each);
        rows.push(row.against(freeswitch, Some(FREESWITCH_GOAL)));
    }
    Ok(rows)
}

fn per_minute(cpu: Duration, calls: usize, seconds: u64) -> f64 {
    cpu.as_secs_f64() * 60.0 / (calls as f64 * seconds as f64)
}

/// Records all calls at once; `last` is what is told of a recording when nothing of it is left to do.
async fn record(
    stage: &mut Stage,
    load: &mut Load,
    calls: usize,
    seconds: u64,
    last: RecordingFact,
) -> anyhow::Result<Costs> {
    // What is made once for all calls is not theirs.
    warm_up(stage, load, calls, last).await?;
    let memory = own_memory()?;
    let live = stage.begin(0..calls, load.source()).await?;
    let orders = Orders {
        calls: live.iter().map(|call| call.fork).collect(),
        packets: Talk::packets_in(seconds)?,
    };
    let before = own_cpu()?;
    let sent = load.send(&orders).await?;
    let live_cpu = own_cpu()? - before;
    let memory = own_memory()?.saturating_sub(memory) as f64 / calls as f64;
    all_received(stage, &live, sent.packets).await?;
    let (began, before) = (Instant::now(), own_cpu()?);
    for call in &live {
        stage.hang_up(&call.id).await?;
    }
    stage.told(last, calls).await?;
    Ok(Costs {
        live: live_cpu,
        after: own_cpu()? - before,
        memory,
        late_ms: sent.late_ms,
        settled: began.elapsed(),
    })
}

async fn warm_up(
    stage: &mut Stage,
    load: &mut Load,
    number: usize,
    last: RecordingFact,
) -> anyhow::Result<()> {
    let live = stage.begin(number..number + 1, load.source()).await?;
    let orders = Orders {
        calls: live.iter().map(|call| call.fork).collect(),
        packets: Talk::packets_in(1)?,
    };
    load.send(&orders).await?;
    stage.hang_up(&live[0].id).await?;
    stage.told(last, 1).await?;
    Ok(())
}

/// Waits until every packet is in a journal: the recorder looks ten times a second.
async fn all_received(stage: &Stage, live: &[Live], sent: u64) -> anyhow::Result<()> {
    let until = Instant::now() + RECEIVING;
    loop {
        let received = stage.received().await;
        if received >= sent {
            return Ok(());
        }
        if Instant::now() > until {
            bail!(
                "{received} of {sent} packets of {} calls are in journals",
                live.len()
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Share of the calls whose file is right, and how far the legs of one are apart at worst, ms.
fn judge_all(
    folder: &Path,
    talk: &Talk,
    calls: usize,
    seconds: u64,
    format: AudioFormat,
) -> anyhow::Result<(f64, f64)> {
    let packets = Talk::packets_in(seconds)?;
    let (mut right, mut worst_ms) = (0, 0.0_f64);
    for call in 0..calls {
        let said = talk.heard(call, packets);
        let file = stage::file_name(call, format);
        let judged = std::fs::read(folder.join(&file))
            .map_err(|error| error.to_string())
            .and_then(|bytes| {
                read_audio(bytes, Some(format.extension())).map_err(|error| error.to_string())
            })
            .and_then(|audio| judge(&said, &audio));
        match judged {
            Ok(found) => {
                let apart_ms = found.apart as f64 / 8.0;
                worst_ms = worst_ms.max(apart_ms);
                right += usize::from(apart_ms <= MOST_APART_MS);
            }
            Err(wrong) => tracing::error!(file, wrong, "a recording is not right"),
        }
    }
    Ok((right as f64 / calls as f64, worst_ms))
}

/// CPU of barely sending a file of that size, for a minute of it.
async fn upload_floor(
    sink: &Url,
    folder: &Path,
    calls: usize,
    seconds: u64,
) -> anyhow::Result<f64> {
    let some = std::fs::read_dir(folder)?
        .next()
        .context("nothing was received")??;
    let body = Bytes::from(std::fs::read(some.path())?);
    let cpu = floors::put(sink, body, calls, AT_ONCE).await?;
    Ok(per_minute(cpu, calls, seconds))
}

/// CPU of barely making a file of samples or payloads in memory, for a minute of it.
async fn rendering_floor(talk: &Arc<Talk>, format: AudioFormat) -> anyhow::Result<f64> {
    let talk = Arc::clone(talk);
    let cpu = tokio::task::spawn_blocking(move || match format {
        AudioFormat::Mp3 => floors::lame(&talk, &floors::OURS),
        AudioFormat::Wav => floors::wav(&talk),
    });
    Ok(per_minute(cpu.await??, 1, 60 * u64::from(floors::MINUTES)))
}

/// Where recordings go: `callreel receive`, in a process of its own.
struct Sink {
    _child: Child,
    url: Url,
}

impl Sink {
    async fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(own_program()?)
            .args(["receive", "--listen", "127.0.0.1:0", "--dir"])
            .arg(folder)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the receiver")?;
        let output = child.stdout.take().context("the receiver has no output")?;
        let mut lines = BufReader::new(output).lines();
        let address = loop {
            let line = lines.next_line().await?.context("the receiver has ended")?;
            let address = line.split(|c: char| c.is_whitespace() || c == '/');
            if let Some(address) = address
                .filter_map(|word| word.parse::<SocketAddr>().ok())
                .next()
            {
                break address;
            }
        };
        // It tells of every file, and a full pipe would hold it up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            _child: child,
            url: format!("http://{address}").parse()?,
        })
    }
}
