//! What a phone's REFER wants (RFC 3515, RFC 5589), and how it is told what came of it. Pure.

use callreel_proto::CallId;
use rsipstack::sip::event_packages::parse_refer_to;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Request, StatusCode, Uri};

use crate::peer::unescaped;

/// Longest `Referred-By` kept: it becomes a variable of the channel.
const MAX_REFERRED_BY: usize = 256;

/// Where the other party shall go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// To whoever answers this number.
    Number(String),
    /// Into the place of the phone that asks, in another call of it (RFC 3891).
    Call {
        call_id: CallId,
        /// Both tags of that dialog, in any order.
        tags: [String; 2],
    },
}

/// A REFER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Referral {
    pub(crate) target: Target,
    /// The URI in `Refer-To`, with the headers it has.
    pub(crate) refer_to: String,
    /// `Referred-By` (RFC 3892), if the phone says.
    pub(crate) referred_by: Option<String>,
    /// The phone wants to be told how it went: it did not say `Refer-Sub: false` (RFC 4488).
    pub(crate) tell: bool,
}

/// Reads a REFER; the error is the status that refuses it.
pub(crate) fn read(request: &Request) -> Result<Referral, StatusCode> {
    let mut all = request.headers.iter().filter_map(|header| match header {
        Header::ReferTo(to) => Some(to.value()),
        _ => None,
    });
    // Exactly one (RFC 3515 §2.4.2).
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err(StatusCode::BadRequest);
    };
    let to = parse_refer_to(value);
    let uri = Uri::try_from(to.uri.as_str()).map_err(|_| StatusCode::BadRequest)?;
    if to.uri.to_ascii_lowercase().contains(";method=") && !says_invite(&to.uri) {
        return Err(StatusCode::NotImplemented);
    }
    let number = unescaped(uri).auth.map(|auth| auth.user);
    let target = match to.replaces {
        Some(replaces) => dialog(&replaces).ok_or(StatusCode::BadRequest)?,
        None => Target::Number(
            number
                .filter(|number| is_dialable(number))
                .ok_or(StatusCode::BadRequest)?,
        ),
    };
    let by = request.referred_by_header().map(|by| by.value());
    let sub = request.header_value("Refer-Sub");
    Ok(Referral {
        target,
        refer_to: uri_in(value).to_owned(),
        referred_by: by.map(|by| by.chars().take(MAX_REFERRED_BY).collect()),
        tell: !sub.is_some_and(|sub| sub.trim().eq_ignore_ascii_case("false")),
    })
}

/// The number in what a command names as a target: itself, or the user of a SIP URI.
pub(crate) fn number_in(target: &str) -> Option<String> {
    let number = match target.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("sip:") => {
            unescaped(Uri::try_from(target).ok()?).auth?.user
        }
        _ => target.split('@').next()?.to_owned(),
    };
    Some(number).filter(|number| is_dialable(number))
}

/// The URI in a `Refer-To`.
fn uri_in(value: &str) -> &str {
    let within = value.split_once('<');
    let uri = within.and_then(|(_, rest)| rest.split('>').next());
    uri.unwrap_or(value).trim()
}

fn says_invite(uri: &str) -> bool {
    uri.to_ascii_lowercase().contains(";method=invite")
}

/// Whether a user part can be the number of a `route_req`: what a phone dials, and nothing that would not be one word there.
fn is_dialable(number: &str) -> bool {
    const LONGEST: usize = 128;
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '@';
    !number.is_empty() && number.len() <= LONGEST && !number.contains(odd)
}

/// The dialog that `Replaces` names (RFC 3891 §6.1).
fn dialog(replaces: &str) -> Option<Target> {
    let mut parts = replaces.split(';').map(str::trim);
    let call_id = CallId::parse(parts.next()?).ok()?;
    let (mut to, mut from) = (None, None);
    for part in parts {
        match part.split_once('=') {
            Some(("to-tag", tag)) => to = Some(tag.to_owned()),
            Some(("from-tag", tag)) => from = Some(tag.to_owned()),
            _ => {}
        }
    }
    Some(Target::Call {
        call_id,
        tags: [to?, from?],
    })
}

/// The headers of a NOTIFY about a REFER (RFC 3515 §2.4.4).
pub(crate) fn notify_headers(is_final: bool) -> Vec<Header> {
    let state = match is_final {
        true => "terminated;reason=noresource",
        false => "active;expires=60",
    };
    vec![
        Header::Event("refer".into()),
        Header::SubscriptionState(state.into()),
        Header::ContentType("message/sipfrag;version=2.0".into()),
    ]
}

/// Its body: the status line of what is told.
pub(crate) fn sipfrag(status: &StatusCode) -> Vec<u8> {
    format!("SIP/2.0 {} {}\r\n", status.code(), status.text()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refer(headers: &str) -> Result<Referral, StatusCode> {
        let text = format!(
            "REFER sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n\
             Call-ID: x\r\nCSeq: 2 REFER\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        read(&text.as_str().try_into().unwrap())
    }

    #[test]
    fn a_number_or_a_call_is_referred_to() {
        let blind = refer(
            "Refer-To: \"Bob\" <sip:%2A97@acme.test;user=phone>\r\nReferred-By: <sip:c@d>\r\n",
        )
        .unwrap();
        assert_eq!(blind.target, Target::Number("*97".to_owned()));
        assert_eq!(blind.refer_to, "sip:%2A97@acme.test;user=phone");
        assert_eq!(blind.referred_by.as_deref(), Some("<sip:c@d>"));
        assert!(blind.tell);
        let attended = refer(
            "Refer-To: <sip:2001@b?Replaces=id%40h%3Bto-tag%3Dx1%3Bfrom-tag%3Dy2>\r\nRefer-Sub: false\r\n",
        );
        let attended = attended.unwrap();
        let tags = ["x1", "y2"].map(str::to_owned);
        let call_id = CallId::new("id@h");
        assert_eq!(attended.target, Target::Call { call_id, tags });
        let whole = "sip:2001@b?Replaces=id%40h%3Bto-tag%3Dx1%3Bfrom-tag%3Dy2";
        assert_eq!(attended.refer_to, whole);
        assert!(!attended.tell);
    }

    #[test]
    fn nonsense_is_refused() {
        for (headers, status) in [
            ("", StatusCode::BadRequest),
            (
                "Refer-To: <sip:1@b>\r\nRefer-To: <sip:2@b>\r\n",
                StatusCode::BadRequest,
            ),
            ("Refer-To: <sip:b>\r\n", StatusCode::BadRequest),
            ("Refer-To: \r\n", StatusCode::BadRequest),
            ("Refer-To: <sip:a%0d%0ab@b>\r\n", StatusCode::BadRequest),
            ("Refer-To: <sip:a%40c@b>\r\n", StatusCode::BadRequest),
            (
                "Refer-To: <sip:1@b;method=BYE>\r\n",
                StatusCode::NotImplemented,
            ),
            (
                "Refer-To: <sip:1@b?Replaces=id>\r\n",
                StatusCode::BadRequest,
            ),
        ] {
            assert_eq!(refer(headers), Err(status), "{headers}");
        }
        let long = format!("Refer-To: <sip:{}@b>\r\n", "9".repeat(129));
        assert_eq!(refer(&long), Err(StatusCode::BadRequest));
    }

    #[test]
    fn what_came_of_it_is_told_as_a_status_line() {
        let body = String::from_utf8(sipfrag(&StatusCode::OK)).unwrap();
        assert_eq!(body, "SIP/2.0 200 OK\r\n");
    }
}
