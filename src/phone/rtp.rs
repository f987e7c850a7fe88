//! The audio of one call: a UDP socket, paced sending, and what is heard. It never speaks SIP.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callreel_media::Codec;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior},
};

use super::{
    hearing::{Heard, Hearing},
    sdp::Remote,
    speaker::{Clip, Digits, PACKETS_PER_SECOND, Speaker},
};

/// Orders come from a person or a test, a few per second at most; the task takes them at once.
const ORDERS: usize = 32;
/// No RTP packet of ours or of a sane peer is larger (an Ethernet frame).
const LARGEST_DATAGRAM: usize = 1500;

/// What the audio task is told to do.
pub(super) enum Order {
    /// By the call: the other side's address and wishes, from its session description.
    Tune(Remote),
    /// By the call: the call is answered, speak from now on.
    Speak,
    /// By the phone's owner.
    Say(Clip),
    /// By the phone's owner.
    Dial(Digits),
    /// By the call: it has ended, close the socket. What was heard stays.
    Close,
}

/// A handle on a call's audio. The task ends when it is told to, or when the last handle is gone.
#[derive(Clone)]
pub(super) struct Audio {
    orders: mpsc::Sender<Order>,
    hearing: Arc<Mutex<Hearing>>,
    address: SocketAddr,
}

impl Audio {
    /// Binds a free port of `ip` and listens.
    pub(super) async fn open(ip: IpAddr, codecs: &[Codec]) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0)).await?;
        let address = socket.local_addr()?;
        let (orders, inbox) = mpsc::channel(ORDERS);
        let hearing = Arc::new(Mutex::new(Hearing::new(codecs)));
        let codec = codecs.first().copied().unwrap_or(Codec::Pcmu);
        let line = Line {
            socket,
            speaker: Speaker::new(codec, rand::random(), rand::random(), rand::random()),
            hearing: hearing.clone(),
            remote: None,
            pace: None,
        };
        tokio::spawn(line.run(inbox));
        Ok(Self {
            orders,
            hearing,
            address,
        })
    }

    /// Our RTP address.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives an order; false if the task has ended.
    pub(super) async fn order(&self, order: Order) -> bool {
        self.orders.send(order).await.is_ok()
    }

    /// What was heard so far.
    pub(super) fn heard(&self) -> Heard {
        locked(&self.hearing).heard()
    }
}

fn locked(hearing: &Mutex<Hearing>) -> MutexGuard<'_, Hearing> {
    hearing.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Line {
    socket: UdpSocket,
    speaker: Speaker,
    hearing: Arc<Mutex<Hearing>>,
    remote: Option<Remote>,
    /// Ticks every 20 ms since the call was answered; never drifts, catches up after a stall.
    pace: Option<Interval>,
}

impl Line {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        let mut datagram = [0; LARGEST_DATAGRAM];
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Close) | None => return,
                    Some(order) => self.obey(order),
                },
                due = tick(&mut self.pace) => self.speak(due).await,
                // A refused port on the other side shows here as an error; the call goes on.
                received = self.socket.recv_from(&mut datagram) => if let Ok((length, _)) = received {
                    let arrived = Instant::now().into_std();
                    locked(&self.hearing).take(arrived, &datagram[..length]);
                },
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Tune(remote) => {
                self.speaker.tune(&remote);
                locked(&self.hearing).tune(&remote);
                self.remote = Some(remote);
            }
            Order::Speak => {
                let pace = self.pace.get_or_insert_with(|| {
                    tokio::time::interval(Duration::from_secs(1) / PACKETS_PER_SECOND)
                });
                pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            }
            Order::Say(clip) => self.speaker.say(clip),
            Order::Dial(digits) => self.speaker.dial(digits),
            Order::Close => {}
        }
    }

    /// Sends the packet that was due then. Played spans count from due times: they agree with the RTP time exactly.
    async fn speak(&mut self, due: Instant) {
        let Some(remote) = self.remote.filter(|remote| remote.hears) else {
            self.speaker.stay_silent();
            return;
        };
        let packet = self.speaker.next_packet(due.into_std());
        if let Err(error) = self.socket.send_to(&packet, remote.address).await {
            tracing::debug!(%error, to = %remote.address, "rtp not sent");
        }
    }
}

async fn tick(pace: &mut Option<Interval>) -> Instant {
    match pace {
        Some(pace) => pace.tick().await,
        None => std::future::pending().await,
    }
}
