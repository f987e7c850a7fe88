//! The receiver over real sockets: good files, short ones, hostile names, two at once.

use std::{fs, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

async fn open() -> (tempfile::TempDir, Receiver) {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::open(dir.path(), "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    (dir, receiver)
}

/// Sends a whole request, reads all that comes back.
async fn talk(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    rest_of(stream).await
}

/// Sends the beginning of a request and hangs up, but listens for an answer.
async fn break_off(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    rest_of(stream).await
}

async fn rest_of(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the receiver answers or closes")
        .ok();
    String::from_utf8_lossy(&answer).into_owned()
}

fn put(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: audio/mpeg\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Waits for the unfinished file of an aborted request to vanish.
async fn until_empty(dir: &Path) {
    timeout(PATIENCE, async {
        while !names(dir).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("an unfinished file stayed behind");
}

#[tokio::test]
async fn a_whole_file_arrives_under_its_name_and_is_told() {
    let (dir, mut receiver) = open().await;
    let body: Vec<u8> = (0..700_000_u32).map(|n| (n * 31) as u8).collect();
    let path = "/recordings/4f/call_recording_abc%40demo.mp3";
    let answer = talk(receiver.address(), &put(path, &body)).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");

    let arrival = timeout(PATIENCE, receiver.next_arrival())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(arrival.request, path);
    assert_eq!(arrival.bytes, body.len() as u64);
    assert_eq!(arrival.content_type.as_deref(), Some("audio/mpeg"));
    assert_eq!(arrival.method, Method::PUT);
    assert_eq!(names(dir.path()), ["call_recording_abc@demo.mp3"]);
    assert_eq!(fs::read(&arrival.file).unwrap(), body);

    let again = talk(receiver.address(), &put(path, b"newer")).await;
    assert!(again.starts_with("HTTP/1.1 200 "), "{again}");
    assert_eq!(fs::read(&arrival.file).unwrap(), b"newer");
    receiver.stop().await;
}

#[tokio::test]
async fn a_chunked_post_is_taken_too() {
    let (dir, receiver) = open().await;
    let request = b"POST /a.wav HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = talk(receiver.address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(fs::read(dir.path().join("a.wav")).unwrap(), b"abcde");
}

#[tokio::test]
async fn a_short_body_leaves_nothing_behind() {
    let (dir, mut receiver) = open().await;
    let mut short = put("/a.mp3", &vec![7; 300_000]);
    short.truncate(short.len() - 1);
    let answer = break_off(receiver.address(), &short).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    until_empty(dir.path()).await;
    assert!(receiver.arrivals.try_recv().is_err());

    let chunked = b"PUT /a.mp3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc";
    let answer = break_off(receiver.address(), chunked).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    until_empty(dir.path()).await;
}

#[tokio::test]
async fn no_name_leads_out_of_the_folder() {
    let (dir, receiver) = open().await;
    for path in [
        "/../../evil.mp3",
        "/a/..%2f..%2fevil.mp3",
        "/..",
        "/%2e%2e",
        "/.hidden",
        "/a%00b.mp3",
        "/c%5C..%5Cd.mp3",
        "/x.AAAAAA.part",
    ] {
        let answer = talk(receiver.address(), &put(path, b"x")).await;
        assert!(answer.starts_with("HTTP/1.1 20"), "{path}: {answer}");
    }
    assert_eq!(
        names(dir.path()),
        [
            "%2E.",
            "%2E.%2F..%2Fevil.mp3",
            "%2Ehidden",
            "a%00b.mp3",
            "c%5C..%5Cd.mp3",
            "evil.mp3",
            "x.AAAAAA%2Epart",
        ]
    );
    let outside = dir.path().parent().unwrap().join("evil.mp3");
    assert!(!outside.exists());
}

#[tokio::test]
async fn what_is_no_upload_is_refused_with_a_reason() {
    let (dir, receiver) = open().await;
    let long = format!("/{}", "a".repeat(300));
    for (request, code) in [
        (put("/folder/", b"x"), "400"),
        (put(&long, b"x"), "414"),
        (
            b"GET /a.mp3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
            "405",
        ),
    ] {
        let answer = talk(receiver.address(), &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
    assert!(names(dir.path()).is_empty());
}

#[tokio::test]
async fn two_at_once_under_one_name_never_mix() {
    let (dir, mut receiver) = open().await;
    let address = receiver.address();
    let (ones, twos) = (vec![1_u8; 400_000], vec![2_u8; 300_000]);
    let (first, second) = (put("/a.mp3", &ones), put("/a.mp3", &twos));
    // The first is halfway when the second comes and goes.
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(&first[..200_000]).await.unwrap();
    let answer = talk(address, &second).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(fs::read(dir.path().join("a.mp3")).unwrap(), twos);
    slow.write_all(&first[200_000..]).await.unwrap();
    let answer = rest_of(slow).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(fs::read(dir.path().join("a.mp3")).unwrap(), ones);
    assert_eq!(names(dir.path()), ["a.mp3"]);
    assert_eq!(receiver.next_arrival().await.unwrap().bytes, 300_000);
    assert_eq!(receiver.next_arrival().await.unwrap().bytes, 400_000);
}
