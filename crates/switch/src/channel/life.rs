//! Ringing, answering and ending a channel.

use callreel_media::Codec;
use callreel_proto::{EventName, HangupCause};
use rsipstack::dialog::dialog::{Dialog, DialogState};
use rsipstack::sip::StatusCode;

use super::{Channel, LegFact, Progress};
use crate::events::Direction;
use crate::message::{allow, sdp_headers};
use crate::sdp::Error;

impl Channel {
    /// 180, once.
    pub(super) fn ring(&mut self) {
        if self.direction == Direction::Inbound && self.progress == Progress::Trying {
            if let Some(dialog) = &self.dialog {
                drop(dialog.ringing(None, None));
            }
            self.progress = Progress::Ringing;
        }
    }

    /// Lets an unanswered caller hear something: 183 with our description. Not possible before the caller has offered
    /// anything; then only the answer opens the audio.
    pub(super) async fn open_early(&mut self) {
        if self.direction != Direction::Inbound || self.progress >= Progress::Early {
            return;
        }
        let Some(body) = self.answer_offer(None) else {
            return self.ring();
        };
        if let Some(dialog) = &self.dialog {
            drop(dialog.ringing(Some(sdp_headers()), Some(body)));
        }
        self.progress = Progress::Early;
        self.publish(EventName::ChannelProgressMedia, |_| {}).await;
    }

    /// 200, once. `wanted` is the codec of the other leg, if one is there already.
    pub(super) async fn answer(&mut self, wanted: Option<Codec>) -> Result<(), Error> {
        if self.direction != Direction::Inbound || self.progress == Progress::Answered {
            return Ok(());
        }
        let body = match (&self.theirs, self.progress) {
            (None, _) => {
                self.awaits_answer_in_ack = true;
                self.ours.offer(&self.allowed.offered(wanted.as_slice()))
            }
            // What an early answer said stands (RFC 3261 §13.2.1).
            (Some(_), Progress::Early) => self.answer_offer(None).ok_or(Error::NothingInCommon)?,
            (Some(_), _) => self.answer_offer(wanted).ok_or(Error::NothingInCommon)?,
        };
        let mut headers = sdp_headers();
        headers.push(allow());
        headers.extend(self.session.iter().flat_map(|timer| timer.headers()));
        if let Some(dialog) = &self.dialog {
            drop(dialog.accept(Some(headers), Some(body)));
        }
        self.start_session_timer();
        self.note_answer().await;
        Ok(())
    }

    /// The leg counts as answered from now on.
    pub(super) async fn note_answer(&mut self) {
        self.progress = Progress::Answered;
        self.answered = Some(std::time::Instant::now());
        self.span.event("answered");
        self.publish(EventName::ChannelAnswer, |_| {}).await;
    }

    /// The body that answers the caller's offer, and the media engine told of it.
    pub(super) fn answer_offer(&mut self, wanted: Option<Codec>) -> Option<Vec<u8>> {
        let theirs = self.theirs.as_ref()?;
        let wanted = match self.progress {
            Progress::Early | Progress::Answered => self.agreed.map(|a| a.codec),
            _ => wanted,
        };
        let chosen = theirs.choose(&self.allowed, wanted).ok()?;
        let body = self.ours.answer(theirs, &chosen);
        self.agreed = Some(chosen);
        self.media.set_remote(chosen);
        Some(body)
    }

    /// Ends the leg from our side.
    pub(super) async fn end(&mut self, cause: HangupCause) {
        let status = match self.answered {
            Some(_) => 200,
            None => cause.sip_status(),
        };
        self.hang_up_dialog(status);
        self.finish(cause, status).await;
    }

    /// Nobody will say what comes next: unless something runs, the call has reached its end. Music on hold has no end of its own.
    pub(super) async fn on_abandoned(&mut self) {
        let waits = self.queue.running().is_none_or(|name| name == "hold");
        let idle = waits && self.bridge.is_none() && !self.joined;
        if idle {
            tracing::warn!(call_id = %self.call_id, "the call has lost its controller and ends");
            self.end(HangupCause::NormalTemporaryFailure).await;
        }
    }

    /// Tells the phone: BYE, CANCEL or a refusal, whichever fits.
    pub(super) fn hang_up_dialog(&self, status: u16) {
        let Some(dialog) = self.dialog.clone() else {
            return;
        };
        if self.direction == Direction::Inbound && self.answered.is_none() {
            drop(dialog.reject(Some(StatusCode::from(status)), None));
            return;
        }
        // The answer may take its time; only a stopping switch waits for it.
        self.shared.tasks.spawn(async move {
            let outcome = match dialog.state() {
                DialogState::Calling(_) | DialogState::Trying(_) | DialogState::Early(..) => {
                    dialog.cancel().await
                }
                _ => dialog.bye().await,
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "ending a dialog");
            }
        });
    }

    /// The leg is gone: says so to everybody, last of all in `CHANNEL_DESTROY`, and lets go of everything.
    pub(super) async fn finish(&mut self, cause: HangupCause, status: u16) {
        if self.over {
            return;
        }
        Box::pin(self.leave_if_consulting()).await;
        self.queue.close();
        self.end_recordings().await;
        self.leave_if_referring().await;
        self.stop_hold_music();
        self.drop_bridge(cause);
        self.drop_pickup();
        if self.joined {
            self.joined = false;
            self.publish_unbridge().await;
        }
        self.media.close();
        self.over = true;
        self.publish_destroy(cause, status).await;
        self.span.set("callreel.hangup.cause", cause.name());
        self.span.set_number("callreel.sip.status_code", status);
        if let Some(token) = &self.looped {
            self.shared.loopbacks.close(token);
        }
        let fact = match self.answered {
            // The callee's side went before anybody pressed the key.
            Some(_) if self.confirm.is_some() => LegFact::Failed(HangupCause::NoAnswer, None),
            Some(_) => LegFact::Gone,
            None => LegFact::Failed(cause, Some(status)),
        };
        self.tell_owner(fact);
        self.shared.channels.remove(&self.call_id);
        if let Some(dialog) = &self.dialog {
            forget(&self.shared, dialog);
        }
    }
}

impl Channel {
    /// The last event: how long it took, why it ended, and what was said and recorded.
    async fn publish_destroy(&self, cause: HangupCause, status: u16) {
        let (age, talk) = (self.created.elapsed(), self.answered.map(|at| at.elapsed()));
        let rang = age.saturating_sub(talk.unwrap_or_default());
        // Kazoo rounds the billed time up.
        let billed = talk.map_or(0, |talk| talk.as_millis().div_ceil(1000));
        let (theirs, ours) = (self.theirs.as_ref(), &self.ours);
        let recordings = self.recordings.names();
        self.publish(EventName::ChannelDestroy, |event| {
            event.hangup_cause = Some(cause);
            event.hangup_code = Some(format!("sip:{status}"));
            event.disposition = Some(self.disposition(cause).to_owned());
            event.duration_s = Some(age.as_secs());
            event.billing_s = u64::try_from(billed).ok();
            event.ringing_s = Some(rang.as_secs());
            event.remote_sdp = theirs.map(|theirs| theirs.text().to_owned());
            event.local_sdp = ours.text().map(str::to_owned);
            event.media_recordings = (!recordings.is_empty()).then(|| recordings.to_vec());
        })
        .await;
    }

    /// What came of the call: FreeSWITCH's originate or endpoint disposition.
    fn disposition(&self, cause: HangupCause) -> &'static str {
        match (self.direction, self.answered) {
            (Direction::Inbound, _) if self.talked => "SUCCESS",
            (_, Some(_)) => "ANSWER",
            (_, None) => cause.name(),
        }
    }
}

/// Takes a dialog out of the library's table once it has really ended: until then it must find its BYE's answer and
/// late requests of the phone.
fn forget(
    shared: &std::sync::Arc<crate::shared::Shared>,
    dialog: &rsipstack::dialog::invite_dialog::InviteDialog,
) {
    const LINGER: std::time::Duration = std::time::Duration::from_secs(32);
    let (shared, dialog) = (shared.clone(), dialog.clone());
    tokio::spawn(async move {
        if !matches!(dialog.state(), DialogState::Terminated(..)) {
            tokio::time::sleep(LINGER).await;
        }
        shared.dialogs.remove_dialog(&Dialog::Invite(dialog).id());
    });
}
