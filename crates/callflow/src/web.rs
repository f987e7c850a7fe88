//! Requests that a flow makes of web servers: where they go and what they carry. Sends nothing, and shows no secret.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display, Formatter, Write};
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::byte_serialize;

/// What stands in the place of what nobody is shown.
const HIDDEN: &str = "…";

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// What is told stands in the URL's query.
    Get,
    /// What is told is the body.
    Post,
}

/// How a POST's body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFormat {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
}

impl BodyFormat {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }
}

/// A request to a web server that a flow names.
#[derive(Clone, PartialEq, Eq)]
pub struct WebRequest {
    /// GET or POST.
    pub verb: Verb,
    /// Where, as the flow's author wrote it: scheme http or https. It may carry credentials: show [`WebRequest::shown`].
    pub url: Url,
    /// Headers that the author adds. They may hold secrets.
    pub headers: BTreeMap<String, String>,
    /// What the server is told of the call.
    pub parameters: Map<String, Value>,
    /// How a POST says it.
    pub format: BodyFormat,
    /// How long it may take, to the last byte of the answer.
    pub patience: Duration,
}

/// A request to a Pivot server, which answers with a callflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PivotRequest {
    /// What is asked.
    pub request: WebRequest,
    /// Where the call is told of at its end. It may carry credentials.
    #[serde(skip)]
    pub cdr_url: Option<Hidden>,
    /// Whether request and answer are kept for the author to look at.
    pub debug: bool,
    /// The how-manieth of the call this is, from 1.
    pub iteration: u32,
}

/// A URL that may carry credentials: nobody is shown them.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub Url);

impl WebRequest {
    /// Where it goes: with a GET, what the server is told is in the query, behind the author's own.
    pub fn target(&self) -> Url {
        let mut url = self.url.clone();
        url.set_fragment(None);
        if self.verb == Verb::Get {
            let query = joined(url.query(), &form(&self.parameters));
            url.set_query(query.as_deref());
        }
        url
    }

    /// A POST's body.
    pub fn body(&self) -> Option<String> {
        (self.verb == Verb::Post).then(|| match self.format {
            BodyFormat::Form => form(&self.parameters),
            BodyFormat::Json => Value::from(self.parameters.clone()).to_string(),
        })
    }

    /// Where it goes, for people: without user and password, and of the author's query only the names.
    pub fn shown(&self) -> String {
        let mut url = self.target();
        let own = self.url.query().map(hidden);
        let told = form(&self.parameters);
        let told = if self.verb == Verb::Get { &told } else { "" };
        url.set_query(None);
        let query = joined(own.as_deref(), told);
        let place = plain(url);
        match query {
            Some(query) => format!("{place}?{query}"),
            None => place,
        }
    }
}

impl Display for WebRequest {
    /// Without credentials and without what it says.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verb = match self.verb {
            Verb::Get => "GET",
            Verb::Post => "POST",
        };
        write!(f, "{verb} {}", Hidden(self.url.clone()))
    }
}

impl Debug for WebRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl Serialize for WebRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Display for Hidden {
    /// Without user, password and query.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        url.set_query(None);
        f.write_str(&plain(url))
    }
}

impl Debug for Hidden {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

fn plain(mut url: Url) -> String {
    // Both setters only refuse URLs without a host, which have no credentials to begin with.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_fragment(None);
    url.into()
}

fn joined(own: Option<&str>, told: &str) -> Option<String> {
    match own.filter(|own| !own.is_empty()) {
        Some(own) if told.is_empty() => Some(own.to_owned()),
        Some(own) => Some(format!("{own}&{told}")),
        None => Some(told.to_owned()).filter(|told| !told.is_empty()),
    }
}

/// A query with its values left out.
fn hidden(query: &str) -> String {
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) => format!("{name}={HIDDEN}"),
        // A part without a name is all value.
        None if part.is_empty() => String::new(),
        None => HIDDEN.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

/// Parameters as a form says them, in Kazoo's way: `Key=value`, what is within an object `Key[Inner]=value`, each of a list
/// `Key[]=value`. Null says nothing.
pub fn form(parameters: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (key, value) in parameters {
        let key: String = byte_serialize(key.as_bytes()).collect();
        put(&mut text, &key, value);
    }
    text
}

fn put(text: &mut String, key: &str, value: &Value) {
    let word = match value {
        Value::Null => return,
        Value::Object(map) => {
            for (inner, value) in map {
                let inner: String = byte_serialize(inner.as_bytes()).collect();
                put(text, &format!("{key}[{inner}]"), value);
            }
            return;
        }
        Value::Array(items) => {
            for item in items {
                put(text, &format!("{key}[]"), item);
            }
            return;
        }
        Value::String(word) => word.clone(),
        other => other.to_string(),
    };
    if !text.is_empty() {
        text.push('&');
    }
    let word: String = byte_serialize(word.as_bytes()).collect();
    write!(text, "{key}={word}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(verb: Verb, url: &str, parameters: &Value) -> WebRequest {
        WebRequest {
            verb,
            url: url.parse().unwrap(),
            headers: BTreeMap::new(),
            parameters: parameters.as_object().unwrap().clone(),
            format: BodyFormat::Form,
            patience: Duration::from_secs(5),
        }
    }

    #[test]
    fn parameters_are_said_as_kazoo_says_them() {
        let parameters = json!({"A": "b c", "N": 1, "Z": null, "D": {"x y": "1", "e": {"f": true}}, "L": ["p", "q&"]});
        let said = form(parameters.as_object().unwrap());
        assert_eq!(said, "A=b+c&N=1&D[x+y]=1&D[e][f]=true&L[]=p&L[]=q%26");
    }

    #[test]
    fn a_get_says_it_in_the_query_and_a_post_in_the_body() {
        let told = json!({"From": "alice", "To": "2000"});
        let get = request(Verb::Get, "http://u:p@h/a?k=secret&flag#f", &told);
        assert_eq!(
            get.target().as_str(),
            "http://u:p@h/a?k=secret&flag&From=alice&To=2000"
        );
        assert_eq!(get.body(), None);
        assert_eq!(get.shown(), "http://h/a?k=…&…&From=alice&To=2000");
        assert_eq!(get.to_string(), "GET http://h/a");
        let mut post = request(Verb::Post, "http://u:p@h/a?k=secret", &told);
        assert_eq!(post.target().as_str(), "http://u:p@h/a?k=secret");
        assert_eq!(post.shown(), "http://h/a?k=…");
        assert_eq!(post.body().as_deref(), Some("From=alice&To=2000"));
        post.format = BodyFormat::Json;
        assert_eq!(
            post.body().as_deref(),
            Some("{\"From\":\"alice\",\"To\":\"2000\"}")
        );
        assert_eq!(
            request(Verb::Get, "http://h/a", &json!({}))
                .target()
                .as_str(),
            "http://h/a"
        );
    }

    #[test]
    fn debuggers_and_documents_see_no_secret() {
        let mut get = request(Verb::Get, "http://user:pw@h/a?token=s3cret", &json!({}));
        get.headers.insert("X-Key".to_owned(), "s3cret".to_owned());
        let pivot = PivotRequest {
            cdr_url: Some(Hidden(get.url.clone())),
            request: get,
            debug: true,
            iteration: 1,
        };
        for shown in [format!("{pivot:?}"), serde_json::to_string(&pivot).unwrap()] {
            assert!(
                !shown.contains("s3cret") && !shown.contains("pw"),
                "{shown}"
            );
        }
    }
}
