//! Settings of Kazoo's handler `http`: decides URL and form of the request, which delivery makes.

use callreel_proto::HttpMethod;
use url::Url;

use super::Settings;
use crate::plan::Malformed;

/// One request and its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUpload {
    /// Where it goes, with its credentials.
    pub url: Url,
    /// How.
    pub method: HttpMethod,
    /// `send_multipart`: the document's public fields and the file in one form.
    pub multipart: bool,
    /// `base64_encode_data`: the file as text.
    pub base64: bool,
    /// The document's field that then holds the URL, without its credentials.
    pub document_url_field: Option<String>,
}

/// A receiver.
#[derive(Clone)]
pub(crate) struct Http {
    upload: HttpUpload,
    deletes: bool,
}

impl std::fmt::Debug for Http {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Http").field(&self.told()).finish()
    }
}

impl Http {
    pub(crate) fn read(settings: &Settings<'_>) -> Result<Self, Malformed> {
        let url = settings.url("url")?;
        let mut url = url.ok_or_else(|| settings.wrong("url", "is missing"))?;
        url.set_fragment(None);
        let verb = settings.text("verb")?.unwrap_or("put").to_ascii_lowercase();
        let method = match verb.as_str() {
            "put" => HttpMethod::Put,
            "post" => HttpMethod::Post,
            _ => return Err(settings.wrong("verb", "must be put or post")),
        };
        let field = settings.text("document_url_field")?;
        if field.is_some_and(|field| field.starts_with('_') || field.starts_with("pvt_")) {
            let message = "must be a public field: beginning neither with _ nor with pvt_";
            return Err(settings.wrong("document_url_field", message));
        }
        Ok(Self {
            upload: HttpUpload {
                url,
                method,
                multipart: settings.flag("send_multipart")?,
                base64: settings.flag("base64_encode_data")?,
                document_url_field: field.map(str::to_owned),
            },
            deletes: settings.flag("delete")?,
        })
    }

    /// The request for the file of this name.
    pub(crate) fn upload(&self, key: &str) -> HttpUpload {
        HttpUpload {
            url: self.url(key),
            ..self.upload.clone()
        }
    }

    /// Where the file of this name is; the URL's query stays behind it.
    pub(crate) fn url(&self, key: &str) -> Url {
        let mut url = self.upload.url.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{path}/{key}"));
        url
    }

    /// Whether the receiver takes a DELETE (our own setting: Kazoo's has none).
    pub(crate) fn deletes(&self) -> bool {
        self.deletes
    }

    pub(crate) fn host(&self) -> String {
        host(&self.upload.url)
    }

    /// The URL without credentials and query.
    pub(crate) fn told(&self) -> String {
        let url = &self.upload.url;
        format!("{}://{}{}", url.scheme(), host(url), url.path())
    }
}

/// Host, and port if it is not the scheme's own.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
