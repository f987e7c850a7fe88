//! A web server as flows meet it: scripted answers, good and bad, and everything that was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::world::PATIENCE;

/// Requests that wait to be looked at: no test makes as many.
const MOST_ASKED: usize = 100;

/// What the server does with one request.
pub(crate) enum Does {
    /// Answers with these bytes, as they stand, and closes.
    Says(Vec<u8>),
    /// Never answers.
    Waits,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) struct Server {
    port: u16,
    asked: mpsc::Receiver<Asked>,
}

impl Server {
    /// Does these things in turn; afterwards it answers 200 and nothing.
    pub(crate) async fn doing(script: impl IntoIterator<Item = Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Arc<Mutex<VecDeque<Does>>> = Arc::new(Mutex::new(script.into_iter().collect()));
        let (tell, asked) = mpsc::channel(MOST_ASKED);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, tell) = (Arc::clone(&script), tell.clone());
                tokio::spawn(async move { serve(stream, &script, &tell).await });
            }
        });
        Self { port, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The next request.
    pub(crate) async fn asked(&mut self) -> Asked {
        let asked = tokio::time::timeout(PATIENCE, self.asked.recv()).await;
        asked.expect("the server is asked").unwrap()
    }
}

/// An answer with this status and body.
pub(crate) fn answer(status: u16, kind: &str, body: &[u8]) -> Does {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\nSet-Cookie: id=s3cret\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    Does::Says(bytes)
}

pub(crate) fn json(body: &serde_json::Value) -> Does {
    answer(200, "application/json", body.to_string().as_bytes())
}

pub(crate) fn redirect(status: u16, to: &str) -> Does {
    let head = format!(
        "HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    Does::Says(head.into_bytes())
}

async fn serve(mut stream: TcpStream, script: &Mutex<VecDeque<Does>>, tell: &mpsc::Sender<Asked>) {
    let mut read = Vec::new();
    let (head, start) = loop {
        if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            break (String::from_utf8_lossy(&read[..end]).into_owned(), end + 4);
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().ok())?
    });
    while read.len() < start + length.unwrap_or(0) {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let body = String::from_utf8_lossy(&read[start..]).into_owned();
    let does = script.lock().unwrap().pop_front();
    // Nobody may be listening any more.
    drop(tell.try_send(Asked { head, body }));
    match does.unwrap_or_else(|| answer(200, "text/plain", b"")) {
        Does::Says(bytes) => drop(stream.write_all(&bytes).await),
        Does::Waits => std::future::pending().await,
    }
}
