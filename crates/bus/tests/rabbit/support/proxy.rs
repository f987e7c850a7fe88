//! A wire that can be cut between a client and a broker that both stay alive.

use std::sync::Arc;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// Forwards connections to a port until they are cut.
pub struct Proxy {
    port: u16,
    cut: Arc<Notify>,
}

impl Proxy {
    pub async fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(Notify::new());
        let wires = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let wires = Arc::clone(&wires);
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", broker)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
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
