//! What a request carries to be let in, and what it is signed with: of the action, the account and the configuration, in this
//! order. Pure; no value is ever part of an error or of what a debugger sees.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use callreel_callflow::{is_of_delivery, request_headers};
use callreel_proto::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;
use url::Url;

#[cfg(test)]
mod tests;

/// Shortest word of a secret that is taken out of what a receiver says: what is shorter is no secret, and may be any word.
const SHORTEST: usize = 6;
/// What an account's `call_recording.auth` must be.
const AUTH: &str = "call_recording.auth of the account document must be {\"bearer\": \"…\"} or {\"basic\": {\"user\": \"…\", \"password\": \"…\"}}, in printable ASCII without spaces in a bearer and without a colon in a user";

/// How a request proves who sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Auth {
    Bearer(Secret),
    Basic { user: String, password: Secret },
}

impl Auth {
    /// One of these, if HTTP can carry it (RFC 6750 §2.1, RFC 7617 §2).
    fn new(bearer: Option<&str>, user: Option<&str>, password: Option<&str>) -> Option<Self> {
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        match (bearer, user, password) {
            (Some(token), None, None) if visible(token) => Some(Self::Bearer(Secret::new(token))),
            (None, Some(user), Some(password))
                if !user.contains(':')
                    && !format!("{user}{password}").contains(char::is_control) =>
            {
                Some(Self::Basic {
                    user: user.to_owned(),
                    password: Secret::new(password),
                })
            }
            _ => None,
        }
    }

    /// The `Authorization` header's value.
    fn value(&self) -> String {
        match self {
            Self::Bearer(token) => format!("Bearer {}", token.reveal()),
            Self::Basic { user, password } => {
                let pair = format!("{user}:{}", password.reveal());
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            }
        }
    }
}

/// Credentials for one place, as the configuration gives them: a bearer token, or a user with a password, or headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Scheme, host and port that they are for, and no other: `https://rec.example.com`.
    pub origin: Url,
    /// Becomes `Authorization: Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<Secret>,
    /// With `password`, becomes `Authorization: Basic …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// See `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Headers that go along, such as `X-Api-Key`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
}

impl Credentials {
    fn auth(&self) -> Option<Auth> {
        let reveal = |secret: &'_ Option<Secret>| secret.as_ref().map(|s| s.reveal().to_owned());
        let (bearer, password) = (reveal(&self.bearer), reveal(&self.password));
        Auth::new(bearer.as_deref(), self.user.as_deref(), password.as_deref())
    }

    /// Whether they name one origin, and something that HTTP can carry.
    pub(crate) fn can_be_used(&self) -> bool {
        let origin = &self.origin;
        let names_origin = matches!(origin.scheme(), "http" | "https")
            && origin.path() == "/"
            && origin.query().is_none()
            && origin.fragment().is_none()
            && origin.username().is_empty()
            && origin.password().is_none();
        let gives_none = self.bearer.is_none() && self.user.is_none() && self.password.is_none();
        let headers = plain(&self.headers);
        names_origin
            && (self.auth().is_some() || gives_none && !headers.is_empty())
            && can_be_sent(&headers)
    }
}

fn plain(headers: &BTreeMap<String, Secret>) -> BTreeMap<String, String> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
        .collect()
}

/// Whether all of them may go along.
pub(crate) fn can_be_sent(headers: &BTreeMap<String, String>) -> bool {
    let asked: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    request_headers(&asked).1.is_empty()
}

/// What one of them gives: the action, the account, or the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Grant {
    auth: Option<Auth>,
    headers: BTreeMap<String, Secret>,
}

/// What an account's document says under `call_recording` for all its deliveries: `headers`, `auth` and `signing_secret`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AccountAccess {
    grant: Grant,
    signing_secret: Option<Secret>,
}

impl AccountAccess {
    /// Reads the account document; one that does not exist says nothing.
    ///
    /// # Errors
    /// Credentials that are there and cannot be understood, in words: going without them would be wrong.
    pub(crate) fn read(doc: Option<&Value>) -> Result<Self, String> {
        let Some(Value::Object(said)) = doc.and_then(|doc| doc.get("call_recording")) else {
            return Ok(Self::default());
        };
        let field = |key: &str| said.get(key).filter(|value| !value.is_null());
        let auth = field("auth").map(|auth| auth_of(auth).ok_or_else(|| AUTH.to_owned()));
        let headers = match field("headers") {
            Some(Value::Object(asked)) => headers_of(asked),
            Some(_) => {
                return Err("call_recording.headers of the account document must be an object: names and values".to_owned());
            }
            None => BTreeMap::new(),
        };
        let signing_secret = match field("signing_secret") {
            Some(Value::String(secret)) if !secret.is_empty() => Some(Secret::new(secret)),
            Some(_) => {
                return Err("call_recording.signing_secret of the account document must be a text that is not empty".to_owned());
            }
            None => None,
        };
        Ok(Self {
            grant: Grant {
                auth: auth.transpose()?,
                headers,
            },
            signing_secret,
        })
    }
}

fn auth_of(auth: &Value) -> Option<Auth> {
    let auth = auth.as_object().filter(|auth| auth.len() == 1)?;
    match auth.get("basic") {
        Some(pair) => Auth::new(None, pair["user"].as_str(), pair["password"].as_str()),
        None => Auth::new(auth.get("bearer")?.as_str(), None, None),
    }
}

fn headers_of(asked: &Map<String, Value>) -> BTreeMap<String, Secret> {
    let (taken, left_out) = request_headers(asked);
    for message in left_out {
        warn!("call_recording.headers of the account document: {message}");
    }
    secret(taken)
}

fn secret(headers: BTreeMap<String, String>) -> BTreeMap<String, Secret> {
    let pairs = headers.into_iter();
    pairs
        .map(|(name, value)| (name, Secret::new(value)))
        .collect()
}

/// What the configuration gives to deliveries.
#[derive(Debug, Clone, Default)]
pub(crate) struct HouseAccess {
    /// Go to every receiver.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) credentials: Vec<Credentials>,
    pub(crate) signing_secret: Option<Secret>,
}

/// What goes along with a request to one origin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// Marked as sensitive.
    pub(crate) headers: HeaderMap,
    /// What the request is signed with.
    pub(crate) signing_secret: Option<Secret>,
    /// Everything that nobody may be shown, if a receiver repeats it.
    words: Vec<Secret>,
}

impl Access {
    /// What goes along to `url`: what the action says before what the account says, and that before the configuration. A
    /// user and password in the URL are the action's word on `Authorization`.
    pub(crate) fn new(
        url: &Url,
        action: &BTreeMap<String, String>,
        account: &AccountAccess,
        house: &HouseAccess,
    ) -> Self {
        let mut access = Self {
            signing_secret: (account.signing_secret.clone())
                .or_else(|| house.signing_secret.clone()),
            ..Self::default()
        };
        access.hide_parts_of(url);
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        let action = Grant {
            auth: None,
            headers: secret(action.clone()),
        };
        let of_config = house.credentials.iter();
        let listed = of_config
            .filter(|one| one.origin.origin() == url.origin())
            .map(|one| Grant {
                auth: one.auth(),
                headers: one.headers.clone(),
            });
        let to_all = Grant {
            auth: None,
            headers: secret(house.headers.clone()),
        };
        for grant in [action, account.grant.clone()]
            .into_iter()
            .chain(listed)
            .chain([to_all])
        {
            access.take(grant, has_credentials);
        }
        access
    }

    /// Takes what nobody before has said.
    fn take(&mut self, grant: Grant, has_auth: bool) {
        let auth = grant.auth.map(|auth| Secret::new(auth.value()));
        let auth = auth.map(|value| (AUTHORIZATION.to_string(), value));
        for (name, value) in auth.into_iter().chain(grant.headers) {
            let (Ok(name), Ok(mut sent)) = (
                name.parse::<HeaderName>(),
                HeaderValue::from_str(value.reveal()),
            ) else {
                warn!(
                    name,
                    "a header for a receiver is none HTTP has; it is left out"
                );
                continue;
            };
            if is_of_delivery(name.as_str()) {
                warn!(%name, "a header for a receiver is the delivery's alone to set; it is left out");
                continue;
            }
            if self.headers.contains_key(&name) || has_auth && name == AUTHORIZATION {
                continue;
            }
            sent.set_sensitive(true);
            self.headers.insert(name, sent);
            self.hide(value.reveal());
        }
    }

    /// Receivers like to name the URL they were asked for.
    fn hide_parts_of(&mut self, url: &Url) {
        if let Some(password) = url.password() {
            let decoded = |text: &str| {
                let bytes = percent_encoding::percent_decode_str(text);
                bytes.decode_utf8_lossy().into_owned()
            };
            let (user, password) = (decoded(url.username()), decoded(password));
            self.hide(&BASE64_STANDARD.encode(format!("{user}:{password}")));
            self.hide(&password);
        }
        for (_, value) in url.query_pairs() {
            self.hide(&value);
        }
        let query = url.query().unwrap_or_default();
        for pair in query.split('&') {
            self.hide(pair.split_once('=').map_or("", |(_, value)| value));
        }
    }

    fn hide(&mut self, value: &str) {
        let words = value.split_whitespace().filter(|w| w.len() >= SHORTEST);
        self.words.extend(words.map(Secret::new));
    }

    /// What a receiver said, without what it repeats of all that: it is logged and shown.
    pub(crate) fn without_secrets(&self, mut said: String) -> String {
        let mut words: Vec<&str> = self.words.iter().map(Secret::reveal).collect();
        // A word that holds another one goes whole.
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        for word in words {
            said = said.replace(word, "…");
        }
        said
    }

    /// For a request to another origin: nothing goes along.
    pub(crate) fn nothing(&mut self) {
        self.headers.clear();
        self.signing_secret = None;
    }
}
