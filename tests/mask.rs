//! What is masked is nowhere: not in the file, not in the spool, not after a crash; and neither are keys that are redacted.

use serde_json::{Value, json};

use crate::support::{
    audio::{self, Heard, listen},
    disk,
    estate::Estate,
    eventually,
    node::Node,
    phone::Phone,
    receiver::{Arrival, Receiver},
    sipp::Run,
    voice::{Speech, mark},
};

/// The caller's voice.
const VOICE: f32 = 1000.0;
/// What is played to the caller, before and after the mask; and meanwhile.
const OPEN: f32 = 620.0;
const SECRET: f32 = 700.0;
const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nbackoff_first_s = 1\n";

fn step(module: &str, data: Value, then: Value) -> Value {
    json!({"module": module, "data": data, "children": {"_": then}})
}

/// A recording of so many steps.
fn recorded(receiver: &Receiver, then: Value) -> Value {
    let start = json!({"action": "start", "format": "wav", "url": receiver.url("/r")});
    step("answer", json!({}), step("record_call", start, then))
}

fn play(id: &str, then: Value) -> Value {
    step("play", json!({ "id": id }), then)
}

fn action(action: &str, then: Value) -> Value {
    step("record_call", json!({ "action": action }), then)
}

fn end() -> Value {
    json!({"module": "hangup", "data": {}, "children": {}})
}

fn sleep(seconds: u32) -> Value {
    json!({"module": "sleep", "data": {"duration": seconds}, "children": {}})
}

/// An account with one second of each tone to be played.
fn estate(flow: &Value) -> Estate {
    let estate = Estate::with_flow(flow);
    for (id, hz) in [("open", OPEN), ("secret", SECRET)] {
        estate.write(
            &format!("media/{id}.json"),
            &json!({"id": id, "name": id, "content_type": "audio/wav"}),
        );
        estate.audio(&format!("media/{id}.wav"), &audio::sine(hz, 1.0));
    }
    estate
}

/// Calls, and speaks until the node hangs up or dies, each packet with a mark of its own.
fn calls(node: &Node) -> (Phone, Run) {
    Phone::calls(node, Speech::tone(VOICE, 20.0).marked(b'a'))
}

/// Where a channel holds nothing but zeros for at least half a second: spans in seconds.
fn empty(heard: &Heard, channel: usize) -> Vec<(f64, f64)> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (n, sample) in heard.channels[channel].iter().enumerate() {
        match spans.last_mut() {
            Some(last) if *sample == 0.0 && last.1 == n => last.1 = n + 1,
            _ if *sample == 0.0 => spans.push((n, n + 1)),
            _ => {}
        }
    }
    let seconds = |n: usize| n as f64 / 8000.0;
    let long = spans.iter().filter(|(from, to)| to - from > 4000);
    long.map(|(from, to)| (seconds(*from), seconds(*to)))
        .collect()
}

/// A packet of the caller's that is said before any mask, and not before a busy machine records.
const EARLY: usize = 30;

/// Where that packet begins in the file, by its mark. No packet is lost on loopback, so this tells of all.
fn early(heard: &Heard) -> f64 {
    let mark = mark(b'a', EARLY).map(audio::of_mulaw);
    let found = heard.channels[0]
        .windows(mark.len())
        .position(|w| w == mark);
    found.expect("the early packet is in the file") as f64 / 8000.0
}

/// Of the caller's packets, those whose audio is silent in the file: all of it, and that of the packets beside them.
fn masked_packets(heard: &Heard, (from, to): (f64, f64)) -> std::ops::Range<usize> {
    let nth = |seconds: f64| (seconds - early(heard)) / 0.02 + EARLY as f64;
    nth(from).ceil() as usize + 1..nth(to) as usize - 1
}

#[test]
fn a_masked_second_is_silence_in_the_file_and_nowhere_on_the_disk() {
    let receiver = Receiver::start();
    let masked = action(
        "mask",
        play("secret", action("unmask", play("open", end()))),
    );
    let node = Node::start(&estate(&recorded(&receiver, play("open", masked))));
    let (_caller, calling) = calls(&node);
    // The mask is over, and the recording still grows.
    let on_disk = eventually("what is said after the mask", || {
        let found = disk::marks(&node.data().join("data"), b'a', 400);
        found.range(115..).next().is_some().then_some(found)
    });
    let secret = audio::mulaw_tone(SECRET, 1.0)[400..440].to_vec();
    let open = audio::mulaw_tone(OPEN, 1.0)[400..440].to_vec();
    let spool = node.data().join("data/spool");
    assert!(disk::holds(&spool, &open), "what is not masked is found");
    assert!(
        !disk::holds(&spool, &secret),
        "what was played is on the disk"
    );
    calling.completed();
    let file = listen(&receiver.accepted().body);
    assert!((2.9..3.5).contains(&file.seconds()), "{} s", file.seconds());
    for (channel, hz) in [(0, VOICE), (1, OPEN)] {
        let spans = file.tone(channel, hz);
        let [before, after] = spans[..] else {
            panic!("{hz} Hz sounds at {spans:?}");
        };
        assert!(
            (0.9..1.4).contains(&before.1),
            "the mask begins at {before:?}"
        );
        assert!(
            (0.9..1.4).contains(&(after.0 - before.1)),
            "the mask ends at {after:?}"
        );
    }
    assert!(file.tone(1, SECRET).is_empty());
    let silent = empty(&file, 0)[0];
    let gone = masked_packets(&file, silent);
    assert!(gone.len() > 40, "{gone:?}");
    let kept: Vec<_> = on_disk.iter().filter(|n| gone.contains(n)).collect();
    assert!(
        kept.is_empty(),
        "of {gone:?} these are on the disk: {kept:?}"
    );
    let around = (gone.start - 10..gone.start - 3).chain(gone.end + 3..gone.end + 10);
    let lost: Vec<_> = around.filter(|n| !on_disk.contains(n)).collect();
    assert!(lost.is_empty(), "{lost:?} were not masked");
    tells_of_the_mask(&node.recordings(1)[0], silent);
    assert_eq!(receiver.arrivals().len(), 1);
}

/// The document says who, when and by which step.
fn tells_of_the_mask(doc: &Value, (from_s, until_s): (f64, f64)) {
    let masks = doc["masked"].as_array().unwrap_or_else(|| panic!("{doc}"));
    assert_eq!(masks.len(), 1, "{doc}");
    for (key, seconds) in [("from_ms", from_s), ("until_ms", until_s)] {
        let told = masks[0][key].as_f64().unwrap() / 1000.0;
        assert!((told - seconds).abs() < 0.05, "{key}: {told} and {seconds}");
    }
    for (key, step) in [
        ("by", "/flow/children/_/children/_/children/_"),
        (
            "ended_by",
            "/flow/children/_/children/_/children/_/children/_/children/_",
        ),
    ] {
        let by = &masks[0][key];
        assert_eq!(by["source"], "callflow", "{doc}");
        assert_eq!(by["step"], step, "{doc}");
    }
}

/// The only arrival once the node was killed in the middle of a mask and started again.
fn killed_while_masked(receiver: &Receiver, node: &mut Node) -> Arrival {
    let (_caller, calling) = calls(node);
    eventually("the mask", || {
        let masked = |ticket: &Value| ticket["masks"].as_array().is_some_and(|m| !m.is_empty());
        node.tickets().iter().any(masked).then_some(())
    });
    std::thread::park_timeout(std::time::Duration::from_secs(1));
    node.kill();
    drop(calling);
    let on_disk = disk::marks(&node.data().join("data"), b'a', 400);
    node.launch();
    let arrival = receiver.accepted();
    let file = listen(&arrival.body);
    let end = file.seconds();
    assert!((1.9..2.5).contains(&end), "{end} s");
    let silent = empty(&file, 0)[0];
    assert!(
        (0.9..1.2).contains(&silent.0) && silent.1 == end,
        "{silent:?} of {end}"
    );
    let gone = masked_packets(&file, silent).start..400;
    let kept: Vec<_> = on_disk.iter().filter(|n| gone.contains(n)).collect();
    assert!(kept.is_empty(), "from {} on: {kept:?}", gone.start);
    assert!(
        on_disk.contains(&10),
        "what was not masked is there: {on_disk:?}"
    );
    arrival
}

#[test]
fn a_crash_in_the_middle_of_a_mask_does_not_unmask() {
    let receiver = Receiver::start();
    let flow = recorded(&receiver, play("open", action("mask", sleep(30))));
    let mut node = Node::with_settings(&estate(&flow), SETTINGS);
    killed_while_masked(&receiver, &mut node);
    let doc = node.recordings(1).remove(0);
    assert_eq!(doc["completion_cause"], "interrupted", "{doc}");
    assert_eq!(doc["masked"][0]["by"]["source"], "callflow", "{doc}");
}

/// The two tones of the key 5 (ITU-T Q.23).
const KEY_5: [f32; 2] = [770.0, 1336.0];

fn both(tones: [f32; 2], seconds: f32) -> Vec<i16> {
    let [one, other] = tones.map(|hz| audio::sine(hz, seconds));
    one.iter().zip(&other).map(|(a, b)| (a + b) / 2).collect()
}

/// A second of voice, the key's tones, half a second of voice, an event with the first of its tones in the audio before it,
/// half a second of voice.
fn with_keys() -> Speech {
    let voice = audio::sine(VOICE, 1.0);
    let parts = [
        &voice[..],
        &both(KEY_5, 0.2),
        &voice[..4000],
        &both(KEY_5, 0.2),
        &voice[..4000],
    ];
    let samples = parts.concat();
    let mulaw: Vec<u8> = samples.into_iter().map(audio::mulaw).collect();
    Speech::mulaw(&mulaw).with_key(5, 1740, 160)
}

/// The file of a call with keys, and the payloads of telephone events on the disk meanwhile.
fn keys_pressed(settings: &str) -> (Heard, Value, Vec<Vec<u8>>) {
    let receiver = Receiver::start();
    let flow = recorded(&receiver, sleep(3));
    let node = Node::with_settings(&estate(&flow), &format!("{SETTINGS}{settings}"));
    let (_caller, calling) = Phone::calls(&node, with_keys());
    let spool = node.data().join("data/spool");
    let events = eventually("the key in the journal", || {
        let mut packets = disk::journal(&spool);
        packets.retain(|packet| packet.payload_type == 101);
        let over = packets.len() >= 8;
        over.then(|| packets.into_iter().map(|p| p.payload).collect())
    });
    calling.completed();
    let file = listen(&receiver.accepted().body);
    (file, node.recordings(1).remove(0), events)
}

#[test]
fn redacted_keys_are_neither_in_the_file_nor_in_the_journal() {
    let (file, doc, events) = keys_pressed("[recording]\nredact_dtmf = true\n");
    assert!(events.iter().all(Vec::is_empty), "digits: {events:?}");
    for hz in KEY_5 {
        let loudest = file.loudest_tone(0, hz);
        assert!(loudest < 0.02, "{hz} Hz is {loudest}");
    }
    // Two keys of 200 ms, half a second of voice after each, and before them as much as was recorded of the first second.
    let spans = file.tone(0, VOICE);
    assert_eq!(spans.len(), 3, "{spans:?}");
    assert!(spans[0].1 - spans[0].0 > 0.6, "{spans:?}");
    for n in [0, 1] {
        let key = spans[n + 1].0 - spans[n].1;
        let voice = spans[n + 1].1 - spans[n + 1].0;
        assert!(key < 0.35, "more than a key is cut out: {spans:?} {doc}");
        assert!(voice > 0.35, "the voice is cut off: {spans:?} {doc}");
    }
    assert!((file.seconds() - 3.0).abs() < 0.15, "{} s", file.seconds());
    assert_eq!(doc["redacted"].as_array().map(Vec::len), Some(2), "{doc}");
}

#[test]
fn keys_are_recorded_unless_they_are_redacted() {
    let (file, _, events) = keys_pressed("");
    assert!(
        events.iter().any(|event| event.first() == Some(&5)),
        "{events:?}"
    );
    for hz in KEY_5 {
        assert!(file.loudest_tone(0, hz) > 0.1, "{hz} Hz");
    }
}
