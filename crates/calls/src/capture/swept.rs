//! One call's packets on their way from the sweep to its journal: whose they are, and what of them may be written down. Knows no
//! socket.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use callreel_proto::Leg;
use callreel_spool::{Mark, PacketRecord, Record};
use callreel_telemetry::metrics;

use super::{Capture, Entry, index};

/// The payload type of telephone events in a fork (docs/fork.md).
const TELEPHONE_EVENT: u8 = 101;

/// One call in the sweep: where its packets must come from, and what is done with each.
pub(super) struct Swept {
    pub(super) capture: Capture,
    /// Where packets must come from: told by the switch, or else the first that sent RTP, per leg.
    pub(super) sources: [Option<SocketAddr>; 2],
    /// Until when a socket is known to have been emptied, per leg: what it holds now arrived later.
    pub(super) drained_ns: [u64; 2],
    /// Datagrams the kernel has thrown away because a socket was full, per leg.
    dropped: [u32; 2],
    /// From when on `capture.shut` is another, while the sweep that finds the packets of that instant lasts.
    turns_ns: Option<u64>,
}

impl Swept {
    pub(super) fn new(capture: Capture) -> Self {
        Self {
            capture,
            sources: [None; 2],
            drained_ns: [0; 2],
            dropped: [0; 2],
            turns_ns: None,
        }
    }

    /// What the kernel says it has thrown away of a leg since its socket was opened: that audio is lost.
    pub(super) fn dropped(&mut self, leg: Leg, all: u32) {
        let before = std::mem::replace(&mut self.dropped[index(leg)], all);
        let more = all.wrapping_sub(before);
        if more == 0 {
            return;
        }
        self.capture
            .counters
            .dropped
            .fetch_add(more.into(), Ordering::Relaxed);
        metrics().capture_dropped.add(more.into(), &[]);
        tracing::error!(capture_id = %self.capture.id, ?leg, packets = more, "the kernel dropped packets of a recorded call: the node is too busy");
    }

    /// Whether it was RTP that is recorded.
    pub(super) fn take(
        &mut self,
        leg: Leg,
        source: Option<SocketAddr>,
        arrival_ns: u64,
        datagram: &[u8],
    ) -> bool {
        let counters = Arc::clone(&self.capture.counters);
        let Ok(rtp) = rtp_types::RtpPacket::parse(datagram) else {
            counters.malformed.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let expected = &mut self.sources[index(leg)];
        if expected.is_some() && *expected != source {
            counters.foreign.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        *expected = source;
        counters.packets[index(leg)].fetch_add(1, Ordering::Relaxed);
        counters.last_ns.fetch_max(arrival_ns, Ordering::Relaxed);
        let emptied = self.is_emptied(arrival_ns, rtp.payload_type());
        if emptied {
            counters.emptied.fetch_add(1, Ordering::Relaxed);
        }
        let packet = PacketRecord {
            leg,
            arrival_ns,
            payload_type: rtp.payload_type(),
            marker: rtp.marker_bit(),
            sequence: rtp.sequence_number(),
            timestamp: rtp.timestamp(),
            ssrc: rtp.ssrc(),
            payload: if emptied { &[] } else { rtp.payload() },
        };
        self.append(&Record::Packet(packet));
        true
    }

    /// Whether what a packet carries may not be written down.
    fn is_emptied(&self, arrival_ns: u64, payload_type: u8) -> bool {
        let turned = self.turns_ns.is_some_and(|at_ns| arrival_ns >= at_ns);
        let shut = self.capture.shut != turned;
        shut || (self.capture.redact_keys && payload_type == TELEPHONE_EVENT)
    }

    /// Prepares the sweep that an entry waits for, and says when the entry takes effect: what has been written down cannot
    /// be taken away any more, nor what was taken away be kept.
    pub(super) fn turn(&mut self, entry: &Entry) -> u64 {
        if entry.shut == self.capture.shut {
            return entry.at_ns;
        }
        let last_ns = self.capture.counters.last_ns.load(Ordering::Relaxed);
        let at_ns = entry.at_ns.max(last_ns + 1);
        self.turns_ns = Some(at_ns);
        at_ns
    }

    pub(super) fn turned(&mut self, shut: bool) {
        self.turns_ns = None;
        self.capture.shut = shut;
    }

    pub(super) fn mark(&mut self, at_ns: u64, marks: Vec<Mark>) {
        for mark in marks {
            self.append(&Record::Mark { at_ns, mark });
        }
        self.flush();
    }

    fn append(&mut self, record: &Record<'_>) {
        if let Err(error) = self.capture.journal.append(record) {
            self.write_failed(&error);
        }
    }

    /// Says whether everything is in the file.
    pub(super) fn flush(&mut self) -> bool {
        let flushed = self.capture.journal.flush();
        if let Err(error) = &flushed {
            self.write_failed(error);
        }
        flushed.is_ok()
    }

    pub(super) fn seal(self) {
        let id = self.capture.id.clone();
        if let Err(error) = self.capture.journal.seal() {
            tracing::error!(capture_id = %id, %error, "journal not sealed; what was flushed is kept");
        }
    }

    fn write_failed(&self, error: &callreel_spool::Error) {
        let before = self
            .capture
            .counters
            .failed_writes
            .fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            tracing::error!(capture_id = %self.capture.id, %error, "the journal cannot be written: audio waits in memory, and is lost if that lasts");
        }
    }
}
