//! Which recordings still need a capture: each has a claim in its folder, an empty file `for-<recording id>`. A capture
//! goes when its journal is closed and nobody claims it; only on disk is it known who does.
//!
//! Claims are made only while the journal is open, which its lock shows. So the claims of a closed capture can only become
//! fewer, and whoever releases one, or closes the journal, looks afterwards whether he was the last.

use std::{collections::HashSet, fs, io::ErrorKind};

use callreel_proto::{CaptureId, RecordingId};

use crate::{
    Error, View,
    error::At,
    files, locks, quarantine,
    view::{CLAIM, each_name, list},
};

/// The recording needs the capture from now on. To be called before its ticket is there.
pub(crate) fn claim(view: &View, id: &CaptureId, by: &RecordingId) -> Result<(), Error> {
    match files::create_file(&view.claim_path(id, by)) {
        Ok(_) => Ok(()),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(Error::Io { source, .. }) if files::is_missing(&source) => {
            Err(Error::NoCapture(id.clone()))
        }
        Err(error) => Err(error),
    }
}

/// The recording needs the capture no more.
pub(crate) fn release(view: &View, id: &CaptureId, by: &RecordingId) -> Result<(), Error> {
    files::remove(&view.claim_path(id, by), |path| fs::remove_file(path))?;
    remove_if_unclaimed(view, id)?;
    Ok(())
}

/// Whether the capture's journal is being written.
pub(crate) fn is_open(view: &View, id: &CaptureId) -> Result<bool, Error> {
    locks::is_held(&view.journal_path(id))
}

/// Who claims it.
pub(crate) fn claims(view: &View, id: &CaptureId) -> Result<HashSet<RecordingId>, Error> {
    let found = list(&view.capture_dir(id))?;
    let by = |name: &str| RecordingId::parse(name.strip_prefix(CLAIM)?).ok();
    Ok(found
        .iter()
        .filter_map(|(name, _)| by(name.to_str()?))
        .collect())
}

/// Removes a capture whose journal is closed and which nobody claims; says whether it is gone. A recording in quarantine may
/// need it too, and of an old one only the journal can tell.
pub(crate) fn remove_if_unclaimed(view: &View, id: &CaptureId) -> Result<bool, Error> {
    // In this order: a closed capture gets no new claims.
    if is_open(view, id)? || !claims(view, id)?.is_empty() || quarantine::needs(view, id)? {
        return Ok(false);
    }
    files::remove(&view.capture_dir(id), |dir| fs::remove_dir_all(dir))?;
    Ok(true)
}

/// Makes the claim of this recording if it is missing: an older version made none, and a power loss may have undone some. To be
/// called by whoever releases claims, so that nobody does meanwhile.
pub(crate) fn mend_claim(view: &View, id: &CaptureId, by: &RecordingId) -> Result<(), Error> {
    match claim(view, id, by) {
        // There is nothing to claim, and delivery will say so.
        Err(Error::NoCapture(_)) => Ok(()),
        claimed => claimed,
    }
}

/// Removes the claims of recordings that have no ticket. To be called by whoever releases claims.
pub(crate) fn drop_stale_claims(view: &View) -> Result<(), Error> {
    let aside = quarantine::ids(view)?;
    each_capture(view, |id| {
        for by in claims(view, id)? {
            // In this order: the ticket of a claim that is there comes before its capture is closed.
            let stale = !aside.contains(by.as_str())
                && !has_ticket(view, &by)?
                && !is_open(view, id)?
                && !has_ticket(view, &by)?;
            if stale {
                files::remove(&view.claim_path(id, &by), |path| fs::remove_file(path))?;
            }
        }
        Ok(())
    })
}

/// Shows every capture, whether or not its journal can be read.
pub(crate) fn each_capture(
    view: &View,
    mut visit: impl FnMut(&CaptureId) -> Result<(), Error>,
) -> Result<(), Error> {
    each_name(&view.captures_dir(), |name| {
        let id = name.to_str().and_then(|name| CaptureId::parse(name).ok());
        id.map_or(Ok(()), |id| visit(&id))
    })
}

/// Whether it has one now: the tickets may have been read before it was written.
pub(crate) fn has_ticket(view: &View, id: &RecordingId) -> Result<bool, Error> {
    let path = view.ticket_path(id);
    path.try_exists().at("look for", &path)
}

#[cfg(test)]
mod tests {
    use callreel_proto::{AccountId, CallId, Utc};

    use super::*;
    use crate::{CaptureHeader, SpoolConfig, Writer};

    #[test]
    fn a_claim_is_stale_only_if_its_capture_is_closed_and_no_ticket_has_come_since() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::open(dir.path(), &SpoolConfig::default()).unwrap();
        let view = writer.view();
        let id = CaptureId::random();
        let header = CaptureHeader {
            capture_id: id.clone(),
            call_id: CallId::new("a@b"),
            account_id: AccountId::random(),
            started_at: Utc::from_unix_ms(0),
        };
        let journal = writer.create_capture(header).unwrap();
        let ids = [0, 1].map(|_| RecordingId::random(Utc::from_unix_ms(0)));
        for by in &ids {
            claim(view, &id, by).unwrap();
        }
        let left = || claims(view, &id).unwrap();
        drop_stale_claims(view).unwrap();
        assert_eq!(left().len(), 2, "their tickets are being written");
        drop(journal);
        fs::create_dir(view.recording_dir(&ids[0])).unwrap();
        fs::write(view.ticket_path(&ids[0]), "{}").unwrap();
        drop_stale_claims(view).unwrap();
        assert_eq!(left(), HashSet::from([ids[0].clone()]));
    }
}
