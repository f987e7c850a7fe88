//! Audio that our switch forks to us: opens a capture for the first recording and closes it after the last. Knows no
//! recording.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use callreel_proto::{CallEvent, CaptureId, GREGORIAN_UNIX_OFFSET, MediaFork, Utc};
use callreel_spool::{CaptureHeader, Mark, Source};
use serde_json::{Value, json};

use super::Args;
use crate::{
    capture::{Capture, CaptureClock, Counters, Entry},
    context::Context,
};

/// An event tells the second it happened in, and clocks differ a little: what seems to be so many milliseconds late is late.
const LATE_MS: u64 = 3000;

/// The capture of a call while something is being recorded.
#[derive(Default)]
pub(super) struct Fork(Option<Live>);

struct Live {
    id: CaptureId,
    clock: CaptureClock,
    target: MediaFork,
    counters: Arc<Counters>,
    /// Whether audio is kept out of the journal: everything that records is masked.
    shut: bool,
}

impl Fork {
    /// Binds sockets and opens a journal, unless that has been done for a recording that still runs. Says which capture it
    /// is, and where on its clock another recording starts: one that is not masked has audio from there.
    pub(super) async fn open(
        &mut self,
        args: &Args,
        masked: bool,
    ) -> Result<(Source, u64), String> {
        if self.0.is_none() {
            self.0 = Some(begin(args, masked)?);
        }
        let live = self.0.as_ref().expect("begun above");
        let (id, now_ns) = (live.id.clone(), live.clock.now_ns());
        let opened_ns = if live.shut && !masked {
            self.turn(&args.control.context, Vec::new(), false).await
        } else {
            None
        };
        Ok((Source::Capture(id), opened_ns.unwrap_or(now_ns)))
    }

    /// Where the switch shall send the audio; none while there is no capture.
    pub(super) fn target(&self) -> Option<MediaFork> {
        self.0.as_ref().map(|live| live.target)
    }

    /// What the capture's clock shows.
    pub(super) fn now_ns(&self) -> Option<u64> {
        self.0.as_ref().map(|live| live.clock.now_ns())
    }

    /// From now on, packets of others are dropped.
    pub(super) fn expect_source(&self, context: &Context, source: SocketAddr) {
        if let Some(live) = &self.0 {
            context.captures.expect_source(&live.id, source);
        }
    }

    /// When something happened, by the capture's clock, if we hear of it so late that this is not now: it waited for an
    /// absent broker, or nobody said it. Never before the last packet, whatever the switch's clock says.
    pub(super) fn late_ns(&self, event: &CallEvent) -> Option<u64> {
        let live = self.0.as_ref()?;
        let then_s = event.timestamp.saturating_sub(GREGORIAN_UNIX_OFFSET);
        let then_ms = then_s.saturating_mul(1000);
        let late_ms = Utc::now().unix_ms().saturating_sub(then_ms);
        let late_ms = u64::try_from(late_ms).ok().filter(|ms| *ms >= LATE_MS)?;
        let now_ns = live.clock.now_ns();
        let then_ns = now_ns.saturating_sub(late_ms.saturating_mul(1_000_000));
        let last_ns = live.counters.last_ns.load(Ordering::Relaxed);
        Some(then_ns.max(last_ns).min(now_ns))
    }

    /// Writes a mark behind all that has arrived, flushed when this returns: of this instant, or of now; says which.
    pub(super) async fn mark(
        &self,
        context: &Context,
        at_ns: Option<u64>,
        mark: Mark,
    ) -> Option<u64> {
        let live = self.0.as_ref()?;
        let entry = Entry {
            at_ns: at_ns.unwrap_or_else(|| live.clock.now_ns()),
            marks: vec![mark],
            shut: live.shut,
        };
        Some(context.captures.write(&live.id, entry).await)
    }

    /// From now on audio is kept out of the journal, or is let in again; the marks say for whom. Says when that was: not a
    /// packet that arrived later has its audio written, or not.
    pub(super) async fn turn(
        &mut self,
        context: &Context,
        marks: Vec<Mark>,
        shut: bool,
    ) -> Option<u64> {
        let live = self.0.as_mut()?;
        if marks.is_empty() && shut == live.shut {
            return None;
        }
        live.shut = shut;
        let entry = Entry {
            at_ns: live.clock.now_ns(),
            marks,
            shut,
        };
        Some(context.captures.write(&live.id, entry).await)
    }

    /// Seals the capture: a later recording gets one of its own.
    pub(super) async fn close(&mut self, context: &Context) {
        if let Some(live) = self.0.take() {
            context.captures.close(&live.id).await;
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> Value {
        json!({
            "capture_id": self.0.as_ref().map(|live| live.id.as_str()),
            "received": self.0.as_ref().map(|live| json!(&*live.counters)),
        })
    }
}

fn begin(args: &Args, shut: bool) -> Result<Live, String> {
    let context = &args.control.context;
    let sockets = context.ports.pair().map_err(|e| e.to_string())?;
    let port = |i: usize| sockets[i].local_addr().map(|a: SocketAddr| a.port());
    let at = |port| SocketAddr::new(context.config.advertised(), port);
    let target = MediaFork {
        a: at(port(0).map_err(|e| e.to_string())?),
        b: at(port(1).map_err(|e| e.to_string())?),
    };
    let header = CaptureHeader {
        capture_id: CaptureId::random(),
        call_id: args.route.call_id.clone(),
        account_id: args.account.clone(),
        started_at: Utc::now(),
    };
    let id = header.capture_id.clone();
    let journal = context
        .spool
        .create_capture(header)
        .map_err(|e| e.to_string())?;
    let counters = Arc::new(Counters::default());
    let clock = CaptureClock::start();
    context.captures.open(Capture {
        id: id.clone(),
        sockets,
        journal,
        clock,
        counters: Arc::clone(&counters),
        shut,
        redact_keys: context.config.redact_dtmf,
    });
    Ok(Live {
        id,
        clock,
        target,
        counters,
        shut,
    })
}
