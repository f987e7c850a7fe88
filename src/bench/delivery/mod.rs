//! `callreel bench delivery`: how long a node with a backlog takes until it delivers again, and how much memory the backlog costs.
//! The role is the product's own; the backlog is made up, and its receiver accepts connections and never answers.

mod backlog;

use std::{
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use callreel_attachments::{Attachments, Outside};
use callreel_bus::Bus;
use callreel_delivery::{Delivery, DeliveryConfig, WebhooksConfig};
use callreel_spool::Outbox;
use callreel_store::Store;
use serde_json::json;
use tokio::net::TcpListener;

use super::cost::own_memory;
use crate::serve::say;

/// Longest time from the start until the first recording of a backlog is on its way, for a backlog of any size.
const GOAL: Duration = Duration::from_secs(10);
/// Between two looks at how far the role has read.
const LOOK: Duration = Duration::from_millis(20);

/// `callreel bench delivery`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Recordings in the backlog; may be given more than once
    #[arg(long, value_name = "N", default_values_t = [1_000, 10_000, 100_000])]
    recordings: Vec<usize>,
    /// Print one JSON object per row
    #[arg(long)]
    json: bool,
}

/// What one backlog cost.
struct Row {
    recordings: usize,
    /// The look at every ticket, before anything is delivered.
    open: Duration,
    /// From the start until the first connection.
    first: Duration,
    /// From the start until all is known.
    known: Duration,
    /// Memory that the process took meanwhile.
    bytes: u64,
}

/// Prints a row per backlog, and fails if one takes too long.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.json {
        say("recordings   opened s   first try s   all known s   memory MB   bytes each\n");
    }
    let mut missed = false;
    for recordings in &args.recordings {
        let row = try_backlog(*recordings).await?;
        missed |= row.first > GOAL;
        say(&if args.json { row.json() } else { row.line() });
    }
    Ok(ExitCode::from(u8::from(missed)))
}

async fn try_backlog(recordings: usize) -> anyhow::Result<Row> {
    let home = tempfile::tempdir().context("a folder for a spool")?;
    let receiver = TcpListener::bind("127.0.0.1:0").await?;
    let (spool, at) = (home.path().join("spool"), receiver.local_addr()?);
    let folder = spool.clone();
    tokio::task::spawn_blocking(move || backlog::make(&folder, recordings, at)).await??;
    let before = own_memory()?;
    let began = Instant::now();
    let outbox = tokio::task::spawn_blocking(move || Outbox::open(spool)).await??;
    let open = began.elapsed();
    let delivery = start(outbox, &home.path().join("store.db")).await?;
    // Kept, so that the tries hang for as long as it takes.
    let hanging = receiver.accept().await?;
    let first = began.elapsed();
    while delivery.describe().await["owed"] != json!(recordings) {
        tokio::time::sleep(LOOK).await;
    }
    let (known, after) = (began.elapsed(), own_memory()?);
    drop(hanging);
    delivery.stop().await;
    Ok(Row {
        recordings,
        open,
        first,
        known,
        bytes: after.saturating_sub(before),
    })
}

async fn start(outbox: Outbox, store: &std::path::Path) -> anyhow::Result<Delivery> {
    let config = DeliveryConfig {
        allow_networks: vec!["127.0.0.0/8".parse()?],
        ..DeliveryConfig::default()
    };
    let attachments = Attachments::new(Store::open(store)?, Outside::new(&config.outside())?);
    let webhooks = WebhooksConfig::default();
    let bus = Bus::embedded();
    let node = "callreel@bench.example.com";
    let delivery =
        callreel_delivery::start(config, &webhooks, bus, outbox, attachments, node).await?;
    Ok(delivery)
}

impl Row {
    fn bytes_each(&self) -> u64 {
        self.bytes / (self.recordings.max(1) as u64)
    }

    fn line(&self) -> String {
        format!(
            "{:10}   {:8.2}   {:11.2}   {:11.2}   {:9.1}   {:10}{}\n",
            self.recordings,
            self.open.as_secs_f64(),
            self.first.as_secs_f64(),
            self.known.as_secs_f64(),
            self.bytes as f64 / 1e6,
            self.bytes_each(),
            if self.first > GOAL { "  MISSED" } else { "" },
        )
    }

    fn json(&self) -> String {
        let row = json!({
            "recordings": self.recordings,
            "open_s": self.open.as_secs_f64(),
            "first_try_s": self.first.as_secs_f64(),
            "all_known_s": self.known.as_secs_f64(),
            "memory_bytes": self.bytes,
            "bytes_each": self.bytes_each(),
        });
        format!("{row}\n")
    }
}

/// A receiver of the backlog.
fn url(at: SocketAddr, name: &str) -> anyhow::Result<url::Url> {
    Ok(format!("http://{at}/{name}").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_small_backlog_is_opened_tried_and_known() {
        let row = try_backlog(300).await.unwrap();
        assert!(row.open <= row.first && row.first <= row.known);
        assert!(row.line().starts_with("       300"), "{}", row.line());
    }
}
