//! Who is recorded is told so: beeps and announcements are heard, are in the file, and the document says by whom and when.

use serde_json::{Value, json};

use crate::support::{
    audio::{self, listen},
    estate::{CALLEE_USER, Estate},
    node::Node,
    phone::{Phone, Talk},
    receiver::Receiver,
    voice::Speech,
};

/// The caller's voice, and the callee's.
const VOICES: [f32; 2] = [1000.0, 620.0];
const BEEP: f32 = 440.0;
/// What an account has recorded as its announcement.
const WORDS: f32 = 700.0;

fn record(receiver: &Receiver, keys: Value, then: Value) -> Value {
    let mut data = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    data.as_object_mut()
        .unwrap()
        .extend(keys.as_object().unwrap().clone());
    json!({"module": "record_call", "data": data, "children": {"_": then}})
}

/// The sample at which a document says that the `nth` announcement began; who heard it.
fn evidence(doc: &Value, nth: usize) -> (f64, Vec<&str>) {
    let told = &doc["announcements"][nth];
    let sample = told["from_sample"].as_f64();
    let sample = sample.unwrap_or_else(|| panic!("announcement {nth} of {doc}"));
    let heard_by = told["heard_by"].as_array().unwrap().iter();
    let rate = doc["sample_rate"].as_f64().unwrap();
    (
        sample / rate,
        heard_by.map(|id| id.as_str().unwrap()).collect(),
    )
}

#[test]
fn a_caller_alone_hears_the_beep_and_the_words_and_the_document_says_when() {
    let receiver = Receiver::start();
    let sleep = json!({"module": "sleep", "data": {"duration": 3}, "children": {}});
    let keys = json!({"beep": true, "announce": "words"});
    let recorded = record(&receiver, keys, sleep);
    let estate =
        Estate::with_flow(&json!({"module": "answer", "data": {}, "children": {"_": recorded}}));
    estate.write(
        "media/words.json",
        &json!({"id": "words", "name": "words", "content_type": "audio/wav"}),
    );
    estate.audio("media/words.wav", &audio::sine(WORDS, 1.0));
    let node = Node::start(&estate);
    let (caller, calling) = Phone::calls(&node, Speech::tone(VOICES[0], 10.0));
    let call_id = calling.call_id().to_owned();
    calling.completed();
    let file = listen(&receiver.accepted().body);
    let doc = node.recordings(1).remove(0);
    for (nth, hz, seconds) in [(0, BEEP, 0.5), (1, WORDS, 1.0)] {
        let heard = caller.voice.heard().only_tone(0, hz);
        assert!(
            heard.1 - heard.0 > seconds - 0.1,
            "{hz} Hz is heard {heard:?}"
        );
        let (from, to) = file.only_tone(1, hz);
        assert!(
            (to - from - seconds).abs() < 0.1,
            "{hz} Hz in the file: {from} to {to}"
        );
        let (told, heard_by) = evidence(&doc, nth);
        assert!(
            (told - from).abs() < 0.05,
            "{hz} Hz sounds at {from}, not at {told}"
        );
        assert_eq!(heard_by, [call_id.as_str()]);
    }
    let speaks = file.only_tone(0, VOICES[0]);
    assert!(speaks.1 - speaks.0 > 2.5, "the caller goes on: {speaks:?}");
}

#[test]
fn both_parties_of_a_bridged_call_hear_the_beep() {
    let receiver = Receiver::start();
    let ring =
        json!({"module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}});
    let keys = json!({"beep": true, "record_on_bridge": true});
    let node = Node::start(&Estate::with_flow(&record(&receiver, keys, ring)));
    // The phones' first words may come after the beep began; so they speak late, and hear all of it.
    let speech = VOICES.map(|hz| Speech::tone(hz, 10.0));
    let talk = Talk::begins(&node, 0, 2500, speech);
    let call_id = talk.call_id().to_owned();
    let [caller, callee] = talk.ends();
    let file = listen(&receiver.accepted().body);
    let doc = node.recordings(1).remove(0);
    for (who, phone) in [("the caller", &caller), ("the callee", &callee)] {
        let heard = phone.voice.heard().tone(0, BEEP);
        assert!(
            heard.iter().any(|(from, to)| to - from > 0.3),
            "{who} heard {heard:?}"
        );
    }
    let (told, heard_by) = evidence(&doc, 0);
    let beep = file.only_tone(1, BEEP);
    assert!(
        (told - beep.0).abs() < 0.05,
        "it sounds at {beep:?}, not at {told}"
    );
    assert_eq!(heard_by.len(), 2, "{doc}");
    assert!(heard_by.contains(&call_id.as_str()), "{doc}");
    for (channel, hz) in [(0, VOICES[0]), (1, VOICES[1])] {
        let spans = file.tone(channel, hz);
        let sounds: f64 = spans.iter().map(|(from, to)| to - from).sum();
        assert!(sounds > 1.5, "the talk goes on: {hz} Hz at {spans:?}");
    }
}
