//! `callreel bench fidelity`: known speech through bad networks into recordings, and what is left of it in the files. The way from packet
//! to file is the product's own; the networks and their time are made up, so it is the same in every run and faster than life.

mod align;
mod band;
mod grid;
mod material;
mod network;
mod pairs;
mod place;
mod quality;
mod recording;
mod row;
mod sender;
mod table;
#[cfg(test)]
mod testing;

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::PathBuf,
    process::ExitCode,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use anyhow::Context;
use callreel_media::Codec;

use crate::serve::say;
pub(super) use material::Conversation;
pub(super) use sender::{PACKETS_PER_SECOND, Sent};
#[cfg(test)]
pub(super) use testing::voice;

use grid::{Case, cases};
use network::Network;
use place::Place;
use recording::{Call, Stream, record};
use row::{Outcome, Row};

/// When each leg sends its first packet, capture time: the other party answers a little later.
const FIRST_NS: [u64; 2] = [1_000_000_000, 1_213_000_000];
/// The recording begins between two samples, and before anything is heard.
const START_NS: u64 = 412_345_678;
/// It goes on after the last packet for this long.
const TAIL_NS: u64 = 1_500_000_000;

/// `callreel bench fidelity`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Keep what was sent and what was recorded, as WAV files, in this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object per row
    #[arg(long)]
    json: bool,
    /// Length of the conversation
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=10_000))]
    seconds: u32,
    /// Three networks instead of twenty-six
    #[arg(long)]
    quick: bool,
    /// Another seed makes the networks lose and delay other packets
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs all cases, prints a row per case and leg in their order, and fails if a goal is missed.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    }
    let cases = cases(args.quick);
    let material = Material::prepare(args.seconds, &cases)?;
    if !args.json {
        say(&table::head());
    }
    let mut missed = 0;
    in_parallel(
        &cases,
        |case| try_case(case, &material, args),
        |rows| {
            for row in rows? {
                missed += usize::from(!row.missed().is_empty());
                if args.json {
                    say(&format!("{}\n", row.json()));
                } else {
                    say(&table::line(&row));
                }
            }
            Ok(())
        },
    )?;
    if !args.json {
        let rows = 2 * cases.len();
        say(&format!(
            "\n{} of {rows} rows reach every goal.\n",
            rows - missed
        ));
    }
    Ok(ExitCode::from(u8::from(missed > 0)))
}

/// What both legs send in every codec.
struct Material {
    sent: BTreeMap<Codec, [Sent; 2]>,
}

impl Material {
    fn prepare(seconds: u32, cases: &[Case]) -> anyhow::Result<Self> {
        let conversation = Conversation::speak(seconds)?;
        let mut sent = BTreeMap::new();
        for codec in cases.iter().flat_map(|case| case.codecs) {
            sent.entry(codec).or_insert_with(|| {
                [0, 1].map(|leg| Sent::encode(codec, &conversation.leg(leg, codec.sample_rate())))
            });
        }
        Ok(Self { sent })
    }
}

fn try_case(case: &Case, material: &Material, args: &Args) -> anyhow::Result<[Row; 2]> {
    let outcome = outcome(case, material, args.seed).with_context(|| case.name())?;
    if let Some(out) = &args.out {
        pairs::keep(&outcome, out).with_context(|| format!("cannot write to {}", out.display()))?;
    }
    Ok(outcome.measure())
}

/// Makes the call and records it.
fn outcome<'m>(case: &'m Case, material: &'m Material, seed: u64) -> anyhow::Result<Outcome<'m>> {
    let spool = tempfile::tempdir().context("a folder for a spool")?;
    let sent = [0, 1].map(|leg| &material.sent[&case.codecs[leg]][leg]);
    let streams = [0, 1].map(|leg| Stream {
        sent: sent[leg],
        arrivals: case.network.carry(
            leg,
            FIRST_NS[leg],
            sent[leg].payloads.len(),
            seed * 2 + leg as u64,
        ),
    });
    let last = streams.iter().flat_map(|stream| stream.arrivals.last());
    let last_ns = last.map(|arrival| arrival.at_ns).max();
    let call = Call {
        streams,
        start_ns: START_NS,
        end_ns: last_ns.unwrap_or(START_NS) + TAIL_NS,
    };
    let files = record(&call, spool.path())?;
    let file_rate = files.mp3.channels[0].sample_rate;
    Ok(Outcome {
        case,
        legs: [0, 1].map(|leg| (sent[leg], place(case, leg, sent[leg], file_rate))),
        length_s: (call.end_ns - call.start_ns) as f64 / 1e9,
        files,
    })
}

/// A leg's first sound belongs where its first packet would arrive undelayed, less what coding took.
fn place(case: &Case, leg: usize, sent: &Sent, file_rate: u32) -> Place {
    let lag = sent.lag as f64 * f64::from(file_rate) / f64::from(sent.decoded.sample_rate);
    Place::new(
        Network::undelayed_ns(FIRST_NS[leg]),
        START_NS,
        file_rate,
        lag,
        case.network.drift_of(leg),
    )
}

/// Does the work on all cores, and hands the results over in the order of the cases as soon as they are there.
fn in_parallel<R: Send>(
    cases: &[Case],
    work: impl Fn(&Case) -> R + Sync,
    mut hand_over: impl FnMut(R) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (done, results) = mpsc::channel();
        for _ in 0..threads {
            let (done, next, work) = (done.clone(), &next, &work);
            scope.spawn(move || {
                while let n = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(case) = cases.get(n)
                    && done.send((n, work(case))).is_ok()
                {}
            });
        }
        drop(done);
        let mut waiting = BTreeMap::new();
        let mut wanted = 0;
        for (n, result) in results {
            waiting.insert(n, result);
            while let Some(result) = waiting.remove(&wanted) {
                hand_over(result)?;
                wanted += 1;
            }
        }
        Ok(())
    })
}
