//! Sounds of documents: media of accounts, prompts, recorded messages, wherever their audio rests.

use std::sync::Arc;

use callreel_attachments::audio;
use callreel_media::{Pcm, prompt_text};
use callreel_proto::{AccountDb, AccountId, month_db};
use callreel_store::{SYSTEM_MEDIA, is_soft_deleted};
use futures::{StreamExt, future};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::decoding::{MAX_BYTES, decode};
use super::names::languages;
use super::{Sound, Sounds, Text, blocking, once};

/// The language of prompts where nobody says another, and of those that we have words for.
const LANGUAGE: &str = "en-us";

impl Sounds {
    /// Media of an account: a document's audio, or the text it says (Kazoo's `media_source: tts`).
    pub(super) async fn document(
        self: &Arc<Self>,
        account: &AccountId,
        id: &str,
    ) -> Result<Option<Sound>, String> {
        for (id, only) in readings(id) {
            let db = database(account, &id);
            let Some(doc) = self.read(&db, &id).await? else {
                continue;
            };
            if let Some(pcm) = self.audio(&db, &doc, only.as_deref()).await? {
                return Ok(Some(once(pcm)));
            }
            if let Some(text) = text_of(&doc) {
                return self.spoken(text).await.map(Some);
            }
        }
        Ok(None)
    }

    /// A prompt: the account's own recording of it, else the system's, else our words spoken.
    pub(super) async fn prompt(
        self: &Arc<Self>,
        account: Option<AccountId>,
        id: &str,
        language: Option<String>,
    ) -> Result<Sound, String> {
        let language = language.unwrap_or_else(|| LANGUAGE.to_owned());
        let wanted = languages(&language);
        if let Some(account) = &account {
            let db = AccountDb::name(account);
            if let Some(sound) = self.first(&db, prompt_ids(&wanted, id)).await? {
                return Ok(sound);
            }
        }
        let mut ids = prompt_ids(&wanted, id);
        if !wanted.contains(&LANGUAGE) {
            ids.extend(prompt_ids(&[LANGUAGE], id));
        }
        // A prompt of old systems has no language.
        ids.push(id.to_owned());
        if let Some(sound) = self.first(SYSTEM_MEDIA, ids).await? {
            return Ok(sound);
        }
        match prompt_text(id) {
            Some(words) => {
                let english = language.starts_with("en").then_some(language);
                self.spoken(Text::of(words.to_owned(), english)).await
            }
            None => Err(format!("there is no prompt {id} in system_media")),
        }
    }

    /// The first of these documents that has something to hear. They are asked for at the same time.
    async fn first(self: &Arc<Self>, db: &str, ids: Vec<String>) -> Result<Option<Sound>, String> {
        let docs = future::join_all(ids.iter().map(|id| self.read(db, id))).await;
        for doc in docs {
            let Some(doc) = doc? else { continue };
            if let Some(pcm) = self.audio(db, &doc, None).await? {
                return Ok(Some(once(pcm)));
            }
            if let Some(text) = text_of(&doc) {
                return self.spoken(text).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn read(&self, db: &str, id: &str) -> Result<Option<Value>, String> {
        let found = self.attachments.store().get(db, id).await;
        let doc = found.map_err(|e| format!("media {id} cannot be read: {e}"))?;
        Ok(doc.filter(|doc| !is_soft_deleted(doc)))
    }

    /// What is recorded of a document: the attachment of this name, or the only one. Decoded once, as long as it does not change.
    async fn audio(
        &self,
        db: &str,
        doc: &Value,
        only: Option<&str>,
    ) -> Result<Option<Arc<Pcm>>, String> {
        let Some(audio) = audio(doc).filter(|audio| only.is_none_or(|name| name == audio.name))
        else {
            return Ok(None);
        };
        let id = doc["_id"].as_str().unwrap_or_default();
        let failed = |e: &dyn std::fmt::Display| format!("media {id} cannot be played: {e}");
        let key = format!("file:{}", audio.digest);
        if let Some(pcm) = self.kept.get(&key) {
            return Ok(Some(pcm));
        }
        if audio.length > MAX_BYTES as u64 {
            return Err(failed(&"it is too long for a prompt"));
        }
        let found = self
            .attachments
            .fetch(db, doc, &audio.name, 0..u64::MAX)
            .await;
        let Some(mut attachment) = found.map_err(|e| failed(&e))? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        while let Some(block) = attachment.body.next().await {
            bytes.extend_from_slice(&block.map_err(|e| failed(&e))?);
            if bytes.len() > MAX_BYTES {
                return Err(failed(&"it is longer than its document says"));
            }
        }
        let extension = audio.name.rsplit_once('.').map(|(_, end)| end.to_owned());
        let pcm = blocking(move || decode(bytes, extension.as_deref())).await;
        let pcm = pcm.map_err(|e| failed(&e))?;
        self.kept.put(key, &pcm, None);
        Ok(Some(pcm))
    }

    /// Where the people of an account are.
    pub(super) async fn timezone(&self, account: &AccountId) -> TimeZone {
        let db = AccountDb::name(account);
        let doc = self.read(&db, account.as_str()).await;
        let name = doc.ok().flatten().and_then(|doc| {
            let name = doc.get("timezone")?.as_str()?;
            Some(name.to_owned())
        });
        name.and_then(|name| TimeZone::get(&name).ok())
            .unwrap_or(TimeZone::UTC)
    }
}

/// What the part behind the account may mean: a document's id, one with its slashes encoded, or a document and its attachment.
fn readings(id: &str) -> Vec<(String, Option<String>)> {
    let mut all = vec![(id.to_owned(), None)];
    if id.contains("%2F") || id.contains("%2f") {
        all.push((id.replace("%2F", "/").replace("%2f", "/"), None));
    }
    if let Some((id, name)) = id.split_once('/') {
        all.push((id.to_owned(), Some(name.to_owned())));
    }
    all
}

/// A message is in the database of the month its id begins with.
fn database(account: &AccountId, id: &str) -> String {
    match id.split_once('-') {
        Some((month, _)) if month.len() == 6 && month.bytes().all(|b| b.is_ascii_digit()) => {
            month_db(account, month)
        }
        _ => AccountDb::name(account),
    }
}

/// The ids that Kazoo gives a prompt's document, today and before 4.0.
fn prompt_ids(languages: &[&str], id: &str) -> Vec<String> {
    let both = |language: &&str| [format!("{language}/{id}"), format!("{language}%2F{id}")];
    languages.iter().flat_map(both).collect()
}

fn text_of(doc: &Value) -> Option<Text> {
    let text = doc.pointer("/tts/text")?.as_str()?;
    let voice = doc.pointer("/tts/voice").and_then(Value::as_str);
    let language = doc.get("language").and_then(Value::as_str);
    Some(Text {
        voice: voice.map(|voice| voice.rsplit('/').next().unwrap_or(voice).to_owned()),
        ..Text::of(text.to_owned(), language.map(str::to_owned))
    })
}
