//! Watches the bus for news of recordings, prints them as they come, and remembers when they came.

use std::time::Duration;

use anyhow::{Context, bail};
use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_proto::{EndReason, Envelope, Exchange, RecordingFact, RecordingNotice};
use tokio::{sync::watch, time::Instant};

use crate::steps::{Mark, Steps};

/// One recording makes five notices; a node kept up for a while makes a few more calls.
const NEWS: usize = 256;

/// News of one call's recording.
#[derive(Debug, Clone)]
struct Seen {
    notice: RecordingNotice,
    at: Instant,
}

/// What was heard of recordings so far.
pub(crate) struct Watcher {
    seen: watch::Receiver<Vec<Seen>>,
}

impl Watcher {
    /// Listens from now on.
    pub(crate) async fn start(bus: &Bus, steps: Steps) -> anyhow::Result<Self> {
        let all = Binding::new(Exchange::Kapps, RecordingNotice::ALL);
        let news = bus
            .subscribe(QueueOptions::private(NEWS), vec![all])
            .await
            .context("cannot watch recordings")?;
        let (tell, seen) = watch::channel(Vec::new());
        tokio::spawn(listen(news, steps, tell));
        Ok(Self { seen })
    }

    /// Waits for a fact about a call's recording; the moment it was heard.
    ///
    /// # Errors
    /// It did not come in time, or the recording came to a bad end instead.
    pub(crate) async fn until(
        &self,
        call_id: &str,
        fact: RecordingFact,
        patience: Duration,
    ) -> anyhow::Result<Instant> {
        let mut seen = self.seen.clone();
        let about = |seen: &Seen| seen.notice.call_id.as_str() == call_id;
        let settled = seen.wait_for(|all| {
            all.iter()
                .any(|s| about(s) && (s.notice.fact == fact || is_bad(s.notice.fact)))
        });
        let Ok(settled) = tokio::time::timeout(patience, settled).await else {
            bail!(
                "the recording was not reported as {} within {} s",
                fact.name(),
                patience.as_secs()
            );
        };
        let settled = settled.context("the bus is closed")?;
        if let Some(good) = settled.iter().find(|s| about(s) && s.notice.fact == fact) {
            return Ok(good.at);
        }
        let bad = settled
            .iter()
            .find(|s| about(s) && is_bad(s.notice.fact))
            .context("the bus lost a notice")?;
        bail!(
            "the recording is {}: {}",
            bad.notice.fact.name(),
            bad.notice.detail.as_deref().unwrap_or("no reason given")
        )
    }
}

fn is_bad(fact: RecordingFact) -> bool {
    matches!(
        fact,
        RecordingFact::Undeliverable | RecordingFact::Discarded | RecordingFact::Skipped
    )
}

async fn listen(mut news: Subscription, steps: Steps, tell: watch::Sender<Vec<Seen>>) {
    while let Some(delivery) = news.recv().await {
        let at = Instant::now();
        let Ok(envelope) = Envelope::<RecordingNotice>::from_bytes(&delivery.body) else {
            continue;
        };
        print(&steps, &envelope.body);
        let notice = envelope.body;
        tell.send_modify(|all| all.push(Seen { notice, at }));
    }
}

fn print(steps: &Steps, notice: &RecordingNotice) {
    let detail = notice.detail.clone().unwrap_or_default();
    let reason = notice.end_reason.map(|reason| match reason {
        EndReason::Stopped => "by a stop",
        EndReason::TimeLimit => "by its time limit",
        EndReason::Hangup => "by the hang-up",
        EndReason::Silence => "by silence",
        EndReason::Interrupted => "by an interruption",
        EndReason::Usurped => "by another controller",
        EndReason::Transferred => "by a transfer",
        EndReason::TooShort => "too short",
    });
    let (mark, headline, detail) = match notice.fact {
        RecordingFact::Started => (Mark::Done, "recording", "both voices, one a channel".into()),
        RecordingFact::Masked => (Mark::Done, "masked", detail),
        RecordingFact::Unmasked => (Mark::Done, "unmasked", detail),
        RecordingFact::Ended => (
            Mark::Done,
            "recording ended",
            reason.unwrap_or_default().into(),
        ),
        RecordingFact::Rendered => (Mark::Done, "encoded", "from the captured RTP".into()),
        RecordingFact::Delivered => (
            Mark::Done,
            "acknowledged",
            "nothing is owed any more".into(),
        ),
        RecordingFact::Retrying => (Mark::Waiting, "delivery retried", detail),
        RecordingFact::Undeliverable => (Mark::Bad, "undeliverable", detail),
        RecordingFact::Discarded => (Mark::Bad, "discarded", detail),
        RecordingFact::Skipped => (Mark::Bad, "not recorded", detail),
        RecordingFact::Held => (Mark::Done, "held", detail),
        RecordingFact::Released => (Mark::Done, "released", detail),
        RecordingFact::Deleted => (Mark::Done, "deleted", detail),
    };
    steps.step(mark, headline, detail);
}
