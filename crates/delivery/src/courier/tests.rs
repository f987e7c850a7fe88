//! Single tries against real receivers on loopback.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body as Answer,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Response as Reply, StatusCode},
    response::IntoResponse,
};
use futures::StreamExt as _;
use reqwest::header::LOCATION;
use tokio::net::TcpListener;

use super::*;
use crate::access::{AccountAccess, HouseAccess};

mod odd;
mod signed;

/// What a receiver saw of one request.
#[derive(Debug, Clone)]
struct Seen {
    method: String,
    path: String,
    headers: HeaderMap,
    bytes: u64,
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// A receiver that answers every request as `answer` says.
async fn receiver<F>(answer: F) -> (SocketAddr, Log)
where
    F: Fn(&Seen) -> Reply<Answer> + Clone + Send + Sync + 'static,
{
    let log = Log::default();
    let handler = move |State(log): State<Log>, request: Request| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let mut blocks = body.into_data_stream();
            let mut bytes = 0;
            while let Some(Ok(block)) = blocks.next().await {
                bytes += block.len() as u64;
            }
            let seen = Seen {
                method: head.method.to_string(),
                path: head.uri.to_string(),
                headers: head.headers,
                bytes,
            };
            log.lock().unwrap().push(seen.clone());
            answer(&seen)
        }
    };
    let app = Router::new().fallback(handler).with_state(Arc::clone(&log));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, log)
}

fn status(code: u16) -> Reply<Answer> {
    StatusCode::from_u16(code).unwrap().into_response()
}

fn redirect(code: u16, to: &str) -> Reply<Answer> {
    let reply = Reply::builder().status(code).header(LOCATION, to);
    reply.body(Answer::empty()).unwrap()
}

fn config() -> DeliveryConfig {
    DeliveryConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        stall_timeout_s: 1,
        ..DeliveryConfig::default()
    }
}

fn file(bytes: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![7; bytes]).unwrap();
    file
}

fn rendition(file: &tempfile::NamedTempFile) -> Rendition {
    let bytes = file.as_file().metadata().unwrap().len();
    Rendition::new(file.path().to_owned(), bytes)
}

async fn carry(config: &DeliveryConfig, url: &str, file: &tempfile::NamedTempFile) -> Verdict {
    carry_with(config, url, file, &[]).await
}

async fn carry_with(
    config: &DeliveryConfig,
    url: &str,
    file: &tempfile::NamedTempFile,
    headers: &[(&str, &str)],
) -> Verdict {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let house = HouseAccess {
        signing_secret: config.signing_secret.clone(),
        ..HouseAccess::default()
    };
    let id = RecordingId::parse("202403-0123456789abcdef0123456789abcdef").unwrap();
    let url = Url::parse(url).unwrap();
    let courier = Courier::new(config, Outside::new(&config.outside()).unwrap());
    let told = (
        HeaderName::from_static("x-callreel-call-id"),
        HeaderValue::from_static("x@y"),
    );
    courier
        .carry(Parcel {
            recording_id: &id,
            url: &url,
            method: HttpMethod::Put,
            file: &rendition(file),
            content_type: "audio/mpeg",
            sha256: "00ff",
            attempt: 3,
            metadata: &HeaderMap::from_iter([told]),
            access: &Access::new(&url, &headers.collect(), &AccountAccess::default(), &house),
        })
        .await
}

fn reason(verdict: Verdict) -> String {
    match verdict {
        Verdict::Retry { reason, .. } | Verdict::Unwelcome { reason, .. } => reason,
        other => panic!("{other:?} is no failure that may pass"),
    }
}

#[tokio::test]
async fn a_big_file_is_streamed_with_its_length_type_and_names() {
    let (at, log) = receiver(|_| status(201)).await;
    let file = file(3 * crate::render::BLOCK + 17);
    let url = format!("http://us%40er:p%20w@{at}/a/call_recording_x%40y.mp3?from=z");
    assert_eq!(carry(&config(), &url, &file).await, Verdict::Delivered);
    let seen = log.lock().unwrap()[0].clone();
    assert_eq!(seen.method, "PUT");
    assert_eq!(seen.path, "/a/call_recording_x%40y.mp3?from=z");
    assert_eq!(seen.bytes, 786_449);
    let expected = [
        ("content-length", "786449"),
        ("content-type", "audio/mpeg"),
        ("idempotency-key", "202403-0123456789abcdef0123456789abcdef"),
        (
            "x-callreel-recording-id",
            "202403-0123456789abcdef0123456789abcdef",
        ),
        ("x-callreel-attempt", "3"),
        ("repr-digest", "sha-256=:AP8=:"),
        ("digest", "SHA-256=AP8="),
        ("x-callreel-sha256", "00ff"),
        ("x-callreel-call-id", "x@y"),
        ("authorization", "Basic dXNAZXI6cCB3"),
    ];
    for (name, value) in expected {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    assert!(!seen.headers.contains_key("transfer-encoding"));
    assert!(
        seen.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("callreel/")
    );
}

#[tokio::test]
async fn an_empty_file_is_delivered_too() {
    let (at, log) = receiver(|_| status(200)).await;
    let verdict = carry(&config(), &format!("http://{at}/"), &file(0)).await;
    assert_eq!(verdict, Verdict::Delivered);
    assert_eq!(log.lock().unwrap()[0].headers["content-length"], "0");
}

#[tokio::test]
async fn what_the_receiver_said_and_asked_for_is_told() {
    let busy = |_: &Seen| {
        Reply::builder()
            .status(503)
            .header(RETRY_AFTER, "17")
            .body(Answer::from(format!("disk\r\n full {}", "x".repeat(9000))))
            .unwrap()
    };
    let (at, _) = receiver(busy).await;
    let verdict = carry(&config(), &format!("http://{at}/"), &file(10)).await;
    let Verdict::Retry {
        reason,
        retry_after,
    } = verdict
    else {
        panic!("{verdict:?}");
    };
    assert!(
        reason.starts_with("the receiver answered 503: disk full xxx"),
        "{reason}"
    );
    assert!(reason.len() < 300);
    assert_eq!(retry_after, Some(Duration::from_secs(17)));
}

#[tokio::test]
async fn a_pause_may_be_asked_for_by_date() {
    let response = |value: &str| {
        let reply = axum::http::Response::builder().header(RETRY_AFTER, value);
        Response::from(reply.body("").unwrap())
    };
    let now = Utc::from_unix_ms(784_111_777_000);
    for (value, expected) in [
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ("soon", None),
        ("-1", None),
    ] {
        let pause = retry_after(&response(value), now);
        assert_eq!(pause, expected.map(Duration::from_secs), "{value}");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_failure_that_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://user:secret@{at}/?token=secret");
    let why = reason(carry(&config(), &url, &file(10)).await);
    assert!(why.contains("Connection refused"), "{why}");
    assert!(!why.contains("secret"), "{why}");
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_is_given_up_for_this_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move { listener.accept().await.unwrap() });
    let big = file(32 * 1024 * 1024);
    let why = reason(carry(&config(), &format!("http://{at}/"), &big).await);
    assert_eq!(why, "no progress for 1 s (delivery.stall_timeout_s)");
    drop(silent.await.unwrap());
}

#[tokio::test]
async fn redirects_are_followed_with_the_whole_body() {
    let (target, log) = receiver(|_| status(200)).await;
    let to = format!("http://{target}/there");
    let (at, first) = receiver(move |seen| match seen.path.as_str() {
        "/a" => redirect(302, "/b"),
        _ => redirect(307, &to),
    })
    .await;
    let verdict = carry(&config(), &format!("http://u:p@{at}/a"), &file(1000)).await;
    assert_eq!(verdict, Verdict::Delivered);
    let first = first.lock().unwrap();
    assert_eq!(first[1].headers["authorization"], "Basic dTpw");
    let seen = log.lock().unwrap()[0].clone();
    assert_eq!((seen.method.as_str(), seen.bytes), ("PUT", 1000));
    assert!(
        !seen.headers.contains_key("authorization"),
        "credentials stay with their origin"
    );
}

#[tokio::test]
async fn headers_of_the_action_go_along_and_change_none_of_ours() {
    let (at, log) = receiver(|_| status(200)).await;
    let asked = [
        ("Authorization", "Bearer t0ken"),
        ("X-Tenant", "42"),
        ("Content-Length", "1"),
        ("content-type", "text/html"),
        ("Host", "elsewhere.example"),
        ("Repr-Digest", "none"),
    ];
    let verdict = carry_with(&config(), &format!("http://{at}/"), &file(10), &asked).await;
    assert_eq!(verdict, Verdict::Delivered);
    let seen = log.lock().unwrap()[0].clone();
    let host = at.to_string();
    for (name, value) in [
        ("authorization", "Bearer t0ken"),
        ("x-tenant", "42"),
        ("content-length", "10"),
        ("content-type", "audio/mpeg"),
        ("host", &*host),
        ("repr-digest", "sha-256=:AP8=:"),
    ] {
        let all: Vec<_> = seen.headers.get_all(name).iter().collect();
        assert_eq!(all, [value], "{name}");
    }
}

#[tokio::test]
async fn a_receiver_that_repeats_a_header_gives_no_secret_away() {
    let repeats = |seen: &Seen| {
        let said = seen.headers["authorization"].to_str().unwrap().to_owned();
        (StatusCode::UNAUTHORIZED, format!("{said} is not welcome")).into_response()
    };
    let (at, _) = receiver(repeats).await;
    let asked = [("Authorization", "Bearer t0ken-of-ours")];
    let verdict = carry_with(&config(), &format!("http://{at}/"), &file(10), &asked).await;
    assert_eq!(
        reason(verdict),
        "the receiver answered 401: … … is not welcome"
    );
}

#[tokio::test]
async fn headers_of_the_action_stay_with_their_origin() {
    let (at, log) = receiver(|seen| match seen.path.as_str() {
        "/back" => status(200),
        _ => redirect(302, "/back"),
    })
    .await;
    let back = format!("http://{at}/back");
    let (away, seen_away) = receiver(move |_| redirect(302, &back)).await;
    let to_away = format!("http://{away}/");
    let (start, seen_at_start) = receiver(move |seen| match seen.path.as_str() {
        "/a" => redirect(301, "/b"),
        _ => redirect(307, &to_away),
    })
    .await;
    let url = format!("http://{start}/a");
    let verdict = carry_with(&config(), &url, &file(10), &[("X-Key", "secret")]).await;
    assert_eq!(verdict, Verdict::Delivered);
    let with_key = |log: &Log| -> Vec<bool> {
        let log = log.lock().unwrap();
        let has_key = log.iter().map(|seen| seen.headers.contains_key("x-key"));
        has_key.collect()
    };
    assert_eq!(with_key(&seen_at_start), [true, true]);
    assert_eq!(with_key(&seen_away), [false]);
    assert_eq!(with_key(&log), [false]);
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let (at, log) = receiver(|_| redirect(301, "/again")).await;
    let why = reason(carry(&config(), &format!("http://{at}/"), &file(1)).await);
    assert_eq!(why, "redirected more than 10 times");
    assert_eq!(log.lock().unwrap().len(), 11);
}

#[tokio::test]
async fn forbidden_places_are_not_even_connected_to() {
    let (at, log) = receiver(|_| status(200)).await;
    let strict = DeliveryConfig::default();
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", at.port());
        let why = reason(carry(&strict, &url, &file(1)).await);
        assert!(why.contains("delivery.allow_networks"), "{host}: {why}");
    }
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_redirect_does_not_lead_past_the_guard() {
    let (at, _) = receiver(|_| redirect(302, "http://169.254.169.254/latest")).await;
    let why = reason(carry(&config(), &format!("http://{at}/"), &file(1)).await);
    assert!(
        why.starts_with("169.254.169.254 is a link-local address"),
        "{why}"
    );
}

#[tokio::test]
async fn other_schemes_are_refused_for_good() {
    for url in ["ftp://h/x", "file:///etc/passwd"] {
        let verdict = carry(&config(), url, &file(1)).await;
        assert!(matches!(verdict, Verdict::Refused { .. }), "{url}");
    }
}

#[tokio::test]
async fn a_file_that_was_cut_is_not_sent() {
    let (at, log) = receiver(|_| status(200)).await;
    let file = file(10);
    let id = RecordingId::random(Utc::now());
    let courier = Courier::new(&config(), Outside::new(&config().outside()).unwrap());
    let verdict = courier
        .carry(Parcel {
            recording_id: &id,
            url: &Url::parse(&format!("http://{at}/")).unwrap(),
            method: HttpMethod::Post,
            file: &Rendition::new(file.path().to_owned(), 11),
            content_type: "audio/wav",
            sha256: "",
            attempt: 1,
            metadata: &HeaderMap::new(),
            access: &Access::default(),
        })
        .await;
    assert!(reason(verdict).contains("has 10 bytes where 11 were rendered"));
    assert!(log.lock().unwrap().is_empty());
}

#[test]
fn a_file_of_authorities_must_hold_one() {
    let error = |path: &Path| {
        let config = DeliveryConfig {
            ca_file: Some(path.to_owned()),
            ..DeliveryConfig::default()
        };
        Outside::new(&config.outside()).unwrap_err().to_string()
    };
    let missing = error(Path::new("/nonexistent/ca.pem"));
    assert!(
        missing.starts_with("delivery.ca_file /nonexistent/ca.pem cannot be used"),
        "{missing}"
    );
    assert!(error(file(10).path()).contains("it holds no certificate"));
}
