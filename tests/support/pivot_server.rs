//! A web server that serves a callflow to whoever asks, as an author's Pivot app does, and remembers who asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, http::Uri};
use serde_json::Value;

/// A running server; it stops when dropped.
pub(crate) struct PivotServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    flow: Value,
    asked: Mutex<Vec<String>>,
}

impl PivotServer {
    /// Serves this flow on a free port of loopback.
    pub(crate) fn serving(flow: &Value) -> Self {
        let shared = Arc::new(Shared {
            flow: flow.clone(),
            asked: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let app = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            shared,
            _runtime: runtime,
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/flow", self.address)
    }

    /// The paths and queries of all requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn serve(State(shared): State<Arc<Shared>>, uri: Uri) -> Json<Value> {
    shared.asked.lock().unwrap().push(uri.to_string());
    Json(shared.flow.clone())
}
