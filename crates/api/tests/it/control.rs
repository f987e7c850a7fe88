//! What may be done with a live call: the request, what its controller hears of it, and what comes back.

use axum::body::Body;
use callreel_bus::{Binding, Bus, QueueOptions, Subscription};
use callreel_proto::{
    ActionStatus, CallId, Envelope, Exchange, LiveRecording, LiveState, MetaflowAction,
    MetaflowActionResp, OrderedBy, RecordingId, RecordingSource, Utc,
};
use serde_json::{Value, json};

use crate::{
    switches::{CALL, OTHER_LEG, Switch, call, other_leg},
    world::{ACCOUNT, Answer, World, account},
};

const ENCODED: &str = "zT4k%2Fq8.1%40192.0.2.44";

/// The call's controller, which the test plays.
struct Controller {
    bus: Bus,
    orders: Subscription,
}

impl Controller {
    async fn new(bus: &Bus) -> Self {
        let binding = Binding::new(Exchange::Metaflow, MetaflowAction::RECORDS);
        let orders = bus.subscribe(QueueOptions::private(8), vec![binding]);
        Self {
            bus: bus.clone(),
            orders: orders.await.unwrap(),
        }
    }

    /// The next order.
    async fn hear(&mut self) -> Envelope<MetaflowAction> {
        let heard = self.orders.recv().await.unwrap();
        let order = Envelope::<MetaflowAction>::from_bytes(&heard.body).unwrap();
        assert_eq!(heard.routing_key, order.body.routing_key());
        order
    }

    /// Answers the next order, and tells which it was.
    async fn answer(&mut self, answer: MetaflowActionResp) -> MetaflowAction {
        let order = self.hear().await;
        let to = order.headers.server_id.unwrap();
        let answer = answer.into_envelope(&order.headers.msg_id).to_bytes();
        self.bus
            .send(Exchange::Targeted, &to, answer)
            .await
            .unwrap();
        order.body
    }
}

fn said(
    status: ActionStatus,
    detail: Option<&str>,
    recordings: Vec<LiveRecording>,
) -> MetaflowActionResp {
    MetaflowActionResp {
        call_id: CallId::new(CALL),
        status,
        detail: detail.map(str::to_owned),
        recordings,
    }
}

fn masked() -> LiveRecording {
    LiveRecording {
        id: RecordingId::random(Utc::now()),
        state: LiveState::Masked,
        name: Some("quality".to_owned()),
        source: RecordingSource::Callflow,
    }
}

fn flow(data: Value) -> Value {
    json!({"data": {"module": "record_call", "data": data}})
}

async fn put(world: &World, call_id: &str, headers: &[(&str, &str)], body: Value) -> Answer {
    let uri = format!("/v2/accounts/{ACCOUNT}/channels/{call_id}");
    let body = Body::from(body.to_string());
    world.call_with("PUT", &uri, headers, body).await
}

/// An account with a call of two legs, and its controller.
async fn live() -> (World, Switch, Controller) {
    let world = World::new().await;
    let switch = Switch::start(&world.bus, "callreel@one", vec![call(), other_leg()]).await;
    let controller = Controller::new(&world.bus).await;
    (world, switch, controller)
}

#[tokio::test]
async fn the_controller_is_told_what_is_asked_and_by_whom() {
    let (world, _switch, mut controller) = live().await;
    let recording = masked();
    let answer = said(ActionStatus::Done, None, vec![recording.clone()]);
    let asked = flow(json!({"action": "mask", "name": "quality"}));
    let headers = [("x-ordered-by", "Ylva, desk 3")];
    let (answer, heard) = tokio::join!(
        put(&world, ENCODED, &headers, asked),
        controller.answer(answer)
    );
    assert_eq!(heard.call_id.as_str(), CALL);
    assert_eq!(heard.account_id, Some(account()));
    assert_eq!(
        Value::Object(heard.data),
        json!({"action": "mask", "name": "quality"})
    );
    let by = OrderedBy {
        who: Some("Ylva, desk 3 at 192.0.2.18".to_owned()),
        ..OrderedBy::new(RecordingSource::Api)
    };
    assert_eq!(heard.ordered_by, Some(by));
    assert_eq!(answer.status, 200);
    let told =
        json!({"id": recording.id, "state": "masked", "name": "quality", "source": "callflow"});
    assert_eq!(answer.json()["data"], json!({"recordings": [told]}));
}

#[tokio::test]
async fn either_leg_of_a_call_leads_to_its_controller() {
    let (world, _switch, mut controller) = live().await;
    for leg in [ENCODED, OTHER_LEG] {
        let done = said(ActionStatus::Done, None, vec![masked()]);
        let asked = flow(json!({"action": "unmask"}));
        let (answer, heard) = tokio::join!(put(&world, leg, &[], asked), controller.answer(done));
        assert_eq!(answer.status, 200);
        assert_eq!(heard.call_id.as_str(), CALL, "{leg}");
        assert_eq!(heard.ordered_by.unwrap().who.as_deref(), Some("192.0.2.18"));
    }
}

#[tokio::test]
async fn a_refusal_and_a_start_that_waits_are_told_apart() {
    let (world, _switch, mut controller) = live().await;
    let asked = flow(json!({"action": "stop"}));
    let refused = said(ActionStatus::Refused, Some("nothing is recorded"), vec![]);
    let (answer, _) = tokio::join!(put(&world, ENCODED, &[], asked), controller.answer(refused));
    assert_eq!(answer.status, 409);
    assert_eq!(answer.message(), "nothing is recorded");
    let asked = flow(json!({"action": "start", "record_on_bridge": true}));
    let waits = said(ActionStatus::Done, Some("it begins at the bridge"), vec![]);
    let (answer, _) = tokio::join!(put(&world, ENCODED, &[], asked), controller.answer(waits));
    assert_eq!(answer.status, 202);
    let data = json!({"recordings": [], "message": "it begins at the bridge"});
    assert_eq!(answer.json()["data"], data);
}

#[tokio::test]
async fn a_controller_that_does_not_answer_is_not_waited_for_for_ever() {
    let (world, _switch, mut controller) = live().await;
    tokio::time::pause();
    let asked = flow(json!({"action": "mask"}));
    let (answer, _) = tokio::join!(put(&world, ENCODED, &[], asked), controller.hear());
    assert_eq!(answer.status, 504);
    assert!(
        answer.message().contains("not known whether"),
        "{}",
        answer.message()
    );
}

#[tokio::test]
async fn what_may_not_be_done_never_reaches_a_controller() {
    let (world, _switch, mut controller) = live().await;
    let strange = json!({"Account-ID": "beef0123456789abcdef0123456789ab", "Call-ID": "not-ours"});
    let _other = Switch::start(&world.bus, "callreel@two", vec![strange]).await;
    tokio::time::pause();
    let mask = || flow(json!({"action": "mask"}));
    let long = "n".repeat(129);
    let huge = flow(json!({"action": "start", "label": "l".repeat(70_000)}));
    for (call_id, headers, body, status, says) in [
        ("not-ours", vec![], mask(), 404, "no live channel"),
        ("never-was", vec![], mask(), 404, "no live channel"),
        (
            ENCODED,
            vec![],
            flow(json!({"action": "erase"})),
            400,
            "toggle",
        ),
        (
            ENCODED,
            vec![],
            flow(json!({"action": "start", "time_limit": "x"})),
            400,
            "/data/data/time_limit",
        ),
        (
            ENCODED,
            vec![("x-ordered-by", long.as_str())],
            mask(),
            400,
            "x-ordered-by",
        ),
        (ENCODED, vec![], huge, 413, "body"),
        (
            ENCODED,
            vec![("origin", "https://evil.example")],
            mask(),
            403,
            "another site",
        ),
    ] {
        let answer = put(&world, call_id, &headers, body).await;
        assert_eq!(answer.status, status, "{call_id} {says}");
        assert!(answer.message().contains(says), "{}", answer.message());
    }
    let done = said(ActionStatus::Done, None, vec![masked()]);
    let last = flow(json!({"action": "mask", "name": "the only one"}));
    let (answer, heard) = tokio::join!(put(&world, ENCODED, &[], last), controller.answer(done));
    assert_eq!(
        (answer.status.as_u16(), &heard.data["name"]),
        (200, &json!("the only one"))
    );
}

#[tokio::test]
async fn a_post_does_the_same() {
    let (world, _switch, mut controller) = live().await;
    let body = json!({"data": {"action": "metaflow", "data": {"module": "record_call", "data": {"action": "toggle"}}}});
    let uri = format!("/v2/accounts/{ACCOUNT}/channels/{ENCODED}");
    let body = Body::from(body.to_string());
    let done = said(ActionStatus::Done, None, vec![masked()]);
    let posted = world.call_with("POST", &uri, &[], body);
    let (answer, heard) = tokio::join!(posted, controller.answer(done));
    assert_eq!(answer.status, 200);
    assert_eq!(heard.data["action"], "toggle");
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let world = World::new().await;
    let uri = format!("/v2/accounts/{ACCOUNT}/channels/{ENCODED}");
    let body = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    tokio::time::pause();
    let answer = world.call_with("PUT", &uri, &[], body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("did not come in time"));
}
