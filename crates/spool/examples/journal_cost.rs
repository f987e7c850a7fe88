//! What a sealed journal costs the capture thread: appends and flushes a call's packets with a key and without, and prints
//! the CPU time of both.
#![allow(clippy::print_stdout, reason = "it is what this program is for")]

use std::time::Duration;

use callreel_proto::{AccountId, CallId, CaptureId, Leg, Utc};
use callreel_spool::{
    CaptureHeader, Error, Journal, PacketRecord, Record, SpoolConfig, Writer, new_key,
};
use nix::time::{ClockId, clock_gettime};

/// An hour of a call, packets of each leg.
const PACKETS: u32 = 180_000;
/// Packets of each leg between two flushes: a tenth of a second.
const PER_FLUSH: u32 = 5;
/// Bytes of 20 ms of G.711.
const PAYLOAD: usize = 160;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = tempfile::NamedTempFile::new()?;
    std::fs::write(&key, new_key().0.reveal())?;
    let mut costs = Vec::new();
    for key_file in [None, Some(key.path().to_owned())] {
        let name = key_file.as_ref().map_or("open", |_| "sealed");
        let dir = tempfile::tempdir()?;
        let config = SpoolConfig {
            key_file,
            ..SpoolConfig::default()
        };
        let writer = Writer::open(dir.path(), &config)?;
        let begun = cpu_time()?;
        let mut journal = writer.create_capture(CaptureHeader {
            capture_id: CaptureId::random(),
            call_id: CallId::new("bench@journal"),
            account_id: AccountId::random(),
            started_at: Utc::now(),
        })?;
        let opened = cpu_time()?;
        record(&mut journal)?;
        let spent = cpu_time()? - opened;
        let per_thousand = spent / (2 * PACKETS / 1000);
        println!(
            "{name}: {per_thousand:?} of CPU for 1000 packets, {:?} to begin",
            opened - begun
        );
        costs.push(per_thousand.as_secs_f64());
    }
    println!("sealed / open: {:.2}", costs[1] / costs[0]);
    Ok(())
}

fn record(journal: &mut Journal) -> Result<(), Error> {
    let payload = [0x55; PAYLOAD];
    for n in 0..PACKETS {
        for leg in [Leg::A, Leg::B] {
            journal.append(&Record::Packet(PacketRecord {
                leg,
                arrival_ns: u64::from(n) * 20_000_000,
                payload_type: 0,
                marker: false,
                sequence: n as u16,
                timestamp: n.wrapping_mul(160),
                ssrc: 0xbe4c,
                payload: &payload,
            }))?;
        }
        if n % PER_FLUSH == 0 {
            journal.flush()?;
        }
    }
    journal.flush()
}

fn cpu_time() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from)
}
