//! A file while it is not whole: made beside its place, put there once it is safe on disk, removed otherwise. Blocks.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Recordings are conversations: only the spool's owner reads them.
const PRIVATE: u32 = 0o600;

/// The disk refused something.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub(crate) struct DiskError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl DiskError {
    /// For `map_err`: names what was tried, and on which file.
    pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self {
            action,
            path,
            source,
        }
    }
}

/// The file while it is not whole. One writer at a time makes the file of a place.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    place: PathBuf,
}

impl Part {
    /// A part of the file that is to lie at `place`.
    pub(crate) fn of(place: PathBuf) -> Self {
        let mut name = place.clone().into_os_string();
        name.push(".part");
        Self {
            path: name.into(),
            place,
        }
    }

    /// Where it is made.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins it, over whatever an earlier try left.
    pub(crate) fn create(&self) -> Result<File, DiskError> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE)
            .open(&self.path)
            .map_err(DiskError::at("create", &self.path))
    }

    /// A file that nobody finds, for reading and writing: it goes when it is closed, however its process ends.
    pub(crate) fn scratch(&self) -> Result<File, DiskError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE)
            .open(&self.path)
            .map_err(DiskError::at("create", &self.path))?;
        fs::remove_file(&self.path).map_err(DiskError::at("hide", &self.path))?;
        Ok(file)
    }

    /// It is whole: when this returns, it lies at its place and is safe on disk.
    pub(crate) fn keep(self, file: &File) -> Result<(), DiskError> {
        file.sync_all().map_err(DiskError::at("sync", &self.path))?;
        fs::rename(&self.path, &self.place).map_err(DiskError::at("replace", &self.place))?;
        let dir = self
            .place
            .parent()
            .expect("what is rendered or received lies in its recording's folder");
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(DiskError::at("sync", dir))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Gone when it was kept; otherwise what is left is overwritten by the next try.
        fs::remove_file(&self.path).ok();
    }
}
