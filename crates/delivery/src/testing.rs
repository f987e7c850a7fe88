//! Made-up recordings for the tests of this crate.

use std::io::Cursor;

use callreel_media::{AudioShape, Converter, Profile};
use callreel_proto::{
    AccountId, AudioFormat, CallId, CaptureId, Channels, Destination, EndReason, HttpMethod,
    RecordingId, Utc,
};
use callreel_spool::{
    CaptureHeader, Keys, Promise, RenditionInfo, Source, SwitchFile, Ticket, TicketKind, View,
    Writer,
};
use serde_json::Map;

/// 2024-02-29T23:59:59.999Z: the last millisecond of a month.
pub(crate) const STARTED_MS: i64 = 1_709_251_199_999;

/// A ticket that grows; `change` makes it special.
pub(crate) fn ticket(change: impl FnOnce(&mut Promise)) -> Box<Ticket> {
    let mut promise = Promise {
        recording_id: RecordingId::parse("202402-0123456789abcdef0123456789abcdef").unwrap(),
        source: Source::Capture(CaptureId::parse("fedcba9876543210fedcba9876543210").unwrap()),
        account_id: AccountId::parse("abcd0123456789abcdef0123456789ab").unwrap(),
        call_id: CallId::new("x@y"),
        kind: TicketKind::Recording,
        format: AudioFormat::Wav,
        channels: Channels::Stereo,
        sample_rate: None,
        destination: Destination::http(
            "http://u:secret@h/r/call_recording_x%40y.wav"
                .parse()
                .unwrap(),
            HttpMethod::Put,
        ),
        file_name: "call_recording_x%40y.wav".to_owned(),
        started_at: Utc::from_unix_ms(STARTED_MS),
        start_ns: 0,
        time_limit_s: 60,
        min_ms: 0,
        redact_dtmf: false,
        recipient: None,
        span: None,
        of_leg: callreel_proto::Leg::A,
    };
    change(&mut promise);
    Box::new(Ticket::new(promise, Map::new()).unwrap())
}

/// New keys; the file they were in is gone.
pub(crate) fn keys() -> Keys {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, callreel_spool::new_key().0.reveal()).unwrap();
    Keys::load(file.path()).unwrap()
}

/// Puts an ended recording of two seconds, whose audio a foreign switch keeps, into the spool.
pub(crate) fn ended_on_switch(writer: &Writer, change: impl FnOnce(&mut Promise)) -> Box<Ticket> {
    let mut ticket = ticket(|promise| {
        promise.source = Source::Switch(SwitchFile {
            node: "freeswitch@fs1".to_owned(),
            media_name: "0f1e.wav".to_owned(),
            path: Some("/tmp/0f1e.wav".to_owned()),
            ..SwitchFile::default()
        });
        change(promise);
    });
    writer.create_ticket(&ticket).unwrap();
    ticket.end(2_000_000_000, EndReason::Hangup).unwrap();
    writer.save_ticket(&ticket).unwrap();
    ticket
}

/// A stereo file of 8000 Hz with half a second of a tone in it.
pub(crate) fn tone(format: AudioFormat) -> Vec<u8> {
    let tone = |n| if n % 16 < 8 { 4000 } else { -4000 };
    let block: Vec<i16> = (0..4000).map(tone).collect();
    encoded(format, &[block.clone(), block])
}

/// A stereo file of 8000 Hz.
pub(crate) fn encoded(format: AudioFormat, channels: &[Vec<i16>; 2]) -> Vec<u8> {
    let shape = AudioShape {
        format: None,
        sample_rate: 8000,
        channels: 2,
    };
    let profile = Profile {
        format,
        ..Profile::default()
    };
    let mut out = Cursor::new(Vec::new());
    let mut file = Converter::new(shape, &profile, Channels::Stereo, &mut out).unwrap();
    file.push(channels).unwrap();
    file.finish().unwrap();
    out.into_inner()
}

/// Puts an ended recording of two seconds, and its empty capture unless that is there, into the spool.
pub(crate) fn ended(writer: &Writer, change: impl FnOnce(&mut Promise)) -> Box<Ticket> {
    let mut ticket = ticket(change);
    let promise = ticket.promise();
    let capture = promise.source.capture_id().unwrap();
    let journal = writer.view().read_journal(capture).is_err().then(|| {
        let header = CaptureHeader {
            capture_id: capture.clone(),
            call_id: promise.call_id.clone(),
            account_id: promise.account_id.clone(),
            started_at: promise.started_at,
        };
        writer.create_capture(header).unwrap()
    });
    writer.create_ticket(&ticket).unwrap();
    if let Some(journal) = journal {
        journal.seal().unwrap();
    }
    ticket.end(2_000_000_000, EndReason::Hangup).unwrap();
    writer.save_ticket(&ticket).unwrap();
    ticket
}

/// Puts a file of four bytes where the recording's rendition belongs.
pub(crate) fn rendition(spool: &View, ticket: &Ticket) -> RenditionInfo {
    std::fs::write(spool.rendition_path(ticket), "RIFF").unwrap();
    RenditionInfo {
        bytes: 4,
        sha256: "ab".repeat(32),
        sealed_bytes: None,
        duration_ms: 2000,
        sample_rate: 8000,
        channels: 2,
        report: None,
    }
}
