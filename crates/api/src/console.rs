//! The web console: the files of `crates/api/console`, as they are in the program. It asks the API like anybody else, and is
//! told nothing more; so nobody has to show a token for these files.

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use sha2::{Digest, Sha256};

use crate::refusal::{Refusal, Why};

/// What a page may do: run our own scripts, ask this node, and play what it fetched. No inline script, no other place, no frame.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PAGE: &str = "text/html; charset=utf-8";

macro_rules! files {
    ($($name:literal: $kind:expr,)*) => {
        /// Name, type and bytes of every file.
        const FILES: &[(&str, &str, &[u8])] = &[
            $(($name, $kind, include_bytes!(concat!("../console/", $name))),)*
        ];
    };
}

files! {
    "index.html": PAGE,
    "style.css": "text/css; charset=utf-8",
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "calls.js": SCRIPT,
    "deliveries.js": SCRIPT,
    "nodes.js": SCRIPT,
    "parts.js": SCRIPT,
    "recording.js": SCRIPT,
    "recordings.js": SCRIPT,
    "wave.js": SCRIPT,
}

/// `GET /`.
pub(crate) async fn index(headers: HeaderMap) -> Result<Response<Body>, Refusal> {
    answer("index.html", &headers)
}

/// `GET /console/{FILE}`.
pub(crate) async fn file(
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refusal> {
    answer(&name, &headers)
}

fn answer(name: &str, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let found = FILES.iter().find(|(file, ..)| *file == name);
    let (_, kind, bytes) = *found.ok_or_else(|| {
        let message = "the console has no such file; it begins at /";
        Refusal::new(Why::NotFound, message).cause(name)
    })?;
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..16]));
    let is_known = headers.get(header::IF_NONE_MATCH);
    let is_known = is_known.is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let body = if is_known { &[] } else { bytes };
    let mut response = Response::new(Body::from(body));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let told = response.headers_mut();
    let tag = HeaderValue::from_str(&tag).expect("hex digits in quotes are a header");
    told.insert(header::ETAG, tag);
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        // An upgraded node has other files under the same names.
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        told.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
