//! The bytes of a ticket's file: the ticket, who writes it while it grows, and what can be told of one without reading all of it.

use std::path::Path;

use callreel_proto::{CaptureId, RecordingState};
use serde::{Deserialize, Serialize};

use super::{Ticket, VERSION};
use crate::{Error, WriterId};

/// The largest ticket that is read or written, bytes; real ones have two or three thousand.
pub(crate) const MAX_TICKET: u64 = 1 << 20;

/// What a growing ticket's file says beside the ticket.
#[derive(Default, Deserialize)]
pub(crate) struct Whose {
    pub(crate) writer: Option<WriterId>,
}

/// What every version of a ticket says in the same words.
#[derive(Deserialize)]
pub(crate) struct Named {
    #[serde(rename = "ticket")]
    version: u32,
    #[serde(default)]
    pub(crate) capture_id: Option<CaptureId>,
}

/// Whether a ticket that cannot be read is one of a newer version.
pub(crate) fn newer(bytes: &[u8], path: &Path) -> Option<Error> {
    let named: Named = serde_json::from_slice(bytes).ok()?;
    (named.version > VERSION).then(|| Error::Newer {
        path: path.to_owned(),
        what: "ticket",
        found: named.version,
        reads: VERSION,
    })
}

/// As much of a ticket as tells whether to read the rest.
#[derive(Deserialize)]
pub(crate) struct Brief {
    pub(crate) state: RecordingState,
}

#[derive(Serialize)]
struct TicketFile<'a> {
    #[serde(flatten)]
    ticket: &'a Ticket,
    #[serde(skip_serializing_if = "Option::is_none")]
    writer: Option<&'a WriterId>,
}

/// The ticket's bytes for the disk; `writer` says who will end the recording.
pub(crate) fn ticket_bytes(
    ticket: &Ticket,
    writer: Option<&WriterId>,
    path: &Path,
) -> Result<Vec<u8>, Error> {
    let file = TicketFile { ticket, writer };
    let mut bytes = serde_json::to_vec_pretty(&file).expect("a ticket has string keys");
    bytes.push(b'\n');
    if bytes.len() as u64 > MAX_TICKET {
        return Err(Error::MalformedTicket {
            path: path.to_owned(),
            reason: format!(
                "it would have {} bytes, the limit is {MAX_TICKET}",
                bytes.len()
            ),
        });
    }
    Ok(bytes)
}
