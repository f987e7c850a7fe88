//! Every route of the API, and who may come: one table, from which the router is made and which the tests walk through.

use std::sync::Arc;

use axum::{
    extract::DefaultBodyLimit,
    http::Method,
    routing::{MethodRouter, delete, get, post, put},
};

use crate::{
    Shared, accounts, auth,
    auth::Scope::{
        self, CallsControl, CallsRead, DeliveriesRead, DeliveriesWrite, FlowsCheck, RecordingsRead,
        RecordingsWrite,
    },
    channels, console, deliveries, flows, health, holds, nodes, pivot, recordings,
};

/// Largest callflow that may be sent: the largest IVRs have a few hundred actions of a few hundred bytes each.
const MAX_CALLFLOW_BYTES: usize = 1 << 20;

/// Who may come to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody: nobody is known yet, or nothing is told of anybody.
    Open,
    /// Who reaches the account that the path names, with this scope.
    Account(Scope),
    /// Whoever shows a good token with this scope; the handler keeps to what it reaches.
    Known(Scope),
    /// The operator.
    Operator,
}

/// A route.
pub struct Route {
    /// Its method; `GET` answers `HEAD` too.
    pub method: Method,
    /// Its path, with parameters in braces.
    pub path: &'static str,
    /// Who may come.
    pub who: Who,
    pub(crate) serve: MethodRouter<Arc<Shared>>,
}

impl Route {
    fn new(method: Method, path: &'static str, who: Who, serve: MethodRouter<Arc<Shared>>) -> Self {
        Self {
            method,
            path,
            who,
            serve,
        }
    }
}

macro_rules! routes {
    ($($method:ident $path:literal $who:expr => $handler:path $(, up to $bytes:ident)?;)*) => {
        vec![$(Route::new(
            routes!(@method $method),
            $path,
            $who,
            $method($handler)$(.layer(DefaultBodyLimit::max($bytes)))?,
        )),*]
    };
    (@method get) => { Method::GET };
    (@method put) => { Method::PUT };
    (@method post) => { Method::POST };
    (@method delete) => { Method::DELETE };
}

/// All of them.
pub fn routes() -> Vec<Route> {
    use Who::{Account, Known, Open, Operator};
    routes! {
        get "/" Open => console::index;
        get "/console/{file}" Open => console::file;
        get "/healthz" Open => health::alive;
        get "/readyz" Open => health::ready;
        put "/v2/api_auth" Open => auth::by_api_key;
        put "/v2/user_auth" Open => auth::by_password;

        get "/nodes" Operator => nodes::list;
        get "/v2/accounts" Operator => accounts::list;

        get "/v2/accounts/{account}/recordings" Account(RecordingsRead) => recordings::list;
        get "/v2/accounts/{account}/recordings/{id}" Account(RecordingsRead) => recordings::show;
        delete "/v2/accounts/{account}/recordings/{id}" Account(RecordingsWrite) => recordings::remove;
        put "/v2/accounts/{account}/recordings/{id}/hold" Account(RecordingsWrite) => holds::put;
        delete "/v2/accounts/{account}/recordings/{id}/hold" Account(RecordingsWrite) => holds::lift;
        get "/v2/accounts/{account}/users/{user}/recordings" Account(RecordingsRead) => recordings::list_of_user;
        get "/v2/accounts/{account}/users/{user}/recordings/{id}" Account(RecordingsRead) => recordings::show_of_user;
        delete "/v2/accounts/{account}/users/{user}/recordings/{id}" Account(RecordingsWrite) => recordings::remove_of_user;

        post "/v2/accounts/{account}/callflows/check" Account(FlowsCheck) => flows::check, up to MAX_CALLFLOW_BYTES;
        post "/v2/accounts/{account}/callflows/explain" Account(FlowsCheck) => flows::explain, up to MAX_CALLFLOW_BYTES;

        get "/v2/accounts/{account}/pivot/debug" Account(CallsRead) => pivot::list;
        get "/v2/accounts/{account}/pivot/debug/{call_id}" Account(CallsRead) => pivot::show;
        get "/v2/accounts/{account}/channels" Account(CallsRead) => channels::list;
        get "/v2/accounts/{account}/channels/{call_id}" Account(CallsRead) => channels::show;
        put "/v2/accounts/{account}/channels/{call_id}" Account(CallsControl) => channels::act;
        post "/v2/accounts/{account}/channels/{call_id}" Account(CallsControl) => channels::act;
        get "/v2/accounts/{account}/users/{user}/channels" Account(CallsRead) => channels::list_of_user;
        get "/v2/accounts/{account}/devices/{device}/channels" Account(CallsRead) => channels::list_of_device;

        get "/deliveries" Known(DeliveriesRead) => deliveries::list;
        get "/deliveries/receivers" Operator => deliveries::receivers;
        post "/deliveries/retry" Known(DeliveriesWrite) => deliveries::retry_many;
        get "/deliveries/{id}" Known(DeliveriesRead) => deliveries::show;
        post "/deliveries/{id}/retry" Known(DeliveriesWrite) => deliveries::retry;
        post "/deliveries/{id}/drop" Known(DeliveriesWrite) => deliveries::give_up;
    }
}
