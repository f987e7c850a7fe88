//! A type has the fields its schema has, and an enum the words: asked of the types themselves, as serde knows them.

use std::collections::BTreeSet;

use callreel_proto::{
    ActionStatus, Application, CallEvent, CallId, CallPickup, ChannelQueryReq, ChannelQueryResp,
    ChannelStatus, ChannelStatusReq, ChannelStatusResp, Command, DeliveryAction, DeliveryOrder,
    DocNotice, EndReason, EventName, FlowPosition, HangupCause, Headers, Hearers, HttpMethod,
    InsertAt, LiveCall, LiveRecording, LiveReq, LiveResp, LiveState, MediaFork, MetaflowAction,
    MetaflowActionResp, MetaflowFlow, MwiQuery, MwiUpdate, NodeAdvertise, Notification,
    NotificationName, OffnetReq, OffnetResp, OwedReq, OwedResp, Page, PageOptions, RecordAction,
    RecordCall, RecordingFact, RecordingInfo, RecordingNotice, RecordingSource, RegSuccess,
    RouteMethod, RouteReq, RouteResp, RouteWin, SendHttp, SetVars, SoftHold, SwitchCommand,
    SwitchReply, Terminators, Tone, Transfer, TransferKind, TransferLeg, UsurpControl,
    schema::Schema,
};
use serde_json::{Map, Value};

use crate::{asker::parts, pages};

fn words<const N: usize>(words: [&str; N]) -> BTreeSet<String> {
    words.map(str::to_owned).into()
}

fn keys<'a>(object: impl IntoIterator<Item = (&'a String, &'a Value)>) -> BTreeSet<String> {
    object.into_iter().map(|(key, _)| key.clone()).collect()
}

/// Every command with every field there is: a field that is new does not compile until it stands here.
fn commands() -> Vec<Application> {
    let mut all = vec![
        Application::Answer,
        Application::Ring,
        Application::Progress,
        Application::Hangup {
            hangup_cause: Some(HangupCause::UserBusy),
            other_leg_only: some(),
        },
        Application::Respond {
            code: String::new(),
            message: text(),
        },
        Application::Noop {
            filter: vec![Value::Null],
        },
        Application::Sleep { time_ms: Some(1) },
        Application::Park {
            timeout_s: Some(1),
            hangup_cause: Some(HangupCause::UserBusy),
        },
        Application::SendDtmf {
            digits: String::new(),
        },
        Application::Queue {
            commands: Vec::new(),
        },
        Application::Set {
            vars: Box::default(),
        },
        Application::SetTerminators {
            terminators: Terminators::any(),
        },
        Application::Break,
        Application::Playstop,
    ];
    all.extend(media());
    all.extend(parties());
    all
}

/// Those of them that join and part legs.
fn parties() -> [Application; 6] {
    [
        Application::Bridge {
            endpoints: Vec::new(),
            timeout_s: Some(1),
            method: text(),
            fail_on_single_reject: some(),
            caller_id_name: text(),
            caller_id_number: text(),
            ignore_early_media: some(),
            ringback: text(),
            ignore_forward: some(),
            custom_channel_vars: variables(),
            custom_sip_headers: variables(),
        },
        Application::Page(Box::default()),
        Application::Transfer(Box::default()),
        Application::CallPickup(Box::new(CallPickup {
            target_call_id: CallId::new("b"),
            unbridged_only: some(),
            continue_on_fail: some(),
            continue_on_cancel: some(),
            park_after_pickup: some(),
        })),
        Application::Unbridge { leg: hearers() },
        Application::SoftHold(SoftHold::default()),
    ]
}

/// Those of them that sound and record.
fn media() -> [Application; 7] {
    [
        Application::Play {
            media_name: String::new(),
            terminators: Terminators::any(),
            endless: some(),
            loop_count: Some(1),
            leg: hearers(),
        },
        Application::Tts {
            text: String::new(),
            voice: text(),
            language: text(),
            voice_name: text(),
            engine: text(),
            terminators: Terminators::any(),
            leg: hearers(),
        },
        Application::Say {
            text: String::new(),
            kind: String::new(),
            method: String::new(),
            language: text(),
            leg: hearers(),
        },
        Application::Hold { media_name: text() },
        Application::Tones {
            tones: Vec::new(),
            terminators: Terminators::any(),
            leg: hearers(),
        },
        Application::Record {
            media_name: String::new(),
            terminators: Terminators::any(),
            time_limit_s: Some(1),
            silence_threshold: Some(1),
            silence_hits: Some(1),
            recording_id: text(),
            fork: Some(fork()),
        },
        Application::RecordCall {
            action: RecordAction::Start,
            media_name: text(),
            terms: Box::default(),
            fork: Some(fork()),
        },
    ]
}

fn some() -> Option<bool> {
    Some(true)
}

fn text() -> Option<String> {
    Some("x".to_owned())
}

fn variables() -> Map<String, Value> {
    Map::from_iter([("X".to_owned(), Value::Null)])
}

fn hearers() -> Option<Hearers> {
    Some(Hearers::Both)
}

fn fork() -> MediaFork {
    let any = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
    MediaFork { a: any, b: any }
}

/// The fields of a command, by its schema's name.
fn command_fields() -> Vec<(String, BTreeSet<String>)> {
    let fields = |application: Application| {
        let name = format!("call.command.{}", application.name());
        let terms = match application {
            Application::RecordCall { .. } => parts::<RecordCall>(),
            Application::Set { .. } => parts::<SetVars>(),
            Application::Page(_) => parts::<Page>(),
            Application::Transfer(_) => parts::<Transfer>(),
            Application::SoftHold(_) => parts::<SoftHold>(),
            _ => BTreeSet::new(),
        };
        let command = Command {
            call_id: CallId::new("a"),
            insert_at: InsertAt::Tail,
            application,
        };
        let written = serde_json::to_value(command).unwrap();
        (name, &keys(written.as_object().unwrap()) | &terms)
    };
    commands().into_iter().map(fields).collect()
}

/// The fields of a message's body, by its schema's name.
fn bodies() -> Vec<(String, BTreeSet<String>)> {
    let mut found = command_fields();
    let record_call = found
        .iter()
        .find(|(name, _)| name.ends_with(".record_call"));
    let handed_on = &record_call.unwrap().1 | &words(["Control-Queue", "Call"]);
    let status = parts::<ChannelStatusResp>();
    found.extend(
        [
            ("call.command.record_call.handed_on", handed_on),
            ("dialplan.route_req", parts::<RouteReq>()),
            ("dialplan.route_resp", parts::<RouteResp>()),
            ("dialplan.route_win", parts::<RouteWin>()),
            ("call_event.usurp_control", parts::<UsurpControl>()),
            ("call_event.channel_status_req", parts::<ChannelStatusReq>()),
            ("call_event.channel_status_resp", status),
            ("switch_event.command", parts::<SwitchCommand>()),
            ("switch_event.reply", parts::<SwitchReply>()),
            ("directory.reg_success", parts::<RegSuccess>()),
            ("configuration", parts::<DocNotice>()),
            ("presence.mwi_query", parts::<MwiQuery>()),
            ("presence.mwi_update", parts::<MwiUpdate>()),
            ("presence.mwi_unsolicited_update", parts::<MwiUpdate>()),
            ("resource.offnet_req", parts::<OffnetReq>()),
            ("resource.offnet_resp", parts::<OffnetResp>()),
            ("recording", parts::<RecordingNotice>()),
            ("delivery", parts::<DeliveryOrder>()),
            ("callflow.live_req", parts::<LiveReq>()),
            ("callflow.live_resp", parts::<LiveResp>()),
            ("delivery.owed_req", parts::<OwedReq>()),
            ("delivery.owed_resp", parts::<OwedResp>()),
            ("nodes.advertise", parts::<NodeAdvertise>()),
            ("metaflow.action", parts::<MetaflowAction>()),
            ("metaflow.action_resp", parts::<MetaflowActionResp>()),
            ("metaflow.flow", parts::<MetaflowFlow>()),
        ]
        .map(|(name, fields)| (name.to_owned(), fields)),
    );
    found
}

#[test]
fn a_message_has_the_fields_of_its_type() {
    let bodies = bodies();
    for (name, fields) in &bodies {
        let schema = Schema::all().iter().find(|schema| schema.name == name);
        let said = pages::sent(schema.unwrap_or_else(|| panic!("no schema for {name}")));
        let expected = fields | &parts::<Headers>();
        assert_eq!(
            said.into_keys().collect::<BTreeSet<_>>(),
            expected,
            "{name}"
        );
    }
    let rest = Schema::all()
        .iter()
        .filter(|schema| bodies.iter().all(|(name, _)| schema.name != name));
    for schema in rest {
        let name = schema.name;
        let shared = ["call_event.", "error.dialplan", "notification."];
        let held = shared.iter().any(|family| name.starts_with(family));
        assert!(held, "{name} is held against no type");
    }
}

/// One type has the fields of several messages.
fn assert_shared(fields: BTreeSet<String>, is_one: impl Fn(&str) -> bool) {
    let schemas = Schema::all().iter().filter(|schema| is_one(schema.name));
    let said: BTreeSet<String> = schemas
        .flat_map(|schema| pages::sent(schema).into_keys())
        .collect();
    assert_eq!(said, &fields | &parts::<Headers>());
}

#[test]
fn events_queries_and_notifications_have_the_fields_of_their_types_among_them() {
    let is_query = |name: &str, end| name.starts_with("call_event.query_") && name.ends_with(end);
    assert_shared(parts::<ChannelQueryReq>(), |name| is_query(name, "_req"));
    assert_shared(parts::<ChannelQueryResp>(), |name| is_query(name, "_resp"));
    assert_shared(parts::<Notification>(), |name| {
        name.starts_with("notification.")
    });
    let upper = |name: &str| name.starts_with(char::is_uppercase);
    assert_shared(parts::<CallEvent>(), |name| {
        name == "error.dialplan" || name.strip_prefix("call_event.").is_some_and(upper)
    });
}

#[test]
fn objects_within_messages_have_the_fields_of_their_types() {
    let recording = RecordingInfo {
        id: Some(String::new()),
        name: Some(String::new()),
        recorder: Some(String::new()),
        origin: Some(String::new()),
        endpoint_id: Some(String::new()),
        fork_source: Some(fork().a),
        completion_cause: Some(String::new()),
        file_path: Some(String::new()),
        file_size: Some(1),
        file_milliseconds: Some(1),
        variables: Map::new(),
    };
    let recording = serde_json::to_value(recording).unwrap();
    for (page, pointer, fields) in [
        ("common/words", "/$defs/fork", parts::<MediaFork>()),
        ("common/endpoint", "", parts::<callreel_proto::Endpoint>()),
        (
            "common/recording_info",
            "",
            keys(recording.as_object().unwrap()),
        ),
        (
            "call.command.tones",
            "/$defs/sent/properties/Tones/items",
            parts::<Tone>(),
        ),
        (
            "call.command.page",
            "/$defs/sent/properties/Page-Options",
            parts::<PageOptions>(),
        ),
        (
            "switch_event.command",
            "/$defs/sent/properties/Args",
            parts::<SendHttp>(),
        ),
        (
            "common/words",
            "/$defs/live_recording",
            parts::<LiveRecording>(),
        ),
        (
            "callflow.live_resp",
            "/$defs/sent/properties/Calls/items",
            parts::<LiveCall>(),
        ),
        (
            "callflow.live_resp",
            "/$defs/sent/properties/Calls/items/properties/flow",
            parts::<FlowPosition>(),
        ),
    ] {
        let said = pages::properties(page, pointer);
        assert_eq!(
            said.into_keys().collect::<BTreeSet<_>>(),
            fields,
            "{page}{pointer}"
        );
    }
}

#[test]
fn enums_have_the_words_of_their_types() {
    let events: BTreeSet<String> = Schema::all()
        .iter()
        .filter_map(|schema| schema.name.strip_prefix("call_event."))
        .filter(|name| name.starts_with(char::is_uppercase))
        .chain(["dialplan"])
        .map(str::to_owned)
        .collect();
    // What stands for everything else is no word of its own.
    assert_eq!(&events | &words(["UNKNOWN"]), parts::<EventName>());
    let notifications = Schema::all()
        .iter()
        .filter_map(|schema| schema.name.strip_prefix("notification."))
        .map(str::to_owned);
    assert_eq!(
        notifications.collect::<BTreeSet<_>>(),
        parts::<NotificationName>()
    );
    let sent = |field| format!("/$defs/sent/properties/{field}/enum");
    for (page, pointer, expected) in [
        (
            "common/words",
            "/$defs/cause/enum".to_owned(),
            parts::<HangupCause>(),
        ),
        ("common/command", sent("Insert-At"), parts::<InsertAt>()),
        (
            "call.command.record_call",
            sent("Record-Action"),
            parts::<RecordAction>(),
        ),
        (
            "call.command.record_call",
            "/properties/Record-Action/enum".to_owned(),
            parts::<RecordAction>(),
        ),
        (
            "call.command.transfer",
            sent("Transfer-Type"),
            parts::<TransferKind>(),
        ),
        (
            "call.command.transfer",
            "/properties/Transfer-Type/enum".to_owned(),
            parts::<TransferKind>(),
        ),
        (
            "call.command.transfer",
            sent("Transfer-Leg"),
            parts::<TransferLeg>(),
        ),
        (
            "call_event.channel_status_resp",
            sent("Status"),
            parts::<ChannelStatus>(),
        ),
        ("recording", sent("Fact"), parts::<RecordingFact>()),
        ("recording", sent("End-Reason"), parts::<EndReason>()),
        ("delivery", sent("Action"), parts::<DeliveryAction>()),
        (
            "switch_event.command",
            sent("Args/properties/Http-Method"),
            parts::<HttpMethod>(),
        ),
    ] {
        assert_words(page, &pointer, &expected);
    }
    let methods = pages::page("dialplan.route_resp");
    let sent = methods.pointer(&sent("Method"));
    assert_eq!(sent, Some(&serde_json::json!(["park", "error"])));
    assert_eq!(parts::<RouteMethod>(), words(["park", "error", "other"]));
}

#[test]
fn what_is_told_of_live_recordings_has_the_words_of_its_types() {
    let status = "/$defs/sent/properties/Status/enum";
    assert_words("metaflow.action_resp", status, &parts::<ActionStatus>());
    let state = "/$defs/live_recording/properties/state/enum";
    assert_words("common/words", state, &parts::<LiveState>());
    for each in ["live_recording", "ordered_by"] {
        let source = format!("/$defs/{each}/properties/source/enum");
        assert_words("common/words", &source, &parts::<RecordingSource>());
    }
}

/// An enum of a page has these words.
fn assert_words(page: &str, pointer: &str, expected: &BTreeSet<String>) {
    let page_of = pages::page(page);
    let words = page_of
        .pointer(pointer)
        .and_then(Value::as_array)
        .unwrap_or_else(|| panic!("{page}{pointer}"));
    let words = words.iter().map(|w| w.as_str().unwrap().to_owned());
    assert_eq!(words.collect::<BTreeSet<_>>(), *expected, "{page}{pointer}");
}
