//! Voicemail boxes and their messages: counts, lists and moves them for a flow. Plays and records nothing.

use callreel_callflow::{Answer, MailboxAnswer, MailboxQuery, Message};
use callreel_proto::{
    AccountDb, AccountId, Folder, GREGORIAN_UNIX_OFFSET, RecordingId, Secret, Utc, Vmbox,
    lenient_u64, month_db,
};
use callreel_store::{Error, MailboxFolder, MessageCounts, View};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::{context::Context, documents::Documents, lookup, mwi};

/// Months looked back for messages, the newest first. Kazoo looks back about three; each costs a question.
const MONTHS: usize = 12;
/// Messages of a folder that are listed: nobody listens to more in one call.
const MESSAGES: usize = 200;

/// The answer to a cursor's question. What fails is logged, and counts as missing.
pub(crate) async fn answer(context: &Context, account: &AccountId, query: &MailboxQuery) -> Answer {
    match look_up(context, account, query).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Answer::Missing,
        Err(error) => {
            tracing::warn!(account_id = %account, ?query, error, "voicemail: the flow goes on without");
            Answer::Missing
        }
    }
}

async fn look_up(
    context: &Context,
    account: &AccountId,
    query: &MailboxQuery,
) -> Result<Option<Answer>, String> {
    let store = &context.store;
    let done = match query {
        MailboxQuery::Move {
            box_id,
            message_id,
            folder,
        } => {
            let moved = move_message(store, account, box_id, message_id, *folder).await?;
            if moved {
                mwi::tell(context, account, box_id).await;
            }
            moved
        }
        MailboxQuery::Forward {
            message_id,
            from,
            to,
        } => {
            let copied = forward(context, account, message_id, (from, to)).await?;
            if copied {
                mwi::tell(context, account, to).await;
            }
            copied
        }
        MailboxQuery::SetPin { box_id, pin } => {
            set_pin(store, &AccountDb::name(account), box_id, pin).await?
        }
        query => return read(store, account, query).await.map_err(text),
    };
    Ok(done.then_some(Answer::Mailbox(MailboxAnswer::Done)))
}

/// The answer to a question that changes nothing; none to one that would.
pub(crate) async fn read(
    store: &Documents,
    account: &AccountId,
    query: &MailboxQuery,
) -> Result<Option<Answer>, Error> {
    let db = AccountDb::name(account);
    let found = match query {
        MailboxQuery::Numbered { number } => {
            let found = numbered(store, &db, number).await?;
            return Ok(found.map(|vmbox| Answer::Vmbox(Box::new(vmbox))));
        }
        MailboxQuery::OwnedBy { owner_id } => {
            let view = View::VmboxesByOwner(owner_id.clone());
            let docs = store.query(&db, view).await?;
            MailboxAnswer::Boxes(docs.iter().map(Vmbox::read).collect())
        }
        MailboxQuery::Counts { box_id } => {
            let MessageCounts { new, saved } = counts(store, account, box_id).await?;
            MailboxAnswer::Counts { new, saved }
        }
        MailboxQuery::Messages {
            box_id,
            folder,
            timezone,
        } => {
            let zone = lookup::zone(store, account, timezone.as_deref()).await?;
            let found = messages(store, account, box_id, *folder).await?;
            let message = |doc: &Value| message(doc, *folder, &zone);
            MailboxAnswer::Messages(found.iter().filter_map(message).collect())
        }
        MailboxQuery::Move { .. } | MailboxQuery::Forward { .. } | MailboxQuery::SetPin { .. } => {
            return Ok(None);
        }
    };
    Ok(Some(Answer::Mailbox(found)))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The voicemail box of a number.
pub(crate) async fn numbered(
    store: &Documents,
    db: &str,
    number: &str,
) -> Result<Option<Vmbox>, Error> {
    let Ok(value) = number.parse() else {
        return Ok(None);
    };
    let found = store.query(db, View::VmboxesByNumber(value)).await?;
    let found: Vec<Vmbox> = found.iter().map(Vmbox::read).collect();
    // Of 100 and 0100 the one that was dialled.
    let exact = |vmbox: &Vmbox| vmbox.mailbox.as_deref() == Some(number);
    let at = found.iter().position(exact).unwrap_or(0);
    Ok(found.into_iter().nth(at))
}

/// How many messages a box has.
pub(crate) async fn counts(
    store: &Documents,
    account: &AccountId,
    box_id: &str,
) -> Result<MessageCounts, Error> {
    let mut counts = MessageCounts::default();
    for db in months(store, account).await? {
        counts += store.raw().message_counts(&db, box_id).await?;
    }
    Ok(counts)
}

async fn months(store: &Documents, account: &AccountId) -> Result<Vec<String>, Error> {
    let mut months = store.raw().month_databases(account).await?;
    months.truncate(MONTHS);
    Ok(months)
}

/// The messages of a folder, the newest first.
async fn messages(
    store: &Documents,
    account: &AccountId,
    box_id: &str,
    folder: Folder,
) -> Result<Vec<Value>, Error> {
    let mut found = Vec::new();
    for db in months(store, account).await? {
        let view = View::MailboxFolder(MailboxFolder {
            mailbox: box_id.to_owned(),
            folder: folder.name().to_owned(),
            limit: MESSAGES - found.len(),
        });
        found.extend(store.query(&db, view).await?);
        found.truncate(MESSAGES);
        if found.len() == MESSAGES {
            break;
        }
    }
    Ok(found)
}

fn message(doc: &Value, folder: Folder, zone: &TimeZone) -> Option<Message> {
    let received = doc.pointer("/metadata/timestamp").and_then(lenient_u64);
    let received = i64::try_from(received.unwrap_or(0)).unwrap_or(0) - GREGORIAN_UNIX_OFFSET;
    let offset =
        Timestamp::from_second(received).map_or(0, |at| i64::from(zone.to_offset(at).seconds()));
    Some(Message {
        id: doc["_id"].as_str()?.to_owned(),
        folder,
        received: received.saturating_add(offset),
    })
}

/// The database that a message is in: its id says the month.
fn database(account: &AccountId, message_id: &str) -> Result<String, String> {
    let id = RecordingId::parse(message_id).map_err(text)?;
    Ok(month_db(account, id.month()))
}

/// Whether there is such a message in the box; then it is in this folder.
pub(crate) async fn move_message(
    store: &Documents,
    account: &AccountId,
    box_id: &str,
    message_id: &str,
    folder: Folder,
) -> Result<bool, String> {
    let db = database(account, message_id)?;
    if !is_of(store, &db, message_id, box_id).await? {
        return Ok(false);
    }
    let set = [
        ("/metadata/folder".to_owned(), json!(folder.name())),
        (
            "/pvt_modified".to_owned(),
            json!(Utc::now().gregorian_seconds()),
        ),
    ];
    let moved = store.change(&db, message_id, &set).await.map_err(text)?;
    Ok(moved.is_some())
}

async fn is_of(
    store: &Documents,
    db: &str,
    message_id: &str,
    box_id: &str,
) -> Result<bool, String> {
    let doc = lookup::live(store, db, message_id).await.map_err(text)?;
    Ok(doc.is_some_and(|doc| doc["source_id"] == *box_id))
}

/// Whether there is such a message; then the other box has it as a new one, with its audio.
async fn forward(
    context: &Context,
    account: &AccountId,
    message_id: &str,
    (from, to): (&str, &str),
) -> Result<bool, String> {
    let store = &context.store;
    let db = database(account, message_id)?;
    let doc = lookup::live(store, &db, message_id).await.map_err(text)?;
    let Some(doc) = doc.filter(|doc| doc["source_id"] == *from) else {
        return Ok(false);
    };
    let own = lookup::live(store, &AccountDb::name(account), to)
        .await
        .map_err(text)?;
    let Some(vmbox) = own.map(|doc| Vmbox::read(&doc)) else {
        return Ok(false);
    };
    let realm = lookup::realm(store, account).await.map_err(text)?;
    let now = Utc::now();
    let id = RecordingId::random(now);
    let copy = copied(&doc, &id, from, &vmbox, &realm);
    let there = month_db(account, id.month());
    store.save(&there, copy).await.map_err(text)?;
    for name in audio(&doc) {
        let found = context
            .attachments
            .fetch(&db, &doc, &name, 0..u64::MAX)
            .await;
        let Some(found) = found.map_err(text)? else {
            continue;
        };
        store
            .raw()
            .put_attachment(
                &there,
                id.as_str(),
                &name,
                &found.content_type,
                found.length,
                found.body,
            )
            .await
            .map_err(text)?;
    }
    Ok(true)
}

/// The names of a message's audio, beside its document or elsewhere.
fn audio(doc: &Value) -> Vec<String> {
    let stubs = ["_attachments", "pvt_attachments"].map(|key| doc[key].as_object());
    let names = stubs.into_iter().flatten().flat_map(|stubs| stubs.keys());
    names.cloned().collect()
}

/// The same message for another box (Kazoo's `copy_to_vmboxes`); it remembers where it was.
fn copied(doc: &Value, id: &RecordingId, from: &str, to: &Vmbox, realm: &str) -> Value {
    let mut copy = doc.clone();
    if let Some(fields) = copy.as_object_mut() {
        // What others keep stays theirs: the copy has its own audio.
        fields.retain(|key, _| key != "_rev" && key != "_attachments" && key != "pvt_attachments");
    }
    let number = to.mailbox.as_deref().unwrap_or(&to.id);
    copy["_id"] = json!(id);
    copy["name"] = json!(format!("mailbox {number} message {}", Utc::now().rfc3339()));
    copy["description"] = json!("forwarded voicemail message with media");
    copy["source_id"] = json!(to.id);
    copy["metadata"]["media_id"] = json!(id);
    copy["metadata"]["folder"] = json!(Folder::New.name());
    copy["metadata"]["to"] = json!(format!("{number}@{realm}"));
    let mut history = copy["history"].as_array().cloned().unwrap_or_default();
    history.push(json!(from));
    copy["history"] = json!(history);
    copy["pvt_modified"] = json!(Utc::now().gregorian_seconds());
    copy
}

async fn set_pin(store: &Documents, db: &str, box_id: &str, pin: &Secret) -> Result<bool, String> {
    let set = [("/pin".to_owned(), json!(pin.reveal()))];
    let changed = store.change(db, box_id, &set).await.map_err(text)?;
    Ok(changed.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_received_on_the_clock_of_the_box() {
        let doc = json!({"_id": "m", "metadata": {"timestamp": 63_871_200_000_u64}});
        let received = |zone: &str| {
            let zone = TimeZone::get(zone).unwrap();
            message(&doc, Folder::New, &zone).unwrap().received
        };
        // Noon of the first of January 2024.
        let utc = 63_871_200_000 - GREGORIAN_UNIX_OFFSET;
        assert_eq!(received("UTC"), utc);
        assert_eq!(received("Europe/Stockholm"), utc + 3600);
        assert_eq!(received("America/New_York"), utc - 5 * 3600);
    }

    #[test]
    fn a_forwarded_message_is_new_there_and_says_where_it_was() {
        let doc = json!({
            "_id": "202401-x", "_rev": "1-a", "_attachments": {"a.mp3": {}}, "source_id": "here",
            "metadata": {"folder": "saved", "length": 7}, "history": ["before"]
        });
        let to = Vmbox::read(&json!({"_id": "there", "mailbox": "1002"}));
        let id = RecordingId::random(Utc::now());
        let copy = copied(&doc, &id, "here", &to, "acme.test");
        assert_eq!(copy["source_id"], "there");
        assert_eq!(copy["metadata"]["folder"], "new");
        assert_eq!(copy["metadata"]["media_id"], json!(id));
        assert_eq!(copy["metadata"]["to"], "1002@acme.test");
        assert_eq!(copy["metadata"]["length"], 7);
        assert_eq!(copy["history"], json!(["before", "here"]));
        assert_eq!((copy.get("_rev"), copy.get("_attachments")), (None, None));
        assert_eq!(audio(&doc), ["a.mp3"]);
    }
}
