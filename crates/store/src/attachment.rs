//! What an attachment is: where it hangs, what it is made of, how its digest is written. No storage.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::stream::BoxStream;

/// Where an attachment hangs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) db: String,
    pub(crate) id: String,
    pub(crate) name: String,
}

impl Place {
    pub(crate) fn new(db: &str, id: &str, name: &str) -> Self {
        Self {
            db: db.to_owned(),
            id: id.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// An attachment being read.
pub struct Attachment {
    /// Its MIME type.
    pub content_type: String,
    /// Bytes of the whole attachment, also when only a range is read.
    pub length: u64,
    /// `md5-` and the base64 of the MD5 of the whole, as CouchDB writes it.
    pub digest: String,
    /// The bytes asked for, in blocks of at most half a mebibyte. Ends with an error if the attachment is replaced or
    /// removed meanwhile.
    pub body: BoxStream<'static, std::io::Result<Bytes>>,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("content_type", &self.content_type)
            .field("length", &self.length)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// The digest as CouchDB's stubs show it.
pub(crate) fn digest(md5: &[u8]) -> String {
    format!("md5-{}", STANDARD.encode(md5))
}
