//! The routes, and what every request goes through. Answers nothing itself.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, Method, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use callreel_attachments::Attachments;
use callreel_bus::Bus;
use callreel_spool::View;
use callreel_store::Store;
use callreel_telemetry::{KeyValue, metrics};
use tokio::sync::watch;

use crate::{
    Asker, Gate, Nodes, Switches, auth, envelope,
    refusal::{Refusal, Why},
    routes::{Route, Who, routes},
};

/// Largest body of a request. The longest thing that may be asked for is a `record_call` with headers of its own.
const MAX_BODY_BYTES: usize = 64 << 10;

type Routes = Router<Arc<Shared>>;

/// What the routes work on.
pub struct Shared {
    /// Orders go out here.
    pub bus: Bus,
    /// Questions go out here.
    pub asker: Asker,
    /// Which switches answer them.
    pub switches: Switches,
    /// Which nodes there are.
    pub nodes: Nodes,
    /// What is owed is read here.
    pub spool: View,
    /// Documents are read here.
    pub store: Store,
    /// Recordings are read and deleted here.
    pub attachments: Attachments,
    /// Who may come in.
    pub gate: Gate,
    /// This node's name, shown in every answer.
    pub node: String,
    /// Whether the node takes calls.
    pub ready: watch::Receiver<bool>,
}

/// The API's routes.
pub fn router(shared: Arc<Shared>) -> Router {
    let gated = |router: Routes, route| router.merge(gated(route, &shared));
    routes()
        .into_iter()
        .fold(Router::new(), gated)
        .fallback(async || {
            Refusal::new(
                Why::NotFound,
                "there is nothing at this path; docs/api.md lists the paths",
            )
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(
                Why::Method,
                "this path does not know that method; docs/api.md lists them",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(no_strangers))
        .layer(from_fn_with_state(Arc::clone(&shared), auth::keep_pace))
        .route_layer(from_fn(timed))
        .layer(from_fn_with_state(Arc::clone(&shared), dress))
        .with_state(shared)
}

/// A route behind its gate.
fn gated(route: Route, shared: &Arc<Shared>) -> Routes {
    let state = || Arc::clone(shared);
    // The last layer is the first that a request meets.
    let serve = match route.who {
        Who::Open => route.serve,
        Who::Known(scope) => route
            .serve
            .layer(from_fn(move |caller, request, next| {
                auth::keep_to_scope(scope, caller, request, next)
            }))
            .layer(from_fn_with_state(state(), auth::identify)),
        Who::Account(scope) => route
            .serve
            .layer(from_fn(move |caller, request, next| {
                auth::keep_to_scope(scope, caller, request, next)
            }))
            .layer(from_fn_with_state(state(), auth::keep_to_account))
            .layer(from_fn_with_state(state(), auth::identify)),
        Who::Operator => route
            .serve
            .layer(from_fn(auth::keep_to_operator))
            .layer(from_fn_with_state(state(), auth::identify)),
    };
    Router::new().route(route.path, serve)
}

/// Gives refusals their envelope, and every answer the headers that all have.
async fn dress(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let body = envelope::refused(&shared, &refusal);
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/json"),
        );
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body.to_string());
    }
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    response
}

/// Counts a request by its route: never by its path, which names accounts.
async fn timed(route: MatchedPath, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().as_str().to_owned();
    let response = next.run(request).await;
    let status = i64::from(response.status().as_u16());
    let attributes = [
        KeyValue::new("http.request.method", method),
        KeyValue::new("http.route", route.as_str().to_owned()),
        KeyValue::new("http.response.status_code", status),
    ];
    metrics()
        .http_server_duration
        .record(began.elapsed().as_secs_f64(), &attributes);
    response
}

/// A page of another site, open in a browser on this machine, can reach a loopback port: it may change nothing here.
async fn no_strangers(request: Request, next: Next) -> Result<Response, Refusal> {
    let changes = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if changes && is_of_another_site(request.headers()) {
        return Err(Refusal::new(
            Why::Forbidden,
            "this request comes from a page of another site; call the API from a program or from its own pages",
        ));
    }
    Ok(next.run(request).await)
}

fn is_of_another_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else {
        return false;
    };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_none() || authority != text(header::HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_of_another_site_if_its_origin_is_not_its_host() {
        for (origin, host, stranger) in [
            (None, Some("127.0.0.1:8000"), false),
            (Some("http://127.0.0.1:8000"), Some("127.0.0.1:8000"), false),
            (Some("http://127.0.0.1:9000"), Some("127.0.0.1:8000"), true),
            (Some("https://evil.example"), Some("127.0.0.1:8000"), true),
            (Some("null"), Some("127.0.0.1:8000"), true),
            (Some("null"), None, true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::ORIGIN, origin), (header::HOST, host)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(
                is_of_another_site(&headers),
                stranger,
                "{origin:?} {host:?}"
            );
        }
    }
}
