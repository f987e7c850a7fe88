//! Lamps of phones: takes their subscriptions to `message-summary` (RFC 3842, RFC 6665) and tells them how many messages wait,
//! as the bus says. Counts nothing itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_proto::{Envelope, Exchange, MwiQuery, MwiUpdate, user_and_realm};
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::typed::{From, To};
use rsipstack::sip::{Header, Method, Param, SipMessage, StatusCode, StatusCodeKind, Uri};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::Transaction;

use crate::directory::Phone;
use crate::peer::{Peer, reachable, uri_of, way_to};
use crate::requests::authenticated;
use crate::shared::{Shared, locked};

/// The event package.
const PACKAGE: &str = "message-summary";
/// Subscriptions of all phones: some for each of a large cluster's; more are refused.
const MOST: usize = 100_000;
/// Subscriptions of one phone: nobody has more lamps.
const MOST_OF_ONE: usize = 32;
/// Seconds a subscription lives when the phone does not say, and at most (RFC 3842 §3.4 suggests an hour).
const LIFETIME_S: u32 = 3600;
/// Updates that may wait: a cluster's phones that all register anew.
const BACKLOG: usize = 10_000;
/// A phone that subscribes is told at once (RFC 6665 §4.2.1.2): of no messages, if nobody says within this time.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a phone may take to answer a NOTIFY.
const PATIENCE: Duration = Duration::from_secs(5);

/// One subscription.
#[derive(Debug, Clone)]
struct Lamp {
    /// `user@realm`, in small letters.
    whose: String,
    /// The device that asked.
    device: String,
    contact: Uri,
    peer: Peer,
    call_id: String,
    /// Us, with our tag.
    from: From,
    /// The phone, with its tag.
    to: To,
    event: String,
    cseq: u32,
    expires: Instant,
    /// It was told something already.
    told: bool,
}

/// All subscriptions, by Call-ID, and phones that have just registered.
#[derive(Default)]
pub(crate) struct Lamps {
    lamps: Mutex<HashMap<String, Lamp>>,
    newcomers: Mutex<HashSet<String>>,
}

impl Lamps {
    fn put(&self, lamp: Lamp, now: Instant) -> Result<(), StatusCode> {
        let mut lamps = locked(&self.lamps);
        lamps.retain(|_, lamp| lamp.expires > now);
        let others = lamps.values().filter(|l| l.device == lamp.device).count();
        let renews = lamps.contains_key(&lamp.call_id);
        if !renews && (lamps.len() >= MOST || others >= MOST_OF_ONE) {
            return Err(StatusCode::Forbidden);
        }
        lamps.insert(lamp.call_id.clone(), lamp);
        Ok(())
    }

    /// The lamps of these messages, each with the number of its next NOTIFY.
    fn due(&self, whose: &str, now: Instant) -> Vec<Lamp> {
        let mut lamps = locked(&self.lamps);
        let of_them = lamps
            .values_mut()
            .filter(|lamp| lamp.whose == whose && lamp.expires > now);
        of_them.map(Lamp::turn).collect()
    }

    /// This one, if nobody has told it anything yet.
    fn untold(&self, call_id: &str) -> Option<Lamp> {
        let mut lamps = locked(&self.lamps);
        lamps
            .get_mut(call_id)
            .filter(|lamp| !lamp.told)
            .map(Lamp::turn)
    }

    fn forget(&self, call_id: &str) -> Option<Lamp> {
        locked(&self.lamps).remove(call_id)
    }
}

impl Lamp {
    fn turn(&mut self) -> Self {
        self.cseq += 1;
        self.told = true;
        self.clone()
    }
}

/// Hears updates from here on.
///
/// # Errors
/// The bus refused.
pub(crate) async fn subscribe(bus: &Bus) -> Result<Subscription, callreel_bus::Error> {
    let bindings = [MwiUpdate::ASKED, MwiUpdate::UNASKED];
    let bindings = bindings.map(|key| Binding::new(Exchange::Presence, key));
    bus.subscribe(QueueOptions::private(BACKLOG), bindings.to_vec())
        .await
}

/// Tells phones what the bus says, until it ends.
pub(crate) async fn serve(shared: Arc<Shared>, mut updates: Subscription) {
    while let Some(delivery) = updates.recv().await {
        match Envelope::<MwiUpdate>::from_bytes(&delivery.body) {
            Ok(update) => told(&shared, &update),
            Err(error) => shared.note("an update of waiting messages", error),
        }
    }
}

fn told(shared: &Arc<Shared>, update: &Envelope<MwiUpdate>) {
    let body = &update.body;
    let whose = body.to.to_ascii_lowercase();
    let now = Instant::now();
    let lamps = shared.lamps.due(&whose, now);
    let unasked = update.headers.event_name == "mwi_unsolicited_update";
    let newcomer = locked(&shared.lamps.newcomers).remove(&whose);
    let phones = (lamps.is_empty() && (unasked || newcomer)).then(|| unasked_of(shared, body, now));
    for lamp in lamps.into_iter().chain(phones.into_iter().flatten()) {
        tell(shared, lamp, body);
    }
}

/// A phone's registrations, as if each had asked.
fn unasked_of(shared: &Shared, update: &MwiUpdate, now: Instant) -> Vec<Lamp> {
    let (user, realm) = update.address();
    let found = locked(&shared.location).find(now, user, Some(realm), None);
    let own = uri_of(user, realm);
    found
        .into_iter()
        .map(|binding| Lamp {
            whose: update.to.clone(),
            device: binding.device,
            peer: binding.peer,
            contact: binding.contact,
            call_id: String::new(),
            from: From {
                display_name: None,
                uri: own.clone(),
                params: vec![Param::Tag(callreel_proto::random_hex(8).into())],
            },
            to: To {
                display_name: None,
                uri: own.clone(),
                params: Vec::new(),
            },
            event: PACKAGE.to_owned(),
            cseq: 1,
            expires: now,
            told: true,
        })
        .collect()
}

fn tell(shared: &Arc<Shared>, lamp: Lamp, update: &MwiUpdate) {
    let (tasks, shared, update) = (shared.tasks.clone(), shared.clone(), update.clone());
    tasks.spawn(async move {
        let call_id = lamp.call_id.clone();
        let sent = tokio::time::timeout(PATIENCE, notify(&shared, lamp, &update)).await;
        match sent {
            // RFC 6665 §4.2.2: who does not know the subscription any more has none.
            Ok(Ok(Some(StatusCode::CallTransactionDoesNotExist))) => {
                drop(shared.lamps.forget(&call_id));
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a lamp was not told"),
            Err(_) => tracing::debug!("a phone did not answer the word about its lamp"),
        }
    });
}

/// One NOTIFY; gives its answer.
async fn notify(
    shared: &Shared,
    lamp: Lamp,
    update: &MwiUpdate,
) -> rsipstack::Result<Option<StatusCode>> {
    let left = lamp
        .expires
        .saturating_duration_since(Instant::now())
        .as_secs();
    let state = match left {
        0 => "terminated;reason=timeout".to_owned(),
        left => format!("active;expires={left}"),
    };
    let via = shared.sip.get_via(None, None)?;
    let uri = reachable(&lamp.contact, lamp.peer);
    let call_id = (!lamp.call_id.is_empty()).then(|| lamp.call_id.clone().into());
    let mut request = shared.sip.make_request(
        Method::Notify,
        uri,
        via,
        lamp.from,
        lamp.to,
        lamp.cseq,
        call_id,
    );
    let contact = shared.own.contact(lamp.peer);
    request.body = summary(update).into_bytes();
    let length = u32::try_from(request.body.len()).unwrap_or(0);
    for header in [
        Header::Contact(format!("<{contact}>").into()),
        Header::Event(lamp.event.into()),
        Header::SubscriptionState(state.into()),
        Header::ContentType("application/simple-message-summary".into()),
        Header::ContentLength(length.into()),
    ] {
        request.headers.push(header);
    }
    let key = TransactionKey::from_request(&request, TransactionRole::Client)?;
    let mut tx = Transaction::new_client(key, request, shared.sip.clone(), None);
    tx.destination = Some(way_to(&lamp.contact, lamp.peer).sip_addr());
    tx.send().await?;
    while let Some(message) = tx.receive().await {
        if let SipMessage::Response(response) = message
            && response.status_code.kind() != StatusCodeKind::Provisional
        {
            return Ok(Some(response.status_code));
        }
    }
    Ok(None)
}

/// The body of a NOTIFY (RFC 3842 §5.2).
fn summary(update: &MwiUpdate) -> String {
    let waiting = if update.new > 0 { "yes" } else { "no" };
    let (user, realm) = update.address();
    format!(
        "Messages-Waiting: {waiting}\r\nMessage-Account: sip:{user}@{realm}\r\nVoice-Message: {}/{} (0/0)\r\n",
        update.new, update.saved
    )
}

/// SUBSCRIBE.
pub(crate) async fn take(shared: &Arc<Shared>, mut tx: Transaction) -> rsipstack::Result<()> {
    let event = tx
        .original
        .header_value("Event")
        .unwrap_or_default()
        .to_owned();
    let package = event.split(';').next().unwrap_or_default().trim();
    if !package.eq_ignore_ascii_case(PACKAGE) {
        let allow = Header::Other("Allow-Events".into(), PACKAGE.into());
        return tx.reply_with(StatusCode::BadEvent, vec![allow], None).await;
    }
    let Some(phone) = authenticated(shared, &mut tx).await? else {
        return Ok(());
    };
    let asked = tx.original.expires_header();
    let asked = asked.and_then(|h| h.value().trim().parse::<u32>().ok());
    let seconds = asked.unwrap_or(LIFETIME_S).min(LIFETIME_S);
    // Before it gets our tag.
    let within = tx.original.to_header()?.tag()?.is_some();
    let Some(lamp) = lamp(&mut tx, &phone, event, seconds) else {
        return tx.reply(StatusCode::BadRequest).await;
    };
    let (call_id, whose, known) = (
        lamp.call_id.clone(),
        lamp.whose.clone(),
        shared.lamps.forget(&lamp.call_id),
    );
    if within
        && known
            .as_ref()
            .is_none_or(|known| known.device != lamp.device)
    {
        return tx.reply(StatusCode::CallTransactionDoesNotExist).await;
    }
    let lamp = Lamp {
        cseq: known.map_or(0, |known| known.cseq),
        ..lamp
    };
    let contact = shared.own.contact(lamp.peer);
    let last = lamp.clone();
    if let Err(refused) = shared.lamps.put(lamp, Instant::now()) {
        return tx.reply(refused).await;
    }
    let headers = vec![
        Header::Expires(seconds.to_string().into()),
        Header::Contact(format!("<{contact}>").into()),
    ];
    tx.reply_with(StatusCode::OK, headers, None).await?;
    let none = || {
        let (user, realm) = user_and_realm(&whose);
        MwiUpdate::new(user, realm, 0, 0)
    };
    if seconds == 0 {
        drop(shared.lamps.forget(&call_id));
        tell(
            shared,
            Lamp {
                cseq: last.cseq + 1,
                ..last
            },
            &none(),
        );
        return Ok(());
    }
    ask(shared, &whose).await;
    tokio::time::sleep(ANSWER).await;
    if let Some(lamp) = shared.lamps.untold(&call_id) {
        tell(shared, lamp, &none());
    }
    Ok(())
}

/// What a SUBSCRIBE asks for; none if it is not whole.
fn lamp(tx: &mut Transaction, phone: &Phone, event: String, seconds: u32) -> Option<Lamp> {
    let peer = Peer::of(tx)?;
    let to = tx.original.to_header().ok()?;
    if to.tag().ok()?.is_none() {
        let tagged = to.clone().with_tag(callreel_proto::random_hex(16).into());
        tx.original.headers.unique_push(tagged.into());
    }
    let request = &tx.original;
    let (to, from) = (request.to_header().ok()?, request.from_header().ok()?);
    let (to, from) = (to.typed().ok()?, from.typed().ok()?);
    let contact = request.typed_contact_headers().ok()?.into_iter().next()?;
    let user = to.uri.user().filter(|user| !user.is_empty())?;
    Some(Lamp {
        whose: format!("{user}@{}", phone.realm).to_ascii_lowercase(),
        device: phone.device.id.clone(),
        contact: crate::peer::unescaped(contact.uri),
        peer,
        call_id: request.call_id_header().ok()?.value().to_owned(),
        from: From {
            display_name: None,
            uri: to.uri,
            params: to.params,
        },
        to: To {
            display_name: None,
            uri: from.uri,
            params: from.params,
        },
        event,
        cseq: 0,
        expires: Instant::now() + Duration::from_secs(seconds.into()),
        told: false,
    })
}

/// A phone has registered that was not there: it is told of its owner's messages, though it may not ask.
pub(crate) async fn registered(shared: &Shared, phone: &Phone) {
    if phone.device.owner_id.is_none() || !phone.device.mwi_unsolicited {
        return;
    }
    let whose = format!("{}@{}", phone.username, phone.realm).to_ascii_lowercase();
    let room = {
        let mut newcomers = locked(&shared.lamps.newcomers);
        if newcomers.len() >= BACKLOG {
            // Of whom nobody knew anything: they have had their time.
            newcomers.clear();
        }
        newcomers.insert(whose.clone())
    };
    if room {
        ask(shared, &whose).await;
    }
}

async fn ask(shared: &Shared, whose: &str) {
    let (username, realm) = user_and_realm(whose);
    let query = MwiQuery {
        username: username.to_owned(),
        realm: realm.to_owned(),
    };
    let key = query.routing_key();
    let envelope = query.into_envelope();
    shared.tell(Exchange::Presence, &key, envelope).await;
}
