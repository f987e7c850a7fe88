//! Ways to the public network: which trunks take a number, in which order, and as whom the caller is seen there (Kazoo's
//! stepswitch). Reads no document from anywhere.

use callreel_proto::{Endpoint, Secret, lenient_bool, lenient_u64};
use serde_json::{Map, Value, json};

use crate::pattern::Pattern;
use crate::ring::outbound;

/// Kazoo's weight of a trunk that has none; the lightest is tried first.
const WEIGHT: u64 = 50;
/// Kazoo's time a gateway has until it rings or can be heard, seconds.
const PROGRESS_S: u64 = 8;
/// Gateways one call is tried over: more would ring for minutes.
const MOST_GATEWAYS: usize = 20;

/// What the account's documents say of a call to the public network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trunks {
    /// The trunks asked for, as stored.
    pub resources: Vec<Value>,
    /// They are everybody's, not an account's own.
    pub global: bool,
    /// The documents that say who the caller is: of its phone, its user and its account, the nearest first.
    pub caller: Vec<Value>,
    /// The account's SIP realm.
    pub realm: String,
}

/// A call that shall go out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outgoing {
    /// Whom to call, as trunks' rules see it.
    pub(crate) number: String,
    /// What was dialled.
    pub(crate) dialled: String,
    /// The caller as the call has it, where its documents say nothing.
    pub(crate) name: Option<String>,
    pub(crate) caller: Option<String>,
    /// Which caller id of the documents is shown: `external`, `internal`, `emergency` or a custom one.
    pub(crate) cid_type: String,
    /// Words a trunk must have.
    pub(crate) flags: Vec<String>,
    /// The From header has the caller's number, at this realm.
    pub(crate) from_realm: Option<String>,
    pub(crate) account_id: String,
}

impl Trunks {
    /// The gateways to try, in order. The warnings are for the flow's author.
    pub(crate) fn endpoints(&self, call: &Outgoing, warnings: &mut Vec<String>) -> Vec<Endpoint> {
        let mut trunks: Vec<_> = self
            .resources
            .iter()
            .filter(|trunk| is_enabled(trunk) && has_flags(trunk, &call.flags))
            .collect();
        trunks.sort_by_key(|trunk| weight(trunk));
        let mut found = Vec::new();
        for trunk in trunks {
            let emergency = flag(trunk, "emergency").unwrap_or(false);
            let (name, caller) = self.seen_as(call, emergency, None);
            let Some(number) = taken(trunk, "rules", &call.number, warnings) else {
                continue;
            };
            let by_caller = trunk.get("cid_rules").and_then(Value::as_array);
            let caller_taken = by_caller.is_none_or(Vec::is_empty)
                || taken(
                    trunk,
                    "cid_rules",
                    caller.as_deref().unwrap_or_default(),
                    warnings,
                )
                .is_some();
            if !caller_taken {
                continue;
            }
            let gateways = trunk.get("gateways").and_then(Value::as_array);
            for gateway in gateways.into_iter().flatten().filter(|g| is_enabled(g)) {
                let own = text(gateway, "caller_id_type");
                let seen = match own {
                    Some(_) => self.seen_as(call, emergency, own),
                    None => (name.clone(), caller.clone()),
                };
                let way = Way {
                    trunk,
                    gateway,
                    number: &number,
                    emergency,
                    global: self.global,
                };
                match way.endpoint(call, seen, &self.realm) {
                    Ok(endpoint) => found.push((emergency, endpoint)),
                    Err(reason) => warnings.push(reason),
                }
            }
        }
        // Whoever can help goes before whoever is cheap.
        if found.iter().any(|(emergency, _)| *emergency) {
            found.retain(|(emergency, _)| *emergency);
        }
        found.truncate(MOST_GATEWAYS);
        found.into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    /// The caller's name and number as the callee sees them.
    pub(crate) fn seen_as(
        &self,
        call: &Outgoing,
        emergency: bool,
        own: Option<&str>,
    ) -> (Option<String>, Option<String>) {
        let wanted = if emergency {
            "emergency"
        } else {
            own.unwrap_or(&call.cid_type)
        };
        let kinds: &[&str] = match wanted {
            "emergency" => &["emergency", "external"],
            other => &[other],
        };
        let of = |part: &str| {
            let docs = kinds
                .iter()
                .flat_map(|kind| self.caller.iter().map(move |doc| (kind, doc)));
            let mut found = docs.filter_map(|(kind, doc)| {
                text(doc.get("caller_id")?.get(kind)?, part).map(str::to_owned)
            });
            found.next()
        };
        let number = of("number");
        let name = of("name").or_else(|| call.name.clone());
        (name, number.or_else(|| call.caller.clone()))
    }

    /// The flags that the caller's documents put on its calls.
    pub(crate) fn flags(&self) -> Vec<String> {
        let of = |doc: &Value| match doc.get("outbound_flags") {
            // Kazoo 4.3 has them as a list, later ones as `static` and `dynamic`.
            Some(Value::Object(kinds)) => words(kinds.get("static")),
            list => words(list),
        };
        self.caller.iter().flat_map(of).collect()
    }

    /// Headers that the caller's phone puts on calls it makes.
    pub(crate) fn headers(&self) -> Map<String, Value> {
        let phone = self
            .caller
            .first()
            .and_then(|doc| doc.pointer("/sip/custom_sip_headers"));
        let headers = phone.and_then(Value::as_object).cloned();
        headers.map(outbound).unwrap_or_default()
    }
}

/// One gateway of one trunk that takes a number.
struct Way<'a> {
    trunk: &'a Value,
    gateway: &'a Value,
    /// What the trunk's rule made of the number.
    number: &'a str,
    emergency: bool,
    global: bool,
}

impl Way<'_> {
    fn endpoint(
        &self,
        call: &Outgoing,
        (name, caller): (Option<String>, Option<String>),
        realm: &str,
    ) -> Result<Endpoint, String> {
        let gateway = self.gateway;
        let part = |key| text(gateway, key).unwrap_or_default();
        let number = format!("{}{}{}", part("prefix"), self.number, part("suffix"));
        let mut vars = Map::new();
        let mut tell = |key: &str, value: &str| drop(vars.insert(key.to_owned(), json!(value)));
        tell("Account-ID", &call.account_id);
        tell("Resource-ID", text(self.trunk, "_id").unwrap_or_default());
        tell(
            "Global-Resource",
            if self.global { "true" } else { "false" },
        );
        tell("E164-Destination", &call.number);
        tell("Original-Number", &call.dialled);
        if self.emergency {
            tell("Emergency-Resource", "true");
        }
        if let (Some(realm), Some(caller)) = (self.realm_of_caller(call, realm), &caller) {
            tell("From-URI", &format!("sip:{caller}@{realm}"));
        }
        let headers = gateway.get("custom_sip_headers").and_then(Value::as_object);
        Ok(Endpoint {
            invite_format: "route".to_owned(),
            route: Some(self.route(&number)?),
            to_did: Some(number),
            progress_timeout_s: Some(
                gateway
                    .get("progress_timeout")
                    .and_then(lenient_u64)
                    .unwrap_or(PROGRESS_S),
            ),
            caller_id_name: name,
            caller_id_number: caller,
            codecs: match words(gateway.get("codecs")) {
                none if none.is_empty() => words(self.trunk.pointer("/media/audio/codecs")),
                codecs => codecs,
            },
            auth_user: text(gateway, "username").map(str::to_owned),
            auth_password: text(gateway, "password").map(Secret::new),
            custom_channel_vars: vars,
            custom_sip_headers: headers.cloned().map(outbound).unwrap_or_default(),
            ..Endpoint::default()
        })
    }

    /// Where the INVITE goes.
    fn route(&self, number: &str) -> Result<String, String> {
        if let Some(route) = text(self.gateway, "route") {
            return Ok(route.to_owned());
        }
        let trunk = text(self.trunk, "_id").unwrap_or("?");
        let server = text(self.gateway, "server").ok_or_else(|| {
            format!("a gateway of trunk {trunk} has no server; it is passed over")
        })?;
        let port = self.gateway.get("port").and_then(lenient_u64);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let fixed = words(self.gateway.pointer("/invite_parameters/static"));
        let params: String = fixed.iter().map(|param| format!(";{param}")).collect();
        Ok(format!("sip:{number}@{server}{port}{params}"))
    }

    /// The realm of From, if it is not the account's.
    fn realm_of_caller(&self, call: &Outgoing, own: &str) -> Option<String> {
        let of = |doc: &Value| {
            (flag(doc, "format_from_uri") == Some(true))
                .then(|| text(doc, "from_uri_realm").unwrap_or(own).to_owned())
        };
        let realm = || text(self.gateway, "realm").map(str::to_owned);
        let found = of(self.gateway).or_else(realm).or_else(|| of(self.trunk));
        let found = found.or_else(|| call.from_realm.clone());
        found.filter(|realm| !realm.is_empty())
    }
}

/// What a trunk's rules make of a number: the longest group of the first pattern that matches, or all that matches. None if
/// none does.
fn taken(trunk: &Value, key: &str, number: &str, warnings: &mut Vec<String>) -> Option<String> {
    for rule in words(trunk.get(key)) {
        let rule = match Pattern::read(&rule) {
            Ok(rule) => rule,
            Err(reason) => {
                let trunk = text(trunk, "_id").unwrap_or("?");
                warnings.push(format!("trunk {trunk}: {reason}"));
                continue;
            }
        };
        if let Some(found) = rule.take(number) {
            return Some(found.longest().to_owned());
        }
    }
    None
}

fn has_flags(trunk: &Value, wanted: &[String]) -> bool {
    if wanted.is_empty() {
        return flag(trunk, "require_flags") != Some(true);
    }
    let own = words(trunk.get("flags"));
    wanted.iter().all(|flag| own.contains(flag))
}

fn weight(trunk: &Value) -> u64 {
    trunk
        .get("weight_cost")
        .and_then(lenient_u64)
        .unwrap_or(WEIGHT)
}

fn is_enabled(doc: &Value) -> bool {
    flag(doc, "enabled") != Some(false)
}

fn flag(doc: &Value, key: &str) -> Option<bool> {
    doc.get(key).and_then(lenient_bool)
}

fn text<'a>(doc: &'a Value, key: &str) -> Option<&'a str> {
    doc.get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn words(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    let words = list
        .filter_map(Value::as_str)
        .filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}
