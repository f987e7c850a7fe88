//! A webhook: who wants to be told of which facts, and how. Reads the system's settings and an account's documents; pure.

use callreel_proto::{
    Destination, HttpMethod, RecordingFact, RecordingNotice, Secret, lenient_bool, lenient_u64,
};
use serde_json::{Map, Value};
use url::Url;

use super::config::WebhooksConfig;

/// Tries again after the first, when the document says nothing: Kazoo's default.
const RETRIES: u64 = 2;
/// Most tries again a document may ask for. Kazoo takes up to four.
const MOST_RETRIES: u64 = 10;
/// Longest `custom_data`, bytes of JSON: it is sent with every fact.
const MOST_CUSTOM_DATA: usize = 16 * 1024;

/// Who wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    /// Tells it from all others.
    pub(crate) key: String,
    pub(crate) url: Url,
    pub(crate) method: HttpMethod,
    /// What its requests are signed with.
    pub(crate) secret: Option<Secret>,
    /// Tries of one fact, at least 1.
    pub(crate) tries: u32,
    /// Of which facts; empty is all.
    pub(crate) facts: Vec<RecordingFact>,
    /// Sent along as it is.
    pub(crate) custom_data: Map<String, Value>,
}

impl Hook {
    /// The system's, if it has one.
    pub(crate) fn of_system(config: &WebhooksConfig) -> Option<Self> {
        Some(Self {
            key: "system".to_owned(),
            url: config.url.clone()?,
            method: HttpMethod::Post,
            secret: config.secret.clone(),
            tries: config.tries,
            facts: config.facts.clone(),
            custom_data: Map::new(),
        })
    }

    /// What an account's document means; none if it is about something else than recordings, or switched off.
    ///
    /// # Errors
    /// It cannot be obeyed, in words.
    pub(crate) fn read(doc: &Value) -> Result<Option<Self>, String> {
        let text = |field: &str| doc.get(field).and_then(Value::as_str);
        let id = text("_id").unwrap_or_default();
        let enabled = doc.get("enabled").and_then(lenient_bool).unwrap_or(true);
        let Some(facts) = text("hook").and_then(facts).filter(|_| enabled) else {
            return Ok(None);
        };
        let url: Url = text("uri")
            .unwrap_or_default()
            .parse()
            .map_err(|error| format!("its uri is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("its uri is {}: use http or https", url.scheme()));
        }
        let custom_data = match doc.get("custom_data") {
            Some(Value::Object(data)) => data.clone(),
            _ => Map::new(),
        };
        if Value::Object(custom_data.clone()).to_string().len() > MOST_CUSTOM_DATA {
            return Err(format!(
                "its custom_data is larger than {MOST_CUSTOM_DATA} bytes"
            ));
        }
        let retries = doc.get("retries").and_then(lenient_u64);
        let tries = retries.unwrap_or(RETRIES).min(MOST_RETRIES) + 1;
        Ok(Some(Self {
            key: format!("webhook {id}"),
            url,
            method: method(text("http_verb"))?,
            secret: text("secret").filter(|s| !s.is_empty()).map(Secret::new),
            tries: u32::try_from(tries).unwrap_or(1),
            facts,
            custom_data,
        }))
    }

    /// Whether it wants to be told of this.
    pub(crate) fn wants(&self, notice: &RecordingNotice) -> bool {
        self.facts.is_empty() || self.facts.contains(&notice.fact)
    }

    /// Where it is, without secrets.
    pub(crate) fn place(&self) -> String {
        Destination::http(self.url.clone(), self.method).describe()
    }
}

/// `recording` is every fact, `recording_started` one.
fn facts(hook: &str) -> Option<Vec<RecordingFact>> {
    let one = match hook.strip_prefix("recording")? {
        "" => return Some(Vec::new()),
        rest => rest.strip_prefix('_')?,
    };
    let fact = serde_json::from_value(Value::from(one)).ok()?;
    Some(vec![fact])
}

/// A fact is a body, and a GET has none.
fn method(verb: Option<&str>) -> Result<HttpMethod, String> {
    match verb.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "post") => Ok(HttpMethod::Post),
        Some("put") => Ok(HttpMethod::Put),
        Some(_) => Err("its http_verb must be post or put".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use callreel_proto::{AccountId, CallId};
    use serde_json::json;

    use super::*;

    fn doc(fields: &Value) -> Value {
        let mut doc =
            json!({"_id": "w", "uri": "https://u:p@h.example/x?k=v", "hook": "recording"});
        for (key, value) in fields.as_object().unwrap() {
            doc[key] = value.clone();
        }
        doc
    }

    fn hook(fields: &Value) -> Hook {
        Hook::read(&doc(fields)).unwrap().expect("a hook")
    }

    #[test]
    fn a_document_as_kazoo_keeps_it_is_understood() {
        let plain = hook(&json!({}));
        assert_eq!((plain.method, plain.tries), (HttpMethod::Post, 3));
        assert_eq!((&plain.secret, plain.facts.len()), (&None, 0));
        assert_eq!(plain.place(), "https://h.example/x");
        let whole = hook(&json!({
            "name": "ops", "http_verb": "PUT", "retries": "4", "enabled": "true",
            "custom_data": {"site": "north"}, "secret": "k", "hook": "recording_delivered",
        }));
        assert_eq!((whole.method, whole.tries), (HttpMethod::Put, 5));
        assert_eq!(whole.facts, [RecordingFact::Delivered]);
        assert_eq!(whole.custom_data["site"], "north");
        assert_eq!(whole.secret, Some(Secret::new("k")));
        assert_eq!(hook(&json!({"retries": 5000})).tries, 11);
    }

    #[test]
    fn what_is_not_about_recordings_or_is_switched_off_is_none() {
        for fields in [
            json!({"hook": "channel_create"}),
            json!({"hook": "recordings"}),
            json!({"hook": "recording_"}),
            json!({"hook": "recording_gone"}),
            json!({"enabled": false}),
        ] {
            assert_eq!(Hook::read(&doc(&fields)), Ok(None), "{fields}");
        }
    }

    #[test]
    fn what_cannot_be_obeyed_says_why_without_secrets() {
        let long = "x".repeat(MOST_CUSTOM_DATA);
        for (fields, why) in [
            (json!({"uri": "nowhere"}), "its uri is no URL"),
            (json!({"uri": "ftp://h/"}), "its uri is ftp"),
            (json!({"http_verb": "get"}), "its http_verb must be"),
            (json!({"custom_data": {"a": long}}), "its custom_data is"),
        ] {
            let said = Hook::read(&doc(&fields)).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }

    #[test]
    fn every_fact_can_be_asked_for_by_its_name() {
        for fact in [
            RecordingFact::Started,
            RecordingFact::Masked,
            RecordingFact::Unmasked,
            RecordingFact::Ended,
            RecordingFact::Rendered,
            RecordingFact::Retrying,
            RecordingFact::Delivered,
            RecordingFact::Undeliverable,
            RecordingFact::Discarded,
            RecordingFact::Skipped,
            RecordingFact::Held,
            RecordingFact::Released,
            RecordingFact::Deleted,
        ] {
            let asked = hook(&json!({"hook": format!("recording_{}", fact.name())}));
            let account = AccountId::random();
            let notice = RecordingNotice::new(fact, account, CallId::new("c"));
            assert!(asked.wants(&notice));
            assert!(hook(&json!({})).wants(&notice));
        }
    }
}
