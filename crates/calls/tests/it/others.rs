//! Recordings that other applications want of a channel of our switch, which hands their commands on.

use callreel_bus::{Binding, Subscription};
use callreel_proto::{
    Application, CallId, Channels, Command, EndReason, Envelope, Exchange, Headers, InsertAt,
    RecordAction, RecordCall, RecordRequest, RecordingFact, RouteReq,
};
use serde_json::{Value, json};

use crate::{
    kazoo::forever,
    world::{ACCOUNT, CALL, PATIENCE, World, queue},
};

const NAME: &str = "x-compliance.wav";

/// Another application's command, as our switch hands it on.
fn request(world: &World, action: RecordAction, terms: RecordCall) -> Envelope<RecordRequest> {
    request_of(world, action, Some(NAME), terms)
}

/// The same about the recording of this name, or about the call.
pub(crate) fn request_of(
    world: &World,
    action: RecordAction,
    name: Option<&str>,
    terms: RecordCall,
) -> Envelope<RecordRequest> {
    let mut call = RouteReq::new(
        CallId::new(CALL),
        "a@acme.test",
        "b@acme.test",
        "b@acme.test",
    );
    call.custom_channel_vars
        .insert("Account-ID".to_owned(), json!(ACCOUNT));
    call.media_fork = Some(true);
    let mut headers = Headers::new("call", "command").msg_id("theirs-1");
    headers.app_name = "compliance".to_owned();
    let application = Application::RecordCall {
        action,
        media_name: name.map(str::to_owned),
        terms: Box::new(terms),
        fork: None,
    };
    Envelope {
        headers,
        body: RecordRequest {
            command: Command {
                call_id: CallId::new(CALL),
                insert_at: InsertAt::Now,
                application,
            },
            control_queue: world.control.clone(),
            call,
        },
    }
}

fn terms() -> RecordCall {
    RecordCall {
        recording_id: Some("case-88121".to_owned()),
        recorder: Some("compliance".to_owned()),
        origin: Some("court".to_owned()),
        stereo: Some(false),
        transfer_destination: Some("http://u:secret@r.test/in/".to_owned()),
        ..RecordCall::default()
    }
}

/// Nobody here controls the call: the request goes to whoever takes it.
pub(crate) async fn ask(world: &World, request: &Envelope<RecordRequest>) {
    let key = RecordRequest::routing_key(&request.body.call);
    let bytes = request.to_bytes();
    world
        .bus
        .publish(Exchange::Kapps, &key, bytes)
        .await
        .unwrap();
}

/// The command the switch is told, as it came.
async fn told(world: &mut World) -> Value {
    serde_json::from_slice(&world.hears().await).unwrap()
}

async fn errors(world: &World) -> Subscription {
    let bindings = [Binding::new(Exchange::Callevt, "call.dialplan.*")];
    queue(&world.bus, &bindings).await
}

#[tokio::test]
async fn a_call_that_another_application_controls_is_recorded_for_it_until_it_ends() {
    let mut world = World::with_flow(forever()).await;
    ask(&world, &request(&world, RecordAction::Start, terms())).await;
    let fork = told(&mut world).await;
    assert_eq!(fork["Record-Action"], "start");
    assert!(fork["Media-Fork"].is_object(), "{fork}");
    // Events name it as its owner does, and nobody learns where it goes.
    assert_eq!(
        (&fork["Media-Name"], &fork["Media-Recording-ID"]),
        (&json!(NAME), &json!("case-88121"))
    );
    assert_eq!(
        (&fork["Media-Recorder"], &fork["Media-Recording-Origin"]),
        (&json!("compliance"), &json!("court"))
    );
    assert_eq!(fork.get("Media-Transfer-Destination"), None);
    let begun = world.noticed(RecordingFact::Started).await;
    let promise = world.ticket_of(&begun).promise().clone();
    assert_eq!(
        (promise.file_name.as_str(), promise.channels),
        (NAME, Channels::Mono)
    );
    assert_eq!(
        promise.destination.describe(),
        "http://r.test/in/call_recording_3e7f%4010.0.0.1.wav"
    );
    world
        .says(callreel_proto::EventName::ChannelDestroy, |_| {})
        .await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.end_reason, Some(EndReason::Hangup));
    let none = |described: &Value| described["recorders"] == json!([]);
    world.until(none).await;
}

#[tokio::test]
async fn what_it_masks_is_marked_and_what_it_stops_ends() {
    let mut world = World::with_flow(forever()).await;
    ask(&world, &request(&world, RecordAction::Start, terms())).await;
    told(&mut world).await;
    let begun = world.noticed(RecordingFact::Started).await;
    let nameless = RecordCall::default;
    for (action, masks) in [
        (RecordAction::Mask, [false].as_slice()),
        (RecordAction::Unmask, &[true]),
        (RecordAction::Mask, &[true, false]),
    ] {
        ask(&world, &request(&world, action, nameless())).await;
        // The recorder describes itself only after it has obeyed.
        let obeyed = |_: &Value| {
            let ticket = world.ticket_of(&begun);
            let found = ticket.masks().iter();
            let found: Vec<_> = found.map(|mask| mask.until_ns.is_some()).collect();
            found == masks
        };
        world.until(obeyed).await;
    }
    ask(&world, &request(&world, RecordAction::Stop, nameless())).await;
    let stop = told(&mut world).await;
    assert_eq!(
        (&stop["Record-Action"], &stop["Media-Recording-ID"]),
        (&json!("stop"), &json!("case-88121"))
    );
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.end_reason, Some(EndReason::Stopped));
    let ticket = world.ticket_of(&ended);
    let start_ns = ticket.promise().start_ns;
    let is_span = |mask: &callreel_spool::Mask| {
        let ends_behind = |until_ns| until_ns > mask.from_ns;
        mask.from_ns > start_ns && mask.until_ns.is_some_and(ends_behind)
    };
    assert!(ticket.masks().iter().all(is_span), "{ticket:?}");
    assert_eq!(marks(&world, &ticket), ["masked", "unmasked", "masked"]);
}

/// The masks of a ticket's journal.
fn marks(world: &World, ticket: &callreel_spool::Ticket) -> Vec<&'static str> {
    let capture = ticket.capture_id().unwrap();
    let mut reader = world.spool.view().read_journal(capture).unwrap();
    let mut found = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        match record {
            callreel_spool::Record::Mark {
                mark: callreel_spool::Mark::Masked(_),
                ..
            } => found.push("masked"),
            callreel_spool::Record::Mark {
                mark: callreel_spool::Mark::Unmasked(_),
                ..
            } => found.push("unmasked"),
            _ => {}
        }
    }
    found
}

#[tokio::test]
async fn the_controller_of_a_call_records_it_for_others_beside_its_own() {
    let flow = json!({"module": "record_call", "data": {"url": "http://r.test/x"}, "children": {"_":
        {"module": "play", "data": {"id": "silence_stream://1", "answer": false}, "children": {"_":
        {"module": "record_call", "data": {"action": "stop"}, "children": {"_": forever()}}}}}});
    let mut world = World::with_flow(flow).await;
    world.give_call().await;
    let mut own = None;
    let mut mark = None;
    for _ in 0..3 {
        let command = told(&mut world).await;
        match command["Application-Name"].as_str().unwrap() {
            "record_call" => own = Some(command),
            "noop" => mark = Some(command),
            _ => {}
        }
    }
    let (own, mark) = (own.unwrap(), mark.unwrap());
    let theirs = request(&world, RecordAction::Start, terms());
    let to = own["Server-ID"].as_str().unwrap();
    world
        .bus
        .send(Exchange::Targeted, to, theirs.to_bytes())
        .await
        .unwrap();
    let fork = told(&mut world).await;
    assert_eq!(fork["Media-Recording-ID"], "case-88121");
    assert_eq!(
        fork["Media-Fork"], own["Media-Fork"],
        "one capture serves both"
    );
    // The flow's stop ends the flow's own, not the newest.
    world
        .says(callreel_proto::EventName::ChannelExecuteComplete, |event| {
            event.application_name = Some("noop".to_owned());
            event.application_response = mark["Msg-ID"].as_str().map(str::to_owned);
        })
        .await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(json!(ended.recording_id), own["Media-Recording-ID"]);
    world
        .says(callreel_proto::EventName::ChannelDestroy, |_| {})
        .await;
    let ended = world.noticed(RecordingFact::Ended).await;
    assert_eq!(ended.end_reason, Some(EndReason::Hangup));
}

#[tokio::test]
async fn a_second_start_of_the_same_recording_is_done_already() {
    let mut world = World::with_flow(forever()).await;
    for _ in 0..2 {
        ask(&world, &request(&world, RecordAction::Start, terms())).await;
    }
    told(&mut world).await;
    ask(
        &world,
        &request(&world, RecordAction::Stop, RecordCall::default()),
    )
    .await;
    assert_eq!(told(&mut world).await["Record-Action"], "stop");
}

#[tokio::test]
async fn what_nobody_would_keep_is_refused_with_an_error_to_whoever_asked() {
    let mut world = World::with_flow(forever()).await;
    let mut errors = errors(&world).await;
    let nowhere = RecordCall {
        transfer_destination: None,
        ..terms()
    };
    ask(&world, &request(&world, RecordAction::Start, nowhere)).await;
    let skipped = world.noticed(RecordingFact::Skipped).await;
    assert!(
        skipped
            .detail
            .unwrap()
            .contains("Media-Transfer-Destination")
    );
    let error = tokio::time::timeout(PATIENCE, errors.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(error.routing_key, "call.dialplan.3e7f%4010%2E0%2E0%2E1");
    let error: Value = serde_json::from_slice(&error.body).unwrap();
    assert_eq!(
        (&error["Event-Category"], &error["Msg-ID"]),
        (&json!("error"), &json!("theirs-1"))
    );
    assert_eq!(error["Request"]["Media-Name"], NAME);
}

#[tokio::test]
async fn a_call_without_an_account_is_not_recorded() {
    let world = World::with_flow(forever()).await;
    let mut errors = errors(&world).await;
    let mut nobodys = request(&world, RecordAction::Start, terms());
    nobodys.body.call.custom_channel_vars.clear();
    ask(&world, &nobodys).await;
    let error = tokio::time::timeout(PATIENCE, errors.recv())
        .await
        .unwrap()
        .unwrap();
    let error: Value = serde_json::from_slice(&error.body).unwrap();
    assert!(
        error["Error-Message"]
            .as_str()
            .unwrap()
            .contains("no account"),
        "{error}"
    );
}
