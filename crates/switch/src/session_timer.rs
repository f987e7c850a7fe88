//! Session timers (RFC 4028): what a caller asks for and what it gets. Pure.

use std::time::Duration;

use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, MinSE, Request, Require, SessionExpires};

/// RFC 4028 §4: no shorter timer may be demanded.
pub(crate) const SHORTEST_S: u32 = 90;

/// A timer both sides keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    /// The session ends if nothing refreshes it for this long.
    pub(crate) interval: Duration,
    /// The switch refreshes; otherwise the phone does.
    pub(crate) we_refresh: bool,
}

impl Timer {
    /// When to refresh (half the interval), or when to give up on the phone's refresh (RFC 4028 §10: a third of the
    /// interval, at most 32 s, before the end).
    pub(crate) fn due(self) -> Duration {
        if self.we_refresh {
            return self.interval / 2;
        }
        self.interval - Duration::from_secs(32).min(self.interval / 3)
    }

    /// The headers of a 2xx to a request that asked for it.
    pub(crate) fn headers(self) -> Vec<Header> {
        let refresher = if self.we_refresh { "uas" } else { "uac" };
        let value = format!("{};refresher={refresher}", self.interval.as_secs());
        vec![
            Header::SessionExpires(SessionExpires::new(value)),
            Header::Require(Require::new("timer")),
        ]
    }
}

/// What to do about a request's session timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It asks for none.
    None,
    /// Keep it.
    Kept(Timer),
    /// 422 with this `Min-SE`.
    TooShort(MinSE),
}

/// Reads a request's timer.
pub(crate) fn negotiate(request: &Request, min_s: u32) -> Verdict {
    let Some(value) = request
        .header_value("Session-Expires")
        .or_else(|| request.header_value("x"))
    else {
        return Verdict::None;
    };
    if !request.header_contains_token("Supported", "timer") {
        // Only a proxy wants it; the caller cannot refresh, and need not be told.
        return Verdict::None;
    }
    let mut parts = value.split(';').map(str::trim);
    let Some(interval) = parts.next().and_then(|s| s.parse::<u32>().ok()) else {
        return Verdict::None;
    };
    let min_s = min_s.max(SHORTEST_S);
    if interval < min_s {
        return Verdict::TooShort(MinSE::new(min_s.to_string()));
    }
    let we_refresh = parts.any(|p| p.eq_ignore_ascii_case("refresher=uas"));
    Verdict::Kept(Timer {
        interval: Duration::from_secs(interval.into()),
        we_refresh,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &str) -> Request {
        let text = format!(
            "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: x\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        text.as_str().try_into().unwrap()
    }

    #[test]
    fn the_phone_refreshes_unless_it_wants_us_to() {
        let Verdict::Kept(timer) = negotiate(
            &request("Supported: timer, 100rel\r\nSession-Expires: 1800\r\n"),
            90,
        ) else {
            panic!("not kept");
        };
        assert!(!timer.we_refresh);
        assert_eq!(timer.due(), Duration::from_secs(1768));
        assert_eq!(timer.headers()[0].value(), "1800;refresher=uac");

        let Verdict::Kept(timer) = negotiate(
            &request("Supported: timer\r\nSession-Expires: 120;refresher=uas\r\n"),
            90,
        ) else {
            panic!("not kept");
        };
        assert_eq!(
            (timer.we_refresh, timer.due()),
            (true, Duration::from_secs(60))
        );
    }

    #[test]
    fn a_hasty_timer_is_refused_and_an_unsupported_one_ignored() {
        let hasty = request("Supported: timer\r\nSession-Expires: 60\r\n");
        assert_eq!(negotiate(&hasty, 30), Verdict::TooShort(MinSE::new("90")));
        for headers in [
            "",
            "Session-Expires: 1800\r\n",
            "Supported: timer\r\nSession-Expires: soon\r\n",
        ] {
            assert_eq!(negotiate(&request(headers), 90), Verdict::None, "{headers}");
        }
    }
}
