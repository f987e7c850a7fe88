//! What a ticket promises when its recording starts, and which names may become part of a path.

use callreel_proto::{
    AccountId, AudioFormat, CallId, Channels, Destination, Leg, RecordingId, TraceParent, Utc,
};
use serde::{Deserialize, Serialize};

use crate::{Error, Source, at_rest::SEALED};

/// The longest file name a ticket may carry, bytes: the usual file systems take 255, and renderers add `.age.part`.
pub const MAX_FILE_NAME: usize = 240;

/// The file a switch has recorded, beside the ticket: its format may be any, so it has no extension.
pub(crate) const SWITCH_FILE: &str = "switch-file";
/// The same, sealed.
pub(crate) const SEALED_SWITCH_FILE: &str = "switch-file.age";

/// What kind of promise a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketKind {
    /// A `call_recording`: `record_call`, `record_caller`.
    Recording,
    /// A `mailbox_message`.
    Voicemail,
    /// A `media` document of the account: a greeting or a name that somebody recorded by phone.
    Greeting,
}

/// What was promised when the recording was ordered. Afterwards only its start can move, to the first audio
/// ([`Ticket::begin`](crate::Ticket::begin)), and what is known of a switch's file can grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// The recording; also the id of its document.
    pub recording_id: RecordingId,
    /// Where its audio comes from.
    #[serde(flatten)]
    pub source: Source,
    /// The account it belongs to.
    pub account_id: AccountId,
    /// The recorded leg: the call's A leg, unless `of_leg` says otherwise.
    pub call_id: CallId,
    /// Whose leg of a capture it is of. To a recording of leg B, what the other party sent is its own party's voice, and what
    /// the A leg sent is the other's. A file that a foreign switch keeps is seen from the recorded leg already.
    #[serde(default = "leg_a", skip_serializing_if = "is_leg_a")]
    pub of_leg: Leg,
    /// A call recording or a voicemail message.
    pub kind: TicketKind,
    /// The file's format.
    pub format: AudioFormat,
    /// How the legs share the file's channels.
    pub channels: Channels,
    /// Hz; `None` lets the renderer choose by the audio's bandwidth.
    pub sample_rate: Option<u32>,
    /// Where the file must go.
    pub destination: Destination,
    /// The file's name in the spool and at the destination; [`check_file_name`] says which are allowed.
    pub file_name: String,
    /// Wall-clock time of its start.
    pub started_at: Utc,
    /// Its start on the source's clock, nanoseconds.
    pub start_ns: u64,
    /// Longest duration, seconds.
    pub time_limit_s: u64,
    /// Shorter ones are discarded, milliseconds; 0 keeps all.
    pub min_ms: u64,
    /// Whether keys are taken out of the audio: their tones and their telephone events.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redact_dtmf: bool,
    /// The account's public key, as its document says it: the file that is delivered is sealed to it. One that is no key is kept
    /// here too, because what was to be sealed is never sent open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The span of the recording, to which all that is done for it later belongs (docs/tracing.md); none where nothing is traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<TraceParent>,
}

fn leg_a() -> Leg {
    Leg::A
}

fn is_leg_a(leg: &Leg) -> bool {
    *leg == Leg::A
}

impl Promise {
    /// Checks what becomes part of a path.
    ///
    /// # Errors
    /// A file name that [`check_file_name`] refuses.
    pub fn check(&self) -> Result<(), Error> {
        check_file_name(&self.file_name)
    }

    /// The file's name at its destination: with `.age` behind it if it is sealed to its account.
    pub fn delivered_name(&self) -> String {
        match self.recipient {
            None => self.file_name.clone(),
            Some(_) => format!("{}{SEALED}", self.file_name),
        }
    }

    /// Where it goes: a URL ends with `.age`, too, if the file is sealed to its account.
    pub fn delivered_to(&self) -> Destination {
        let mut to = self.destination.clone();
        if let (Destination::Http { url, .. }, Some(_)) = (&mut to, &self.recipient) {
            let sealed = format!("{url}{SEALED}").parse();
            *url = sealed.expect("a URL with a host may be longer");
        }
        to
    }

    /// The media type of what a receiver gets. There is none of sealed files.
    pub fn delivered_type(&self) -> &'static str {
        match self.recipient {
            None => self.format.content_type(),
            Some(_) => "application/octet-stream",
        }
    }
}

/// Whether a rendition may have this name: one path component, visible, at most [`MAX_FILE_NAME`] bytes, and none of
/// the spool's own names.
///
/// # Errors
/// The rule it breaks.
pub fn check_file_name(name: &str) -> Result<(), Error> {
    let broken = if name.is_empty() {
        Some("it is empty")
    } else if name.len() > MAX_FILE_NAME {
        Some("it is longer than 240 bytes")
    } else if name.starts_with('.') {
        Some("it starts with a dot")
    } else if name.contains(['/', '\\']) {
        Some("it contains a path separator")
    } else if name.chars().any(char::is_control) {
        Some("it contains a control character")
    } else if name.starts_with("ticket.json")
        || name.ends_with(".part")
        || [SWITCH_FILE, SEALED_SWITCH_FILE].contains(&name)
    {
        Some("the spool uses such names itself")
    } else {
        None
    };
    broken.map_or(Ok(()), |reason| {
        Err(Error::FileName {
            name: name.to_owned(),
            reason,
        })
    })
}
