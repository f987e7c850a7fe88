//! Recording a channel: forks its audio to each recorder while at least one recording of its wants it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use callreel_proto::{
    Application, CallEvent, EventName, MediaFork, RecordAction, RecordCall, RecordingInfo,
    random_hex,
};

use super::waiting::seconds;
use super::{Channel, Due, commands::Execution, message::Message};
use crate::queue::Slip;
use crate::rtp::Tape;

/// Recordings the last event of a channel names: nobody makes more of one call.
const MAX_NAMED: usize = 100;
/// Keys of a `Recording` object that tell facts of ours: an order cannot set them.
const FACTS: [&str; 5] = [
    "Fork-Source",
    "Completion-Cause",
    "File-Path",
    "File-Size",
    "File-MilliSeconds",
];

/// What is recorded of a channel.
#[derive(Default)]
pub(super) struct Recordings {
    /// Recordings of the call, the newest last.
    running: Vec<Running>,
    /// The message being recorded by `record`.
    pub(super) message: Option<Message>,
    /// What was said in the last message, by its media name: its speaker may want to hear it.
    pub(super) tape: Option<(String, Arc<Tape>)>,
    /// Where the channel's audio is sent.
    forks: Vec<MediaFork>,
    /// Names of all that were started, the newest first.
    names: Vec<String>,
}

impl Recordings {
    /// How many run.
    pub(super) fn len(&self) -> usize {
        self.running.len() + usize::from(self.message.is_some())
    }

    /// Names of all that were started, the newest first.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

struct Running {
    number: u64,
    info: RecordingInfo,
    /// Who ordered it: only its orders are about it.
    recorder: String,
    fork: MediaFork,
    started: Instant,
}

/// How a recording ended, as its `RECORD_STOP` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
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

/// What an order says of its recording, as the events echo it: Kazoo 4.3 has a header for each, Kazoo 5 puts them into
/// `Recording-Variables`, with whatever else its sender wants to see again.
fn described(name: Option<String>, terms: RecordCall) -> RecordingInfo {
    let mut variables = terms.variables.unwrap_or_default();
    variables.retain(|key, _| !FACTS.contains(&key.as_str()));
    let mut said = |header: Option<String>, key: &str| {
        let variable = variables.shift_remove(key);
        header.or_else(|| variable?.as_str().map(str::to_owned))
    };
    RecordingInfo {
        id: said(terms.recording_id, "ID"),
        name: said(name, "Name"),
        recorder: said(terms.recorder, "Recorder"),
        origin: said(terms.origin, "Origin"),
        endpoint_id: said(terms.endpoint_id, "Endpoint-ID"),
        variables,
        ..RecordingInfo::default()
    }
}

/// The same as variables of the channel, where Kazoo 4.3 has them.
fn variables_of(info: &RecordingInfo) -> [(&'static str, Option<&String>); 5] {
    [
        ("Media-Name", info.name.as_ref()),
        ("Media-Recorder", info.recorder.as_ref()),
        ("Media-Recording-ID", info.id.as_ref()),
        ("Media-Recording-Endpoint-ID", info.endpoint_id.as_ref()),
        ("Media-Recording-Origin", info.origin.as_ref()),
    ]
}

/// Makes an event one about this recording.
fn tell_recording(event: &mut CallEvent, info: RecordingInfo) {
    event.application_name = Some("record".to_owned());
    event.application_response = info.name.clone().or_else(|| info.id.clone());
    for (variable, value) in variables_of(&info) {
        let vars = &mut event.custom_channel_vars;
        match value {
            Some(value) => drop(vars.insert(variable.to_owned(), value.clone().into())),
            None => drop(vars.shift_remove(variable)),
        }
    }
    event.recording = Some(info);
}

impl Channel {
    /// `record_call`. With a fork it is a recorder's order; without one it is another application's, and a recorder's to
    /// carry out: so it can never go round in a circle.
    pub(super) async fn execute_record_call(
        &mut self,
        application: Application,
        slip: Slip,
    ) -> Execution {
        let Application::RecordCall {
            action,
            media_name,
            terms,
            fork,
        } = application
        else {
            return Execution::Done;
        };
        let Some(fork) = fork else {
            return self.hand_on(slip).await;
        };
        match action {
            RecordAction::Start => {
                let limit_s = terms.time_limit_s;
                let info = described(media_name, *terms);
                match self.start_recording(info, fork, limit_s, &slip).await {
                    Ok(()) => Execution::Done,
                    Err(reason) => self.fail(slip, &reason).await,
                }
            }
            RecordAction::Stop => {
                let (id, name) = (terms.recording_id.as_deref(), media_name.as_deref());
                self.stop_recording(slip.sender(), id, name).await;
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
        slip: &Slip,
    ) -> Result<(), String> {
        if info.name.is_none() && info.id.is_none() {
            // Listeners tell recordings apart by their names, so one that nobody named gets one.
            info.name = Some(format!("{}.wav", random_hex(32)));
        }
        info.fork_source = Some(self.fork(fork)?);
        let recorder = slip.sender();
        let same =
            |r: &&mut Running| info.id.is_some() && r.info.id == info.id && r.recorder == recorder;
        match self.recordings.running.iter_mut().find(same) {
            // The recorder has moved.
            Some(known) => {
                known.fork = fork;
                self.release_forks();
            }
            None => {
                let number = self.number();
                self.recordings.running.push(Running {
                    number,
                    info: info.clone(),
                    recorder: recorder.to_owned(),
                    fork,
                    started: Instant::now(),
                });
                if let Some(limit) = limit_s.filter(|s| *s > 0).map(seconds) {
                    self.set_timer(limit, Due::Recording(number));
                }
            }
        }
        self.report_start(info).await;
        Ok(())
    }

    /// Sends the audio there, too, and names where it comes from.
    pub(super) fn fork(&mut self, fork: MediaFork) -> Result<SocketAddr, String> {
        let source = self.media.start_fork(fork).map_err(|e| e.to_string())?;
        if !self.recordings.forks.contains(&fork) {
            self.recordings.forks.push(fork);
        }
        Ok(source)
    }

    /// Ends the forks that no recording is made of any more.
    pub(super) fn release_forks(&mut self) {
        let Recordings {
            running,
            message,
            forks,
            ..
        } = &mut self.recordings;
        let message = message.as_ref().map(Message::fork);
        forks.retain(|fork| {
            let wanted = message == Some(*fork) || running.iter().any(|r| r.fork == *fork);
            if !wanted {
                self.media.stop_fork(fork);
            }
            wanted
        });
    }

    /// `RECORD_START`; the channel's variables name the recording that was started last.
    pub(super) async fn report_start(&mut self, info: RecordingInfo) {
        if let Some(name) = info.name.as_ref().or(info.id.as_ref()) {
            self.recordings.names.insert(0, name.clone());
            self.recordings.names.truncate(MAX_NAMED);
        }
        for (variable, value) in variables_of(&info) {
            let value = value.cloned().unwrap_or_default();
            self.channel_vars.set(variable, value);
        }
        self.publish(EventName::RecordStart, |event| tell_recording(event, info))
            .await;
    }

    pub(super) async fn report_stop(&self, mut info: RecordingInfo, started: Instant, end: End) {
        let length = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        info.completion_cause = Some(end.name().to_owned());
        self.publish(EventName::RecordStop, |event| {
            tell_recording(event, info);
            event.length_ms = Some(length);
            event.silence_terminated = Some(end == End::Silence);
            event.terminator = match end {
                End::Digit(digit) => Some(digit.to_string()),
                _ => None,
            };
        })
        .await;
    }

    /// Stops the named recording of this recorder, or its newest; none running is no error.
    async fn stop_recording(&mut self, recorder: &str, id: Option<&str>, name: Option<&str>) {
        let wanted = |r: &Running| {
            let named = match (id, name) {
                (Some(id), _) => r.info.id.as_deref() == Some(id),
                (None, Some(name)) => r.info.name.as_deref() == Some(name),
                (None, None) => true,
            };
            named && r.recorder == recorder
        };
        if let Some(at) = self.recordings.running.iter().rposition(wanted) {
            let running = self.recordings.running.remove(at);
            self.release_forks();
            self.report_stop(running.info, running.started, End::Stopped)
                .await;
        }
    }

    /// A recording has reached its limit.
    pub(super) async fn on_recording_limit(&mut self, number: u64) {
        let running = &mut self.recordings.running;
        if let Some(at) = running.iter().position(|r| r.number == number) {
            let running = running.remove(at);
            self.release_forks();
            self.report_stop(running.info, running.started, End::TimeLimit)
                .await;
        }
    }

    /// The channel ends, and all recordings with it.
    pub(super) async fn end_recordings(&mut self) {
        self.end_message(End::Hangup).await;
        for running in std::mem::take(&mut self.recordings.running) {
            self.report_stop(running.info, running.started, End::Hangup)
                .await;
        }
        self.release_forks();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn terms(json: Value) -> RecordCall {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_recording_is_described_by_headers_or_by_variables() {
        let variables = json!({"ID": "5", "Recorder": "five", "Case": "88121", "File-Size": 7});
        let by_variables = described(None, terms(json!({"Recording-Variables": variables})));
        assert_eq!(by_variables.id.as_deref(), Some("5"));
        assert_eq!(by_variables.recorder.as_deref(), Some("five"));
        assert_eq!(by_variables.file_size, None);
        let json = json!({"ID": "5", "Recorder": "five", "Case": "88121"});
        assert_eq!(serde_json::to_value(&by_variables).unwrap(), json);

        let both = json!({"Media-Recording-ID": "4", "Recording-Variables": variables});
        let both = described(Some("x.wav".to_owned()), terms(both));
        assert_eq!(
            (both.id.as_deref(), both.name.as_deref()),
            (Some("4"), Some("x.wav"))
        );
    }
}
