//! Which keys are still needed: looks at everything sealed in a spool and counts by key. Opens no more than heads.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    Error, JournalReader, Recipient, View, at_rest::SEALED, captures, keys::Unopened, view::list,
};

/// One of the keys, and how much of a spool it alone opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyUse {
    /// Which one.
    pub key: Recipient,
    /// Journals and audio files sealed to it.
    pub files: usize,
}

impl View {
    /// The keys of the key file in their order, and how many files each alone opens. One that opens none is needed no more,
    /// unless it is the first, or something is written meanwhile by a process that has other keys.
    ///
    /// # Errors
    /// The disk refused. What none of the keys opens is for [`View::check`] to tell.
    pub fn key_use(&self) -> Result<Vec<KeyUse>, Error> {
        let unused = |key: &Recipient| KeyUse {
            key: key.clone(),
            files: 0,
        };
        let mut uses: Vec<KeyUse> = self.keys().recipients().map(unused).collect();
        if uses.is_empty() {
            return Ok(uses);
        }
        for path in self.sealed_files()? {
            if let Some(key) = self.key_of(&path)? {
                let known = uses.iter_mut().find(|one| one.key == *key);
                known.expect("it is one of the keys").files += 1;
            }
        }
        Ok(uses)
    }

    /// What may be sealed: journals, and all files with the ending of sealed ones, whoever they are sealed to.
    fn sealed_files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut found = Vec::new();
        captures::each_capture(self, |id| {
            found.push(self.journal_path(id));
            Ok(())
        })?;
        for folder in [self.recordings_dir(), self.quarantine_dir()] {
            for (_, folder) in list(&folder)? {
                if !folder.is_dir() {
                    continue;
                }
                let files = list(&folder)?.into_iter();
                let sealed = files.filter(|(name, _)| name.to_string_lossy().ends_with(SEALED));
                found.extend(sealed.map(|(_, path)| path));
            }
        }
        Ok(found)
    }

    /// Which of the keys opens this file; none if none does, or if it is gone or is damaged.
    fn key_of(&self, path: &Path) -> Result<Option<&Recipient>, Error> {
        let opened = if path.ends_with("journal") {
            match JournalReader::wrapped_key(path) {
                Ok(Some(wrapped)) => self.keys().which(|| Ok(&wrapped[..])),
                Ok(None) => return Ok(None),
                Err(error) => return gone_or(error),
            }
        } else {
            self.keys().which(|| File::open(path).map(BufReader::new))
        };
        match opened {
            Ok(key) => Ok(key),
            Err(Unopened::NoKey(_) | Unopened::Damaged(_)) => Ok(None),
            Err(Unopened::Io(source)) => gone_or(Error::Io {
                action: "read",
                path: path.to_owned(),
                source,
            }),
        }
    }
}

/// A file may be delivered and removed while others are looked at.
fn gone_or<T>(error: Error) -> Result<Option<T>, Error> {
    match error {
        Error::NotAJournal { .. } | Error::Newer { .. } => Ok(None),
        Error::Io { ref source, .. } if crate::files::is_missing(source) => Ok(None),
        error => Err(error),
    }
}
