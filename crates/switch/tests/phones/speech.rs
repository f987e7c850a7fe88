//! Long texts: heard piece by piece, to their end or to a key.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use callreel_proto::CallId;
use callreel_switch::SpeechEngine;
use serde_json::json;
use tokio::sync::watch;

use crate::support::{Call, Controller, Phone, Scene, soon};

/// Every piece lasts so long.
const PIECE: Duration = Duration::from_millis(200);

/// A speech engine that says the same of every text, and how often it was asked.
fn engine() -> (String, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}/", listener.local_addr().unwrap());
    let (count, asked) = watch::channel(0);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            if stream.read(&mut request).unwrap_or(0) == 0 {
                continue;
            }
            count.send_modify(|times| *times += 1);
            let wav = wav();
            let length = wav.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            drop(stream.write_all(&[head.into_bytes(), wav].concat()));
        }
    });
    (at, asked)
}

fn wav() -> Vec<u8> {
    let bytes = 8 * 2 * u32::try_from(PIECE.as_millis()).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    file.extend(bytes.to_le_bytes());
    file.resize(44 + bytes as usize, 0x20);
    file
}

/// So many sentences of this name, each a piece of its own.
fn text(name: &str, sentences: usize) -> String {
    let all: Vec<_> = (0..sentences)
        .map(|n| {
            format!(
                "This is sentence {n} of the {name}, and it is long enough to be one piece of it."
            )
        })
        .collect();
    all.join(" ")
}

struct Line {
    asked: watch::Receiver<usize>,
    controller: Controller,
    phone: Phone,
    call: Call,
    id: CallId,
    _scene: Scene,
}

impl Line {
    async fn answered() -> Self {
        let (url, asked) = engine();
        let scene = Scene::with(|config| {
            config.speech_engine = SpeechEngine::Http;
            config.speech_url = Some(format!("{url}?text={{text}}"));
            config.speech_method = "GET".to_owned();
        })
        .await;
        let mut controller = scene.controller().await;
        let phone = scene.phone("alice").await;
        let call = phone.dial("2000").await;
        controller.claims().await;
        let id = call.call_id.clone();
        controller.command(&id, "answer", json!({})).await;
        let answer = phone.final_response().await;
        let call = phone.ack(&call, &answer, "").await;
        controller.completion(&id, "answer").await;
        Self {
            asked,
            controller,
            phone,
            call,
            id,
            _scene: scene,
        }
    }

    async fn speak(&self, text: String) {
        let fields = json!({"Text": text, "Terminators": ["#"]});
        self.controller.command(&self.id, "tts", fields).await;
    }

    /// Until the engine has been asked so often: two pieces are made ahead of the one that is heard.
    async fn asked(&mut self, times: usize) {
        let enough = self.asked.wait_for(|asked| *asked >= times);
        drop(soon("the engine is asked", enough).await.unwrap());
    }
}

#[tokio::test]
async fn a_long_text_is_heard_to_its_end_and_completes_once() {
    let mut line = Line::answered().await;
    let begun = Instant::now();
    line.speak(text("first", 5)).await;
    let fields = json!({"Msg-ID": "behind"});
    line.controller.command(&line.id, "noop", fields).await;
    line.phone.hear().await;
    line.controller.completion(&line.id, "tts").await;
    assert!(begun.elapsed() >= PIECE * 5, "{:?}", begun.elapsed());
    let noop = line.controller.completion(&line.id, "noop").await;
    assert_eq!(noop["Application-Response"], "behind");
    assert_eq!(*line.asked.borrow(), 5);
    let names = line.controller.names();
    assert!(
        !names.iter().any(|name| name.contains("EXECUTE_COMPLETE")),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_key_or_a_flush_ends_all_of_a_long_text() {
    let mut line = Line::answered().await;
    line.speak(text("first", 40)).await;
    // The second piece is being heard.
    line.asked(4).await;
    let info = "Content-Type: application/dtmf-relay\n";
    let key = "Signal=#\r\nDuration=160\r\n";
    line.phone.within(&mut line.call, "INFO", info, key).await;
    let done = line.controller.completion(&line.id, "tts").await;
    assert_eq!(done["DTMF-Digit"], "#");
    let asked = *line.asked.borrow();
    assert!(asked < 12, "{asked}");

    line.speak(text("second", 40)).await;
    line.asked(asked + 4).await;
    let flush = json!({"Msg-ID": "at-once", "Insert-At": "flush"});
    line.controller.command(&line.id, "noop", flush).await;
    line.controller.completion(&line.id, "tts").await;
    let noop = line.controller.completion(&line.id, "noop").await;
    assert_eq!(noop["Application-Response"], "at-once");
    let then = *line.asked.borrow();
    assert!(then < asked + 12, "{then} after {asked}");
}
