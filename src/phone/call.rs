//! One call as its phone's owner holds it: how far it has come, what to say, what was heard. SIP is the stack's work.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use callreel_media::{Codec, Pcm};
use rsipstack::dialog::{dialog::TerminatedReason, invite_dialog::InviteDialog};
use rsipstack::sip::StatusCode;
use rsipstack::transaction::key::TransactionRole;
use tokio::sync::{oneshot, watch};

use super::{
    Error,
    hearing::Heard,
    rtp::{Audio, Order},
    sdp::Remote,
    speaker::{Clip, Digits, Played},
};

/// A BYE is answered within this or not at all; the call is over either way (a few retransmissions by Timer E).
const BYE_PATIENCE: Duration = Duration::from_secs(4);

/// Why a call is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// This phone hung up, or gave up ringing.
    Ours,
    /// The other side hung up, or gave up ringing.
    Theirs,
    /// The other side refused: SIP status code and reason.
    Refused(u16, String),
    /// It came to nothing: a timeout or a broken network.
    Failed(String),
}

/// When and how a call was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    /// The moment.
    pub(crate) at: Instant,
    /// What both agreed on.
    pub(crate) remote: Remote,
}

/// How far a call has come. Each field is set once and stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The callee rings.
    pub(crate) ringing: Option<Instant>,
    /// The callee answered.
    pub(crate) answered: Option<Answered>,
    /// The call is over.
    pub(crate) ended: Option<(Instant, Ending)>,
}

/// A call of a [`super::Phone`]. Clones are the same call.
#[derive(Clone)]
pub(crate) struct Call {
    pub(super) dialog: InviteDialog,
    pub(super) audio: Audio,
    pub(super) progress: Arc<watch::Sender<Progress>>,
    /// The first codec this phone offers, until the other side has chosen.
    pub(super) codec: Codec,
}

impl Call {
    /// Its SIP Call-ID.
    pub(crate) fn id(&self) -> String {
        self.dialog.id().call_id
    }

    /// How far it is now.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Hears of every change. Moments in between are not lost: they are written in the last state.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Waits until it is answered; the ending if it never is.
    pub(crate) async fn answered(&self) -> Result<Answered, Ending> {
        let now = self
            .until(|p| p.answered.is_some() || p.ended.is_some())
            .await;
        match (now.answered, now.ended) {
            (Some(answered), _) => Ok(answered),
            (None, Some((_, ending))) => Err(ending),
            (None, None) => Err(Ending::Failed("the phone was stopped".to_owned())),
        }
    }

    /// Waits until it is over.
    pub(crate) async fn ended(&self) -> (Instant, Ending) {
        self.until(|p| p.ended.is_some())
            .await
            .ended
            .unwrap_or_else(|| {
                (
                    Instant::now(),
                    Ending::Failed("the phone was stopped".to_owned()),
                )
            })
    }

    async fn until(&self, done: impl FnMut(&Progress) -> bool) -> Progress {
        let mut progress = self.progress.subscribe();
        match progress.wait_for(done).await {
            Ok(now) => now.clone(),
            Err(_) => Progress::default(),
        }
    }

    /// Says a clip after those before it, and waits until its last packet is sent.
    pub(crate) async fn say(&self, pcm: &Pcm) -> Result<Played, Error> {
        let rate = self
            .progress()
            .answered
            .map_or(self.codec, |a| a.remote.codec)
            .sample_rate();
        let pcm = if pcm.sample_rate == rate {
            pcm.clone()
        } else {
            pcm.resampled(rate)
        };
        let (done, said) = oneshot::channel();
        let clip = Clip {
            pcm: Arc::new(pcm),
            done,
        };
        self.audio.order(Order::Say(clip)).await;
        said.await.map_err(|_| Error::CallEnded)
    }

    /// Dials digits by RFC 4733 and waits until the last is sent.
    pub(crate) async fn dial(&self, digits: &str) -> Result<(), Error> {
        if let Some(bad) = digits.chars().find(|d| !"0123456789*#ABCD".contains(*d)) {
            return Err(Error::NotADigit(bad));
        }
        let takes_digits = self
            .progress()
            .answered
            .is_some_and(|a| a.remote.telephone_event.is_some());
        if !takes_digits {
            return Err(Error::NoDigits);
        }
        let (done, sent) = oneshot::channel();
        let digits = digits.chars().collect();
        self.audio.order(Order::Dial(Digits { digits, done })).await;
        sent.await.map_err(|_| Error::CallEnded)
    }

    /// What was heard so far; after the end, everything.
    pub(crate) fn heard(&self) -> Heard {
        self.audio.heard()
    }

    /// Hangs up, cancels or refuses, whichever fits; the moment it did. Over already is no error.
    pub(crate) async fn hang_up(&self) -> Instant {
        let moment = Instant::now();
        self.audio.order(Order::Close).await;
        let early_server =
            self.dialog.role() == TransactionRole::Server && self.progress().answered.is_none();
        let leaving = async {
            if early_server {
                self.dialog.reject(Some(StatusCode::Decline), None)
            } else {
                self.dialog.hangup().await
            }
        };
        match tokio::time::timeout(BYE_PATIENCE, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, call = %self.id(), "hanging up"),
            Err(_) => tracing::debug!(call = %self.id(), "the other side did not confirm the end"),
        }
        self.end(Ending::Ours).await;
        moment
    }

    pub(super) fn ring(&self) {
        self.progress.send_if_modified(|p| {
            let first = p.ringing.is_none();
            p.ringing.get_or_insert_with(Instant::now);
            first
        });
    }

    pub(super) async fn answer(&self, remote: Remote) {
        self.audio.order(Order::Tune(remote)).await;
        self.audio.order(Order::Speak).await;
        self.progress.send_if_modified(|p| {
            let first = p.answered.is_none();
            p.answered.get_or_insert_with(|| Answered {
                at: Instant::now(),
                remote,
            });
            first
        });
    }

    pub(super) async fn end(&self, ending: Ending) {
        self.audio.order(Order::Close).await;
        self.progress.send_if_modified(|p| {
            let first = p.ended.is_none();
            p.ended.get_or_insert_with(|| (Instant::now(), ending));
            first
        });
    }
}

/// The stack's reason, seen from this phone's side.
pub(super) fn ending(role: TransactionRole, reason: &TerminatedReason) -> Ending {
    let client = role == TransactionRole::Client;
    match reason {
        TerminatedReason::UacBye | TerminatedReason::UacCancel if client => Ending::Ours,
        // The answer to an INVITE this phone has cancelled (RFC 3261 §15.1.2).
        TerminatedReason::UasOther(StatusCode::RequestTerminated) if client => Ending::Ours,
        TerminatedReason::UasBye | TerminatedReason::UasDecline if !client => Ending::Ours,
        TerminatedReason::UacBye | TerminatedReason::UasBye | TerminatedReason::UacCancel => {
            Ending::Theirs
        }
        TerminatedReason::UasOther(code)
        | TerminatedReason::UacOther(code)
        | TerminatedReason::ProxyError(code) => refused(code),
        TerminatedReason::UasDecline => refused(&StatusCode::Decline),
        TerminatedReason::UacBusy | TerminatedReason::UasBusy => refused(&StatusCode::BusyHere),
        TerminatedReason::ProxyAuthRequired => refused(&StatusCode::Unauthorized),
        TerminatedReason::Timeout => Ending::Failed("no answer from the other side".to_owned()),
    }
}

fn refused(code: &StatusCode) -> Ending {
    Ending::Refused(code.code(), code.text().to_owned())
}
