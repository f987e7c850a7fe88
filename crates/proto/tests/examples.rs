//! The example messages in `proto/amqp`: each is read as its type and printed back equal, and nothing lacks one.

use std::{collections::BTreeSet, fs, path::PathBuf};

use callreel_proto::{
    ActionStatus, Application, CallEvent, ChannelQuery, ChannelQueryReq, ChannelQueryResp,
    ChannelStatus, ChannelStatusReq, ChannelStatusResp, Command, DeliveryAction, DeliveryOrder,
    DocNotice, EndReason, Envelope, EventName, Headers, InsertAt, LiveReq, LiveResp, LiveState,
    MetaflowAction, MetaflowActionResp, MetaflowFlow, MwiQuery, MwiUpdate, NodeAdvertise,
    Notification, NotificationName, OffnetReq, OffnetResp, OwedReq, OwedResp, RecordAction,
    RecordRequest, RecordingFact, RecordingNotice, RegSuccess, RouteMethod, RouteReq, RouteResp,
    RouteWin, SwitchCommand, SwitchReply, UsurpControl,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A function that names a value's variant, and all the names: a new variant does not compile until it is listed here,
/// and does not pass until it has an example.
macro_rules! variants {
    ($all:ident, $name_of:ident, $of:ty, { $($variant:pat => $name:literal,)* }, not { $($never:pat)? }) => {
        const $all: &[&str] = &[$(concat!(stringify!($of), "::", $name)),*];

        fn $name_of(value: &$of) -> &'static str {
            match value {
                $($variant => concat!(stringify!($of), "::", $name),)*
                $($never => "nothing",)?
            }
        }
    };
}

variants!(APPLICATIONS, application, Application, {
    Application::Answer => "answer",
    Application::Ring => "ring",
    Application::Progress => "progress",
    Application::Hangup { .. } => "hangup",
    Application::Respond { .. } => "respond",
    Application::Play { .. } => "play",
    Application::Tts { .. } => "tts",
    Application::Say { .. } => "say",
    Application::Hold { .. } => "hold",
    Application::Tones { .. } => "tones",
    Application::Record { .. } => "record",
    Application::RecordCall { .. } => "record_call",
    Application::Bridge { .. } => "bridge",
    Application::Page(_) => "page",
    Application::Transfer(_) => "transfer",
    Application::CallPickup(_) => "call_pickup",
    Application::Unbridge { .. } => "unbridge",
    Application::SoftHold(_) => "soft_hold",
    Application::SetTerminators { .. } => "set_terminators",
    Application::Noop { .. } => "noop",
    Application::Sleep { .. } => "sleep",
    Application::Park { .. } => "park",
    Application::SendDtmf { .. } => "send_dtmf",
    Application::Queue { .. } => "queue",
    Application::Set { .. } => "set",
    Application::Break => "break",
    Application::Playstop => "playstop",
}, not {});

variants!(INSERTS, insert_at, InsertAt, {
    InsertAt::Now => "now",
    InsertAt::Head => "head",
    InsertAt::Tail => "tail",
    InsertAt::Flush => "flush",
}, not {});

variants!(RECORD_ACTIONS, record_action, RecordAction, {
    RecordAction::Start => "start",
    RecordAction::Stop => "stop",
    RecordAction::Mask => "mask",
    RecordAction::Unmask => "unmask",
}, not {});

variants!(EVENTS, event, EventName, {
    EventName::ChannelCreate => "CHANNEL_CREATE",
    EventName::ChannelProgressMedia => "CHANNEL_PROGRESS_MEDIA",
    EventName::ChannelAnswer => "CHANNEL_ANSWER",
    EventName::ChannelBridge => "CHANNEL_BRIDGE",
    EventName::ChannelUnbridge => "CHANNEL_UNBRIDGE",
    EventName::ChannelExecuteComplete => "CHANNEL_EXECUTE_COMPLETE",
    EventName::ChannelHold => "CHANNEL_HOLD",
    EventName::ChannelUnhold => "CHANNEL_UNHOLD",
    EventName::Dtmf => "DTMF",
    EventName::RecordStart => "RECORD_START",
    EventName::RecordStop => "RECORD_STOP",
    EventName::ChannelDestroy => "CHANNEL_DESTROY",
    EventName::ChannelTransferee => "CHANNEL_TRANSFEREE",
    EventName::ChannelTransferor => "CHANNEL_TRANSFEROR",
    EventName::ChannelReplaced => "CHANNEL_REPLACED",
    EventName::ChannelPivot => "CHANNEL_PIVOT",
    EventName::ChannelDisconnected => "CHANNEL_DISCONNECTED",
    EventName::ChannelConnected => "CHANNEL_CONNECTED",
    EventName::DialplanError => "dialplan",
}, not { EventName::Unknown });

variants!(FACTS, fact, RecordingFact, {
    RecordingFact::Started => "started",
    RecordingFact::Masked => "masked",
    RecordingFact::Unmasked => "unmasked",
    RecordingFact::Ended => "ended",
    RecordingFact::Rendered => "rendered",
    RecordingFact::Retrying => "retrying",
    RecordingFact::Delivered => "delivered",
    RecordingFact::Undeliverable => "undeliverable",
    RecordingFact::Discarded => "discarded",
    RecordingFact::Skipped => "skipped",
    RecordingFact::Held => "held",
    RecordingFact::Released => "released",
    RecordingFact::Deleted => "deleted",
}, not {});

variants!(END_REASONS, end_reason, EndReason, {
    EndReason::Stopped => "stopped",
    EndReason::TimeLimit => "time_limit",
    EndReason::Hangup => "hangup",
    EndReason::Silence => "silence",
    EndReason::Interrupted => "interrupted",
    EndReason::Usurped => "usurped",
    EndReason::Transferred => "transferred",
    EndReason::TooShort => "too_short",
}, not {});

variants!(ROUTE_METHODS, route_method, RouteMethod, {
    RouteMethod::Park => "park",
    RouteMethod::Error => "error",
}, not { RouteMethod::Other });

variants!(DELIVERY_ACTIONS, delivery_action, DeliveryAction, {
    DeliveryAction::Retry => "retry",
    DeliveryAction::Drop => "drop",
    DeliveryAction::Hold => "hold",
    DeliveryAction::Release => "release",
}, not {});

variants!(ACTION_STATUSES, action_status, ActionStatus, {
    ActionStatus::Done => "done",
    ActionStatus::Refused => "refused",
}, not {});

variants!(LIVE_STATES, live_state, LiveState, {
    LiveState::Recording => "recording",
    LiveState::Masked => "masked",
    LiveState::Stopped => "stopped",
}, not {});

variants!(CHANNEL_STATUSES, channel_status, ChannelStatus, {
    ChannelStatus::Active => "active",
    ChannelStatus::Tmpdown => "tmpdown",
    ChannelStatus::Terminated => "terminated",
}, not {});

variants!(NOTIFICATIONS, notification, NotificationName, {
    NotificationName::MissedCall => "missed_call",
    NotificationName::VoicemailNew => "voicemail_new",
    NotificationName::VoicemailSaved => "voicemail_saved",
    NotificationName::VoicemailFull => "voicemail_full",
}, not {});

/// Messages without variants.
const PLAIN: &[&str] = &[
    "RouteReq",
    "RouteWin",
    "RecordRequest",
    "RegSuccess",
    "DocNotice",
    "UsurpControl",
    "ChannelStatusReq",
    "SwitchCommand",
    "SwitchReply",
    "MetaflowAction",
    "LiveReq",
    "LiveResp",
    "MetaflowFlow",
    "query_auth_id_req",
    "query_auth_id_resp",
    "query_user_channels_req",
    "query_user_channels_resp",
    "query_account_channels_req",
    "query_account_channels_resp",
    "query_channels_req",
    "query_channels_resp",
];

/// File stem and contents of every example.
fn examples() -> Vec<(String, Vec<u8>)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proto/amqp");
    let mut found: Vec<_> = fs::read_dir(dir)
        .expect("the examples lie in proto/amqp")
        .map(|entry| entry.expect("a folder can be listed").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| {
            let stem = path.file_stem().expect("a file has a name");
            let bytes = fs::read(&path).expect("an example can be read");
            (stem.to_string_lossy().into_owned(), bytes)
        })
        .collect();
    found.sort();
    found
}

/// What is held of a message that is read and printed back.
#[derive(Clone, Copy)]
enum Held {
    /// It is the same: an example shows all that we say.
    Equal,
    /// Nothing is lost: another version may say less than we do.
    Within,
}

/// What the first says and the second does not, or otherwise: paths.
fn lost(written: &Value, printed: &Value) -> Vec<String> {
    match (written, printed) {
        (Value::Object(written), Value::Object(printed)) => {
            let fields = written.iter().flat_map(|(name, value)| {
                let inner = lost(value, printed.get(name).unwrap_or(&Value::Null));
                inner.into_iter().map(move |path| format!("/{name}{path}"))
            });
            fields.collect()
        }
        (Value::Array(written), Value::Array(printed)) if written.len() == printed.len() => {
            let items = written.iter().zip(printed).enumerate();
            let items = items.flat_map(|(nth, (written, printed))| {
                let inner = lost(written, printed).into_iter();
                inner.map(move |path| format!("/{nth}{path}"))
            });
            items.collect()
        }
        _ if written == printed => Vec::new(),
        _ => vec![format!(" {written}")],
    }
}

/// Reads the example as a `T` and holds that it is printed back so.
fn read<T: Serialize + DeserializeOwned>(stem: &str, bytes: &[u8], held: Held) -> Envelope<T> {
    let message = Envelope::<T>::from_bytes(bytes)
        .unwrap_or_else(|error| panic!("{stem} is not read: {error}"));
    let written: Value = serde_json::from_slice(bytes).expect("it was read just now");
    let printed: Value =
        serde_json::from_slice(&message.to_bytes()).expect("what is printed is JSON");
    match held {
        Held::Equal => assert_eq!(
            printed, written,
            "{stem} is printed otherwise than it was read"
        ),
        Held::Within => {
            let lost = lost(&written, &printed);
            assert!(lost.is_empty(), "of {stem} is lost: {lost:?}");
        }
    }
    message
}

/// Reads the example as the type its name says, and tells which variants it shows.
fn shown_by(stem: &str, bytes: &[u8], held: Held) -> (Headers, Vec<&'static str>) {
    let kind: Vec<&str> = stem.split('.').collect();
    match kind.as_slice() {
        ["dialplan", "route_req"] => plain::<RouteReq>(stem, bytes, held, "RouteReq"),
        ["dialplan", "route_win"] => plain::<RouteWin>(stem, bytes, held, "RouteWin"),
        ["dialplan", "route_resp", ..] => {
            let message = read::<RouteResp>(stem, bytes, held);
            (message.headers, vec![route_method(&message.body.method)])
        }
        ["call", "command", "record_call", "handed_on"] => {
            plain::<RecordRequest>(stem, bytes, held, "RecordRequest")
        }
        ["call", "command", ..] => {
            let Envelope { headers, body } = read::<Command>(stem, bytes, held);
            let mut shown = vec![application(&body.application), insert_at(&body.insert_at)];
            if let Application::RecordCall { action, .. } = &body.application {
                shown.push(record_action(action));
            }
            assert!(kind.contains(&body.application.name()), "{stem}");
            (headers, shown)
        }
        ["call_event", "usurp_control"] => plain::<UsurpControl>(stem, bytes, held, "UsurpControl"),
        ["call_event", "channel_status_req"] => {
            plain::<ChannelStatusReq>(stem, bytes, held, "ChannelStatusReq")
        }
        ["call_event", "channel_status_resp", ..] => {
            let message = read::<ChannelStatusResp>(stem, bytes, held);
            (message.headers, vec![channel_status(&message.body.status)])
        }
        ["switch_event", "command"] => plain::<SwitchCommand>(stem, bytes, held, "SwitchCommand"),
        ["switch_event", "reply", ..] => plain::<SwitchReply>(stem, bytes, held, "SwitchReply"),
        ["configuration", ..] => plain::<DocNotice>(stem, bytes, held, "DocNotice"),
        ["directory", "reg_success"] => plain::<RegSuccess>(stem, bytes, held, "RegSuccess"),
        ["presence", "mwi_query"] => plain::<MwiQuery>(stem, bytes, held, "MwiQuery"),
        ["resource", "offnet_req"] => plain::<OffnetReq>(stem, bytes, held, "OffnetReq"),
        ["resource", "offnet_resp", ..] => plain::<OffnetResp>(stem, bytes, held, "OffnetResp"),
        ["presence", _] => plain::<MwiUpdate>(stem, bytes, held, "MwiUpdate"),
        ["call_event", name] if name.starts_with("query_") => {
            channel_query(stem, name, bytes, held)
        }
        ["call_event" | "error", ..] => {
            let message = read::<CallEvent>(stem, bytes, held);
            let shown = vec![event(&message.name())];
            (message.headers, shown)
        }
        ["recording", ..] => {
            let Envelope { headers, body } = read::<RecordingNotice>(stem, bytes, held);
            let mut shown = vec![fact(&body.fact)];
            shown.extend(body.end_reason.as_ref().map(end_reason));
            assert_eq!(headers.event_name, body.fact.name(), "{stem}");
            (headers, shown)
        }
        ["delivery", name, ..] => delivery(stem, name, bytes, held),
        ["nodes", "advertise"] => plain::<NodeAdvertise>(stem, bytes, held, "NodeAdvertise"),
        ["notification", name] => {
            let headers = read::<Notification>(stem, bytes, held).headers;
            let shown = NotificationName::of(name).expect(stem);
            assert_eq!(headers.event_name, shown.name(), "{stem}");
            (headers, vec![notification(&shown)])
        }
        ["metaflow", "action", ..] => plain::<MetaflowAction>(stem, bytes, held, "MetaflowAction"),
        ["callflow", name] => live(name, stem, bytes, held),
        ["metaflow", "flow"] => plain::<MetaflowFlow>(stem, bytes, held, "MetaflowFlow"),
        ["metaflow", "action_resp", ..] => answered(stem, bytes, held),
        _ => panic!("{stem}.json is named like no message we know"),
    }
}

/// What came of an action.
fn answered(stem: &str, bytes: &[u8], held: Held) -> (Headers, Vec<&'static str>) {
    let Envelope { headers, body } = read::<MetaflowActionResp>(stem, bytes, held);
    let mut shown = vec![action_status(&body.status)];
    shown.extend(body.recordings.iter().map(|one| live_state(&one.state)));
    (headers, shown)
}

/// A question for live calls, or its answer.
fn live(name: &str, stem: &str, bytes: &[u8], held: Held) -> (Headers, Vec<&'static str>) {
    if name == LiveReq::NAME {
        return plain::<LiveReq>(stem, bytes, held, "LiveReq");
    }
    let Envelope { headers, body } = read::<LiveResp>(stem, bytes, held);
    let recordings = body.calls.iter().flat_map(|call| &call.recordings);
    let mut shown = vec!["LiveResp"];
    shown.extend(recordings.map(|one| live_state(&one.state)));
    (headers, shown)
}

/// A message without variants.
fn plain<T: Serialize + DeserializeOwned>(
    stem: &str,
    bytes: &[u8],
    held: Held,
    name: &'static str,
) -> (Headers, Vec<&'static str>) {
    (read::<T>(stem, bytes, held).headers, vec![name])
}

/// What is owed, and orders about it.
fn delivery(stem: &str, name: &str, bytes: &[u8], held: Held) -> (Headers, Vec<&'static str>) {
    match name {
        "owed_req" => plain::<OwedReq>(stem, bytes, held, "OwedReq"),
        "owed_resp" => plain::<OwedResp>(stem, bytes, held, "OwedResp"),
        _ => {
            let Envelope { headers, body } = read::<DeliveryOrder>(stem, bytes, held);
            assert_eq!(headers.event_name, body.action.name(), "{stem}");
            (headers, vec![delivery_action(&body.action)])
        }
    }
}

/// A question for channels, or its answer.
fn channel_query(stem: &str, name: &str, bytes: &[u8], held: Held) -> (Headers, Vec<&'static str>) {
    let asked = ChannelQuery::of(name);
    let answered = || {
        ChannelQuery::ALL
            .into_iter()
            .find(|way| way.response() == name)
    };
    match (asked, answered()) {
        (Some(way), _) => {
            let headers = read::<ChannelQueryReq>(stem, bytes, held).headers;
            (headers, vec![way.request()])
        }
        (None, Some(way)) => {
            let headers = read::<ChannelQueryResp>(stem, bytes, held).headers;
            (headers, vec![way.response()])
        }
        (None, None) => panic!("{stem}.json is no query we know"),
    }
}

#[test]
fn every_example_is_read_as_its_type_and_printed_back_equal() {
    let examples = examples();
    assert!(!examples.is_empty());
    for (stem, bytes) in &examples {
        let (headers, _) = shown_by(stem, bytes, Held::Equal);
        let named = format!("{}.{}", headers.event_category, headers.event_name);
        assert!(
            *stem == named || stem.starts_with(&format!("{named}.")),
            "{stem}.json says it is {named}"
        );
    }
}

/// Each minor version's messages, as its examples had them: one a line, with the name of its example.
#[test]
fn the_messages_of_0_1_are_read_and_nothing_of_them_is_lost() {
    let of_0_1 = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/formats/0.1/bus.jsonl"
    );
    let text = fs::read_to_string(of_0_1).expect("it lies there");
    for line in text.lines() {
        let mut line: Value = serde_json::from_str(line).expect("a line is JSON");
        let stem = line["name"].as_str().expect("it has a name").to_owned();
        shown_by(
            &stem,
            line["message"].take().to_string().as_bytes(),
            Held::Within,
        );
    }
    assert!(text.lines().count() > 100);
}

#[test]
fn every_message_and_every_variant_has_an_example() {
    let examples = examples();
    let shown: BTreeSet<&str> = examples
        .iter()
        .flat_map(|(stem, bytes)| shown_by(stem, bytes, Held::Equal).1)
        .collect();
    let lacking: Vec<&&str> = [
        PLAIN,
        APPLICATIONS,
        INSERTS,
        RECORD_ACTIONS,
        EVENTS,
        FACTS,
        END_REASONS,
        ROUTE_METHODS,
        CHANNEL_STATUSES,
        DELIVERY_ACTIONS,
        ACTION_STATUSES,
        LIVE_STATES,
        NOTIFICATIONS,
    ]
    .into_iter()
    .flatten()
    .filter(|name| !shown.contains(**name))
    .collect();
    assert_eq!(lacking, Vec::<&&str>::new());
}

#[test]
fn an_example_with_a_misspelt_field_does_not_pass() {
    let (stem, bytes) = examples()
        .into_iter()
        .find(|(stem, _)| stem == "call.command.record")
        .expect("there is one");
    let misspelt = String::from_utf8(bytes)
        .expect("JSON is text")
        .replace("Silence-Hits", "Silence-Hit");
    let refused =
        std::panic::catch_unwind(|| read::<Command>(&stem, misspelt.as_bytes(), Held::Equal));
    assert!(refused.is_err());
}
