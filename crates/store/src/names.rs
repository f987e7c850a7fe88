//! Which names databases, documents and attachments may have: CouchDB's rules, so that every backend takes the same.

use crate::Error;

/// Longest database name, bytes: CouchDB's limit (a file name) less its own suffix.
const MAX_DATABASE: usize = 238;
/// Longest document id, bytes. CouchDB has no limit of its own; URLs of more than a few kilobytes pass no proxy.
const MAX_DOCUMENT: usize = 1024;
/// Longest attachment name, bytes, for the same reason. A Call-ID may be long, and its percent-encoding thrice that.
const MAX_ATTACHMENT: usize = 2048;

/// A lower-case letter, then lower-case letters, digits and `_$()+-/` (CouchDB, "create a database").
pub(crate) fn database(name: &str) -> Result<(), Error> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_$()+-/".contains(&b);
    let starts_well = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let reason = if !starts_well {
        "it must begin with a lower-case letter"
    } else if !name.bytes().all(legal) {
        "only a-z, 0-9 and _$()+-/ may stand in it"
    } else if name.len() > MAX_DATABASE {
        "it is longer than 238 bytes"
    } else {
        return Ok(());
    };
    Err(refuse("database name", name, reason))
}

/// Anything but empty, `.`, `..`, or beginning with an underscore that does not open `_design/` or `_local/`.
pub(crate) fn document(id: &str) -> Result<(), Error> {
    let special = id.starts_with("_design/") || id.starts_with("_local/");
    let reason = if id.is_empty() {
        "it is empty"
    } else if id.starts_with('_') && !special {
        "it begins with an underscore"
    } else if is_dots(id) {
        DOTS
    } else if id.len() > MAX_DOCUMENT {
        "it is longer than 1024 bytes"
    } else if id.contains('\0') {
        "it has a NUL character in it"
    } else {
        return Ok(());
    };
    Err(refuse("document id", id, reason))
}

/// Anything but empty, `.`, `..` or beginning with an underscore.
pub(crate) fn attachment(name: &str) -> Result<(), Error> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.starts_with('_') {
        "it begins with an underscore"
    } else if is_dots(name) {
        DOTS
    } else if name.len() > MAX_ATTACHMENT {
        "it is longer than 2048 bytes"
    } else if name.chars().any(char::is_control) {
        "it has a control character in it"
    } else {
        return Ok(());
    };
    Err(refuse("attachment name", name, reason))
}

/// What a URL's path takes for a step, however it is spelled (WHATWG URL, "double-dot URL path segment").
fn is_dots(name: &str) -> bool {
    matches!(name, "." | "..")
}

const DOTS: &str = "no URL can name it";

fn refuse(kind: &'static str, value: &str, reason: &'static str) -> Error {
    Error::Name {
        kind,
        value: value.chars().take(80).collect(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kazoo_names_pass() {
        for name in [
            "accounts",
            "account/ab/cd/0123456789abcdef0123456789ab-202403",
        ] {
            assert!(database(name).is_ok(), "{name}");
        }
        for id in ["media", "en-us/vm-saved", "_design/recordings", "202403-00"] {
            assert!(document(id).is_ok(), "{id}");
        }
        assert!(attachment("call_recording_a%40b.mp3").is_ok());
    }

    #[test]
    fn names_couchdb_refuses_are_refused() {
        for name in ["", "Accounts", "1a", "_users", "a b", "a%2Fb"] {
            assert!(database(name).is_err(), "{name}");
        }
        for id in ["", "_hidden", "a\0b", ".", ".."] {
            assert!(document(id).is_err(), "{id}");
        }
        for name in ["", "_x", "a\nb", ".."] {
            assert!(attachment(name).is_err(), "{name}");
        }
        assert!(database(&"a".repeat(239)).is_err());
        assert!(document(&"a".repeat(1025)).is_err());
        assert!(attachment(&"a".repeat(2049)).is_err());
    }
}
