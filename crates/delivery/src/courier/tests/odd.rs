//! Receivers that answer too early, too slowly, or nonsense.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

/// Larger than what sockets of both sides buffer, so that a receiver that does not read keeps it from being sent.
const BIG: usize = 32 * 1024 * 1024;

/// A receiver that does this with every connection.
async fn raw<F, W>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    at
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

/// Takes what comes until the other side is done.
async fn drain(stream: &mut TcpStream) {
    let mut sink = vec![0; 64 * 1024];
    while !matches!(stream.read(&mut sink).await, Ok(0) | Err(_)) {}
}

async fn carried(at: SocketAddr, bytes: usize) -> String {
    reason(carry(&config(), &format!("http://{at}/r"), &file(bytes)).await)
}

#[tokio::test]
async fn a_receiver_that_answers_before_it_has_read_the_file_is_heard() {
    let at = raw(|mut stream| async move {
        read_head(&mut stream).await;
        let refusal =
            b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big";
        stream.write_all(refusal).await.unwrap();
        drain(&mut stream).await;
    })
    .await;
    assert_eq!(carried(at, BIG).await, "the receiver answered 413: too big");
}

#[tokio::test]
async fn a_receiver_that_closes_before_it_has_read_the_file_has_not_taken_it() {
    let at = raw(|mut stream| async move { read_head(&mut stream).await }).await;
    let why = carried(at, BIG).await;
    assert!(why.starts_with("error sending request"), "{why}");
}

#[tokio::test]
async fn a_success_before_the_file_is_sent_is_none() {
    let at = raw(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        drain(&mut stream).await;
    })
    .await;
    let why = carried(at, BIG).await;
    assert_eq!(
        why,
        "the receiver answered 200 before it had the whole file"
    );
}

#[tokio::test]
async fn words_before_the_answer_are_not_the_answer() {
    let at = raw(|mut stream| async move {
        read_head(&mut stream).await;
        let meanwhile = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n";
        stream.write_all(meanwhile).await.unwrap();
        let mut body = vec![0; 10];
        stream.read_exact(&mut body).await.unwrap();
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let verdict = carry(&config(), &format!("http://{at}/"), &file(10)).await;
    assert_eq!(verdict, Verdict::Delivered);
}

#[tokio::test]
async fn a_slow_receiver_of_a_large_file_gets_all_the_time_it_needs() {
    let at = raw(|mut stream| async move {
        read_head(&mut stream).await;
        let (mut left, mut sink) = (BIG, vec![0; 1024 * 1024]);
        while left > 0 {
            left -= stream.read(&mut sink).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let verdict = carry(&config(), &format!("http://{at}/"), &file(BIG)).await;
    assert_eq!(verdict, Verdict::Delivered);
}

#[tokio::test]
async fn an_answer_that_drips_or_never_ends_costs_no_more_than_the_patience() {
    let head = |text: &'static [u8]| {
        move |mut stream: TcpStream| async move {
            read_head(&mut stream).await;
            for byte in text.iter().cycle() {
                let written = stream.write_all(&[*byte]).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                if written.is_err() {
                    return;
                }
            }
        }
    };
    let began = std::time::Instant::now();
    let why = carried(raw(head(b"HTTP/1.1 503 Busy\r\nX-Pad: ")).await, 1).await;
    assert_eq!(why, "no progress for 1 s (delivery.stall_timeout_s)");
    let endless = raw(|mut stream| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 503 Busy\r\nContent-Length: 1000\r\n\r\nbusy";
        stream.write_all(head).await.unwrap();
        drain(&mut stream).await;
    })
    .await;
    assert_eq!(carried(endless, 1).await, "the receiver answered 503: busy");
    assert!(began.elapsed() < Duration::from_secs(20), "{began:?}");
}

#[tokio::test]
async fn a_try_ends_after_its_whole_time_whatever_moves() {
    let at = raw(|mut stream| async move {
        read_head(&mut stream).await;
        let mut sink = vec![0; 1024];
        while !matches!(stream.read(&mut sink).await, Ok(0) | Err(_)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // A stall may be longer: large buffers let a slow receiver look like one that has stopped.
    let impatient = DeliveryConfig {
        stall_timeout_s: 60,
        total_timeout_s: 1,
        ..config()
    };
    let why = reason(carry(&impatient, &format!("http://{at}/"), &file(BIG)).await);
    assert_eq!(why, "not done after 1 s (delivery.total_timeout_s)");
}

#[tokio::test]
async fn answers_that_are_no_http_and_broken_redirects_are_failures_that_may_pass() {
    for (said, expected) in [
        (&b"SSH-2.0-OpenSSH\r\n"[..], "error sending request"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://h/\r\n\tX: y\r\n\r\n", "error sending request"),
        (b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n", "redirected to something that is no URL"),
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://h/\r\nContent-Length: 0\r\n\r\n", "redirected to ftp"),
        (b"HTTP/1.1 302 Found\r\nLocation: //169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n", "169.254.169.254 is a link-local address"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://user@[::1]/\r\nContent-Length: 0\r\n\r\n", "[::1] is a loopback address"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "the receiver answered 302: a redirect without a Location"),
        (b"HTTP/1.1 303 See Other\r\nLocation: /done\r\nContent-Length: 0\r\n\r\n", "the receiver answered 303: a redirect that drops the file"),
    ] {
        let at = raw(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.read_u8().await.unwrap();
            stream.write_all(said).await.unwrap();
            drain(&mut stream).await;
        })
        .await;
        let why = carried(at, 1).await;
        assert!(why.starts_with(expected), "{why}");
    }
}
