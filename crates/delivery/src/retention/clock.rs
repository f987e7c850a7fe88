//! Whether the clock can be believed before it deletes anything: what it said at the last round is kept beside the spool.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What the clock is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Believed {
    /// It goes on from where it was.
    Yes,
    /// Nobody has looked at it before: its time is noted, and the next round deletes.
    NotYet,
    /// It is so much later than at the last round that it may be wrong.
    Jumped(Duration),
}

/// The file whose time of change is that of the last round. To believe a clock that has jumped, a person touches it.
pub(super) struct Clock {
    path: PathBuf,
    most: Duration,
}

impl Clock {
    pub(super) fn beside(spool_dir: &Path, most: Duration) -> Self {
        Self {
            path: spool_dir.join("retention.clock"),
            most,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the clock, and notes what it says if it can be believed. One that went back deletes nothing too early, and does
    /// not change what is noted: it will come again.
    pub(super) fn look(&self, now: SystemTime) -> io::Result<Believed> {
        let noted = match fs::metadata(&self.path) {
            Ok(file) => file.modified()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::create(&self.path)?.set_modified(now)?;
                return Ok(Believed::NotYet);
            }
            Err(error) => return Err(error),
        };
        let Ok(later) = now.duration_since(noted) else {
            return Ok(Believed::Yes);
        };
        if later > self.most {
            return Ok(Believed::Jumped(later));
        }
        File::options()
            .write(true)
            .open(&self.path)?
            .set_modified(now)?;
        Ok(Believed::Yes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_clock_that_jumps_is_not_believed_until_a_person_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::beside(dir.path(), 7 * DAY);
        let start = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        assert_eq!(clock.look(start).unwrap(), Believed::NotYet);
        assert_eq!(clock.look(start + 7 * DAY).unwrap(), Believed::Yes);
        let late = start + 15 * DAY;
        for _ in 0..2 {
            assert_eq!(clock.look(late).unwrap(), Believed::Jumped(8 * DAY));
        }
        let file = File::options().write(true).open(clock.path()).unwrap();
        file.set_modified(late).unwrap();
        assert_eq!(clock.look(late).unwrap(), Believed::Yes);
    }

    #[test]
    fn a_clock_that_went_back_for_a_while_is_believed_when_it_is_right_again() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::beside(dir.path(), 7 * DAY);
        let start = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        clock.look(start).unwrap();
        assert_eq!(clock.look(SystemTime::UNIX_EPOCH).unwrap(), Believed::Yes);
        assert_eq!(clock.look(start + DAY).unwrap(), Believed::Yes);
        assert_eq!(
            clock.look(start + 9 * DAY).unwrap(),
            Believed::Jumped(8 * DAY)
        );
    }
}
