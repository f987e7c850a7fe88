//! Who is heard at SIP's door: a source that fails too often to prove who it is is not heard for a while, and none is heard more
//! often than is good for the others. Reads no message.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use callreel_doors::{Brake, network};
use ipnet::IpNet;
use tokio::time::Instant;

use crate::SwitchConfig;
use crate::shared::locked;

/// How soon a failed proof is forgiven: a phone with a wrong password that registers every minute is never banned.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);
/// For how many seconds' worth of messages a source may send them all at once: phones register together after a power cut.
const BURST_S: u32 = 4;
/// Banned sources that are remembered. When full the first to be heard again is forgotten.
const MOST_BANNED: usize = 4_096;

/// What is known of sources.
pub(crate) struct Sources {
    trusted: Vec<IpNet>,
    failures: Option<Mutex<Brake>>,
    messages: Option<Mutex<Brake>>,
    ban: Duration,
    /// Until when they are not heard.
    banned: Mutex<HashMap<IpAddr, Instant>>,
}

impl Sources {
    /// As the settings want it.
    pub(crate) fn new(config: &SwitchConfig) -> Self {
        let failures = (config.ban_after > 0)
            .then(|| Mutex::new(Brake::new(FORGIVEN_AFTER, config.ban_after)));
        let per_message = Duration::from_secs(1).checked_div(config.requests_per_second);
        let burst = config.requests_per_second.saturating_mul(BURST_S);
        Self {
            trusted: config.trusted_networks.clone(),
            failures,
            messages: per_message.map(|each| Mutex::new(Brake::new(each, burst))),
            ban: Duration::from_secs(config.ban_s),
            banned: Mutex::default(),
        }
    }

    /// Whether one more message of this source is heard now.
    pub(crate) fn hears(&self, source: IpAddr, now: Instant) -> bool {
        if self.trusts(source) {
            return true;
        }
        if self.is_banned(source, now) {
            return false;
        }
        let Some(messages) = &self.messages else {
            return true;
        };
        locked(messages).take(source, now).is_ok()
    }

    fn is_banned(&self, source: IpAddr, now: Instant) -> bool {
        let mut banned = locked(&self.banned);
        let source = network(source);
        let until = banned.get(&source).copied();
        if until.is_some_and(|until| until <= now) {
            banned.remove(&source);
        }
        until.is_some_and(|until| until > now)
    }

    /// This source has answered a challenge, which it alone could have heard, and wrongly. True if it is not heard from now on.
    pub(crate) fn failed(&self, source: IpAddr, now: Instant) -> bool {
        let Some(failures) = self.failures.as_ref().filter(|_| !self.trusts(source)) else {
            return false;
        };
        if locked(failures).take(source, now).is_ok() {
            return false;
        }
        let mut banned = locked(&self.banned);
        if banned.len() >= MOST_BANNED
            && let Some(first) = banned.iter().min_by_key(|(_, until)| **until)
        {
            let first = *first.0;
            banned.remove(&first);
        }
        banned.insert(network(source), now + self.ban);
        true
    }

    fn trusts(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.trusted.iter().any(|trusted| trusted.contains(&source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUESSER: [u8; 4] = [192, 0, 2, 66];
    const PHONE: [u8; 4] = [192, 0, 2, 7];

    fn sources(set: impl Fn(&mut SwitchConfig)) -> Sources {
        let mut config = SwitchConfig::default();
        set(&mut config);
        Sources::new(&config)
    }

    #[test]
    fn who_fails_too_often_is_not_heard_for_a_while_and_others_are() {
        let sources = sources(|config| (config.ban_after, config.ban_s) = (3, 600));
        let now = Instant::now();
        let failed = [(); 4].map(|()| sources.failed(GUESSER.into(), now));
        assert_eq!(failed, [false, false, false, true]);
        assert!(!sources.hears(GUESSER.into(), now));
        assert!(sources.hears(PHONE.into(), now));
        let later = now + Duration::from_secs(601);
        assert!(sources.hears(GUESSER.into(), later));
    }

    #[test]
    fn a_phone_that_fails_now_and_then_is_heard_for_ever() {
        let sources = sources(|config| config.ban_after = 3);
        let start = Instant::now();
        for minute in 0..1_000 {
            let now = start + Duration::from_secs(60 * minute);
            assert!(!sources.failed(PHONE.into(), now));
        }
    }

    #[test]
    fn a_source_is_heard_so_often_and_those_that_are_trusted_always() {
        let sources = sources(|config| {
            config.requests_per_second = 10;
            config.ban_after = 1;
        });
        let now = Instant::now();
        let heard = |source: IpAddr| (0..100).filter(|_| sources.hears(source, now)).count();
        assert_eq!(heard(PHONE.into()), 40);
        let ours = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(heard(ours), 100);
        assert!((0..100).all(|_| !sources.failed(ours, now)));
    }

    #[test]
    fn nothing_is_limited_where_nobody_wants_it() {
        let sources = sources(|config| (config.ban_after, config.requests_per_second) = (0, 0));
        let now = Instant::now();
        assert!((0..10_000).all(|_| sources.hears(PHONE.into(), now)));
        assert!((0..10_000).all(|_| !sources.failed(PHONE.into(), now)));
    }

    #[test]
    fn a_host_of_many_addresses_is_one_and_many_hosts_take_bounded_memory() {
        let sources = sources(|config| config.ban_after = 1);
        let now = Instant::now();
        let of = |net: u32, host: u16| {
            IpAddr::from([0x2001, 0xdb8, (net >> 16) as u16, net as u16, 0, 0, 0, host])
        };
        for host in 0..2 {
            sources.failed(of(0, host), now);
        }
        assert!(!sources.hears(of(0, 99), now));
        for net in 1..=2 * MOST_BANNED as u32 {
            for host in 0..2 {
                sources.failed(of(net, host), now);
            }
        }
        assert!(locked(&sources.banned).len() <= MOST_BANNED);
    }
}
