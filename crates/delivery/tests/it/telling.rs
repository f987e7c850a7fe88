//! What a node owes, told to whoever asks on the bus.

use callreel_bus::{Binding, QueueOptions, Subscription};
use callreel_delivery::DeliveryConfig;
use callreel_proto::{Envelope, Exchange, OwedReq, OwedResp, RecordingFact, RecordingState};
use tokio::time::timeout;

use crate::{
    call::{put, record},
    node::{Home, NAME, Node, PATIENCE, config},
    receiver::deserted,
};

/// Somebody who asks.
struct Asker {
    queue: String,
    answers: Subscription,
}

impl Asker {
    async fn at(node: &Node) -> Self {
        let queue = node.bus.unique_queue_name();
        let options = QueueOptions {
            name: Some(queue.clone()),
            ..QueueOptions::private(8)
        };
        let binding = Binding::new(Exchange::Targeted, &queue);
        let answers = node.bus.subscribe(options, vec![binding]).await.unwrap();
        Self { queue, answers }
    }

    async fn ask(&mut self, node: &Node, asked: OwedReq) -> OwedResp {
        let mut question = asked.into_envelope();
        question.headers.server_id = Some(self.queue.clone());
        let msg_id = question.headers.msg_id.clone();
        let asking = node
            .bus
            .publish(Exchange::Kapps, OwedReq::KEY, question.to_bytes());
        asking.await.unwrap();
        let answer = timeout(PATIENCE, self.answers.recv()).await.unwrap();
        let answer = Envelope::<OwedResp>::from_bytes(&answer.unwrap().body).unwrap();
        assert_eq!(
            (&*answer.headers.node, &answer.headers.msg_id),
            (NAME, &msg_id)
        );
        answer.body
    }
}

fn waits() -> DeliveryConfig {
    DeliveryConfig {
        backoff_first_s: 600,
        backoff_max_s: 600,
        ..config()
    }
}

#[tokio::test]
async fn what_is_owed_and_which_receiver_is_left_alone_are_told() {
    let mut node = Home::new().start(waits()).await;
    let ticket = record(&node.spool, 1, put(deserted().await), &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    let mut asker = Asker::at(&node).await;
    let all = OwedReq {
        page_size: 10,
        receivers: Some(true),
        ..OwedReq::default()
    };
    let told = asker.ask(&node, all.clone()).await;
    let [owed] = &told.tickets[..] else {
        panic!("{:?}", told.tickets)
    };
    assert_eq!(&owed.id, ticket.recording_id());
    assert_eq!(owed.account_id, ticket.promise().account_id);
    assert_eq!(owed.rest["attempts"], 1);
    let why = owed.rest["last_error"].as_str().unwrap();
    assert!(why.contains("Connection refused"), "{why}");

    let growing = OwedReq {
        state: Some(RecordingState::Growing),
        ..all
    };
    assert!(asker.ask(&node, growing).await.tickets.is_empty());
    let this = OwedReq {
        recording_id: Some(ticket.recording_id().clone()),
        ..OwedReq::default()
    };
    assert_eq!(asker.ask(&node, this).await.tickets.len(), 1);
}
