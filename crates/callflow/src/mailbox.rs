//! The words between a [`crate::Cursor`] and the call actor about voicemail boxes: what is asked of them, and what comes back.

use std::fmt::{self, Display, Formatter};

use callreel_proto::{Folder, Secret, Vmbox};
use serde::Serialize;

/// What the cursor wants to know of voicemail boxes, or wants done with their messages. What fails is answered by
/// [`crate::Answer::Missing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailboxQuery {
    /// The box of this number → [`crate::Answer::Vmbox`].
    Numbered {
        /// As the caller dials it.
        number: String,
    },
    /// The boxes of a user → [`MailboxAnswer::Boxes`].
    OwnedBy {
        /// The user's document id.
        owner_id: String,
    },
    /// How many messages there are → [`MailboxAnswer::Counts`].
    Counts {
        /// The box's document id.
        box_id: String,
    },
    /// The messages of a folder, newest first → [`MailboxAnswer::Messages`].
    Messages {
        /// The box's document id.
        box_id: String,
        /// Which folder.
        folder: Folder,
        /// On whose clock they were received: an IANA name; the account's own when absent, else UTC.
        timezone: Option<String>,
    },
    /// Moves a message → [`MailboxAnswer::Done`].
    Move {
        /// The box's document id.
        box_id: String,
        /// The message's.
        message_id: String,
        /// Where to.
        folder: Folder,
    },
    /// Copies a message, as a new one, into another box → [`MailboxAnswer::Done`].
    Forward {
        /// The message's document id.
        message_id: String,
        /// The box it is in.
        from: String,
        /// The other box.
        to: String,
    },
    /// Sets the code of a box → [`MailboxAnswer::Done`].
    SetPin {
        /// The box's document id.
        box_id: String,
        /// The new code.
        pin: Secret,
    },
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxAnswer {
    /// Boxes, by document id.
    Boxes(Vec<Vmbox>),
    /// How many messages there are.
    Counts {
        /// Not listened to yet.
        new: u64,
        /// Kept.
        saved: u64,
    },
    /// Messages.
    Messages(Vec<Message>),
    /// It has been done.
    Done,
}

/// A message of a voicemail box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Document id.
    pub id: String,
    /// Where it is.
    pub folder: Folder,
    /// When it came in: Unix seconds, counted on the clock of the box's place, as Kazoo has them said.
    pub received: i64,
}

impl Display for MailboxQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered { number } => write!(f, "the voicemail box of number {number}"),
            Self::OwnedBy { owner_id } => write!(f, "voicemail boxes of user {owner_id}"),
            Self::Counts { box_id } => write!(f, "messages in box {box_id}"),
            Self::Messages { box_id, folder, .. } => {
                write!(f, "{} messages of box {box_id}", folder.name())
            }
            Self::Move {
                message_id, folder, ..
            } => write!(f, "move message {message_id} to {}", folder.name()),
            Self::Forward { message_id, to, .. } => {
                write!(f, "copy message {message_id} to box {to}")
            }
            Self::SetPin { box_id, .. } => write!(f, "change the pin of box {box_id}"),
        }
    }
}

impl Display for MailboxAnswer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boxes(boxes) => {
                let ids: Vec<_> = boxes.iter().map(|b| b.id.as_str()).collect();
                write!(f, "boxes [{}]", ids.join(", "))
            }
            Self::Counts { new, saved } => write!(f, "{new} new and {saved} saved messages"),
            Self::Messages(messages) => {
                let ids: Vec<_> = messages.iter().map(|m| m.id.as_str()).collect();
                write!(f, "messages [{}]", ids.join(", "))
            }
            Self::Done => f.write_str("done"),
        }
    }
}
