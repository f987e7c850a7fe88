//! The names of dialplan commands.

use super::Application;

impl Application {
    /// The `Application-Name`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Ring => "ring",
            Self::Progress => "progress",
            Self::Hangup { .. } => "hangup",
            Self::Respond { .. } => "respond",
            Self::Play { .. } => "play",
            Self::Tts { .. } => "tts",
            Self::Say { .. } => "say",
            Self::Hold { .. } => "hold",
            Self::Tones { .. } => "tones",
            Self::Record { .. } => "record",
            Self::RecordCall { .. } => "record_call",
            Self::Bridge { .. } => "bridge",
            Self::Page(_) => "page",
            Self::Transfer(_) => "transfer",
            Self::CallPickup(_) => "call_pickup",
            Self::Unbridge { .. } => "unbridge",
            Self::SoftHold(_) => "soft_hold",
            Self::SetTerminators { .. } => "set_terminators",
            Self::Noop { .. } => "noop",
            Self::Sleep { .. } => "sleep",
            Self::Park { .. } => "park",
            Self::SendDtmf { .. } => "send_dtmf",
            Self::Queue { .. } => "queue",
            Self::Set { .. } => "set",
            Self::Break => "break",
            Self::Playstop => "playstop",
        }
    }
}
