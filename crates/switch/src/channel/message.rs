//! Recording a message of the caller alone: the command `record`.

use std::sync::Arc;
use std::time::Instant;

use callreel_proto::{Application, MediaFork, RecordingInfo, Terminators};

use super::recording::{End, Recordings};
use super::waiting::seconds;
use super::{Channel, Due, commands::Execution};
use crate::queue::Slip;
use crate::rtp::SilenceWatch;

/// Kazoo's sender always says; this is its own default.
const MESSAGE_LIMIT_S: u64 = 300;
const SILENCE_THRESHOLD: u64 = 200;
const SILENCE_HITS_S: u64 = 5;

/// A message being recorded.
pub(super) struct Message {
    number: u64,
    info: RecordingInfo,
    fork: MediaFork,
    started: Instant,
    terminators: Terminators,
    now: bool,
}

impl Message {
    /// Where its audio goes.
    pub(super) fn fork(&self) -> MediaFork {
        self.fork
    }
}

impl Recordings {
    /// Nothing of the queue waits for the message any more.
    pub(super) fn orphan_message(&mut self) {
        if let Some(message) = &mut self.message {
            message.now = true;
        }
    }

    /// The number of the message being recorded.
    pub(super) fn message_number(&self) -> Option<u64> {
        self.message.as_ref().map(|message| message.number)
    }
}

impl Channel {
    /// `record`: the caller alone, until a key, silence, the limit or hangup.
    pub(super) async fn execute_record(
        &mut self,
        application: Application,
        slip: Slip,
        now: bool,
    ) -> Execution {
        let Application::Record {
            media_name,
            terminators,
            time_limit_s,
            silence_threshold,
            silence_hits,
            recording_id,
            fork,
        } = application
        else {
            return Execution::Done;
        };
        let Some(fork) = fork else {
            let reason = "this switch records by forking: the command needs Media-Fork";
            return self.fail(slip, reason).await;
        };
        if self.recordings.message.is_some() {
            let reason = "a message is being recorded already";
            return self.fail(slip, reason).await;
        }
        self.open_early().await;
        let source = match self.fork(fork) {
            Ok(source) => source,
            Err(reason) => return self.fail(slip, &reason).await,
        };
        let info = RecordingInfo {
            id: recording_id,
            name: Some(media_name),
            fork_source: Some(source),
            ..RecordingInfo::default()
        };
        let number = self.number();
        let limit = seconds(time_limit_s.filter(|s| *s > 0).unwrap_or(MESSAGE_LIMIT_S));
        self.set_timer(limit, Due::Message(number));
        let hits = silence_hits.unwrap_or(SILENCE_HITS_S);
        let threshold = silence_threshold.unwrap_or(SILENCE_THRESHOLD);
        self.media.watch_silence((hits > 0).then(|| SilenceWatch {
            threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
            after: seconds(hits),
        }));
        self.media.start_tape();
        self.recordings.tape = None;
        self.recordings.message = Some(Message {
            number,
            info: info.clone(),
            fork,
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
        if self.recordings.message_number() == Some(number) {
            self.end_message(End::TimeLimit).await;
        }
    }

    /// A `break` or `flush` ends this message.
    pub(super) async fn break_message(&mut self, number: Option<u64>) {
        if number.is_some() && self.recordings.message_number() == number {
            self.end_message(End::Stopped).await;
        }
    }

    pub(super) async fn end_message(&mut self, end: End) {
        let Some(message) = self.recordings.message.take() else {
            return;
        };
        self.media.watch_silence(None);
        let named = message.info.name.clone();
        self.recordings.tape = named.zip(self.media.stop_tape().map(Arc::new));
        self.release_forks();
        self.report_stop(message.info, message.started, end).await;
        if end != End::Hangup && !message.now {
            self.completed().await;
        }
    }
}
