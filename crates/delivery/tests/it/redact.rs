//! Keys that are taken out of the audio.

use callreel_media::{level, read_audio};
use callreel_proto::{EndReason, RecordingFact, month_db};

use crate::{
    call::{Call, put},
    node::{Home, config},
    receiver::Receiver,
};

#[tokio::test]
async fn keys_are_not_in_the_file_and_the_document_says_where_they_were() {
    for redact in [true, false] {
        let receiver = Receiver::start(&[]).await;
        let mut node = Home::new().start(config()).await;
        let mut call = Call::begin(&node.spool, put(receiver.at), &|promise| {
            promise.redact_dtmf = redact;
        });
        call.talk(1);
        call.press(10);
        call.talk(1);
        call.stop_recording(&node.spool, EndReason::Hangup);
        let ticket = call.hang_up();
        node.tell_ended(&ticket).await;
        node.hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
            .await;
        let channels = read_audio(receiver.received()[0].body.to_vec(), Some("wav")).unwrap();
        let loud = |channel: usize, from: usize, to: usize| {
            level(&channels[channel].samples[from..to]) > 3000
        };
        assert_eq!(channels[0].samples.len(), 17_600);
        assert_eq!(loud(0, 8080, 9520), !redact);
        assert!(loud(0, 7000, 7500) && loud(0, 10_100, 10_600));
        assert!(loud(1, 8080, 9520), "the other party pressed none");

        let promise = ticket.promise();
        let db = month_db(&promise.account_id, promise.recording_id.month());
        let doc = node.store.get(&db, promise.recording_id.as_str()).await;
        let doc = doc.unwrap().unwrap();
        let Some(redacted) = doc.get("redacted") else {
            assert!(!redact, "{doc}");
            continue;
        };
        assert!(redact, "{doc}");
        assert_eq!(redacted.as_array().unwrap().len(), 1, "{redacted}");
        let at = |end: &str| redacted[0][end].as_u64().unwrap();
        assert!((950..=1000).contains(&at("from_ms")), "{redacted}");
        assert!((1200..=1250).contains(&at("until_ms")), "{redacted}");
    }
}
