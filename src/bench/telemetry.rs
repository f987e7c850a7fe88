//! `callreel bench telemetry`: what it costs to tell of a call, in spans and metrics sent to a collector, beside what it costs to make the
//! MP3 of a minute of it. The collector is in the same process, and what it costs counts, too.

use std::{io::Cursor, process::ExitCode, time::Duration};

use axum::{Router, routing::post};
use callreel_media::{AudioShape, Converter, Profile};
use callreel_proto::{AudioFormat, Channels};
use callreel_telemetry::{ACCOUNT_ID, CALL_ID, KeyValue, Span, metrics};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use super::cost::own_cpu;
use crate::{config::Config, metrics::Metrics, serve::say, telemetry::Telemetry};

/// What telling of a call may cost, as a share of making the MP3 of a minute of it.
const GOAL: f64 = 0.01;
/// Spans of a call that a callflow records and bridges, and that is delivered at the second try.
const SPANS: usize = 12;
/// What its metrics count meanwhile.
const COUNTS: usize = 40;
/// Minutes of audio that are rendered to compare with.
const MINUTES: u32 = 20;
/// Samples per second, and in a block.
const RATE: u32 = 8_000;
/// Calls told of before the exporter gets its turn: fewer spans than its queue holds, so that none is thrown away.
const AT_ONCE: u32 = 100;

/// `callreel bench telemetry`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Calls that are told of
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    calls: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measures, prints, and fails if the goal is missed.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rendering = tokio::task::spawn_blocking(rendering).await??;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut config = Config::default();
    config.telemetry.log = "error".to_owned();
    let url = format!("http://{}", listener.local_addr()?);
    config.telemetry.otlp_endpoint = Some(url.parse()?);
    let (_stop, stopped) = watch::channel(false);
    let collector = Router::new().route("/v1/{kind}", post(async || ()));
    tokio::spawn(callreel_api::serve(listener, collector, stopped));
    let telemetry = Telemetry::start(&config)?;
    let collected = Metrics::start(&telemetry)?;
    let before = own_cpu()?;
    let mut told = 0;
    while told < args.calls {
        let some = AT_ONCE.min(args.calls - told);
        (0..some).for_each(|_| tell());
        told += some;
        telemetry.flush().await;
    }
    collected.stop().await;
    telemetry.stop().await;
    let telling = (own_cpu()? - before) / args.calls;
    let share = telling.as_secs_f64() / rendering.as_secs_f64();
    say(&if args.json {
        let row = json!({"call_us": telling.as_micros(), "minute_us": rendering.as_micros(), "share": share, "goal": GOAL});
        format!("{row}\n")
    } else {
        format!(
            "CPU of telling of a call ({SPANS} spans, {COUNTS} counts)   {:>8} µs\n\
             CPU of making the MP3 of one minute         {:>8} µs\n\
             share                                       {:>8.2} %   goal: at most {} %\n",
            telling.as_micros(),
            rendering.as_micros(),
            share * 100.0,
            GOAL * 100.0
        )
    });
    Ok(ExitCode::from(u8::from(share > GOAL)))
}

/// All that is told of one call.
fn tell() {
    let root = Span::serving(None, "INVITE").with(CALL_ID, "zT4kq8Wb1@192.0.2.44");
    for _ in 1..SPANS {
        let mut span = Span::within(root.parent(), "rendering")
            .with(CALL_ID, "zT4kq8Wb1@192.0.2.44")
            .with(ACCOUNT_ID, "9f31c2a7be5d40688a1f0c6d2e7b9345");
        span.set("callreel.outcome", "delivered");
    }
    for _ in 0..COUNTS / 2 {
        let module = KeyValue::new("callreel.module", "record_call");
        metrics().modules.add(1, &[module]);
        metrics().step_duration.record(0.000_3, &[]);
    }
}

/// CPU of making the MP3 of one minute of a call, both parties apart.
fn rendering() -> anyhow::Result<Duration> {
    let shape = AudioShape {
        format: None,
        sample_rate: RATE,
        channels: 2,
    };
    let profile = Profile {
        format: AudioFormat::Mp3,
        ..Profile::default()
    };
    let before = own_cpu()?;
    let mut file = Converter::new(shape, &profile, Channels::Stereo, Cursor::new(Vec::new()))?;
    // Noise that comes and goes as speech does.
    let mut seed = 1_u32;
    for second in 0..MINUTES * 60 {
        let mut voice = |speaks: bool| -> Vec<i16> {
            let sample = |_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((seed >> 16) as i16) / if speaks { 16 } else { 1_024 }
            };
            (0..RATE).map(sample).collect()
        };
        file.push(&[voice(second % 8 < 4), voice(second % 8 >= 4)])?;
    }
    file.finish()?;
    Ok((own_cpu()? - before) / MINUTES)
}
