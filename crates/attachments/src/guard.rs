//! Keeps recordings and requests from being sent to addresses a callflow's author must not reach through us: loopback, link-local,
//! cloud metadata and the like. Judges the address connected to, never the name.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Where clouds keep credentials of the machine outside the link-local range: Alibaba, Azure's wire server, Oracle's
/// first generation, and Amazon over IPv6.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// An address that nothing is sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is {kind} ({address}), which is not reached from here; if that is meant, add its network to delivery.allow_networks"
)]
pub struct Forbidden {
    /// The host as the URL names it.
    pub host: String,
    /// What it resolved to.
    pub address: IpAddr,
    /// Such as `a loopback address`.
    pub kind: &'static str,
}

/// The address check, with the networks the operator lifted it for.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allow: Arc<[IpNet]>,
}

impl Guard {
    /// A guard that lets these networks pass whatever they are.
    pub fn new(allow: &[IpNet]) -> Self {
        Self {
            allow: allow.into(),
        }
    }

    /// Judges one address that `host` stands for.
    ///
    /// # Errors
    /// The address is of a forbidden kind, itself or as the IPv4 address it embeds, and no allowed network holds it.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        let meanings = meanings(address);
        let allowed = |ip: &IpAddr| self.allow.iter().any(|net| net.contains(ip));
        if meanings.iter().any(allowed) {
            return Ok(());
        }
        match meanings.iter().find_map(forbidden_kind) {
            None => Ok(()),
            Some(kind) => Err(Forbidden {
                host: host.to_owned(),
                address,
                kind,
            }),
        }
    }

    /// Judges a URL whose host is an address already; names are judged when they are resolved. Connectors do not ask
    /// a resolver about addresses, so this must be called for every request. The URL parser has made plain addresses
    /// of decimal, octal and hexadecimal spellings.
    ///
    /// # Errors
    /// As [`Guard::check`].
    pub fn check_literal(&self, url: &Url) -> Result<(), Forbidden> {
        let address = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.check(url.host_str().unwrap_or_default(), address)
    }
}

/// Resolves names by the system's resolver and keeps only addresses the guard lets pass, so that what was judged is
/// what is connected to (a name that changes its answer gains nothing).
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let mut passed = Vec::new();
            let mut refused = None;
            for address in tokio::net::lookup_host((host, 0)).await? {
                match guard.check(host, address.ip()) {
                    Ok(()) => passed.push(address),
                    Err(forbidden) => refused = Some(forbidden),
                }
            }
            match refused {
                Some(forbidden) if passed.is_empty() => Err(forbidden.into()),
                _ => Ok(Box::new(passed.into_iter()) as Addrs),
            }
        })
    }
}

/// The address itself and the IPv4 address that a router, a translator or the kernel may make of it.
fn meanings(address: IpAddr) -> Vec<IpAddr> {
    let mut all = vec![address];
    if let IpAddr::V6(v6) = address {
        all.extend(embedded(v6).map(IpAddr::V4));
    }
    all
}

/// IPv4 inside IPv6: mapped and compatible (RFC 4291 §2.5.5), NAT64's well-known prefix (RFC 6052 §2.1), 6to4
/// (RFC 3056 §2).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

fn forbidden_kind(address: &IpAddr) -> Option<&'static str> {
    if METADATA.contains(address) {
        return Some("a cloud's metadata service");
    }
    let link_local = match address {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let nowhere = match address {
        // 0.0.0.0/8 (RFC 1122 §3.2.1.3): Linux connects to itself for all of it that it connects to at all.
        IpAddr::V4(ip) => ip.octets()[0] == 0,
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    match address {
        ip if ip.is_loopback() => Some("a loopback address"),
        _ if link_local => Some("a link-local address"),
        _ if nowhere => Some("an unspecified address"),
        ip if ip.is_multicast() => Some("a multicast address"),
        IpAddr::V4(ip) if ip.is_broadcast() => Some("the broadcast address"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(guard: &Guard, url: &str) -> Option<&'static str> {
        guard
            .check_literal(&Url::parse(url).unwrap())
            .err()
            .map(|forbidden| forbidden.kind)
    }

    #[test]
    fn addresses_are_judged_in_every_spelling() {
        let loopback = Some("a loopback address");
        let link_local = Some("a link-local address");
        let unspecified = Some("an unspecified address");
        let multicast = Some("a multicast address");
        let metadata = Some("a cloud's metadata service");
        for (url, expected) in [
            ("http://127.0.0.1/", loopback),
            ("http://127.255.255.254:8080/", loopback),
            ("http://2130706433/", loopback),
            ("http://017700000001/", loopback),
            ("http://0x7f.1/", loopback),
            ("http://0177.0.0.1/", loopback),
            ("http://127.1/", loopback),
            ("http://%31%32%37.0.0.1/", loopback),
            ("http://[::1]/", loopback),
            ("http://[0:0:0:0:0:0:0:1]/", loopback),
            ("http://[::ffff:127.0.0.1]/", loopback),
            ("http://[::ffff:7f00:1]/", loopback),
            ("http://[::127.0.0.1]/", loopback),
            ("http://[64:ff9b::127.0.0.1]/", loopback),
            ("http://[2002:7f00:1::]/", loopback),
            ("http://169.254.169.254/latest", link_local),
            ("http://[fe80::1]/", link_local),
            ("http://[::ffff:169.254.169.254]/", link_local),
            ("http://[2002:a9fe:a9fe::1]/", link_local),
            ("http://0.0.0.0/", unspecified),
            ("http://0/", unspecified),
            ("http://0.1.2.3/", unspecified),
            ("http://[::]/", unspecified),
            ("http://[::ffff:0.0.0.0]/", unspecified),
            ("http://224.0.0.251/", multicast),
            ("http://[ff02::1]/", multicast),
            ("http://[::ffff:224.0.0.1]/", multicast),
            ("http://255.255.255.255/", Some("the broadcast address")),
            ("http://100.100.100.200/", metadata),
            ("http://168.63.129.16/", metadata),
            ("http://[fd00:ec2::254]/", metadata),
            ("http://[::ffff:100.100.100.200]/", metadata),
            ("http://10.0.0.5/", None),
            ("http://192.168.1.1/", None),
            ("http://203.0.113.9/", None),
            ("http://[2001:db8::1]/", None),
            ("http://[fd12::1]/", None),
            ("http://[64:ff9b::203.0.113.9]/", None),
        ] {
            assert_eq!(verdict(&Guard::default(), url), expected, "{url}");
        }
    }

    #[test]
    fn an_allowed_network_lifts_the_guard_for_itself_only() {
        let guard = Guard::new(&["127.0.0.0/8".parse().unwrap(), "fe80::/64".parse().unwrap()]);
        for (url, passes) in [
            ("http://127.0.0.1/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://[fe80::7]/", true),
            ("http://[::1]/", false),
            ("http://169.254.169.254/", false),
            ("http://[fe80:0:0:1::7]/", false),
        ] {
            assert_eq!(verdict(&guard, url).is_none(), passes, "{url}");
        }
    }

    async fn resolve(guard: &Guard, name: &str) -> Result<usize, String> {
        let resolved = guard.resolve(name.parse().unwrap()).await;
        resolved.map(Iterator::count).map_err(|e| e.to_string())
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_loopback_is_refused_and_the_error_says_what_lifts_it() {
        let error = resolve(&Guard::default(), "localhost").await.unwrap_err();
        assert!(
            error.starts_with("localhost is a loopback address ("),
            "{error}"
        );
        assert!(error.contains("delivery.allow_networks"), "{error}");
        let allowed = Guard::new(&["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        assert!(resolve(&allowed, "localhost").await.unwrap() > 0);
    }
}
