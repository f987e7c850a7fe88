//! The routes, and what every request goes through. Answers nothing itself.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, Method, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::{get, post, put},
};
use callreel_attachments::Attachments;
use callreel_bus::Bus;
use callreel_spool::View;
use callreel_store::Store;
use callreel_telemetry::{KeyValue, metrics};
use tokio::sync::watch;

use crate::{
    Asker, Gate, Nodes, Switches, accounts, auth, channels, deliveries, envelope, flows, health,
    holds, nodes, pivot, recordings,
    refusal::{Refusal, Why},
};

/// Largest body of a request. The longest thing that may be asked for is a `record_call` with headers of its own.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Largest callflow that may be sent: the largest IVRs have a few hundred actions of a few hundred bytes each.
const MAX_CALLFLOW_BYTES: usize = 1 << 20;

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
    open()
        .merge(of_accounts(&shared))
        .merge(of_the_spool(&shared))
        .merge(of_the_platform(&shared))
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
        .route_layer(from_fn(timed))
        .layer(from_fn_with_state(Arc::clone(&shared), dress))
        .with_state(shared)
}

/// What everybody may ask, because nobody is known yet.
fn open() -> Routes {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/v2/api_auth", put(auth::by_api_key))
        .route("/v2/user_auth", put(auth::by_password))
}

/// What is an account's own.
fn of_accounts(shared: &Arc<Shared>) -> Routes {
    let one = get(recordings::show).delete(recordings::remove);
    let one_of_user = get(recordings::show_of_user).delete(recordings::remove_of_user);
    let one_channel = get(channels::show).put(channels::act).post(channels::act);
    Router::new()
        .route("/v2/accounts/{account}/recordings", get(recordings::list))
        .route("/v2/accounts/{account}/recordings/{id}", one)
        .route(
            "/v2/accounts/{account}/recordings/{id}/hold",
            put(holds::put).delete(holds::lift),
        )
        .route(
            "/v2/accounts/{account}/users/{user}/recordings",
            get(recordings::list_of_user),
        )
        .route(
            "/v2/accounts/{account}/users/{user}/recordings/{id}",
            one_of_user,
        )
        .merge(drafts())
        .route("/v2/accounts/{account}/pivot/debug", get(pivot::list))
        .route(
            "/v2/accounts/{account}/pivot/debug/{call_id}",
            get(pivot::show),
        )
        .route("/v2/accounts/{account}/channels", get(channels::list))
        .route("/v2/accounts/{account}/channels/{call_id}", one_channel)
        .route(
            "/v2/accounts/{account}/users/{user}/channels",
            get(channels::list_of_user),
        )
        .route(
            "/v2/accounts/{account}/devices/{device}/channels",
            get(channels::list_of_device),
        )
        // The last layer is the first that a request meets.
        .route_layer(from_fn_with_state(
            Arc::clone(shared),
            auth::keep_to_account,
        ))
        .route_layer(from_fn_with_state(Arc::clone(shared), auth::identify))
}

/// Callflows that somebody is writing.
fn drafts() -> Routes {
    Router::new()
        .route("/v2/accounts/{account}/callflows/check", post(flows::check))
        .route(
            "/v2/accounts/{account}/callflows/explain",
            post(flows::explain),
        )
        // The largest callflows have some thousand actions.
        .layer(DefaultBodyLimit::max(MAX_CALLFLOW_BYTES))
}

/// What the node owes, to whichever account.
fn of_the_spool(shared: &Arc<Shared>) -> Routes {
    Router::new()
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/receivers", get(deliveries::receivers))
        .route("/deliveries/retry", post(deliveries::retry_many))
        .route("/deliveries/{id}", get(deliveries::show))
        .route("/deliveries/{id}/retry", post(deliveries::retry))
        .route("/deliveries/{id}/drop", post(deliveries::give_up))
        .route_layer(from_fn_with_state(Arc::clone(shared), auth::identify))
}

/// What is the operator's.
fn of_the_platform(shared: &Arc<Shared>) -> Routes {
    Router::new()
        .route("/nodes", get(nodes::list))
        .route("/v2/accounts", get(accounts::list))
        .route_layer(from_fn_with_state(Arc::clone(shared), auth::identify))
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
