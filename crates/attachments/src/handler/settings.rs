//! Reads the settings of one attachment handler, and names the spot where one is wrong.

use callreel_proto::{Secret, lenient_bool, lenient_u64};
use serde_json::Value;
use url::Url;

use crate::plan::Malformed;

/// Handlers of Kazoo that are not spoken here, and why.
const NOT_SUPPORTED: [&str; 4] = ["google_drive", "dropbox", "onedrive", "ftp"];

/// `attachments.<id>` of a storage document. Values are never shown: any of them may be a secret in the wrong place.
pub(crate) struct Settings<'a> {
    document: &'a str,
    id: &'a str,
    handler: &'a Value,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(document: &'a str, id: &'a str, handler: &'a Value) -> Self {
        Self {
            document,
            id,
            handler,
        }
    }

    /// The handler's kind, as Kazoo names it.
    pub(crate) fn kind(&self) -> Result<&'a str, Malformed> {
        if !self.handler.is_object() {
            return Err(self.at("", "must be an object"));
        }
        let settings = self.handler.get("settings");
        if settings.is_some_and(|settings| !settings.is_object()) {
            return Err(self.at("/settings", "must be an object"));
        }
        let kind = self.handler.get("handler").and_then(Value::as_str);
        kind.ok_or_else(|| self.at("/handler", "must be the name of a handler, such as \"s3\""))
    }

    pub(crate) fn not_supported(&self, kind: &str) -> Malformed {
        let known = NOT_SUPPORTED.contains(&kind);
        let shown = if known { kind } else { "this handler" };
        let message = format!(
            "not supported: {shown}; use s3, azure, google_storage, folder or http (the recording is kept until the plan names one of them)"
        );
        self.at("/handler", message)
    }

    /// What is wrong with one setting.
    pub(crate) fn wrong(&self, key: &str, message: impl Into<String>) -> Malformed {
        let key = key.replace('~', "~0").replace('/', "~1");
        self.at(&format!("/settings/{key}"), message)
    }

    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        let value = self.handler.get("settings")?.get(key)?;
        (!value.is_null()).then_some(value)
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, Malformed> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "must be a string")),
        }
    }

    pub(crate) fn needed(&self, key: &str) -> Result<&'a str, Malformed> {
        let text = self.text(key)?;
        text.ok_or_else(|| self.wrong(key, "is missing"))
    }

    pub(crate) fn secret(&self, key: &str) -> Result<Secret, Malformed> {
        Ok(Secret::new(self.needed(key)?))
    }

    pub(crate) fn flag(&self, key: &str) -> Result<bool, Malformed> {
        match self.value(key) {
            None => Ok(false),
            Some(value) => {
                lenient_bool(value).ok_or_else(|| self.wrong(key, "must be true or false"))
            }
        }
    }

    pub(crate) fn port(&self, key: &str) -> Result<Option<u16>, Malformed> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let port = lenient_u64(value).and_then(|port| u16::try_from(port).ok());
        let port = port.filter(|port| *port > 0);
        let port = port.ok_or_else(|| self.wrong(key, "must be a port, 1 to 65535"))?;
        Ok(Some(port))
    }

    /// A URL of HTTP.
    pub(crate) fn url(&self, key: &str) -> Result<Option<Url>, Malformed> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        // The text is not repeated: it may hold a password.
        let url = Url::parse(text).map_err(|e| self.wrong(key, format!("is no URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(self.wrong(key, "must be a URL of http or https"));
        }
        Ok(Some(url))
    }

    fn at(&self, tail: &str, message: impl Into<String>) -> Malformed {
        let id = self.id.replace('~', "~0").replace('/', "~1");
        Malformed {
            document: self.document.to_owned(),
            pointer: format!("/attachments/{id}{tail}"),
            message: message.into(),
        }
    }
}
