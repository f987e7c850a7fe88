//! A recorder's ends of a fork.

use std::net::SocketAddr;

use callreel_proto::CallId;
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use super::{Controller, soon};

/// A forked packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forked {
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) ssrc: u32,
    pub(crate) payload: Vec<u8>,
}

/// The two ports of a recorder.
pub(crate) struct Ears {
    /// Hears what the phone sends.
    pub(crate) a: UdpSocket,
    /// Hears what the phone is sent.
    pub(crate) b: UdpSocket,
}

impl Ears {
    pub(crate) async fn new() -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        Self {
            a: UdpSocket::bind(any).await.unwrap(),
            b: UdpSocket::bind(any).await.unwrap(),
        }
    }

    /// Ears that a leg's audio is forked to.
    pub(crate) async fn at(controller: &mut Controller, leg: &CallId) -> Self {
        let ears = Self::new().await;
        let start = json!({"Record-Action": "start", "Insert-At": "now", "Media-Fork": ears.fork(),
            "Media-Recording-ID": format!("202611-{}", "a".repeat(32)), "Server-ID": "recorder"});
        controller.command(leg, "record_call", start).await;
        controller.event("RECORD_START", leg).await;
        ears
    }

    /// As orders name them.
    pub(crate) fn fork(&self) -> Value {
        json!({"A": self.a.local_addr().unwrap(), "B": self.b.local_addr().unwrap()})
    }

    /// Nothing has come.
    pub(crate) fn assert_deaf(&self) {
        for socket in [&self.a, &self.b] {
            let heard = socket.try_recv(&mut [0; 1024]);
            assert!(heard.is_err(), "{heard:?}");
        }
    }
}

/// The next packet of a forked stream.
pub(crate) async fn packet(socket: &UdpSocket) -> Forked {
    let mut buffer = [0; 1024];
    let received = soon("a forked packet", socket.recv_from(&mut buffer)).await;
    let length = received.unwrap().0;
    Forked {
        payload_type: buffer[1] & 0x7f,
        sequence: u16::from_be_bytes([buffer[2], buffer[3]]),
        ssrc: u32::from_be_bytes([buffer[8], buffer[9], buffer[10], buffer[11]]),
        payload: buffer[12..length].to_vec(),
    }
}

/// Its payload alone.
pub(crate) async fn payload(socket: &UdpSocket) -> Vec<u8> {
    packet(socket).await.payload
}
