//! Addresses: who a SIP message came from, how the switch calls itself towards them, and URIs made of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};

use rsipstack::sip::{Auth, Host, HostWithPort, Param, Scheme, Transport, Uri};
use rsipstack::transaction::Transaction;
use rsipstack::transport::SipAddr;

/// Peers whose interface is remembered; when full the memory starts over, which costs one system call per peer.
const MAX_REMEMBERED: usize = 4096;

/// Where a SIP message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) transport: Transport,
    pub(crate) addr: SocketAddr,
}

impl Peer {
    /// The sender of a request, as the transport saw it.
    pub(crate) fn of(tx: &Transaction) -> Option<Self> {
        let remote = tx.connection.as_ref()?.get_remote_addr()?;
        Some(Self {
            transport: remote.r#type.unwrap_or(Transport::Udp),
            addr: remote.get_socketaddr().ok()?,
        })
    }

    /// As the SIP library takes a destination.
    pub(crate) fn sip_addr(self) -> SipAddr {
        SipAddr {
            r#type: Some(self.transport),
            addr: self.addr.into(),
        }
    }
}

/// How the switch calls itself.
#[derive(Debug)]
pub(crate) struct OwnAddress {
    bind: SocketAddr,
    /// The port of SIP over TLS, if that is served.
    tls_port: Option<u16>,
    advertised: Option<IpAddr>,
    towards: Mutex<HashMap<IpAddr, IpAddr>>,
}

impl OwnAddress {
    /// `bind` with its real port, and the configured address if there is one.
    pub(crate) fn new(bind: SocketAddr, advertised: Option<IpAddr>) -> Self {
        Self {
            bind,
            tls_port: None,
            advertised,
            towards: Mutex::new(HashMap::new()),
        }
    }

    /// The same, with SIP over TLS at this port.
    pub(crate) fn with_tls(self, tls_port: Option<u16>) -> Self {
        Self { tls_port, ..self }
    }

    /// The SIP port.
    pub(crate) fn port(&self) -> u16 {
        self.bind.port()
    }

    /// Whether every peer is told the same address.
    pub(crate) fn is_fixed(&self) -> bool {
        self.advertised.is_some() || !self.bind.ip().is_unspecified()
    }

    /// Where the switch reaches itself.
    pub(crate) fn itself(&self) -> Peer {
        let ip = match self.bind.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            own => own,
        };
        Peer {
            transport: Transport::Udp,
            addr: SocketAddr::new(ip, self.port()),
        }
    }

    /// The address of media for this peer: no advertised one for the switch itself, which might not get there.
    pub(crate) fn for_media(&self, peer: Peer) -> IpAddr {
        match peer == self.itself() {
            true => peer.addr.ip(),
            false => self.towards(peer.addr.ip()),
        }
    }

    /// The address when no peer is known.
    pub(crate) fn in_general(&self) -> IpAddr {
        // A documentation address (RFC 5737): only the routing table is asked, nothing is sent.
        self.towards(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)))
    }

    /// The address this peer is told: the configured one, the bound one, or that of the interface towards it.
    pub(crate) fn towards(&self, peer: IpAddr) -> IpAddr {
        if let Some(advertised) = self.advertised {
            return advertised;
        }
        if !self.bind.ip().is_unspecified() {
            return self.bind.ip();
        }
        let mut known = self.towards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = known.get(&peer) {
            return *own;
        }
        let own = interface_towards(peer);
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(peer, own);
        own
    }

    /// The Contact for dialogs with this peer.
    pub(crate) fn contact(&self, peer: Peer) -> Uri {
        let ip = self.towards(peer.addr.ip());
        let params = match peer.transport {
            Transport::Udp => Vec::new(),
            other => vec![Param::Transport(other)],
        };
        let port = match (peer.transport, self.tls_port) {
            (Transport::Tls, Some(port)) => port,
            _ => self.port(),
        };
        uri_at(SocketAddr::new(ip, port), params)
    }
}

/// The switch's own URI at this address.
pub(crate) fn uri_at(address: SocketAddr, params: Vec<Param>) -> Uri {
    Uri {
        scheme: Some(Scheme::Sip),
        auth: Some(Auth {
            user: "callreel".to_owned(),
            password: None,
        }),
        host_with_port: address.into(),
        params,
        headers: Vec::new(),
    }
}

fn interface_towards(peer: IpAddr) -> IpAddr {
    let (any, loopback): (IpAddr, IpAddr) = match peer {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
    };
    UdpSocket::bind((any, 0))
        .and_then(|socket| {
            socket.connect((peer, 9))?;
            socket.local_addr()
        })
        .map_or(loopback, |own| own.ip())
}

/// Where a contact can be reached. When its host is an address other than the one its messages come from, it sits behind a
/// NAT, and the latter counts. When only the port differs and is given, it is meant: one program registers where another
/// takes calls. Over a connection, the connection is the way.
pub(crate) fn way_to(contact: &Uri, peer: Peer) -> Peer {
    let named = &contact.host_with_port;
    match (&named.host, &named.port) {
        (Host::IpAddr(ip), Some(port))
            if peer.transport == Transport::Udp && *ip == peer.addr.ip() && port.value() != 0 =>
        {
            let addr = SocketAddr::new(*ip, port.value());
            Peer { addr, ..peer }
        }
        _ => peer,
    }
}

/// A contact's URI as it can be reached: with the address of [`way_to`] it, and the transport of the connection, if any.
pub(crate) fn reachable(contact: &Uri, peer: Peer) -> Uri {
    let mut uri = contact.clone();
    let named = match &contact.host_with_port.host {
        Host::IpAddr(ip) => {
            let port = contact.host_with_port.port.as_ref();
            Some(SocketAddr::new(*ip, port.map_or(5060, |p| p.value())))
        }
        Host::Domain(_) => None,
    };
    let way = way_to(contact, peer).addr;
    let says_how = uri.params.iter().any(|p| matches!(p, Param::Transport(_)));
    match peer.transport {
        Transport::Udp if named.is_some_and(|named| named != way) => {
            uri.host_with_port = way.into()
        }
        Transport::Udp => {}
        other if !says_how => uri.params.push(Param::Transport(other)),
        _ => {}
    }
    uri
}

/// A URI's user part without its escapes (the library leaves them in, then escapes them again).
pub(crate) fn unescaped(mut uri: Uri) -> Uri {
    if let Some(auth) = &mut uri.auth {
        auth.user = percent_decoded(&auth.user);
    }
    uri
}

/// `user@host` of a URI, as Kazoo's messages name people.
pub(crate) fn user_at_host(uri: &Uri, realm: Option<&str>) -> String {
    let user = uri.user().map(percent_decoded).unwrap_or_default();
    match realm {
        Some(realm) => format!("{user}@{realm}"),
        None => format!("{user}@{}", uri.host_with_port.host),
    }
}

/// A URI for a user at a host.
pub(crate) fn uri_of(user: &str, host: &str) -> Uri {
    Uri {
        scheme: Some(Scheme::Sip),
        auth: Some(Auth {
            user: user.to_owned(),
            password: None,
        }),
        host_with_port: HostWithPort::try_from(host).unwrap_or_default(),
        params: Vec::new(),
        headers: Vec::new(),
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.try_into().unwrap()
    }

    fn peer(addr: &str) -> Peer {
        Peer {
            transport: Transport::Udp,
            addr: addr.parse().unwrap(),
        }
    }

    #[test]
    fn a_contact_behind_a_nat_is_reached_where_it_came_from() {
        let contact = uri("sip:alice@10.0.0.1:5062");
        let reach = |from| reachable(&contact, peer(from)).to_string();
        assert_eq!(reach("10.0.0.1:5062"), "sip:alice@10.0.0.1:5062");
        assert_eq!(reach("198.51.100.7:1024"), "sip:alice@198.51.100.7:1024");
        assert_eq!(reach("10.0.0.1:6000"), "sip:alice@10.0.0.1:5062");
        let portless = uri("sip:alice@10.0.0.1");
        let reach_portless = |from| reachable(&portless, peer(from)).to_string();
        assert_eq!(reach_portless("10.0.0.1:5060"), "sip:alice@10.0.0.1");
        assert_eq!(reach_portless("10.0.0.1:6000"), "sip:alice@10.0.0.1:6000");
        let named = uri("sip:alice@phone.example");
        assert_eq!(
            reachable(&named, peer("198.51.100.7:1024")).to_string(),
            "sip:alice@phone.example"
        );
    }

    #[test]
    fn escapes_of_a_user_part_survive() {
        let dialled = unescaped(uri("sip:%2A97%23@h"));
        assert_eq!(dialled.user(), Some("*97#"));
        assert_eq!(dialled.to_string(), "sip:*97%23@h");
        assert_eq!(user_at_host(&uri("sip:100%25@h:5070"), None), "100%@h");
        assert_eq!(percent_decoded("%zz%4"), "%zz%4");
    }

    #[test]
    fn an_unspecified_bind_speaks_with_the_interface_towards_the_peer() {
        let own = OwnAddress::new("0.0.0.0:5060".parse().unwrap(), None);
        assert_eq!(
            own.towards(Ipv4Addr::LOCALHOST.into()),
            IpAddr::from(Ipv4Addr::LOCALHOST)
        );
        let told = OwnAddress::new(
            "0.0.0.0:5060".parse().unwrap(),
            Some("203.0.113.5".parse().unwrap()),
        );
        assert_eq!(
            told.contact(peer("127.0.0.1:9")).to_string(),
            "sip:callreel@203.0.113.5:5060"
        );
    }
}
