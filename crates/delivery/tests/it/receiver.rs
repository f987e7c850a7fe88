//! A receiver of recordings that answers as it is told and remembers what came.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    serve::Listener,
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

use crate::node::PATIENCE;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

#[derive(Clone)]
struct Desk {
    answers: Arc<Mutex<Vec<u16>>>,
    received: Arc<Mutex<Vec<Received>>>,
    arrived: Arc<Notify>,
}

/// Runs until it is dropped.
pub(crate) struct Receiver {
    pub(crate) at: SocketAddr,
    desk: Desk,
    serving: JoinHandle<()>,
}

impl Receiver {
    /// Answers with these, one after the other, then 200 for ever.
    pub(crate) async fn start(answers: &[u16]) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answers).await
    }

    pub(crate) async fn start_at(at: SocketAddr, answers: &[u16]) -> Self {
        Self::serve(TcpListener::bind(at).await.unwrap(), answers)
    }

    pub(crate) fn serve<L>(listener: L, answers: &[u16]) -> Self
    where
        L: Listener<Addr = SocketAddr>,
    {
        let at = listener.local_addr().unwrap();
        let desk = Desk {
            answers: Arc::new(Mutex::new(answers.iter().rev().copied().collect())),
            received: Arc::default(),
            arrived: Arc::default(),
        };
        let app = Router::new()
            .fallback(receive)
            .layer(DefaultBodyLimit::disable())
            .with_state(desk.clone());
        Self {
            at,
            desk,
            serving: tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }),
        }
    }

    /// Waits until so many requests have come, and gives them.
    pub(crate) async fn until(&self, count: usize) -> Vec<Received> {
        let enough = async {
            while self.received().len() < count {
                self.desk.arrived.notified().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, enough).await;
        in_time.expect("the requests come in time");
        self.received()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.desk.received.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn receive(
    State(desk): State<Desk>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    desk.received.lock().unwrap().push(Received {
        method,
        path: uri.to_string(),
        headers,
        body,
    });
    desk.arrived.notify_one();
    let answer = desk.answers.lock().unwrap().pop().unwrap_or(200);
    StatusCode::from_u16(answer).unwrap()
}

/// An address nobody listens at.
pub(crate) async fn deserted() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
