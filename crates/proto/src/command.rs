//! Dialplan commands: what a call's controller tells the switch (Kazoo `kapi_dialplan`, exchange `callctl`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;

use crate::lenient::{loose, loose_by_serde, loose_or_default, readable, some_text, spelled};
use crate::{
    CallId, CallPickup, Endpoint, Envelope, HangupCause, Headers, Hearers, MediaFork, Page,
    RecordAction, RecordCall, SoftHold, Terminators, Tone, Transfer,
};

/// Where a command goes in the switch's queue for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InsertAt {
    /// At once, beside the running command.
    Now,
    /// Before the waiting commands.
    Head,
    /// After the waiting commands.
    #[default]
    Tail,
    /// Break the running media, drop the waiting commands, run this one.
    Flush,
}

loose_by_serde!(InsertAt);

/// The command itself, by `Application-Name`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "Application-Name", rename_all = "snake_case")]
pub enum Application {
    /// 200 OK if not yet answered. Completes as `answer`.
    Answer,
    /// 180 Ringing. Completes as `ring`.
    Ring,
    /// 183 with a session description: the caller may hear something. Completes as `progress`.
    Progress,
    /// End the call, or only its other leg.
    Hangup {
        /// Why; normal clearing when absent.
        #[serde(rename = "Hangup-Cause", default, deserialize_with = "loose")]
        hangup_cause: Option<HangupCause>,
        /// End the other leg and keep this one.
        #[serde(rename = "Other-Leg-Only", default, deserialize_with = "loose")]
        other_leg_only: Option<bool>,
    },
    /// A final SIP answer to an unanswered call.
    Respond {
        /// SIP status code.
        #[serde(rename = "Response-Code", deserialize_with = "some_text")]
        code: String,
        /// SIP reason phrase.
        #[serde(rename = "Response-Message", default, deserialize_with = "loose")]
        message: Option<String>,
    },
    /// Play a file. Completes as `play`.
    Play {
        /// `/<account id>/<media document id>`, `prompt://<account id>/<prompt id>/<language>` (the account's own words, else the
        /// system's), `/system_media/<prompt id>`, `tone_stream://…`, `silence_stream://MS` or an HTTP URL.
        #[serde(rename = "Media-Name", deserialize_with = "some_text")]
        media_name: String,
        /// Keys that end it; completion then carries `DTMF-Digit`.
        #[serde(rename = "Terminators", default, deserialize_with = "loose_or_default")]
        terminators: Terminators,
        /// Start again at the end, until broken.
        #[serde(rename = "Endless-Playback", default, deserialize_with = "loose")]
        endless: Option<bool>,
        /// How often; 1 when absent.
        #[serde(rename = "Loop-Count", default, deserialize_with = "loose")]
        loop_count: Option<u64>,
        /// Who hears it; whom the command is about when absent.
        #[serde(rename = "Leg", default, deserialize_with = "loose")]
        leg: Option<Hearers>,
    },
    /// Speak a text. Completes as `tts`.
    Tts {
        /// What to say.
        #[serde(rename = "Text", deserialize_with = "some_text")]
        text: String,
        /// `male` or `female`.
        #[serde(rename = "Voice", default, deserialize_with = "loose")]
        voice: Option<String>,
        /// Such as `en-us`.
        #[serde(rename = "Language", default, deserialize_with = "loose")]
        language: Option<String>,
        /// Ours: a voice as the engine calls it, in the place of `Voice` where it knows it.
        #[serde(rename = "Voice-Name", default, deserialize_with = "loose")]
        voice_name: Option<String>,
        /// Who speaks: ours are `embedded` and `http`; the switch's own choice when absent or not known there.
        #[serde(rename = "Engine", default, deserialize_with = "loose")]
        engine: Option<String>,
        /// Keys that end it.
        #[serde(rename = "Terminators", default, deserialize_with = "loose_or_default")]
        terminators: Terminators,
        /// Who hears it; whom the command is about when absent.
        #[serde(rename = "Leg", default, deserialize_with = "loose")]
        leg: Option<Hearers>,
    },
    /// Say a number, letters or the like by Kazoo's rules of saying; not a text. Completes as `say`.
    Say {
        /// What to say.
        #[serde(rename = "Say-Text", deserialize_with = "some_text")]
        text: String,
        /// What it is: `number`, `name_spelled`, `telephone_number` and so on.
        #[serde(rename = "Type", default, deserialize_with = "loose_or_default")]
        kind: String,
        /// `pronounced` (one hundred), `iterated` (one, zero, zero), `counted` (hundredth) or `none`.
        #[serde(rename = "Method", default, deserialize_with = "loose_or_default")]
        method: String,
        /// Such as `en-us`.
        #[serde(rename = "Language", default, deserialize_with = "loose")]
        language: Option<String>,
        /// Who hears it; whom the command is about when absent.
        #[serde(rename = "Leg", default, deserialize_with = "loose")]
        leg: Option<Hearers>,
    },
    /// Play music on hold until broken. Completes as `hold`.
    Hold {
        /// As in `play`; the switch's own music when absent.
        #[serde(rename = "Hold-Media", default, deserialize_with = "loose")]
        media_name: Option<String>,
    },
    /// Sound tones. Completes as `tones`.
    Tones {
        /// One after the other.
        #[serde(rename = "Tones")]
        tones: Vec<Tone>,
        /// Keys that end it.
        #[serde(rename = "Terminators", default, deserialize_with = "loose_or_default")]
        terminators: Terminators,
        /// Who hears it; whom the command is about when absent.
        #[serde(rename = "Leg", default, deserialize_with = "loose")]
        leg: Option<Hearers>,
    },
    /// Record the caller alone until a key, silence, the limit or hangup. Completes as `RECORD_STOP`.
    Record {
        /// File name; events name it.
        #[serde(rename = "Media-Name", deserialize_with = "some_text")]
        media_name: String,
        /// Keys that end it.
        #[serde(rename = "Terminators", default, deserialize_with = "loose_or_default")]
        terminators: Terminators,
        /// Seconds; a string, as Kazoo's senders write it, and so are the next two.
        #[serde(
            rename = "Time-Limit",
            default,
            deserialize_with = "loose",
            serialize_with = "spelled"
        )]
        time_limit_s: Option<u64>,
        /// Mean absolute amplitude (of 32767) below which the caller is silent; 200 when absent.
        #[serde(
            rename = "Silence-Threshold",
            default,
            deserialize_with = "loose",
            serialize_with = "spelled"
        )]
        silence_threshold: Option<u64>,
        /// Seconds of silence that end it; 5 when absent.
        #[serde(
            rename = "Silence-Hits",
            default,
            deserialize_with = "loose",
            serialize_with = "spelled"
        )]
        silence_hits: Option<u64>,
        /// Ours: the recording this is for.
        #[serde(rename = "Media-Recording-ID", default, deserialize_with = "loose")]
        recording_id: Option<String>,
        /// Ours: fork the audio here instead of writing a file.
        #[serde(rename = "Media-Fork", default)]
        fork: Option<MediaFork>,
    },
    /// Start, stop or mask a recording of the call; always sent with `Insert-At: now`.
    RecordCall {
        /// What to do.
        #[serde(rename = "Record-Action")]
        action: RecordAction,
        /// File name; events name it.
        #[serde(rename = "Media-Name", default, deserialize_with = "loose")]
        media_name: Option<String>,
        /// How to record and whose it is.
        #[serde(flatten)]
        terms: Box<RecordCall>,
        /// Ours: fork both streams here instead of writing a file.
        #[serde(rename = "Media-Fork", default)]
        fork: Option<MediaFork>,
    },
    /// Ring endpoints and join the first that answers. Completes as `bridge`, after the bridge has ended.
    Bridge {
        /// Whom to ring.
        #[serde(rename = "Endpoints", deserialize_with = "readable")]
        endpoints: Vec<Endpoint>,
        /// Seconds to ring; 20 when absent.
        #[serde(rename = "Timeout", default, deserialize_with = "loose")]
        timeout_s: Option<u64>,
        /// `single` (one after the other) or `simultaneous`.
        #[serde(rename = "Dial-Endpoint-Method", default, deserialize_with = "loose")]
        method: Option<String>,
        /// One refusal ends the ringing of all.
        #[serde(rename = "Fail-On-Single-Reject", default, deserialize_with = "loose")]
        fail_on_single_reject: Option<bool>,
        /// Caller's name as the callee sees it.
        #[serde(rename = "Caller-ID-Name", default, deserialize_with = "loose")]
        caller_id_name: Option<String>,
        /// Caller's number as the callee sees it.
        #[serde(rename = "Caller-ID-Number", default, deserialize_with = "loose")]
        caller_id_number: Option<String>,
        /// The caller hears ringing, whatever the callee's side sends before it answers.
        #[serde(rename = "Ignore-Early-Media", default, deserialize_with = "loose")]
        ignore_early_media: Option<bool>,
        /// What the caller hears while it rings, as in `play`; the caller's phone rings by itself when absent.
        #[serde(rename = "Ringback", default, deserialize_with = "loose")]
        ringback: Option<String>,
        /// A callee that sends the call elsewhere (3xx) is not followed.
        #[serde(rename = "Ignore-Forward", default, deserialize_with = "loose")]
        ignore_forward: Option<bool>,
        /// Variables of all B legs.
        #[serde(
            rename = "Custom-Channel-Vars",
            default,
            deserialize_with = "loose_or_default",
            skip_serializing_if = "Map::is_empty"
        )]
        custom_channel_vars: Map<String, Value>,
        /// Headers of all B legs' INVITEs.
        #[serde(
            rename = "Custom-SIP-Headers",
            default,
            deserialize_with = "loose_or_default",
            skip_serializing_if = "Map::is_empty"
        )]
        custom_sip_headers: Map<String, Value>,
    },
    /// Ring endpoints that answer by themselves, and let all of them hear the caller. Completes as `page`, after the last has
    /// gone.
    Page(Box<Page>),
    /// Send a leg to another number of its account, which finds a controller of its own. No completion event:
    /// `CHANNEL_TRANSFEREE` tells of the leg that goes.
    Transfer(Box<Transfer>),
    /// Join the leg to another call of its account that waits, which loses its controller. Completes as `call_pickup`, after
    /// they have parted.
    CallPickup(Box<CallPickup>),
    /// Part two legs that talk; those named are parked, the other one ends. Always `now`. Completes as the bridge does.
    Unbridge {
        /// Who is parked; the leg the command is about when absent.
        #[serde(rename = "Leg", default, deserialize_with = "loose")]
        leg: Option<Hearers>,
    },
    /// Put the other leg on hold, until a key takes it back. Always `now`.
    SoftHold(SoftHold),
    /// Keys that end the next playbacks. No completion event.
    SetTerminators {
        /// Which; none of them when empty.
        #[serde(rename = "Terminators", default, deserialize_with = "loose_or_default")]
        terminators: Terminators,
    },
    /// A marker: completes as `noop` with its `Msg-ID` in `Application-Response`, after everything queued before it.
    Noop {
        /// Waiting commands to drop from the front of the queue: names, or objects of `Application-Name`, `Group-ID` and
        /// `Fields`.
        #[serde(
            rename = "Filter-Applications",
            default,
            deserialize_with = "loose_or_default",
            skip_serializing_if = "Vec::is_empty"
        )]
        filter: Vec<Value>,
    },
    /// Do nothing for a while. Completes as `sleep`.
    Sleep {
        /// Milliseconds; 50 when absent.
        #[serde(rename = "Time", default, deserialize_with = "loose")]
        time_ms: Option<u64>,
    },
    /// Leave the channel as it is until the next command. No completion event.
    Park {
        /// Seconds after which the channel is hung up; never when absent.
        #[serde(rename = "Timeout", default, deserialize_with = "loose")]
        timeout_s: Option<u64>,
        /// Why it is hung up then; normal clearing when absent.
        #[serde(rename = "Hangup-Cause", default, deserialize_with = "loose")]
        hangup_cause: Option<HangupCause>,
    },
    /// Press keys towards the phone. Completes as `send_dtmf`.
    SendDtmf {
        /// Keys of a telephone, one after the other.
        #[serde(rename = "DTMFs", deserialize_with = "some_text")]
        digits: String,
    },
    /// Several commands, queued right to left (Kazoo's order for `tail` and `flush`).
    Queue {
        /// Bare commands; envelope fields they lack are the outer message's.
        #[serde(rename = "Commands")]
        commands: Vec<Value>,
    },
    /// Set variables of the channel. No completion event.
    Set {
        /// Which, and where.
        #[serde(flatten)]
        vars: Box<SetVars>,
    },
    /// Stop the running media, or the message being recorded. Always `now`.
    Break,
    /// Stop the running playback. Always `now`.
    Playstop,
}

/// A dialplan command. Exchange `callctl`, category `call`, name `command`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The controlled call.
    #[serde(rename = "Call-ID")]
    pub call_id: CallId,
    /// Where it goes in the queue.
    #[serde(rename = "Insert-At", default, deserialize_with = "loose_or_default")]
    pub insert_at: InsertAt,
    /// What to do.
    #[serde(flatten)]
    pub application: Application,
}

impl Command {
    /// This command in a fresh envelope.
    pub fn into_envelope(self) -> Envelope<Self> {
        Envelope {
            headers: Headers::new("call", "command"),
            body: self,
        }
    }
}

mod names;
mod vars;

pub use vars::SetVars;

#[cfg(test)]
mod tests;
