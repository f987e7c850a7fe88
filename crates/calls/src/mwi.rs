//! Message waiting: says how many messages wait in a voicemail box, when asked and when that changes (Kazoo `kvm_mwi`), and has
//! people told of a message once it is stored. Lights no lamp: that is a switch's.
//!
//! The calls nodes of a cluster share one queue: each question, and each stored message, is one node's.

use std::{sync::Arc, time::Duration};

use callreel_bus::{Binding, Delivery, QueueOptions, Subscription};
use callreel_proto::{
    AccountDb, AccountId, AfterNotify, Device, Envelope, Exchange, Folder, MwiQuery, MwiUpdate,
    Notification, NotificationName, RecordingFact, RecordingId, RecordingNotice, Vmbox,
    lenient_u64, month_db, pvt_type, user_and_realm,
};
use callreel_store::{ACCOUNTS, Error, MessageCounts, View};
use serde_json::Value;
use tokio::{sync::Semaphore, time::timeout};

use crate::{context::Context, inbox, lookup, mailbox};

/// The queue of all calls nodes.
const QUEUE: &str = "callreel-voicemail";
/// Questions and messages that may wait: some seconds of a large cluster whose phones all register anew.
const BACKLOG: usize = 4096;
/// Questions and messages in hand at once: each is a few reads of the store.
const IN_HAND: usize = 32;
/// How long whoever writes mails may take to say that one is sent, as in Kazoo.
const MAIL: Duration = Duration::from_secs(30);
/// Replies that may wait of the one mail that is asked for.
const REPLIES: usize = 16;

/// Hears from now on who asks, and what is stored.
///
/// # Errors
/// The bus refused.
pub(crate) async fn subscribe(context: &Context) -> Result<Subscription, callreel_bus::Error> {
    let bindings = vec![
        Binding::new(Exchange::Presence, MwiQuery::ALL),
        Binding::new(
            Exchange::Kapps,
            RecordingNotice::pattern(RecordingFact::Delivered),
        ),
    ];
    let options = QueueOptions::shared(QUEUE, BACKLOG);
    context.bus.subscribe(options, bindings).await
}

/// Answers who asks and tells of what is stored, as long as the role runs.
pub(crate) async fn serve(context: Arc<Context>, mut inbox: Subscription) {
    let places = Arc::new(Semaphore::new(IN_HAND));
    while let Some((delivery, place)) = inbox::next(&mut inbox, &places).await {
        let context = Arc::clone(&context);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = hear(&context, &delivery).await {
                tracing::warn!(
                    key = delivery.routing_key,
                    error,
                    "voicemail: nobody is told"
                );
            }
        });
    }
}

async fn hear(context: &Arc<Context>, delivery: &Delivery) -> Result<(), String> {
    if delivery.exchange == Exchange::Presence {
        let query = Envelope::<MwiQuery>::from_bytes(&delivery.body).map_err(text)?;
        return answer(context, &query.body).await;
    }
    let notice = Envelope::<RecordingNotice>::from_bytes(&delivery.body).map_err(text)?;
    let Some(id) = notice.body.recording_id else {
        return Ok(());
    };
    stored(context, &notice.body.account_id, &id).await
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Says how many messages wait for a phone's owner, or in the box of a number. Of others nothing is known.
async fn answer(context: &Context, query: &MwiQuery) -> Result<(), String> {
    let MwiQuery { username, realm } = query;
    let view = View::AccountByRealm(realm.clone());
    let found = context.store.query(ACCOUNTS, view).await.map_err(text)?;
    let id = found.first().and_then(|doc| doc["_id"].as_str());
    let Some(account) = id.and_then(|id| AccountId::parse(id).ok()) else {
        return Ok(());
    };
    let Some(counts) = counts_of(context, &account, username).await.map_err(text)? else {
        return Ok(());
    };
    let update = MwiUpdate::new(username, realm, counts.new, counts.saved);
    publish(context, update.asked()).await;
    Ok(())
}

async fn counts_of(
    context: &Context,
    account: &AccountId,
    username: &str,
) -> Result<Option<MessageCounts>, Error> {
    let db = AccountDb::name(account);
    let view = View::DeviceBySipUsername(username.to_owned());
    if let Some(device) = context.store.query(&db, view).await?.first() {
        return match Device::read(device).owner_id {
            Some(owner) => of_owner(context, account, &owner).await.map(Some),
            None => Ok(Some(MessageCounts::default())),
        };
    }
    match mailbox::numbered(&context.store, &db, username).await? {
        Some(vmbox) => mailbox::counts(&context.store, account, &vmbox.id)
            .await
            .map(Some),
        None => Ok(None),
    }
}

/// The messages in all boxes of a user.
async fn of_owner(
    context: &Context,
    account: &AccountId,
    owner: &str,
) -> Result<MessageCounts, Error> {
    let view = View::VmboxesByOwner(owner.to_owned());
    let boxes = context.store.query(&AccountDb::name(account), view).await?;
    let mut counts = MessageCounts::default();
    for vmbox in &boxes {
        let id = vmbox["_id"].as_str().unwrap_or_default();
        counts += mailbox::counts(&context.store, account, id).await?;
    }
    Ok(counts)
}

/// A box's messages have changed: tells those who asked about its number, and its owner's phones. What fails is logged; the next
/// change tells it again.
pub(crate) async fn tell(context: &Context, account: &AccountId, box_id: &str) {
    if let Err(error) = told(context, account, box_id).await {
        tracing::warn!(account_id = %account, box_id, %error, "phones are not told of voicemail");
    }
}

async fn told(context: &Context, account: &AccountId, box_id: &str) -> Result<(), Error> {
    let (store, db) = (&context.store, AccountDb::name(account));
    let realm = lookup::realm(store, account).await?;
    let Some(doc) = lookup::live(store, &db, box_id).await? else {
        return Ok(());
    };
    let vmbox = Vmbox::read(&doc);
    if let Some(number) = &vmbox.mailbox {
        let counts = mailbox::counts(store, account, box_id).await?;
        let update = MwiUpdate::new(number, &realm, counts.new, counts.saved);
        publish(context, update.asked()).await;
    }
    let Some(owner) = &vmbox.owner_id else {
        return Ok(());
    };
    let counts = of_owner(context, account, owner).await?;
    for doc in store
        .query(&db, View::DevicesByOwner(owner.clone()))
        .await?
    {
        let device = Device::read(&doc);
        let Some(username) = &device.username else {
            continue;
        };
        let realm = device.realm.as_deref().unwrap_or(&realm);
        let update = MwiUpdate::new(username, realm, counts.new, counts.saved);
        publish(context, update.clone().asked()).await;
        if device.enabled && device.mwi_unsolicited {
            publish(context, update.unasked()).await;
        }
    }
    Ok(())
}

async fn publish(context: &Context, (key, envelope): (String, Envelope<MwiUpdate>)) {
    context.tell(Exchange::Presence, &key, envelope).await;
}

/// A recording is stored. If it is a voicemail message, people and phones are told.
async fn stored(
    context: &Arc<Context>,
    account: &AccountId,
    id: &RecordingId,
) -> Result<(), String> {
    let db = month_db(account, id.month());
    let found = lookup::live(&context.store, &db, id.as_str()).await;
    let is_message = |doc: &Value| doc["pvt_type"] == pvt_type::MAILBOX_MESSAGE;
    let Some(doc) = found.map_err(text)?.filter(is_message) else {
        return Ok(());
    };
    let box_id = doc["source_id"].as_str().unwrap_or_default();
    tell(context, account, box_id).await;
    let found = lookup::live(&context.store, &AccountDb::name(account), box_id).await;
    let vmbox = found.map_err(text)?.map(|doc| Vmbox::read(&doc));
    let fields = notification(account, id, &doc);
    let after = vmbox.map_or(AfterNotify::Nothing, |vmbox| vmbox.after_notify);
    let folder = match after {
        AfterNotify::Nothing => {
            let (new, saved) = (
                NotificationName::VoicemailNew,
                NotificationName::VoicemailSaved,
            );
            context.notify_people(new, fields.clone()).await;
            context.notify_people(saved, fields).await;
            return Ok(());
        }
        AfterNotify::Save => Folder::Saved,
        AfterNotify::Delete => Folder::Deleted,
    };
    if mailed(context, fields).await.map_err(text)? {
        mailbox::move_message(&context.store, account, box_id, id.as_str(), folder).await?;
        tell(context, account, box_id).await;
    }
    Ok(())
}

/// What is said of a message, from its document.
fn notification(account: &AccountId, id: &RecordingId, doc: &Value) -> Notification {
    let about = &doc["metadata"];
    // Kazoo leaves out what is empty, and takes an empty word for a mistake.
    let said = |key: &str| {
        about[key]
            .as_str()
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
    };
    let halves = |key: &str| {
        let address = said(key).unwrap_or_default();
        let (user, realm) = user_and_realm(&address);
        (Some(user.to_owned()), Some(realm.to_owned()))
    };
    let ((from_user, from_realm), (to_user, to_realm)) = (halves("from"), halves("to"));
    let number = |key: &str| about.get(key).and_then(lenient_u64);
    Notification {
        call_id: said("call_id").map(callreel_proto::CallId::new),
        from_user,
        from_realm,
        to_user,
        to_realm,
        caller_id_name: said("caller_id_name"),
        caller_id_number: said("caller_id_number"),
        voicemail_box: doc["source_id"].as_str().map(str::to_owned),
        voicemail_id: Some(id.to_string()),
        voicemail_timestamp: number("timestamp").and_then(|s| i64::try_from(s).ok()),
        voicemail_length_ms: number("length"),
        ..Notification::new(account.clone())
    }
}

/// Has a new message told, and waits for the word that it went out with the message (Kazoo's `notify_update`): without, it stays.
async fn mailed(context: &Context, fields: Notification) -> Result<bool, callreel_bus::Error> {
    let name = NotificationName::VoicemailNew;
    let queue = context.bus.unique_queue_name();
    let options = QueueOptions {
        name: Some(queue.clone()),
        ..QueueOptions::private(REPLIES)
    };
    let own = vec![Binding::new(Exchange::Targeted, queue.clone())];
    let mut replies = context.bus.subscribe(options, own).await?;
    let mut envelope = fields.into_envelope(name);
    envelope.headers.node.clone_from(&context.node);
    envelope.headers.server_id = Some(queue);
    let bytes = envelope.to_bytes();
    let key = name.routing_key();
    context
        .bus
        .publish(Exchange::Notifications, key, bytes)
        .await?;
    let completed = async {
        while let Some(reply) = replies.recv().await {
            let said: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            match said["Status"].as_str() {
                Some("completed") => return true,
                Some("failed" | "disabled" | "ignored") => return false,
                _ => {}
            }
        }
        false
    };
    Ok(timeout(MAIL, completed).await.unwrap_or(false))
}
