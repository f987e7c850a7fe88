//! Who begins a call with an INVITE: a phone, a trunk, or the switch itself; and what its call is told by. Looks nothing up.

use callreel_proto::{AccountId, CallId, E164, TraceParent, Utc, random_hex};
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{Request, Uri};

use crate::directory::Phone;
use crate::events::Parties;
use crate::loopback::Looped;
use crate::peer::{unescaped, user_at_host};
use crate::vars::Vars;

/// Who begins a call.
#[derive(Debug)]
pub(crate) enum Caller {
    /// A phone that has proved who it is.
    Phone(Box<Phone>),
    /// Somebody of the public network, over a trunk.
    Carrier(Box<Carrier>),
    /// A leg of another call, that is forwarded.
    Looped(Box<Looped>),
}

/// A call over a trunk, for a number of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carrier {
    /// Whose number it is.
    pub(crate) account: AccountId,
    pub(crate) realm: String,
    pub(crate) number: E164,
    /// The document of the trunk.
    pub(crate) resource: String,
    /// The trunk is everybody's, not only this account's.
    pub(crate) global: bool,
}

impl Caller {
    /// The codecs it may have, by Kazoo's names; those of the switch when empty.
    pub(crate) fn codecs(&self) -> &[String] {
        match self {
            Self::Phone(phone) => &phone.device.codecs,
            Self::Carrier(_) | Self::Looped(_) => &[],
        }
    }

    fn realm(&self) -> &str {
        match self {
            Self::Phone(phone) => &phone.realm,
            Self::Carrier(carrier) => &carrier.realm,
            Self::Looped(looped) => &looped.realm,
        }
    }

    /// Who talks with whom.
    pub(crate) fn parties(&self, request: &Request) -> Parties {
        let realm = Some(self.realm());
        let from = request.from_header().ok().and_then(|h| h.typed().ok());
        let to = request.to_header().ok().and_then(|h| h.uri().ok());
        let number = from
            .as_ref()
            .and_then(|f| unescaped(f.uri.clone()).auth)
            .map(|auth| auth.user);
        let number = number.unwrap_or_else(|| match self {
            Self::Phone(phone) => phone.username.clone(),
            Self::Carrier(_) | Self::Looped(_) => "anonymous".to_owned(),
        });
        let name = from.as_ref().and_then(|f| f.display_name.clone());
        let party =
            |uri: Option<&Uri>, realm| uri.map_or_else(String::new, |u| user_at_host(u, realm));
        let caller = from.as_ref().map(|f| &f.uri);
        let dialled = match self {
            // Callflows list numbers in this form.
            Self::Carrier(carrier) => Some(carrier.number.as_str().to_owned()),
            _ => unescaped(request.uri.clone()).auth.map(|auth| auth.user),
        };
        let name = name.filter(|n| !n.is_empty()).or_else(|| match self {
            Self::Phone(phone) => phone.device.name.clone(),
            Self::Carrier(_) | Self::Looped(_) => None,
        });
        Parties {
            from: party(caller, realm),
            to: party(to.as_ref(), realm),
            request: match &dialled {
                Some(user) => format!("{user}@{}", self.realm()),
                None => user_at_host(&request.uri, realm),
            },
            from_uri: party(caller, None),
            to_uri: party(to.as_ref(), None),
            phone: match self {
                Self::Phone(phone) => format!("{}@{}", phone.username, phone.realm),
                Self::Carrier(_) | Self::Looped(_) => party(caller, realm),
            },
            caller_name: name.unwrap_or_else(|| number.clone()),
            caller_number: number,
            callee_name: None,
            callee_number: dialled,
        }
    }

    /// The span its INVITE was sent in: only the switch itself is believed.
    pub(crate) fn asked_in(&self) -> Option<TraceParent> {
        match self {
            Self::Phone(_) | Self::Carrier(_) => None,
            Self::Looped(looped) => looped.asked_in,
        }
    }

    /// The variables its channel begins with.
    pub(crate) fn channel_vars(&self, request: &Request, call_id: &CallId, fetch_id: &str) -> Vars {
        // Kazoo's shape: all legs of a conversation share it.
        let interaction = format!("{}-{}", Utc::now().gregorian_seconds(), random_hex(8));
        let mut vars = match self {
            Self::Phone(phone) => of_phone(phone),
            Self::Carrier(carrier) => of_carrier(carrier, request),
            Self::Looped(looped) => of_looped(looped),
        };
        if vars.get("Call-Interaction-ID").is_none() {
            vars.set("Call-Interaction-ID", interaction);
        }
        vars.set("Fetch-ID", fetch_id);
        vars.set("Bridge-ID", call_id.as_str());
        vars.set("Channel-Authorized", "true");
        vars
    }
}

fn of_phone(phone: &Phone) -> Vars {
    let vars = [
        ("Account-ID", Some(phone.account.as_str().to_owned())),
        ("Account-Realm", Some(phone.realm.clone())),
        ("Realm", Some(phone.realm.clone())),
        ("Username", Some(phone.username.clone())),
        ("Authorizing-ID", Some(phone.device.id.clone())),
        ("Authorizing-Type", Some("device".to_owned())),
        ("Owner-ID", phone.device.owner_id.clone()),
    ];
    vars.into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// What Kazoo's stepswitch tells of a call from outside.
fn of_carrier(carrier: &Carrier, request: &Request) -> Vars {
    let dialled = user_at_host(&request.uri, None);
    let vars = [
        ("Account-ID", carrier.account.as_str()),
        ("Account-Realm", &carrier.realm),
        ("Inception", &dialled),
        ("Authorizing-Type", "resource"),
        ("Resource-Type", "offnet-origination"),
        ("Resource-ID", &carrier.resource),
        (
            "Global-Resource",
            if carrier.global { "true" } else { "false" },
        ),
        ("E164-Destination", carrier.number.as_str()),
        ("Ignore-Display-Updates", "true"),
    ];
    vars.into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Those of the leg that is rung, but for what only it is asked.
fn of_looped(looped: &Looped) -> Vars {
    let mut vars = looped.channel_vars.clone();
    for asked in [
        "Confirm-Key",
        "Confirm-File",
        "Confirm-Cancel-Timeout",
        "Confirm-Read-Timeout",
    ] {
        vars.set(asked, "");
    }
    vars.set("Account-ID", looped.account.as_str());
    vars.set("Account-Realm", looped.realm.as_str());
    vars
}
