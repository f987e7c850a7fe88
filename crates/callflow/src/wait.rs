//! The ways a module can wait, and what ends each wait (Kazoo's `kapps_call_command`). Never does anything.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use callreel_proto::{CallEvent, EndReason, EventName, OffnetResp, Requested};
use serde_json::Value;

use crate::digits::{Collecting, Digits};
use crate::marker::Marker;
use crate::order::Slot;
use crate::stage::Stage;
use crate::talk::{Answer, Input};

/// What a module waits for.
#[derive(Debug)]
pub(crate) enum Await {
    /// Nothing: the module is being started.
    Nothing,
    /// The answer command is done.
    Answered { give_up: Instant },
    /// The switch has come to this noop; what a key of the caller does meanwhile is told by `keys`.
    Mark { marker: Marker, keys: Keys },
    /// Keys of the caller.
    Digits(Collecting),
    /// The bridge is over.
    Bridge { legs: Legs },
    /// The page is over. Who hears it is not told, but that the caller is answered: it may last longer from then on.
    Page { give_up: Instant, longest: Duration },
    /// This bridge or pickup has joined the legs.
    Joined {
        application: &'static str,
        give_up: Instant,
    },
    /// Somebody to take the call, which hears music. Endless without an instant.
    Parked { until: Option<Instant> },
    /// The bridge that stepswitch makes is over, by its word or the switch's.
    Offnet { msg_id: String, legs: Legs },
    /// The switch has done this command, or refuses it.
    Command {
        application: &'static str,
        give_up: Option<Instant>,
    },
    /// The message recording is over.
    Recording { slot: Slot, give_up: Instant },
    /// The recording beside the flow has begun.
    Begun { slot: Slot, give_up: Instant },
    /// The reply to a lookup.
    Reply,
    /// This instant.
    Until(Instant),
    /// The caller to hang up: nothing else ends it.
    Hangup,
    /// The channel to go.
    Gone { give_up: Instant },
}

/// How it stands with the legs of a bridge.
#[derive(Debug)]
pub(crate) enum Legs {
    /// They are to be joined by then.
    Apart(Instant),
    /// They talk as long as they like. The switch comes to the marker when the bridge is over, should nobody hear it say so.
    Joined(Marker),
    /// They talk, joined by a pickup, behind which nothing can be queued.
    PickedUp,
}

impl Legs {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Apart(give_up) => Some(*give_up),
            Self::Joined(marker) => Some(marker.deadline()),
            Self::PickedUp => None,
        }
    }
}

/// What a key does that the caller presses while something is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Nothing more than the switch does.
    Pass,
    /// It is kept for the next module that collects keys.
    Keep,
    /// It ends the wait.
    End,
}

/// How a wait ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// As wanted, or the command was refused and there is nothing to wait for.
    Done,
    /// At its instant.
    TimedOut,
    /// By a key of the caller.
    Key(char),
    /// The caller has dialled, or has not.
    Digits(Digits),
    /// With this reply.
    Reply(Answer),
    /// The bridge was answered, and is over.
    Talked,
    /// The bridge was not answered.
    NotAnswered(Box<CallEvent>),
    /// Stepswitch says how the bridge ended.
    Offnet(OffnetResp),
    /// The command is done.
    Completed(Box<CallEvent>),
    /// The switch will not do it, and has said so.
    Refused,
    /// The message recording has ended.
    Recorded {
        reason: EndReason,
        length_ms: u64,
        media_name: Option<String>,
    },
    /// The recording never began.
    NotRecorded(String),
}

impl Await {
    /// When a tick is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Answered { give_up }
            | Self::Recording { give_up, .. }
            | Self::Begun { give_up, .. }
            | Self::Page { give_up, .. }
            | Self::Joined { give_up, .. }
            | Self::Gone { give_up } => Some(*give_up),
            Self::Parked { until } => *until,
            Self::Bridge { legs } | Self::Offnet { legs, .. } => legs.deadline(),
            Self::Command { give_up, .. } => *give_up,
            Self::Until(instant) => Some(*instant),
            Self::Digits(collecting) => collecting.deadline(),
            Self::Mark { marker, .. } => Some(marker.deadline()),
            Self::Nothing | Self::Reply | Self::Hangup => None,
        }
    }

    /// Whether this ends the wait, and how.
    pub(crate) fn hear(
        &mut self,
        stage: &mut Stage,
        now: Instant,
        input: Input,
    ) -> Option<Outcome> {
        if let Self::Digits(collecting) = self {
            return collecting.hear(stage, now, &input).map(Outcome::Digits);
        }
        let heard = match input {
            Input::Event { name, event } => self.hear_event(stage, name, event),
            Input::Found(answer) => matches!(self, Self::Reply).then_some(Outcome::Reply(answer)),
            Input::RecordingEnded {
                slot,
                reason,
                length_ms,
                media_name,
            } => match self {
                Self::Recording { slot: awaited, .. } if *awaited == slot => {
                    Some(Outcome::Recorded {
                        reason,
                        length_ms,
                        media_name,
                    })
                }
                // What has ended had begun.
                Self::Begun { slot: awaited, .. } if *awaited == slot => Some(Outcome::Done),
                _ => None,
            },
            Input::RecordingRefused { slot, reason } => {
                self.is_about(slot).then_some(Outcome::NotRecorded(reason))
            }
            Input::RecordingStarted { slot } => {
                let begun = matches!(self, Self::Begun { .. }) && self.is_about(slot);
                begun.then_some(Outcome::Done)
            }
            Input::Offnet { msg_id, response } => match self {
                Self::Offnet { msg_id: asked, .. } if *asked == msg_id => {
                    Some(Outcome::Offnet(response))
                }
                _ => None,
            },
            Input::Started
            | Input::Overlay(_)
            | Input::Recorded(_)
            | Input::Exhausted
            | Input::Tick => None,
        };
        if heard.is_none()
            && let Some(marker) = self.marker()
        {
            marker.insist(stage, now);
        }
        // The clock counts whatever woke us, so that a busy call cannot starve its own deadlines.
        heard.or_else(|| {
            self.deadline()
                .is_some_and(|due| now >= due)
                .then_some(Outcome::TimedOut)
        })
    }

    fn marker(&mut self) -> Option<&mut Marker> {
        match self {
            Self::Mark { marker, .. }
            | Self::Bridge {
                legs: Legs::Joined(marker),
            }
            | Self::Offnet {
                legs: Legs::Joined(marker),
                ..
            } => Some(marker),
            _ => None,
        }
    }

    fn is_about(&self, slot: Slot) -> bool {
        match self {
            Self::Recording { slot: awaited, .. } | Self::Begun { slot: awaited, .. } => {
                *awaited == slot
            }
            _ => false,
        }
    }

    fn hear_event(
        &mut self,
        stage: &mut Stage,
        name: EventName,
        event: Box<CallEvent>,
    ) -> Option<Outcome> {
        match self {
            Self::Answered { .. } => {
                let done = name == EventName::ChannelAnswer
                    || completes(name, &event, "answer")
                    || refuses(name, &event, "answer", None);
                done.then_some(Outcome::Done)
            }
            Self::Mark { marker, keys } => match name {
                EventName::Dtmf => stage.pressed_meanwhile(*keys, key_of(&event)?),
                _ => marker.reached(name, &event).then_some(Outcome::Done),
            },
            Self::Bridge { legs } | Self::Offnet { legs, .. } => {
                match legs {
                    Legs::Apart(_) if name == EventName::ChannelBridge => {
                        *legs = Legs::Joined(stage.marker_later());
                    }
                    Legs::Joined(marker) if marker.passed(name, &event) => {
                        return Some(Outcome::Talked);
                    }
                    _ => {}
                }
                if is_over(name, &event) {
                    return Some(if succeeded(&event) {
                        Outcome::Talked
                    } else {
                        Outcome::NotAnswered(event)
                    });
                }
                refuses(name, &event, "bridge", None).then_some(Outcome::NotAnswered(event))
            }
            Self::Joined { application, .. } => {
                if name == EventName::ChannelBridge {
                    return Some(Outcome::Done);
                }
                let over = is_over(name, &event) || refuses(name, &event, application, None);
                over.then_some(Outcome::NotAnswered(event))
            }
            Self::Parked { .. } => {
                if name == EventName::ChannelBridge {
                    return Some(Outcome::Done);
                }
                let silent = completes(name, &event, "hold") || refuses(name, &event, "hold", None);
                silent.then_some(Outcome::Completed(event))
            }
            Self::Page { give_up, longest } => {
                if name == EventName::ChannelAnswer {
                    *give_up = stage.after(*longest);
                }
                executed(name, event, "page")
            }
            Self::Command { application, .. } => executed(name, event, application),
            // Nobody is being asked: whoever knows the way presses the next key already.
            Self::Nothing | Self::Reply | Self::Begun { .. } => {
                if name == EventName::Dtmf
                    && let Some(key) = key_of(&event)
                {
                    stage.pressed_early(key);
                }
                None
            }
            Self::Digits(_)
            | Self::Recording { .. }
            | Self::Until(_)
            | Self::Hangup
            | Self::Gone { .. } => None,
        }
    }
}

/// Whether the switch has done this command, or will not.
fn executed(name: EventName, event: Box<CallEvent>, application: &str) -> Option<Outcome> {
    if completes(name, &event, application) {
        return Some(Outcome::Completed(event));
    }
    refuses(name, &event, application, None).then_some(Outcome::Refused)
}

/// The key of a DTMF event.
pub(crate) fn key_of(event: &CallEvent) -> Option<char> {
    event.dtmf_digit.as_deref()?.chars().next()
}

/// Whether the switch has done a command of this name.
pub(crate) fn completes(name: EventName, event: &CallEvent, application: &str) -> bool {
    name == EventName::ChannelExecuteComplete
        && event.application_name.as_deref() == Some(application)
}

/// Whether a bridge, or what came of a pickup, is over. Kazoo 4.3 labels the completion of `record` so, too; that one has a
/// length.
fn is_over(name: EventName, event: &CallEvent) -> bool {
    let bridge = completes(name, event, "bridge") && event.length_ms.is_none();
    bridge || completes(name, event, "call_pickup")
}

/// A dialplan error about a command of this name. Kazoo matches by name; where the error carries the command's `Msg-ID`, it
/// must be ours.
pub(crate) fn refuses(
    name: EventName,
    event: &CallEvent,
    application: &str,
    msg_id: Option<&str>,
) -> bool {
    if name != EventName::DialplanError {
        return false;
    }
    let refused = |key| {
        let command = event.request.as_ref().and_then(Requested::command);
        command.and_then(|c| c.get(key)).and_then(Value::as_str)
    };
    let named = refused("Application-Name").or(event.application_name.as_deref());
    let ours = match (refused("Msg-ID"), msg_id) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => true,
    };
    named == Some(application) && ours
}

/// Kazoo's test of a bridge's result (`kapps_call_command:wait_for_bridge`).
fn succeeded(event: &CallEvent) -> bool {
    event.disposition.as_deref() == Some("SUCCESS")
        || event.application_response.as_deref() == Some("SUCCESS")
        || event.hangup_code.as_deref() == Some("sip:200")
}

impl Display for Await {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Answered { .. } => "the answer",
            Self::Mark {
                keys: Keys::End, ..
            } => "the end of playback, or a key",
            Self::Mark { .. } => "the end of playback",
            Self::Digits(_) => "keys of the caller",
            Self::Page { .. } => "the page to end",
            Self::Joined { .. } => "the legs to be joined",
            Self::Parked { .. } => "somebody to take the call",
            Self::Bridge {
                legs: Legs::Apart(_),
            }
            | Self::Offnet {
                legs: Legs::Apart(_),
                ..
            } => "the bridge to be answered",
            Self::Bridge { .. } | Self::Offnet { .. } => "the bridge to end",
            Self::Command { .. } => "the switch to do what it was told",
            Self::Recording { .. } => "the end of the message",
            Self::Begun { .. } => "the recording to begin",
            Self::Reply => "a document",
            Self::Until(_) => "time to pass",
            Self::Hangup | Self::Gone { .. } => "the channel to go",
        })
    }
}
