//! Folders and files made the spool's way: private to the user, replaced as a whole, safe on disk when the call returns.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::{Error, error::At};

/// Suffix of a file that is about to take another's place.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Tickets carry credentials of destinations, journals carry conversations: only the owner reads them.
pub(crate) const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIR: u32 = 0o700;

/// Creates the folder and its parents where they are missing.
pub(crate) fn create_dirs(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_DIR)
        .create(path)
        .at("create the folder", path)
}

/// Creates one folder; says whether it was missing.
pub(crate) fn create_dir(path: &Path) -> Result<bool, Error> {
    match DirBuilder::new().mode(PRIVATE_DIR).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        other => other.map(|()| true).at("create the folder", path),
    }
}

/// Creates a file that must not exist yet.
pub(crate) fn create_file(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path)
        .at("create", path)
}

/// Opens a file for reading and writing, creating it if it is missing and keeping what it holds.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE)
        .open(path)
}

/// Gives the file these contents, or leaves it as it was. On disk when it returns.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    let temporary = Path::new(&name);
    let written = write_synced(temporary, contents)
        .and_then(|()| fs::rename(temporary, path).at("replace", path));
    if written.is_err() {
        // The first error is the one to report; what is left behind is overwritten by the next try.
        fs::remove_file(temporary).ok();
    }
    written?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Writes a whole file, which is on disk when this returns; its name in the folder may not be.
pub(crate) fn write_synced(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE_FILE)
        .open(path)
        .at("create", path)?;
    file.write_all(contents).at("write", path)?;
    file.sync_all().at("sync", path)
}

/// Makes the folder's entries safe on disk.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .at("sync the folder", path)
}

/// Reads a whole file of at most `limit` bytes; `None` if there is none.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Err(error) if is_missing(&error) => return Ok(None),
        other => other.at("open", path)?,
    };
    let mut contents = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut contents)
        .at("read", path)?;
    if contents.len() as u64 > limit {
        return Err(Error::MalformedTicket {
            path: path.to_owned(),
            reason: format!("it is longer than {limit} bytes"),
        });
    }
    Ok(Some(contents))
}

/// Removes a file or an empty folder; it may be gone already.
pub(crate) fn remove(
    path: &Path,
    remove: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), Error> {
    match remove(path) {
        Err(error) if is_missing(&error) => Ok(()),
        other => other.at("remove", path),
    }
}

pub(crate) fn is_missing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}
