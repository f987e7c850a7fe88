//! Records one call as a calls node and delivery do: packets into a capture's journal, tickets, and delivery's own rendering of them.

use std::{path::Path, sync::atomic::AtomicBool};

use anyhow::{Context, bail};
use callreel_delivery::{Rendered, render};
use callreel_media::{Pcm, read_audio};
use callreel_proto::{
    AccountId, AudioFormat, AudioReport, CallId, CaptureId, Channels, Destination, EndReason, Leg,
    RecordingId, Utc,
};
use callreel_spool::{
    CaptureHeader, Journal, PacketRecord, Promise, Record, Source, SpoolConfig, Ticket, TicketKind,
    View, Writer,
};
use serde_json::Map;

use super::{network::Arrival, sender::Sent};

/// 2024-03-01T00:00:00Z.
const STARTED_AT: Utc = Utc::from_unix_ms(1_709_251_200_000);
/// How often a recorder writes its journals, by the capture's clock.
const FLUSH_NS: u64 = 100_000_000;
/// Numbers a telephone begins with: both wrap within the call.
const FIRST_SEQUENCE: u16 = 65_000;
const FIRST_TIMESTAMP: u32 = u32::MAX - 400_000;

/// One leg of a call: what was sent, and what of it arrives when.
pub(crate) struct Stream<'s> {
    pub(crate) sent: &'s Sent,
    pub(crate) arrivals: Vec<Arrival>,
}

/// A call, and which part of it is recorded.
pub(crate) struct Call<'s> {
    /// The caller's and the other party's.
    pub(crate) streams: [Stream<'s>; 2],
    /// Capture time.
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

/// A file that delivery made, as a player plays it.
pub(crate) struct Rendition {
    /// Caller left, other party right.
    pub(crate) channels: Vec<Pcm>,
    /// What delivery says about it.
    pub(crate) report: AudioReport,
}

/// Both files of one call.
pub(crate) struct Files {
    pub(crate) mp3: Rendition,
    pub(crate) wav: Rendition,
}

/// Records the call twice at once, into a spool in this folder.
pub(crate) fn record(call: &Call<'_>, spool: &Path) -> anyhow::Result<Files> {
    let writer = Writer::open(spool, &SpoolConfig::default())?;
    let header = CaptureHeader {
        capture_id: CaptureId::random(),
        call_id: CallId::new("bench@fidelity"),
        account_id: AccountId::parse("0123456789abcdef0123456789abcdef")?,
        started_at: STARTED_AT,
    };
    let ticket = |format| Ticket::new(promise(&header, format, call), Map::new());
    let mut tickets = [ticket(AudioFormat::Mp3)?, ticket(AudioFormat::Wav)?];
    let mut journal = writer.create_capture(header)?;
    for ticket in &tickets {
        writer.create_ticket(ticket)?;
    }
    capture(call, &mut journal)?;
    journal.seal()?;
    for ticket in &mut tickets {
        ticket.end(call.end_ns, EndReason::Hangup)?;
        writer.save_ticket(ticket)?;
    }
    let [mp3, wav] = tickets.map(|ticket| rendition(writer.view(), &ticket));
    Ok(Files {
        mp3: mp3?,
        wav: wav?,
    })
}

fn promise(capture: &CaptureHeader, format: AudioFormat, call: &Call<'_>) -> Promise {
    Promise {
        recording_id: RecordingId::random(STARTED_AT),
        source: Source::Capture(capture.capture_id.clone()),
        account_id: capture.account_id.clone(),
        call_id: capture.call_id.clone(),
        kind: TicketKind::Recording,
        format,
        channels: Channels::default(),
        sample_rate: None,
        destination: Destination::AccountDb,
        file_name: format!("recording.{}", format.extension()),
        started_at: STARTED_AT,
        start_ns: call.start_ns,
        time_limit_s: (call.end_ns - call.start_ns) / 1_000_000_000 + 1,
        min_ms: 0,
        redact_dtmf: false,
        recipient: None,
        span: None,
        of_leg: callreel_proto::Leg::A,
    }
}

/// Writes both legs' packets in the order of their arrival.
fn capture(call: &Call<'_>, journal: &mut Journal) -> anyhow::Result<()> {
    let mut arrivals: Vec<(usize, Arrival)> = Vec::new();
    for (leg, stream) in call.streams.iter().enumerate() {
        arrivals.extend(stream.arrivals.iter().map(|arrival| (leg, *arrival)));
    }
    arrivals.sort_by_key(|(_, arrival)| arrival.at_ns);
    let mut flushed = 0;
    for (leg, arrival) in arrivals {
        if arrival.at_ns / FLUSH_NS != flushed {
            journal.flush()?;
            flushed = arrival.at_ns / FLUSH_NS;
        }
        journal.append(&packet(leg, call.streams[leg].sent, arrival))?;
    }
    Ok(())
}

fn packet(leg: usize, sent: &Sent, arrival: Arrival) -> Record<'_> {
    let number = u32::try_from(arrival.packet).expect("a bench lasts no years");
    Record::Packet(PacketRecord {
        leg: [Leg::A, Leg::B][leg],
        arrival_ns: arrival.at_ns,
        payload_type: sent.codec.payload_type(),
        marker: number == 0,
        sequence: FIRST_SEQUENCE.wrapping_add(number as u16),
        timestamp: FIRST_TIMESTAMP.wrapping_add(number.wrapping_mul(sent.ticks())),
        ssrc: 0xbe4c_0000 + leg as u32,
        payload: &sent.payloads[arrival.packet],
    })
}

fn rendition(spool: &View, ticket: &Ticket) -> anyhow::Result<Rendition> {
    let Rendered::File(info) = render(spool, ticket, &AtomicBool::new(false))? else {
        bail!("delivery made no file of a recording that has a length");
    };
    let path = spool.rendition_path(ticket);
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let extension = ticket.promise().format.extension();
    Ok(Rendition {
        channels: read_audio(bytes, Some(extension))?,
        report: info.report.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use callreel_media::Codec;

    use super::{
        super::{network::Network, testing::voice},
        *,
    };

    #[test]
    fn a_call_becomes_a_file_of_each_format_with_the_length_of_the_cut() {
        let sent = Sent::encode(Codec::Pcmu, &voice(2, 8000));
        let stream = |leg| Stream {
            sent: &sent,
            arrivals: Network::CLEAN.carry(leg, 1_000_000_000, 100, 1),
        };
        let call = Call {
            streams: [stream(0), stream(1)],
            start_ns: 500_000_000,
            end_ns: 4_000_000_000,
        };
        let folder = tempfile::tempdir().unwrap();
        let files = record(&call, folder.path()).unwrap();
        for rendition in [files.mp3, files.wav] {
            assert_eq!(rendition.channels.len(), 2);
            for channel in &rendition.channels {
                assert_eq!((channel.sample_rate, channel.samples.len()), (8000, 28_000));
            }
            assert_eq!(rendition.report.legs[&Leg::A].packets, 100);
            assert_eq!(rendition.report.legs[&Leg::B].lost, 0);
        }
    }
}
