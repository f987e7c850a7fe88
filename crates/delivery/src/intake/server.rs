//! The door of the intake: HTTP/1.1 `PUT` and `POST /intake/TOKEN/NAME`. Bounds connections and patience; what an address
//! is good for the desk knows.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::put,
};
use callreel_proto::RecordingId;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tracing::{debug, info, warn};

use super::{
    Awaited, Desk, Refusal, Shelf,
    taking::{Length, take},
};
use crate::{DeliveryConfig, Error};

/// Connections served at once; others wait for the door. More than all fetches of a node, so that strangers who hold some
/// open do not keep a switch out.
const MOST_CONNECTIONS: usize = 256;
/// How long a request's head may take: it is a few hundred bytes.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Pause when the system gives no more connections: it has run out of handles, and somebody must let go of some first.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// RFC 3986 §2.3: what stands in a path for itself.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The intake, as those know it who wait for files.
pub(crate) struct Intake {
    desk: Arc<Desk>,
    address: SocketAddr,
    /// What switches are told, without a slash at the end.
    base: String,
    max_bytes: u64,
    ttl: Duration,
}

impl Intake {
    /// Opens the door, if the settings name one. Files are taken for as long as the future beside it runs.
    pub(crate) async fn open(
        config: &DeliveryConfig,
    ) -> Result<Option<(Self, impl Future<Output = ()> + Send + use<>)>, Error> {
        let Some(listen) = config.intake_listen else {
            return Ok(None);
        };
        let failed = |source| Error::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let told = config.intake_url.as_ref().map(ToString::to_string);
        let base = told.unwrap_or_else(|| format!("http://{address}"));
        let desk = Arc::<Desk>::default();
        let door = Door {
            desk: Arc::clone(&desk),
            patience: Duration::from_secs(config.stall_timeout_s),
        };
        info!(%address, base, "switches may hand in files");
        let intake = Self {
            desk,
            address,
            base: base.trim_end_matches('/').to_owned(),
            max_bytes: config.intake_max_bytes,
            ttl: Duration::from_secs(config.intake_token_ttl_s),
        };
        Ok(Some((intake, serve(listener, door))))
    }

    /// Expects one file for this recording, of at most `announced` bytes if the switch has said how many there are.
    pub(crate) fn expect(
        &self,
        recording_id: RecordingId,
        place: Shelf,
        announced: Option<u64>,
    ) -> Awaited {
        let limit = announced.map_or(self.max_bytes, |bytes| bytes.min(self.max_bytes));
        self.desk.expect(recording_id, place, limit, self.ttl)
    }

    /// The address for a file. Its name is for the switch's log; it means nothing here.
    pub(crate) fn url(&self, awaited: &Awaited, file_name: &str) -> String {
        let name = utf8_percent_encode(file_name, ENCODED);
        format!("{}/intake/{}/{name}", self.base, awaited.token())
    }

    /// How switches reach it.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// How long a switch has to begin.
    pub(crate) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A picture of the intake for operators.
    pub(crate) fn describe(&self) -> Value {
        let mut picture = self.desk.describe();
        picture["address"] = self.address.to_string().into();
        picture["url"] = self.base.as_str().into();
        picture
    }
}

/// What a request needs.
#[derive(Clone)]
struct Door {
    desk: Arc<Desk>,
    /// How long a body may stand still.
    patience: Duration,
}

/// Serves connections until it is dropped, and takes them with it.
async fn serve(listener: TcpListener, door: Door) {
    let router = Router::new()
        .route("/intake/{token}/{name}", put(hand_in).post(hand_in))
        .with_state(door);
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    // One file a connection, as switches send them; a connection that waits for another only takes a place.
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .keep_alive(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = accept(&listener), if connections.len() < MOST_CONNECTIONS => {
                let served = http.serve_connection(TokioIo::new(stream), service.clone());
                connections.spawn(async move {
                    if let Err(error) = served.await {
                        debug!(%error, "a connection to the intake broke off");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                warn!(%error, "the intake cannot take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes the file of a request. A 2xx says that it is safe on disk.
async fn hand_in(
    State(door): State<Door>,
    Path((token, _)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let taken = match door.desk.come(&token) {
        Err(refusal) => Err((refusal, None)),
        Ok(mut arriving) => {
            let recording_id = arriving.pass.recording_id.clone();
            let body = body.into_data_stream();
            match take(&mut arriving, length(&headers), body, door.patience).await {
                Ok(()) => {
                    info!(%recording_id, bytes = arriving.bytes, "a switch has handed in its file");
                    let said = format!("{} bytes are safe\n", arriving.bytes);
                    arriving.arrived();
                    Ok(said)
                }
                Err(refusal) => {
                    arriving.refusal = Some(refusal.clone());
                    Err((refusal, Some(recording_id)))
                }
            }
        }
    };
    match taken {
        Ok(said) => (StatusCode::OK, said).into_response(),
        Err((refusal, recording_id)) => {
            door.desk.refused();
            let whose = recording_id.as_ref().map(tracing::field::display);
            warn!(recording_id = whose, reason = %refusal, "a file is not taken");
            (status(&refusal), said(&refusal)).into_response()
        }
    }
}

/// The answer's body; which of our paths made trouble is not for others.
fn said(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Disk(_) => "this node cannot keep the file now\n".to_owned(),
        other => format!("{other}\n"),
    }
}

fn length(headers: &HeaderMap) -> Length {
    let told = headers.get(header::CONTENT_LENGTH);
    match told.and_then(|told| told.to_str().ok()?.parse().ok()) {
        Some(bytes) => Length::Told(bytes),
        None if headers.contains_key(header::TRANSFER_ENCODING) => Length::Chunked,
        None => Length::Untold,
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Unknown => StatusCode::NOT_FOUND,
        Refusal::UsedUp | Refusal::Expired => StatusCode::GONE,
        Refusal::Busy => StatusCode::CONFLICT,
        Refusal::NoLength => StatusCode::LENGTH_REQUIRED,
        Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::CutShort(_) => StatusCode::BAD_REQUEST,
        Refusal::Stalled { .. } => StatusCode::REQUEST_TIMEOUT,
        Refusal::Disk(_) => StatusCode::INSUFFICIENT_STORAGE,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_say_what_he_wants_is_sent_away() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door {
            desk: Arc::default(),
            patience: Duration::from_secs(60),
        };
        let visit = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"PUT /intake/").await.unwrap();
            let mut answer = Vec::new();
            let read = stream.read_to_end(&mut answer);
            let read = tokio::time::timeout(HEAD_PATIENCE * 2, read).await;
            read.expect("the connection ends in time").unwrap();
            String::from_utf8(answer).unwrap()
        };
        let answer = tokio::select! {
            () = serve(listener, door) => unreachable!("it serves for ever"),
            answer = visit => answer,
        };
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
}
