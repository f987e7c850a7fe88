//! Who the switch is, as every message of it tells. Holds no state.

use callreel_proto::{CallEvent, Headers};

use crate::peer::{OwnAddress, uri_at};

/// The switch's names and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `callreel@host`.
    pub(crate) node: String,
    /// What stands after the `@`.
    pub(crate) hostname: String,
    /// Where it takes calls: `sip:IP:PORT`.
    pub(crate) uri: String,
    /// Its Contact: `sip:callreel@IP:PORT`.
    pub(crate) url: String,
}

impl Identity {
    /// Of the node with this name, at this address.
    pub(crate) fn new(node: &str, own: &OwnAddress) -> Self {
        let at = std::net::SocketAddr::new(own.in_general(), own.port());
        Self {
            node: node.to_owned(),
            hostname: node.rsplit('@').next().unwrap_or(node).to_owned(),
            uri: format!("sip:{at}"),
            url: uri_at(at, Vec::new()).to_string(),
        }
    }

    /// Headers of a new message of the switch.
    pub(crate) fn headers(&self, category: &str, name: &str) -> Headers {
        let mut headers = Headers::new(category, name);
        headers.node.clone_from(&self.node);
        headers
    }

    /// Writes into an event whose it is.
    pub(crate) fn sign(&self, event: &mut CallEvent) {
        event.switch_nodename = Some(self.node.clone());
        event.switch_hostname = Some(self.hostname.clone());
        event.media_server = Some(self.hostname.clone());
        event.switch_uri = Some(self.uri.clone());
        event.switch_url = Some(self.url.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_named_by_its_node_and_address() {
        let own = OwnAddress::new("192.0.2.9:5062".parse().unwrap(), None);
        let identity = Identity::new("callreel@stockholm-1", &own);
        assert_eq!(identity.hostname, "stockholm-1");
        assert_eq!(identity.uri, "sip:192.0.2.9:5062");
        assert_eq!(identity.url, "sip:callreel@192.0.2.9:5062");
    }
}
