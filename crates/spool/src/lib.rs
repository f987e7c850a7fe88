//! Tickets, capture journals and renditions on local disk, from the first byte to the acknowledged delivery. It decides
//! nothing about audio and opens no socket.
//!
//! Any number of [`Writer`]s record, one [`Outbox`] delivers, and any [`View`] looks, in as many processes; what they know of
//! each other lies in the folder (docs/recording-lifecycle.md).
//!
//! All calls block on the disk: async callers wrap them in `spawn_blocking`.

mod at_rest;
mod captures;
mod check;
mod config;
mod desk;
mod error;
mod evidence;
mod files;
mod journal;
mod key_use;
mod keys;
mod locks;
mod manifest;
mod outbox;
mod owed;
mod progress;
mod promise;
mod quarantine;
mod reader;
mod receivers;
mod record;
mod recovery;
mod repair;
mod segments;
mod source;
mod space;
mod sync;
mod ticket;
mod view;
mod writer;
mod writers;

pub use at_rest::{AtRest, Scratch, Sealing};
pub use check::Finding;
pub use config::{CONFIG_KEYS, SpoolConfig};
pub use error::{Error, ImpossibleTransition};
pub use evidence::{Announcement, Mask};
pub use journal::Journal;
pub use key_use::KeyUse;
pub use keys::{Keys, NotARecipient, Recipient, new_key};
pub use manifest::{Entry, Line, Manifest, Receipt, Verified, What};
pub use outbox::Outbox;
pub use owed::MOST_OWED;
pub use progress::{DeliveryLog, PlacedInfo, RenditionInfo};
pub use promise::{MAX_FILE_NAME, Promise, TicketKind, check_file_name};
pub use reader::{JournalReader, Tail};
pub use receivers::ReceiverInfo;
pub use record::{CaptureHeader, MAX_RECORD, Mark, PacketRecord, Record};
pub use source::{Source, SwitchFile};
pub use space::{Picture, Space};
pub use ticket::Ticket;
pub use view::View;
pub use writer::{Writer, WriterDescription};
pub use writers::{WriterId, WriterInfo};

/// What a journal holds back while the disk refuses writes, bytes: over three minutes of two G.711 legs, so that a
/// passing shortage loses nothing; 500 calls then hold 2 GB, which is where losing audio is better than losing the node.
pub const MAX_BUFFERED: usize = 4 << 20;
