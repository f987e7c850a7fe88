//! The manifest: one line for everything that became of a recording, each bound to the line before by its hash. Any process
//! may append; nobody changes what is there (docs/retention.md).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use callreel_proto::Utc;
use serde::{Deserialize, Serialize};

use crate::{Error, error::At, files, locks::Lock, view::list};

mod entry;
mod line;
mod verify;

pub use entry::{Entry, What};
pub use line::Line;
pub use verify::Verified;

/// The names of months end so.
const LINES: &str = ".jsonl";

/// Of a line that a crash left half written, this many bytes are kept in the entry that tells of it: it is shorter in truth.
const TORN_KEPT: usize = 4096;

/// The manifest of one spool. Opening it touches nothing.
#[derive(Debug, Clone)]
pub struct Manifest {
    dir: PathBuf,
}

/// That an entry is in the manifest, safe on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The number of its line.
    pub seq: u64,
    /// The hash of its line, which stands for everything before it.
    pub hash: String,
}

/// Where the chain goes on. It may lag behind the lines after a crash, and never runs ahead of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    #[serde(flatten)]
    last: Receipt,
    file: String,
    bytes: u64,
}

impl Manifest {
    /// The manifest of the spool in this folder.
    pub fn open(spool_dir: impl AsRef<Path>) -> Self {
        Self {
            dir: spool_dir.as_ref().join("manifest"),
        }
    }

    /// Appends an entry. It is safe on disk when this returns.
    ///
    /// # Errors
    /// The disk refused; then nothing was appended.
    pub fn append(&self, entry: &Entry) -> Result<Receipt, Error> {
        self.append_at(Utc::now(), entry)
    }

    /// [`Manifest::append`] with the time told.
    ///
    /// # Errors
    /// As there.
    pub fn append_at(&self, at: Utc, entry: &Entry) -> Result<Receipt, Error> {
        files::create_dirs(&self.dir)?;
        let _alone = Lock::wait(&self.dir.join("lock"))?;
        let mut head = self.mended(at)?;
        self.write(&mut head, at, entry)?;
        Ok(head.last)
    }

    /// Cuts away what a crash left half written and finds the end of the chain, and says so in it, as the next entry would.
    ///
    /// # Errors
    /// The disk refused.
    pub fn mend(&self) -> Result<(), Error> {
        if !self.dir.exists() {
            return Ok(());
        }
        let _alone = Lock::wait(&self.dir.join("lock"))?;
        self.mended(Utc::now()).map(drop)
    }

    /// Where the next line goes, once it is said what had to be repaired for it. Only under the lock.
    fn mended(&self, at: Utc) -> Result<Head, Error> {
        let (mut head, repairs) = self.go_on(at)?;
        for detail in repairs {
            tracing::warn!(detail, "the manifest was damaged, and goes on");
            let repaired = Entry {
                account_id: None,
                recording_id: None,
                what: What::Repaired { detail },
            };
            self.write(&mut head, at, &repaired)?;
        }
        Ok(head)
    }

    /// Appends an entry, or says it in the log with the reason why it is not in the manifest: what happens to a recording never
    /// waits for its manifest. Says whether it is appended.
    pub fn note(&self, entry: &Entry) -> bool {
        let appended = self.append(entry);
        if let Err(error) = &appended {
            let entry = serde_json::to_string(entry).expect("an entry has string keys");
            tracing::error!(%error, entry, "the manifest lacks this line");
        }
        appended.is_ok()
    }

    /// The last line, as far as `head.json` tells; none before the first entry.
    ///
    /// # Errors
    /// The disk refused, or the file cannot be understood.
    pub fn head(&self) -> Result<Option<Receipt>, Error> {
        Ok(self.stored_head()?.map(|head| head.last))
    }

    fn head_path(&self) -> PathBuf {
        self.dir.join("head.json")
    }

    fn stored_head(&self) -> Result<Option<Head>, Error> {
        let path = self.head_path();
        let Some(bytes) = files::read_bounded(&path, 4096)? else {
            return Ok(None);
        };
        let head = serde_json::from_slice(&bytes).map_err(|error| Error::Manifest {
            path,
            reason: error.to_string(),
        })?;
        Ok(Some(head))
    }

    /// The months there are, the oldest first.
    fn months(&self) -> Result<Vec<(String, PathBuf)>, Error> {
        let found = list(&self.dir)?.into_iter();
        let names = found.filter_map(|(name, path)| Some((name.into_string().ok()?, path)));
        Ok(names.filter(|(name, _)| name.ends_with(LINES)).collect())
    }

    /// Where the next line goes, and what had to be repaired for it. The clock may be behind the newest month: then the line
    /// goes there all the same, because the order of files is the order of the chain.
    fn go_on(&self, at: Utc) -> Result<(Head, Vec<String>), Error> {
        let mut repairs = Vec::new();
        let stored = self.stored_head().unwrap_or_else(|error| {
            repairs.push(format!("{error}; the chain goes on after its last line"));
            None
        });
        let months = self.months()?;
        if stored.is_none() && repairs.is_empty() && !months.is_empty() {
            repairs.push("head.json was missing; the chain goes on after its last line".to_owned());
        }
        let mut head = stored.unwrap_or_else(|| Head {
            last: Receipt {
                seq: 0,
                hash: line::NOTHING_BEFORE.to_owned(),
            },
            file: String::new(),
            bytes: 0,
        });
        for (name, path) in months {
            if name < head.file {
                continue;
            }
            let from = if name == head.file { head.bytes } else { 0 };
            self.catch_up(&mut head, name, &path, from, &mut repairs)?;
        }
        let now = at.year_month();
        let now = format!("{}-{}{LINES}", &now[..4], &now[4..]);
        if head.file < now {
            (head.file, head.bytes) = (now, 0);
        }
        Ok((head, repairs))
    }

    /// Takes into the head what a crash left behind it, and cuts away what it left half written.
    fn catch_up(
        &self,
        head: &mut Head,
        name: String,
        path: &Path,
        from: u64,
        repairs: &mut Vec<String>,
    ) -> Result<(), Error> {
        let mut file = File::open(path).at("open", path)?;
        let length = file.metadata().at("look at", path)?.len();
        if name == head.file && length == head.bytes {
            return Ok(());
        }
        // Lines that have gone: what the head says stays, so that the gap is seen for ever.
        let from = if length < from { 0 } else { from };
        file.seek(SeekFrom::Start(from)).at("read", path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).at("read", path)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        for written in text[..whole].split(|byte| *byte == b'\n') {
            if let Ok(line) = line::read(written)
                && line.seq > head.last.seq
            {
                head.last = Receipt {
                    seq: line.seq,
                    hash: line.hash,
                };
            }
        }
        head.bytes = from + whole as u64;
        let torn = &text[whole..];
        if !torn.is_empty() {
            let kept = String::from_utf8_lossy(&torn[..torn.len().min(TORN_KEPT)]);
            repairs.push(format!(
                "{name} ended with {} bytes of a line that was never finished; they were cut away: {kept}",
                torn.len()
            ));
            cut(path, head.bytes)?;
        }
        head.file = name;
        Ok(())
    }

    fn write(&self, head: &mut Head, at: Utc, entry: &Entry) -> Result<(), Error> {
        let path = self.dir.join(&head.file);
        let (mut text, hash) = line::write(head.last.seq + 1, at, &head.last.hash, entry);
        text.push('\n');
        if let Err(error) = append_synced(&path, text.as_bytes()) {
            // A full disk may have taken half of it; the next entry would find that too.
            cut(&path, head.bytes).ok();
            return Err(error).at("append to", &path);
        }
        if head.bytes == 0 {
            files::sync_dir(&self.dir)?;
        }
        head.bytes += text.len() as u64;
        head.last = Receipt {
            seq: head.last.seq + 1,
            hash,
        };
        self.store_head(head);
        Ok(())
    }

    /// The lines are the truth: a head that lags behind them is caught up by the next entry, so it wants no sync.
    fn store_head(&self, head: &Head) {
        let json = serde_json::to_vec(head).expect("a head has string keys");
        let hidden = self.dir.join("head.json.part");
        let stored = fs::write(&hidden, json).and_then(|()| fs::rename(&hidden, self.head_path()));
        if let Err(error) = stored {
            tracing::warn!(%error, "the manifest's head lags behind its lines");
        }
    }
}

fn append_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(files::PRIVATE_FILE)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

fn cut(path: &Path, to: u64) -> Result<(), Error> {
    let file = OpenOptions::new().write(true).open(path).at("open", path)?;
    file.set_len(to).at("cut", path)?;
    file.sync_all().at("sync", path)
}
