//! Answers a cursor's questions from the account's documents, and finds the callflow of a new call.

mod endpoints;
pub(crate) mod restrictions;
mod trunks;

use callreel_callflow::{
    Answer, CallingParty, Captures, Dialled, EndpointRules, Network, Query, Standing,
    metaflow::MetaflowRules,
};
use callreel_proto::{
    Account, AccountDb, AccountId, CallflowConfig, Device, MediaConfig, RouteReq, User, Vmbox,
};
use callreel_store::{Error, View, is_soft_deleted};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use serde_json::Value;

use crate::{documents::Documents, mailbox, pattern};

/// Lists that one step looks a caller up in: nobody keeps as many.
const MOST_LISTS: usize = 50;

/// The callflow that a dialled number runs: the one that lists it, else the one whose pattern matches most of it, else the
/// account's `no_match`, which is for numbers that a carrier may know: digits, behind a `+` or not.
pub(crate) async fn callflow_of(
    store: &Documents,
    account: &AccountId,
    number: &str,
) -> Result<Option<Dialled>, Error> {
    let db = AccountDb::name(account);
    let listing = |wanted: &str| store.query(&db, View::CallflowsByNumber(wanted.to_owned()));
    let listed = |document, fallback| Dialled {
        document,
        captures: Captures::default(),
        fallback,
    };
    if let Some(document) = listing(number).await?.into_iter().next() {
        return Ok(Some(listed(document, false)));
    }
    let patterns = store.listed(&db, View::CallflowPatterns).await?;
    if let Some(found) = pattern::longest(number, &patterns) {
        return Ok(Some(found));
    }
    if !is_diallable(number) {
        return Ok(None);
    }
    let fallback = listing("no_match").await?.into_iter().next();
    Ok(fallback.map(|document| listed(document, true)))
}

/// Whether it is a number as carriers know them (Kazoo's `cf_flow`).
fn is_diallable(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// `system_config/callflow`, or Kazoo's defaults.
pub(crate) async fn callflow_config(store: &Documents) -> CallflowConfig {
    CallflowConfig::read(&system_config(store, "callflow").await)
}

/// A document of settings; null if there is none, or it cannot be read.
async fn system_config(store: &Documents, id: &str) -> Value {
    match store.get(callreel_store::SYSTEM_CONFIG, id).await {
        Ok(doc) => doc.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "system_config/{id} not read; the defaults hold");
            Value::Null
        }
    }
}

/// `system_config/media`, or Kazoo's defaults. An account whose storage plan says where its recordings go has them stored,
/// whatever the settings of all accounts say.
pub(crate) async fn media_config(store: &Documents, account: &AccountId) -> MediaConfig {
    let mut media = media_settings(store).await;
    media.store_recordings = media.store_recordings || has_storage_plan(store, account).await;
    media
}

/// A recording that turns out to go nowhere else is in the account's database; one that was not made is nowhere.
async fn has_storage_plan(store: &Documents, account: &AccountId) -> bool {
    callreel_attachments::stores(store.raw(), account)
        .await
        .unwrap_or_else(|error| {
            tracing::warn!(account_id = %account, %error, "storage plan not read; it counts as one that stores recordings");
            true
        })
}

async fn media_settings(store: &Documents) -> MediaConfig {
    MediaConfig::read(&system_config(store, "media").await)
}

/// The answer to a cursor's question. A store that fails counts as a document that is missing, and is logged.
pub(crate) async fn answer(store: &Documents, account: &AccountId, query: &Query) -> Answer {
    match look_up(store, account, query).await {
        Ok(Some(answer)) => answer,
        Ok(None) => Answer::Missing,
        Err(error) => {
            tracing::warn!(account_id = %account, ?query, %error, "look-up failed; the flow goes on without");
            Answer::Missing
        }
    }
}

async fn look_up(
    store: &Documents,
    account: &AccountId,
    query: &Query,
) -> Result<Option<Answer>, Error> {
    let db = AccountDb::name(account);
    let found = match query {
        Query::Callflow { id } => live(store, &db, id).await?.map(Answer::Flow),
        Query::Vmbox { id } => live(store, &db, id)
            .await?
            .map(|doc| Answer::Vmbox(Box::new(Vmbox::read(&doc)))),
        Query::Endpoints { members } => {
            let found = endpoints::endpoints(store, account, members).await?;
            Some(Answer::Endpoints(found))
        }
        Query::Mailbox(query) => mailbox::read(store, account, query).await?,
        Query::Document { id } => live(store, &db, id).await?.map(Answer::Document),
        Query::Documents { ids } => Some(Answer::Documents(several(store, &db, ids).await?)),
        Query::DocumentsOf { pvt_type } => {
            let view = View::OfType(pvt_type.clone());
            Some(Answer::Documents(store.query(&db, view).await?))
        }
        Query::EntriesOf { lists } => {
            let mut entries = Vec::new();
            for list in lists.iter().take(MOST_LISTS) {
                let view = View::EntriesOfList(list.clone());
                entries.extend(store.query(&db, view).await?);
            }
            Some(Answer::Documents(entries))
        }
        Query::UsersIn { directory } => {
            let view = View::UsersInDirectory(directory.clone());
            Some(Answer::Documents(store.query(&db, view).await?))
        }
        Query::Dialled { number } => callflow_of(store, account, number)
            .await?
            .map(|found| Answer::Dialled(Box::new(found))),
        Query::Change { id, set } => store.change(&db, id, set).await?.map(Answer::Document),
        Query::Trunks {
            hunt,
            device,
            caller_only,
        } => {
            let (hunt, device) = (hunt.as_deref(), device.as_deref());
            let mut found = trunks::caller(store, account, device).await?;
            found.global = hunt.is_none();
            if !caller_only {
                found.resources = trunks::of(store, account, hunt).await?;
            }
            Some(Answer::Trunks(Box::new(found)))
        }
        // Asked of the web and of the calls there are, not of documents.
        Query::Pivot(_) | Query::Parking(_) => None,
        Query::LocalTime { timezone } => {
            let time = local_time(store, account, timezone.as_deref()).await?;
            Some(Answer::LocalTime(time))
        }
    };
    Ok(found)
}

/// A document, unless it was deleted the soft way.
pub(crate) async fn live(store: &Documents, db: &str, id: &str) -> Result<Option<Value>, Error> {
    let doc = store.get(db, id).await?;
    Ok(doc.filter(|doc| !is_soft_deleted(doc)))
}

/// Those of the documents that are there.
async fn several(store: &Documents, db: &str, ids: &[String]) -> Result<Vec<Value>, Error> {
    let mut found = Vec::new();
    for id in ids {
        found.extend(live(store, db, id).await?);
    }
    Ok(found)
}

/// The date and time at a place, else where the account is, else UTC.
async fn local_time(
    store: &Documents,
    account: &AccountId,
    place: Option<&str>,
) -> Result<Zoned, Error> {
    let zone = zone(store, account, place).await?;
    Ok(Timestamp::now().to_zoned(zone))
}

/// The time zone of a place, else of the account, else UTC.
pub(crate) async fn zone(
    store: &Documents,
    account: &AccountId,
    place: Option<&str>,
) -> Result<TimeZone, Error> {
    let own = match place {
        Some(place) => Some(place.to_owned()),
        None => {
            let db = AccountDb::name(account);
            let doc = store.get(&db, account.as_str()).await?.unwrap_or_default();
            doc.get("timezone")
                .and_then(Value::as_str)
                .map(str::to_owned)
        }
    };
    Ok(own.map_or(TimeZone::UTC, |name| {
        TimeZone::get(&name).unwrap_or_else(|error| {
            tracing::warn!(account_id = %account, timezone = name, %error, "there is no such timezone; UTC is used");
            TimeZone::UTC
        })
    }))
}

/// The documents that say what holds for a party of a call: the account's, and its device's and user's if it is one of the
/// account's own. Null where there is none.
#[derive(Default)]
pub(crate) struct PartyDocs {
    /// Whether the account's could be read.
    account_read: bool,
    account: Value,
    device: Value,
    user: Value,
}

/// What a flow is told of its caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallerFacts {
    /// The user the calling device belongs to.
    pub(crate) owner_id: Option<String>,
    /// The nearest document's: the device's, the user's, the account's.
    pub(crate) language: Option<String>,
}

/// The documents of a party. What cannot be read is as if it were not there.
pub(crate) async fn party(
    store: &Documents,
    account: &AccountId,
    device: Option<&str>,
) -> PartyDocs {
    let mut docs = PartyDocs::default();
    if let Err(error) = docs.read(store, account, device).await {
        tracing::error!(account_id = %account, device, %error, "what is wanted recorded of a party, and its feature codes, cannot be read");
    }
    docs
}

impl PartyDocs {
    async fn read(
        &mut self,
        store: &Documents,
        account: &AccountId,
        device: Option<&str>,
    ) -> Result<(), Error> {
        let db = AccountDb::name(account);
        self.account = store.get(&db, account.as_str()).await?.unwrap_or_default();
        self.account_read = true;
        if let Some(id) = device {
            self.device = live(store, &db, id).await?.unwrap_or_default();
        }
        if let Some(owner) = Device::read(&self.device).owner_id {
            self.user = live(store, &db, &owner).await?.unwrap_or_default();
        }
        Ok(())
    }

    /// What the account's documents want recorded of this party's call, whatever its flow says.
    pub(crate) fn standing(&self, route: &RouteReq, found: &Dialled) -> Standing {
        let code = found.document.get("featurecode").and_then(Value::as_object);
        let network = |outside: bool| match outside {
            true => Network::Offnet,
            false => Network::Onnet,
        };
        Standing {
            from: network(route.channel_var("Inception").is_some()),
            to: network(found.fallback),
            account: Account::read(&self.account).call_recording,
            caller: (!self.device.is_null()).then(|| {
                let owner = (!self.user.is_null()).then(|| User::read(&self.user));
                EndpointRules::of(&Device::read(&self.device), owner.as_ref())
            }),
            feature_code: code.is_some_and(|code| !code.is_empty()),
        }
    }

    /// Who the caller is to a flow.
    pub(crate) fn facts(&self) -> CallerFacts {
        let language = |doc: &Value| {
            doc.get("language")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let docs = [&self.device, &self.user, &self.account];
        CallerFacts {
            owner_id: Device::read(&self.device).owner_id,
            language: docs.into_iter().find_map(language),
        }
    }

    /// The account's public key, to which its recordings are sealed.
    pub(crate) fn recipient(&self) -> Option<String> {
        if self.account_read {
            return Account::read(&self.account).public_key();
        }
        Some(UNREAD.to_owned())
    }

    /// The music that whom this party holds hears, as the nearest document names it.
    pub(crate) fn hold_media(&self) -> Option<String> {
        let device = Device::read(&self.device).hold_media;
        device
            .or_else(|| User::read(&self.user).hold_media)
            .or_else(|| Account::read(&self.account).hold_media)
    }

    /// This party's feature codes.
    pub(crate) fn metaflows(&self) -> MetaflowRules {
        let of = |doc: &Value| doc.get("metaflows").cloned().unwrap_or_default();
        MetaflowRules {
            account: of(&self.account),
            callflow: Value::Null,
            device: of(&self.device),
            user: of(&self.user),
        }
    }

    /// Whose calls may be restricted: none if the caller is none of the account's own.
    fn calling(&self) -> Option<CallingParty<'_>> {
        let own = !self.device.is_null() || !self.user.is_null();
        own.then_some(CallingParty {
            account: &self.account,
            device: &self.device,
            user: &self.user,
        })
    }

    /// The callflow that every call of the account runs first (Kazoo's `preflow.always`), if it has one.
    pub(crate) fn preflow(&self) -> Option<String> {
        let id = self.account.pointer("/preflow/always")?.as_str()?;
        (!id.is_empty()).then(|| id.to_owned())
    }

    /// The account's SIP realm, if it has one.
    pub(crate) fn realm(&self) -> Option<String> {
        let realm = Account::read(&self.account).realm;
        realm.filter(|realm| !realm.is_empty())
    }

    /// The `user@realm` whose presence the device's calls are: its `presence_id`, else its SIP username.
    pub(crate) fn presence_id(&self) -> Option<String> {
        let own = self.device.get("presence_id").and_then(Value::as_str);
        let device = Device::read(&self.device);
        let user = own.map(str::to_owned).or(device.username)?;
        if user.contains('@') {
            return Some(user);
        }
        let realm = device.realm.or_else(|| self.realm())?;
        Some(format!("{user}@{realm}"))
    }
}

/// What stands for an account's public key when nobody could see whether it has one: no key, so that delivery looks again
/// before anything is sent open.
const UNREAD: &str = "(the account's document could not be read)";

/// The account's public key, to which its recordings are sealed.
pub(crate) async fn recipient(store: &Documents, account: &AccountId) -> Option<String> {
    let mut docs = PartyDocs::default();
    if let Err(error) = docs.read(store, account, None).await {
        tracing::error!(account_id = %account, %error, "whether the account has a public key cannot be read; its recordings wait until it can");
    }
    docs.recipient()
}

/// The device that a caller is, if it is one of the account's own.
pub(crate) fn calling_device(route: &RouteReq) -> Option<&str> {
    let is_device = route.channel_var("Authorizing-Type") == Some("device");
    route.channel_var("Authorizing-ID").filter(|_| is_device)
}

/// The account's SIP realm; empty if it has none.
pub(crate) async fn realm(store: &Documents, account: &AccountId) -> Result<String, Error> {
    let doc = store
        .get(&AccountDb::name(account), account.as_str())
        .await?
        .unwrap_or_default();
    Ok(Account::read(&doc).realm.unwrap_or_default())
}
