//! Who may call whom (Kazoo's `call_restriction`, `services` and closed groups), by the documents of whoever calls. Reads none itself.

use std::fmt::{self, Display, Formatter};

use callreel_proto::{E164, lenient_bool};
use serde_json::{Value, json};

use crate::flow::Flow;
use crate::pattern::Pattern;
use crate::ring::{MemberKind, members_of};

/// Kazoo's default kinds of numbers, in the order they are tried: a name, and a pattern of the number in the form of E.164.
const CLASSIFIERS: [(&str, &str); 7] = [
    (
        "tollfree_us",
        r"^\+1((?:800|88\d|877|866|855|844|833|822)\d{7})$",
    ),
    ("toll_us", r"^\+1(900\d{7})$"),
    ("emergency", r"^(911|922|933|988|833|811|711|999)$"),
    (
        "caribbean",
        r"^\+?1((?:684|264|268|242|246|441|284|345|767|809|829|849|473|671|876|664|670|787|939|869|758|784|721|868|649|340)\d{7})$",
    ),
    ("did_us", r"^(\+?1)?([2-9][0-9]{2}[2-9][0-9]{6})$"),
    ("international", r"^\+([2-9]\d{7,})$"),
    ("unknown", r"^(.*)$"),
];
/// Kinds of numbers that one system may have: nobody keeps as many.
const MOST_CLASSIFIERS: usize = 200;
/// What Kazoo plays to a caller who may not call.
const PROMPT: &str = "/system_media/cf-unauthorized_call";
/// The word that forbids.
const DENY: &str = "deny";

/// The documents of whoever calls; null where there is none.
#[derive(Debug, Clone, Copy)]
pub struct CallingParty<'a> {
    /// The account's.
    pub account: &'a Value,
    /// The device's.
    pub device: &'a Value,
    /// The user's, whose the device is, or who calls without one.
    pub user: &'a Value,
}

/// Why somebody may not make a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// `services.audio.enabled` is false in the document of the phone (or of the user who calls without one).
    DeviceService,
    /// The same in the account's.
    AccountService,
    /// The phone calls only those who are in a group with it.
    ClosedGroups,
    /// Numbers of this kind are denied.
    Number(String),
}

impl Display for Denied {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceService => f.write_str("services.audio.enabled of the caller is false"),
            Self::AccountService => f.write_str("services.audio.enabled of the account is false"),
            Self::ClosedGroups => f.write_str("the callee is in no group of the caller's"),
            Self::Number(class) => write!(f, "call_restriction.{class}.action is \"deny\""),
        }
    }
}

impl CallingParty<'_> {
    /// Why the party may not call anybody.
    pub fn out_of_service(&self) -> Option<Denied> {
        let own = [self.device, self.user]
            .into_iter()
            .find(|doc| !doc.is_null());
        if own.is_some_and(|doc| !has_audio(doc)) {
            return Some(Denied::DeviceService);
        }
        (!has_audio(self.account)).then_some(Denied::AccountService)
    }

    /// Whether calls of the party are restricted by what is dialled: without, nothing more need be read.
    pub fn is_restricted(&self) -> bool {
        let restricts = |doc: &Value| {
            let restrictions = doc.get("call_restriction").and_then(Value::as_object);
            let mut actions = restrictions.into_iter().flat_map(|map| map.values());
            actions.any(|restriction| restriction["action"] == DENY)
        };
        [self.account, self.device, self.user]
            .into_iter()
            .any(restricts)
    }

    /// Why a call to this number is denied.
    pub fn denied_number(&self, dialled: &str, classifiers: &Classifiers) -> Option<Denied> {
        let class = classifiers.classify(dialled)?;
        self.denies(class).then(|| Denied::Number(class.to_owned()))
    }

    /// Why a call to this extension is denied to a party that is closed; `groups` are the account's group documents.
    pub fn denied_callee(&self, callee: &Callee, groups: &[Value]) -> Option<Denied> {
        let shares = |group: &Value| callee.is_in(group) && self.is_in(group);
        (!groups.iter().any(shares)).then_some(Denied::ClosedGroups)
    }

    /// Whether the party calls only those who are in a group with it. As in Kazoo, the document of who calls says so alone.
    pub fn is_closed(&self) -> bool {
        let own = [self.device, self.user]
            .into_iter()
            .find(|doc| !doc.is_null());
        own.is_some_and(|doc| action(doc, "closed_groups") == Some(DENY))
    }

    /// What the account denies is denied; else the user's word goes before the device's.
    fn denies(&self, class: &str) -> bool {
        let user = action(self.user, class).filter(|word| matches!(*word, DENY | "allow"));
        action(self.account, class) == Some(DENY)
            || user.or_else(|| action(self.device, class)) == Some(DENY)
    }

    fn is_in(&self, group: &Value) -> bool {
        has_one_of(
            group,
            [self.device["_id"].as_str(), self.user["_id"].as_str()],
        )
    }
}

/// Who is called, where a callflow does nothing but ring them: an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callee {
    /// The user's or device's document id.
    pub id: String,
    /// Which of the two it is.
    pub kind: MemberKind,
    /// The user whose the device is, once that is known.
    pub owner: Option<String>,
}

impl Callee {
    /// The extension that this callflow document is; none if it is another flow (Kazoo's rule: it begins with a user or a device).
    pub fn of(callflow: &Value) -> Option<Self> {
        let first = &callflow["flow"];
        let kind = match first["module"].as_str()? {
            "user" => MemberKind::User,
            "device" => MemberKind::Device,
            _ => return None,
        };
        Some(Self {
            id: first["data"]["id"].as_str()?.to_owned(),
            kind,
            owner: None,
        })
    }

    fn is_in(&self, group: &Value) -> bool {
        has_one_of(group, [Some(self.id.as_str()), self.owner.as_deref()])
    }
}

/// The kinds of numbers that restrictions are about (`classifiers` of `system_config/number_manager`).
#[derive(Debug)]
pub struct Classifiers(Vec<(String, Pattern)>);

impl Classifiers {
    /// Those of the document, Kazoo's where it names none; and what in it cannot be read.
    pub fn read(document: &Value) -> (Self, Vec<String>) {
        let own = ["/default/classifiers", "/classifiers"];
        let own = own
            .iter()
            .find_map(|place| document.pointer(place)?.as_object());
        let Some(own) = own else {
            let read = |text| Pattern::read(text).expect("a test reads every default pattern");
            let usual = CLASSIFIERS.map(|(name, text)| (name.to_owned(), read(text)));
            return (Self(usual.into()), Vec::new());
        };
        let (mut kinds, mut problems) = (Vec::new(), Vec::new());
        for (name, kind) in own.iter().take(MOST_CLASSIFIERS) {
            // Kazoo's older form is the pattern itself.
            let text = kind.get("regex").unwrap_or(kind).as_str();
            match text.map_or_else(|| Err("it has no regex".to_owned()), Pattern::read) {
                Ok(pattern) => kinds.push((name.clone(), pattern)),
                Err(reason) => problems.push(format!("{name}: {reason}; no number is of it")),
            }
        }
        (Self(kinds), problems)
    }

    /// The first kind that a number is of. It is put in the form of E.164 before.
    pub fn classify(&self, number: &str) -> Option<&str> {
        let whole = E164::of(number);
        let number = whole.as_ref().map_or(number, E164::as_str);
        let mut kinds = self.0.iter();
        let found = kinds.find(|(_, pattern)| pattern.is_match(number))?;
        Some(&found.0)
    }
}

impl Flow {
    /// What a caller runs who may not make the call: Kazoo's prompt says so, and the call is hung up.
    pub fn unauthorized() -> Self {
        let says = json!({"module": "play", "data": {"id": PROMPT}});
        Self::parse_below("(restricted)", &says, false).expect("it is one good action")
    }
}

fn has_one_of(group: &Value, ids: [Option<&str>; 2]) -> bool {
    let members = members_of(group);
    let mut ids = ids.into_iter().flatten();
    ids.any(|id| members.iter().any(|member| member.id == id))
}

fn action<'a>(doc: &'a Value, class: &str) -> Option<&'a str> {
    doc.get("call_restriction")?
        .get(class)?
        .get("action")?
        .as_str()
}

/// What the system says (`pvt_services`) goes before what the account says.
fn has_audio(doc: &Value) -> bool {
    let said = |services: &str| {
        let enabled = doc.get(services)?.get("audio")?.get("enabled")?;
        lenient_bool(enabled)
    };
    said("pvt_services")
        .or_else(|| said("services"))
        .unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Classifiers {
        Classifiers::read(&Value::Null).0
    }

    fn denies(account: Value, user: Value, device: Value) -> bool {
        let of = |action: Value| match action {
            Value::Null => json!({}),
            action => json!({"call_restriction": {"did_us": {"action": action}}}),
        };
        let (account, user, device) = (of(account), of(user), of(device));
        let party = CallingParty {
            account: &account,
            device: &device,
            user: &user,
        };
        let denied = party.denied_number("4155550100", &usual());
        assert!(party.is_restricted() || denied.is_none());
        denied.is_some()
    }

    #[test]
    fn a_number_is_of_the_first_kind_that_takes_it_once_it_is_whole() {
        let kinds = usual();
        for (number, kind) in [
            ("18005550100", "tollfree_us"),
            ("+19005550100", "toll_us"),
            ("911", "emergency"),
            ("8765550100", "caribbean"),
            ("4155550100", "did_us"),
            ("004930123456", "international"),
            ("2000", "unknown"),
            ("*97", "unknown"),
        ] {
            assert_eq!(kinds.classify(number), Some(kind), "{number}");
        }
    }

    #[test]
    fn a_system_has_its_own_kinds_and_is_told_of_those_that_are_none() {
        let own = json!({"default": {"classifiers": {
            "inner": {"regex": "^\\d{3,4}$"}, "old": "^\\+49", "broken": {"regex": "("}, "empty": {}}}});
        let (kinds, problems) = Classifiers::read(&own);
        assert_eq!(kinds.classify("2000"), Some("inner"));
        assert_eq!(kinds.classify("004930123456"), Some("old"));
        assert_eq!(kinds.classify("4155550100"), None);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn the_accounts_denial_holds_and_the_users_word_goes_before_the_devices() {
        let (deny, allow, inherit, none) =
            (json!("deny"), json!("allow"), json!("inherit"), Value::Null);
        assert!(denies(deny, allow.clone(), allow.clone()));
        assert!(denies(none.clone(), json!("deny"), allow.clone()));
        assert!(!denies(none.clone(), allow, json!("deny")));
        assert!(denies(none.clone(), inherit.clone(), json!("deny")));
        assert!(denies(none.clone(), none.clone(), json!("deny")));
        assert!(!denies(inherit.clone(), inherit.clone(), inherit));
        assert!(!denies(none.clone(), none.clone(), none));
    }

    #[test]
    fn a_service_that_is_off_denies_every_call() {
        let (on, off) = (
            json!({}),
            json!({"services": {"audio": {"enabled": false}}}),
        );
        let granted = json!({"services": {"audio": {"enabled": false}},
            "pvt_services": {"audio": {"enabled": true}}});
        let out = |account, device| {
            CallingParty {
                account,
                device,
                user: &Value::Null,
            }
            .out_of_service()
        };
        assert_eq!(out(&on, &on), None);
        assert_eq!(out(&on, &off), Some(Denied::DeviceService));
        assert_eq!(out(&off, &on), Some(Denied::AccountService));
        assert_eq!(out(&granted, &granted), None);
    }

    #[test]
    fn closed_groups_are_for_those_who_are_in_one_with_the_caller() {
        let device =
            json!({"_id": "d1", "call_restriction": {"closed_groups": {"action": "deny"}}});
        let user = json!({"_id": "u1"});
        let party = CallingParty {
            account: &Value::Null,
            device: &device,
            user: &user,
        };
        assert!(party.is_closed() && party.is_restricted());
        let groups = [
            json!({"_id": "g1", "endpoints": {"u1": {"type": "user"}, "u2": {"type": "user"}}}),
            json!({"_id": "g2", "endpoints": {"u3": {"type": "user"}}}),
        ];
        let calls = |module: &str, id: &str, owner: Option<&str>| {
            let flow = json!({"flow": {"module": module, "data": {"id": id}}});
            let callee = Callee {
                owner: owner.map(str::to_owned),
                ..Callee::of(&flow).unwrap()
            };
            party.denied_callee(&callee, &groups)
        };
        assert_eq!(calls("user", "u2", None), None);
        assert_eq!(calls("user", "u3", None), Some(Denied::ClosedGroups));
        assert_eq!(calls("device", "d2", Some("u2")), None);
        assert_eq!(calls("device", "d3", None), Some(Denied::ClosedGroups));
        let menu = json!({"flow": {"module": "menu", "data": {"id": "u3"}}});
        assert_eq!(Callee::of(&menu), None);
    }
}
