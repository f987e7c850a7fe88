//! What the steps of a metaflow want done, of whom, and in which order.

use callreel_callflow::Input;
use callreel_callflow::metaflow::{Act, MetaflowRules, Metaflows, Party, Step, chain};
use callreel_proto::AccountId;
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::time::Instant;

use Party::{Callee, Caller};

use crate::support::{Talk, devices, phone};

fn account() -> AccountId {
    AccountId::parse("0123456789abcdef0123456789abcdef").unwrap()
}

/// What a step wants when this party dialled it, in one line.
fn wants(by: Party, module: &str, data: Value) -> String {
    let step = Step {
        module: module.to_owned(),
        data: data.as_object().unwrap().clone(),
    };
    let (wanted, problems) = step.act(by, &account());
    let mut line = match wanted {
        Ok(Act::Command(party, application)) => {
            format!("{party:?} {}", serde_json::to_string(&application).unwrap())
        }
        Ok(Act::Record(data)) => format!("record {}", Value::Object(data)),
        Ok(Act::Callflow(id)) => format!("callflow {id}"),
        Ok(Act::Number(number)) => format!("the callflow of {number}"),
        Err(reason) => format!("nothing: {reason}"),
    };
    for problem in problems {
        line += &format!(" ({})", problem.message);
    }
    line
}

/// An attended transfer, and one more wish.
fn consult(key: &str, value: &str) -> Value {
    json!({"captures": ["2001"], "transfer_type": "attended", key: value})
}

#[test]
fn each_module_wants_what_konamis_does() {
    let none = || json!({});
    let told = [
        wants(Caller, "hangup", none()),
        wants(Callee, "hangup", none()),
        wants(Callee, "break", none()),
        wants(Callee, "resume", none()),
        wants(Caller, "hold", none()),
        wants(
            Callee,
            "hold",
            json!({"unhold_key": "9", "moh_aleg": "tone_stream://%(1,1,440)"}),
        ),
        wants(Caller, "transfer", json!({"target": "2000"})),
        wants(
            Callee,
            "transfer",
            consult("moh", "tone_stream://%(1,1,440)"),
        ),
        wants(Caller, "transfer", consult("takeback_dtmf", "*7")),
        wants(
            Callee,
            "transfer",
            json!({"captures": ["2001"], "leg": "self"}),
        ),
        wants(Caller, "transfer", json!({"captures": ["no_match"]})),
        wants(Caller, "play", json!({"id": "tone_stream://%(1,1,440)"})),
        wants(
            Callee,
            "play",
            json!({"id": "tone_stream://%(1,1,440)", "leg": "self"}),
        ),
        wants(Callee, "play", json!({"id": "/other/m", "leg": "peer"})),
        wants(Callee, "tts", json!({"text": "hello"})),
        wants(
            Caller,
            "say",
            json!({"text": "17", "type": "number", "leg": "left"}),
        ),
        wants(Caller, "callflow", json!({"id": "f2", "captures": ["1"]})),
        wants(Caller, "callflow", json!({"captures": ["2002"]})),
        wants(Caller, "callflow", none()),
        wants(Caller, "record_call", json!({"action": "toggle"})),
        wants(Caller, "park", none()),
    ];
    assert_snapshot!(told.join("\n"), @r##"
    Caller {"Application-Name":"hangup"}
    Callee {"Application-Name":"hangup"}
    Callee {"Application-Name":"break"}
    Callee {"Application-Name":"break"}
    Caller {"Application-Name":"soft_hold","Unhold-Key":"1"}
    Callee {"Application-Name":"soft_hold","Unhold-Key":"9","A-MOH":"tone_stream://%(1,1,440)","B-MOH":"tone_stream://%(1,1,440)"}
    Caller {"Application-Name":"transfer","Transfer-Type":"blind","Transfer-To":"2000","Transfer-Leg":"bleg"}
    Callee {"Application-Name":"transfer","Transfer-Type":"attended","Transfer-To":"2001","Hold-Media":"tone_stream://%(1,1,440)","Takeback-Keys":"*1"}
    Caller {"Application-Name":"transfer","Transfer-Type":"attended","Transfer-To":"2001","Takeback-Keys":"*7"}
    Caller {"Application-Name":"transfer","Transfer-Type":"blind","Transfer-To":"2001","Transfer-Leg":"bleg"}
    nothing: nobody is named to transfer to
    Caller {"Application-Name":"play","Media-Name":"tone_stream://%(1,1,440)","Terminators":["1","2","3","4","5","6","7","8","9","0","*","#"],"Leg":"Both"}
    Caller {"Application-Name":"play","Media-Name":"tone_stream://%(1,1,440)","Terminators":["1","2","3","4","5","6","7","8","9","0","*","#"],"Leg":"B"}
    nothing: there is nothing to play (only the account's own media and /system_media/ can be played; skipped)
    Caller {"Application-Name":"tts","Text":"hello","Voice":"female","Terminators":["1","2","3","4","5","6","7","8","9","0","*","#"],"Leg":"B"}
    Caller {"Application-Name":"say","Say-Text":"17","Type":"number","Method":"pronounced","Leg":"Both"} ("left" is no leg; use "self", "peer" or "both"; both is used)
    callflow f2
    the callflow of 2002
    nothing: no callflow is named
    record {"action":"toggle"}
    nothing: the module "park" is not built
    "##);
}

#[test]
fn what_follows_is_done_next_and_what_cannot_be_ends_it() {
    let then =
        |module: &str, next: Value| json!({"module": module, "data": {}, "children": {"_": next}});
    let modules = |flow: &Value| {
        let (steps, problems) = chain(flow, "at");
        let names: Vec<_> = steps.into_iter().map(|step| step.module).collect();
        (names.join(" "), problems.first().map(|p| p.pointer.clone()))
    };
    let usual = then("hold", then("record_call", json!({})));
    assert_eq!(modules(&usual), ("hold record_call".to_owned(), None));
    let stranger = then("hold", then("park", then("hangup", json!({}))));
    assert_eq!(
        modules(&stranger),
        ("hold".to_owned(), Some("at/children/_".to_owned()))
    );
    assert_eq!(modules(&json!(7)).1.as_deref(), Some("at"));
    let mut endless = then("break", json!({}));
    for _ in 0..40 {
        endless = then("break", endless);
    }
    assert_eq!(modules(&endless).0.split(' ').count(), 16);
}

#[test]
fn what_a_pattern_takes_out_of_the_keys_goes_into_the_data() {
    let mut metaflows = Metaflows::default();
    let document = json!({"patterns": {r"^2(\d{3})$": {"module": "transfer"}}, "numbers": {"29": {"module": "hangup"}}});
    let rules = MetaflowRules {
        account: document,
        ..MetaflowRules::default()
    };
    assert_eq!(metaflows.joined(Caller, &rules), []);
    let now = Instant::now();
    for key in "*2417".chars() {
        assert_eq!(metaflows.pressed(Caller, key, now), None);
    }
    let dialled = metaflows.tick(metaflows.deadline().unwrap()).unwrap();
    assert_eq!(dialled.steps[0].module, "transfer");
    assert_eq!(
        Value::Object(dialled.steps[0].data.clone()),
        json!({"captures": ["417"], "collected": "2417"})
    );
}

#[test]
fn another_callflow_runs_when_the_talk_is_over() {
    let say = |text: &str| json!({"module": "tts", "data": {"text": text}});
    let flow =
        json!({"module": "user", "data": {"id": "bob"}, "children": {"_": say("nobody there")}});
    let overlay = |document: Value| {
        let mut talk = Talk::with(&flow, |call, _| call.answered = true);
        talk.found(0.0, devices(&[phone("desk")]));
        talk.event(1.0, callreel_proto::EventName::ChannelBridge, |_| {});
        talk.hear(2.0, Input::Overlay(document));
        assert!(!talk.text().contains("tts"), "{}", talk.text());
        talk.bridged(9.0, "SUCCESS", Some("sip:200"));
        talk
    };
    let talk = overlay(json!({"_id": "f2", "flow": say("goodbye")}));
    assert!(talk.text().contains("tts \"goodbye\""), "{}", talk.text());
    assert_eq!(talk.position().unwrap().pointer, "f2#/flow");
    let talk = overlay(json!({"_id": "f2"}));
    assert!(talk.text().contains("it is not run"), "{}", talk.text());
    assert!(talk.text().contains("< hangup"), "{}", talk.text());
}
