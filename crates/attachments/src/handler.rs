//! One attachment handler of the storage documents: its kind, its settings and the names it gives. Makes no request.

mod azure;
pub(crate) mod folder;
mod google_storage;
mod http;
mod s3;
mod settings;

use std::fmt;

use callreel_proto::AccountId;
use serde_json::Value;

use crate::{
    naming::{Naming, Style},
    placed::Placed,
    plan::Malformed,
};

pub use self::http::HttpUpload;
pub(crate) use self::{
    azure::Azure, folder::Folder, google_storage::GoogleStorage, http::Http, s3::S3,
    settings::Settings,
};

/// What is known of the recording that goes somewhere.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Whose it is.
    pub account_id: &'a AccountId,
    /// The month database of its document, such as `account/ab/cd/…-202611`.
    pub db: &'a str,
    /// Its document, which need not be saved yet: `_id`, and the fields that a `field_list` names.
    pub doc: &'a Value,
    /// The file's name.
    pub name: &'a str,
    /// The file's MIME type.
    pub content_type: &'a str,
    /// The file's length.
    pub bytes: u64,
    /// The file's SHA-256, hex digits.
    pub sha256: &'a str,
}

/// A place of a storage plan. Shows no credentials.
#[derive(Clone)]
pub struct Handler {
    id: String,
    kind: Kind,
    naming: Naming,
}

/// What the handler speaks, with its settings.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Amazon S3 and everything that speaks its language.
    S3(S3),
    /// Azure Blob Storage.
    Azure(Azure),
    /// Google Cloud Storage.
    GoogleStorage(GoogleStorage),
    /// A folder of this machine.
    Folder(Folder),
    /// One HTTP request, which delivery makes.
    Http(Http),
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("id", &self.id)
            .field("place", &self.place())
            .finish()
    }
}

impl Handler {
    /// Reads `attachments.<id>` of a storage document. `folder_path` is the plan's.
    pub(crate) fn read(
        id: &str,
        settings: Settings<'_>,
        folder_path: Option<&str>,
    ) -> Result<Self, Malformed> {
        let kind = settings.kind()?;
        let (kind, style) = match kind {
            "s3" => (Kind::S3(S3::read(&settings)?), Style::Object),
            "azure" => (Kind::Azure(Azure::read(&settings)?), Style::Object),
            "google_storage" => {
                let google = GoogleStorage::read(&settings)?;
                (Kind::GoogleStorage(google), Style::Object)
            }
            "folder" => (Kind::Folder(Folder::read(&settings)?), Style::Object),
            "http" => (Kind::Http(Http::read(&settings)?), Style::Http),
            other => return Err(settings.not_supported(other)),
        };
        Ok(Self {
            id: id.to_owned(),
            kind,
            naming: Naming::read(&settings, style, folder_path)?,
        })
    }

    /// Its id in the storage document.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is of the kind that a document says.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.name() == kind
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Where it is, for people: without credentials.
    pub fn place(&self) -> String {
        format!("{} {}", self.kind.name(), self.kind.container())
    }

    /// The way to it, for whoever counts what is under way and what fails: handlers of one host share it.
    pub fn host(&self) -> String {
        match &self.kind {
            Kind::S3(s3) => s3.host(),
            Kind::Azure(azure) => azure.host(),
            Kind::GoogleStorage(google) => google.host(),
            Kind::Folder(folder) => format!("folder {}", folder.path()),
            Kind::Http(http) => http.host(),
        }
    }

    /// The request that brings the file there, if that is how it goes: then delivery makes it, and [`Handler::placed`] is what
    /// came of it. Else [`crate::Attachments::put`] does it all.
    pub fn http(&self, facts: &Facts<'_>) -> Option<HttpUpload> {
        match &self.kind {
            Kind::Http(http) => Some(http.upload(&self.naming.key(facts))),
            _ => None,
        }
    }

    /// Where the file is once it is there. The same on every try.
    pub fn placed(&self, facts: &Facts<'_>) -> Placed {
        Placed {
            handler: self.id.clone(),
            kind: self.kind.name().to_owned(),
            container: self.kind.container(),
            key: self.naming.key(facts),
            content_type: facts.content_type.to_owned(),
            length: facts.bytes,
            sha256: facts.sha256.to_owned(),
        }
    }
}

impl Kind {
    /// Kazoo's word for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::S3(_) => "s3",
            Self::Azure(_) => "azure",
            Self::GoogleStorage(_) => "google_storage",
            Self::Folder(_) => "folder",
            Self::Http(_) => "http",
        }
    }

    /// What its objects are in: a bucket, a container, a folder, a URL without credentials.
    fn container(&self) -> String {
        match self {
            Self::S3(s3) => s3.bucket().to_owned(),
            Self::Azure(azure) => azure.container().to_owned(),
            Self::GoogleStorage(google) => google.bucket().to_owned(),
            Self::Folder(folder) => folder.path().to_owned(),
            Self::Http(http) => http.told(),
        }
    }
}
