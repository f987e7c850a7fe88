//! A server that speaks CouchDB's API for the black-box tests, and what another client sees in it.

#[allow(dead_code, reason = "the store's own tests use all of it")]
#[path = "../../crates/store/tests/it/server.rs"]
mod server;

use serde_json::Value;

pub(crate) use server::{PASSWORD, Server};

impl Server {
    /// GETs a path as another client does.
    pub(crate) fn bytes(&self, path: &str) -> Vec<u8> {
        // An error means that another test was first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let url = format!("http://127.0.0.1:{}/{path}", self.port());
        let get = async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = client.get(url).basic_auth(server::USER, Some(PASSWORD));
            let response = request.send().await.unwrap().error_for_status().unwrap();
            response.bytes().await.unwrap().to_vec()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(get)
    }

    /// GETs a path as JSON.
    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.bytes(path)).unwrap()
    }
}
