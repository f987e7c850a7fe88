//! A clock that tests set: the wall clock of one node, which jumps where it is told. Its monotonic clock goes on, as a
//! machine's does when somebody sets its time.

use std::path::{Path, PathBuf};

/// The wall clock of the nodes that are given its [`variables`](Self::variables).
pub(crate) struct Clock {
    setting: PathBuf,
}

impl Clock {
    /// A clock that tells the truth, and is set by a file in this folder.
    pub(crate) fn right(folder: &Path) -> Self {
        let clock = Self {
            setting: folder.join("clock.setting"),
        };
        clock.is_off_by(0);
        clock
    }

    /// It goes wrong by so many seconds from now on, forward or backward.
    pub(crate) fn is_off_by(&self, seconds: i64) {
        let beside = self.setting.with_extension("next");
        std::fs::write(&beside, format!("{seconds:+}")).unwrap();
        std::fs::rename(&beside, &self.setting).unwrap();
    }

    /// What makes a process live by it.
    pub(crate) fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("LD_PRELOAD", library()),
            (
                "FAKETIME_TIMESTAMP_FILE",
                self.setting.display().to_string(),
            ),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}

/// Debian's faketime, wherever this machine's architecture has it.
fn library() -> String {
    let architectures = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut libraries =
        architectures.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let found = libraries.find(|library| library.exists());
    let found = found.expect("no libfaketimeMT.so.1 below /usr/lib; `make test` installs faketime");
    found.display().to_string()
}
