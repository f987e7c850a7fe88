//! What is really on the disk: bytes searched in every file, and journals read by the words of docs/journal.md alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::voice;

/// Every file below a folder. One that goes away meanwhile holds nothing.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path, bytes));
        }
    }
    found
}

/// Whether any file below a folder holds these bytes.
pub(crate) fn holds(folder: &Path, needle: &[u8]) -> bool {
    let mut all = files(folder).into_iter();
    all.any(|(_, bytes)| bytes.windows(needle.len()).any(|window| window == needle))
}

/// Which of a marked speech's first packets ([`voice::Speech::marked`]) are in any file below a folder.
pub(crate) fn marks(folder: &Path, whose: u8, packets: usize) -> BTreeSet<usize> {
    let marks: BTreeMap<_, _> = (0..packets).map(|n| (voice::mark(whose, n), n)).collect();
    let mut found = BTreeSet::new();
    for (_, bytes) in files(folder) {
        let windows = bytes.windows(voice::MARK);
        found.extend(windows.filter_map(|window| marks.get(window)));
    }
    found
}

/// A packet of a journal.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) payload_type: u8,
    pub(crate) payload: Vec<u8>,
}

/// The packets of all journals below a folder.
pub(crate) fn journal(spool: &Path) -> Vec<Packet> {
    let journals = files(spool).into_iter();
    let journals = journals.filter(|(path, _)| path.ends_with("journal"));
    journals.flat_map(|(_, bytes)| packets(&bytes)).collect()
}

fn packets(journal: &[u8]) -> Vec<Packet> {
    let u16_at = |at: usize| {
        let bytes = journal.get(at..at + 2)?;
        Some(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    };
    let mut packets = Vec::new();
    let mut at = 16 + u16_at(10).unwrap_or(0);
    while let Some(length) = u16_at(at) {
        let Some(body) = journal.get(at + 6..at + 6 + length) else {
            break;
        };
        // Kind 1: flags, payload type, sequence, timestamp, SSRC, arrival.
        if let [1, _, payload_type, rest @ ..] = body {
            packets.push(Packet {
                payload_type: *payload_type,
                payload: rest[18..].to_vec(),
            });
        }
        at += 6 + length;
    }
    packets
}
