//! What is saved many at once: documents, some with a file. Saves nothing.

use std::path::PathBuf;

use serde_json::Value;

/// One document of a batch, and the file to attach to it.
#[derive(Debug, Clone)]
pub struct Saving {
    /// The database.
    pub db: String,
    /// The document; its revision does not matter.
    pub doc: Value,
    /// A file to attach.
    pub attachment: Option<AttachmentFile>,
}

/// A file that becomes a document's only attachment.
#[derive(Debug, Clone)]
pub struct AttachmentFile {
    /// The attachment's name.
    pub name: String,
    /// Its MIME type.
    pub content_type: String,
    /// Where its bytes are.
    pub path: PathBuf,
}
