//! How a node ends when it is asked to: running calls go on, new ones are refused, recordings are complete.

use std::{
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    audio::{self, listen},
    estate::{CALLER, Estate, NUMBER},
    eventually,
    node::Node,
    process::Process,
    receiver::Receiver,
    sipp::{Caller, Run, Sipp},
};

/// Answers, records for three seconds, hangs up.
fn three_seconds(url: &str) -> Value {
    let sleep = json!({"module": "sleep", "data": {"duration": 3}, "children": {}});
    let data = json!({"action": "start", "format": "wav", "url": url});
    let record = json!({"module": "record_call", "data": data, "children": {"_": sleep}});
    json!({"module": "answer", "data": {}, "children": {"_": record}})
}

/// A receiver that is sent a file and says nothing: who sends it waits in the middle of its upload.
struct Stalling {
    address: SocketAddr,
    taken: mpsc::Receiver<TcpStream>,
}

impl Stalling {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (told, taken) = mpsc::channel();
        // One upload; then nobody listens there any more.
        thread::spawn(move || {
            let (mut upload, _) = listener.accept().unwrap();
            let mut some = [0; 1024];
            assert!(upload.read(&mut some).unwrap() > 0);
            told.send(upload).unwrap();
        });
        Self { address, taken }
    }

    /// Waits for an upload, which lasts as long as what this returns.
    fn upload(&self) -> TcpStream {
        self.taken.recv_timeout(PATIENCE).expect("an upload begins")
    }
}

/// A phone calls, and speaks until it is hung up on.
fn calls(phone: &Sipp) -> Run {
    let voice = phone.audio(&audio::mulaw_tone(1000.0, 10.0));
    let dials = Caller::dials(NUMBER).answered(NUMBER);
    phone.run("call", &dials.streams(&voice).awaits_bye().scenario())
}

#[test]
fn what_a_node_was_uploading_and_recording_when_told_to_end_is_delivered_by_another_process() {
    let stalling = Stalling::start();
    let url = format!("http://{}/r", stalling.address);
    let mut node = Node::start(&Estate::with_flow(&three_seconds(&url)));
    let (caller, other) = (Sipp::new(CALLER, node.sip()), Sipp::new(CALLER, node.sip()));
    caller.register();
    calls(&caller).completed();
    let uploading = stalling.upload();
    let calling = calls(&other);
    eventually("the second recording to begin", || {
        (node.tickets().len() == 2).then_some(())
    });
    node.terminate();
    calling.completed();
    assert!(node.ended(), "an ordinary end");
    drop(uploading);
    assert_eq!(node.tickets().len(), 2, "both are owed");
    let receiver = Receiver::at(stalling.address, &[]);
    let log = node.data().join("heir.log");
    let mut heir = Process::new(node.config(), &["--role", "delivery"], log)
        .with_env("CALLREEL_NODE_NAME", "callreel@heir");
    heir.launch();
    for arrival in receiver.accepted_all(2) {
        let seconds = listen(&arrival.body).seconds();
        assert!((seconds - 3.0).abs() < 0.15, "{seconds} s");
    }
    eventually("nothing to be owed", || {
        node.tickets().is_empty().then_some(())
    });
    assert_eq!(receiver.arrivals().len(), 2, "each once");
}

#[test]
fn a_node_told_to_end_lets_the_running_call_finish_and_takes_no_other() {
    let receiver = Receiver::start();
    let mut node = Node::start(&Estate::with_flow(&three_seconds(&receiver.url("/r"))));
    let (caller, other) = (Sipp::new(CALLER, node.sip()), Sipp::new(CALLER, node.sip()));
    caller.register();
    let calling = calls(&caller);
    eventually("the recording to begin", || node.tickets().pop());
    node.terminate();
    eventually("the node to drain", || {
        node.log().contains("draining").then_some(())
    });
    let refused = Caller::dials(NUMBER).refused(NUMBER, 503).scenario();
    other.run("refused", &refused).completed();
    calling.completed();
    assert!(node.ended(), "an ordinary end");
    assert!(!node.log().contains("ERROR"), "nothing went wrong");
    node.launch();
    let heard = listen(&receiver.accepted().body);
    let seconds = heard.seconds();
    assert!((seconds - 3.0).abs() < 0.15, "{seconds} s");
}
