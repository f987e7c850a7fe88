//! What the account's documents want recorded, whatever its callflow says. Never starts a recording.

use std::fmt::{self, Display, Formatter};

use callreel_proto::{AccountId, Device, OrderedBy, RecordingSource, User, lenient_bool};
use serde_json::{Map, Value};

use crate::problem::{Problem, Severity, object};

/// Where a party of a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Within the system: a caller whose channel has no `Inception`, a number that has a callflow.
    #[default]
    Onnet,
    /// Elsewhere: a caller from a carrier, a number for which the account's `no_match` runs.
    Offnet,
}

impl Display for Network {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Onnet => "onnet",
            Self::Offnet => "offnet",
        })
    }
}

/// Which way a call goes, as the party sees it whose settings are read.
#[derive(Debug, Clone, Copy)]
enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// A recording that the account's documents want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mandate {
    /// The account, by its id, or the endpoint, by the device's.
    pub by: OrderedBy,
    /// Kazoo's words for it.
    pub origin: String,
    /// The keys of a `record_call` that hold for it.
    pub parameters: Map<String, Value>,
    /// The place that wants it: a document's id, `#`, and a JSON pointer.
    pub pointer: String,
}

/// What was found in the account's documents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mandates {
    /// The recordings they want, in this order.
    pub wanted: Vec<Mandate>,
    /// What in them cannot be read.
    pub warnings: Vec<Problem>,
}

/// The `call_recording` settings that bear on a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Where the caller is.
    pub from: Network,
    /// Where the callee is.
    pub to: Network,
    /// The account document's `call_recording`, with its two trees `account` and `endpoint`; null if it has none.
    pub account: Value,
    /// The calling device; none for a caller who is none of the account's own, and for a forwarded call.
    pub caller: Option<EndpointRules>,
    /// The callflow is a feature code: then nothing is recorded.
    pub feature_code: bool,
}

impl Standing {
    /// What is wanted of the caller's leg, from the moment the call is ours or from what `record_on_answer` and
    /// `record_on_bridge` wait for: at most one recording for the account, one for the calling endpoint.
    pub fn of_caller(&self, account_id: &AccountId) -> Mandates {
        let mut found = Mandates::default();
        if self.feature_code {
            return found;
        }
        let inbound = found.account(self, account_id, Direction::Inbound, self.from);
        // Kazoo's account has one recording of a call, and the caller's side is asked first.
        if !inbound {
            found.account(self, account_id, Direction::Outbound, self.to);
        }
        if let Some(caller) = &self.caller
            && self.from == Network::Onnet
        {
            found.endpoint(self, caller, Direction::Outbound, self.to);
        }
        found
    }

    /// What is wanted of the leg of a called endpoint, from the moment it has answered: at most one recording.
    pub fn of_callee(&self, callee: &EndpointRules) -> Mandates {
        let mut found = Mandates::default();
        if !self.feature_code {
            found.endpoint(self, callee, Direction::Inbound, self.from);
        }
        found
    }
}

impl Mandates {
    /// Whether the account wants a recording of this direction and network.
    fn account(
        &mut self,
        standing: &Standing,
        id: &AccountId,
        direction: Direction,
        network: Network,
    ) -> bool {
        let place = format!("{id}#/call_recording");
        let Some(root) = self.object(&standing.account, &place) else {
            return false;
        };
        let mut settings = Map::new();
        if let Some(tree) = root.get("account") {
            let place = format!("{place}/account");
            self.settle(&mut settings, tree, direction, network, &place);
        }
        let by = RecordingSource::Account;
        self.want(settings, by, id.as_str(), direction, network)
    }

    /// An endpoint has the account's settings for all endpoints, its user's before those, and its own before all.
    fn endpoint(
        &mut self,
        standing: &Standing,
        rules: &EndpointRules,
        direction: Direction,
        network: Network,
    ) {
        let mut settings = Map::new();
        let id = &rules.id;
        let everyones = standing.account.get("endpoint").unwrap_or(&Value::Null);
        for (tree, place) in [
            (everyones, "account#/call_recording/endpoint".to_owned()),
            (&rules.user, format!("owner of {id}#/call_recording")),
            (&rules.device, format!("{id}#/call_recording")),
        ] {
            self.settle(&mut settings, tree, direction, network, &place);
        }
        self.want(settings, RecordingSource::Endpoint, id, direction, network);
    }

    /// Takes over what one tree says of this direction and network. The specific goes before the general, the network
    /// before the direction (Kazoo's `merge_call_recording`); what is not said, as by `{}`, leaves the rest as it is.
    fn settle(
        &mut self,
        settings: &mut Map<String, Value>,
        tree: &Value,
        direction: Direction,
        network: Network,
        place: &str,
    ) {
        let (direction, network) = (direction.name(), network.to_string());
        let Some(tree) = self.object(tree, place) else {
            return;
        };
        for (way, net) in [
            ("any", "any"),
            (direction, "any"),
            ("any", network.as_str()),
            (direction, network.as_str()),
        ] {
            let way_place = format!("{place}/{way}");
            let way = tree.get(way).unwrap_or(&Value::Null);
            let Some(way) = self.object(way, &way_place) else {
                continue;
            };
            let net_place = format!("{way_place}/{net}");
            let said = way.get(net).unwrap_or(&Value::Null);
            let Some(said) = self.object(said, &net_place) else {
                continue;
            };
            let said = said.iter().filter(|(_, value)| !value.is_null());
            for (key, value) in said {
                if key == "enabled" && lenient_bool(value).is_none() {
                    self.warn(
                        format!("{net_place}/enabled"),
                        "wanted true or false; ignored",
                    );
                    continue;
                }
                settings.insert(key.clone(), value.clone());
            }
        }
    }

    /// A recording with these settings, if they want one.
    fn want(
        &mut self,
        mut settings: Map<String, Value>,
        source: RecordingSource,
        who: &str,
        direction: Direction,
        network: Network,
    ) -> bool {
        let enabled = settings.remove("enabled");
        if enabled.as_ref().and_then(lenient_bool) != Some(true) {
            return false;
        }
        let (what, branch) = match source {
            RecordingSource::Account => ("account", "/account"),
            _ => ("endpoint", ""),
        };
        let way = direction.name();
        self.wanted.push(Mandate {
            by: OrderedBy {
                who: Some(who.to_owned()),
                ..OrderedBy::new(source)
            },
            origin: match direction {
                Direction::Inbound => format!("inbound from {network} to {what}"),
                Direction::Outbound => format!("outbound to {network} from {what}"),
            },
            parameters: settings,
            pointer: format!("{who}#/call_recording{branch}/{way}/{network}"),
        });
        true
    }

    /// The object at this place, if there is one.
    fn object<'a>(&mut self, value: &'a Value, place: &str) -> Option<&'a Map<String, Value>> {
        object(value, |message| self.warn(place.to_owned(), &message))
    }

    fn warn(&mut self, place: String, message: &str) {
        let problem = Problem::new(Severity::Warning, place, message);
        if !self.warnings.contains(&problem) {
            self.warnings.push(problem);
        }
    }
}

/// The `call_recording` settings of a device and of the user it belongs to; null where there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointRules {
    /// The device's document id.
    pub id: String,
    /// Its user's.
    pub user: Value,
    /// Its own.
    pub device: Value,
}

impl EndpointRules {
    /// Those of a device and its owner.
    pub fn of(device: &Device, owner: Option<&User>) -> Self {
        Self {
            id: device.id.clone(),
            user: owner
                .map(|user| user.call_recording.clone())
                .unwrap_or_default(),
            device: device.call_recording.clone(),
        }
    }
}
