//! What the system lets one process have. Sets it once, at the start.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a process has at least on any Linux, should the system not say.
const USUAL_OPEN_FILES: u64 = 1_024;

/// Asks for as many open files as the system allows, and says how many those are: a recorded call takes about ten, and
/// shells give 1024 at first for the sake of old programs that use `select`.
pub(crate) fn raise_open_files() -> u64 {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    raised.unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files stays as it is: it bounds the calls at once");
        USUAL_OPEN_FILES
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_may_open_what_the_system_allows() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(1024), hard).unwrap();
        assert_eq!(raise_open_files(), hard);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    }
}
