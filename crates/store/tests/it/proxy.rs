//! A reverse proxy before the server, which fails as it is told and speaks of ranges as CouchDB does.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Which requests fail, and how.
#[derive(Clone)]
pub(crate) struct Fault {
    pub(crate) method: Method,
    /// A part of the path; empty for any.
    pub(crate) path: &'static str,
    pub(crate) status: u16,
    /// How many of them.
    pub(crate) times: usize,
}

/// Faults to come.
#[derive(Clone)]
pub(crate) struct Proxy {
    faults: Arc<Mutex<Vec<Fault>>>,
    spoiled: Arc<Mutex<Option<&'static str>>>,
    upstream: u16,
    client: reqwest::Client,
    pub(crate) port: u16,
}

impl Proxy {
    /// Starts one before the server at `upstream`; it ends with the test's runtime.
    pub(crate) async fn start(upstream: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            faults: Arc::default(),
            spoiled: Arc::default(),
            upstream,
            client: client(),
            port: listener.local_addr().unwrap().port(),
        };
        let app = Router::new().fallback(answer).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        proxy
    }

    pub(crate) fn fail(&self, method: Method, path: &'static str, status: u16, times: usize) {
        self.faults.lock().unwrap().push(Fault {
            method,
            path,
            status,
            times,
        });
    }

    /// Changes the bodies that are put to a path on their way.
    pub(crate) fn spoil(&self, path: &'static str) {
        *self.spoiled.lock().unwrap() = Some(path);
    }

    /// Faults that nobody has met.
    pub(crate) fn left(&self) -> usize {
        let faults = self.faults.lock().unwrap();
        faults.iter().map(|fault| fault.times).sum()
    }

    fn fault(&self, method: &Method, path: &str) -> Option<u16> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|fault| {
            fault.times > 0 && fault.method == *method && path.contains(fault.path)
        })?;
        fault.times -= 1;
        Some(fault.status)
    }
}

/// A client that knows nothing of the store.
pub(crate) fn client() -> reqwest::Client {
    // An error means that another test was first.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn answer(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str();
    if let Some(status) = proxy.fault(&parts.method, path) {
        let status = StatusCode::from_u16(status).unwrap();
        let said = json!({"error": "fault", "reason": "as the test wants"});
        return (status, said.to_string()).into_response();
    }
    let mut body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let spoiled = *proxy.spoiled.lock().unwrap();
    if spoiled.is_some_and(|spoiled| path.contains(spoiled)) {
        body = body.iter().map(|byte| byte ^ 1).collect();
    }
    let url = format!("http://127.0.0.1:{}{path}", proxy.upstream);
    let request = proxy.client.request(parts.method.clone(), url);
    let mut headers = parts.headers.clone();
    headers.remove(header::HOST);
    let response = request.headers(headers).body(body).send().await.unwrap();
    let (status, mut headers) = (response.status(), response.headers().clone());
    if parts.method == Method::HEAD {
        return (status, headers, Body::empty()).into_response();
    }
    let body = response.bytes().await.unwrap();
    if status == StatusCode::OK
        && let Some((first, last)) = range(&parts.headers)
    {
        return partial(&mut headers, body, first, last);
    }
    (status, headers, body).into_response()
}

fn range(headers: &HeaderMap) -> Option<(usize, Option<usize>)> {
    let range = headers.get(header::RANGE)?.to_str().ok()?;
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

fn partial(headers: &mut HeaderMap, body: Bytes, first: usize, last: Option<usize>) -> Response {
    headers.remove(header::CONTENT_LENGTH);
    let total = body.len();
    if first >= total {
        let range = format!("bytes */{total}").parse().unwrap();
        headers.insert(header::CONTENT_RANGE, range);
        return (StatusCode::RANGE_NOT_SATISFIABLE, headers.clone()).into_response();
    }
    let last = last.unwrap_or(usize::MAX).min(total - 1);
    let range = format!("bytes {first}-{last}/{total}").parse().unwrap();
    headers.insert(header::CONTENT_RANGE, range);
    let part = body.slice(first..=last);
    (StatusCode::PARTIAL_CONTENT, headers.clone(), part).into_response()
}
