//! Where a recording's audio is when it is not in its document's database, as the document keeps it: without credentials.

use callreel_store::Attachment;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What `pvt_attachments.<file name>` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Id of the handler in the storage documents, where its credentials are.
    pub handler: String,
    /// The handler's kind: `s3`, `azure`, `google_storage`, `folder` or `http`.
    pub kind: String,
    /// The bucket, container, folder or URL that it is in.
    pub container: String,
    /// The object's name there.
    pub key: String,
    /// MIME type.
    pub content_type: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256, hex digits.
    pub sha256: String,
}

impl Placed {
    /// As the document keeps it, in Kazoo's shape; the handler's part is under our own name, because Kazoo's hold credentials.
    pub fn to_value(&self) -> Value {
        json!({
            "content_type": self.content_type,
            "length": self.length,
            "stub": false,
            "handler": {"callreel": {
                "id": self.handler,
                "kind": self.kind,
                "container": self.container,
                "key": self.key,
                "sha256": self.sha256,
            }},
        })
    }

    /// What [`Placed::to_value`] wrote; `None` of what others wrote.
    pub fn read(value: &Value) -> Option<Self> {
        let ours = value.pointer("/handler/callreel")?;
        let text = |key: &str| Some(ours.get(key)?.as_str()?.to_owned());
        Some(Self {
            handler: text("id")?,
            kind: text("kind")?,
            container: text("container")?,
            key: text("key")?,
            content_type: value.get("content_type")?.as_str()?.to_owned(),
            length: value.get("length")?.as_u64()?,
            sha256: text("sha256")?,
        })
    }

    /// Where it is, for people.
    pub fn told(&self) -> String {
        match self.kind.as_str() {
            "http" | "folder" => format!("{}/{}", self.container.trim_end_matches('/'), self.key),
            kind => format!("{kind} {}/{}", self.container, self.key),
        }
    }

    /// The digest that [`crate::Attachments::fetch`] gives its audio.
    pub(crate) fn digest(&self) -> String {
        format!("sha256-{}", self.sha256)
    }

    pub(crate) fn attachment(
        &self,
        body: futures::stream::BoxStream<'static, std::io::Result<bytes::Bytes>>,
    ) -> Attachment {
        Attachment {
            content_type: self.content_type.clone(),
            length: self.length,
            digest: self.digest(),
            body,
        }
    }
}

/// What a document says of its audio, wherever that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// The file's name, as [`crate::Attachments::fetch`] wants it.
    pub name: String,
    /// MIME type.
    pub content_type: String,
    /// Bytes.
    pub length: u64,
    /// Another one for other bytes; that of the fetched attachment.
    pub digest: String,
}

/// What a recording's document says of its audio: of that beside it first, else of that at a handler. `None`: it has none here.
pub fn audio(doc: &Value) -> Option<Audio> {
    beside(doc).or_else(|| elsewhere(doc))
}

fn beside(doc: &Value) -> Option<Audio> {
    let (name, stub) = doc.get("_attachments")?.as_object()?.iter().next()?;
    Some(Audio {
        name: name.clone(),
        content_type: stub.get("content_type")?.as_str()?.to_owned(),
        length: stub.get("length")?.as_u64()?,
        digest: stub.get("digest")?.as_str()?.to_owned(),
    })
}

fn elsewhere(doc: &Value) -> Option<Audio> {
    let all = doc.get("pvt_attachments")?.as_object()?;
    let mut ours = all
        .iter()
        .filter_map(|(name, value)| Some((name, Placed::read(value)?)));
    let (name, placed) = ours.next()?;
    Some(Audio {
        name: name.clone(),
        digest: placed.digest(),
        content_type: placed.content_type,
        length: placed.length,
    })
}

/// Where the document says the audio of this name is, when that is a handler of the storage documents.
pub(crate) fn placed(doc: &Value, name: &str) -> Option<Placed> {
    Placed::read(doc.get("pvt_attachments")?.get(name)?)
}
