//! A receiver of recordings with scripted answers, which remembers every request.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};

use super::{eventually, server::Server};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// When it was there as a whole; the answer comes after.
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) answered: u16,
}

#[derive(Clone, Default)]
struct Shared {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    script: Arc<Mutex<VecDeque<u16>>>,
}

/// A running receiver; it stops when dropped.
pub(crate) struct Receiver {
    server: Server,
    shared: Shared,
}

impl Receiver {
    /// Listens on a free port of loopback and answers 200.
    pub(crate) fn start() -> Self {
        Self::answering(&[])
    }

    /// Answers with these codes in turn, then 200 for ever.
    pub(crate) fn answering(codes: &[u16]) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), codes)
    }

    /// Listens at this address.
    pub(crate) fn at(address: SocketAddr, codes: &[u16]) -> Self {
        let shared = Shared::default();
        shared.script.lock().unwrap().extend(codes);
        let app = Router::new()
            .fallback(accept)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(shared.clone());
        Self {
            server: Server::serving(app, address),
            shared,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// A URL under it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address)
    }

    /// Everything that came so far.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals.lock().unwrap().clone()
    }

    /// Waits for the first file that was accepted.
    pub(crate) fn accepted(&self) -> Arrival {
        self.accepted_all(1).remove(0)
    }

    /// Waits for this many accepted files.
    pub(crate) fn accepted_all(&self, count: usize) -> Vec<Arrival> {
        eventually(&format!("{count} recordings delivered"), || {
            let good: Vec<_> = self
                .arrivals()
                .into_iter()
                .filter(|a| a.answered == 200)
                .collect();
            (good.len() >= count).then_some(good)
        })
    }
}

async fn accept(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let code = shared.script.lock().unwrap().pop_front().unwrap_or(200);
    shared.arrivals.lock().unwrap().push(Arrival {
        at: Instant::now(),
        method: method.to_string(),
        path: uri.to_string(),
        headers,
        body: body.to_vec(),
        answered: code,
    });
    StatusCode::from_u16(code).unwrap()
}
