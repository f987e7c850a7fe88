//! Who may make a call: those who may not hear so, whatever the callflow would do.

use callreel_calls::CallsConfig;
use serde_json::{Value, json};

use crate::{
    kazoo::{Kazoo, Tree, lay_over},
    world::ACCOUNT,
};

const DB: &str = "account/a0/00/0000000000000000000000000001";
const ABROAD: &str = "+4930123456";

/// An account with Bob's phone; what is laid over each document.
struct Estate {
    account: Value,
    device: Value,
    user: Value,
    more: Vec<(&'static str, Value)>,
}

impl Default for Estate {
    fn default() -> Self {
        Self {
            account: json!({}),
            device: json!({}),
            user: json!({}),
            more: Vec::new(),
        }
    }
}

fn deny(kind: &str) -> Value {
    json!({"call_restriction": { kind: {"action": "deny"} }})
}

impl Estate {
    /// What the switch is told first of a call to this number.
    async fn told(self, number: &str, vars: Value) -> String {
        let refuse = json!({"module": "response", "data": {"code": 486}});
        let fallback = json!({"_id": "f2", "pvt_type": "callflow", "numbers": ["no_match"],
            "patterns": ["^\\*67(\\d+)$"], "flow": refuse});
        let own = json!({"_id": ACCOUNT, "pvt_type": "account", "realm": "acme.test"});
        let device = json!({"_id": "d1", "pvt_type": "device", "owner_id": "u1", "sip": {"username": "bob"}});
        let user = json!({"_id": "u1", "pvt_type": "user"});
        let over = |mut doc: Value, more: &Value| {
            lay_over(&mut doc, more);
            (DB, doc)
        };
        let mut docs = vec![
            over(own, &self.account),
            over(device, &self.device),
            over(user, &self.user),
            (DB, fallback),
        ];
        docs.extend(self.more);
        let mut kazoo = Kazoo::with(Tree::V43, refuse, CallsConfig::default(), &docs).await;
        let mut request = json!({"Request": format!("{number}@acme.test"),
            "Custom-Channel-Vars": {"Authorizing-Type": "device", "Authorizing-ID": "d1"}});
        lay_over(&mut request, &json!({ "Custom-Channel-Vars": vars }));
        kazoo.offer(&request).await;
        kazoo.take_bid().await;
        kazoo.give(&json!({})).await;
        let first = kazoo.hears().await;
        first["Application-Name"].as_str().unwrap().to_owned()
    }

    /// Whether that is the callflow's own word.
    async fn allows(self, number: &str) -> bool {
        self.allows_with(number, json!({})).await
    }

    async fn allows_with(self, number: &str, vars: Value) -> bool {
        match self.told(number, vars).await.as_str() {
            "respond" => true,
            "answer" => false,
            other => panic!("{other} is told first"),
        }
    }
}

fn device(device: Value) -> Estate {
    Estate {
        device,
        ..Estate::default()
    }
}

#[tokio::test]
async fn numbers_of_a_kind_that_is_denied_are_not_called_and_others_are() {
    assert!(!device(deny("international")).allows(ABROAD).await);
    assert!(device(deny("international")).allows("4155550100").await);
    assert!(!device(deny("unknown")).allows("2000").await);
    // What the feature code was dialled with counts, not the code.
    assert!(!device(deny("did_us")).allows("*674155550100").await);
    let user = Estate {
        user: deny("did_us"),
        ..Estate::default()
    };
    assert!(!user.allows("4155550100").await);
    let account = Estate {
        account: deny("did_us"),
        user: json!({"call_restriction": {"did_us": {"action": "allow"}}}),
        ..Estate::default()
    };
    assert!(!account.allows("4155550100").await);
}

#[tokio::test]
async fn a_system_says_itself_of_which_kind_a_number_is() {
    let config = json!({"_id": "number_manager", "default": {"classifiers": {"inner": {"regex": "^\\d{4}$"}}}});
    let estate = |kind: &str| Estate {
        more: vec![("system_config", config.clone())],
        ..device(deny(kind))
    };
    assert!(!estate("inner").allows("2000").await);
    assert!(estate("unknown").allows("2000").await);
}

#[tokio::test]
async fn an_account_or_a_phone_without_audio_calls_nobody() {
    let off = || json!({"services": {"audio": {"enabled": false}}});
    assert!(!device(off()).allows("2000").await);
    let account = |account| Estate {
        account,
        ..Estate::default()
    };
    assert!(!account(off()).allows("2000").await);
    // Callers from outside are nobody's phones.
    let carrier = json!({"Authorizing-Type": "resource", "Authorizing-ID": "r1"});
    assert!(account(off()).allows_with("2000", carrier).await);
}

#[tokio::test]
async fn who_sends_a_call_on_must_be_allowed_to_make_it() {
    let outsider = |by: &str| {
        json!({"Authorizing-Type": "resource", "Authorizing-ID": "r1",
            "Referred-By": format!("<sip:{by}@acme.test>")})
    };
    let abroad = || device(deny("international"));
    assert!(!abroad().allows_with(ABROAD, outsider("bob")).await);
    assert!(device(json!({})).allows_with(ABROAD, outsider("bob")).await);
    // Bob's phone is sent on by somebody who is none of the account's: he does not dial.
    let sent =
        json!({"Redirected-By": "<sip:eve@acme.test>", "Referred-By": "<sip:bob@acme.test>"});
    assert!(abroad().allows_with("2000", sent).await);
    // A user without a phone, whose calls are forwarded.
    let user = Estate {
        user: deny("international"),
        ..Estate::default()
    };
    let forwarded = json!({"Authorizing-Type": "user", "Authorizing-ID": "u1"});
    assert!(!user.allows_with(ABROAD, forwarded).await);
}

#[tokio::test]
async fn a_closed_phone_reaches_the_extensions_of_its_groups_alone() {
    let ring = |id: &str, number: &str| {
        let flow = json!({"module": "user", "data": {"id": id}, "children": {"_": {"module": "response", "data": {"code": 486}}}});
        (
            DB,
            json!({"_id": number, "pvt_type": "callflow", "numbers": [number], "flow": flow}),
        )
    };
    let estate = || Estate {
        more: vec![
            ring("u2", "2002"),
            ring("u3", "2003"),
            (
                DB,
                json!({"_id": "g1", "pvt_type": "group", "endpoints": {"u1": {"type": "user"}, "u2": {"type": "user"}}}),
            ),
        ],
        ..device(deny("closed_groups"))
    };
    assert!(estate().allows("2002").await);
    assert!(!estate().allows("2003").await);
    // What is no extension is not closed.
    assert!(estate().allows("2000").await);
}

#[tokio::test]
async fn who_may_not_call_hears_so_and_is_hung_up_on_and_nothing_is_recorded() {
    let account = json!({"_id": ACCOUNT, "pvt_type": "account", "call_recording": {"account": {"any": {"any": {
        "enabled": true, "url": "http://127.0.0.1:9/r"}}}}});
    let phone = json!({"_id": "d1", "pvt_type": "device", "call_restriction": {"unknown": {"action": "deny"}}});
    let docs = [(DB, account), (DB, phone)];
    let flow = json!({"module": "response", "data": {"code": 486}});
    let mut kazoo = Kazoo::with(Tree::V43, flow, CallsConfig::default(), &docs).await;
    let vars = json!({"Authorizing-Type": "device", "Authorizing-ID": "d1"});
    kazoo.offer(&json!({ "Custom-Channel-Vars": vars })).await;
    kazoo.take_bid().await;
    kazoo.give(&json!({})).await;
    assert_eq!(kazoo.hears().await["Application-Name"], "answer");
    kazoo.done("answer", "").await;
    let play = kazoo.hears().await;
    assert_eq!(play["Application-Name"], "play");
    assert_eq!(play["Media-Name"], "/system_media/cf-unauthorized_call");
    let noop = kazoo.hears().await;
    assert_eq!(noop["Application-Name"], "noop");
    kazoo.done("noop", noop["Msg-ID"].as_str().unwrap()).await;
    let hangup = kazoo.hears().await;
    assert_eq!(hangup["Application-Name"], "hangup");
    assert_eq!(hangup["Hangup-Cause"], Value::Null);
}
