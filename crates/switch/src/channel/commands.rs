//! Executes dialplan commands (Kazoo `kapi_dialplan`) one after another.

use callreel_proto::{Application, CallEvent, EventName, HangupCause, SetVars};
use rsipstack::sip::StatusCode;
use serde_json::{Map, Value};

use super::{Channel, LegOrder, Progress};
use crate::queue::{Order, Slip, Step};

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
        let other = self.other_leg.as_ref().map(|other| &other.call_id);
        let legs: Vec<_> = [Some(&self.call_id), other].into_iter().flatten().collect();
        for step in self.queue.receive(command, &legs) {
            match step {
                Step::Now(order) => {
                    Box::pin(self.execute(*order, true)).await;
                }
                Step::Break => self.break_media().await,
                Step::Refuse(refusal) => {
                    self.shared.note(refusal.kind, &refusal.reason);
                    self.complain(refusal.slip, refusal.reason).await;
                }
            }
            if self.over {
                return;
            }
        }
        self.advance().await;
    }

    /// Forgets what waits and stops what runs: the controller that ordered it has lost the call.
    pub(super) async fn drop_orders(&mut self) {
        self.queue.close();
        self.orphan_sounds();
        self.recordings.orphan_message();
        drop(self.waits.take_sleeps());
        self.break_media().await;
    }

    /// Runs what waits until something takes its time.
    pub(super) async fn advance(&mut self) {
        while !self.over {
            let Some(order) = self.queue.start_next() else {
                return;
            };
            if Box::pin(self.execute(order, false)).await == Execution::Running {
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
        // Whatever comes next ends a park.
        self.waits.leave_park();
        let Order { application, slip } = order;
        match application {
            Application::Play { .. }
            | Application::Tts { .. }
            | Application::Say { .. }
            | Application::Hold { .. }
            | Application::Tones { .. } => self.execute_media(application, slip, now).await,
            Application::SoftHold(hold) => self.execute_soft_hold(hold, slip).await,
            Application::Transfer(transfer) => self.execute_transfer(*transfer, slip).await,
            Application::Unbridge { leg } => self.execute_unbridge(leg, slip).await,
            Application::Record { .. } => self.execute_record(application, slip, now).await,
            Application::RecordCall { .. } => self.execute_record_call(application, slip).await,
            Application::Bridge { .. } => self.execute_bridge(application, slip, now).await,
            Application::Page(page) => self.execute_page(*page, slip, now).await,
            Application::CallPickup(pickup) => self.execute_pickup(*pickup, slip, now).await,
            Application::Sleep { time_ms } => self.execute_sleep(time_ms, now),
            Application::Answer => self.execute_answer(slip).await,
            Application::SendDtmf { digits } => self.execute_send_dtmf(&digits, slip).await,
            Application::Respond { code, message } => {
                self.execute_respond(&code, message, slip).await
            }
            instant => {
                self.execute_instantly(instant, slip).await;
                Execution::Done
            }
        }
    }

    /// What neither takes time nor can fail.
    async fn execute_instantly(&mut self, application: Application, slip: Slip) {
        match application {
            Application::Ring => {
                self.ring();
                self.complete("ring", |_| {}).await;
            }
            Application::Progress => {
                self.open_early().await;
                self.complete("progress", |_| {}).await;
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
            }
            Application::Noop { .. } => {
                let msg_id = slip.msg_id;
                self.complete("noop", |event| event.application_response = Some(msg_id))
                    .await;
            }
            Application::Park {
                timeout_s,
                hangup_cause,
            } => self.park_for(timeout_s, hangup_cause),
            Application::Set { vars } => self.set(*vars),
            Application::SetTerminators { terminators } => self.playing.terminators = terminators,
            Application::Break => self.break_media().await,
            Application::Playstop => self.stop_sounds().await,
            other => {
                let reason = format!("Could not execute dialplan action: {}", other.name());
                self.fail(slip, &reason).await;
            }
        }
    }

    /// `set`.
    fn set(&mut self, vars: SetVars) {
        self.exported_vars.extend(vars.call.clone());
        self.set_channel_vars(vars.channel);
        self.set_channel_vars(vars.call);
        self.application_vars.extend(vars.application);
    }

    /// Sets variables of the channel. ecallmgr makes some of them attributes of the channel itself, where they show in events
    /// and to the phones it rings.
    pub(super) fn set_channel_vars(&mut self, vars: Map<String, Value>) {
        self.channel_vars.extend(vars);
        let (vars, parties) = (&mut self.channel_vars, &mut self.parties);
        if let Some(name) = vars.take("Caller-ID-Name") {
            parties.caller_name = name;
        }
        if let Some(number) = vars.take("Caller-ID-Number") {
            parties.caller_number = number;
        }
        for (name, slot) in [
            ("Callee-ID-Name", &mut parties.callee_name),
            ("Callee-ID-Number", &mut parties.callee_number),
        ] {
            *slot = vars.take(name).or_else(|| slot.take());
        }
    }

    async fn execute_answer(&mut self, slip: Slip) -> Execution {
        match self.answer(None).await {
            Ok(()) => {
                self.complete("answer", |_| {}).await;
                Execution::Done
            }
            Err(error) => self.fail(slip, &error.to_string()).await,
        }
    }

    async fn execute_send_dtmf(&mut self, digits: &str, slip: Slip) -> Execution {
        if let Err(error) = self.media.send_digits(digits) {
            return self.fail(slip, &error.to_string()).await;
        }
        let data = digits.to_owned();
        self.complete("send_dtmf", |event| event.raw_application_data = Some(data))
            .await;
        Execution::Done
    }

    async fn execute_respond(
        &mut self,
        code: &str,
        message: Option<String>,
        slip: Slip,
    ) -> Execution {
        let code = code.trim().parse::<u16>().ok();
        let Some(code) = code.filter(|c| (300..700).contains(c)) else {
            let reason = "the response code is no SIP refusal (300 to 699)";
            return self.fail(slip, reason).await;
        };
        if self.progress == Progress::Answered {
            return self.fail(slip, "the call is answered already").await;
        }
        let status = match message.filter(|m| !m.is_empty() && !m.contains(['\r', '\n'])) {
            Some(phrase) => StatusCode::Other(code, phrase),
            None => StatusCode::from(code),
        };
        self.refuse(status).await;
        Execution::Done
    }

    /// `CHANNEL_EXECUTE_COMPLETE`.
    pub(super) async fn complete(
        &self,
        application: &str,
        fill: impl FnOnce(&mut CallEvent) + Send,
    ) {
        self.publish(EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some(application.to_owned());
            event.raw_application_name = Some(native(application).to_owned());
            fill(event);
        })
        .await;
    }

    /// A command could not be executed; the queue advances.
    pub(super) async fn fail(&mut self, slip: Slip, reason: &str) -> Execution {
        tracing::warn!(call_id = %self.call_id, reason, "a command was not executed");
        self.queue.failed(reason);
        self.complain(slip, reason.to_owned()).await;
        Execution::Done
    }

    /// A `dialplan` error event.
    async fn complain(&self, slip: Slip, reason: String) {
        let Slip { msg_id, command } = slip;
        let look = self.look();
        self.reporter.refuse(look, &msg_id, command, reason).await;
    }
}

/// FreeSWITCH's own name of what a command runs, for those who look at it (the inverse of Kazoo's map of application names).
fn native(application: &str) -> &str {
    match application {
        "play" | "tones" => "playback",
        "tts" => "speak",
        "hold" => "endless_playback",
        "page" => "conference",
        "ring" => "ring_ready",
        "progress" => "pre_answer",
        same => same,
    }
}
