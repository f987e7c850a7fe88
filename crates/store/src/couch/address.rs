//! Where CouchDB is, and how its databases, documents and attachments are spelled in a URL. Sends nothing.

use std::fmt;

use callreel_proto::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::{Error, attachment::Place};

/// All but RFC 3986's unreserved characters. CouchDB reads a bare `+` in a path as a space.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The server, and who asks. Shown without the password.
pub(super) struct Address {
    /// Without user, password, query and fragment; its path, the prefix, has no slash at its end.
    server: Url,
    login: Option<(String, Secret)>,
}

impl Address {
    /// Reads `http(s)://USER:PASSWORD@HOST:PORT/PREFIX`. No error repeats the text, because a password may be in it.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| Err(Error::Address(reason.to_owned()));
        let mut server = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return refuse(&error.to_string()),
        };
        if !matches!(server.scheme(), "http" | "https") {
            return refuse("its scheme is none of embedded, http and https");
        }
        if server.query().is_some() || server.fragment().is_some() {
            return refuse("it has a ? or # in it; in a password write them %3F and %23");
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = (!server.username().is_empty()).then(|| {
            let password = decode(server.password().unwrap_or_default());
            (decode(server.username()), Secret::new(password))
        });
        let stripped = server
            .set_username("")
            .and_then(|()| server.set_password(None));
        stripped.expect("an http URL can do without a user");
        let prefix = server.path().trim_end_matches('/').to_owned();
        server.set_path(&prefix);
        Ok(Self { server, login })
    }

    pub(super) fn login(&self) -> Option<(&str, &str)> {
        let (user, password) = self.login.as_ref()?;
        Some((user, password.reveal()))
    }

    pub(super) fn root(&self) -> Url {
        self.at("/")
    }

    pub(super) fn databases(&self) -> Url {
        self.at("/_all_dbs")
    }

    pub(super) fn database(&self, db: &str) -> Url {
        self.at(&format!("/{}", escape(db)))
    }

    pub(super) fn documents(&self, db: &str) -> Url {
        self.at(&format!("/{}/_all_docs", escape(db)))
    }

    pub(super) fn document(&self, db: &str, id: &str) -> Url {
        self.at(&format!("/{}/{}", escape(db), escape_id(id)))
    }

    pub(super) fn attachment(&self, place: &Place) -> Url {
        let (db, id) = (escape(&place.db), escape_id(&place.id));
        self.at(&format!("/{db}/{id}/{}", escape(&place.name)))
    }

    pub(super) fn view(&self, db: &str, design: &str, view: &str) -> Url {
        self.at(&format!("/{}/_design/{design}/_view/{view}", escape(db)))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        let prefix = self.server.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}{path}"));
        url
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.server.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn escape(name: &str) -> String {
    utf8_percent_encode(name, NAME).to_string()
}

/// The slash after `_design` and `_local` is one of the path: CouchDB answers the other spelling with a redirect.
fn escape_id(id: &str) -> String {
    for special in ["_design/", "_local/"] {
        if let Some(name) = id.strip_prefix(special) {
            return format!("{special}{}", escape(name));
        }
    }
    escape(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: &str = "account/ab/cd/0123456789abcdef0123456789ab-202403";

    #[test]
    fn names_are_spelled_as_kazoo_spells_them() {
        let address = Address::parse("http://h:5984").unwrap();
        for (url, path) in [
            (
                address.database(DB),
                "/account%2Fab%2Fcd%2F0123456789abcdef0123456789ab-202403",
            ),
            (
                address.document("system_media", "en-us/vm-saved"),
                "/system_media/en-us%2Fvm-saved",
            ),
            (address.document("d", "a+b c%2F"), "/d/a%2Bb%20c%252F"),
            (address.document("d", "_design/a/b"), "/d/_design/a%2Fb"),
            (
                address.attachment(&Place::new("d", "é", "call_recording_a%40b.mp3")),
                "/d/%C3%A9/call_recording_a%2540b.mp3",
            ),
            (
                address.view("d", "recordings", "crossbar_listing"),
                "/d/_design/recordings/_view/crossbar_listing",
            ),
        ] {
            assert_eq!(url.as_str(), format!("http://h:5984{path}"));
        }
    }

    #[test]
    fn a_prefix_stands_before_every_path() {
        for given in ["https://h/couch", "https://h/couch/"] {
            let address = Address::parse(given).unwrap();
            assert_eq!(address.databases().as_str(), "https://h/couch/_all_dbs");
            assert_eq!(address.to_string(), "https://h/couch");
        }
    }

    #[test]
    fn a_password_is_kept_and_never_shown() {
        let address = Address::parse("http://al%40ice:s3%3Fcret@h:5984/").unwrap();
        assert_eq!(address.login(), Some(("al@ice", "s3?cret")));
        for shown in [
            address.to_string(),
            format!("{address:?}"),
            address.root().to_string(),
        ] {
            assert!(!shown.contains("cret") && !shown.contains("ice"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for text in [
            "ftp://u:hidden@h/",
            "http://u:hidden@h:99999/",
            "http://u:hidden@h/?a=b",
            "http://u:hid#den@h/",
            "hidden",
        ] {
            let refused = Address::parse(text).unwrap_err().to_string();
            assert!(!refused.contains("hid"), "{refused}");
        }
    }
}
