//! Messages that were sent and are not settled yet. Decides what a confirm means; tells nobody.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use lapin::{Channel, Confirmation, options::BasicPublishOptions};

use super::{
    outbox::Outgoing,
    wire::{self, short},
};
use crate::Delivery;

/// Messages in the window. A confirm takes a millisecond or a few, so this many keep the connection busy; and this many
/// are sent twice, at worst, after it breaks.
pub(crate) const WINDOW: usize = 512;

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Settled {
    /// The broker has it.
    Arrived(Outgoing),
    /// The broker does not want it.
    Refused(Outgoing),
    /// The broker found no queue for it.
    Unheard(Outgoing),
}

/// What is under way on one connection.
#[derive(Default)]
pub(crate) struct Window {
    unconfirmed: BTreeMap<u64, Outgoing>,
    next: u64,
    /// Tracked messages that are confirmed, each with the number that was next then.
    confirmed: VecDeque<(u64, Outgoing)>,
    /// Stamps of messages that the broker gave back because no queue has their address.
    returned: HashSet<u64>,
}

/// A message to be sent.
pub(crate) struct Sent {
    number: u64,
    message: Arc<Delivery>,
    stamp: u64,
    /// Whether the broker is to give it back if no queue has its address.
    mandatory: bool,
}

impl Window {
    pub(crate) fn len(&self) -> usize {
        self.unconfirmed.len() + self.confirmed.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= WINDOW
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a message in.
    pub(crate) fn admit(&mut self, outgoing: Outgoing) -> Sent {
        let sent = Sent {
            number: self.next,
            message: Arc::clone(&outgoing.message),
            stamp: outgoing.stamp,
            mandatory: outgoing.is_tracked(),
        };
        self.next += 1;
        self.unconfirmed.insert(sent.number, outgoing);
        sent
    }

    /// The broker has spoken about one message; returns those whose fate is certain now.
    ///
    /// The broker gives a message back before it confirms it, but the client library hands what was given back to
    /// whichever confirm is next, and takes the confirms of a batch in any order. A batch is over when all is confirmed
    /// that was sent before its first confirm was seen: until then tracked messages stay.
    pub(crate) fn confirm(&mut self, number: u64, confirmation: Confirmation) -> Vec<Settled> {
        let mut settled = Vec::new();
        if let Some(outgoing) = self.unconfirmed.remove(&number) {
            if confirmation.is_nack() {
                settled.push(Settled::Refused(outgoing));
            } else if outgoing.is_tracked() {
                self.confirmed.push_back((self.next, outgoing));
            } else {
                settled.push(Settled::Arrived(outgoing));
            }
        }
        if let Some(returned) = confirmation.take_message() {
            let stamp = returned.delivery.properties.timestamp();
            self.returned.extend(*stamp);
        }
        let oldest = self.unconfirmed.keys().next().copied();
        let certain = |next: u64| oldest.is_none_or(|oldest| oldest >= next);
        while let Some((_, outgoing)) = self.confirmed.pop_front_if(|(next, _)| certain(*next)) {
            settled.push(if self.returned.remove(&outgoing.stamp) {
                Settled::Unheard(outgoing)
            } else {
                Settled::Arrived(outgoing)
            });
        }
        settled
    }

    /// Empties it: nobody will know what became of these.
    pub(crate) fn take(&mut self) -> Vec<Outgoing> {
        let Self {
            unconfirmed,
            confirmed,
            ..
        } = std::mem::take(self);
        let confirmed = confirmed.into_iter().map(|(_, outgoing)| outgoing);
        confirmed.chain(unconfirmed.into_values()).collect()
    }
}

/// Sends a message and waits for its confirm.
pub(crate) async fn send(publisher: &Channel, sent: Sent) -> (u64, lapin::Result<Confirmation>) {
    let message = &sent.message;
    let options = BasicPublishOptions {
        mandatory: sent.mandatory,
        ..BasicPublishOptions::default()
    };
    let published = publisher
        .basic_publish(
            short(message.exchange.name()),
            short(&message.routing_key),
            options,
            &message.body,
            wire::properties(message, sent.stamp),
        )
        .await;
    let confirmed = match published {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    (sent.number, confirmed)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use callreel_proto::Exchange;
    use lapin::{BasicProperties, message::BasicReturnMessage};

    use super::*;
    use crate::Receipt;

    fn message(window: &mut Window, stamp: u64, tracked: bool) -> Sent {
        let message = Delivery {
            exchange: Exchange::Callctl,
            routing_key: "q".to_owned(),
            deliver_to: None,
            call_id: None,
            body: Bytes::new(),
        };
        let answer = tracked.then(|| Receipt::open().1);
        window.admit(Outgoing::new(message, stamp, answer))
    }

    fn returned(stamp: u64) -> Confirmation {
        let exchange = Exchange::Callctl.name();
        let mut delivery =
            lapin::message::Delivery::mock(0, exchange.into(), "q".into(), false, Vec::new());
        delivery.properties = BasicProperties::default().with_timestamp(stamp);
        Confirmation::Ack(Some(BasicReturnMessage {
            delivery,
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
        }))
    }

    /// The stamps of those whose fate is certain, and what it is.
    fn confirm(window: &mut Window, number: u64, how: Confirmation) -> Vec<(u64, &'static str)> {
        let settled = window.confirm(number, how).into_iter();
        let mut fates: Vec<_> = settled
            .map(|settled| match settled {
                Settled::Arrived(outgoing) => (outgoing.stamp, "arrived"),
                Settled::Refused(outgoing) => (outgoing.stamp, "refused"),
                Settled::Unheard(outgoing) => (outgoing.stamp, "unheard"),
            })
            .collect();
        fates.sort_unstable();
        fates
    }

    #[test]
    fn nobody_waits_for_the_fate_of_what_is_not_tracked() {
        let mut window = Window::default();
        for stamp in [10, 11] {
            assert!(!message(&mut window, stamp, false).mandatory);
        }
        let ack = || Confirmation::Ack(None);
        assert_eq!(confirm(&mut window, 1, ack()), [(11, "arrived")]);
        let nack = Confirmation::Nack(None);
        assert_eq!(confirm(&mut window, 0, nack), [(10, "refused")]);
        assert_eq!(confirm(&mut window, 0, ack()), [], "a number of nobody");
        assert!(window.is_empty());
    }

    #[test]
    fn what_was_given_back_is_known_by_its_stamp_whichever_confirm_brings_it() {
        let mut window = Window::default();
        for stamp in [10, 11, 12, 13] {
            assert!(message(&mut window, stamp, true).mandatory);
        }
        // The batch 0, 1, 2 was confirmed at once, 11 and 12 having been given back.
        assert_eq!(confirm(&mut window, 2, returned(11)), []);
        assert_eq!(confirm(&mut window, 0, returned(12)), []);
        assert_eq!(confirm(&mut window, 1, Confirmation::Ack(None)), []);
        assert_eq!(window.len(), 4, "the last may belong to the batch");
        let later = message(&mut window, 14, true);
        assert_eq!(
            confirm(&mut window, 3, Confirmation::Ack(None)),
            [(10, "arrived"), (11, "unheard"), (12, "unheard")]
        );
        assert_eq!(
            confirm(&mut window, later.number, Confirmation::Ack(None)),
            [(13, "arrived"), (14, "arrived")]
        );
        assert!(window.is_empty());
    }

    #[test]
    fn what_is_not_certain_when_the_connection_ends_is_taken_back() {
        let mut window = Window::default();
        for stamp in 0..WINDOW as u64 {
            message(&mut window, stamp, true);
        }
        assert!(window.is_full());
        assert_eq!(confirm(&mut window, 1, Confirmation::Ack(None)), []);
        assert!(window.is_full(), "it may have to be sent again");
        assert_eq!(window.take().len(), WINDOW);
        assert!(window.is_empty());
    }
}
