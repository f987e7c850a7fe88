//! What SIP tells a channel: answers and ends of its dialog, and requests within it (holds, digits, refreshes).

use std::time::Duration;

use callreel_proto::{EventName, HangupCause};
use rsipstack::dialog::dialog::{Dialog, DialogState, TerminatedReason, TransactionHandle};
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Method, Request, StatusCode};

use super::{Channel, Due};
use crate::events::Direction;
use crate::inbound::sdp_refusal;
use crate::message::{allow, capabilities, cause_of, info_digit, sdp_headers, sdp_of};
use crate::peer::{reachable, unescaped};
use crate::sdp::Theirs;
use crate::session_timer::{Verdict, negotiate};

impl Channel {
    /// The dialog changed, or a request came within it.
    pub(super) async fn on_dialog(&mut self, state: DialogState) {
        match state {
            DialogState::Calling(_) | DialogState::Trying(_) | DialogState::WaitAck(..) => {}
            DialogState::Early(_, response) => self.on_progress(&response).await,
            DialogState::Confirmed(_, response) => match self.direction {
                Direction::Inbound => self.on_ack().await,
                Direction::Outbound => self.on_confirmed(&response).await,
            },
            DialogState::Updated(_, request, handle) => self.on_update(&request, handle).await,
            DialogState::Info(_, request, handle) => self.on_info(&request, handle).await,
            DialogState::Options(_, _, handle) => {
                reply(&handle, StatusCode::OK, capabilities(), None).await;
            }
            DialogState::Notify(_, _, handle) => {
                reply(&handle, StatusCode::BadEvent, Vec::new(), None).await;
            }
            DialogState::Publish(_, _, handle) | DialogState::Message(_, _, handle) => {
                reply(&handle, StatusCode::MethodNotAllowed, vec![allow()], None).await;
            }
            DialogState::Refer(_, request, handle) => self.on_refer(&request, handle).await,
            DialogState::Terminated(_, reason) => self.on_terminated(&reason).await,
        }
    }

    async fn on_terminated(&mut self, reason: &TerminatedReason) {
        let (cause, status) = cause_of(reason);
        let (cause, status) = match (reason, self.answered) {
            // The 200 was never acknowledged, or the dialog's requests find nobody.
            (TerminatedReason::Timeout, Some(_)) => (HangupCause::MediaTimeout, 200),
            (_, Some(_)) => (HangupCause::NormalClearing, 200),
            _ => (cause, status),
        };
        self.finish(cause, status).await;
    }

    /// The caller acknowledged: when we made the offer, with its answer.
    async fn on_ack(&mut self) {
        if !std::mem::take(&mut self.awaits_answer_in_ack) {
            return;
        }
        let ack = self.dialog.as_ref().and_then(|d| d.last_remote_ack());
        let theirs = ack.and_then(|ack| Theirs::read(&ack.body).ok());
        let chosen = theirs
            .as_ref()
            .and_then(|t| t.choose(&self.allowed, None).ok());
        let (Some(theirs), Some(chosen)) = (theirs, chosen) else {
            return self.end(HangupCause::IncompatibleDestination).await;
        };
        self.note_hold(theirs.holds()).await;
        self.theirs = Some(theirs);
        self.agreed = Some(chosen);
        self.media.set_remote(chosen);
    }

    /// re-INVITE or UPDATE: a new session description, or only a sign of life.
    async fn on_update(&mut self, request: &Request, handle: TransactionHandle) {
        self.refresh_target(request);
        let mut headers = vec![allow()];
        match negotiate(request, self.shared.config.session_timer_min_s) {
            Verdict::TooShort(min) => {
                let headers = vec![Header::MinSE(min)];
                return reply(&handle, StatusCode::SessionIntervalTooSmall, headers, None).await;
            }
            Verdict::Kept(timer) => {
                headers.extend(timer.headers());
                self.session = Some(timer);
            }
            Verdict::None => {}
        }
        self.start_session_timer();
        let body = match (sdp_of(request), request.method) {
            (Err(()), _) => {
                let headers = vec![Header::Accept("application/sdp".into())];
                return reply(&handle, StatusCode::UnsupportedMediaType, headers, None).await;
            }
            (Ok(None), Method::Invite) => {
                self.awaits_answer_in_ack = true;
                let current = self.agreed.map(|a| a.codec);
                let codecs = self.allowed.offered(current.as_slice());
                Some(self.ours.offer(&codecs))
            }
            (Ok(None), _) => None,
            (Ok(Some(offer)), _) => match self.renegotiate(offer).await {
                Ok(answer) => Some(answer),
                Err((status, headers)) => return reply(&handle, status, headers, None).await,
            },
        };
        if body.is_some() {
            headers.extend(sdp_headers());
        }
        reply(&handle, StatusCode::OK, headers, body).await;
    }

    /// The session stays as it was if the offer cannot be met (RFC 3261 §14.2).
    async fn renegotiate(&mut self, offer: &[u8]) -> Result<Vec<u8>, (StatusCode, Vec<Header>)> {
        let theirs = Theirs::read(offer).map_err(|e| sdp_refusal(&e))?;
        let current = self.agreed.map(|a| a.codec);
        let chosen = theirs
            .choose(&self.allowed, current)
            .map_err(|e| sdp_refusal(&e))?;
        let answer = self.ours.answer(&theirs, &chosen);
        self.note_hold(theirs.holds()).await;
        self.theirs = Some(theirs);
        self.agreed = Some(chosen);
        self.media.set_remote(chosen);
        Ok(answer)
    }

    async fn note_hold(&mut self, held: bool) {
        if held == self.held {
            return;
        }
        self.held = held;
        match held {
            true => self.start_hold_music(),
            false => self.stop_hold_music(),
        }
        let name = match held {
            true => EventName::ChannelHold,
            false => EventName::ChannelUnhold,
        };
        self.publish(name, |_| {}).await;
    }

    /// A re-INVITE may come from, and name, another address than before.
    fn refresh_target(&mut self, request: &Request) {
        let contact = request.typed_contact_headers().ok();
        let uri = contact
            .and_then(|c| c.into_iter().next())
            .map(|c| unescaped(c.uri));
        let (Some(uri), Some(dialog)) = (uri, &self.dialog) else {
            return;
        };
        let raw = request.contact_header().ok().cloned();
        Dialog::Invite(dialog.clone()).set_remote_target(reachable(&uri, self.peer), raw);
    }

    async fn on_info(&mut self, request: &Request, handle: TransactionHandle) {
        let digit = info_digit(request);
        let status = match digit {
            None if !request.body.is_empty() => StatusCode::UnsupportedMediaType,
            _ => StatusCode::OK,
        };
        reply(&handle, status, Vec::new(), None).await;
        if let Some((digit, ms)) = digit {
            self.pass_digit(digit);
            self.on_digit(digit, ms.saturating_mul(8)).await;
        }
    }

    /// Sets the session timer anew: called whenever something refreshed the session.
    pub(super) fn start_session_timer(&mut self) {
        self.session_epoch += 1;
        if let Some(timer) = self.session {
            self.set_timer(timer.due(), Due::Session(self.session_epoch));
        }
    }

    /// The session timer wants a refresh from us, or has not got one from the phone.
    pub(super) async fn on_session_due(&mut self, epoch: u64) {
        let Some(timer) = self.session.filter(|_| epoch == self.session_epoch) else {
            return;
        };
        if !timer.we_refresh {
            tracing::info!(call_id = %self.call_id, "the phone did not refresh its session");
            return self.end(HangupCause::MediaTimeout).await;
        }
        let Some(dialog) = self.dialog.clone() else {
            return;
        };
        let seconds = timer.interval.as_secs();
        let value = format!("{seconds};refresher=uac");
        let headers = vec![
            Header::SessionExpires(value.into()),
            Header::Supported("timer".into()),
        ];
        // A phone that does not answer is noticed by its missing RTP; the timer goes on.
        tokio::spawn(async move {
            const PATIENCE: Duration = Duration::from_secs(32);
            let refresh = dialog.update(Some(headers), None);
            if !matches!(
                tokio::time::timeout(PATIENCE, refresh).await,
                Ok(Ok(Some(_)))
            ) {
                tracing::debug!("a session refresh was not answered");
            }
        });
        self.start_session_timer();
    }
}

pub(super) async fn reply(
    handle: &TransactionHandle,
    status: StatusCode,
    headers: Vec<Header>,
    body: Option<Vec<u8>>,
) {
    if handle.respond(status, Some(headers), body).await.is_err() {
        tracing::debug!("a request within a dialog was given up before it was answered");
    }
}
