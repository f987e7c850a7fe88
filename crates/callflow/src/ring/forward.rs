//! Call forwarding: what the documents of a phone and its owner say of it (Kazoo's `call_forward`). Rings nobody.

use callreel_proto::{Device, User, lenient_bool};
use serde_json::{Map, Value};

/// Calls go to another number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forward {
    /// As a phone of the account would dial it.
    pub(super) number: String,
    /// Whoever answers there must press a key to be connected.
    pub(super) keypress: bool,
    /// The callee is told who calls, not who forwards.
    pub(super) keep_caller_id: bool,
    /// The phone itself does not ring.
    pub(super) substitute: bool,
    /// What is heard from there before it answers is not passed on.
    pub(super) ignore_early_media: bool,
}

impl Forward {
    /// Where the calls of a phone, or of a user without one, go. A phone's own forward holds if it is on, else its owner's goes
    /// before it, key by key (Kazoo's `kz_endpoint`). In a `group` one for direct calls alone does not hold.
    pub(super) fn of(device: Option<&Device>, owner: Option<&User>, group: bool) -> Option<Self> {
        let mut said = device.map_or_else(Map::new, |device| device.call_forward.clone());
        if !is(&said, "enabled")
            && let Some(owner) = owner
        {
            said.extend(owner.call_forward.clone());
        }
        let number = match said.get("number")? {
            Value::String(number) => number.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let holds = is(&said, "enabled") && !(group && is(&said, "direct_calls_only"));
        if !holds || number.is_empty() {
            return None;
        }
        let keypress = is(&said, "require_keypress");
        let substitute = is(&said, "substitute");
        Some(Self {
            number,
            keypress,
            keep_caller_id: is(&said, "keep_caller_id"),
            substitute,
            ignore_early_media: keypress || !substitute || is(&said, "ignore_early_media"),
        })
    }
}

fn is(said: &Map<String, Value>, key: &str) -> bool {
    said.get(key).and_then(lenient_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(device: Value, owner: Value, group: bool) -> Option<Forward> {
        let device = Device::read(&json!({"_id": "d", "call_forward": device}));
        let owner = User::read(&json!({"_id": "u", "call_forward": owner}));
        Forward::of(Some(&device), Some(&owner), group)
    }

    #[test]
    fn a_phones_own_forward_holds_if_it_is_on_and_its_owners_if_not() {
        let on = |number: &str| json!({"enabled": true, "number": number});
        let number = |device, owner| of(device, owner, false).map(|forward| forward.number);
        assert_eq!(number(on("1"), on("2")).as_deref(), Some("1"));
        let off = json!({"enabled": false, "number": "1"});
        assert_eq!(number(off.clone(), on("2")).as_deref(), Some("2"));
        assert_eq!(
            number(off.clone(), json!({"enabled": true})).as_deref(),
            Some("1")
        );
        assert_eq!(number(off, json!({})), None);
        assert_eq!(
            number(json!({"enabled": true, "number": ""}), Value::Null),
            None
        );
    }

    #[test]
    fn a_forward_for_direct_calls_does_not_hold_in_a_group() {
        let direct = json!({"enabled": true, "number": "1", "direct_calls_only": true});
        assert!(of(direct.clone(), Value::Null, false).is_some());
        assert!(of(direct, Value::Null, true).is_none());
        let any = json!({"enabled": "true", "number": 1, "direct_calls_only": false});
        assert!(of(any, Value::Null, true).is_some());
    }

    #[test]
    fn early_media_is_heard_only_from_the_one_place_that_rings() {
        let ignored = |said: Value| of(said, Value::Null, false).unwrap().ignore_early_media;
        let with = |more: Value| {
            let mut said = json!({"enabled": true, "number": "1"});
            said.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            said
        };
        assert!(ignored(with(json!({}))));
        assert!(!ignored(with(json!({"substitute": true}))));
        assert!(ignored(with(
            json!({"substitute": true, "require_keypress": true})
        )));
        assert!(ignored(with(
            json!({"substitute": true, "ignore_early_media": true})
        )));
    }
}
