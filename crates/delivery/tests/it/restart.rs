//! Ends of processes, in order or not.

use std::fs;

use callreel_proto::{RecordingFact, RecordingState};
use callreel_spool::Outbox;
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use crate::{
    call::{assert_heard, put, record},
    node::{Home, config},
    receiver::{Receiver, deserted},
};

#[tokio::test]
async fn a_restart_between_two_tries_goes_on_where_it_was() {
    let home = Home::new();
    let at = deserted().await;
    let mut node = home.start(config()).await;
    let ticket = record(&node.spool, 1, put(at), &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Retrying])
        .await;
    node.stop().await;

    let spool = home.writer();
    let id = ticket.recording_id();
    let kept = spool.view().ticket(id).unwrap().unwrap();
    assert_eq!(kept.state(), RecordingState::Delivering);
    let tried = kept.delivery().attempts;
    assert!(tried >= 1);
    let receiver = Receiver::start_at(at, &[]).await;
    let mut node = home.start_with(config(), spool).await;
    node.hear(&[RecordingFact::Delivered]).await;
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    assert_eq!(
        received[0].header("x-callreel-attempt"),
        (tried + 1).to_string()
    );
    assert_heard(received[0].body.to_vec(), "wav", 1);
    node.assert_nothing_owed();
}

#[tokio::test]
async fn what_ended_while_nobody_listened_is_found_at_the_start() {
    let home = Home::new();
    let receiver = Receiver::start(&[]).await;
    let spool = home.writer();
    for _ in 0..3 {
        record(&spool, 1, put(receiver.at), &|_| {});
    }
    let mut node = home.start_with(config(), spool).await;
    node.hear_delivered(3).await;
    node.assert_nothing_owed();
}

#[tokio::test]
async fn a_journal_cut_by_a_crash_is_rendered_as_far_as_it_goes() {
    let home = Home::new();
    let receiver = Receiver::start(&[]).await;
    let spool = home.writer();
    let ticket = record(&spool, 2, put(receiver.at), &|_| {});
    let journal = spool.view().journal_path(ticket.capture_id().unwrap());
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, &bytes[..bytes.len() - 77]).unwrap();
    let mut node = home.start_with(config(), spool).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    assert_heard(receiver.received()[0].body.to_vec(), "wav", 2);
}

#[tokio::test]
async fn a_recording_without_a_capture_is_undeliverable_and_kept() {
    let home = Home::new();
    let spool = home.writer();
    let ticket = record(&spool, 1, put(deserted().await), &|_| {});
    let journal = spool.view().journal_path(ticket.capture_id().unwrap());
    fs::remove_file(journal).unwrap();
    let mut node = home.start_with(config(), spool).await;
    let notice = node.hear(&[RecordingFact::Undeliverable]).await;
    let reason = notice.detail.unwrap();
    assert!(reason.starts_with("there is no capture"), "{reason}");
    assert!(
        node.spool
            .view()
            .ticket(ticket.recording_id())
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_stop_cuts_off_a_hanging_try_and_frees_the_spool() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut node = home.start(config()).await;
    let ticket = record(&node.spool, 1, put(at), &|_| {});
    node.tell_ended(&ticket).await;
    node.hear(&[RecordingFact::Rendered]).await;
    let (mut connection, _) = listener.accept().await.unwrap();
    connection.read_exact(&mut [0; 3]).await.unwrap();
    assert_eq!(node.delivery.describe().await["delivering"], 1);
    node.stop().await;
    let spool = Outbox::open(home.spool_dir()).expect("nobody holds the lock");
    let kept = spool.view().ticket(ticket.recording_id()).unwrap().unwrap();
    assert_eq!(kept.state(), RecordingState::Rendered);
    assert_eq!(kept.delivery().attempts, 0, "it counts as no failure");
}
