//! Room on the spool's disk: what is refused while it runs short, and in which order. Never touches what is there already.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::statvfs::statvfs;
use serde::Serialize;

use crate::{Error, SpoolConfig};

/// The disk is not asked more often: a busy node begins many recordings a second, and none of them fills it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What was refused is taken again when this much more than the mark is free, percent of the mark: a disk around the mark
/// must not refuse every other call.
const RELIEF: u64 = 25;

/// The room on one spool's disk. Clones share what was seen last.
#[derive(Debug, Clone)]
pub struct Space {
    dir: PathBuf,
    marks: Marks,
    seen: Arc<Mutex<Option<(Instant, Picture)>>>,
}

/// What was seen of the disk, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Picture {
    /// The file system's size, bytes.
    pub total_bytes: u64,
    /// What a user may still fill of it, bytes.
    pub free_bytes: u64,
    /// Whether files of foreign switches are left where they are.
    pub refuses_fetches: bool,
    /// Whether new recordings are refused.
    pub refuses_recordings: bool,
}

/// A share of the disk that is to stay free, but never more than so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    percent: u64,
    most: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    fetches: Mark,
    recordings: Mark,
}

impl Mark {
    fn new(percent: u64, most_mb: u64) -> Self {
        Self {
            percent,
            most: most_mb.saturating_mul(1 << 20),
        }
    }

    fn bytes(self, total: u64) -> u64 {
        let share = u128::from(total) * u128::from(self.percent) / 100;
        u64::try_from(share).unwrap_or(u64::MAX).min(self.most)
    }

    fn is_short(self, was_short: bool, free: u64, total: u64) -> bool {
        let mark = self.bytes(total);
        let relief = if was_short { mark / 100 * RELIEF } else { 0 };
        free < mark.saturating_add(relief)
    }
}

impl Marks {
    /// What is to be refused from now on.
    fn judge(self, before: Picture, free_bytes: u64, total_bytes: u64) -> Picture {
        let short = |mark: Mark, was| mark.is_short(was, free_bytes, total_bytes);
        Picture {
            total_bytes,
            free_bytes,
            refuses_fetches: short(self.fetches, before.refuses_fetches),
            refuses_recordings: short(self.recordings, before.refuses_recordings),
        }
    }
}

impl Space {
    /// The room where this spool is, with the marks of these settings. Looks at nothing yet.
    pub fn of(dir: impl AsRef<Path>, config: &SpoolConfig) -> Self {
        let marks = Marks {
            fetches: Mark::new(config.refuse_fetches_percent, config.refuse_fetches_mb),
            recordings: Mark::new(
                config.refuse_recordings_percent,
                config.refuse_recordings_mb,
            ),
        };
        Self {
            dir: dir.as_ref().to_owned(),
            marks,
            seen: Arc::default(),
        }
    }

    /// Whether a new recording may begin.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn for_a_recording(&self) -> Result<(), Error> {
        let picture = self.picture();
        if !picture.refuses_recordings {
            return Ok(());
        }
        Err(Error::Full {
            dir: self.dir.clone(),
            free_mb: picture.free_bytes >> 20,
            mark_mb: self.marks.recordings.bytes(picture.total_bytes) >> 20,
        })
    }

    /// Whether a foreign switch's file may be fetched now.
    pub fn for_a_fetch(&self) -> bool {
        !self.picture().refuses_fetches
    }

    /// The disk as it was seen within the last second. One that cannot be looked at refuses nothing.
    pub fn picture(&self) -> Picture {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, picture)) = *seen
            && at.elapsed() < LOOK_EVERY
        {
            return picture;
        }
        let before = seen.map(|(_, picture)| picture).unwrap_or_default();
        let now = match look(&self.dir) {
            Ok((free, total)) => self.marks.judge(before, free, total),
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "cannot tell how much room the spool has");
                Picture::default()
            }
        };
        tell(before, now);
        *seen = Some((Instant::now(), now));
        now
    }
}

/// Free and all bytes of the file system the folder is on.
fn look(dir: &Path) -> io::Result<(u64, u64)> {
    let stat = statvfs(dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
    Ok((bytes(stat.blocks_available()), bytes(stat.blocks())))
}

fn tell(before: Picture, now: Picture) {
    let free_mb = now.free_bytes >> 20;
    match (before.refuses_recordings, now.refuses_recordings) {
        (false, true) => tracing::error!(
            free_mb,
            "the spool's disk is almost full: new recordings are refused until there is room; those that run go on"
        ),
        (true, false) => tracing::info!(free_mb, "the spool has room again: recordings are taken"),
        _ => {}
    }
    match (before.refuses_fetches, now.refuses_fetches) {
        (false, true) => tracing::error!(
            free_mb,
            "the spool's disk runs short: files of foreign switches stay there until there is room"
        ),
        (true, false) => tracing::info!(free_mb, "the spool has room again: files are fetched"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    fn marks() -> Marks {
        Space::of("/", &SpoolConfig::default()).marks
    }

    fn refused(before: Picture, free: u64, total: u64) -> (bool, bool) {
        let picture = marks().judge(before, free, total);
        (picture.refuses_fetches, picture.refuses_recordings)
    }

    #[test]
    fn fetches_are_refused_first_then_recordings_on_small_disks_and_on_huge_ones() {
        let rested = Picture::default();
        for (total, free, expected) in [
            (10 * GB, GB / 2, (false, false)),
            (10 * GB, GB / 3, (true, false)),
            (10 * GB, GB / 6, (true, true)),
            // 4 % and 2 % of it would be 400 and 200 GB.
            (10_000 * GB, 2 * GB, (false, false)),
            (10_000 * GB, GB / 2, (true, false)),
            (10_000 * GB, GB / 8, (true, true)),
            (0, 0, (false, false)),
        ] {
            assert_eq!(refused(rested, free, total), expected, "{free} of {total}");
        }
    }

    #[test]
    fn what_was_refused_is_taken_again_only_with_room_to_spare() {
        let short = marks().judge(Picture::default(), 0, 10_000 * GB);
        assert_eq!(refused(short, 257 << 20, 10_000 * GB), (true, true));
        assert_eq!(refused(short, 321 << 20, 10_000 * GB), (true, false));
        assert_eq!(refused(short, 1281 << 20, 10_000 * GB), (false, false));
    }

    #[test]
    fn a_real_disk_can_be_looked_at_and_one_that_cannot_refuses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let all = SpoolConfig {
            refuse_recordings_percent: 100,
            refuse_recordings_mb: u64::MAX,
            ..SpoolConfig::default()
        };
        let space = Space::of(dir.path(), &all);
        let error = space.for_a_recording().unwrap_err().to_string();
        assert!(error.contains("MB are free"), "{error}");
        let gone = Space::of(dir.path().join("gone"), &all);
        assert!(gone.for_a_recording().is_ok());
    }
}
