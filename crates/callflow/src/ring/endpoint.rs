//! Makes the endpoints of a bridge from documents (Kazoo's `kz_endpoint`). Never decides whose documents.

use callreel_proto::{AccountId, Device, Endpoint, User};
use serde_json::{Map, Value, json};

use super::Ringing;
use super::forward::Forward;
use super::members::Rung;
use crate::speech::{named, prompt};
use crate::stage::Stage;
use crate::talk::Endpoints;

/// How often one call may be forwarded: two who forward to each other would ring for ever.
const MOST_FORWARDS: u64 = 5;
/// The variable that counts it.
const FORWARDS: &str = "Call-Forward-Count";
/// The key that accepts a forwarded call.
const CONFIRM_KEY: &str = "1";
/// The prompt that asks for it.
const CONFIRM_PROMPT: &str = "ivr-group_confirm";
/// How long it is waited for, milliseconds.
const CONFIRM_MS: u64 = 7000;

/// What holds for every endpoint of one bridge.
#[derive(Debug)]
pub(super) struct Terms {
    realm: String,
    /// Instead of the phone's user name.
    to_user: Option<String>,
    timeout_s: u64,
    headers: Map<String, Value>,
    account: AccountId,
    group: bool,
    can_call_self: bool,
    from_outside: bool,
    ringtones: Map<String, Value>,
    account_ringtones: Map<String, Value>,
    account_music: Option<String>,
    calling_device: Option<String>,
    calling_owner: Option<String>,
    /// What was dialled.
    number: String,
    /// How often this call was forwarded before.
    forwards: u64,
    /// What asks for the key, in the caller's language.
    confirm_file: String,
}

impl Terms {
    pub(super) fn read(stage: &mut Stage, ringing: &Ringing, found: &Endpoints) -> Self {
        let call = &stage.call;
        let forwards = call.channel_vars.get(FORWARDS);
        Self {
            realm: found.realm.clone(),
            timeout_s: ringing.timeout_s,
            account: call.account_id.clone(),
            account_music: found.hold_media.clone(),
            group: ringing.group,
            from_outside: call.from_outside,
            ringtones: ringing.ringtones.clone(),
            account_ringtones: found.ringtones.clone(),
            calling_device: call.calling_device.clone(),
            calling_owner: call.owner_id.clone(),
            number: call.number.clone(),
            forwards: forwards
                .and_then(callreel_proto::lenient_u64)
                .unwrap_or_default(),
            confirm_file: prompt(CONFIRM_PROMPT, stage),
            to_user: stage.text("static_invite"),
            headers: headers(stage),
            can_call_self: ringing.can_call_self || stage.flag("can_call_self") == Some(true),
        }
    }

    /// Adds where one phone's calls are to ring: the phone, the number it is forwarded to, both, or nothing.
    pub(super) fn add(&self, stage: &mut Stage, rung: &Rung<'_>, endpoints: &mut Vec<Endpoint>) {
        if !self.willing(rung) {
            return;
        }
        let forward = Forward::of(rung.device, rung.owner, self.group);
        if let Some(device) = rung.device
            && !forward.as_ref().is_some_and(|forward| forward.substitute)
        {
            match self.phone(device, rung) {
                Ok(mut endpoint) => {
                    endpoint.outbound_call_id = Some(stage.ring(device, rung.owner));
                    if let Some(music) = self.music(stage, rung) {
                        let vars = &mut endpoint.custom_channel_vars;
                        vars.insert("Hold-Media".to_owned(), json!(music));
                    }
                    endpoints.push(endpoint);
                }
                Err(reason) => {
                    stage.warn(format!("device {} is not rung: {reason}", device.id));
                }
            }
        }
        let Some(forward) = forward else { return };
        if self.forwards >= MOST_FORWARDS {
            let number = &forward.number;
            stage.warn(format!(
                "the call was forwarded {MOST_FORWARDS} times already; it is not forwarded to {number}"
            ));
            return;
        }
        // The phones of one user share the user's forward: it is one call.
        let same = |other: &Endpoint| {
            other.invite_format == "loopback" && other.route.as_ref() == Some(&forward.number)
        };
        if !endpoints.iter().any(same) {
            endpoints.push(self.forwarded(&forward, rung));
        }
    }

    fn willing(&self, rung: &Rung<'_>) -> bool {
        let owner = rung
            .owner
            .is_none_or(|owner| owner.enabled && !owner.do_not_disturb);
        let device = rung
            .device
            .is_none_or(|device| device.enabled && !device.do_not_disturb);
        owner && device && (self.can_call_self || !self.calls_self(rung))
    }

    /// Whoever calls themselves reaches none of their phones (Kazoo's `owner_called_self` and `endpoint_called_self`).
    fn calls_self(&self, rung: &Rung<'_>) -> bool {
        let device = rung.device.map(|device| device.id.as_str());
        let owner = rung.owner.map(|owner| owner.id.as_str());
        let same =
            |own: &Option<String>, other: Option<&str>| own.is_some() && own.as_deref() == other;
        same(&self.calling_device, device) || same(&self.calling_owner, owner)
    }

    fn phone(&self, device: &Device, rung: &Rung<'_>) -> Result<Endpoint, String> {
        let mut custom_sip_headers = outbound(device.custom_sip_headers.clone());
        if let Some(ringtone) = self.ringtone(rung) {
            custom_sip_headers.insert("Alert-Info".to_owned(), json!(ringtone));
        }
        custom_sip_headers.extend(self.headers.clone());
        let endpoint = Endpoint {
            delay_s: rung.delay_s,
            timeout_s: Some(rung.timeout_s.unwrap_or(self.timeout_s)),
            progress_timeout_s: device.progress_timeout_s,
            ignore_early_media: device.ignore_early_media.then_some(true),
            custom_channel_vars: self.variables(rung),
            custom_sip_headers,
            ..Endpoint::default()
        };
        match device.invite_format.as_str() {
            "route" => Ok(Endpoint {
                invite_format: "route".to_owned(),
                route: Some(device.route.clone().ok_or("it has no sip.route")?),
                ..endpoint
            }),
            // A contact is what a registration holds, so both find the phone by its registration.
            "username" | "contact" => {
                let username = device.username.clone().ok_or("it has no sip.username")?;
                let realm = device.realm.clone().unwrap_or_else(|| self.realm.clone());
                Ok(Endpoint {
                    invite_format: "username".to_owned(),
                    to_user: Some(self.to_user.clone().unwrap_or_else(|| username.clone())),
                    to_username: Some(username),
                    to_realm: Some(realm),
                    ..endpoint
                })
            }
            other => Err(format!("sip.invite_format {other:?} is not supported")),
        }
    }

    /// The number's own callflow, run by a leg inside the switch.
    fn forwarded(&self, forward: &Forward, rung: &Rung<'_>) -> Endpoint {
        let mut variables = self.variables(rung);
        let mut set = |name: &str, value: Value| variables.insert(name.to_owned(), value);
        set("Call-Forward", json!("true"));
        set(FORWARDS, json!((self.forwards + 1).to_string()));
        set("Require-Ignore-Early-Media", json!("true"));
        if forward.keep_caller_id {
            set("Retain-CID", json!("true"));
        }
        if forward.keypress {
            set("Confirm-Key", json!(CONFIRM_KEY));
            set("Confirm-Cancel-Timeout", json!("true"));
            set("Confirm-Read-Timeout", json!(CONFIRM_MS.to_string()));
            set("Confirm-File", json!(self.confirm_file));
        }
        Endpoint {
            invite_format: "loopback".to_owned(),
            route: Some(forward.number.clone()),
            to_did: Some(self.number.clone()),
            ignore_early_media: Some(forward.ignore_early_media),
            delay_s: rung.delay_s,
            timeout_s: Some(rung.timeout_s.unwrap_or(self.timeout_s)),
            custom_channel_vars: variables,
            ..Endpoint::default()
        }
    }

    /// How the phone rings: as the action says, else its owner, the phone itself, the account.
    fn ringtone(&self, rung: &Rung<'_>) -> Option<String> {
        let key = if self.from_outside {
            "external"
        } else {
            "internal"
        };
        let none = Map::new();
        let places = [
            &self.ringtones,
            rung.owner.map_or(&none, |owner| &owner.ringtones),
            rung.device.map_or(&none, |device| &device.ringtones),
            &self.account_ringtones,
        ];
        let found = places.iter().find_map(|map| map.get(key)?.as_str());
        found.filter(|tone| !tone.is_empty()).map(str::to_owned)
    }

    /// What whoever is held by the phone hears: the nearest document names it.
    fn music(&self, stage: &mut Stage, rung: &Rung<'_>) -> Option<String> {
        let device = rung.device.and_then(|device| device.hold_media.as_ref());
        let owner = rung.owner.and_then(|owner| owner.hold_media.as_ref());
        let music = device.or(owner).or(self.account_music.as_ref())?;
        named(music, &self.account)
            .map_err(|reason| stage.warn(format!("music on hold: {reason}; not played")))
            .ok()
    }

    /// The variables Kazoo gives a leg to somebody's phone, or to where their calls go.
    fn variables(&self, rung: &Rung<'_>) -> Map<String, Value> {
        let mut variables = Map::new();
        let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), json!(value));
        set("Account-ID", self.account.as_str());
        let whose = match (rung.device, rung.owner) {
            (Some(device), _) => Some((&device.id, "device")),
            (None, owner) => owner.map(|owner| (&owner.id, "user")),
        };
        if let Some((id, kind)) = whose {
            set("Authorizing-ID", id);
            set("Authorizing-Type", kind);
        }
        if let Some(owner) = owner_id(rung) {
            set("Owner-ID", owner);
        }
        variables
    }
}

fn owner_id<'a>(rung: &'a Rung<'_>) -> Option<&'a str> {
    let user = |user: &'a User| user.id.as_str();
    let device = rung.device.and_then(|device| device.owner_id.as_deref());
    device.or(rung.owner.map(user))
}

/// Headers for the B leg: plain, or in Kazoo's later form below `out`.
fn headers(stage: &mut Stage) -> Map<String, Value> {
    let alert = stage.alert_info();
    let alert = alert.map(|text| ("Alert-Info".to_owned(), Value::String(text)));
    let mut headers: Map<_, _> = alert.into_iter().collect();
    match stage.value("custom_sip_headers") {
        None => {}
        Some(Value::Object(own)) => headers.extend(outbound(own)),
        Some(_) => stage.warn_of("custom_sip_headers", "not an object; ignored"),
    }
    headers
}

/// The headers of calls to somewhere: all, or in Kazoo's later form those below `out`.
pub(crate) fn outbound(mut headers: Map<String, Value>) -> Map<String, Value> {
    let nested = ["in", "out"]
        .iter()
        .any(|side| headers.get(*side).is_some_and(Value::is_object));
    if !nested {
        return headers;
    }
    match headers.remove("out") {
        Some(Value::Object(out)) => out,
        _ => Map::new(),
    }
}
