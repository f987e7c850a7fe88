//! A registrar for the phone's tests: raw SIP over UDP, one user, digest by RFC 3261 §22.

use std::net::SocketAddr;

use rsipstack::sip::{
    DigestGenerator, Header, Method, Request, SipMessage, prelude::HeadersExt, typed::Authorization,
};
use tokio::{net::UdpSocket, sync::mpsc};

const NONCE: &str = "f00dcafe";
/// More requests than any test sends.
const REQUESTS: usize = 64;

/// What the registrar answered a request with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) method: Method,
    pub(super) code: u16,
    pub(super) expires: Option<String>,
}

/// Answers REGISTER and refuses everything else with 404, once the digest is right; grants `grant_s` at most.
pub(super) async fn open(
    password: &'static str,
    grant_s: u32,
) -> (SocketAddr, mpsc::Receiver<Answered>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (tell, answered) = mpsc::channel(REQUESTS);
    tokio::spawn(async move {
        let mut datagram = [0; 4000];
        while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
            let Ok(SipMessage::Request(request)) = SipMessage::try_from(&datagram[..length]) else {
                continue;
            };
            if request.method == Method::Ack {
                continue;
            }
            let (code, phrase, extra) = answer(&request, password, grant_s);
            let text = response(&request, code, phrase, &extra);
            socket.send_to(text.as_bytes(), from).await.unwrap();
            let expires = request.headers.iter().find_map(|header| match header {
                Header::Expires(expires) => Some(expires.value().to_owned()),
                _ => None,
            });
            let method = request.method;
            tell.try_send(Answered {
                method,
                code,
                expires,
            })
            .unwrap();
        }
    });
    (address, answered)
}

fn answer(request: &Request, password: &str, grant_s: u32) -> (u16, &'static str, String) {
    let Some(given) = request.headers.iter().find_map(|header| match header {
        Header::Authorization(header) => Authorization::parse(header.value()).ok(),
        _ => None,
    }) else {
        let challenge = format!(
            "WWW-Authenticate: Digest realm=\"test.callreel\", nonce=\"{NONCE}\", algorithm=MD5, qop=\"auth\"\r\n"
        );
        return (401, "Unauthorized", challenge);
    };
    let right = DigestGenerator::from(&given, password, &request.method).verify(&given.response);
    match (right && given.nonce == NONCE, request.method) {
        (false, _) => (403, "Forbidden", String::new()),
        (true, Method::Register) => (200, "OK", format!("Expires: {grant_s}\r\n")),
        (true, _) => (404, "Not Found", String::new()),
    }
}

fn response(request: &Request, code: u16, phrase: &str, extra: &str) -> String {
    let copied: String = request
        .headers
        .iter()
        .filter(|header| {
            matches!(
                header,
                Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_)
            )
        })
        .map(|header| format!("{header}\r\n"))
        .collect();
    let to = request.to_header().unwrap().value();
    format!(
        "SIP/2.0 {code} {phrase}\r\n{copied}To: {to};tag=registrar\r\n{extra}Content-Length: 0\r\n\r\n"
    )
}
