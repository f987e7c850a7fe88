//! A receiver of recordings by HTTP PUT or POST: whole files appear in one folder, anything less leaves nothing.
//! It trusts no name and never looks inside a file.

use std::{
    fs::Permissions,
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use tempfile::NamedTempFile;
use tokio::{
    fs::File,
    io::{AsyncWriteExt, BufWriter},
    net::TcpListener,
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::steps::{Mark, Steps, size};

/// Arrivals not yet looked at. The file is on disk whether or not anybody hears of it, so a full queue loses only news.
const UNREAD_ARRIVALS: usize = 256;
/// Longest file name made here; file systems take 255 bytes, and the unfinished file's name is longer.
const LONGEST_NAME: usize = 220;
/// Bytes gathered before a write.
const WRITE_BUFFER: usize = 256 * 1024;
/// What a file name may hold unescaped. No separator, no wildcard, nothing a shell would eat.
const KEPT_IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'@')
    .remove(b'+')
    .remove(b'=')
    .remove(b',')
    .remove(b'~');
const UNFINISHED: &str = ".part";
/// What is under way when the receiver stops may finish within this.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// `callreel receive`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Folder the files go to; made if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub(crate) listen: SocketAddr,
}

/// One file that arrived whole.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Where it lies.
    pub(crate) file: PathBuf,
    /// The path of the request, as it was sent.
    pub(crate) request: String,
    /// PUT or POST.
    pub(crate) method: Method,
    /// Its Content-Type, if one was sent.
    pub(crate) content_type: Option<String>,
    /// Its size.
    pub(crate) bytes: u64,
    /// Who sent it.
    pub(crate) from: SocketAddr,
}

/// A receiver at work.
pub(crate) struct Receiver {
    address: SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
    stopping: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

impl Receiver {
    /// Listens on `listen`; whole files go to `dir`.
    ///
    /// # Errors
    /// The folder cannot be made, or the address is taken.
    pub(crate) async fn open(dir: &Path, listen: SocketAddr) -> anyhow::Result<Self> {
        tokio::fs::create_dir_all(dir)
            .await
            .with_context(|| format!("cannot make the folder {}", dir.display()))?;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}; choose another by --listen"))?;
        let address = listener.local_addr()?;
        let (tell, arrivals) = mpsc::channel(UNREAD_ARRIVALS);
        let shelf = Arc::new(Shelf {
            dir: dir.to_owned(),
            tell,
        });
        let app = Router::new().fallback(take).with_state(shelf);
        let stopping = CancellationToken::new();
        let stopped = stopping.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            axum::serve(
                listener,
                app.into_make_service_with_connect_info::<SocketAddr>(),
            )
            .with_graceful_shutdown(stopped)
            .await
        });
        Ok(Self {
            address,
            arrivals,
            stopping,
            server,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next file; `None` when the receiver has stopped.
    pub(crate) async fn next_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }

    /// Takes no more and finishes what is under way, unless that takes too long.
    pub(crate) async fn stop(mut self) {
        self.stopping.cancel();
        let finished = tokio::time::timeout(STOP_PATIENCE, &mut self.server).await;
        match finished {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "receiver"),
            Ok(Err(error)) => tracing::warn!(%error, "receiver"),
            Err(_) => self.server.abort(),
        }
    }
}

struct Shelf {
    dir: PathBuf,
    tell: mpsc::Sender<Arrival>,
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("only PUT and POST are taken here")]
    Method,
    #[error("the path must end in a file name")]
    NoName,
    #[error("the file name is longer than {LONGEST_NAME} bytes")]
    LongName,
    #[error("the body ended after {got} bytes: {why}")]
    Short { got: u64, why: String },
    #[error("the file cannot be kept: {0}")]
    Disk(#[from] io::Error),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = format!("{self}\n");
        match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                [(header::ALLOW, "PUT, POST")],
                text,
            )
                .into_response(),
            Self::NoName | Self::Short { .. } => (StatusCode::BAD_REQUEST, text).into_response(),
            Self::LongName => (StatusCode::URI_TOO_LONG, text).into_response(),
            Self::Disk(_) => (StatusCode::INSUFFICIENT_STORAGE, text).into_response(),
        }
    }
}

async fn take(
    State(shelf): State<Arc<Shelf>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<(StatusCode, String), Refusal> {
    let method = request.method().clone();
    if method != Method::PUT && method != Method::POST {
        return Err(Refusal::Method);
    }
    let path = request.uri().path().to_owned();
    let name = file_name(&path)?;
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);

    let file = shelf.dir.join(&name);
    let (unfinished, bytes) = receive(&shelf.dir, &name, request.into_body()).await?;
    let replaced = tokio::fs::try_exists(&file).await?;
    unfinished.persist(&file).map_err(|e| e.error)?;
    // The name is a promise too: only a synced folder keeps it through a power cut.
    File::open(&shelf.dir).await?.sync_all().await?;

    let arrival = Arrival {
        file,
        request: path,
        method,
        content_type,
        bytes,
        from,
    };
    if shelf.tell.try_send(arrival).is_err() {
        tracing::debug!("an arrival nobody hears of");
    }
    let code = if replaced {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((code, format!("{name}\n")))
}

/// Streams a body into an unfinished file, which removes itself unless it is kept.
async fn receive(dir: &Path, name: &str, body: Body) -> Result<(NamedTempFile, u64), Refusal> {
    let unfinished = tempfile::Builder::new()
        .prefix(&format!("{name}."))
        .suffix(UNFINISHED)
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(dir)?;
    let handle = File::from_std(unfinished.as_file().try_clone()?);
    let mut writer = BufWriter::with_capacity(WRITE_BUFFER, handle);

    let announced = body.size_hint().exact();
    let mut got = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Refusal::Short {
            got,
            why: error.to_string(),
        })?;
        got += chunk.len() as u64;
        writer.write_all(&chunk).await?;
    }
    if let Some(announced) = announced.filter(|announced| *announced != got) {
        let why = format!("{announced} were announced");
        return Err(Refusal::Short { got, why });
    }
    writer.flush().await?;
    writer.into_inner().sync_all().await?;
    Ok((unfinished, got))
}

/// The file name for a request path: its last segment, with everything that means something to a file system escaped.
/// Different segments never share a name.
fn file_name(path: &str) -> Result<String, Refusal> {
    let segment = path.rsplit('/').next().unwrap_or_default();
    let plain: Vec<u8> = percent_decode_str(segment).collect();
    let mut name = percent_encode(&plain, KEPT_IN_NAMES).to_string();
    if name.starts_with('.') {
        name.replace_range(..1, "%2E");
    }
    if name.ends_with(UNFINISHED) {
        let dot = name.len() - UNFINISHED.len();
        name.replace_range(dot..=dot, "%2E");
    }
    match name.len() {
        0 => Err(Refusal::NoName),
        1..=LONGEST_NAME => Ok(name),
        _ => Err(Refusal::LongName),
    }
}

/// Receives until Ctrl-C and prints a line per file.
///
/// # Errors
/// The folder cannot be made, or the address is taken.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let steps = Steps::start();
    let mut receiver = Receiver::open(&args.dir, args.listen).await?;
    steps.title(&format!(
        "receiving at http://{}/… into {} (Ctrl-C stops)",
        receiver.address(),
        args.dir.display()
    ));
    loop {
        let arrival = tokio::select! {
            arrival = receiver.next_arrival() => arrival,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(arrival) = arrival else { break };
        steps.step(
            Mark::Good,
            arrival.method.as_str(),
            format!(
                "{} · {} · {} · from {}",
                arrival.request,
                size(arrival.bytes),
                arrival.content_type.as_deref().unwrap_or("no type"),
                arrival.from
            ),
        );
    }
    receiver.stop().await;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
