//! The outbox without a broker.

use bytes::Bytes;
use callreel_proto::Exchange;

use super::*;
use crate::Receipt;

fn message(key: &str, bytes: usize) -> Delivery {
    Delivery {
        exchange: Exchange::Kapps,
        routing_key: key.to_owned(),
        deliver_to: None,
        call_id: None,
        body: Bytes::from(vec![b'x'; bytes]),
    }
}

fn keys(outbox: &Outbox, counters: &Counters) -> Vec<String> {
    std::iter::from_fn(|| outbox.pop(true, counters))
        .map(|job| match job {
            Job::Publish(outgoing) => outgoing.message.routing_key.clone(),
            Job::Settle(settle) => format!("settle {}", settle.queue),
            Job::Ask(question) => format!("ask {}", question.queue),
        })
        .collect()
}

fn change(queue: &str) -> Settle {
    Settle {
        queue: queue.to_owned(),
        binding: None,
        done: None,
    }
}

#[tokio::test]
async fn a_full_outbox_drops_its_oldest_message_and_no_change() {
    let (outbox, counters) = (Outbox::new(2), Counters::default());
    outbox.start_settling();
    assert!(outbox.settle(change("q")));
    for key in ["1", "2", "3"] {
        outbox.publish(message(key, 1), None, &counters).unwrap();
    }
    assert_eq!(outbox.level(), (2, 2));
    assert_eq!(keys(&outbox, &counters), ["settle q", "2", "3"]);
    assert_eq!(count(&counters.dropped), 2, "one was dropped before");
    assert_eq!(outbox.level(), (0, 0));
}

#[tokio::test]
async fn bodies_are_bounded_too() {
    let (outbox, counters) = (Outbox::new(100), Counters::default());
    for key in ["1", "2", "3"] {
        let large = message(key, CAPACITY_BYTES / 2);
        outbox.publish(large, None, &counters).unwrap();
    }
    assert_eq!(keys(&outbox, &counters), ["2", "3"]);
}

#[tokio::test]
async fn what_was_not_confirmed_comes_first_again_and_changes_are_void() {
    let (outbox, counters) = (Outbox::new(9), Counters::default());
    outbox.start_settling();
    for key in ["1", "2", "3"] {
        outbox.publish(message(key, 1), None, &counters).unwrap();
    }
    let sent: Vec<Outgoing> = (0..2)
        .filter_map(|_| match outbox.pop(false, &counters) {
            Some(Job::Publish(outgoing)) => Some(outgoing),
            _ => None,
        })
        .collect();
    assert!(sent[0].stamp < sent[1].stamp);
    assert!(outbox.settle(change("q")));
    outbox.take_back(sent.into_iter().rev());
    assert!(!outbox.settle(change("q")));
    assert_eq!(keys(&outbox, &counters), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn what_waited_a_minute_is_not_sent_any_more() {
    let (outbox, counters) = (Outbox::new(9), Counters::default());
    outbox.publish(message("old", 1), None, &counters).unwrap();
    tokio::time::advance(EXPIRY).await;
    outbox.publish(message("new", 1), None, &counters).unwrap();
    assert_eq!(keys(&outbox, &counters), ["new"]);
    assert_eq!(count(&counters.expired), 2, "one had expired before");
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_know_is_told_what_was_lost_and_why() {
    let (outbox, counters) = (Outbox::new(2), Counters::default());
    outbox.start_settling();
    let track = |key| {
        let (receipt, answer) = Receipt::open();
        let tracked = message(key, 1);
        outbox.publish(tracked, Some(answer), &counters).unwrap();
        receipt
    };
    let (first, second) = (track("1"), track("2"));
    assert!(outbox.settle(change("q")));
    let third = track("3");
    assert_eq!(first.await, Err(Lost::Crowded));
    tokio::time::advance(EXPIRY).await;
    outbox.expire(&counters);
    assert_eq!(second.await, Err(Lost::Expired));
    assert_eq!(third.await, Err(Lost::Expired), "behind a change too");
    let fourth = track("4");
    assert_eq!(outbox.discard(), 1);
    assert_eq!(fourth.await, Err(Lost::Closed));
    assert_eq!(outbox.level(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_there_yet_is_waited_for_without_a_change_of_order() {
    let (outbox, counters) = (Outbox::new(9), Counters::default());
    let track = |key, body: &str| {
        let (receipt, answer) = Receipt::open();
        let mut tracked = message(key, 1);
        tracked.body = Bytes::from(body.to_owned());
        outbox.publish(tracked, Some(answer), &counters).unwrap();
        receipt
    };
    let pop = || match outbox.pop(true, &counters) {
        Some(Job::Publish(outgoing)) => outgoing,
        _ => panic!("a message"),
    };
    let receipts = ["1", "2", "3"].map(|body| track("away", body));
    let (first, second) = (pop(), pop());
    // Not in order: confirms are not either.
    outbox.defer(second, &counters);
    outbox.defer(first, &counters);
    let _other = track("there", "other");
    outbox.publish(message("away", 0), None, &counters).unwrap();
    assert_eq!(
        pop().message.body,
        "other",
        "the third stays behind its elders"
    );
    assert_eq!(
        pop().message.body,
        "",
        "and nobody cares about the untracked"
    );
    assert!(outbox.pop(true, &counters).is_none());

    outbox.retry();
    let again = [pop(), pop(), pop()];
    let bodies = again
        .each_ref()
        .map(|outgoing| outgoing.message.body.clone());
    assert_eq!(bodies, ["1", "2", "3"]);
    tokio::time::advance(HEARING).await;
    for outgoing in again {
        outbox.defer(outgoing, &counters);
    }
    for receipt in receipts {
        assert_eq!(receipt.await, Err(Lost::Unheard));
    }
    assert_eq!(count(&counters.unheard), 4, "three before");
}
