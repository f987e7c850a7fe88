//! The node's keys: which one seals what rests in the spool, and which ones open it. Reads its key file once; never writes
//! one, and shows nobody a secret.

use std::{
    fmt, fs,
    io::{self, BufRead, ErrorKind},
    iter,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use age::{
    DecryptError, Decryptor, Identity,
    secrecy::{ExposeSecret as _, SecretString},
    stream::StreamReader,
    x25519,
};
use callreel_proto::{Secret, Utc};
use serde::Serialize;

use crate::Error;

/// Who may do what with a key file beside its owner: its group may read it, as a mounted secret has it; nobody else.
const FORBIDDEN: u32 = 0o027;

/// A public key, `age1…`: what is sealed to it opens with its identity alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

/// A text that is no public key of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no age public key (age1 and 58 letters and digits, as `callreel keys public` prints them)"
)]
pub struct NotARecipient(String);

impl Recipient {
    pub(crate) fn as_age(&self) -> &x25519::Recipient {
        &self.0
    }
}

impl FromStr for Recipient {
    type Err = NotARecipient;

    fn from_str(text: &str) -> Result<Self, NotARecipient> {
        let parsed = text.parse().map(Self);
        parsed.map_err(|_| NotARecipient(text.chars().take(SHOWN).collect()))
    }
}

/// Characters of what is no key that are shown.
const SHOWN: usize = 80;

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Recipient {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A new identity in the form of a key file, and its public key.
pub fn new_key() -> (Secret, Recipient) {
    let identity = x25519::Identity::generate();
    let recipient = Recipient(identity.to_public());
    let file = format!(
        "# created: {}\n# public key: {recipient}\n{}\n",
        Utc::now().rfc3339(),
        identity.to_string().expose_secret(),
    );
    (Secret::new(file), recipient)
}

/// The keys of a spool, or none: then nothing is sealed, and nothing sealed can be opened. Clones share them.
#[derive(Clone, Default)]
pub struct Keys(Option<Arc<Ring>>);

struct Ring {
    file: PathBuf,
    /// The first seals; all of them open. Never empty.
    keys: Vec<Key>,
}

struct Key {
    identity: x25519::Identity,
    recipient: Recipient,
}

/// Why something sealed stays closed.
pub(crate) enum Unopened {
    /// None of our keys fits, for this reason.
    NoKey(String),
    /// It is not what was sealed.
    Damaged(&'static str),
    /// The disk refused.
    Io(io::Error),
}

impl Unopened {
    /// Names the file; `damaged` says what damage means there.
    pub(crate) fn at(self, path: &Path, damaged: impl FnOnce(&'static str) -> Error) -> Error {
        match self {
            Self::NoKey(why) => Error::Sealed {
                path: path.to_owned(),
                why,
            },
            Self::Damaged(reason) => damaged(reason),
            Self::Io(source) => Error::Io {
                action: "read",
                path: path.to_owned(),
                source,
            },
        }
    }
}

impl Keys {
    /// Reads a key file: identities as `age-keygen` writes them, one a line, the newest first.
    ///
    /// # Errors
    /// [`Error::KeyFile`]: it is not there, others may read it, or a line is no identity.
    pub fn load(file: &Path) -> Result<Self, Error> {
        let refused = |reason: String| Error::KeyFile {
            path: file.to_owned(),
            reason,
        };
        let mode = fs::metadata(file)
            .map_err(|error| refused(error.to_string()))?
            .permissions()
            .mode();
        if mode & FORBIDDEN != 0 {
            return Err(refused(format!(
                "its mode is {:o}, so that others may read or change it: chmod 600",
                mode & 0o777
            )));
        }
        let text = fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
        let text = SecretString::from(text);
        let mut keys = Vec::new();
        for (n, line) in text.expose_secret().lines().enumerate() {
            if let Some(key) = key(line).map_err(|()| refused(not_an_identity(n + 1)))? {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(refused(
                "it holds no identity: `callreel keys new` makes one".to_owned(),
            ));
        }
        Ok(Self(Some(Arc::new(Ring {
            file: file.to_owned(),
            keys,
        }))))
    }

    /// The public key to which everything new is sealed; none if nothing is.
    pub fn seals_to(&self) -> Option<&Recipient> {
        self.all().first().map(|key| &key.recipient)
    }

    /// The public keys whose identities are here, the one that seals first.
    pub fn recipients(&self) -> impl Iterator<Item = &Recipient> {
        self.all().iter().map(|key| &key.recipient)
    }

    /// Opens what was sealed to one of the keys.
    pub(crate) fn open<R: BufRead>(&self, sealed: R) -> Result<StreamReader<R>, Unopened> {
        let decryptor = Decryptor::new_buffered(sealed).map_err(|error| self.unopened(error))?;
        let identities = self.all().iter().map(|key| &key.identity as &dyn Identity);
        let opened = decryptor.decrypt(identities);
        opened.map_err(|error| self.unopened(error))
    }

    /// Which of the keys opens this; none if none does.
    pub(crate) fn which<R: BufRead>(
        &self,
        sealed: impl Fn() -> io::Result<R>,
    ) -> Result<Option<&Recipient>, Unopened> {
        for key in self.all() {
            let decryptor = Decryptor::new_buffered(sealed().map_err(Unopened::Io)?)
                .map_err(|error| self.unopened(error))?;
            match decryptor.decrypt(iter::once(&key.identity as &dyn Identity)) {
                Ok(_) => return Ok(Some(&key.recipient)),
                Err(DecryptError::NoMatchingKeys) => {}
                Err(error) => return Err(self.unopened(error)),
            }
        }
        Ok(None)
    }

    fn all(&self) -> &[Key] {
        self.0.as_deref().map_or(&[], |ring| &ring.keys)
    }

    fn unopened(&self, error: DecryptError) -> Unopened {
        match (error, &self.0) {
            (DecryptError::NoMatchingKeys, None) => {
                Unopened::NoKey("spool.key_file is not set".to_owned())
            }
            (DecryptError::NoMatchingKeys, Some(ring)) => Unopened::NoKey(format!(
                "its key is not among the {} of {}",
                ring.keys.len(),
                ring.file.display()
            )),
            (DecryptError::Io(error), _) if error.kind() != ErrorKind::UnexpectedEof => {
                Unopened::Io(error)
            }
            (DecryptError::Io(_), _) => Unopened::Damaged("the head of its seal is cut off"),
            _ => Unopened::Damaged("the head of its seal was changed"),
        }
    }
}

/// The identity of a line, if it is neither empty nor a remark.
fn key(line: &str) -> Result<Option<Key>, ()> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let identity: x25519::Identity = line.parse().map_err(drop)?;
    Ok(Some(Key {
        recipient: Recipient(identity.to_public()),
        identity,
    }))
}

/// Says nothing of the line itself: it may be a secret with a slip in it.
fn not_an_identity(line: usize) -> String {
    format!("line {line} is no age identity (AGE-SECRET-KEY-1…)")
}

/// Shows where the keys are from, and which they are to others.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.recipients()).finish()
    }
}
