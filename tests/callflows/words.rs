//! What callers are told: by an engine of one's own, in the language the flow chose, and by sounds one after the other.

use serde_json::{Value, json};

use super::{action, heard_by_caller};
use crate::support::{
    audio,
    estate::{CALLER, Estate, NUMBER},
    free_port,
    node::Node,
    phone::Phone,
    web_server::WebServer,
};

/// What the engine of the test says, whatever it is asked for.
const VOICE: u16 = 1100;
/// What is played before and after, and where the flow goes on.
const FIRST: u16 = 500;
const LAST: u16 = 700;
const ELSE: u16 = 850;

/// A node whose texts are spoken by the engine there.
fn spoken_by(url: &str, flow: &Value) -> Node {
    let mut node = Node::asleep(&Estate::with_flow(flow), "");
    node.set_env("CALLREEL_SWITCH_SPEECH_ENGINE", "http");
    node.set_env("CALLREEL_SWITCH_SPEECH_URL", url);
    node.launch();
    node
}

/// A speech engine that has one thing to say.
fn engine() -> WebServer {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("voice.wav");
    audio::write_wav(&file, &audio::sine(f32::from(VOICE), 1.0), 8000);
    WebServer::answering("audio/wav", std::fs::read(file).unwrap())
}

#[test]
fn an_engine_of_ones_own_is_asked_for_texts_in_the_language_the_flow_chose() {
    let engine = engine();
    let says = action("say", json!({"text": "42", "type": "number"}), None);
    let tells = action(
        "tts",
        json!({"text": "God morgon", "voice": "male"}),
        Some(says),
    );
    let flow = action("language", json!({"language": "sv-se"}), Some(tells));
    let node = spoken_by(&engine.url(), &flow);
    let alice = Phone::dials(CALLER, &node, NUMBER);
    let heard = alice.ends().voice.heard();
    let spans = heard.tone(0, f32::from(VOICE));
    let seconds: f64 = spans.iter().map(|(from, to)| to - from).sum();
    assert!((1.8..2.2).contains(&seconds), "both are heard: {spans:?}");
    let told = engine.told();
    let told: Vec<Value> = told
        .iter()
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    let text = told.iter().find(|body| body["text"] == "God morgon");
    let text = text.unwrap_or_else(|| panic!("{told:?}"));
    assert_eq!(text["voice"], "male");
    assert!(
        told.iter().all(|body| body["language"] == "sv-se"),
        "{told:?}"
    );
}

#[test]
fn where_the_engine_fails_the_built_in_one_speaks_and_the_log_says_so() {
    let nobody = format!("http://127.0.0.1:{}/", free_port());
    let tells = action("tts", json!({"text": "Good morning and welcome"}), None);
    let node = spoken_by(&nobody, &tells);
    let heard = heard_by_caller(&node);
    assert!(heard.seconds() > 1.0, "{} s", heard.seconds());
    assert!(heard.loudness(0, 0.2, 1.0) > 0.02);
    assert!(
        node.log().contains("the built-in one speaks instead"),
        "{}",
        node.log()
    );
}

/// A node that plays three sounds as one, and then another.
fn macros() -> Node {
    let id = |hz: u16| format!("e{hz:0>31}");
    let macros = json!([
        {"macro": "play", "id": id(FIRST)},
        {"macro": "tone", "frequencies": [VOICE], "duration_on": 600},
        {"macro": "play", "id": id(LAST)},
    ]);
    let play = action("play", json!({"id": id(ELSE)}), None);
    let all = json!({"macros": macros, "terminators": ["#"]});
    let estate = Estate::with_flow(&action(
        "answer",
        json!({}),
        Some(action("audio_macro", all, Some(play))),
    ));
    for hz in [FIRST, LAST, ELSE] {
        estate.tone(hz);
    }
    Node::start(&estate)
}

#[test]
fn sounds_of_a_macro_are_heard_one_after_the_other() {
    let node = macros();
    let heard = Phone::dials(CALLER, &node, NUMBER).ends().voice.heard();
    let spans = [FIRST, VOICE, LAST, ELSE].map(|hz| heard.only_tone(0, f32::from(hz)));
    assert!(spans.is_sorted_by(|a, b| a.1 < b.0 + 0.05), "{spans:?}");
    let tone = spans[1].1 - spans[1].0;
    assert!((tone - 0.6).abs() < 0.15, "{spans:?}");
}

#[test]
fn a_key_ends_the_whole_macro() {
    let node = macros();
    let alice = Phone::dials(CALLER, &node, NUMBER);
    alice.hears(FIRST);
    alice.presses("#");
    alice.hears(ELSE);
    let heard = alice.ends().voice.heard();
    for hz in [VOICE, LAST] {
        assert!(heard.tone(0, f32::from(hz)).is_empty(), "{hz} Hz is heard");
    }
}
