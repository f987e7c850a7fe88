//! Tickets, capture journals and renditions on local disk, from the first byte to the acknowledged delivery. It decides
//! nothing about audio and opens no socket.
//!
//! All calls block on the disk: async callers wrap them in `spawn_blocking`.

mod error;
mod record;
mod ticket;

pub use error::{Error, ImpossibleTransition};
pub use record::{CaptureHeader, MAX_RECORD, Mark, PacketRecord, Record};
pub use ticket::{
    DeliveryLog, MAX_FILE_NAME, Promise, RenditionInfo, Ticket, TicketKind, check_file_name,
};

/// What a journal holds back while the disk refuses writes, bytes: over three minutes of two G.711 legs, so that a
/// passing shortage loses nothing; 500 calls then hold 2 GB, which is where losing audio is better than losing the node.
pub const MAX_BUFFERED: usize = 4 << 20;
