//! A node under attack: strangers, garbage and floods on every port, while a recorded call goes on as if alone.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    audio::{self, listen},
    estate::{CALLEE, CALLEE_USER, CALLER, Estate, NUMBER},
    node::Node,
    receiver::Receiver,
    sipp::{Caller, Sipp, callee_answers},
};

fn recorded_user(url: &str) -> Value {
    json!({"module": "record_call", "data": {"action": "start", "format": "wav", "url": url}, "children": {"_": {
        "module": "user", "data": {"id": CALLEE_USER, "timeout": 10}, "children": {}}}})
}

/// Something done over and over until it is dropped.
struct Attack {
    over: Arc<AtomicBool>,
    rounds: Option<JoinHandle<u32>>,
}

impl Attack {
    fn with(mut round: impl FnMut(u32) + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let rounds = thread::spawn(move || {
            let mut rounds = 0;
            while !ends.load(Ordering::Relaxed) {
                round(rounds);
                rounds += 1;
                thread::park_timeout(Duration::from_millis(30));
            }
            rounds
        });
        Self {
            over,
            rounds: Some(rounds),
        }
    }

    /// Ends it; it must have come this far.
    fn ended_after(mut self, least: u32) {
        self.over.store(true, Ordering::Relaxed);
        let rounds = self.rounds.take().map(|rounds| rounds.join().unwrap());
        assert!(rounds >= Some(least), "only {rounds:?} rounds");
    }
}

fn request(method: &str, n: u32) -> Vec<u8> {
    format!(
        "{method} sip:2000@acme.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{method}{n}\r\n\
         From: <sip:'%20OR%201=1--@acme.test>;tag={n}\r\nTo: <sip:2000@acme.test>\r\nCall-ID: attack-{n}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:x@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// Bytes that look random and are the same in every run.
fn noise(n: u32, length: usize) -> Vec<u8> {
    let mut state = n.wrapping_mul(2_654_435_761) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Requests with bytes changed, cut short, too long, from nobody; and plain noise.
fn sip_garbage(sip: SocketAddr) -> Attack {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    Attack::with(move |n| {
        for method in ["INVITE", "REGISTER", "OPTIONS", "BYE", "CANCEL"] {
            let mut message = request(method, n);
            let whole = message.len();
            message[(n as usize * 31) % whole] = noise(n, 1)[0];
            drop(socket.send_to(&message, sip));
            drop(socket.send_to(&message[..(n as usize * 7) % whole], sip));
        }
        let mut endless = request("INVITE", n);
        endless.resize(60_000, b'\n');
        drop(socket.send_to(&endless, sip));
        drop(socket.send_to(&noise(n, 700), sip));
    })
}

/// Connections that say nothing, half a message, noise, or never listen.
fn tcp_garbage(sip: SocketAddr) -> Attack {
    let mut held = Vec::new();
    Attack::with(move |n| {
        let Ok(mut stream) = TcpStream::connect(sip) else {
            return;
        };
        let said = match n % 4 {
            0 => Vec::new(),
            1 => request("OPTIONS", n)[..100].to_vec(),
            2 => noise(n, 5_000),
            _ => request("OPTIONS", 1).repeat(200),
        };
        stream
            .set_write_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        drop(stream.write_all(&said));
        held.push(stream);
    })
}

/// RTP and noise of a stranger to every media port a call may have.
fn media_garbage() -> Attack {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    Attack::with(move |n| {
        let mut rtp = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 6, 6, 6, 6];
        rtp.resize(172, 0x10);
        let noise = noise(n, 172);
        // Every port in turn, a tenth in each round: what is attacked is the node, not the machine.
        for port in (20_000 + n % 10 * 2..30_000).step_by(20) {
            let datagram = if (port / 2 + n) % 3 == 0 {
                &noise
            } else {
                &rtp
            };
            let to = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
            drop(socket.send_to(datagram, to));
        }
    })
}

#[test]
fn a_recorded_call_goes_on_as_if_alone() {
    let receiver = Receiver::start();
    let node = Node::start(&Estate::with_flow(&recorded_user(&receiver.url("/r"))));
    let callee = Sipp::new(CALLEE, node.sip());
    callee.register();
    let voice = callee.audio(&audio::mulaw_tone(440.0, 20.0));
    let answering = callee.run("answer", &callee_answers(200, &voice, None));
    let caller = Sipp::new(CALLER, node.sip());
    caller.register();
    let attacks = [
        sip_garbage(node.sip()),
        tcp_garbage(node.sip()),
        media_garbage(),
    ];
    let voice = caller.audio(&audio::mulaw_tone(1000.0, 20.0));
    let scenario = Caller::dials(NUMBER)
        .answered(NUMBER)
        .streams(&voice)
        .waits(4000)
        .hangs_up(NUMBER)
        .scenario();
    caller.run("call", &scenario).completed();
    answering.completed();
    for attack in attacks {
        attack.ended_after(20);
    }
    let heard = listen(&receiver.accepted().body);
    for (channel, hz) in [(0, 1000.0), (1, 440.0)] {
        let span = heard.only_tone(channel, hz);
        // A busy machine may be late to hear that the caller has hung up.
        assert!(
            (3.75..7.0).contains(&(span.1 - span.0)),
            "{hz} Hz: {span:?}"
        );
    }
    assert!(!node.log().contains("panicked"), "something died");
}

#[test]
fn wrong_passwords_by_the_hundred_lock_nobody_out() {
    let node = Node::start(&Estate::with_flow(&recorded_user("http://127.0.0.1:9/r")));
    let guesser = Attack::with({
        let sip = node.sip();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        move |n| {
            let text = String::from_utf8(request("REGISTER", n)).unwrap();
            let guess = format!(
                "Authorization: Digest username=\"{CALLER}\", realm=\"acme.test\", nonce=\"{n}\", uri=\"sip:acme.test\", response=\"{n:032x}\"\r\nContact"
            );
            for _ in 0..10 {
                drop(socket.send_to(text.replace("Contact", &guess).as_bytes(), sip));
            }
        }
    });
    Sipp::new(CALLER, node.sip()).register();
    Sipp::new(CALLER, node.sip()).over_tcp().register();
    Sipp::new(CALLER, node.sip()).register_in_vain();
    guesser.ended_after(3);
}
