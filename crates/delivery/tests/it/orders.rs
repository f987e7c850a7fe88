//! What a person may order.

use callreel_delivery::DeliveryConfig;
use callreel_proto::{
    DeliveryAction, DeliveryOrder, RecordingFact, RecordingId, RecordingState, Utc, month_db,
};
use tokio::net::TcpListener;

use crate::{
    call::{put, record},
    node::{Home, config},
    receiver::{Receiver, deserted},
};

/// Gives up at the first failure.
fn impatient() -> DeliveryConfig {
    DeliveryConfig {
        give_up_after_h: 0,
        ..config()
    }
}

#[tokio::test]
async fn an_undeliverable_recording_is_kept_and_delivered_by_a_retry() {
    let at = deserted().await;
    let mut node = Home::new().start(impatient()).await;
    let ticket = record(&node.spool, 1, put(at), &|_| {});
    node.tell_ended(&ticket).await;
    let over = node
        .hear(&[RecordingFact::Rendered, RecordingFact::Undeliverable])
        .await;
    let reason = over.detail.unwrap();
    assert!(reason.contains("Connection refused"), "{reason}");
    let kept = node
        .spool
        .view()
        .ticket(ticket.recording_id())
        .unwrap()
        .unwrap();
    assert_eq!(kept.state(), RecordingState::Undeliverable);
    assert!(node.spool.view().rendition_path(&kept).exists());
    assert_eq!(node.delivery.describe().await["owed"], 0);

    let receiver = Receiver::start_at(at, &[]).await;
    node.order(DeliveryAction::Retry, ticket.recording_id())
        .await;
    node.hear(&[RecordingFact::Delivered]).await;
    assert_eq!(receiver.received().len(), 1);
    node.assert_nothing_owed();
}

#[tokio::test]
async fn a_waiting_recording_is_dropped_on_order() {
    let slow = DeliveryConfig {
        backoff_first_s: 600,
        backoff_max_s: 600,
        ..config()
    };
    let mut node = Home::new().start(slow).await;
    let ticket = record(&node.spool, 1, put(deserted().await), &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    let picture = node.delivery.describe().await;
    assert_eq!(picture["recordings"][0]["place"], "waiting");
    node.order(DeliveryAction::Drop, ticket.recording_id())
        .await;
    let notice = node.hear(&[RecordingFact::Discarded]).await;
    assert_eq!(
        notice.detail.as_deref(),
        Some("dropped by order of an operator")
    );
    node.assert_nothing_owed();
}

#[tokio::test]
async fn orders_for_recordings_of_other_nodes_are_passed_over() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(config()).await;
    let other = RecordingId::random(Utc::now());
    node.order(DeliveryAction::Drop, &other).await;
    node.order(DeliveryAction::Retry, &other).await;
    let ticket = record(&node.spool, 1, put(receiver.at), &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
}

#[tokio::test]
async fn a_hold_that_comes_after_the_delivery_is_put_on_the_document() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(config()).await;
    let ticket = record(&node.spool, 1, put(receiver.at), &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    let promise = ticket.promise();
    let (db, id) = (
        month_db(&promise.account_id, promise.recording_id.month()),
        promise.recording_id.as_str(),
    );
    for (action, held) in [
        (DeliveryAction::Hold, true),
        (DeliveryAction::Release, false),
    ] {
        let order = DeliveryOrder {
            account_id: Some(promise.account_id.clone()),
            reason: Some("court order".to_owned()),
            ..DeliveryOrder::new(action, promise.recording_id.clone())
        };
        node.send(order).await;
        // It is obeyed before the one behind it is.
        let next = record(
            &node.spool,
            if held { 2 } else { 3 },
            put(receiver.at),
            &|_| {},
        );
        node.tell_ended(&next).await;
        node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
            .await;
        let doc = node.store.get(&db, id).await.unwrap().unwrap();
        assert_eq!(doc["hold"]["reason"] == "court order", held, "{doc}");
    }
}

#[tokio::test]
async fn a_recording_under_way_is_dropped_when_its_try_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut node = Home::new().start(config()).await;
    let ticket = record(&node.spool, 1, put(at), &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered]).await;
    let (connection, _) = listener.accept().await.unwrap();
    node.order(DeliveryAction::Drop, ticket.recording_id())
        .await;
    node.until_unwanted().await;
    drop(connection);
    node.hear(&[RecordingFact::Discarded]).await;
    node.assert_nothing_owed();
}
