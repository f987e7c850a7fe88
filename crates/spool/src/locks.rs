//! Locks on files: the kernel lets go of them when their process ends, however it ends. Knows nothing of a spool.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use crate::{Error, error::At, files};

/// Bytes read of a lock file: a process id has at most ten digits.
const PROCESS_ID: u64 = 20;

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Waits until nobody else holds it.
    pub(crate) fn wait(path: &Path) -> Result<Self, Error> {
        let file = files::open_or_create(path).at("open", path)?;
        file.lock().at("lock", path)?;
        Ok(Self(file).signed())
    }

    /// Takes it; `None` while somebody else holds it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>, Error> {
        let file = files::open_or_create(path).at("open", path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file).signed())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source).at("lock", path),
        }
    }

    /// Takes it beside others who share it; `None` while somebody holds it for himself.
    pub(crate) fn share(path: &Path) -> Result<Option<Self>, Error> {
        let file = files::open_or_create(path).at("open", path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source).at("lock", path),
        }
    }

    /// Writes into the file whose it is now. Only people read that, so a full disk is no reason to be without the lock.
    fn signed(mut self) -> Self {
        let file = &mut self.0;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .ok();
        self
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        release(&self.0);
    }
}

/// Lets go of a lock before its file is closed: a child process about to start may hold a copy of the handle.
pub(crate) fn release(file: &File) {
    // Closing the file is the second way, and an error here leaves nothing else to do.
    file.unlock().ok();
}

/// Whether somebody holds the file for himself; nobody does if it is missing.
pub(crate) fn is_held(path: &Path) -> Result<bool, Error> {
    let file = match File::open(path) {
        Err(error) if files::is_missing(&error) => return Ok(false),
        other => other.at("open", path)?,
    };
    // Shared, so that two who look at the same time do not take each other for the holder.
    match file.try_lock_shared() {
        Ok(()) => {
            release(&file);
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(source).at("look at the lock of", path),
    }
}

/// The process that wrote itself into the lock file last.
pub(crate) fn process(path: &Path) -> Option<u32> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(PROCESS_ID).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Who holds a lock, for people.
pub(crate) fn holder(path: &Path) -> String {
    process(path).map_or_else(
        || "another process".to_owned(),
        |id| format!("process {id}"),
    )
}
