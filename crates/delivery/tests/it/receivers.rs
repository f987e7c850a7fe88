//! Receivers that die, refuse and come back; and accounts that want much at once.

use callreel_delivery::DeliveryConfig;
use callreel_proto::{AccountId, DeliveryAction, RecordingFact, RecordingState};
use callreel_spool::{ReceiverInfo, View};

use crate::{
    call::{put, record},
    node::{Home, Node, PATIENCE, config},
    receiver::{Receiver, deserted},
};

/// Waits until delivery tells of the receivers it leaves alone what is wanted.
async fn until_told(spool: &View, wanted: impl Fn(&[ReceiverInfo]) -> bool) -> Vec<ReceiverInfo> {
    let told = async {
        loop {
            let told = spool.receivers().unwrap();
            if wanted(&told) {
                return told;
            }
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await;
    told.expect("it is told in time")
}

async fn hear_all(node: &mut Node, fact: RecordingFact, mut count: usize) {
    while count > 0 {
        count -= usize::from(node.next_notice().await.fact == fact);
    }
}

#[tokio::test]
async fn a_dead_receiver_is_left_alone_told_of_and_served_when_it_is_back() {
    let at = deserted().await;
    let settings = DeliveryConfig {
        uploads_per_host: 2,
        ..config()
    };
    let home = Home::new();
    let spool = home.writer();
    let tickets: Vec<_> = (0..20)
        .map(|_| record(&spool, 1, put(at), &|_| {}))
        .collect();
    let mut node = home.start_with(settings, spool).await;
    let view = View::open(home.spool_dir());
    let told = until_told(&view, |told| told.iter().any(|one| one.failures >= 8)).await;
    assert_eq!(told[0].host, format!("http://{at}"));
    assert!(told[0].last_error.contains("Connection refused"));
    assert!(told[0].failing_since.unwrap() <= told[0].next_probe);
    assert!(told[0].waiting >= 19);
    let attempts = |node: &Node| {
        let attempts = node.spool.view().tickets().unwrap().into_iter();
        attempts
            .map(|ticket| ticket.delivery().attempts)
            .collect::<Vec<_>>()
    };
    let never_tried = attempts(&node).iter().filter(|tries| **tries == 0).count();
    assert!(never_tried > 0, "what is held is not tried in vain");

    let receiver = Receiver::start_at(at, &[]).await;
    hear_all(&mut node, RecordingFact::Delivered, tickets.len()).await;
    assert_eq!(receiver.received().len(), tickets.len());
    until_told(&view, <[_]>::is_empty).await;
    node.assert_nothing_owed();
}

#[tokio::test]
async fn an_order_tries_a_held_recording_at_once() {
    let at = deserted().await;
    let slow = DeliveryConfig {
        backoff_first_s: 1_000_000,
        backoff_max_s: 1_000_000,
        uploads_per_host: 1,
        ..config()
    };
    let home = Home::new();
    let spool = home.writer();
    let tickets: Vec<_> = (0..6)
        .map(|_| record(&spool, 1, put(at), &|_| {}))
        .collect();
    let mut node = home.start_with(slow, spool).await;
    let view = View::open(home.spool_dir());
    until_told(&view, |told| told.iter().any(|one| one.waiting == 6)).await;
    let held = tickets.iter().find(|ticket| {
        let now = view.ticket(ticket.recording_id()).unwrap().unwrap();
        now.state() == RecordingState::Rendered
    });
    let held = held.expect("one was not tried").recording_id();
    let receiver = Receiver::start_at(at, &[]).await;
    node.order(DeliveryAction::Retry, held).await;
    hear_all(&mut node, RecordingFact::Delivered, 1).await;
    assert_eq!(
        receiver.received()[0].header("idempotency-key"),
        held.as_str()
    );
    until_told(&view, <[_]>::is_empty).await;
}

#[tokio::test]
async fn five_refusals_make_a_recording_undeliverable() {
    let receiver = Receiver::start(&[403; 9]).await;
    let mut node = Home::new().start(config()).await;
    let ticket = record(&node.spool, 1, put(receiver.at), &|_| {});
    node.tell_ended(&ticket).await;
    hear_all(&mut node, RecordingFact::Retrying, 4).await;
    let over = node.hear(&[RecordingFact::Undeliverable]).await;
    assert_eq!(over.detail.as_deref(), Some("the receiver answered 403"));
    assert_eq!(receiver.received().len(), 5);
}

#[tokio::test]
async fn an_account_with_many_recordings_delays_anothers_by_one() {
    let receiver = Receiver::start(&[]).await;
    let home = Home::new();
    let spool = home.writer();
    for _ in 0..8 {
        record(&spool, 1, put(receiver.at), &|_| {});
    }
    let other = AccountId::random();
    record(&spool, 1, put(receiver.at), &|promise| {
        promise.account_id = other.clone();
    });
    let mut node = home.start_with(config(), spool).await;
    let mut rendered = Vec::new();
    while rendered.len() < 9 {
        let notice = node.next_notice().await;
        if notice.fact == RecordingFact::Rendered {
            rendered.push(notice.account_id);
        }
    }
    let turn = rendered.iter().position(|account| *account == other);
    assert!(turn <= Some(1), "{turn:?}");
}
