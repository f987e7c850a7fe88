//! A wire that can be cut between a client and a broker that both stay alive.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
};

/// Forwards connections to a port until they are cut.
pub struct Proxy {
    port: u16,
    cut: Arc<Notify>,
}

impl Proxy {
    pub async fn to(broker: u16) -> Self {
        Self::that_breaks_at(broker, None).await
    }

    /// A wire that also breaks, each time, before it carries this word of a client's.
    pub async fn that_breaks_at(broker: u16, word: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(Notify::new());
        let wires = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let wires = Arc::clone(&wires);
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", broker)).await.unwrap();
                    let (mut from_server, to_server) = server.into_split();
                    let (from_client, mut to_client) = client.into_split();
                    tokio::select! {
                        () = forward(from_client, to_server, word) => {}
                        _ = copy(&mut from_server, &mut to_client) => {}
                        () = wires.notified() => {}
                    }
                });
            }
        });
        Self { port, cut }
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// Cuts all connections; new ones work.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }
}

/// Carries bytes until either end is gone or they hold the word. A word in two pieces would be missed: clients flush
/// whole messages, and the kernel hands over at once what was sent at once.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, word: Option<&str>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let carried = &bytes[..count];
        let breaks = word.is_some_and(|word| {
            let mut windows = carried.windows(word.len());
            windows.any(|window| window == word.as_bytes())
        });
        if breaks || to.write_all(carried).await.is_err() {
            return;
        }
    }
}
