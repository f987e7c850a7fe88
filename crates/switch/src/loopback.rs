//! Calls of the switch to itself: an endpoint that is a number of its account is rung by an INVITE that comes back as a call of that
//! account. Knows which INVITEs those are.

use std::collections::HashMap;
use std::sync::Mutex;

use callreel_proto::{AccountId, Endpoint, TraceParent, random_hex};
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Request};

use crate::shared::locked;
use crate::vars::Vars;

/// The header that a call of the switch to itself is known by. Its value is good once.
const HEADER: &str = "X-Callreel-Loopback";

/// Whose call it becomes.
#[derive(Debug, Clone)]
pub(crate) struct Looped {
    pub(crate) account: AccountId,
    pub(crate) realm: String,
    /// The variables of the leg that is rung: those of the call it becomes.
    pub(crate) channel_vars: Vars,
    /// The span of the bridge that rings it.
    pub(crate) asked_in: Option<TraceParent>,
}

/// The INVITEs on their way. As many as legs, which are bounded.
#[derive(Default)]
pub(crate) struct Loopbacks {
    open: Mutex<HashMap<String, Looped>>,
}

impl Loopbacks {
    /// Expects an INVITE; returns what it is known by.
    pub(crate) fn open(&self, looped: Looped) -> String {
        let token = random_hex(32);
        locked(&self.open).insert(token.clone(), looped);
        token
    }

    /// It has come, or never will.
    pub(crate) fn close(&self, token: &str) -> Option<Looped> {
        locked(&self.open).remove(token)
    }

    /// Whose call this INVITE is, if the switch itself has sent it.
    pub(crate) fn take(&self, request: &Request) -> Option<Looped> {
        self.close(request.header_value(HEADER)?.trim())
    }
}

/// The header of an INVITE to the switch itself.
pub(crate) fn header(token: &str) -> Header {
    Header::Other(HEADER.to_owned(), token.to_owned())
}

/// Whether a header is that one: it is no business of anybody else.
pub(crate) fn is_header(name: &str) -> bool {
    name.eq_ignore_ascii_case(HEADER)
}

/// The number of an endpoint that is one of its account (FreeSWITCH's `loopback/NUMBER/CONTEXT`).
pub(crate) fn number_of(endpoint: &Endpoint) -> Option<&str> {
    let route = endpoint.route.as_deref()?;
    let path = match endpoint.invite_format.as_str() {
        "loopback" => route.strip_prefix("loopback/").unwrap_or(route),
        "route" => route.strip_prefix("loopback/")?,
        _ => return None,
    };
    path.split('/').next().filter(|number| !number.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_the_account_is_told_from_a_uri() {
        let number = |format: &str, route: &str| {
            let endpoint = Endpoint {
                invite_format: format.to_owned(),
                route: Some(route.to_owned()),
                ..Endpoint::default()
            };
            number_of(&endpoint).map(str::to_owned)
        };
        assert_eq!(number("loopback", "260").as_deref(), Some("260"));
        assert_eq!(
            number("route", "loopback/260/context_2").as_deref(),
            Some("260")
        );
        assert_eq!(number("route", "sip:260@192.0.2.1"), None);
        assert_eq!(number("loopback", ""), None);
        assert_eq!(number("username", "260"), None);
    }

    #[test]
    fn what_an_invite_is_known_by_is_good_once() {
        let loopbacks = Loopbacks::default();
        let token = loopbacks.open(Looped {
            account: AccountId::parse("a0000000000000000000000000000001").unwrap(),
            realm: "acme.test".to_owned(),
            channel_vars: Vars::default(),
            asked_in: None,
        });
        let invite = format!(
            "INVITE sip:260@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n\
             To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 2 INVITE\r\nX-Callreel-Loopback: {token}\r\nContent-Length: 0\r\n\r\n"
        );
        let invite: Request = invite.as_str().try_into().unwrap();
        assert_eq!(loopbacks.take(&invite).unwrap().realm, "acme.test");
        assert!(loopbacks.take(&invite).is_none());
    }
}
