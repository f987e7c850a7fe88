//! Where a redirect leads, and which redirects are followed. Pure: the guard judges every address when it is connected to.

use reqwest::{
    StatusCode,
    header::{HeaderMap, LOCATION},
};
use url::Url;

/// The next place of a redirect: the same method and body go there, as Kazoo does for 301 and 302. `None`: the answer is no
/// redirect that can be followed, and means what its status says.
///
/// Credentials stay with their origin: those of `from` go on to the same one, and what a `Location` brings along is not used
/// (RFC 9110 §4.2.4). Encryption is never given up.
///
/// # Errors
/// It leads to where nothing is sent. The text says why.
pub fn next_hop(
    from: &Url,
    status: StatusCode,
    headers: &HeaderMap,
) -> Option<Result<Url, String>> {
    let moved = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = headers.get(LOCATION).filter(|_| moved)?;
    let joined = location.to_str().ok().and_then(|to| from.join(to).ok());
    Some(judged(from, joined))
}

fn judged(from: &Url, next: Option<Url>) -> Result<Url, String> {
    let Some(mut next) = next.filter(Url::has_host) else {
        return Err("redirected to something that is no URL of a host".to_owned());
    };
    match (from.scheme(), next.scheme()) {
        ("https", "http") => {
            return Err("redirected from https to http, which would give up encryption".to_owned());
        }
        (_, "http" | "https") => {}
        (_, other) => {
            return Err(format!(
                "redirected to {other}: only http and https are followed"
            ));
        }
    }
    let (user, password) = if next.origin() == from.origin() {
        (from.username(), from.password())
    } else {
        ("", None)
    };
    let takes = "http and https URLs have a host, and such URLs take credentials";
    next.set_username(user).expect(takes);
    next.set_password(password).expect(takes);
    // No server ever sees it.
    next.set_fragment(None);
    Ok(next)
}

/// What an answer that leads elsewhere, but not to where a file could follow, has to say for itself.
pub fn explain(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::SEE_OTHER => {
            "a redirect that drops the file is not followed; answer 307 or 308 to have it sent elsewhere"
        }
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => "a redirect without a Location",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(from: &str, status: u16, location: &str) -> Option<Result<String, String>> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let next = next_hop(&from.parse().unwrap(), status, &headers)?;
        Some(next.map(String::from))
    }

    #[test]
    fn only_redirects_that_keep_method_and_body_are_followed() {
        for status in [301, 302, 307, 308] {
            let next = hop("http://h/a", status, "/b").unwrap();
            assert_eq!(next.unwrap(), "http://h/b", "{status}");
        }
        for status in [200, 201, 300, 303, 304, 305, 306, 400, 500] {
            assert_eq!(hop("http://h/a", status, "/b"), None, "{status}");
        }
        let bare = HeaderMap::new();
        let from = "http://h/".parse().unwrap();
        assert_eq!(next_hop(&from, StatusCode::FOUND, &bare), None);
        assert!(
            explain(StatusCode::FOUND)
                .unwrap()
                .contains("without a Location")
        );
        assert!(
            explain(StatusCode::SEE_OTHER)
                .unwrap()
                .contains("307 or 308")
        );
        assert_eq!(explain(StatusCode::NOT_FOUND), None);
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let at = "https://u:p@h/r/a?x=1#f";
        for (location, expected) in [
            ("b", "https://u:p@h/r/b"),
            ("?y=2", "https://u:p@h/r/a?y=2"),
            ("/b#g", "https://u:p@h/b"),
            ("https://h/b", "https://u:p@h/b"),
            ("https://h:443/b", "https://u:p@h/b"),
            ("https://eve:x@h/b", "https://u:p@h/b"),
            ("//other/b", "https://other/b"),
            ("https://h:8443/b", "https://h:8443/b"),
            ("https://eve:x@other/b", "https://other/b"),
            ("https://h@other/b", "https://other/b"),
            ("\\\\other\\b", "https://other/b"),
            (
                "/b%0d%0aX-Injected:%20yes",
                "https://u:p@h/b%0d%0aX-Injected:%20yes",
            ),
            ("/b\tc", "https://u:p@h/bc"),
        ] {
            let next = hop(at, 307, location).unwrap();
            assert_eq!(next.as_deref(), Ok(expected), "{location}");
        }
    }

    #[test]
    fn a_redirect_leads_to_no_other_protocol_and_never_out_of_encryption() {
        for (from, location, reason) in [
            ("https://h/", "http://h/", "redirected from https to http"),
            (
                "https://h/",
                "http://other/",
                "redirected from https to http",
            ),
            ("http://h/", "ftp://h/x", "redirected to ftp"),
            (
                "http://h/",
                "file:///etc/passwd",
                "redirected to something that is no URL",
            ),
            ("http://h/", "file://h/etc/passwd", "redirected to file"),
            (
                "http://h/",
                "javascript:alert(1)",
                "redirected to something that is no URL",
            ),
            (
                "http://h/",
                "http://",
                "redirected to something that is no URL",
            ),
            (
                "http://h/",
                "http://[::1/",
                "redirected to something that is no URL",
            ),
        ] {
            let refused = hop(from, 302, location).unwrap().unwrap_err();
            assert!(refused.starts_with(reason), "{location}: {refused}");
        }
        assert!(hop("http://h/", 302, "https://h/").unwrap().is_ok());
    }
}
