//! The intake's door, with raw HTTP: who is let in, how much is taken, and what a switch is told.

use callreel_delivery::DeliveryConfig;
use callreel_proto::{AudioFormat, Destination, RecordingFact};
use callreel_spool::{Source, Ticket};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    node::{Home, Node, PATIENCE},
    switch::{Order, Switch, file, open_intake, put, recorded},
};

struct Scene {
    _home: Home,
    node: Node,
    switch: Switch,
    ticket: Ticket,
    order: Order,
}

/// A switch has just been told to send its file.
async fn scene(config: DeliveryConfig, announced: Option<u64>) -> Scene {
    let home = Home::new();
    let node = home.start(config).await;
    let mut switch = Switch::beside(&node).await;
    let ticket = recorded(&node.spool, Destination::AccountDb, &|promise| {
        if let Source::Switch(file) = &mut promise.source {
            file.bytes = announced;
        }
    });
    node.tell_ended(&ticket).await;
    let order = switch.next_order().await;
    Scene {
        _home: home,
        node,
        switch,
        ticket,
        order,
    }
}

impl Scene {
    async fn request(&self, method: &str, headers: &str, body: &[u8]) -> TcpStream {
        request(&self.order, method, headers, body).await
    }

    async fn until_arriving(&self) {
        let arriving = async {
            while self.node.delivery.describe().await["intake"]["arriving"] != 1 {
                tokio::task::yield_now().await;
            }
        };
        let arriving = tokio::time::timeout(PATIENCE, arriving).await;
        arriving.expect("the file begins to arrive in time");
    }

    async fn retrying(&mut self) -> String {
        let notice = self.node.hear(&[RecordingFact::Retrying]).await;
        notice.detail.unwrap()
    }

    async fn delivered(&mut self) {
        self.node
            .hear(&[RecordingFact::Rendered, RecordingFact::Delivered])
            .await;
        self.node.assert_nothing_owed();
    }

    /// Nothing of a file lies beside the ticket.
    fn assert_nothing_kept(&self) {
        let path = self.node.spool.view().switch_file_path(&self.ticket);
        let dir = std::fs::read_dir(path.parent().unwrap()).unwrap();
        let names: Vec<_> = dir.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["ticket.json"]);
    }
}

/// Begins a request by hand.
async fn request(order: &Order, method: &str, headers: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(order.address()).await.unwrap();
    let path = order.path();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: callreel\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}

/// The answer's first line and its body.
async fn answer(mut stream: TcpStream) -> (String, String) {
    let mut text = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await;
    read.expect("an answer comes in time").unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let first = head.lines().next().unwrap();
    (first.to_owned(), body.to_owned())
}

#[tokio::test]
async fn an_address_is_good_for_one_file() {
    let mut scene = scene(open_intake(), None).await;
    let wav = file(AudioFormat::Wav);
    let url = scene.order.url().to_owned();
    assert_eq!(put(&url, wav.clone()).await.0, 200);
    let again = put(&url, wav.clone()).await;
    let said = "this address was good for one file, and that has arrived\n";
    assert_eq!(again, (410, said.to_owned()));
    let guessed = url.replace(scene.order.token(), &"0".repeat(64));
    let unknown = put(&guessed, wav).await;
    assert_eq!(unknown.0, 404);
    assert!(
        unknown.1.starts_with("nobody waits for a file"),
        "{unknown:?}"
    );
    scene.delivered().await;
    let picture = scene.node.delivery.describe().await;
    assert_eq!(picture["intake"]["since_start"]["refused"], 2);
}

#[tokio::test]
async fn a_post_in_chunks_under_another_name_is_as_good() {
    let mut scene = scene(open_intake(), None).await;
    let url = scene
        .order
        .url()
        .replace("0f1e%202d.wav", "..%2F..%2Fetc%2Fpasswd");
    let wav = file(AudioFormat::Wav);
    let pieces: Vec<_> = wav
        .chunks(1000)
        .map(|c| Ok::<_, String>(c.to_vec()))
        .collect();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(url).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.text().await.unwrap(),
        format!("{} bytes are safe\n", wav.len())
    );
    scene.delivered().await;
}

#[tokio::test]
async fn only_put_and_post_to_an_address_are_served() {
    let scene = scene(open_intake(), None).await;
    let get = answer(scene.request("GET", "", b"").await).await;
    assert_eq!(get.0, "HTTP/1.1 405 Method Not Allowed");
    let elsewhere = format!("http://{}/", scene.order.address());
    assert_eq!(put(&elsewhere, "x").await.0, 404);
    let untold = answer(scene.request("PUT", "", b"").await).await;
    assert_eq!(untold.0, "HTTP/1.1 411 Length Required");
    scene.assert_nothing_kept();
    scene.node.stop().await;
}

#[tokio::test]
async fn a_file_larger_than_announced_is_not_taken() {
    let mut scene = scene(open_intake(), Some(1000)).await;
    let limit = 1000 + 64 * 1024;
    let refused = put(scene.order.url(), vec![b'R'; limit + 1]).await;
    let said = format!("the file has more than the {limit} bytes that are awaited");
    assert_eq!(refused, (413, format!("{said}\n")));
    let head = format!("Transfer-Encoding: chunked\r\n\r\n{:x}", limit + 1);
    let stream = scene.request("PUT", &head, &vec![b'R'; limit]).await;
    drop(stream);
    scene.assert_nothing_kept();
    scene.switch.fail(&scene.order, "HTTP 413").await;
    let told = scene.retrying().await;
    assert!(
        told.contains("HTTP 413; what came was not taken: "),
        "{told}"
    );
    scene.assert_nothing_kept();
    let order = scene.switch.next_order().await;
    assert_eq!(put(order.url(), file(AudioFormat::Wav)).await.0, 200);
    scene.delivered().await;
}

#[tokio::test]
async fn a_file_larger_than_ever_taken_is_not_taken_whatever_was_announced() {
    let config = DeliveryConfig {
        intake_max_bytes: 1000,
        ..open_intake()
    };
    let scene = scene(config, Some(1 << 40)).await;
    assert_eq!(put(scene.order.url(), vec![b'R'; 1001]).await.0, 413);
    scene.assert_nothing_kept();
}

#[tokio::test]
async fn a_figure_the_switch_did_not_have_is_no_limit() {
    let mut scene = scene(open_intake(), Some(0)).await;
    let mut long = file(AudioFormat::Wav);
    long.extend(vec![0; 100_000]);
    assert_eq!(put(scene.order.url(), long).await.0, 200);
    scene.delivered().await;
}

#[tokio::test]
async fn a_file_cut_in_the_middle_may_come_again() {
    let mut scene = scene(open_intake(), None).await;
    let wav = file(AudioFormat::Wav);
    let headers = format!("Content-Length: {}\r\n", wav.len());
    let mut stream = scene.request("PUT", &headers, &wav[..5000]).await;
    stream.shutdown().await.unwrap();
    let cut = answer(stream).await;
    assert_eq!(cut.0, "HTTP/1.1 400 Bad Request");
    assert_eq!(cut.1, "the file was cut short after 5000 bytes\n");
    scene.assert_nothing_kept();
    assert_eq!(put(scene.order.url(), wav).await.0, 200);
    scene.delivered().await;
}

#[tokio::test]
async fn two_at_once_do_not_mix() {
    let mut scene = scene(open_intake(), None).await;
    let wav = file(AudioFormat::Wav);
    let headers = format!("Content-Length: {}\r\n", wav.len());
    let mut first = scene.request("PUT", &headers, &wav[..5000]).await;
    scene.until_arriving().await;
    let second = put(scene.order.url(), wav.clone()).await;
    let said = "a file is arriving under this address already\n";
    assert_eq!(second, (409, said.to_owned()));
    // The switch's answer does not cut off what is arriving.
    scene.switch.fail(&scene.order, "timeout").await;
    first.write_all(&wav[5000..]).await.unwrap();
    assert_eq!(answer(first).await.0, "HTTP/1.1 200 OK");
    scene.delivered().await;
}

#[tokio::test]
async fn a_sender_that_stands_still_is_sent_away() {
    let config = DeliveryConfig {
        stall_timeout_s: 1,
        ..open_intake()
    };
    let mut scene = scene(config, None).await;
    let stream = scene.request("PUT", "Content-Length: 9\r\n", b"RIFF").await;
    let stalled = answer(stream).await;
    assert_eq!(stalled.0, "HTTP/1.1 408 Request Timeout");
    assert_eq!(stalled.1, "nothing came for 1 s after 4 bytes\n");
    scene.assert_nothing_kept();
    assert_eq!(put(scene.order.url(), file(AudioFormat::Wav)).await.0, 200);
    scene.delivered().await;
}

#[tokio::test]
async fn a_try_that_takes_too_long_in_all_is_broken_off() {
    let config = DeliveryConfig {
        total_timeout_s: 1,
        ..open_intake()
    };
    let mut scene = scene(config, None).await;
    let stream = scene.request("PUT", "Content-Length: 9\r\n", b"RIFF").await;
    let over = answer(stream).await;
    assert_eq!(over.0, "HTTP/1.1 410 Gone");
    let told = scene.retrying().await;
    assert!(
        told.contains("not done after 1 s (delivery.total_timeout_s)"),
        "{told}"
    );
    scene.assert_nothing_kept();
}

#[tokio::test]
async fn a_stop_waits_for_what_is_arriving_and_for_nothing_else() {
    let mut scene = scene(open_intake(), None).await;
    let other = recorded(&scene.node.spool, Destination::AccountDb, &|_| {});
    scene.node.tell_ended(&other).await;
    let other = scene.switch.next_order().await;
    let wav = file(AudioFormat::Wav);
    let headers = format!("Content-Length: {}\r\n", wav.len());
    let mut stream = scene.request("PUT", &headers, &wav[..5000]).await;
    scene.until_arriving().await;
    let path = scene.node.spool.view().switch_file_path(&scene.ticket);
    let stopping = scene.node.stop();
    let ending = async {
        // The other address is closed: the stop is under way.
        while answer(request(&other, "PUT", "", b"").await).await.0 != "HTTP/1.1 410 Gone" {}
        stream.write_all(&wav[5000..]).await.unwrap();
        answer(stream).await.0
    };
    let ((), answered) = tokio::join!(stopping, ending);
    assert_eq!(answered, "HTTP/1.1 200 OK");
    assert_eq!(std::fs::read(path).unwrap(), wav);
}
