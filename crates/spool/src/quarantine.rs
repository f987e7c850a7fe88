//! Tickets that cannot be read: set aside with the reason beside them, never deleted.

use std::{collections::HashSet, ffi::OsStr, fs, path::PathBuf};

use callreel_proto::{CaptureId, RecordingId};

use crate::{
    Error, JournalReader, Mark, Record, View, captures,
    error::At,
    files,
    view::{Content, Entry},
};

/// Moves the folders of unreadable tickets to `quarantine/` and removes folders in which nothing was promised yet. Those of
/// newer versions stay for a program that reads them. Mends the claims of all that stay.
pub(crate) fn set_unreadable_aside(view: &View) -> Result<(), Error> {
    view.for_each_entry(|entry| {
        match entry.content {
            Content::Unreadable(ref reason) => set_aside(view, &entry, reason)?,
            Content::Leftover => {
                files::remove(&entry.path, |path| fs::remove_dir_all(path))?;
            }
            Content::Foreign => {
                tracing::warn!(path = %entry.path.display(), "not a recording: left alone");
            }
            Content::Newer(reason, capture) => {
                tracing::warn!(reason, "a ticket is left alone");
                let id = entry
                    .name
                    .to_str()
                    .and_then(|id| RecordingId::parse(id).ok());
                if let (Some(capture), Some(id)) = (capture, id) {
                    captures::mend_claim(view, &capture, &id)?;
                }
            }
            Content::Ticket(ticket) => {
                if let Some(capture) = ticket.capture_id() {
                    captures::mend_claim(view, capture, ticket.recording_id())?;
                }
            }
        }
        Ok(())
    })
}

fn set_aside(view: &View, entry: &Entry, reason: &str) -> Result<(), Error> {
    let target = free_place(view, &entry.name);
    let mut note = target.as_os_str().to_owned();
    note.push(".reason.txt");
    files::replace(
        &PathBuf::from(note),
        format!("{reason}\nMend it, move the folder back to recordings/ and start again.\n")
            .as_bytes(),
    )?;
    fs::rename(&entry.path, &target).at("move to quarantine", &entry.path)?;
    tracing::error!(
        from = %entry.path.display(), to = %target.display(), reason,
        "a ticket cannot be read: the recording waits in quarantine for a person"
    );
    Ok(())
}

/// The same recording may have been set aside before.
fn free_place(view: &View, name: &OsStr) -> PathBuf {
    let plain = view.quarantine_dir().join(name);
    if !plain.exists() {
        return plain;
    }
    (2u32..)
        .map(|nth| {
            let mut numbered = name.to_owned();
            numbered.push(format!(".{nth}"));
            view.quarantine_dir().join(numbered)
        })
        .find(|path| !path.exists())
        .expect("there are fewer than four billion copies")
}

/// The recordings in quarantine.
pub(crate) fn ids(view: &View) -> Result<HashSet<String>, Error> {
    let names = view.quarantined()?.into_iter();
    Ok(names
        .map(|name| name.split('.').next().unwrap_or_default().to_owned())
        .collect())
}

/// Whether a recording in quarantine was cut from this capture, as far as the capture's journal tells.
pub(crate) fn needs(view: &View, id: &CaptureId) -> Result<bool, Error> {
    let set_aside = ids(view)?;
    if set_aside.is_empty() {
        return Ok(false);
    }
    match view.read_journal(id) {
        Ok(reader) => names_any(reader, &set_aside),
        // Nothing there to keep; or a head so damaged, a version so new, or a key so far away, that only a person can tell.
        Err(Error::NoCapture(_)) => Ok(false),
        Err(Error::NotAJournal { .. } | Error::Newer { .. } | Error::Sealed { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

fn names_any(mut reader: JournalReader, recordings: &HashSet<String>) -> Result<bool, Error> {
    while let Some(record) = reader.next_record()? {
        if let Record::Mark {
            mark: Mark::RecordingStarted(id),
            ..
        } = record
            && recordings.contains(id.as_str())
        {
            return Ok(true);
        }
    }
    Ok(false)
}
