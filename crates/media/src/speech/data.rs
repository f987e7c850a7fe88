//! Where the engine's data lies: it reads files, so they are unpacked once and shared by all our processes of one user.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::LANGUAGES;
use crate::Error;

static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);

fn cannot_unpack(e: io::Error) -> Error {
    Error::Speech(format!(
        "its data cannot be unpacked below {}: {e}; set TMPDIR to a writable folder",
        std::env::temp_dir().display()
    ))
}

/// The folder, unpacked by this call if need be.
pub(super) fn folder() -> Result<PathBuf, Error> {
    find(false)
}

/// The folder, unpacked anew.
pub(super) fn fresh_folder() -> Result<PathBuf, Error> {
    find(true)
}

fn find(anew: bool) -> Result<PathBuf, Error> {
    // A panic while unpacking leaves no half-known folder behind: the slot is set last.
    let mut known = FOLDER.lock().unwrap_or_else(|e| e.into_inner());
    match known.as_ref().filter(|_| !anew) {
        Some(folder) => Ok(folder.clone()),
        None => {
            let folder = unpack(anew).map_err(cannot_unpack)?;
            Ok(known.insert(folder).clone())
        }
    }
}

/// Unpacks into a private folder and moves it into place in one step, so that other processes see all of it or nothing.
fn unpack(anew: bool) -> io::Result<PathBuf> {
    let staging = tempfile::Builder::new()
        .prefix("callreel-speech-")
        .tempdir()?;
    let owner = fs::metadata(staging.path())?.uid();
    let name = format!("callreel-speech-{}-{owner}", env!("CARGO_PKG_VERSION"));
    let shared = std::env::temp_dir().join(name);
    if !anew && is_ours_and_whole(&shared, owner) {
        return Ok(shared);
    }
    espeak_ng::install_bundled_languages(staging.path(), LANGUAGES)?;
    fs::write(staging.path().join(COMPLETE), b"")?;
    if is_ours(&shared, owner) {
        // Swept by half, or by an older build: another process may do the same right now, which ends in the same folder.
        drop(fs::remove_dir_all(&shared));
    }
    match fs::rename(staging.path(), &shared) {
        Ok(()) => Ok(shared),
        Err(_) if is_ours_and_whole(&shared, owner) => Ok(shared),
        // Somebody else's folder is in the way: keep our own for the life of this process.
        Err(_) => Ok(staging.keep()),
    }
}

/// Present in a folder that was unpacked to the end.
const COMPLETE: &str = "complete";
/// Without these, and the dictionaries, there is no speech.
const NEEDED: [&str; 7] = [
    COMPLETE,
    "phontab",
    "phonindex",
    "phondata",
    "lang/gmw/en-US",
    "voices/!v/f2",
    "voices/!v/m3",
];

fn is_ours(folder: &Path, owner: u32) -> bool {
    // Not following links: another user could plant one in a shared temporary folder.
    fs::symlink_metadata(folder).is_ok_and(|m| m.is_dir() && m.uid() == owner)
}

fn is_ours_and_whole(folder: &Path, owner: u32) -> bool {
    let has = |file: &str| folder.join(file).is_file();
    // A folder of an older build has fewer languages.
    let knows = |language: &&str| has(&format!("{language}_dict"));
    is_ours(folder, owner) && NEEDED.into_iter().all(has) && LANGUAGES.iter().all(knows)
}
