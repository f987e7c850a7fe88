//! The parking slots of an account: a document each, as Kazoo has them. Two who want one slot do not both get it; a slot whose
//! call is gone is free. Never decides what becomes of a call.

use std::collections::HashSet;
use std::time::Duration;

use callreel_bus::{Binding, QueueOptions};
use callreel_callflow::{Answer, ParkedCall, ParkingAnswer, ParkingQuery, ParkingSlot};
use callreel_proto::{
    AccountDb, AccountId, CallId, ChannelStatus, ChannelStatusReq, ChannelStatusResp, Device,
    Envelope, Exchange, Headers, lenient_bool, pvt_type, random_hex,
};
use callreel_store::{Error, View};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{context::Context, lookup};

/// The first slot that is chosen for a call, as in Kazoo.
const FIRST_SLOT: u64 = 101;
/// How often somebody else may be faster in taking a slot: each time another slot is taken, or somebody is told that it is taken.
const TRIES: usize = 16;
/// How long switches are given to say that a channel lives: Kazoo's own requesters wait so long.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);
/// Channels that are asked after at once.
const ASKED: usize = 64;
/// Answers that may wait to be read, to all that is asked at once: few switches know the same channel.
const STATUSES: usize = 256;
/// Kazoo's `valet_reservation_cleanup_time_ms`: so long after the phone that asked for a slot has hung up, the call may come that
/// it asked for. No event tells of one that does not.
const KEPT: Duration = Duration::from_secs(3);

/// The answer to a cursor's question. What fails is logged, and counts as missing.
pub(crate) async fn answer(context: &Context, account: &AccountId, query: &ParkingQuery) -> Answer {
    let slots = Slots {
        context,
        account,
        db: AccountDb::name(account),
    };
    let answer = match query {
        ParkingQuery::Take {
            slot,
            highest,
            call,
        } => slots.take(slot.as_deref(), *highest, call).await.map(Some),
        ParkingQuery::Find { slot } => slots.find(slot).await,
        ParkingQuery::Replace { replaced, call } => slots.replace(replaced, call).await,
    };
    match answer {
        Ok(Some(answer)) => Answer::Parking(answer),
        Ok(None) => Answer::Missing,
        Err(error) => {
            tracing::error!(account_id = %account, %query, %error, "parking: the flow goes on without");
            Answer::Missing
        }
    }
}

/// The slot is free, if this call is in it.
pub(crate) async fn free(
    context: &Context,
    account: &AccountId,
    slot: &str,
    call: &CallId,
    later: bool,
) {
    if later {
        tokio::time::sleep(KEPT).await;
    }
    let db = AccountDb::name(account);
    if let Err(error) = try_to_free(context, &db, slot, call).await {
        // Whoever wants the slot next asks the switches.
        tracing::warn!(account_id = %account, slot, %error, "a parking slot still has a call that has left it");
    }
}

async fn try_to_free(context: &Context, db: &str, slot: &str, call: &CallId) -> Result<(), Error> {
    let store = context.store.raw();
    loop {
        let Some(mut doc) = store.get(db, &id_of(slot)).await? else {
            return Ok(());
        };
        if call_in(&doc).as_ref() != Some(call) {
            return Ok(());
        }
        if let Some(doc) = doc.as_object_mut() {
            doc.remove("slot");
        }
        match store.put(db, doc).await {
            Err(Error::Conflict { .. }) => {}
            done => return done.map(drop),
        }
    }
}

struct Slots<'a> {
    context: &'a Context,
    account: &'a AccountId,
    db: String,
}

impl Slots<'_> {
    async fn take(
        &self,
        wanted: Option<&str>,
        highest: Option<u64>,
        call: &ParkedCall,
    ) -> Result<ParkingAnswer, Error> {
        let facts = self.facts(call).await?;
        match wanted {
            Some(slot) => {
                let beyond = |highest| slot.parse::<u64>().is_ok_and(|number| number > highest);
                if highest.is_some_and(beyond) {
                    return Ok(ParkingAnswer::Full);
                }
                let slot = slot.to_owned();
                self.take_this(ParkingSlot { slot, ..facts }, call).await
            }
            None => self.take_any(highest, &facts, call).await,
        }
    }

    /// This slot, unless it has a call that lives.
    async fn take_this(
        &self,
        ours: ParkingSlot,
        call: &ParkedCall,
    ) -> Result<ParkingAnswer, Error> {
        for _ in 0..TRIES {
            let doc = self.store().get(&self.db, &id_of(&ours.slot)).await?;
            if let Some(other) = doc.as_ref().and_then(slot_of)
                && !is_for(&other, call)
                && self.lives(&other.call_id).await
            {
                break;
            }
            match self.write(doc, &ours, call).await {
                Ok(()) => return Ok(ParkingAnswer::Parked(ours)),
                // Somebody was faster: whoever it is has the slot now, or has left it.
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ParkingAnswer::Occupied(ours))
    }

    /// The first slot without a call; if each has one, the first whose call is gone.
    async fn take_any(
        &self,
        highest: Option<u64>,
        facts: &ParkingSlot,
        call: &ParkedCall,
    ) -> Result<ParkingAnswer, Error> {
        for _ in 0..TRIES {
            let docs = self.slots().await?;
            let slot = match first_free(&docs, highest) {
                Some(slot) => slot,
                None => match self.first_left(&docs, highest).await {
                    Some(slot) => slot,
                    None => break,
                },
            };
            let id = id_of(&slot);
            let doc = docs.into_iter().find(|doc| doc["_id"] == id.as_str());
            let ours = ParkingSlot {
                slot,
                ..facts.clone()
            };
            match self.write(doc, &ours, call).await {
                Ok(()) => return Ok(ParkingAnswer::Parked(ours)),
                // Somebody was faster: another slot may be free.
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ParkingAnswer::Full)
    }

    /// The first slot whose call no switch has. Asked for some at once: where one of them is gone, that ends the search.
    async fn first_left(&self, docs: &[Value], highest: Option<u64>) -> Option<String> {
        let mut taken = numbered(docs, highest);
        // A slot that is kept comes last: its keeper has hung up, and the call it is kept for may be on its way.
        taken.sort_unstable_by_key(|(number, slot)| (slot.attended, *number));
        for some in taken.chunks(ASKED) {
            let calls = some.iter().map(|(_, slot)| &slot.call_id);
            let live = self.alive(calls.collect()).await;
            let left = some.iter().find(|(_, slot)| !live.contains(&slot.call_id));
            if let Some((_, slot)) = left {
                return Some(slot.slot.clone());
            }
        }
        None
    }

    async fn find(&self, slot: &str) -> Result<Option<ParkingAnswer>, Error> {
        let doc = self.store().get(&self.db, &id_of(slot)).await?;
        Ok(doc.as_ref().and_then(slot_of).map(ParkingAnswer::Parked))
    }

    async fn replace(
        &self,
        replaced: &CallId,
        call: &ParkedCall,
    ) -> Result<Option<ParkingAnswer>, Error> {
        let facts = self.facts(call).await?;
        for _ in 0..TRIES {
            let kept = self.slots().await?.into_iter();
            let kept = kept.filter(|doc| call_in(doc).as_ref() == Some(replaced));
            let Some((doc, slot)) = kept
                .filter_map(|doc| slot_of(&doc).map(|s| (doc, s)))
                .next()
            else {
                return Ok(None);
            };
            let ours = ParkingSlot {
                slot: slot.slot,
                ringback_id: slot.ringback_id.or_else(|| facts.ringback_id.clone()),
                ..facts.clone()
            };
            match self.write(Some(doc), &ours, call).await {
                Ok(()) => return Ok(Some(ParkingAnswer::Parked(ours))),
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn store(&self) -> &callreel_store::Store {
        // What is remembered of a slot for some seconds may be another's by now.
        self.context.store.raw()
    }

    async fn slots(&self) -> Result<Vec<Value>, Error> {
        let view = View::OfType(pvt_type::PARKED_CALL.to_owned());
        self.store().query(&self.db, view).await
    }

    /// What is known of the call's parker; the slot is not chosen yet.
    async fn facts(&self, call: &ParkedCall) -> Result<ParkingSlot, Error> {
        let store = &self.context.store;
        let device = match &call.parker {
            Some(user) => {
                let view = View::DeviceBySipUsername(user.clone());
                store.query(&self.db, view).await?.first().map(Device::read)
            }
            None => None,
        };
        let device = device.map(|device| device.id);
        let party = lookup::party(store, self.account, device.as_deref()).await;
        Ok(ParkingSlot {
            slot: String::new(),
            call_id: call.call_id.clone(),
            attended: call.attended,
            ringback_id: device,
            hold_media: party.hold_media(),
        })
    }

    /// Puts the call into the slot, unless somebody has changed that since it was read.
    async fn write(
        &self,
        doc: Option<Value>,
        slot: &ParkingSlot,
        call: &ParkedCall,
    ) -> Result<(), Error> {
        let mut doc = doc.unwrap_or_else(|| {
            json!({
                "_id": id_of(&slot.slot),
                "pvt_type": pvt_type::PARKED_CALL,
                "pvt_account_id": self.account,
                "pvt_account_db": self.db,
            })
        });
        doc["slot"] = json!({
            "Call-ID": slot.call_id,
            "Attended": slot.attended,
            "Ringback-ID": slot.ringback_id,
            "Hold-Media": slot.hold_media,
            "CID-Name": call.name,
            "CID-Number": call.number,
            "CID-URI": call.uri,
        });
        self.store().put(&self.db, doc).await.map(drop)
    }

    async fn lives(&self, call_id: &CallId) -> bool {
        self.alive(HashSet::from([call_id])).await.contains(call_id)
    }

    /// Which of these channels a switch has. If nobody can be asked, all.
    async fn alive<'c>(&self, calls: HashSet<&'c CallId>) -> HashSet<&'c CallId> {
        match ask_after(self.context, &calls).await {
            Ok(alive) => alive,
            Err(error) => {
                tracing::warn!(?calls, %error, "parked calls cannot be asked after; they count as ones that wait");
                calls
            }
        }
    }
}

/// Which of these channels a switch says it has.
async fn ask_after<'c>(
    context: &Context,
    calls: &HashSet<&'c CallId>,
) -> Result<HashSet<&'c CallId>, callreel_bus::Error> {
    let bus = &context.bus;
    let queue = bus.unique_queue_name();
    let options = QueueOptions {
        name: Some(queue.clone()),
        ..QueueOptions::private(STATUSES)
    };
    let binding = Binding::new(Exchange::Targeted, &queue);
    let mut answers = bus.subscribe(options, vec![binding]).await?;
    for call_id in calls {
        let (key, bytes) = question(context, call_id, &queue);
        bus.publish(Exchange::Callevt, &key, bytes).await?;
    }
    let mut alive = HashSet::new();
    let until = Instant::now() + STATUS_PATIENCE;
    while alive.len() < calls.len()
        && let Ok(Some(answer)) = timeout_at(until, answers.recv()).await
    {
        let answer = Envelope::<ChannelStatusResp>::from_bytes(&answer.body);
        let answer = answer.map(|answer| answer.body).ok();
        let answer = answer.filter(|answer| answer.status != ChannelStatus::Terminated);
        alive.extend(answer.and_then(|answer| calls.get(&answer.call_id)));
    }
    Ok(alive)
}

/// Whether a switch has this channel, to be answered to this queue.
fn question(context: &Context, call_id: &CallId, queue: &str) -> (String, Vec<u8>) {
    let body = ChannelStatusReq {
        call_id: call_id.clone(),
        active_only: Some(true),
    };
    let key = body.routing_key();
    let mut headers = Headers::new("call_event", ChannelStatusReq::NAME)
        .msg_id(random_hex(32))
        .server_id(queue.to_owned());
    headers.node.clone_from(&context.node);
    (key, Envelope { headers, body }.to_bytes())
}

/// The slots that have a number from the first one to the highest, and a call.
fn numbered(docs: &[Value], highest: Option<u64>) -> Vec<(u64, ParkingSlot)> {
    let slots = docs.iter().filter_map(|doc| {
        let slot = slot_of(doc)?;
        Some((slot.slot.parse().ok()?, slot))
    });
    let meant = FIRST_SLOT..=highest.unwrap_or(u64::MAX);
    slots.filter(|(number, _)| meant.contains(number)).collect()
}

/// The first slot without a call.
fn first_free(docs: &[Value], highest: Option<u64>) -> Option<String> {
    let taken = numbered(docs, highest);
    let taken: HashSet<u64> = taken.into_iter().map(|(number, _)| number).collect();
    let mut numbers = FIRST_SLOT..=highest.unwrap_or(u64::MAX);
    let free = numbers.find(|number| !taken.contains(number))?;
    Some(free.to_string())
}

/// Kazoo's id of a slot's document.
fn id_of(slot: &str) -> String {
    format!("{PREFIX}{slot}")
}

const PREFIX: &str = "parking-slot-";

/// The slot of a document, if there is a call in it.
fn slot_of(doc: &Value) -> Option<ParkingSlot> {
    let slot = doc.get("slot")?;
    let text = |key: &str| slot.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(ParkingSlot {
        slot: doc.get("_id")?.as_str()?.strip_prefix(PREFIX)?.to_owned(),
        call_id: CallId::new(text("Call-ID")?),
        attended: slot.get("Attended").and_then(lenient_bool) == Some(true),
        ringback_id: text("Ringback-ID"),
        hold_media: text("Hold-Media"),
    })
}

/// Whether the slot has this call, or is kept for one that is transferred to it, which this one was.
fn is_for(slot: &ParkingSlot, call: &ParkedCall) -> bool {
    slot.call_id == call.call_id || (slot.attended && call.parker.is_some())
}

fn call_in(doc: &Value) -> Option<CallId> {
    slot_of(doc).map(|slot| slot.call_id)
}
