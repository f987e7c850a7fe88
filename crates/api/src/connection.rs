//! One client's connection: how long it may take to say what it wants, and to take what it is sent. Knows no route.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Extension, Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::Layer;

/// How long a request's head may take, and how long a connection may lie idle between two requests.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// How long a client may take nothing of what it is sent. The system's buffers make a slow client's progress come in lumps:
/// at a few kilobytes a second it is a minute until there is room again.
const STALL_PATIENCE: Duration = Duration::from_secs(180);

/// Serves connections, each with the same routes and the same patience.
#[derive(Clone)]
pub(crate) struct Front {
    http: http1::Builder,
    app: Router,
}

impl Front {
    pub(crate) fn new(app: Router) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE);
        Self { http, app }
    }

    /// Serves one connection, by TLS if there is a `door`.
    pub(crate) async fn enter(
        self,
        stream: TcpStream,
        from: SocketAddr,
        door: Option<TlsAcceptor>,
        stop: watch::Receiver<bool>,
    ) {
        let Some(door) = door else {
            return self.serve(stream, from, stop).await;
        };
        match timeout(HEAD_PATIENCE, door.accept(stream)).await {
            Ok(Ok(stream)) => Box::pin(self.serve(stream, from, stop)).await,
            Ok(Err(error)) => tracing::debug!(%from, %error, "no TLS"),
            Err(_) => tracing::debug!(%from, "no TLS in time"),
        }
    }

    /// Serves one connection to its end; told to stop, to the end of the request under way.
    pub(crate) async fn serve<S>(self, stream: S, from: SocketAddr, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(Extension(ConnectInfo(from)).layer(self.app));
        let stream = TokioIo::new(Impatient::new(stream));
        let mut served = pin!(self.http.serve_connection(stream, service));
        let ended = tokio::select! {
            ended = served.as_mut() => ended,
            () = told(&mut stop) => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%from, %error, "a connection broke off");
        }
    }
}

/// Waits for the word to stop. A sender that is gone has said it.
pub(crate) async fn told(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// A stream that breaks when its other end takes nothing for too long.
struct Impatient<S> {
    stream: S,
    /// Runs while something waits to be taken.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            stall: None,
        }
    }

    /// What came of trying to send.
    fn hurry<T>(
        &mut self,
        context: &mut Context<'_>,
        tried: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if tried.is_ready() {
            self.stall = None;
            return tried;
        }
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(sleep(STALL_PATIENCE)));
        ready!(stall.as_mut().poll(context));
        stall.as_mut().reset(Instant::now() + STALL_PATIENCE);
        let message = "the client takes nothing of what it is sent";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.hurry(context, tried)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.hurry(context, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_flush(context);
        self.hurry(context, tried)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.stream).poll_shutdown(context);
        self.hurry(context, tried)
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
        task::JoinHandle,
    };

    use super::*;

    /// A recording's size, far above what the connection buffers.
    const AUDIO_BYTES: usize = 1 << 20;
    /// Of the pipe between client and server.
    const PIPE_BYTES: usize = 1024;
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

    /// A client's end of a connection, and the serving of it.
    fn connect(stop: &watch::Sender<bool>) -> (DuplexStream, JoinHandle<()>) {
        let app = Router::new().route("/", get(async || Body::from(vec![7; AUDIO_BYTES])));
        let (client, server) = tokio::io::duplex(PIPE_BYTES);
        let from = SocketAddr::from(([192, 0, 2, 18], 40_000));
        let served = tokio::spawn(Front::new(app).serve(server, from, stop.subscribe()));
        (client, served)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_too_long_to_ask_is_cut_off() {
        let (stop, _) = watch::channel(false);
        let (mut client, served) = connect(&stop);
        let began = Instant::now();
        // A byte now and then does not buy more time.
        let trickle = async {
            for byte in REQUEST {
                if client.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sleep(HEAD_PATIENCE / 5).await;
            }
        };
        tokio::join!(trickle, async { served.await.unwrap() });
        assert!(began.elapsed() >= HEAD_PATIENCE);
        assert!(began.elapsed() < HEAD_PATIENCE * 2, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_ends() {
        let (stop, _) = watch::channel(false);
        let (mut client, served) = connect(&stop);
        client.write_all(REQUEST).await.unwrap();
        let began = Instant::now();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        served.await.unwrap();
        assert!(answer.len() > AUDIO_BYTES);
        assert_eq!(began.elapsed().as_secs(), HEAD_PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_download_is_finished() {
        let (stop, _) = watch::channel(false);
        let (mut client, served) = connect(&stop);
        client.write_all(REQUEST).await.unwrap();
        let began = Instant::now();
        let mut taken = 0;
        let mut some = [0; PIPE_BYTES];
        while taken < AUDIO_BYTES {
            sleep(STALL_PATIENCE / 2).await;
            let bytes = client.read(&mut some).await.unwrap();
            assert!(bytes > 0, "cut off after {taken} bytes");
            taken += bytes;
        }
        assert!(began.elapsed() > STALL_PATIENCE * 100);
        drop(client);
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_of_the_answer_is_cut_off() {
        let (stop, _) = watch::channel(false);
        let (mut client, served) = connect(&stop);
        client.write_all(REQUEST).await.unwrap();
        let began = Instant::now();
        served.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), STALL_PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_the_download_under_way_finish() {
        let (stop, _) = watch::channel(false);
        let (mut client, served) = connect(&stop);
        client.write_all(REQUEST).await.unwrap();
        client.read_u8().await.unwrap();
        let began = Instant::now();
        stop.send_replace(true);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        served.await.unwrap();
        assert!(rest.len() > AUDIO_BYTES);
        assert!(began.elapsed() < HEAD_PATIENCE);
    }
}
