//! Which channels there are: asks every switch, and knows when all have answered. A channel is shown in Crossbar's words.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callreel_proto::{
    AccountId, CallId, ChannelQuery, ChannelQueryReq, ChannelQueryResp, Envelope, Exchange,
    FoundChannels, GREGORIAN_UNIX_OFFSET, Headers, lenient_bool, lenient_u64,
};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::{
    asking::Asker,
    refusal::{Refusal, Why},
};

/// How long a switch may take to answer. One of ours gives each of its channels half a second to show itself.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a question stays open although all switches we know have answered: there may be a new one.
const SETTLING: Duration = Duration::from_millis(200);

/// What is told of a channel: by our name, which is Crossbar's where it has one and which ecallmgr's lists of an account
/// have too, and by the name the key has in Kazoo's table of channels.
const TOLD: [(&str, &str); 17] = [
    ("answered", "Answered"),
    ("authorizing_id", "Authorizing-ID"),
    ("authorizing_type", "Authorizing-Type"),
    ("callee_id_name", "Callee-ID-Name"),
    ("callee_id_number", "Callee-ID-Number"),
    ("caller_id_name", "Caller-ID-Name"),
    ("caller_id_number", "Caller-ID-Number"),
    ("destination", "Destination"),
    ("direction", "Call-Direction"),
    ("elapsed_s", "Elapsed-Seconds"),
    ("is_onhold", "Is-On-Hold"),
    ("other_leg", "Other-Leg-Call-ID"),
    ("owner_id", "Owner-ID"),
    ("presence_id", "Presence-ID"),
    ("timestamp", "Timestamp"),
    ("username", "Username"),
    ("uuid", "Call-ID"),
];

/// The switches that answered last time.
#[derive(Debug, Default)]
pub struct Switches {
    known: Mutex<BTreeSet<String>>,
}

/// A live channel, as its switch tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    uuid: String,
    row: Map<String, Value>,
}

impl Switches {
    /// The channels of an account, oldest first.
    pub(crate) async fn channels(
        &self,
        asker: &Asker,
        account: &AccountId,
    ) -> Result<Vec<Channel>, Refusal> {
        let request = ChannelQueryReq {
            account_id: Some(account.to_string()),
            ..ChannelQueryReq::default()
        };
        let all = self.gather(asker, ChannelQuery::Account, request, |_| false);
        let all = all.await?.into_iter();
        // Two controllers of one switch tell of the same channel.
        let channels: BTreeMap<_, Channel> = all
            .filter(|channel| channel.is_of(account))
            .map(|channel| (channel.place(), channel))
            .collect();
        Ok(channels.into_values().collect())
    }

    /// The channel of an account with this Call-ID.
    pub(crate) async fn channel(
        &self,
        asker: &Asker,
        account: &AccountId,
        call_id: &CallId,
    ) -> Result<Channel, Refusal> {
        let request = ChannelQueryReq {
            call_id: Some(call_id.to_string()),
            fields: Some(Value::from("all")),
            ..ChannelQueryReq::default()
        };
        let is_meant =
            |channel: &Channel| channel.is_of(account) && channel.uuid == call_id.as_str();
        let found = self.gather(asker, ChannelQuery::All, request, is_meant);
        found.await?.into_iter().find(is_meant).ok_or_else(|| {
            let message = format!(
                "account {account} has no live channel {call_id}; GET …/channels lists those it has"
            );
            Refusal::new(Why::NotFound, message).cause(call_id.as_str())
        })
    }

    /// Asks all switches, until one has told of what `is_enough`, or all have answered.
    async fn gather(
        &self,
        asker: &Asker,
        way: ChannelQuery,
        mut request: ChannelQueryReq,
        is_enough: impl Fn(&Channel) -> bool,
    ) -> Result<Vec<Channel>, Refusal> {
        request.active_only = Some(false);
        let key = request.routing_key(way);
        let question = Envelope {
            headers: Headers::new("call_event", way.request()),
            body: request,
        };
        let mut answers = asker.ask(Exchange::Callevt, &key, question).await?;
        let asked = Instant::now();
        let mut answered = BTreeSet::new();
        let mut found = Vec::new();
        loop {
            let all = self.have_all(&answered);
            let until = asked + if all { SETTLING } else { PATIENCE };
            let Some(answer) = answers.next::<ChannelQueryResp>(until).await else {
                break;
            };
            answered.insert(answer.headers.node);
            found.extend(rows(answer.body.channels).filter_map(Channel::read));
            if found.iter().any(&is_enough) {
                self.known().append(&mut answered);
                return Ok(found);
            }
        }
        // Who was silent is not waited for again.
        self.known().clone_from(&answered);
        if answered.is_empty() {
            let seconds = PATIENCE.as_secs();
            let message =
                format!("no switch answered within {seconds} s; is one running on this bus?");
            return Err(Refusal::new(Why::Late, message));
        }
        Ok(found)
    }

    fn have_all(&self, answered: &BTreeSet<String>) -> bool {
        let known = self.known();
        !known.is_empty() && known.is_subset(answered)
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rows(found: FoundChannels) -> impl Iterator<Item = Map<String, Value>> {
    let (list, by_call_id) = match found {
        FoundChannels::List(list) => (list, BTreeMap::new()),
        FoundChannels::ByCallId(map) => (Vec::new(), map),
    };
    list.into_iter().chain(by_call_id.into_values())
}

impl Channel {
    fn read(row: Map<String, Value>) -> Option<Self> {
        let uuid = value(&row, "uuid", "Call-ID")?.as_str()?.to_owned();
        Some(Self { uuid, row })
    }

    fn text(&self, name: &str, key: &str) -> Option<&str> {
        value(&self.row, name, key)?.as_str()
    }

    /// When it began, gregorian seconds.
    fn started(&self) -> Option<u64> {
        value(&self.row, "timestamp", "Timestamp").and_then(lenient_u64)
    }

    fn is_of(&self, account: &AccountId) -> bool {
        self.text("account_id", "Account-ID") == Some(account.as_str())
    }

    /// Where it stands in a list: by its start, which is told in whole seconds; who calls before who is called.
    fn place(&self) -> (Option<u64>, Option<String>, String) {
        let direction = self.text("direction", "Call-Direction");
        let direction = direction.map(str::to_owned);
        (self.started(), direction, self.uuid.clone())
    }

    /// Whether it is of this user.
    pub(crate) fn is_of_user(&self, user: &str) -> bool {
        self.text("owner_id", "Owner-ID") == Some(user)
    }

    /// Whether it is of this device.
    pub(crate) fn is_of_device(&self, device: &str) -> bool {
        self.text("authorizing_id", "Authorizing-ID") == Some(device)
    }

    /// Its Call-ID.
    pub(crate) fn id(&self) -> CallId {
        CallId::new(&self.uuid)
    }

    /// The call it belongs to, by the Call-ID its controller knows: a leg that was dialled for another one, and still talks to
    /// it, is part of that one's call.
    pub(crate) fn call(&self) -> CallId {
        let dialled_by = self.text("bridge_id", "Bridge-ID");
        let other = self.text("other_leg", "Other-Leg-Call-ID");
        let dialler = other.filter(|other| dialled_by == Some(*other));
        CallId::new(dialler.unwrap_or(&self.uuid))
    }

    /// The channel for people and programs.
    pub(crate) fn picture(&self) -> Value {
        let mut shown = Map::new();
        for (name, key) in TOLD {
            if let Some(value) = value(&self.row, name, key) {
                let flag = lenient_bool(value).map(Value::from);
                shown.insert(name.to_owned(), flag.unwrap_or_else(|| value.clone()));
            }
        }
        let started = self.started();
        let unix = started.and_then(|at| at.checked_add_signed(-GREGORIAN_UNIX_OFFSET));
        if let Some(unix) = unix {
            shown.insert("timestamp_unix".to_owned(), unix.into());
        }
        Value::Object(shown)
    }
}

/// A field of a row, by our name or Kazoo's; an empty one is as good as none.
fn value<'a>(row: &'a Map<String, Value>, name: &str, key: &str) -> Option<&'a Value> {
    let value = row.get(key).or_else(|| row.get(name))?;
    (!value.is_null() && value.as_str() != Some("")).then_some(value)
}
