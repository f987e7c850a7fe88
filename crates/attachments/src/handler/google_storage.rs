//! Settings of Kazoo's handler `google_storage`: a bucket of Google Cloud Storage, and the service account that writes it.

use callreel_proto::Secret;
use object_store::{ObjectStore, gcp::GoogleCloudStorageBuilder};
use serde_json::{Value, json};
use url::Url;

use super::Settings;
use crate::{
    connector::{Connector, retries},
    plan::Malformed,
};

/// Google's own address.
const GOOGLE: &str = "https://storage.googleapis.com";

/// A bucket and its service account.
#[derive(Debug, Clone)]
pub(crate) struct GoogleStorage {
    bucket: String,
    /// The key file's text.
    service_account: Secret,
    endpoint: Url,
}

impl GoogleStorage {
    pub(crate) fn read(settings: &Settings<'_>) -> Result<Self, Malformed> {
        let endpoint = settings.url("endpoint")?;
        let google = || GOOGLE.parse().expect("a URL");
        Ok(Self {
            bucket: settings.needed("bucket")?.to_owned(),
            service_account: service_account(settings)?,
            endpoint: endpoint.unwrap_or_else(google),
        })
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    pub(crate) fn host(&self) -> String {
        super::http::host(&self.endpoint)
    }

    pub(crate) fn open(
        &self,
        bucket: &str,
        connector: Connector,
    ) -> Result<Box<dyn ObjectStore>, object_store::Error> {
        let store = GoogleCloudStorageBuilder::new()
            .with_bucket_name(bucket)
            .with_service_account_key(self.service_account.reveal())
            .with_base_url(self.endpoint.as_str().trim_end_matches('/'))
            .with_retry(retries())
            .with_http_connector(connector)
            .build()?;
        Ok(Box::new(store))
    }
}

/// The key of a service account, as Google's console gives it: an object, or its text. Only what signs is taken of it.
fn service_account(settings: &Settings<'_>) -> Result<Secret, Malformed> {
    let key = "service_account";
    let parsed;
    let account = match settings.value(key) {
        Some(Value::String(text)) => {
            // The error is not shown: it may quote the key.
            parsed = serde_json::from_str(text)
                .map_err(|_| settings.wrong(key, "is no JSON; put the key file's object here"))?;
            &parsed
        }
        Some(value) => value,
        None => {
            let oauth = ["oauth_doc_id", "oauth_app_id"];
            let kazoo = oauth.into_iter().find(|key| settings.value(key).is_some());
            return Err(match kazoo {
                Some(named) => settings.wrong(
                    named,
                    "not supported: Kazoo's OAuth documents; put the key of a service account into \"service_account\"",
                ),
                None => settings.wrong(key, "is missing: the JSON key of a service account"),
            });
        }
    };
    let mut taken = json!({});
    for part in ["private_key", "private_key_id", "client_email"] {
        let text = account.get(part).and_then(Value::as_str);
        let text = text.ok_or_else(|| settings.wrong(key, format!("has no {part}")))?;
        taken[part] = text.into();
    }
    Ok(Secret::new(taken.to_string()))
}
