//! Signatures, as a receiver checks them.

use callreel_proto::Secret;
use hmac::{Hmac, Mac as _};

use super::*;

/// What docs/delivery.md tells receivers to do, before they read the body.
fn is_ours(seen: &Seen, secret: &str, now_s: i64) -> bool {
    let header = |name: &str| seen.headers.get(name).and_then(|v| v.to_str().ok());
    let Some(signature) = header("x-callreel-signature") else {
        return false;
    };
    let (t, code) = signature.split_once(",v1=").unwrap();
    let t = t.strip_prefix("t=").unwrap();
    let lines = [
        t,
        &seen.method,
        &seen.path,
        header("x-callreel-sha256").unwrap(),
        header("idempotency-key").unwrap(),
    ];
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(lines.join("\n").as_bytes());
    let is_fresh = (now_s - t.parse::<i64>().unwrap()).abs() <= 300;
    is_fresh && mac.verify_slice(&hex::decode(code).unwrap()).is_ok()
}

fn now_s() -> i64 {
    Utc::now().unix_ms() / 1000
}

fn signing() -> DeliveryConfig {
    DeliveryConfig {
        signing_secret: Some(Secret::new("k3y")),
        ..config()
    }
}

#[tokio::test]
async fn a_receiver_knows_us_by_our_signature_and_nobody_else() {
    let (at, log) = receiver(|_| status(200)).await;
    let url = format!("http://u:p@{at}/r/call_recording_x%40y.mp3?a=b%20c");
    let verdict = carry(&signing(), &url, &file(10)).await;
    assert_eq!(verdict, Verdict::Delivered);
    let seen = log.lock().unwrap()[0].clone();
    assert!(is_ours(&seen, "k3y", now_s()));
    assert!(!is_ours(&seen, "other", now_s()));
    assert!(!is_ours(&seen, "k3y", now_s() + 400));
    let changed = [
        Seen {
            path: "/r/other.mp3".to_owned(),
            ..seen.clone()
        },
        Seen {
            method: "POST".to_owned(),
            ..seen
        },
    ];
    for request in changed {
        assert!(!is_ours(&request, "k3y", now_s()), "{request:?}");
    }
}

#[tokio::test]
async fn who_has_no_secret_signs_nothing() {
    let (at, log) = receiver(|_| status(200)).await;
    carry(&config(), &format!("http://{at}/"), &file(1)).await;
    assert!(
        !log.lock().unwrap()[0]
            .headers
            .contains_key("x-callreel-signature")
    );
}

#[tokio::test]
async fn every_hop_is_signed_anew_and_no_other_origin_sees_a_signature() {
    let (away, seen_away) = receiver(|_| status(200)).await;
    let to_away = format!("http://{away}/there");
    let (at, log) = receiver(move |seen| match seen.path.as_str() {
        "/a" => redirect(308, "/b?c"),
        _ => redirect(307, &to_away),
    })
    .await;
    let verdict = carry(&signing(), &format!("http://{at}/a"), &file(10)).await;
    assert_eq!(verdict, Verdict::Delivered);
    let seen = log.lock().unwrap().clone();
    let paths: Vec<&str> = seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/b?c"]);
    assert!(seen.iter().all(|seen| is_ours(seen, "k3y", now_s())));
    let seen_away = seen_away.lock().unwrap()[0].clone();
    assert!(!seen_away.headers.contains_key("x-callreel-signature"));
    assert_eq!(seen_away.headers["x-callreel-call-id"], "x@y");
}
