//! Dialling the legs of a bridge: where an endpoint is, and what its INVITE says.

use std::time::Instant;

use callreel_media::Codec;
use callreel_proto::{AccountId, CallId, Endpoint, HangupCause, random_hex};
use ractor::Actor;
use rsipstack::dialog::authenticate::Credential;
use rsipstack::sip::{Header, Uri};
use serde_json::Value;
use tokio::sync::mpsc;

use super::bridge::{Bridge, Leg, Live, Way};
use super::confirm::Confirm;
use super::outbound::{Outbound, Owner};
use super::waiting::seconds;
use super::{Begin, Channel, ChannelActor};
use crate::controls::is_addressable;
use crate::events::{Direction, OtherLeg, Parties};
use crate::hunt::Target;
use crate::loopback::{self, Looped};
use crate::message::custom_header;
use crate::peer::{reachable, uri_of, user_at_host, way_to};
use crate::rtp::{MediaEvent, MediaLeg};
use crate::sdp::Allowed;
use crate::vars::Vars;

/// Calls a call may become by being forwarded within the switch: nobody forwards further, and those who forward to each other end
/// here.
const MAX_LOOPS: u32 = 10;
/// Legs one bridge may dial: more would be a broadcast.
const MAX_LEGS: usize = 50;

impl Channel {
    /// The legs of these endpoints, and what the hunt must know of each.
    pub(super) fn legs_of(&self, endpoints: Vec<Endpoint>) -> (Vec<Leg>, Vec<Target>) {
        let mut legs = Vec::new();
        let mut targets = Vec::new();
        for (index, endpoint) in endpoints.into_iter().enumerate() {
            let ways = self.ways_to(&endpoint);
            let ways: Vec<_> = match ways.is_empty() {
                true => vec![None],
                false => ways.into_iter().map(Some).collect(),
            };
            for (registration, way) in ways.into_iter().enumerate() {
                if legs.len() >= MAX_LEGS {
                    tracing::warn!(call_id = %self.call_id, "a bridge has too many endpoints; the rest is not rung");
                    return (legs, targets);
                }
                targets.push(Target {
                    endpoint: index,
                    delay: seconds(endpoint.delay_s.unwrap_or_default()),
                    timeout: endpoint.timeout_s.filter(|s| *s > 0).map(seconds),
                    progress: endpoint.progress_timeout_s.filter(|s| *s > 0).map(seconds),
                    trunk: endpoint.custom_channel_vars.contains_key("Resource-ID"),
                });
                legs.push(Leg {
                    call_id: named(&endpoint, registration),
                    endpoint: endpoint.clone(),
                    way,
                    live: None,
                    codec: None,
                });
            }
        }
        (legs, targets)
    }

    /// Whether the B legs can have the Call-IDs their orderer wants.
    pub(super) fn check_names(&self, legs: &[Leg]) -> Result<(), String> {
        let names: Vec<_> = legs.iter().filter_map(|leg| leg.call_id.as_ref()).collect();
        for (index, name) in names.iter().enumerate() {
            if !is_addressable(name) || !is_sip_word(name.as_str()) {
                return Err(format!("Outbound-Call-ID {name} cannot be a leg's Call-ID"));
            }
            if names[..index].contains(name) || self.shared.channels.find(name).is_some() {
                return Err(format!("Outbound-Call-ID {name} is in use"));
            }
        }
        Ok(())
    }

    /// Every registration of an endpoint, or its route.
    fn ways_to(&self, endpoint: &Endpoint) -> Vec<Way> {
        if let Some(number) = loopback::number_of(endpoint) {
            return self.way_to_itself(endpoint, number).into_iter().collect();
        }
        if endpoint.invite_format == "route" {
            let uri = endpoint
                .route
                .as_deref()
                .and_then(|r| Uri::try_from(r).ok());
            return uri
                .into_iter()
                .map(|target| Way {
                    target,
                    destination: None,
                    allowed: self.allowed_to(&endpoint.codecs),
                    vars: Vec::new(),
                    loops: None,
                })
                .collect();
        }
        let username = endpoint
            .to_username
            .as_deref()
            .or(endpoint.to_user.as_deref());
        let Some(username) = username else {
            return Vec::new();
        };
        let account = self.account_of(endpoint);
        let location = crate::shared::locked(&self.shared.location);
        let now = Instant::now();
        let realm = endpoint.to_realm.as_deref();
        let found = location.find(now, username, realm, account.as_deref());
        found
            .into_iter()
            .map(|binding| Way {
                target: reachable(&binding.contact, binding.peer),
                destination: Some(way_to(&binding.contact, binding.peer)),
                allowed: self.allowed_to(match endpoint.codecs.as_slice() {
                    [] => &binding.codecs,
                    codecs => codecs,
                }),
                vars: [
                    ("Account-ID", Some(binding.account.as_str().to_owned())),
                    ("Authorizing-ID", Some(binding.device.clone())),
                    ("Authorizing-Type", Some("device".to_owned())),
                    ("Owner-ID", binding.owner.clone()),
                    ("Realm", binding.realms.first().cloned()),
                    ("Username", Some(username.to_owned())),
                ]
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?)))
                .collect(),
                loops: None,
            })
            .collect()
    }

    /// Whose phone an endpoint is.
    fn account_of(&self, endpoint: &Endpoint) -> Option<String> {
        let named = endpoint.custom_channel_vars.get("Account-ID");
        let named = named.and_then(Value::as_str);
        let named = named.or_else(|| self.channel_vars.get("Account-ID"));
        named.map(str::to_owned)
    }

    /// The way of a leg that is a call of this switch to itself.
    fn way_to_itself(&self, endpoint: &Endpoint, number: &str) -> Option<Way> {
        let account = AccountId::parse(&self.account_of(endpoint)?).ok()?;
        let own = self.shared.own.itself();
        Some(Way {
            target: uri_of(number, &own.addr.to_string()),
            destination: Some(own),
            allowed: self.allowed_to(&[]),
            vars: Vec::new(),
            loops: Some(account),
        })
    }

    /// Rings one leg.
    pub(super) async fn dial(&mut self, index: usize) -> Result<(), (HangupCause, Option<u16>)> {
        let failed = (HangupCause::NormalTemporaryFailure, Some(503));
        let Some(bridge) = &self.bridge else {
            return Err(failed);
        };
        let leg = &bridge.legs[index];
        let Some(way) = &leg.way else {
            return Err((HangupCause::UserNotRegistered, None));
        };
        if self.max_forwards <= 1 {
            return Err((HangupCause::NormalTemporaryFailure, Some(483)));
        }
        let (media, events) = self.shared.engine.open().map_err(|error| {
            tracing::error!(call_id = %self.call_id, %error, "a leg could not be dialled");
            failed
        })?;
        let call_id = leg.call_id.clone();
        let call_id = call_id.unwrap_or_else(|| CallId::new(random_hex(32)));
        if self.shared.channels.find(&call_id).is_some() {
            return Err((HangupCause::NormalTemporaryFailure, Some(482)));
        }
        let outbound = self.outbound(bridge, index, way, (media.clone(), events));
        let b_leg = other_leg(&call_id, Direction::Outbound, &outbound.parties);
        let begin = Begin::Outbound(Box::new(outbound));
        let arguments = (self.shared.clone(), call_id.clone(), begin);
        let supervisor = self.shared.supervisor.clone();
        // Boxed: an A leg's future holds its B legs' beginnings.
        let spawned = Box::pin(Actor::spawn_linked(
            None,
            ChannelActor,
            arguments,
            supervisor,
        ));
        let (actor, _) = spawned.await.map_err(|_| failed)?;
        if let Some(bridge) = &mut self.bridge {
            bridge.legs[index].live = Some(Live {
                leg: b_leg,
                actor,
                media,
            });
        }
        Ok(())
    }

    /// What a leg is made of.
    fn outbound(
        &self,
        bridge: &Bridge,
        index: usize,
        way: &Way,
        (media, events): (MediaLeg, mpsc::Receiver<MediaEvent>),
    ) -> Outbound {
        let leg = &bridge.legs[index];
        let parties = self.parties_of(bridge, leg, way);
        let channel_vars = self.vars_of(bridge, leg, way);
        let mut headers = headers_of(bridge, &leg.endpoint);
        let asked_in = self.queue.runs_in().or_else(|| self.span.parent());
        let looped = way.loops.clone().map(|account| Looped {
            account,
            realm: self.realm(),
            channel_vars: channel_vars.clone(),
            asked_in,
        });
        let looped = looped.map(|looped| self.shared.loopbacks.open(looped));
        headers.extend(private(&channel_vars));
        headers.extend(looped.as_ref().map(|token| loopback::header(token)));
        if leg.endpoint.custom_channel_vars.contains_key("Resource-ID") {
            headers.extend(asserted(&parties, &self.realm()));
        }
        Outbound {
            owner: Owner {
                actor: self.me.clone(),
                media: self.media.clone(),
                bridge: bridge.number,
                leg: index,
            },
            a_leg: other_leg(&self.call_id, self.direction, &self.parties),
            first: self.codecs(),
            target: way.target.clone(),
            destination: way.destination,
            realm: self.realm(),
            parties,
            channel_vars,
            headers,
            from: leg
                .endpoint
                .custom_channel_vars
                .get("From-URI")
                .and_then(uri_from),
            credential: credential_of(&leg.endpoint),
            confirm: Confirm::of(&leg.endpoint),
            looped,
            allowed: way.allowed.clone(),
            media,
            events,
            max_forwards: match way.loops {
                Some(_) => (self.max_forwards - 1).min(MAX_LOOPS),
                None => self.max_forwards - 1,
            },
            asked_in,
        }
    }

    /// The codecs this leg has, or may still be answered with.
    fn codecs(&self) -> Vec<Codec> {
        match (&self.agreed, &self.theirs) {
            (Some(agreed), _) => vec![agreed.codec],
            (None, Some(theirs)) => theirs.common(&self.allowed),
            (None, None) => Vec::new(),
        }
    }

    fn allowed_to(&self, names: &[String]) -> Allowed {
        Allowed::from_names(names, &self.shared.config.codecs.0)
    }

    pub(super) fn realm(&self) -> String {
        let vars = &self.channel_vars;
        match vars.get("Account-Realm").or_else(|| vars.get("Realm")) {
            Some(realm) => realm.to_owned(),
            None => self.shared.own.in_general().to_string(),
        }
    }

    fn parties_of(&self, bridge: &Bridge, leg: &Leg, way: &Way) -> Parties {
        let own = &self.parties;
        let realm = leg
            .endpoint
            .to_realm
            .clone()
            .unwrap_or_else(|| self.realm());
        let wishes = &bridge.wishes;
        let number = leg.endpoint.caller_id_number.clone();
        let number = number.or_else(|| wishes.caller_number.clone());
        let name = leg.endpoint.caller_id_name.clone();
        let name = name.or_else(|| wishes.caller_name.clone());
        let user = leg
            .endpoint
            .to_username
            .clone()
            .or_else(|| leg.endpoint.to_user.clone());
        let to = match &user {
            Some(user) => format!("{user}@{realm}"),
            None => user_at_host(&way.target, None),
        };
        let caller_number = number.unwrap_or_else(|| own.caller_number.clone());
        Parties {
            from: own.from.clone(),
            request: to.clone(),
            from_uri: format!("{caller_number}@{}", self.realm()),
            to_uri: user_at_host(&way.target, None),
            phone: to.clone(),
            to,
            caller_name: name.unwrap_or_else(|| own.caller_name.clone()),
            caller_number,
            callee_name: None,
            callee_number: user,
        }
    }

    /// The variables of a B leg: those of the conversation, of the phone, and those its controller gives it.
    fn vars_of(&self, bridge: &Bridge, leg: &Leg, way: &Way) -> Vars {
        let mut vars = Vars::default();
        for key in [
            "Account-ID",
            "Account-Realm",
            "Fetch-ID",
            "Call-Interaction-ID",
        ] {
            if let Some(value) = self.channel_vars.get(key) {
                vars.set(key, value);
            }
        }
        for (key, value) in &way.vars {
            vars.set(key, value);
        }
        vars.set("Bridge-ID", self.call_id.as_str());
        vars.extend(self.exported_vars.map().clone());
        vars.extend(bridge.wishes.vars.clone());
        vars.extend(leg.endpoint.custom_channel_vars.clone());
        vars
    }
}

/// The Call-ID an endpoint's leg shall have: several registrations are several legs.
fn named(endpoint: &Endpoint, registration: usize) -> Option<CallId> {
    let name = endpoint.outbound_call_id.as_ref()?;
    Some(match registration {
        0 => name.clone(),
        others => CallId::new(format!("{name}-{}", others + 1)),
    })
}

/// Whether a text can stand for a Call-ID in SIP (RFC 3261 §25.1, `callid`).
fn is_sip_word(text: &str) -> bool {
    let of_word = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~()<>:\\\"/[]?{}@".contains(&b);
    !text.is_empty() && text.bytes().all(of_word) && text.matches('@').count() <= 1
}

/// A leg, as the one at its other side tells of it.
pub(super) fn other_leg(call_id: &CallId, direction: Direction, parties: &Parties) -> OtherLeg {
    OtherLeg {
        call_id: call_id.clone(),
        direction,
        caller_name: parties.caller_name.clone(),
        caller_number: parties.caller_number.clone(),
        destination: parties.destination().to_owned(),
    }
}

/// Headers that the controller gives a leg: an endpoint's own before those of all.
fn headers_of(bridge: &Bridge, endpoint: &Endpoint) -> Vec<Header> {
    let mut headers = bridge.wishes.headers.clone();
    headers.extend(endpoint.custom_sip_headers.clone());
    headers
        .iter()
        .filter_map(|(name, value)| custom_header(name, value.as_str()?))
        .collect()
}

/// What asks those who trust us to hide the number from the callee (RFC 3323, RFC 3325 §7).
fn private(vars: &Vars) -> Option<Header> {
    let hidden = vars.get("Privacy-Hide-Number") == Some("true");
    hidden.then(|| custom_header("Privacy", "id")).flatten()
}

/// Who calls, for those who trust us (RFC 3325): trunks do, and some know the caller by nothing else.
fn asserted(parties: &Parties, realm: &str) -> Option<Header> {
    let number = &parties.caller_number;
    if number.eq_ignore_ascii_case("anonymous") {
        return None;
    }
    let uri = uri_of(number, realm);
    custom_header("P-Asserted-Identity", &format!("<{uri}>"))
}

/// Kazoo's `From-URI`: what the From header has in place of the caller's number at the account's realm.
fn uri_from(value: &Value) -> Option<Uri> {
    Uri::try_from(value.as_str()?)
        .ok()
        .filter(|uri| uri.auth.is_some())
}

fn credential_of(endpoint: &Endpoint) -> Option<Credential> {
    Some(Credential {
        username: endpoint.auth_user.clone()?,
        password: endpoint.auth_password.as_ref()?.reveal().to_owned(),
        realm: None,
        auth_username: None,
    })
}
