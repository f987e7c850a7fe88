//! What a delivery is signed with: the instant, and the HMAC of what a receiver knows before it has read the body. Pure.

use callreel_proto::{Secret, Utc};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What is signed, beside the instant. The body is bound by its checksum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// Path and query, as they stand in the request.
    pub(super) target: &'a str,
    /// Of the audio file, hex digits, as in `X-Callreel-Sha256`.
    pub(super) sha256: &'a str,
    pub(super) idempotency_key: &'a str,
}

/// `X-Callreel-Signature`: seconds since 1970, and the HMAC-SHA256 (RFC 2104) of five lines: these seconds, the method, the
/// target, the checksum, the idempotency key. No field can hold a line break, so that no two requests share their lines.
pub(super) fn signature(secret: &Secret, signed: Signed<'_>, now: Utc) -> String {
    let seconds = now.unix_ms().div_euclid(1000);
    let lines = format!(
        "{seconds}\n{}\n{}\n{}\n{}",
        signed.method, signed.target, signed.sha256, signed.idempotency_key
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .expect("HMAC takes keys of any length (RFC 2104 §2)");
    mac.update(lines.as_bytes());
    format!(
        "t={seconds},v1={}",
        hex::encode(mac.finalize().into_bytes())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Signed<'_> = Signed {
        method: "PUT",
        target: "/r/call_recording_x%40y.mp3?a=b",
        sha256: "00ff",
        idempotency_key: "202403-0123456789abcdef0123456789abcdef",
    };

    fn signed(secret: &str, request: Signed<'_>, at_ms: i64) -> String {
        signature(&Secret::new(secret), request, Utc::from_unix_ms(at_ms))
    }

    #[test]
    fn a_signature_is_what_openssl_makes_of_the_five_lines() {
        // printf '1700000000\nPUT\n/r/call_recording_x%%40y.mp3?a=b\n00ff\n202403-0123456789abcdef0123456789abcdef' | openssl dgst -sha256 -hmac Jefe
        let code = "6714dd286e5cfe94298400ab592c20e3c6c7d9464e444122b53b63994f2918bf";
        let expected = format!("t=1700000000,v1={code}");
        assert_eq!(signed("Jefe", REQUEST, 1_700_000_000_999), expected);
    }

    #[test]
    fn every_part_of_it_counts() {
        let at = 1_700_000_000_000;
        let original = signed("Jefe", REQUEST, at);
        let code = |signature: &str| signature.split_once(",v1=").unwrap().1.to_owned();
        for other in [
            signed("jefe", REQUEST, at),
            signed("Jefe", REQUEST, at + 1000),
            signed(
                "Jefe",
                Signed {
                    method: "POST",
                    ..REQUEST
                },
                at,
            ),
            signed(
                "Jefe",
                Signed {
                    target: "/r/",
                    ..REQUEST
                },
                at,
            ),
            signed(
                "Jefe",
                Signed {
                    sha256: "00fe",
                    ..REQUEST
                },
                at,
            ),
            signed(
                "Jefe",
                Signed {
                    idempotency_key: "202403-1",
                    ..REQUEST
                },
                at,
            ),
        ] {
            assert_ne!(code(&original), code(&other));
        }
    }
}
