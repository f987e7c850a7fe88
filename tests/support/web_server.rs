//! A web server that answers everybody the same, and remembers what it was asked: an author's Pivot app, or a speech engine.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, http::Uri};
use serde_json::Value;

use super::server::Server;

/// A running server; it stops when dropped.
pub(crate) struct WebServer {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    content_type: &'static str,
    content: Vec<u8>,
    asked: Mutex<Vec<String>>,
    told: Mutex<Vec<String>>,
}

impl WebServer {
    /// Serves this flow.
    pub(crate) fn serving(flow: &Value) -> Self {
        Self::answering("application/json", flow.to_string().into_bytes())
    }

    /// Serves this on a free port of loopback.
    pub(crate) fn answering(content_type: &'static str, content: Vec<u8>) -> Self {
        let shared = Arc::new(Shared {
            content_type,
            content,
            asked: Mutex::default(),
            told: Mutex::default(),
        });
        let app = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        Self {
            server: Server::serving(app, "127.0.0.1:0".parse().unwrap()),
            shared,
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/flow", self.server.address)
    }

    /// The paths and queries of all requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The bodies of all requests.
    pub(crate) fn told(&self) -> Vec<String> {
        self.shared.told.lock().unwrap().clone()
    }
}

type Answer = ([(&'static str, &'static str); 1], Vec<u8>);

async fn serve(State(shared): State<Arc<Shared>>, uri: Uri, body: String) -> Answer {
    shared.asked.lock().unwrap().push(uri.to_string());
    shared.told.lock().unwrap().push(body);
    let content_type = [("content-type", shared.content_type)];
    (content_type, shared.content.clone())
}
