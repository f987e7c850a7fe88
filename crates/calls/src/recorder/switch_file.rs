//! Audio that a foreign switch keeps in a file of its own: which file that is, and what the switch's events say about it.
//! Sends nothing.

use callreel_callflow::{RecordingKind, RecordingOrder};
use callreel_proto::{CallEvent, EndReason, random_hex};
use callreel_spool::SwitchFile;

use super::Args;
use crate::files::length_ms;

/// The file for an order: a name that nobody else has, of characters that every switch leaves as they are.
pub(super) fn of(order: &RecordingOrder, args: &Args) -> SwitchFile {
    let context = &args.control.context;
    let format = context.calls.switch_format.of(order.format);
    SwitchFile {
        node: args.route.switch_nodename.clone(),
        in_turn: order.kind != RecordingKind::Recording,
        media_name: format!("{}.{}", random_hex(32), format.extension()),
        control_queue: args.control.queue.clone(),
        ..SwitchFile::default()
    }
}

/// Why a recording that nobody here has ended is over.
pub(super) fn reason(event: &CallEvent, limit_s: u64) -> EndReason {
    let info = event.recording.as_ref();
    let cause = info
        .and_then(|info| info.completion_cause.as_deref())
        .unwrap_or_default();
    if event.silence_terminated == Some(true) || cause.contains("silence") {
        return EndReason::Silence;
    }
    if event
        .terminator
        .as_deref()
        .is_some_and(|key| !key.is_empty())
    {
        return EndReason::Stopped;
    }
    let full = length_ms(event).is_some_and(|ms| ms >= limit_s.saturating_mul(1000));
    if full || cause.contains("maxtime") || cause == "time_limit" {
        return EndReason::TimeLimit;
    }
    if cause == "hangup" || hung_up(event) {
        return EndReason::Hangup;
    }
    EndReason::Stopped
}

/// Whether the channel was being hung up. Its `Hangup-Cause` says nothing: after a bridge that failed it is the bridge's.
fn hung_up(event: &CallEvent) -> bool {
    let state = event.channel_state.as_deref();
    let call_state = event.channel_call_state.as_deref();
    matches!(state, Some("HANGUP" | "REPORTING" | "DESTROY"))
        || matches!(call_state, Some("HANGUP" | "DOWN"))
}

#[cfg(test)]
mod tests {
    use callreel_proto::{CallId, HangupCause, RecordingInfo, Utc};

    use super::*;

    fn stop(change: impl FnOnce(&mut CallEvent)) -> CallEvent {
        let mut event = CallEvent::new(CallId::new("a"), Utc::from_unix_ms(0));
        change(&mut event);
        event
    }

    #[test]
    fn why_a_recording_ended_is_read_from_what_either_tree_says() {
        let by = |event: &CallEvent| reason(event, 60);
        let cause = |word: &str| {
            let info = RecordingInfo {
                completion_cause: Some(word.to_owned()),
                ..RecordingInfo::default()
            };
            stop(|event| event.recording = Some(info))
        };
        assert_eq!(by(&stop(|_| {})), EndReason::Stopped);
        assert_eq!(
            by(&stop(|e| e.hangup_cause = Some(HangupCause::NoAnswer))),
            EndReason::Stopped
        );
        assert_eq!(
            by(&stop(|e| e.channel_state = Some("HANGUP".into()))),
            EndReason::Hangup
        );
        assert_eq!(
            by(&stop(|e| e.length_ms = Some(60_000))),
            EndReason::TimeLimit
        );
        assert_eq!(
            by(&stop(|e| e.terminator = Some("#".into()))),
            EndReason::Stopped
        );
        assert_eq!(
            by(&stop(|e| e.silence_terminated = Some(true))),
            EndReason::Silence
        );
        assert_eq!(by(&cause("success-silence")), EndReason::Silence);
        assert_eq!(by(&cause("success-maxtime")), EndReason::TimeLimit);
    }
}
