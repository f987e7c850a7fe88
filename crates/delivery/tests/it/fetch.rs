//! Recordings whose audio a foreign switch has in a file of its own: fetched, converted, delivered.

use callreel_delivery::DeliveryConfig;
use callreel_proto::{
    AudioFormat, Destination, EndReason, RecordingFact, RecordingState, month_db,
};
use callreel_spool::Source;
use futures::TryStreamExt as _;
use serde_json::json;

use crate::{
    call::{assert_heard, put as deliver_to},
    node::Home,
    receiver::Receiver,
    switch::{NODE, Switch, file, open_intake, put, recorded},
};

#[tokio::test]
async fn a_file_is_fetched_made_what_was_asked_for_and_delivered() {
    for (sent, asked) in [
        (AudioFormat::Wav, AudioFormat::Mp3),
        (AudioFormat::Mp3, AudioFormat::Mp3),
        (AudioFormat::Wav, AudioFormat::Wav),
        (AudioFormat::Mp3, AudioFormat::Wav),
    ] {
        let receiver = Receiver::start(&[]).await;
        let mut node = Home::new().start(open_intake()).await;
        let mut switch = Switch::beside(&node).await;
        let ticket = recorded(&node.spool, deliver_to(receiver.at), &|promise| {
            promise.format = asked;
        });
        node.tell_ended(&ticket).await;
        switch.send(file(sent)).await;
        node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
            .await;
        let received = receiver.received();
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].method, "PUT");
        assert_eq!(received[0].path, "/call_recording_ab12%4010.0.0.5.wav");
        assert_eq!(received[0].header("content-type"), asked.content_type());
        assert_heard(received[0].body.to_vec(), asked.extension(), 2);
        assert_eq!(received[0].body == file(sent), sent == asked);
        node.assert_nothing_owed();

        let db = month_db(
            &ticket.promise().account_id,
            ticket.promise().recording_id.month(),
        );
        let doc = node.store.get(&db, ticket.recording_id().as_str()).await;
        assert_eq!(doc.unwrap().unwrap()["duration_ms"], 2000);
        let picture = node.delivery.describe().await;
        assert_eq!(picture["intake"]["since_start"]["received"], 1);
    }
}

#[tokio::test]
async fn the_order_says_all_that_a_switch_needs() {
    let config = DeliveryConfig {
        intake_url: Some("http://127.0.0.1:1/rec/".parse().unwrap()),
        intake_delete_on_switch: true,
        ..open_intake()
    };
    let node = Home::new().start(config).await;
    let mut switch = Switch::beside(&node).await;
    let ticket = recorded(&node.spool, Destination::AccountDb, &|_| {});
    node.tell_ended(&ticket).await;
    let order = switch.next_order().await;
    for (pointer, value) in [
        ("/Node", json!(crate::node::NAME)),
        ("/Event-Category", json!("switch_event")),
        ("/Event-Name", json!("command")),
        ("/Command", json!("send_http")),
        ("/FreeSWITCH-Node", json!(NODE)),
        ("/Args/File-Name", json!("/tmp/0f1e 2d.wav")),
        ("/Args/Http-Method", json!("put")),
        ("/Delete-On-Success", json!(true)),
    ] {
        assert_eq!(order.field(pointer), &value, "{pointer}");
    }
    let url = format!(
        "http://127.0.0.1:1/rec/intake/{}/0f1e%202d.wav",
        order.token()
    );
    assert_eq!(order.url(), url);
    assert!(order.token().len() == 64 && order.token().bytes().all(|b| b.is_ascii_hexdigit()));
    let picture = node.delivery.describe().await;
    assert_eq!(
        (&picture["fetching"], &picture["rendering"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(picture["intake"]["awaited"], 1);
    assert_eq!(picture["intake"]["url"], "http://127.0.0.1:1/rec");
    node.stop().await;
}

#[tokio::test]
async fn a_fetched_recording_goes_into_the_accounts_database_too() {
    let mut node = Home::new().start(open_intake()).await;
    let mut switch = Switch::beside(&node).await;
    let ticket = recorded(&node.spool, Destination::AccountDb, &|promise| {
        promise.format = AudioFormat::Mp3;
    });
    node.tell_ended(&ticket).await;
    switch.send(file(AudioFormat::Wav)).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    let promise = ticket.promise();
    let db = month_db(&promise.account_id, promise.recording_id.month());
    let id = promise.recording_id.as_str();
    let audio = node.store.attachment(&db, id, &promise.file_name).await;
    let audio = audio.unwrap().expect("the audio is attached");
    let blocks: Vec<_> = audio.body.try_collect().await.unwrap();
    assert_heard(blocks.concat(), "mp3", 2);
    node.assert_nothing_owed();
}

#[tokio::test]
async fn the_minimum_holds_for_a_fetched_file_by_what_is_in_it() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(open_intake()).await;
    let mut switch = Switch::beside(&node).await;
    for to in [deliver_to(receiver.at), Destination::AccountDb] {
        let ticket = recorded(&node.spool, to, &|promise| promise.min_ms = 2001);
        node.tell_ended(&ticket).await;
        switch.send(file(AudioFormat::Wav)).await;
        let notice = node.hear(&[RecordingFact::Discarded]).await;
        assert_eq!(notice.end_reason, Some(EndReason::TooShort));
        let rule = "shorter than the minimum of 2001 ms";
        assert_eq!(notice.detail.as_deref(), Some(rule));
        node.assert_nothing_owed();
    }
    assert!(receiver.received().is_empty());
    assert!(node.store.databases().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_switch_that_fails_is_asked_again_under_another_address() {
    let receiver = Receiver::start(&[]).await;
    let mut node = Home::new().start(open_intake()).await;
    let mut switch = Switch::beside(&node).await;
    let ticket = recorded(&node.spool, deliver_to(receiver.at), &|_| {});
    node.tell_ended(&ticket).await;
    let order = switch.next_order().await;
    switch
        .fail(&order, &format!("-ERR no\n route to {}", order.url()))
        .await;
    let notice = node.hear(&[RecordingFact::Retrying]).await;
    let told = notice.detail.unwrap();
    let said = format!(
        "/tmp/0f1e 2d.wav of {NODE}: the switch could not send it: -ERR no route to http://{}/intake/…/0f1e%202d.wav; next try at ",
        order.address()
    );
    assert!(told.starts_with(&said), "{told}");
    let kept = node
        .spool
        .view()
        .ticket(ticket.recording_id())
        .unwrap()
        .unwrap();
    assert_eq!(kept.delivery().render_failures, 1);
    assert!(
        !kept
            .delivery()
            .last_error
            .as_ref()
            .unwrap()
            .contains(order.token())
    );

    let late = put(order.url(), file(AudioFormat::Wav)).await;
    assert_eq!(late.0, 410, "{late:?}");
    assert_eq!(
        late.1,
        "this address has expired; the next try has another\n"
    );
    let again = switch.send(file(AudioFormat::Wav)).await;
    assert_ne!(again.token(), order.token());
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    node.assert_nothing_owed();
}

#[tokio::test]
async fn a_switch_that_says_it_has_sent_what_never_came_is_not_believed() {
    let mut node = Home::new().start(open_intake()).await;
    let mut switch = Switch::beside(&node).await;
    let ticket = recorded(&node.spool, Destination::AccountDb, &|_| {});
    node.tell_ended(&ticket).await;
    let order = switch.next_order().await;
    switch.answer(&order, json!({"Result": "success"})).await;
    let told = node.hear(&[RecordingFact::Retrying]).await.detail.unwrap();
    let said = format!("nothing came: is http://{} this node?", order.address());
    assert!(told.contains(&said), "{told}");
    // An answer that says nothing is no answer; another's is not ours.
    let order = switch.next_order().await;
    switch
        .answer(&order, json!({"Result": 7, "Command": null}))
        .await;
    switch
        .answer(&order, json!({"Msg-ID": "other", "Result": "error"}))
        .await;
    assert_eq!(put(order.url(), file(AudioFormat::Wav)).await.0, 200);
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
}

#[tokio::test]
async fn a_switch_that_is_gone_is_given_up_with_the_reason_and_asked_again_by_order() {
    let config = DeliveryConfig {
        intake_token_ttl_s: 1,
        give_up_after_h: 0,
        ..open_intake()
    };
    let mut node = Home::new().start(config).await;
    let ticket = recorded(&node.spool, Destination::AccountDb, &|_| {});
    node.tell_ended(&ticket).await;
    let told = node.hear(&[RecordingFact::Undeliverable]).await.detail;
    assert_eq!(
        told.unwrap(),
        format!(
            "/tmp/0f1e 2d.wav of {NODE}: no answer within 1 s (delivery.intake_token_ttl_s): is the switch running, and connected to Kazoo?"
        )
    );
    let kept = node
        .spool
        .view()
        .ticket(ticket.recording_id())
        .unwrap()
        .unwrap();
    assert_eq!(kept.state(), RecordingState::Undeliverable);
    let mut switch = Switch::beside(&node).await;
    node.order(callreel_proto::DeliveryAction::Retry, ticket.recording_id())
        .await;
    switch.send(file(AudioFormat::Wav)).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
}

#[tokio::test]
async fn what_nobody_can_fetch_is_named() {
    let mut closed = Home::new().start(crate::node::config()).await;
    let ticket = recorded(&closed.spool, Destination::AccountDb, &|_| {});
    closed.tell_ended(&ticket).await;
    let told = closed
        .hear(&[RecordingFact::Retrying])
        .await
        .detail
        .unwrap();
    assert!(told.contains("set delivery.intake_listen"), "{told}");
    assert_eq!(closed.delivery.describe().await["intake"], json!(null));

    let mut node = Home::new().start(open_intake()).await;
    for (node_name, path, said) in [
        (
            NODE,
            None,
            "freeswitch@fs1.example.com never said where it records 0f1e 2d.wav",
        ),
        (
            "",
            Some("/tmp/x"),
            "it is not known which switch has recorded 0f1e 2d.wav",
        ),
    ] {
        let ticket = recorded(&node.spool, Destination::AccountDb, &|promise| {
            if let Source::Switch(file) = &mut promise.source {
                file.node = node_name.to_owned();
                file.path = path.map(str::to_owned);
            }
        });
        node.tell_ended(&ticket).await;
        let told = node.hear(&[RecordingFact::Undeliverable]).await.detail;
        assert_eq!(told.as_deref(), Some(said));
    }
}

#[tokio::test]
async fn a_file_that_is_no_audio_is_given_up_and_kept() {
    let mut node = Home::new().start(open_intake()).await;
    let mut switch = Switch::beside(&node).await;
    let ticket = recorded(&node.spool, Destination::AccountDb, &|_| {});
    node.tell_ended(&ticket).await;
    switch.send(b"<html>502 Bad Gateway</html>".to_vec()).await;
    let over = node
        .hear(&[
            RecordingFact::Retrying,
            RecordingFact::Retrying,
            RecordingFact::Undeliverable,
        ])
        .await;
    let told = over.detail.unwrap();
    let said = format!("/tmp/0f1e 2d.wav of {NODE}: cannot decode the audio");
    assert!(told.starts_with(&said), "{told}");
    let kept = node.spool.view().switch_file_path(&ticket);
    assert_eq!(
        std::fs::read(kept).unwrap(),
        b"<html>502 Bad Gateway</html>"
    );
    assert_eq!(node.delivery.describe().await["owed"], 0);
}

#[tokio::test]
async fn a_switch_that_is_busy_holds_up_no_other() {
    let config = DeliveryConfig {
        fetches_per_switch: 1,
        ..open_intake()
    };
    let mut node = Home::new().start(config).await;
    let mut switch = Switch::beside(&node).await;
    let mut other = Switch::named(&node, "switch.command.freeswitch%40fs2").await;
    for name in [NODE, NODE, "freeswitch@fs2"] {
        let ticket = recorded(&node.spool, Destination::AccountDb, &|promise| {
            if let Source::Switch(file) = &mut promise.source {
                file.node = name.to_owned();
            }
        });
        node.tell_ended(&ticket).await;
    }
    let first = switch.next_order().await;
    other.send(file(AudioFormat::Wav)).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    let picture = node.delivery.describe().await;
    assert_eq!(picture["fetching"], 1);
    let places = [0, 1].map(|n| picture["recordings"][n]["place"].clone());
    assert!(places.contains(&json!("held")), "{picture}");
    assert_eq!(put(first.url(), file(AudioFormat::Wav)).await.0, 200);
    switch.send(file(AudioFormat::Wav)).await;
    node.hear_delivered(2).await;
    node.assert_nothing_owed();
}

#[tokio::test]
async fn a_restart_makes_new_addresses_and_counts_as_no_failure() {
    let home = Home::new();
    let node = home.start(open_intake()).await;
    let mut switch = Switch::beside(&node).await;
    let ticket = recorded(&node.spool, Destination::AccountDb, &|_| {});
    node.tell_ended(&ticket).await;
    let before = switch.next_order().await;
    drop(switch);
    node.stop().await;

    let mut node = home.start(open_intake()).await;
    let mut switch = Switch::beside(&node).await;
    let kept = node
        .spool
        .view()
        .ticket(ticket.recording_id())
        .unwrap()
        .unwrap();
    assert_eq!(kept.delivery().render_failures, 0);
    node.tell_ended(&ticket).await;
    let order = switch.next_order().await;
    let old = order.url().replace(order.token(), before.token());
    let late = put(&old, file(AudioFormat::Wav)).await;
    assert_eq!(late.0, 404, "{late:?}");
    assert_eq!(put(order.url(), file(AudioFormat::Wav)).await.0, 200);
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    node.assert_nothing_owed();
}

#[tokio::test]
async fn a_file_that_arrived_before_a_crash_is_not_fetched_again() {
    let home = Home::new();
    let spool = home.writer();
    let ticket = recorded(&spool, Destination::AccountDb, &|_| {});
    std::fs::write(
        spool.view().switch_file_path(&ticket),
        file(AudioFormat::Wav),
    )
    .unwrap();
    let mut node = home.start_with(open_intake(), spool).await;
    node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
        .await;
    node.assert_nothing_owed();
}

#[tokio::test]
async fn a_recording_dropped_while_it_is_fetched_is_gone_when_the_try_is_over() {
    let mut node = Home::new().start(open_intake()).await;
    let mut switch = Switch::beside(&node).await;
    let ticket = recorded(&node.spool, Destination::AccountDb, &|_| {});
    node.tell_ended(&ticket).await;
    let order = switch.next_order().await;
    node.order(callreel_proto::DeliveryAction::Drop, ticket.recording_id())
        .await;
    node.until_unwanted().await;
    switch.fail(&order, "failure").await;
    node.hear(&[RecordingFact::Discarded]).await;
    node.assert_nothing_owed();
}
