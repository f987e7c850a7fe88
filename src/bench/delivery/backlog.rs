//! A spool full of recordings whose receiver was away. Written without syncing, because nobody will miss it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use callreel_proto::{
    AccountId, AudioFormat, CallId, CaptureId, Channels, Destination, EndReason, HttpMethod, Leg,
    RecordingId, Utc,
};
use callreel_spool::{Promise, RenditionInfo, Source, Ticket, TicketKind, View};
use serde_json::json;

use super::url;

/// How many accounts share the backlog.
const ACCOUNTS: usize = 50;

/// Fills the folder with so many recordings that are due, each with ticket, capture and file.
pub(super) fn make(spool: &Path, recordings: usize, receiver: SocketAddr) -> anyhow::Result<()> {
    let view = View::open(spool);
    let accounts: Vec<AccountId> = (0..ACCOUNTS).map(|_| AccountId::random()).collect();
    for n in 0..recordings {
        let ticket = ticket(accounts[n % ACCOUNTS].clone(), receiver, n)?;
        write(&view.rendition_path(&ticket), b"RIFF")?;
        let recording = view.rendition_path(&ticket);
        write(
            &recording.with_file_name("ticket.json"),
            &serde_json::to_vec_pretty(&ticket)?,
        )?;
        let capture = ticket.capture_id().context("it has a capture")?;
        let journal = view.journal_path(capture);
        let claim = format!("for-{}", ticket.recording_id());
        write(&journal, b"")?;
        write(&journal.with_file_name(claim), b"")?;
    }
    Ok(())
}

fn write(path: &PathBuf, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("it lies in a folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A recording that was tried in vain, and is due again.
fn ticket(account_id: AccountId, receiver: SocketAddr, n: usize) -> anyhow::Result<Ticket> {
    let started_at = Utc::from_unix_ms(1_709_251_200_000);
    let file_name = format!("call_recording_{n}.wav");
    let promise = Promise {
        recording_id: RecordingId::random(started_at),
        source: Source::Capture(CaptureId::random()),
        account_id,
        call_id: CallId::new(format!("{n}@bench")),
        kind: TicketKind::Recording,
        format: AudioFormat::Wav,
        channels: Channels::Stereo,
        sample_rate: None,
        destination: Destination::http(url(receiver, &file_name)?, HttpMethod::Put),
        file_name,
        started_at,
        start_ns: 0,
        time_limit_s: 600,
        min_ms: 0,
        redact_dtmf: false,
        recipient: None,
        span: None,
        of_leg: Leg::A,
    };
    let told = json!({"from": "1001@acme.test", "to": "1002@acme.test", "caller_id_name": "Jane"});
    let document = told.as_object().cloned().unwrap_or_default();
    let mut ticket = Ticket::new(promise, document)?;
    ticket.end(60_000_000_000, EndReason::Hangup)?;
    ticket.rendered(RenditionInfo {
        bytes: 4,
        sha256: "ab".repeat(32),
        sealed_bytes: None,
        duration_ms: 60_000,
        sample_rate: 8000,
        channels: 2,
        report: None,
    })?;
    ticket.attempt_failed(started_at, "no route", started_at)?;
    Ok(ticket)
}
