//! Draws flows, documents and inputs, right and wrong, for the properties. Owns no assertion.

use std::collections::BTreeMap;

use callreel_callflow::{
    Answer, Captures, Dialled, EndpointRules, Input, MailboxAnswer, MailboxQuery, Message, Network,
    ParkingAnswer, ParkingSlot, Query, Recorded, Slot, Standing, Trunks, lint,
};
use callreel_proto::{CallId, EndReason, EventName, Folder, Vmbox};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{call, devices, event, phone};

/// A text longer than anything a person writes.
const HUGE: usize = 5_000;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(
            &[
                "start",
                "stop",
                "mask",
                "check",
                "branch",
                "separate",
                "a word",
                "mp3",
                "http://h/r",
                "ftp://h",
                "true",
                "5",
                "",
                "single",
                "user",
                "device",
                "group",
                "email",
                "merged",
                "menu",
                "toggle",
                "both",
                "1",
                "h",
                "ü"
            ][..]
        )
        .prop_map(Value::from),
        Just(Value::from(u64::MAX)),
        Just(Value::from("x".repeat(HUGE))),
        ".{0,8}".prop_map(Value::from),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A document of an account: keys that modules read, with values that fit and values that do not.
pub(crate) fn document() -> impl Strategy<Value = Value> {
    const KEYS: &[&str] = &[
        "_id",
        "pvt_type",
        "name",
        "flow",
        "enabled",
        "owner_id",
        "endpoints",
        "endpoint_type",
        "id",
        "number",
        "prefix",
        "pattern",
        "list_id",
        "displayname",
        "email",
        "media",
        "retries",
        "timeout",
        "max_extension_length",
        "hunt",
        "hunt_allow",
        "hunt_deny",
        "record_pin",
        "users",
        "first_name",
        "last_name",
        "username",
        "min_dtmf",
        "max_dtmf",
        "sort_by",
        "temporal_rules",
        "cycle",
        "interval",
        "days",
        "wdays",
        "ordinal",
        "month",
        "start_date",
        "end_date",
        "time_window_start",
        "time_window_stop",
        "do_not_disturb",
        "call_forward",
        "metaflows",
        "sip",
        "timezone",
        "language",
        "mailbox",
        "pin",
        "messages",
        "max_message_count",
        "featurecode",
        "numbers",
        "patterns",
    ];
    let number = (-3..100_000_i64).prop_map(Value::from);
    let inner = prop_oneof![3 => value(), 1 => number, 1 => Just(json!({"enabled": true}))];
    let cycle = prop::sample::select(&["date", "daily", "weekly", "monthly", "yearly"][..]);
    let id = prop::sample::select(&["h", "a word", "start"][..]);
    let fields = prop::sample::select(KEYS).prop_map(str::to_owned);
    let fields = prop::collection::vec((fields, inner), 0..10);
    (id, cycle, fields).prop_map(|(id, cycle, fields)| {
        let mut document = json!({
            "_id": id, "pvt_type": "user", "cycle": cycle, "hunt": true, "first_name": "Jjj", "directories": {id: id}
        });
        document.as_object_mut().unwrap().extend(fields);
        document
    })
}

/// A module's data: keys it knows, with values that fit and values that do not.
pub(crate) fn data(module: String) -> impl Strategy<Value = Value> {
    let keys: Vec<String> = lint::schema(&module)
        .map(|schema| {
            schema["properties"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect()
        })
        .unwrap_or_else(|| vec!["id".to_owned()]);
    prop::collection::vec((prop::sample::select(keys), value()), 0..6)
        .prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
}

fn action(inner: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    let names: Vec<String> = lint::modules()
        .map(str::to_owned)
        .chain(["warp".to_owned()])
        .collect();
    let module = prop::sample::select(names);
    let keys = prop::sample::select(
        &[
            "_",
            "_",
            "_",
            "NO_ANSWER",
            "sip:486",
            "record_failed",
            "match",
            "timeout",
            "max_retries",
            "module",
            "1",
        ][..],
    );
    let children = prop::collection::vec((keys.prop_map(str::to_owned), inner.clone()), 0..4)
        .prop_map(|pairs| Value::Object(pairs.into_iter().collect()));
    let children = prop_oneof![4 => children, 1 => inner, 1 => value()];
    (module.prop_flat_map(|name| (Just(name.clone()), data(name))), children)
        .prop_map(|((module, data), children)| json!({"module": module, "data": data, "children": children}))
}

pub(crate) fn flow() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!({})), action(Just(json!({})))];
    leaf.prop_recursive(5, 40, 3, action)
        .prop_map(|root| json!({"flow": root}))
}

/// What a switch may say; commands complete that were sent and some that were not.
fn happened() -> impl Strategy<Value = Input> {
    let name = prop::sample::select(
        &[
            EventName::ChannelAnswer,
            EventName::ChannelBridge,
            EventName::ChannelUnbridge,
            EventName::ChannelExecuteComplete,
            EventName::ChannelExecuteComplete,
            EventName::ChannelExecuteComplete,
            EventName::ChannelExecuteComplete,
            EventName::Dtmf,
            EventName::Dtmf,
            EventName::DialplanError,
            EventName::RecordStop,
            EventName::Unknown,
        ][..],
    );
    let application = prop_oneof![
        4 => prop::sample::select(&["answer", "noop", "bridge", "play"][..]).prop_map(str::to_owned),
        1 => prop::sample::select(&["page", "park", "transfer", "send_dtmf"][..]).prop_map(str::to_owned),
        3 => Just("noop".to_owned()),
    ];
    let response = prop_oneof![
        3 => (1..12_u32).prop_map(|number| format!("m-{number}")),
        1 => prop::sample::select(&["SUCCESS", "NO_ANSWER", "USER_BUSY", "NONE"][..]).prop_map(str::to_owned),
    ];
    (name, application, response, "[0-9*#A]").prop_map(|(name, application, response, key)| {
        let event = event(&call().call_id, |event| {
            event.application_name = Some(application.clone());
            event.application_response = Some(response.clone());
            event.dtmf_digit = Some(key);
            event.other_leg_call_id = Some(CallId::new("m-b1"));
            event.request = crate::support::refused(
                json!({"Application-Name": application, "Msg-ID": response}),
            );
        });
        Input::Event { name, event }
    })
}

pub(crate) fn input() -> impl Strategy<Value = Input> {
    let reason = prop::sample::select(
        &[
            EndReason::Stopped,
            EndReason::Hangup,
            EndReason::TooShort,
            EndReason::Silence,
        ][..],
    );
    let data = prop_oneof![
        flow().prop_map(|flow| flow.to_string()),
        value().prop_map(|value| value.to_string()),
        ".{0,8}",
    ];
    let brought = data.prop_map(|data| Input::Event {
        name: EventName::ChannelPivot,
        event: event(&call().call_id, |event| event.application_data = Some(data)),
    });
    let ended = (0..5_u32, reason, any::<u64>());
    prop_oneof![
        12 => happened(),
        1 => brought,
        8 => answer().prop_map(Input::Found),
        3 => ended.prop_map(|(slot, reason, length_ms)| Input::RecordingEnded {
            slot: Slot(slot), reason, length_ms, media_name: Some("local_stream://m".to_owned())
        }),
        1 => (0..5_u32).prop_map(|slot| Input::RecordingRefused { slot: Slot(slot), reason: "no".to_owned() }),
        2 => (0..5_u32).prop_map(|slot| Input::RecordingStarted { slot: Slot(slot) }),
        1 => any::<u64>().prop_map(|length_ms| Input::Recorded(Recorded { id: "r".to_owned(), url: None, length_ms })),
        1 => Just(Input::Started),
        2 => Just(Input::Tick),
    ]
}

/// Settings of an account and a caller, right or wrong.
pub(crate) fn standing() -> impl Strategy<Value = Standing> {
    let whole = data("record_call".to_owned()).prop_map(|mut settings| {
        settings["enabled"] = json!(true);
        json!({"any": {"any": settings}})
    });
    let tree = prop_oneof![whole, value()];
    (tree.clone(), tree.clone(), tree, any::<bool>()).prop_map(|(ours, everyones, own, outside)| {
        Standing {
            from: if outside {
                Network::Offnet
            } else {
                Network::Onnet
            },
            account: json!({"account": ours, "endpoint": everyones}),
            caller: Some(EndpointRules {
                id: "d".to_owned(),
                user: own,
                device: Value::Null,
            }),
            ..Standing::default()
        }
    })
}

/// Any answer there is, to whatever was asked.
pub(crate) fn answer() -> impl Strategy<Value = Answer> {
    let dialled = (flow(), prop::option::of("[0-9]{0,4}"), any::<bool>());
    let dialled = dialled.prop_map(|(document, group, fallback)| Dialled {
        document,
        captures: Captures {
            group,
            named: BTreeMap::new(),
        },
        fallback,
    });
    // As many years as the calendar has.
    let time =
        (-9000..9000_i16, 1..=12_i8, 1..=28_i8, 0..24_i8).prop_map(|(year, month, day, hour)| {
            let time = jiff::civil::date(year, month, day).at(hour, 30, 0, 0);
            Answer::LocalTime(time.to_zoned(jiff::tz::TimeZone::UTC).unwrap())
        });
    prop_oneof![
        flow().prop_map(Answer::Flow),
        value().prop_map(Answer::Flow),
        Just(Answer::Failed("it answered 503".to_owned())),
        Just(devices(&[phone("desk")])),
        document().prop_map(|doc| devices(&[doc])),
        document().prop_map(|doc| Answer::Vmbox(Box::new(Vmbox::read(&doc)))),
        mailbox_answer().prop_map(Answer::Mailbox),
        document().prop_map(Answer::Document),
        prop::collection::vec(document(), 0..4).prop_map(Answer::Documents),
        dialled.prop_map(|found| Answer::Dialled(Box::new(found))),
        time,
        Just(Answer::Missing),
    ]
}

fn mailbox_answer() -> impl Strategy<Value = MailboxAnswer> {
    let folder = prop::sample::select(&[Folder::New, Folder::Saved, Folder::Deleted][..]);
    let message = (folder, any::<i64>()).prop_map(|(folder, received)| Message {
        id: "202401-m".to_owned(),
        folder,
        received,
    });
    prop_oneof![
        prop::collection::vec(document(), 0..3)
            .prop_map(|docs| MailboxAnswer::Boxes(docs.iter().map(Vmbox::read).collect())),
        any::<(u64, u64)>().prop_map(|(new, saved)| MailboxAnswer::Counts { new, saved }),
        prop::collection::vec(message, 0..4).prop_map(MailboxAnswer::Messages),
        Just(MailboxAnswer::Done),
    ]
}

/// What a well-meaning account says of its voicemail boxes.
fn fitting_mailbox(query: &MailboxQuery, vmbox: Value) -> Answer {
    Answer::Mailbox(match query {
        MailboxQuery::Numbered { .. } => return Answer::Vmbox(Box::new(Vmbox::read(&vmbox))),
        MailboxQuery::OwnedBy { .. } => MailboxAnswer::Boxes(vec![Vmbox::read(&vmbox)]),
        MailboxQuery::Counts { .. } => MailboxAnswer::Counts { new: 1, saved: 0 },
        MailboxQuery::Messages { folder, .. } => {
            let id = "202401-m".to_owned();
            MailboxAnswer::Messages(vec![Message {
                id,
                folder: *folder,
                received: 0,
            }])
        }
        MailboxQuery::Move { .. } | MailboxQuery::Forward { .. } | MailboxQuery::SetPin { .. } => {
            MailboxAnswer::Done
        }
    })
}

/// The answer of a well-meaning account: of the kind asked for, with anything in it.
pub(crate) fn fitting(query: &Query, any: &Value, branch: &Value) -> Answer {
    let called = |id: &str| {
        let mut document = any.clone();
        document["_id"] = json!(id);
        document
    };
    match query {
        Query::Callflow { .. } | Query::Pivot(_) => Answer::Flow(branch.clone()),
        Query::Endpoints { .. } => devices(&[phone("desk")]),
        Query::Vmbox { id } => Answer::Vmbox(Box::new(Vmbox::read(&called(id)))),
        Query::Mailbox(query) => fitting_mailbox(query, called("box")),
        Query::Parking(_) => {
            let call_id = CallId::new("another");
            Answer::Parking(ParkingAnswer::Parked(ParkingSlot {
                slot: "7".to_owned(),
                attended: any["attended"].is_boolean(),
                call_id,
                ringback_id: any["ringback"].as_str().map(str::to_owned),
                hold_media: any["media"].as_str().map(str::to_owned),
            }))
        }
        Query::Document { id } | Query::Change { id, .. } => Answer::Document(called(id)),
        Query::Documents { ids } => Answer::Documents(ids.iter().map(|id| called(id)).collect()),
        Query::DocumentsOf { .. } | Query::EntriesOf { .. } | Query::UsersIn { .. } => {
            Answer::Documents(vec![called("doc")])
        }
        Query::Dialled { .. } => Answer::Dialled(Box::new(Dialled {
            document: branch.clone(),
            captures: Captures::default(),
            fallback: false,
        })),
        Query::Trunks { .. } => Answer::Trunks(Box::new(Trunks {
            resources: vec![
                called("any"),
                json!({"_id": "all", "rules": [".*"], "gateways": [{"server": "h"}, any]}),
            ],
            caller: vec![any.clone()],
            ..Trunks::default()
        })),
        Query::LocalTime { .. } => {
            let noon = jiff::civil::date(2024, 1, 8).at(12, 0, 0, 0);
            Answer::LocalTime(noon.to_zoned(jiff::tz::TimeZone::UTC).unwrap())
        }
    }
}
