//! What the tests of the RabbitMQ transport have in common.

pub mod broker;
pub mod peer;
pub mod proxy;
pub mod server;

use std::time::Duration;

use callreel_bus::{
    Binding, Bus, BusConfig, Delivery, LinkDescription, QueueOptions, Subscription,
};
use callreel_proto::Exchange;
use tokio::time::timeout;

/// A broker's restart takes some seconds, on a busy machine some more.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Room for everything a test publishes at once.
pub const ROOMY: usize = 100_000;

pub async fn open(url: &str) -> Bus {
    let config = BusConfig {
        url: url.to_owned(),
        ..BusConfig::default()
    };
    Bus::open(&config, "test").await.unwrap()
}

pub fn private(name: &str) -> QueueOptions {
    QueueOptions {
        name: Some(name.to_owned()),
        shared: false,
        capacity: ROOMY,
    }
}

pub async fn hear(bus: &Bus, exchange: Exchange, pattern: &str) -> Subscription {
    let bindings = vec![Binding::new(exchange, pattern)];
    bus.subscribe(QueueOptions::private(ROOMY), bindings)
        .await
        .unwrap()
}

pub async fn next(queue: &mut Subscription) -> Delivery {
    let delivery = timeout(PATIENCE, queue.recv()).await;
    delivery
        .expect("it comes in time")
        .expect("the bus is open")
}

pub async fn text(queue: &mut Subscription) -> String {
    String::from_utf8(next(queue).await.body.to_vec()).unwrap()
}

pub fn link(bus: &Bus) -> LinkDescription {
    bus.describe().link.unwrap()
}

/// Waits until the picture of the connection is as it should be.
pub async fn until(bus: &Bus, what: &str, mut is: impl FnMut(&LinkDescription) -> bool) {
    let waiting = async {
        while !is(&link(bus)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if timeout(PATIENCE, waiting).await.is_err() {
        panic!("{what}: {:#?}", link(bus));
    }
}
