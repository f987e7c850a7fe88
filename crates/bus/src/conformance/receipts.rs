//! What every transport must tell of tracked messages.

use callreel_proto::{Exchange, random_hex};
use tokio::time::timeout;

use super::{PATIENCE, send, straight, take};
use crate::{Bus, Error, Lost, Receipt};

/// A tracked message goes where any other goes, in order with them, whether its receipt is looked at or not.
///
/// # Panics
/// If not.
pub async fn tell_that_messages_have_arrived(bus: &Bus) {
    let mut queue = straight(bus, Exchange::Callctl).await;
    let name = queue.queue().to_owned();
    let track = |body: &'static str| bus.send_tracked(Exchange::Callctl, &name, body);
    let kept = track("1").await.expect("the address is good");
    drop(track("2").await.expect("the address is good"));
    send(bus, Exchange::Callctl, &name, "3").await;
    let last = track("4").await.expect("the address is good");
    for receipt in [last, kept] {
        let outcome = timeout(PATIENCE, receipt).await;
        assert_eq!(outcome.expect("it is told in time"), Ok(()));
    }
    assert_eq!(take(&mut queue, 4).await, ["1", "2", "3", "4"]);
    let refused = bus.send_tracked(Exchange::Kapps, &name, "x").await;
    assert_eq!(refused.err(), Some(Error::NotDirect(Exchange::Kapps)));
}

/// A tracked message to an address that no queue has is reported.
///
/// # Panics
/// If not.
pub async fn tell_that_nobody_is_there(sent_to_nobody: Receipt) {
    let outcome = timeout(PATIENCE * 2, sent_to_nobody).await;
    assert_eq!(outcome.expect("it is told in time"), Err(Lost::Unheard));
}

/// Sends to an address that no queue has.
pub(super) async fn of_nobody(bus: &Bus) -> Receipt {
    let nobody = random_hex(16);
    bus.send_tracked(Exchange::Callctl, &nobody, "unheard")
        .await
        .expect("the address is good")
}
