//! Recording a channel: forks its audio to the recorder while at least one recording wants it.

use std::time::{Duration, Instant};

use callreel_proto::{Application, EventName, MediaFork, RecordAction, RecordingInfo, Terminators};

use super::{Channel, Due, commands::Execution};
use crate::queue::{Order, echo};
use crate::rtp::SilenceWatch;

/// Kazoo's sender always says; this is its own default.
const MESSAGE_LIMIT_S: u64 = 300;
const SILENCE_THRESHOLD: u64 = 200;
const SILENCE_HITS_S: u64 = 5;

/// What is recorded of a channel.
#[derive(Default)]
pub(super) struct Recordings {
    /// Recordings of the call, the newest last.
    running: Vec<Running>,
    /// The message being recorded by `record`.
    message: Option<Message>,
    source: Option<std::net::SocketAddr>,
}

impl Recordings {
    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.running.len() + usize::from(self.message.is_some())
    }
}

struct Running {
    number: u64,
    info: RecordingInfo,
    started: Instant,
}

struct Message {
    number: u64,
    info: RecordingInfo,
    started: Instant,
    terminators: Terminators,
    now: bool,
}

/// How a recording ended, as its `RECORD_STOP` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Digit(char),
    Silence,
    TimeLimit,
    Hangup,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Stopped | Self::Digit(_) => "stopped",
            Self::Silence => "silence",
            Self::TimeLimit => "time_limit",
            Self::Hangup => "hangup",
        }
    }
}

impl Channel {
    /// `record_call`.
    pub(super) async fn execute_record_call(&mut self, order: Order) -> Execution {
        let refused = echo(&order);
        let Application::RecordCall {
            action,
            media_name,
            terms,
            fork,
        } = order.application
        else {
            return Execution::Done;
        };
        match action {
            RecordAction::Start => {
                let Some(fork) = fork else {
                    let reason = "this switch records by forking: the command needs Media-Fork";
                    return self.fail(&order.msg_id, refused, reason).await;
                };
                let info = RecordingInfo {
                    id: terms.recording_id,
                    name: media_name,
                    recorder: terms.recorder,
                    origin: terms.origin,
                    ..RecordingInfo::default()
                };
                match self.start_recording(info, fork, terms.time_limit_s).await {
                    Ok(()) => Execution::Done,
                    Err(reason) => self.fail(&order.msg_id, refused, &reason).await,
                }
            }
            RecordAction::Stop => {
                self.stop_recording(terms.recording_id.as_deref(), media_name.as_deref())
                    .await;
                Execution::Done
            }
            // The recorder masks: the fork goes on, so that time is kept.
            RecordAction::Mask | RecordAction::Unmask => Execution::Done,
        }
    }

    async fn start_recording(
        &mut self,
        mut info: RecordingInfo,
        fork: MediaFork,
        limit_s: Option<u64>,
    ) -> Result<(), String> {
        let running = &self.recordings.running;
        let known = info.id.is_some() && running.iter().any(|r| r.info.id == info.id);
        info.fork_source = Some(self.fork(fork)?);
        if !known {
            let number = self.number();
            self.recordings.running.push(Running {
                number,
                info: info.clone(),
                started: Instant::now(),
            });
            if let Some(seconds) = limit_s.filter(|s| *s > 0) {
                self.set_timer(Duration::from_secs(seconds), Due::Recording(number));
            }
        }
        self.report_start(info).await;
        Ok(())
    }

    /// Starts the fork, or names the source of the running one: a call has one capture.
    fn fork(&mut self, fork: MediaFork) -> Result<std::net::SocketAddr, String> {
        if let Some(source) = self.recordings.source {
            return Ok(source);
        }
        let source = self.media.start_fork(fork).map_err(|e| e.to_string())?;
        self.recordings.source = Some(source);
        Ok(source)
    }

    fn release_fork(&mut self) {
        if self.recordings.len() == 0 && self.recordings.source.take().is_some() {
            self.media.stop_fork();
        }
    }

    async fn report_start(&self, info: RecordingInfo) {
        self.publish(EventName::RecordStart, |event| {
            event.application_name = Some("record".to_owned());
            event.application_response.clone_from(&info.name);
            event.recording = Some(info);
        })
        .await;
    }

    async fn report_stop(&self, mut info: RecordingInfo, started: Instant, end: End) {
        let length = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        info.completion_cause = Some(end.name().to_owned());
        self.publish(EventName::RecordStop, |event| {
            event.application_name = Some("record".to_owned());
            event.application_response.clone_from(&info.name);
            event.length_ms = Some(length);
            event.silence_terminated = Some(end == End::Silence);
            event.terminator = match end {
                End::Digit(digit) => Some(digit.to_string()),
                _ => None,
            };
            event.recording = Some(info);
        })
        .await;
    }

    /// Stops the named recording, or the newest; none running is no error.
    async fn stop_recording(&mut self, id: Option<&str>, name: Option<&str>) {
        let wanted = |r: &Running| match (id, name) {
            (Some(id), _) => r.info.id.as_deref() == Some(id),
            (None, Some(name)) => r.info.name.as_deref() == Some(name),
            (None, None) => true,
        };
        if let Some(at) = self.recordings.running.iter().rposition(wanted) {
            let running = self.recordings.running.remove(at);
            self.release_fork();
            self.report_stop(running.info, running.started, End::Stopped)
                .await;
        }
    }

    /// A recording has reached its limit.
    pub(super) async fn on_recording_limit(&mut self, number: u64) {
        let running = &mut self.recordings.running;
        if let Some(at) = running.iter().position(|r| r.number == number) {
            let running = running.remove(at);
            self.release_fork();
            self.report_stop(running.info, running.started, End::TimeLimit)
                .await;
        }
    }

    /// `record`: the caller alone, until a key, silence, the limit or hangup.
    pub(super) async fn execute_record(&mut self, order: Order, now: bool) -> Execution {
        let refused = echo(&order);
        let Application::Record {
            media_name,
            terminators,
            time_limit_s,
            silence_threshold,
            silence_hits,
            recording_id,
            fork,
        } = order.application
        else {
            return Execution::Done;
        };
        let Some(fork) = fork else {
            let reason = "this switch records by forking: the command needs Media-Fork";
            return self.fail(&order.msg_id, refused, reason).await;
        };
        if self.recordings.message.is_some() {
            let reason = "a message is being recorded already";
            return self.fail(&order.msg_id, refused, reason).await;
        }
        self.open_early().await;
        let source = match self.fork(fork) {
            Ok(source) => source,
            Err(reason) => return self.fail(&order.msg_id, refused, &reason).await,
        };
        let info = RecordingInfo {
            id: recording_id,
            name: Some(media_name),
            fork_source: Some(source),
            ..RecordingInfo::default()
        };
        let number = self.number();
        let limit = Duration::from_secs(time_limit_s.filter(|s| *s > 0).unwrap_or(MESSAGE_LIMIT_S));
        self.set_timer(limit, Due::Message(number));
        let hits = silence_hits.unwrap_or(SILENCE_HITS_S);
        let threshold = silence_threshold.unwrap_or(SILENCE_THRESHOLD);
        self.media.watch_silence((hits > 0).then(|| SilenceWatch {
            threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
            after: Duration::from_secs(hits),
        }));
        self.recordings.message = Some(Message {
            number,
            info: info.clone(),
            started: Instant::now(),
            terminators,
            now,
        });
        self.report_start(info).await;
        Execution::Running
    }

    /// A key was pressed.
    pub(super) async fn message_digit(&mut self, digit: char) {
        let ends = self
            .recordings
            .message
            .as_ref()
            .is_some_and(|m| m.terminators.contains(digit));
        if ends {
            self.end_message(End::Digit(digit)).await;
        }
    }

    /// The caller has fallen silent.
    pub(super) async fn on_silence(&mut self) {
        self.end_message(End::Silence).await;
    }

    /// The message has reached its limit.
    pub(super) async fn on_message_limit(&mut self, number: u64) {
        if self
            .recordings
            .message
            .as_ref()
            .is_some_and(|m| m.number == number)
        {
            self.end_message(End::TimeLimit).await;
        }
    }

    /// A `break` or `flush` ends the message.
    pub(super) async fn break_message(&mut self) {
        self.end_message(End::Stopped).await;
    }

    async fn end_message(&mut self, end: End) {
        let Some(message) = self.recordings.message.take() else {
            return;
        };
        self.media.watch_silence(None);
        self.release_fork();
        self.report_stop(message.info, message.started, end).await;
        if end != End::Hangup && !message.now {
            self.completed().await;
        }
    }

    /// The channel ends, and all recordings with it.
    pub(super) async fn end_recordings(&mut self) {
        self.end_message(End::Hangup).await;
        for running in std::mem::take(&mut self.recordings.running) {
            self.report_stop(running.info, running.started, End::Hangup)
                .await;
        }
        self.release_fork();
    }
}
