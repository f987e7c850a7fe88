//! Sounds out of a store, off a web server of its own, and by engines.

use std::sync::atomic::{AtomicUsize, Ordering};

use callreel_attachments::{Outside, OutsideConfig};
use callreel_proto::{AccountDb, month_db};
use callreel_store::{SYSTEM_MEDIA, Store};
use futures::stream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::SpeechEngine;

const ACCOUNT: &str = "abcd0123456789abcdef0123456789ab";

/// A WAV file of so many milliseconds: how long a sound is tells which it is.
fn wav(ms: u32) -> Vec<u8> {
    let samples = ms * 8;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + samples * 2).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    file.extend((samples * 2).to_le_bytes());
    file.extend((0..samples).flat_map(|n| (((n % 50) * 100) as i16).to_le_bytes()));
    file
}

struct World {
    sounds: Arc<Sounds>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::with(&SwitchConfig::default(), &["127.0.0.0/8"])
    }

    fn with(config: &SwitchConfig, allowed: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        let outside = OutsideConfig {
            allow_networks: allowed.iter().map(|net| net.parse().unwrap()).collect(),
            ..OutsideConfig::default()
        };
        let attachments = Attachments::new(store, Outside::new(&outside).unwrap());
        let sounds = Sounds::new(attachments, config).unwrap();
        Self {
            sounds: Arc::new(sounds),
            _dir: dir,
        }
    }

    /// Saves a document with a recording of this length.
    async fn recorded(&self, db: &str, doc: Value, ms: u32) {
        let store = self.sounds.attachments.store();
        let id = doc["_id"].as_str().unwrap().to_owned();
        store.save(db, doc).await.unwrap();
        let file = wav(ms);
        let length = file.len() as u64;
        let body = stream::iter([Ok(bytes::Bytes::from(file))]);
        let put = store.put_attachment(db, &id, "audio.wav", "audio/x-wav", length, body);
        put.await.unwrap();
    }

    async fn ms(&self, name: &str) -> Result<u128, String> {
        let sound = self.sounds.fetch(Request::Named(name.to_owned())).await?;
        Ok(sound.pcm.duration().as_millis())
    }
}

#[tokio::test]
async fn an_accounts_own_words_go_before_the_systems_and_those_before_ours() {
    let world = World::new();
    let account = AccountId::parse(ACCOUNT).unwrap();
    let own = AccountDb::name(&account);
    let saved = format!("prompt://{ACCOUNT}/vm-saved/fr-ca");
    let media = |id: &str| json!({"_id": id, "pvt_type": "media"});
    world.recorded(SYSTEM_MEDIA, media("vm-saved"), 100).await;
    assert_eq!(
        world.ms(&saved).await,
        Ok(100),
        "an old one without a language"
    );
    world
        .recorded(SYSTEM_MEDIA, media("en-us/vm-saved"), 200)
        .await;
    assert_eq!(
        world.ms(&saved).await,
        Ok(200),
        "the system's usual language"
    );
    world
        .recorded(SYSTEM_MEDIA, media("fr%2Fvm-saved"), 300)
        .await;
    assert_eq!(world.ms(&saved).await, Ok(300), "the nearest language");
    world.recorded(&own, media("en-us/vm-saved"), 400).await;
    assert_eq!(
        world.ms(&saved).await,
        Ok(300),
        "the account's, but in another language"
    );
    world.recorded(&own, media("fr/vm-saved"), 500).await;
    assert_eq!(world.ms(&saved).await, Ok(500), "the account's own");
    assert_eq!(
        world.ms("prompt://system_media/vm-saved/fr-ca").await,
        Ok(300)
    );
    let gone = json!({"_id": "fr-ca/vm-saved", "pvt_type": "media", "pvt_deleted": true});
    world.recorded(&own, gone, 600).await;
    assert_eq!(
        world.ms(&saved).await,
        Ok(500),
        "a deleted one is not there"
    );
    let unknown = world.ms("/system_media/no-such").await.unwrap_err();
    assert!(unknown.contains("no-such"), "{unknown}");
}

#[tokio::test]
async fn media_and_messages_are_played_from_where_they_are() {
    let world = World::new();
    let account = AccountId::parse(ACCOUNT).unwrap();
    let message = "202611-0123456789abcdef0123456789abcdef";
    let media = |id: &str| json!({"_id": id, "pvt_type": "media"});
    world
        .recorded(&AccountDb::name(&account), media("hello"), 150)
        .await;
    world
        .recorded(&month_db(&account, "202611"), media(message), 250)
        .await;
    let play = async |id: &str| world.ms(&format!("/{ACCOUNT}/{id}")).await;
    assert_eq!(play("hello").await, Ok(150));
    assert_eq!(play("hello/audio.wav").await, Ok(150));
    assert_eq!(play(message).await, Ok(250));
    for missing in [
        "other",
        "hello/other.wav",
        "202612-x",
        "../hello",
        "_design/x",
        "",
    ] {
        assert!(play(missing).await.is_err(), "{missing}");
    }
}

/// A web server that answers by what it is asked: status, headers and body.
async fn server(answer: impl Fn(&str) -> (u16, String, Vec<u8>) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut block = [0; 4096];
                loop {
                    let read = stream.read(&mut block).await.unwrap_or(0);
                    request.extend_from_slice(&block[..read]);
                    if read == 0 || is_whole(&request) {
                        break;
                    }
                }
                let (status, headers, body) = answer(&String::from_utf8_lossy(&request));
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
                    body.len()
                );
                drop(stream.write_all(&[head.into_bytes(), body].concat()).await);
            });
        }
    });
    format!("http://{at}")
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

#[tokio::test]
async fn media_of_the_web_are_fetched_once_and_only_what_can_be_played() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let at = server(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        let path = request.split([' ', '?']).nth(1).unwrap_or_default();
        match path {
            "/a.wav" => (200, String::new(), wav(120)),
            "/moved" => (302, "Location: /a.wav\r\n".to_owned(), Vec::new()),
            "/round" => (302, "Location: /round\r\n".to_owned(), Vec::new()),
            "/away" => (
                302,
                "Location: http://169.254.169.254/\r\n".to_owned(),
                Vec::new(),
            ),
            "/page" => (200, String::new(), b"<html>".to_vec()),
            _ => (404, String::new(), Vec::new()),
        }
    })
    .await;
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(world.ms(&format!("{at}/a.wav?key=s3cret")).await, Ok(120));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(world.ms(&format!("http_cache://{at}/moved")).await, Ok(120));
    for (path, reason) in [
        ("/none?key=s3cret", "404"),
        ("/page", "WAV or MP3"),
        ("/round", "redirected"),
        ("/away", "link-local"),
    ] {
        let error = world.ms(&format!("{at}{path}")).await.unwrap_err();
        assert!(
            error.contains(reason) && !error.contains("s3cret"),
            "{error}"
        );
    }
    let guarded = World::with(&SwitchConfig::default(), &[]);
    let error = guarded.ms(&format!("{at}/a.wav")).await.unwrap_err();
    assert!(error.contains("loopback"), "{error}");
}

fn engine_at(url: String) -> SwitchConfig {
    SwitchConfig {
        speech_engine: SpeechEngine::Http,
        speech_url: Some(url),
        ..SwitchConfig::default()
    }
}

fn text(text: &str) -> Text {
    Text::of(text.to_owned(), None)
}

#[tokio::test]
async fn an_http_engine_is_asked_as_its_operator_wants() {
    let at = server(|request| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let json: Value = serde_json::from_str(body).unwrap();
        let right = head.starts_with("POST /v1/speech HTTP")
            && head.contains("authorization: Bearer k3y")
            && head.contains("content-type: application/json")
            && json == json!({"input": "She said \"{voice}\".", "voice": "alloy", "in": ["sv-se"]});
        match right {
            true => (200, String::new(), wav(330)),
            false => (400, String::new(), Vec::new()),
        }
    })
    .await;
    let key = callreel_proto::Secret::new("Bearer k3y");
    let mut config = engine_at(format!("{at}/v1/speech"));
    config
        .speech_headers
        .insert("Authorization".to_owned(), key);
    let body = r#"{"input": "{text}", "voice": "{voice}", "in": ["{language}"]}"#;
    config.speech_body = Some(body.to_owned());
    let world = World::with(&config, &[]);
    let asked = Text {
        voice: Some("male".to_owned()),
        voice_name: Some("alloy".to_owned()),
        language: Some("sv-se".to_owned()),
        ..text("She said \"{voice}\".")
    };
    let sound = world.sounds.fetch(Request::Text(asked)).await.unwrap();
    assert_eq!(sound.pcm.duration().as_millis(), 330);
}

#[tokio::test]
async fn an_engine_that_is_got_from_is_asked_in_its_url() {
    let at = server(|request| {
        let line = request.lines().next().unwrap_or_default();
        match line
            == "GET /say?x=1&text=1%20%26%202&voice=female&language=en%2Dus&format=wav HTTP/1.1"
        {
            true => (200, String::new(), wav(210)),
            false => (400, String::new(), Vec::new()),
        }
    })
    .await;
    let mut config = engine_at(format!("{at}/say?x=1"));
    config.speech_method = "get".to_owned();
    let world = World::with(&config, &[]);
    let sound = world
        .sounds
        .fetch(Request::Text(text("1 & 2")))
        .await
        .unwrap();
    assert_eq!(sound.pcm.duration().as_millis(), 210);
}

#[tokio::test]
async fn where_the_http_engine_fails_the_built_in_one_speaks() {
    let at = server(|_| (503, String::new(), Vec::new())).await;
    let world = World::with(&engine_at(at), &[]);
    let speak = async |text: Text| world.sounds.fetch(Request::Text(text)).await;
    match speak(text("Hello there")).await {
        Ok(sound) => assert_eq!(sound.pcm.sample_rate, 22_050, "it is the built-in engine's"),
        // Whether it is built in is the product's choice.
        Err(error) => assert!(
            error.contains("503") && error.contains("`espeak`"),
            "{error}"
        ),
    }
    let other = Text {
        language: Some("eu".to_owned()),
        ..text("Kaixo")
    };
    let error = speak(other).await.unwrap_err();
    assert!(
        error.contains("503") && error.contains("built-in engine"),
        "{error}"
    );
}

#[tokio::test]
async fn a_long_text_is_heard_while_its_rest_is_made_and_not_far_ahead() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let at = server(move |_| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        (200, String::new(), wav(100 + 10 * n as u32))
    })
    .await;
    let world = World::with(&engine_at(at), &[]);
    let sentences: Vec<String> = (0..8)
        .map(|n| {
            format!("This is sentence number {n}, and it is long enough to be one piece of it.")
        })
        .collect();
    let sound = world
        .sounds
        .fetch(Request::Text(text(&sentences.join(" "))))
        .await
        .unwrap();
    let asked = || asked.load(Ordering::Relaxed);
    // One is heard, one is ready, and one waits to be.
    let ahead = async {
        while asked() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ahead)
        .await
        .unwrap();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked(), 3);
    let mut lengths = vec![sound.pcm.duration().as_millis()];
    let mut rest = sound.rest;
    while let Some(coming) = rest {
        let next = coming.next().await.unwrap();
        lengths.push(next.pcm.duration().as_millis());
        rest = next.rest;
    }
    assert_eq!(lengths, (0..8).map(|n| 100 + 10 * n).collect::<Vec<_>>());
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let refused = |change: &dyn Fn(&mut SwitchConfig)| {
        let mut config = engine_at("https://tts.example.com/".to_owned());
        change(&mut config);
        let outcome = Voices::new(&config);
        outcome.err().unwrap().to_string()
    };
    for (key, change) in [
        (
            "speech_url",
            &(|c: &mut SwitchConfig| c.speech_url = None) as &dyn Fn(&mut SwitchConfig),
        ),
        ("speech_url", &|c| {
            c.speech_url = Some("ftp://h/".to_owned())
        }),
        ("speech_method", &|c| c.speech_method = "DELETE".to_owned()),
        ("speech_ca_file", &|c| {
            c.speech_ca_file = Some("/nonexistent/ca.pem".into())
        }),
        ("speech_headers", &|c| {
            let value = callreel_proto::Secret::new("s3cret\n");
            c.speech_headers.insert("X-Key".to_owned(), value);
        }),
    ] {
        let error = refused(change);
        assert!(error.contains(key) && !error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_tone_is_as_long_as_its_notation_says() {
    let world = World::new();
    let name = "tone_stream://%(500,100,440);loops=-1".to_owned();
    let sound = world.sounds.fetch(Request::Named(name)).await.unwrap();
    assert_eq!(sound.pcm.duration(), Duration::from_millis(600));
    assert_eq!(sound.times, None);
}
