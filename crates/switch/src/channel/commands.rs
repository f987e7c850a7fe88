//! Executes dialplan commands (kazoo-wire §7, §8) one after another.

use callreel_proto::{Application, CallEvent, EventName, HangupCause};
use rsipstack::sip::StatusCode;
use serde_json::{Map, Value};

use super::{Channel, LegOrder, Progress, playing::What};
use crate::queue::{Order, Step, echo};
use crate::sounds::Request;

/// How far a command got at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Execution {
    /// It is done; the next may run.
    Done,
    /// It runs; the next waits.
    Running,
}

impl Channel {
    /// A message from the control queue.
    pub(super) async fn on_command(&mut self, command: &Value) {
        let legs: Vec<_> = [Some(&self.call_id), self.other_leg.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        for step in self.queue.receive(command, &legs) {
            match step {
                Step::Now(order) => {
                    self.execute(order, true).await;
                }
                Step::Break => self.break_media().await,
                Step::Refuse(refusal) => {
                    self.reporter
                        .refuse(
                            &self.channel_vars,
                            &refusal.msg_id,
                            refusal.command,
                            refusal.reason,
                        )
                        .await;
                }
            }
            if self.over {
                return;
            }
        }
        self.advance().await;
    }

    /// Runs what waits until something takes its time.
    pub(super) async fn advance(&mut self) {
        while !self.over {
            let Some(order) = self.queue.start_next() else {
                return;
            };
            if self.execute(order, false).await == Execution::Running {
                return;
            }
            self.queue.finish();
        }
    }

    /// The running command has completed.
    pub(super) async fn completed(&mut self) {
        self.queue.finish();
        // Boxed: a command may complete others behind it.
        Box::pin(self.advance()).await;
    }

    async fn execute(&mut self, order: Order, now: bool) -> Execution {
        let refused = echo(&order);
        match order.application {
            Application::Answer => self.execute_answer(&order.msg_id, refused).await,
            Application::Ring => {
                self.ring();
                self.complete("ring", |_| {}).await;
                Execution::Done
            }
            Application::Hangup {
                hangup_cause,
                other_leg_only,
            } => {
                let cause = hangup_cause.unwrap_or(HangupCause::NormalClearing);
                if other_leg_only == Some(true) {
                    self.order_legs(LegOrder::HangUp(cause));
                } else {
                    self.end(cause).await;
                }
                Execution::Done
            }
            Application::Respond { code, message } => {
                self.execute_respond(&order.msg_id, &code, message, refused)
                    .await
            }
            Application::Play { .. } | Application::Tts { .. } | Application::Tones { .. } => {
                self.execute_media(order, now).await
            }
            Application::Record { .. } => self.execute_record(order, now).await,
            Application::RecordCall { .. } => self.execute_record_call(order).await,
            Application::Bridge { .. } => self.execute_bridge(order, now).await,
            Application::Noop { .. } => {
                let msg_id = order.msg_id;
                self.complete("noop", |event| event.application_response = Some(msg_id))
                    .await;
                Execution::Done
            }
            Application::Set { vars } => {
                self.channel_vars.extend(vars.channel);
                self.channel_vars.extend(vars.call);
                Execution::Done
            }
            Application::Break => {
                self.break_media().await;
                Execution::Done
            }
            other => {
                let reason = format!("Could not execute dialplan action: {}", other.name());
                self.fail(&order.msg_id, refused, &reason).await
            }
        }
    }

    async fn execute_answer(&mut self, msg_id: &str, refused: Map<String, Value>) -> Execution {
        match self.answer(None).await {
            Ok(()) => {
                self.complete("answer", |_| {}).await;
                Execution::Done
            }
            Err(error) => self.fail(msg_id, refused, &error.to_string()).await,
        }
    }

    async fn execute_respond(
        &mut self,
        msg_id: &str,
        code: &str,
        message: Option<String>,
        refused: Map<String, Value>,
    ) -> Execution {
        let code = code
            .trim()
            .parse::<u16>()
            .ok()
            .filter(|c| (300..700).contains(c));
        let Some(code) = code else {
            return self
                .fail(
                    msg_id,
                    refused,
                    "the response code is no SIP refusal (300 to 699)",
                )
                .await;
        };
        if self.progress == Progress::Answered {
            return self
                .fail(msg_id, refused, "the call is answered already")
                .await;
        }
        let status = match message.filter(|m| !m.is_empty() && !m.contains(['\r', '\n'])) {
            Some(phrase) => StatusCode::Other(code, phrase),
            None => StatusCode::from(code),
        };
        self.refuse(status).await;
        Execution::Done
    }

    async fn execute_media(&mut self, order: Order, now: bool) -> Execution {
        let name = order.application.name();
        let (request, terminators, times) = match order.application {
            Application::Play {
                media_name,
                terminators,
                endless,
                loop_count,
            } => {
                let times = match (endless, loop_count) {
                    (Some(true), _) => None,
                    (_, count) => Some(count.unwrap_or(1).clamp(1, u64::from(u32::MAX)) as u32),
                };
                (Request::Named(media_name), terminators, times)
            }
            Application::Tts {
                text,
                voice,
                language,
                terminators,
            } => {
                let request = Request::Text {
                    text,
                    voice,
                    language,
                };
                (request, terminators, Some(1))
            }
            Application::Tones { tones, terminators } => {
                (Request::Tones(tones), terminators, Some(1))
            }
            _ => return Execution::Done,
        };
        let what = What {
            name,
            msg_id: order.msg_id,
            terminators,
            times,
            now,
        };
        self.start_sound(what, request).await;
        Execution::Running
    }

    /// `CHANNEL_EXECUTE_COMPLETE`.
    pub(super) async fn complete(
        &self,
        application: &str,
        fill: impl FnOnce(&mut CallEvent) + Send,
    ) {
        self.publish(EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some(application.to_owned());
            fill(event);
        })
        .await;
    }

    /// A `dialplan` error event; the queue advances (kazoo-wire §12.1).
    pub(super) async fn fail(
        &self,
        msg_id: &str,
        command: Map<String, Value>,
        reason: &str,
    ) -> Execution {
        self.reporter
            .refuse(&self.channel_vars, msg_id, command, reason.to_owned())
            .await;
        Execution::Done
    }
}
