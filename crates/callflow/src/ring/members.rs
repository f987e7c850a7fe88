//! Whom a bridge rings: finds the devices behind users and groups, each once, in the order they shall ring. Never asks whether
//! they are willing.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use callreel_proto::{Device, User};
use serde::Serialize;
use serde_json::Value;

use super::{Ringing, Strategy, chance, ring_time};
use crate::data::Data;
use crate::flow::kind;
use crate::stage::Stage;
use crate::talk::Endpoints;

/// Kazoo's weight of who has none.
const WEIGHT: u64 = 20;
/// Kazoo's weights.
const WEIGHTS: std::ops::RangeInclusive<u64> = 1..=100;

/// What a member of a bridge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// A device document.
    Device,
    /// A user document: all devices it owns.
    User,
    /// A group document: all who are in it.
    Group,
}

impl MemberKind {
    fn read(word: &str) -> Option<Self> {
        match word {
            "device" => Some(Self::Device),
            "user" => Some(Self::User),
            "group" => Some(Self::Group),
            _ => None,
        }
    }
}

impl Display for MemberKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device",
            Self::User => "user",
            Self::Group => "group",
        })
    }
}

/// Somebody a bridge may ring.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Member {
    /// What it is.
    pub kind: MemberKind,
    /// Its document's id.
    pub id: String,
}

/// A member, and how it is to be rung.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) member: Member,
    /// Seconds before it rings.
    pub(crate) delay_s: Option<u64>,
    /// Seconds it rings.
    pub(crate) timeout_s: Option<u64>,
    /// Its share of chance, and its place in a group that is rung one by one.
    pub(crate) weight: Option<u64>,
    /// It is not rung before this time, gregorian seconds: somebody logged out of the ring group.
    pub(crate) disabled_until_s: u64,
}

impl Wanted {
    pub(crate) fn of(kind: MemberKind, id: String) -> Self {
        Self {
            member: Member { kind, id },
            delay_s: None,
            timeout_s: None,
            weight: None,
            disabled_until_s: 0,
        }
    }

    /// What an entry of `endpoints` says beside who it is about.
    fn read(data: &mut Data<'_>, kind: MemberKind, id: String) -> Self {
        let (least, most) = WEIGHTS.into_inner();
        Self {
            delay_s: data.whole("delay"),
            timeout_s: data.whole("timeout").map(|s| ring_time(Some(s))),
            weight: data.whole("weight").map(|weight| weight.clamp(least, most)),
            disabled_until_s: data.whole("disable_until").unwrap_or_default(),
            ..Self::of(kind, id)
        }
    }
}

/// The `endpoints` of an action: an array of `{"endpoint_type": …, "id": …}`.
pub(crate) fn wanted(stage: &mut Stage) -> Vec<Wanted> {
    let entries = match stage.value("endpoints") {
        Some(Value::Array(entries)) => entries,
        None => Vec::new(),
        Some(other) => {
            let message = format!("wanted an array, found {}; nobody is rung", kind(&other));
            stage.warn_of("endpoints", message);
            Vec::new()
        }
    };
    let place = format!("{}/data/endpoints", stage.pointer());
    let mut found = Vec::new();
    for (nth, entry) in entries.iter().enumerate() {
        let place = format!("{place}/{nth}");
        found.extend(entry_of(stage, entry, &place, None, "endpoint_type"));
    }
    found
}

/// The members of a group document: a map from ids to `{"type": …}`.
fn group_members(stage: &mut Stage, group: &Value) -> Vec<Wanted> {
    let place = format!("{}#/endpoints", id_of(group));
    let mut found = Vec::new();
    for (id, entry) in group
        .get("endpoints")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let place = format!("{place}/{id}");
        found.extend(entry_of(stage, entry, &place, Some(id), "type"));
    }
    found
}

fn entry_of(
    stage: &mut Stage,
    entry: &Value,
    place: &str,
    id: Option<&str>,
    type_key: &str,
) -> Option<Wanted> {
    let Some(map) = entry.as_object() else {
        stage.warn_at(
            place,
            format!("wanted an object, found {}; left out", kind(entry)),
        );
        return None;
    };
    let mut data = Data::new(map, place);
    let found = read_entry(&mut data, id, type_key);
    for (place, message) in data.warnings {
        stage.warn_at(&place, message);
    }
    found
}

fn read_entry(data: &mut Data<'_>, id: Option<&str>, type_key: &str) -> Option<Wanted> {
    let id = match id {
        Some(id) => id.to_owned(),
        None => data.text("id").or_else(|| {
            data.warn_of("id", "nobody is named; left out");
            None
        })?,
    };
    let named = data.text(type_key);
    let kind = named
        .as_deref()
        .map_or(Some(MemberKind::Device), MemberKind::read);
    let Some(kind) = kind else {
        data.warn_of(type_key, "use \"device\", \"user\" or \"group\"; left out");
        return None;
    };
    Some(Wanted::read(data, kind, id))
}

/// Whom a group document leads to.
pub fn members_of(group: &Value) -> Vec<Member> {
    let entries = group.get("endpoints").and_then(Value::as_object);
    let member = |(id, entry): (&String, &Value)| {
        let word = entry
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("device");
        let kind = MemberKind::read(word)?;
        let id = id.clone();
        Some(Member { kind, id })
    };
    entries.into_iter().flatten().filter_map(member).collect()
}

/// Somebody's phone; or somebody without one, who may have forwarded their calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rung<'a> {
    pub(super) device: Option<&'a Device>,
    pub(super) owner: Option<&'a User>,
    pub(super) delay_s: Option<u64>,
    pub(super) timeout_s: Option<u64>,
    weight: u64,
}

impl Ringing {
    /// Everybody behind the members, each once: who is named first is rung as it is said there.
    pub(super) fn resolve<'a>(&self, stage: &mut Stage, found: &'a Endpoints) -> Vec<Rung<'a>> {
        let mut search = Search {
            found,
            ordered: self.strategy == Strategy::Single,
            seen: BTreeSet::new(),
            rung: Vec::new(),
        };
        for wanted in &self.members {
            search.member(stage, wanted);
        }
        match self.strategy {
            Strategy::WeightedRandom => {
                chance::by_weight(search.rung, |rung| rung.weight, found.chance)
            }
            Strategy::Simultaneous | Strategy::Single => search.rung,
        }
    }
}

struct Search<'a> {
    found: &'a Endpoints,
    /// One by one: the members of a group have places.
    ordered: bool,
    seen: BTreeSet<Member>,
    rung: Vec<Rung<'a>>,
}

impl<'a> Search<'a> {
    fn member(&mut self, stage: &mut Stage, wanted: &Wanted) {
        if wanted.disabled_until_s >= self.found.now_s && wanted.disabled_until_s > 0 {
            return;
        }
        if !self.seen.insert(wanted.member.clone()) {
            return;
        }
        let id = &wanted.member.id;
        let known = match wanted.member.kind {
            MemberKind::Device => self.device(id, wanted),
            MemberKind::User => self.user(id, wanted),
            MemberKind::Group => self.group(stage, id, wanted),
        };
        if !known {
            let kind = wanted.member.kind;
            stage.warn(format!("there is no {kind} {id} in the account; not rung"));
        }
    }

    fn device(&mut self, id: &str, wanted: &Wanted) -> bool {
        let device = self.found.devices.iter().find(|device| device.id == id);
        if let Some(device) = device {
            let owner = device.owner_id.as_deref().and_then(|id| self.owner(id));
            self.push(Some(device), owner, wanted);
        }
        device.is_some()
    }

    fn user(&mut self, id: &str, wanted: &Wanted) -> bool {
        let Some(user) = self.owner(id) else {
            return false;
        };
        let own = self.found.devices.iter();
        let own: Vec<_> = own
            .filter(|device| device.owner_id.as_deref() == Some(id))
            .collect();
        if own.is_empty() {
            self.push(None, Some(user), wanted);
        }
        for device in own {
            let kind = MemberKind::Device;
            let id = device.id.clone();
            if self.seen.insert(Member { kind, id }) {
                self.push(Some(device), Some(user), wanted);
            }
        }
        true
    }

    fn group(&mut self, stage: &mut Stage, id: &str, wanted: &Wanted) -> bool {
        let group = self.found.groups.iter().find(|group| id_of(group) == id);
        let Some(group) = group else { return false };
        let mut members = group_members(stage, group);
        if self.ordered {
            members.sort_by_key(|member| member.weight.unwrap_or(u64::MAX));
        }
        for member in members {
            self.member(
                stage,
                &Wanted {
                    delay_s: member.delay_s.or(wanted.delay_s),
                    timeout_s: member.timeout_s.or(wanted.timeout_s),
                    weight: wanted.weight,
                    ..member
                },
            );
        }
        true
    }

    fn owner(&self, id: &str) -> Option<&'a User> {
        self.found.users.iter().find(|user| user.id == id)
    }

    fn push(&mut self, device: Option<&'a Device>, owner: Option<&'a User>, wanted: &Wanted) {
        self.rung.push(Rung {
            device,
            owner,
            delay_s: wanted.delay_s.filter(|s| *s > 0),
            timeout_s: wanted.timeout_s,
            weight: wanted.weight.unwrap_or(WEIGHT),
        });
    }
}

fn id_of(doc: &Value) -> &str {
    doc.get("_id").and_then(Value::as_str).unwrap_or_default()
}
