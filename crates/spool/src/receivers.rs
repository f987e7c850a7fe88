//! Which receivers delivery leaves alone at the moment, told by the one delivery to whoever looks: `receivers.json`.

use std::fs;

use callreel_proto::Utc;
use serde::{Deserialize, Serialize};

use crate::{Error, View, error::At, files, locks};

/// Bytes of the file that are read: far more than [`MOST`] receivers have.
const MAX_BYTES: u64 = 4 << 20;
/// Receivers that are told of; beyond, a person needs no list but help.
const MOST: usize = 1000;

/// A receiver that keeps failing, so that delivery leaves it alone between probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverInfo {
    /// Scheme, host and port, or the name of a place such as the account database; never credentials.
    pub host: String,
    /// Failed tries in a row.
    pub failures: u32,
    /// When the first of them ended.
    pub failing_since: Option<Utc>,
    /// Why the last one failed, for people.
    pub last_error: String,
    /// When the next try goes there.
    pub next_probe: Utc,
    /// Recordings that are owed to it.
    pub waiting: u64,
}

impl View {
    fn receivers_path(&self) -> std::path::PathBuf {
        self.dir().join("receivers.json")
    }

    /// The receivers that delivery leaves alone at the moment; none if no delivery runs.
    ///
    /// # Errors
    /// The disk refused.
    pub fn receivers(&self) -> Result<Vec<ReceiverInfo>, Error> {
        // What a delivery that died has left is no longer true.
        if !locks::is_held(&self.delivery_lock())? {
            return Ok(Vec::new());
        }
        let bytes = files::read_bounded(&self.receivers_path(), MAX_BYTES)?;
        // It is replaced as a whole, but not synced: after a power loss it may hold nothing.
        Ok(serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default())
    }
}

/// Tells who is left alone. For people only, so that nothing is synced.
pub(crate) fn tell(view: &View, receivers: &[ReceiverInfo]) -> Result<(), Error> {
    let path = view.receivers_path();
    if receivers.is_empty() {
        return files::remove(&path, |path| fs::remove_file(path));
    }
    let told = &receivers[..receivers.len().min(MOST)];
    let bytes = serde_json::to_vec_pretty(told).expect("it has string keys");
    let temporary = path.with_extension("json.tmp");
    fs::write(&temporary, bytes).at("write", &temporary)?;
    fs::rename(&temporary, &path).at("replace", &path)
}
