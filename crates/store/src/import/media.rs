//! The media folder of an account: documents, audio files, and audio files that become documents. Opens no audio.

use std::{collections::BTreeMap, fs, path::Path};

use callreel_proto::{AccountId, AudioFormat};
use serde_json::{Map, Value, json};

use super::{
    Item, Kind,
    tree::{Entry, Walk},
};
use crate::{AttachmentFile, names};

/// Largest audio file, bytes: five hours of telephone MP3, half an hour of studio WAV. It is held open, never in memory.
const MAX_AUDIO_BYTES: u64 = 256 << 20;

/// The files of one stem.
#[derive(Default)]
struct Pair {
    document: Option<Entry>,
    audio: Vec<(Entry, AudioFormat)>,
}

/// Reads the folder: a JSON document and the audio file of the same stem belong together.
pub(super) fn read(walk: &mut Walk<'_>, folder: &Path, account: &AccountId) {
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    for entry in walk.list(folder) {
        let (stem, extension) = entry.stem_and_extension();
        let pair = pairs.entry(stem.to_owned()).or_default();
        match (entry.is_dir, extension.as_str(), extension.parse()) {
            (false, "json", _) => pair.document = Some(entry),
            (false, _, Ok(format)) => pair.audio.push((entry, format)),
            _ => walk.unexpected(&entry, "JSON documents and .mp3 or .wav files"),
        }
    }
    for (stem, pair) in pairs {
        let item = join(walk, &stem, pair, account);
        walk.items.extend(item);
    }
}

fn join(walk: &mut Walk<'_>, stem: &str, pair: Pair, account: &AccountId) -> Option<Item> {
    let mut audio = pair.audio.into_iter();
    let first = audio.next();
    for (extra, _) in audio {
        let message = "a media document has one audio file, and there is another of this name";
        walk.report(&extra.path, "", message);
    }
    let mut item = match (&pair.document, &first) {
        (Some(document), _) => walk.document(document, stem, Kind::Media, Some(account))?,
        (None, Some((audio, _))) => bare(walk, stem, audio, account)?,
        (None, None) => return None,
    };
    if let Some((audio, format)) = first {
        attach(walk, &mut item, &audio, format);
    }
    Some(item)
}

/// The document of an audio file that came without one, as Crossbar makes it for an upload.
fn bare(walk: &mut Walk<'_>, stem: &str, audio: &Entry, account: &AccountId) -> Option<Item> {
    if let Err(error) = names::document(stem) {
        walk.report(&audio.path, "", error.to_string());
        return None;
    }
    let mut doc = Map::new();
    doc.insert("name".into(), stem.into());
    doc.insert("media_source".into(), "upload".into());
    doc.insert("streamable".into(), Value::Bool(true));
    Some(Item {
        file: audio.path.clone(),
        kind: Kind::Media,
        account: Some(account.clone()),
        id: stem.to_owned(),
        doc,
        audio: None,
    })
}

fn attach(walk: &mut Walk<'_>, item: &mut Item, audio: &Entry, format: AudioFormat) {
    let path = walk.full(&audio.path);
    let length = match fs::metadata(&path) {
        Ok(about) => about.len(),
        Err(error) => return walk.report(&audio.path, "", error.to_string()),
    };
    if length == 0 {
        walk.report(&audio.path, "", "is empty");
    }
    if length > MAX_AUDIO_BYTES {
        let message = format!("is larger than {MAX_AUDIO_BYTES} bytes");
        walk.report(&audio.path, "", message);
    }
    if let Err(error) = names::attachment(&audio.name) {
        walk.report(&audio.path, "", error.to_string());
    }
    let content_type = format.content_type();
    item.doc.insert("content_type".into(), json!(content_type));
    item.doc.insert("content_length".into(), json!(length));
    item.audio = Some(AttachmentFile {
        name: audio.name.clone(),
        content_type: content_type.to_owned(),
        path,
    });
}
