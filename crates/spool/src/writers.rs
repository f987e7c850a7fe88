//! Who records into a spool: every writer has a folder in `writers/`, locked for as long as its process lives. What it
//! has not finished making lies in there, so that nothing half made is ever seen elsewhere.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use callreel_proto::random_hex;
use serde::{Deserialize, Serialize};

use crate::{Error, View, error::At, files, locks, locks::Lock, view::list};

/// Digits of a [`WriterId`].
const DIGITS: usize = 32;

/// One writer of a spool, for the life of its process: 32 lower-case hex digits, the name of its folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct WriterId(String);

impl WriterId {
    fn random() -> Self {
        Self(random_hex(DIGITS))
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for WriterId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == DIGITS && text.bytes().all(hex) {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} is not a writer: {DIGITS} lower-case hex digits are"
        ))
    }
}

/// A writer as anybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterInfo {
    /// Which one.
    pub id: WriterId,
    /// Whether its process lives.
    pub lives: bool,
    /// Its process, as far as its lock file tells.
    pub process: Option<u32>,
}

/// A place in `writers/`; dropping it gives the place up.
pub(crate) struct Place {
    id: WriterId,
    dir: PathBuf,
    _lock: Lock,
}

impl Place {
    /// Takes a new place. Not while a recovery sweeps up dead writers: it could take the new one for dead.
    pub(crate) fn take(view: &View) -> Result<Self, Error> {
        let _no_recovery = Lock::wait(&view.recovery_lock())?;
        let id = WriterId::random();
        let dir = view.writer_dir(&id);
        files::create_dir(&dir)?;
        Ok(Self {
            _lock: Lock::wait(&view.writer_lock(&id))?,
            id,
            dir,
        })
    }

    pub(crate) fn id(&self) -> &WriterId {
        &self.id
    }

    /// Makes a folder out of everybody's sight, fills it, and puts it where it belongs, all at once. What is at `target`
    /// already stays, unless it is an empty folder.
    pub(crate) fn make<T>(
        &self,
        target: &Path,
        fill: impl FnOnce(&Path) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let name = target.file_name().expect("it ends with an id");
        let hidden = self.dir.join(name);
        files::create_dir(&hidden)?;
        let made = fill(&hidden).and_then(|filled| {
            fs::rename(&hidden, target)
                .at("create", target)
                .map(|()| filled)
        });
        if made.is_err() {
            // The first error is the one to report; what is left goes with the writer's folder.
            fs::remove_dir_all(&hidden).ok();
        }
        made
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next recovery. The lock is let go of afterwards.
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// Removes what dead writers left of themselves. Only under the recovery lock.
pub(crate) fn remove_dead(view: &View) -> Result<(), Error> {
    for writer in view.writers()?.into_iter().filter(|writer| !writer.lives) {
        files::remove(&view.writer_dir(&writer.id), |dir| fs::remove_dir_all(dir))?;
    }
    Ok(())
}

impl View {
    /// The writers that are at work, and those whose process died and which no recovery has swept up yet.
    ///
    /// # Errors
    /// The disk refused.
    pub fn writers(&self) -> Result<Vec<WriterInfo>, Error> {
        let mut writers = Vec::new();
        for (name, _) in list(&self.writers_dir())? {
            let id = name.into_string().ok().map(WriterId::try_from);
            let Some(Ok(id)) = id else {
                continue;
            };
            writers.push(WriterInfo {
                lives: self.lives(&id)?,
                process: locks::process(&self.writer_lock(&id)),
                id,
            });
        }
        Ok(writers)
    }

    /// Whether the writer's process lives. Once it does not, it never will again.
    pub(crate) fn lives(&self, id: &WriterId) -> Result<bool, Error> {
        locks::is_held(&self.writer_lock(id))
    }
}
