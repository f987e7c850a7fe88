//! Settings of Kazoo's handler `azure`: a container of Azure Blob Storage.

use callreel_proto::Secret;
use object_store::{ObjectStore, azure::MicrosoftAzureBuilder};
use url::Url;

use super::Settings;
use crate::{
    connector::{Connector, retries},
    plan::Malformed,
};

/// A container and the key of its account.
#[derive(Debug, Clone)]
pub(crate) struct Azure {
    account: String,
    container: String,
    key: Secret,
    endpoint: Url,
}

impl Azure {
    pub(crate) fn read(settings: &Settings<'_>) -> Result<Self, Malformed> {
        let account = settings.needed("account")?;
        let container = settings.needed("container")?;
        for (key, name) in [("account", account), ("container", container)] {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if !name.chars().all(|c| legal(c) || c == '$') {
                return Err(settings.wrong(key, "has a character other than a-z, 0-9 and -"));
            }
        }
        let usual = || {
            format!("https://{account}.blob.core.windows.net")
                .parse()
                .ok()
        };
        let endpoint = settings.url("endpoint")?.or_else(usual);
        let endpoint = endpoint.ok_or_else(|| settings.wrong("account", "makes no host's name"))?;
        Ok(Self {
            account: account.to_owned(),
            container: container.to_owned(),
            key: settings.secret("key")?,
            endpoint,
        })
    }

    pub(crate) fn container(&self) -> &str {
        &self.container
    }

    pub(crate) fn host(&self) -> String {
        super::http::host(&self.endpoint)
    }

    pub(crate) fn open(
        &self,
        container: &str,
        connector: Connector,
    ) -> Result<Box<dyn ObjectStore>, object_store::Error> {
        let store = MicrosoftAzureBuilder::new()
            .with_account(&self.account)
            .with_container_name(container)
            .with_access_key(self.key.reveal())
            .with_endpoint(self.endpoint.as_str().trim_end_matches('/').to_owned())
            .with_retry(retries())
            .with_http_connector(connector)
            .build()?;
        Ok(Box::new(store))
    }
}
