//! Digest authentication (RFC 8760): reads what a phone answers and checks it against a password. Pure.

use rsipstack::dialog::authenticate::compute_digest;
use rsipstack::sip::Method;
use rsipstack::sip::headers::auth::Algorithm;
use rsipstack::sip::typed::tokenizers::AuthTokenizer;

use crate::DigestAlgorithm;

/// The parameters of an `Authorization` or `Proxy-Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) username: String,
    pub(crate) realm: String,
    pub(crate) nonce: String,
    uri: String,
    response: String,
    algorithm: DigestAlgorithm,
    /// `nc` and `cnonce`, when the phone used `qop=auth`.
    counted: Option<(String, String)>,
}

impl Answer {
    /// Reads a header's value; `None` if it is no digest we can check.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let header = AuthTokenizer::parse(value).ok()?;
        if !header.scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let find = |name: &str| {
            header
                .params
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| (*value).to_owned())
        };
        let algorithm = match find("algorithm") {
            None => DigestAlgorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case("md5") => DigestAlgorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case("sha-256") => DigestAlgorithm::Sha256,
            Some(_) => return None,
        };
        let counted = match find("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => Some((find("nc")?, find("cnonce")?)),
            Some(_) => return None,
        };
        Some(Self {
            username: find("username")?,
            realm: find("realm")?,
            nonce: find("nonce")?,
            uri: find("uri")?,
            response: find("response")?,
            algorithm,
            counted,
        })
    }

    /// The use counter of the nonce; an answer without one counts as the first.
    pub(crate) fn count(&self) -> Option<u32> {
        match &self.counted {
            Some((count, _)) => u32::from_str_radix(count, 16).ok(),
            None => Some(1),
        }
    }

    /// Whether who wrote this knows the password.
    pub(crate) fn proves(&self, password: &str, method: &Method) -> bool {
        let algorithm = match self.algorithm {
            DigestAlgorithm::Md5 => Algorithm::Md5,
            DigestAlgorithm::Sha256 => Algorithm::Sha256,
        };
        // With qop the hash covers `nonce:nc:cnonce:qop` where it covers `nonce` without (RFC 7616 §3.4.1): given as one
        // string, since the library reads `nc` as a decimal byte.
        let nonce = match &self.counted {
            Some((count, cnonce)) => format!("{}:{count}:{cnonce}:auth", self.nonce),
            None => self.nonce.clone(),
        };
        let expected = compute_digest(
            &self.username,
            password,
            &self.realm,
            &nonce,
            method,
            &self.uri,
            algorithm,
            None,
        );
        expected.eq_ignore_ascii_case(&self.response)
    }
}

/// The value of one challenge header.
pub(crate) fn challenge(
    algorithm: DigestAlgorithm,
    realm: &str,
    nonce: &str,
    stale: bool,
) -> String {
    let realm = realm.replace(['"', '\\'], "");
    let name = algorithm.name();
    let stale = if stale { ", stale=true" } else { "" };
    format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}")
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7616 §3.9.1, with the method it uses.
    const COMMON: &str = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
        nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
        cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
        opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

    // The example's method is GET, which SIP has not: the expected hashes are of INVITE, computed independently.
    fn answer(algorithm: &str, response: &str) -> Answer {
        Answer::read(&format!(
            "{COMMON}, algorithm={algorithm}, response=\"{response}\""
        ))
        .unwrap()
    }

    #[test]
    fn the_right_password_is_recognised_in_both_algorithms() {
        for (algorithm, response) in [
            ("MD5", "317edef2aa0ac042d134687ac15fe3dd"),
            (
                "SHA-256",
                "fa6e7635cae159ef3ca3e480ad7992dee54d763e8567b5a9829860eb07d11fc9",
            ),
        ] {
            let answer = answer(algorithm, response);
            assert!(
                answer.proves("Circle of Life", &Method::Invite),
                "{algorithm}"
            );
            assert!(!answer.proves("circle of life", &Method::Invite));
            assert!(!answer.proves("Circle of Life", &Method::Register));
            assert_eq!(answer.count(), Some(1));
        }
    }

    #[test]
    fn a_counter_beyond_nine_is_hexadecimal() {
        let answer = Answer::read(
            &format!("{COMMON}, response=\"x\"").replace("nc=00000001", "nc=0000001a"),
        );
        assert_eq!(answer.unwrap().count(), Some(26));
    }

    #[test]
    fn what_is_no_digest_is_not_read() {
        for value in [
            "",
            "Basic dXNlcjpwdw==",
            "Digest",
            "Digest username=\"a\"",
            "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\", response=\"r\", algorithm=MD5-sess",
            "Digest username=\"a, realm=r",
        ] {
            assert_eq!(Answer::read(value), None, "{value}");
        }
    }
}
