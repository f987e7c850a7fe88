//! A phone made of plain SIP text over UDP: says exactly what a test wants and shows exactly what came back.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use callreel_proto::{CallId, random_hex};
use rsipstack::dialog::authenticate::compute_digest;
use rsipstack::sip::headers::auth::Algorithm;
use tokio::net::UdpSocket;

use super::{REALM, soon};

/// A SIP message as it came.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) start: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Message {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap().to_owned();
        let headers = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self {
            start,
            headers,
            body: body.to_owned(),
        }
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let wanted = name.to_ascii_lowercase();
        let found = self.headers.iter().filter(|(n, _)| *n == wanted);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// A header that must be there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert!(!all.is_empty(), "no {name} in {self:#?}");
        all[0]
    }

    /// The status of a response, 0 for a request.
    pub(crate) fn status(&self) -> u16 {
        let rest = self.start.strip_prefix("SIP/2.0 ").unwrap_or("0");
        rest.split(' ').next().unwrap().parse().unwrap()
    }

    /// The method of a request.
    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap()
    }

    /// The URI in Contact.
    pub(crate) fn contact(&self) -> &str {
        let contact = self.header("Contact");
        contact
            .split('<')
            .nth(1)
            .unwrap()
            .split('>')
            .next()
            .unwrap()
    }

    /// The RTP address of a session description.
    pub(crate) fn rtp(&self) -> SocketAddr {
        let find = |prefix: &str| {
            let line = self.body.lines().find(|l| l.starts_with(prefix));
            line.unwrap_or_else(|| panic!("no {prefix} in {}", self.body))
                .to_owned()
        };
        let ip = find("c=IN IP4 ").split(' ').nth(2).unwrap().to_owned();
        let port = find("m=audio ").split(' ').nth(1).unwrap().to_owned();
        format!("{ip}:{port}").parse().unwrap()
    }
}

/// One call from a phone's point of view.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) call_id: CallId,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) cseq: u32,
    pub(crate) branch: String,
    /// Where requests within the dialog go.
    pub(crate) target: String,
}

/// A phone.
pub(crate) struct Phone {
    pub(crate) user: String,
    password: String,
    pub(crate) socket: UdpSocket,
    /// Its RTP socket.
    pub(crate) rtp: UdpSocket,
    pub(crate) switch: SocketAddr,
    registration: String,
    cseq: AtomicU32,
    last: Mutex<Vec<u8>>,
}

/// A session description with PCMU, PCMA and digits.
pub(crate) fn sdp(rtp: SocketAddr) -> String {
    sdp_with(rtp, "0 8 101", "sendrecv")
}

/// A session description with these formats and this direction.
pub(crate) fn sdp_with(rtp: SocketAddr, formats: &str, direction: &str) -> String {
    format!(
        "v=0\r\no=phone 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na={direction}\r\n",
        ip = rtp.ip(),
        port = rtp.port()
    )
}

impl Phone {
    pub(crate) async fn new(user: &str, password: &str, switch: SocketAddr) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            rtp: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            switch,
            registration: random_hex(16),
            cseq: AtomicU32::new(1),
            last: Mutex::default(),
        }
    }

    /// The same phone with another password.
    pub(crate) fn with_password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// This phone's session description.
    pub(crate) fn sdp(&self) -> String {
        sdp(self.rtp.local_addr().unwrap())
    }

    /// Sends text; line ends become CRLF, `Content-Length` is added.
    pub(crate) async fn send(&self, head: &str, body: &str) {
        let mut text = head.trim_end().replace('\n', "\r\n");
        write!(text, "\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        *self.last.lock().unwrap() = text.clone().into_bytes();
        self.socket
            .send_to(text.as_bytes(), self.switch)
            .await
            .unwrap();
    }

    /// Repeats what was sent last, as phones do over UDP (RFC 3261 §17.1.1.2), for as long as it is awaited.
    pub(crate) async fn insist(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let last = self.last.lock().unwrap().clone();
            self.socket.send_to(&last, self.switch).await.unwrap();
        }
    }

    /// The next message.
    pub(crate) async fn receive(&self) -> Message {
        let mut buffer = vec![0; 65_536];
        let what = format!("a message to {}", self.user);
        let (length, _) = soon(&what, self.socket.recv_from(&mut buffer))
            .await
            .unwrap();
        Message::read(&buffer[..length])
    }

    /// The next final or provisional response other than 100.
    pub(crate) async fn response(&self) -> Message {
        loop {
            let message = self.receive().await;
            assert!(message.status() > 0, "a request came: {message:#?}");
            if message.status() > 100 {
                return message;
            }
        }
    }

    /// The next final response.
    pub(crate) async fn final_response(&self) -> Message {
        loop {
            let message = self.response().await;
            if message.status() >= 200 {
                return message;
            }
        }
    }

    /// The next request of this method; repetitions of others are passed over.
    pub(crate) async fn request(&self, method: &str) -> Message {
        loop {
            let message = self.receive().await;
            if message.method() == method {
                return message;
            }
            assert!(
                message.status() > 0 || message.method() == "INVITE",
                "{message:#?}"
            );
        }
    }

    /// REGISTERs for so many seconds, with credentials when asked; the last answer.
    pub(crate) async fn register(&self, expires: u32) -> Message {
        let contact = format!(
            "Contact: <sip:{}@{}>\nExpires: {expires}\n",
            self.user,
            self.address()
        );
        self.register_with(&contact).await
    }

    /// REGISTERs with these headers.
    pub(crate) async fn register_with(&self, headers: &str) -> Message {
        self.register_once(headers, "").await;
        let challenge = self.response().await;
        if challenge.status() != 401 {
            return challenge;
        }
        let auth = self.answer_to(
            challenge.header("WWW-Authenticate"),
            "REGISTER",
            &format!("sip:{REALM}"),
            1,
        );
        self.register_once(headers, &format!("Authorization: {auth}\n"))
            .await;
        self.response().await
    }

    /// One REGISTER.
    pub(crate) async fn register_once(&self, headers: &str, auth: &str) {
        let cseq = self.cseq.fetch_add(1, Ordering::Relaxed);
        let head = format!(
            "REGISTER sip:{REALM} SIP/2.0\nVia: SIP/2.0/UDP {address};rport;branch=z9hG4bK{branch}\nMax-Forwards: 70\n\
             From: <sip:{user}@{REALM}>;tag=reg\nTo: <sip:{user}@{REALM}>\nCall-ID: {id}\nCSeq: {cseq} REGISTER\n{headers}{auth}",
            address = self.address(),
            branch = random_hex(10),
            user = self.user,
            id = self.registration,
        );
        self.send(&head, "").await;
    }

    /// The credentials a challenge asks for.
    pub(crate) fn answer_to(&self, challenge: &str, method: &str, uri: &str, count: u32) -> String {
        let find = |key: &str| {
            let rest = challenge.split(&format!("{key}=")).nth(1).unwrap();
            rest.trim_start_matches('"')
                .split(['"', ','])
                .next()
                .unwrap()
                .to_owned()
        };
        let (realm, nonce) = (find("realm"), find("nonce"));
        let user = &self.user;
        let method = method.parse().unwrap();
        let hashed = format!("{nonce}:{count:08x}:c0ffee:auth");
        let response = compute_digest(
            user,
            &self.password,
            &realm,
            &hashed,
            &method,
            uri,
            Algorithm::Md5,
            None,
        );
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
             algorithm=MD5, qop=auth, nc={count:08x}, cnonce=\"c0ffee\""
        )
    }

    /// Dials a number and answers the challenge.
    pub(crate) async fn dial(&self, number: &str) -> Call {
        self.dial_with(number, "", &self.sdp()).await
    }

    /// Dials with further headers and this body.
    pub(crate) async fn dial_with(&self, number: &str, headers: &str, body: &str) -> Call {
        let call_id = format!("{}@phone", random_hex(12));
        self.dial_call(&call_id, number, headers, body).await
    }

    /// Dials a number under this Call-ID.
    pub(crate) async fn dial_as(&self, call_id: &str, number: &str) -> Call {
        self.dial_call(call_id, number, "", &self.sdp()).await
    }

    async fn dial_call(&self, call_id: &str, number: &str, headers: &str, body: &str) -> Call {
        let mut call = Call {
            call_id: CallId::new(call_id),
            from: format!(
                "\"{0} A.\" <sip:{0}@{REALM}>;tag={1}",
                self.user,
                random_hex(8)
            ),
            to: format!("<sip:{number}@{REALM}>"),
            cseq: 1,
            branch: random_hex(10),
            target: format!("sip:{number}@{REALM}"),
        };
        self.invite(&call, headers, body).await;
        let challenge = self.final_response().await;
        assert_eq!(challenge.status(), 407, "{challenge:#?}");
        self.ack(&call, &challenge, "").await;
        let auth = self.answer_to(
            challenge.header("Proxy-Authenticate"),
            "INVITE",
            &call.target,
            1,
        );
        call.cseq = 2;
        call.branch = random_hex(10);
        self.invite(
            &call,
            &format!("{headers}Proxy-Authorization: {auth}\n"),
            body,
        )
        .await;
        call
    }

    /// One INVITE of a call.
    pub(crate) async fn invite(&self, call: &Call, headers: &str, body: &str) {
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\n"
        };
        let head = format!(
            "{}{content}{headers}",
            self.head("INVITE", call, &call.branch)
        );
        self.send(&head, body).await;
    }

    fn head(&self, method: &str, call: &Call, branch: &str) -> String {
        format!(
            "{method} {target} SIP/2.0\nVia: SIP/2.0/UDP {address};rport;branch=z9hG4bK{branch}\nMax-Forwards: 70\n\
             From: {from}\nTo: {to}\nCall-ID: {id}\nCSeq: {cseq} {method}\nContact: <sip:{user}@{address}>\n",
            target = call.target,
            address = self.address(),
            from = call.from,
            to = call.to,
            id = call.call_id,
            cseq = call.cseq,
            user = self.user,
        )
    }

    /// Acknowledges a final response; a 2xx also gives the call its dialog.
    pub(crate) async fn ack(&self, call: &Call, response: &Message, body: &str) -> Call {
        let mut call = call.clone();
        response.header("To").clone_into(&mut call.to);
        let is_success = response.status() < 300;
        let branch = match is_success {
            true => random_hex(10),
            false => call.branch.clone(),
        };
        if is_success {
            response.contact().clone_into(&mut call.target);
        }
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\n"
        };
        let head = format!("{}{content}", self.head("ACK", &call, &branch));
        self.send(&head, body).await;
        call
    }

    /// Sends a request within a call.
    pub(crate) async fn within(&self, call: &mut Call, method: &str, headers: &str, body: &str) {
        call.cseq += 1;
        call.branch = random_hex(10);
        let head = format!("{}{headers}", self.head(method, call, &call.branch));
        self.send(&head, body).await;
    }

    /// Gives up before the answer.
    pub(crate) async fn cancel(&self, call: &Call) {
        self.send(&self.head("CANCEL", call, &call.branch), "")
            .await;
    }

    /// Answers a request.
    pub(crate) async fn reply(&self, request: &Message, status: &str, headers: &str, body: &str) {
        let mut head = format!("SIP/2.0 {status}\n");
        for via in request.all("Via") {
            writeln!(head, "Via: {via}").unwrap();
        }
        let to = request.header("To");
        let tag = if to.contains(";tag=") {
            ""
        } else {
            ";tag=callee"
        };
        write!(
            head,
            "From: {}\nTo: {to}{tag}\nCall-ID: {}\nCSeq: {}\nContact: <sip:{}@{}>\n{headers}",
            request.header("From"),
            request.header("Call-ID"),
            request.header("CSeq"),
            self.user,
            self.address(),
        )
        .unwrap();
        if !body.is_empty() {
            head.push_str("Content-Type: application/sdp\n");
        }
        self.send(&head, body).await;
    }

    /// Answers an INVITE with 200 and takes the ACK.
    pub(crate) async fn pick_up(&self, invite: &Message) {
        self.reply(invite, "200 OK", "", &self.sdp()).await;
        self.request("ACK").await;
    }

    /// The dialog of a call this phone was called in.
    pub(crate) fn called(&self, invite: &Message) -> Call {
        Call {
            call_id: CallId::new(invite.header("Call-ID")),
            from: format!("{};tag=callee", invite.header("To")),
            to: invite.header("From").to_owned(),
            cseq: 0,
            branch: String::new(),
            target: invite.contact().to_owned(),
        }
    }

    /// Sends 20 ms of µ-law as one RTP packet.
    pub(crate) async fn speak(&self, to: SocketAddr, sequence: u16, sample: u8) {
        let mut packet = vec![0x80, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 160).to_be_bytes());
        packet.extend(0x0102_0304_u32.to_be_bytes());
        packet.extend([sample; 160]);
        self.rtp.send_to(&packet, to).await.unwrap();
    }

    /// The next RTP packet: payload type and payload.
    pub(crate) async fn hear(&self) -> (u8, Vec<u8>) {
        let mut buffer = vec![0; 2048];
        let what = format!("RTP to {}", self.user);
        let (length, _) = soon(&what, self.rtp.recv_from(&mut buffer)).await.unwrap();
        (buffer[1] & 0x7f, buffer[12..length].to_vec())
    }
}
