//! What a webhook is sent: the body of a fact and its signature. Pure; the same letter is the same bytes on every try.

use std::sync::Arc;

use callreel_proto::{RecordingNotice, Secret, Utc};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::hook::Hook;

/// Bytes of a letter's id.
const ID_BYTES: usize = 16;

/// A fact as it was heard.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) notice: RecordingNotice,
    /// The notice's `Msg-ID`.
    pub(crate) msg_id: String,
    /// Who told it.
    pub(crate) node: String,
    /// When it was heard.
    pub(crate) at: Utc,
}

/// One fact on its way to one webhook.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) hook: Arc<Hook>,
    pub(crate) what: Arc<Happened>,
}

impl Letter {
    /// The letter's id, the same whoever sends it and however often.
    pub(crate) fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.what.msg_id);
        hash.update([0]);
        hash.update(&self.hook.key);
        hex::encode(&hash.finalize()[..ID_BYTES])
    }

    /// `recording.delivered` and the like.
    pub(crate) fn event(&self) -> String {
        format!("recording.{}", self.what.notice.fact.name())
    }

    /// The fact as JSON. What is not known is left out.
    pub(crate) fn body(&self) -> Vec<u8> {
        let (what, notice) = (&self.what, &self.what.notice);
        let custom_data = &self.hook.custom_data;
        let mut body = json!({
            "fact": notice.fact,
            "account_id": notice.account_id,
            "call_id": notice.call_id,
            "recording_id": notice.recording_id,
            "time": what.at.rfc3339(),
            "timestamp": what.at.gregorian_seconds(),
            "node": what.node,
            "ordered_by": notice.ordered_by,
            "offset_ms": notice.offset_ms,
            "time_limit": notice.time_limit_s,
            "end_reason": notice.end_reason,
            "destination": notice.destination,
            "bytes": notice.bytes,
            "sha256": notice.sha256,
            "duration_ms": notice.duration_ms,
            "detail": notice.detail,
            "custom_data": (!custom_data.is_empty()).then_some(custom_data),
        });
        if let Value::Object(fields) = &mut body {
            fields.retain(|_, value| !value.is_null());
        }
        body.to_string().into_bytes()
    }
}

/// `X-Callreel-Signature`: the instant, and the HMAC-SHA256 (RFC 2104) of the instant, a dot and the body.
pub(crate) fn signature(secret: &Secret, body: &[u8], now: Utc) -> String {
    let seconds = now.unix_ms().div_euclid(1000);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .expect("HMAC takes keys of any length (RFC 2104 §2)");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let code = hex::encode(mac.finalize().into_bytes());
    format!("t={seconds},v1={code}")
}

#[cfg(test)]
mod tests {
    use callreel_proto::{AccountId, CallId, OrderedBy, RecordingFact, RecordingSource};

    use super::*;
    use crate::webhooks::WebhooksConfig;

    fn letter(notice: RecordingNotice) -> Letter {
        let config = WebhooksConfig {
            url: Some("https://h.example/".parse().unwrap()),
            ..WebhooksConfig::default()
        };
        Letter {
            hook: Arc::new(Hook::of_system(&config).unwrap()),
            what: Arc::new(Happened {
                notice,
                msg_id: "m".to_owned(),
                node: "callreel@n".to_owned(),
                at: Utc::from_unix_ms(1_709_251_199_999),
            }),
        }
    }

    fn masked() -> RecordingNotice {
        let account = AccountId::parse("abcd0123456789abcdef0123456789ab").unwrap();
        RecordingNotice {
            ordered_by: Some(OrderedBy::new(RecordingSource::Api)),
            offset_ms: Some(1500),
            ..RecordingNotice::new(RecordingFact::Masked, account, CallId::new("x@y"))
        }
    }

    #[test]
    fn a_body_tells_what_is_known_and_nothing_else() {
        let expected = concat!(
            r#"{"fact":"masked","account_id":"abcd0123456789abcdef0123456789ab","call_id":"x@y","#,
            r#""time":"2024-02-29T23:59:59.999Z","timestamp":63876470399,"node":"callreel@n","#,
            r#""ordered_by":{"source":"api"},"offset_ms":1500}"#
        );
        let letter = letter(masked());
        assert_eq!(String::from_utf8(letter.body()).unwrap(), expected);
        assert_eq!(letter.event(), "recording.masked");
    }

    #[test]
    fn what_the_account_wants_sent_along_is_sent() {
        let mut letter = letter(masked());
        let hook = Hook {
            custom_data: [("site".to_owned(), json!("north"))].into_iter().collect(),
            ..(*letter.hook).clone()
        };
        letter.hook = Arc::new(hook);
        let body: Value = serde_json::from_slice(&letter.body()).unwrap();
        assert_eq!(body["custom_data"], json!({"site": "north"}));
    }

    #[test]
    fn ids_differ_by_fact_and_by_webhook() {
        let one = letter(masked());
        assert_eq!(one.id(), letter(masked()).id());
        assert_eq!(one.id().len(), 32);
        let mut hook = (*one.hook).clone();
        hook.key = "webhook w".to_owned();
        let other = Letter {
            hook: Arc::new(hook),
            ..one.clone()
        };
        assert_ne!(one.id(), other.id());
    }

    /// RFC 4231 §4.3 has the key and, behind our instant, the text.
    #[test]
    fn a_signature_is_the_hmac_of_instant_and_body() {
        let now = Utc::from_unix_ms(1_700_000_000_999);
        let signed = signature(&Secret::new("Jefe"), b"what do ya want for nothing?", now);
        // printf '1700000000.what do ya want for nothing?' | openssl dgst -sha256 -hmac Jefe
        let code = "1cdd0650c8be1cb0974b1788d458b1e781206cfef59b85faafc582d2e182c57e";
        assert_eq!(signed, format!("t=1700000000,v1={code}"));
        let other = signature(&Secret::new("jefe"), b"what do ya want for nothing?", now);
        assert_ne!(signed, other);
    }
}
