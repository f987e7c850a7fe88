//! A web server of a test, on a thread of its own.

use std::net::SocketAddr;

use axum::Router;
use tokio::{net::TcpListener, runtime};

/// A running server; it stops when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _runtime: runtime::Runtime,
}

impl Server {
    /// Serves this here; port 0 is a free one.
    pub(crate) fn serving(app: Router, address: SocketAddr) -> Self {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            _runtime: runtime,
        }
    }
}
