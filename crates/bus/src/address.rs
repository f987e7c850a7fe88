//! Addresses of one receiver: `QUEUE`, `pid://TOKEN/QUEUE`, `consumer://TOKEN/QUEUE`. Interprets no token.

use crate::Error;

const PID: &str = "pid://";
const CONSUMER: &str = "consumer://";

/// What a `Server-ID` or `Control-Queue` says about how to reach its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// The queue: the routing key on a direct exchange.
    pub queue: &'a str,
    /// Who behind the queue; travels beside the message, as AMQP header `Deliver-To-PID`.
    pub deliver_to: Option<&'a str>,
}

impl<'a> Address<'a> {
    /// Reads an address as Kazoo's publishers do: the last `/` parts token and queue, and a `consumer://` token is only
    /// for the node that made it.
    ///
    /// # Errors
    /// [`Error::Address`] when the queue is missing.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let (scheme, rest) = [PID, CONSUMER]
            .into_iter()
            .find_map(|scheme| Some((scheme, text.strip_prefix(scheme)?)))
            .unwrap_or(("", text));
        let (token, queue) = match scheme {
            "" => (None, rest),
            _ => rest
                .rsplit_once('/')
                .map(|(token, queue)| (Some(token), queue))
                .ok_or_else(|| Error::Address(text.to_owned()))?,
        };
        if queue.is_empty() {
            return Err(Error::Address(text.to_owned()));
        }
        Ok(Self {
            queue,
            deliver_to: token.filter(|_| scheme == PID),
        })
    }

    /// The address of one of many receivers behind a queue.
    pub fn of(token: &str, queue: &str) -> String {
        format!("{PID}{token}/{queue}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kazoo_reads_them() {
        for (text, queue, deliver_to) in [
            ("callreel@h-1", "callreel@h-1", None),
            ("pid://<0.1.0>/q", "q", Some("<0.1.0>")),
            ("pid://a/b/q", "q", Some("a/b")),
            ("consumer://amqp:%2F%2Fzone/q", "q", None),
            ("pid:///q", "q", Some("")),
        ] {
            assert_eq!(
                Address::parse(text),
                Ok(Address { queue, deliver_to }),
                "{text}"
            );
        }
    }

    #[test]
    fn an_address_without_a_queue_is_refused() {
        for bad in [
            "",
            "pid://q",
            "pid://token/",
            "consumer://",
            "consumer://x/",
        ] {
            assert_eq!(Address::parse(bad), Err(Error::Address(bad.to_owned())));
        }
    }

    #[test]
    fn a_made_address_is_read_back() {
        let text = Address::of("call 7/a", "callreel@h-1");
        assert_eq!(
            Address::parse(&text),
            Ok(Address {
                queue: "callreel@h-1",
                deliver_to: Some("call 7/a")
            })
        );
    }
}
