//! One line of the manifest: an entry, its place in the chain, and the hash that binds it to the line before. Knows no file.

use callreel_proto::Utc;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Entry;

/// What the first line of all has in the place of a line before.
pub(super) const NOTHING_BEFORE: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";

/// What stands between a line's facts and its hash.
const HASH: &str = ",\"hash\":\"";

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// A line as it was read; its hash has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, counted from one over all files.
    pub seq: u64,
    /// When it was written, RFC 3339, by the clock of that moment.
    pub at: String,
    /// The hash of the line before.
    pub prev: String,
    /// Its own hash.
    pub hash: String,
    /// What it says; none if only a newer version understands it.
    pub entry: Option<Entry>,
}

#[derive(Serialize)]
struct Written<'a> {
    seq: u64,
    at: String,
    prev: &'a str,
    #[serde(flatten)]
    entry: &'a Entry,
}

#[derive(Deserialize)]
struct Links {
    seq: u64,
    at: String,
    prev: String,
}

/// The line's text, without its newline, and its hash: SHA-256 over the object without the member `hash`, which is the last.
pub(super) fn write(seq: u64, at: Utc, prev: &str, entry: &Entry) -> (String, String) {
    let written = Written {
        seq,
        at: at.rfc3339(),
        prev,
        entry,
    };
    let mut text = serde_json::to_string(&written).expect("an entry has string keys");
    let hash = hex::encode(Sha256::digest(&text));
    text.pop();
    text.push_str(HASH);
    text.push_str(&hash);
    text.push_str("\"}");
    (text, hash)
}

/// Reads a line without its newline, and checks that its hash is that of its text; the error is a sentence for people.
pub(super) fn read(line: &[u8]) -> Result<Line, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
    let tail = HASH.len() + DIGITS + "\"}".len();
    let split = text
        .len()
        .checked_sub(tail)
        .filter(|at| text.is_char_boundary(*at));
    let hash = split
        .map(|at| &text[at..])
        .and_then(|end| end.strip_prefix(HASH)?.strip_suffix("\"}"))
        .ok_or("it does not end with its hash")?;
    let facts = format!("{}}}", &text[..text.len() - tail]);
    if hex::encode(Sha256::digest(&facts)) != hash {
        return Err("its hash is not that of what it says: it was changed".to_owned());
    }
    let links: Links = serde_json::from_str(&facts).map_err(|error| error.to_string())?;
    Ok(Line {
        seq: links.seq,
        at: links.at,
        prev: links.prev,
        hash: hash.to_owned(),
        entry: serde_json::from_str(&facts).ok(),
    })
}
