//! A receiver in a bad mood: half of what it is sent it refuses, stalls, breaks off or sends elsewhere. It keeps account of
//! every file that came whole, and of which life of the node sent it.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rand::{RngExt as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

/// A file that came whole.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// Its Idempotency-Key.
    pub(super) key: String,
    /// The node's life that sent it, as its User-Agent says.
    pub(super) life: u32,
    /// The last part of the path.
    pub(super) name: String,
    /// The digest of what came.
    pub(super) digest: String,
    /// What Repr-Digest says that it is.
    pub(super) declared: String,
    /// Whether it was answered 200.
    pub(super) accepted: bool,
}

#[derive(Clone, Copy, Debug)]
enum Mood {
    Accepts,
    /// Takes the body in small pieces, and answers 200 letter by letter.
    Drips,
    /// Takes the whole file and answers this.
    Answers(&'static str),
    /// Takes the whole file and never answers.
    Hangs,
    /// Takes half of the file and breaks the connection.
    Breaks,
}

/// Every mood, as often as it comes in ten requests: half of them are good.
const MOODS: [Mood; 10] = [
    Mood::Accepts,
    Mood::Accepts,
    Mood::Accepts,
    Mood::Accepts,
    Mood::Drips,
    Mood::Answers("500 Internal Server Error"),
    Mood::Answers("429 Too Many Requests\r\nRetry-After: 1"),
    Mood::Answers("307 Temporary Redirect\r\nLocation: "),
    Mood::Hangs,
    Mood::Breaks,
];

struct Shared {
    dice: Mutex<StdRng>,
    good: AtomicBool,
    over: AtomicBool,
    busy: AtomicUsize,
    requests: AtomicUsize,
    arrivals: Mutex<Vec<Arrival>>,
    /// The first whole body of each key.
    bodies: Mutex<BTreeMap<String, Vec<u8>>>,
}

/// A running one; it stops when dropped.
pub(super) struct Moody {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Moody {
    pub(super) fn start(address: SocketAddr, dice: StdRng) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let shared = Arc::new(Shared {
            dice: Mutex::new(dice),
            good: AtomicBool::new(false),
            over: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            arrivals: Mutex::default(),
            bodies: Mutex::default(),
        });
        let serves = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serves.over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = serves.clone();
                // A connection that the node's death breaks is nobody's fault.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    /// From now on it takes everything.
    pub(super) fn mends(&self) {
        self.shared.good.store(true, Ordering::Relaxed);
    }

    /// Whether a file is on its way to it now.
    pub(super) fn is_busy(&self) -> bool {
        self.shared.busy.load(Ordering::Relaxed) > 0
    }

    /// Requests that came, whole or not.
    pub(super) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals.lock().unwrap().clone()
    }

    pub(super) fn body(&self, key: &str) -> Vec<u8> {
        self.shared.bodies.lock().unwrap()[key].clone()
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

/// The head of a request.
struct Head {
    path: String,
    headers: BTreeMap<String, String>,
}

impl Head {
    fn read(from: &mut impl BufRead) -> std::io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let path = lines[0].split(' ').nth(1).unwrap().to_owned();
        let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
        let headers = headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Ok(Self { path, headers })
    }

    /// Where a request is sent on to: half of the time to itself for ever.
    fn elsewhere(&self, name: &str, for_ever: bool) -> String {
        if for_ever {
            format!("{}?for-ever", self.path)
        } else {
            format!("/elsewhere/{name}")
        }
    }
}

impl Shared {
    fn mood(&self, path: &str) -> Mood {
        if path.ends_with("for-ever") {
            return MOODS[7];
        }
        if self.good.load(Ordering::Relaxed) {
            return Mood::Accepts;
        }
        MOODS[self.dice.lock().unwrap().random_range(0..MOODS.len())]
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::with_capacity(4096, stream);
        let head = Head::read(&mut reader)?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.busy.fetch_add(1, Ordering::Relaxed);
        let mood = self.mood(&head.path);
        let served = self.answer(&head, mood, &mut reader, &mut writer);
        self.busy.fetch_sub(1, Ordering::Relaxed);
        served
    }

    fn answer(
        &self,
        head: &Head,
        mood: Mood,
        reader: &mut impl Read,
        writer: &mut TcpStream,
    ) -> std::io::Result<()> {
        let length: usize = head.headers["content-length"].parse().unwrap();
        let mut body = vec![0; length];
        match mood {
            // What is not read when the socket is closed makes a reset of it.
            Mood::Breaks => return reader.read_exact(&mut body[..length / 2]),
            Mood::Drips => {
                for part in body.chunks_mut(length / 16 + 1) {
                    reader.read_exact(part)?;
                    std::thread::park_timeout(Duration::from_millis(10));
                }
            }
            _ => reader.read_exact(&mut body)?,
        }
        let accepted = matches!(mood, Mood::Accepts | Mood::Drips);
        let name = self.keep(head, body, accepted);
        match mood {
            Mood::Hangs => {
                // Until the node loses patience or its life.
                drop(reader.read(&mut [0]));
                Ok(())
            }
            Mood::Drips => {
                for letter in answer("200 OK").chunks(1) {
                    writer.write_all(letter)?;
                    std::thread::park_timeout(Duration::from_millis(2));
                }
                Ok(())
            }
            Mood::Answers(status) if status.ends_with("Location: ") => {
                let again = head.path.ends_with("for-ever");
                let for_ever = again || self.dice.lock().unwrap().random_bool(0.5);
                let place = head.elsewhere(&name, for_ever && !again);
                let place = if again { head.path.clone() } else { place };
                writer.write_all(&answer(&format!("{status}{place}")))
            }
            Mood::Answers(status) => writer.write_all(&answer(status)),
            Mood::Accepts | Mood::Breaks => writer.write_all(&answer("200 OK")),
        }
    }

    /// Writes down what came whole, and gives the file's name.
    fn keep(&self, head: &Head, body: Vec<u8>, accepted: bool) -> String {
        let (path, _) = head.path.split_once('?').unwrap_or((&head.path, ""));
        let name = path.rsplit('/').next().unwrap().to_owned();
        let key = head.headers["idempotency-key"].clone();
        let life = head.headers["user-agent"].rsplit('-').next().unwrap();
        self.arrivals.lock().unwrap().push(Arrival {
            key: key.clone(),
            life: life.parse().unwrap(),
            name: name.clone(),
            digest: format!(
                "sha-256=:{}:",
                BASE64_STANDARD.encode(Sha256::digest(&body))
            ),
            declared: head.headers["repr-digest"].clone(),
            accepted,
        });
        self.bodies.lock().unwrap().entry(key).or_insert(body);
        name
    }
}

fn answer(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}
