//! A handler's container, opened: what keeping does with it, and what its failures mean. Schedules nothing.

use std::{io, ops::Range};

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{ObjectStore, path::Path};
use reqwest::{Method, StatusCode, header::RANGE};

use crate::{
    Error, Outside, answer,
    connector::Connector,
    explain,
    handler::{Facts, Handler, Http, Kind, folder},
    objects::{self, Failure},
    placed::Placed,
};

/// To ask for an object or its removal, from the request to the head of the answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Bytes on their way here.
pub(crate) type Body = BoxStream<'static, io::Result<Bytes>>;

/// What became of an object that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is not there any more.
    Gone,
    /// The handler's settings do not say that it can be.
    Cannot,
}

/// Where one object is or will be.
pub(crate) struct Place<'a> {
    handler: &'a Handler,
    placed: &'a Placed,
    outside: &'a Outside,
}

impl<'a> Place<'a> {
    pub(crate) fn new(handler: &'a Handler, placed: &'a Placed, outside: &'a Outside) -> Self {
        Self {
            handler,
            placed,
            outside,
        }
    }

    /// Puts the file there, whole or not at all.
    pub(crate) async fn put(&self, facts: &Facts<'_>, body: Body) -> Result<(), Error> {
        let opened = self.open().await?;
        let plain = matches!(self.handler.kind(), Kind::Folder(_));
        let put = objects::put(&*opened.store, &opened.path, facts, plain, body).await;
        put.map_err(|failure| match failure {
            Failure::Source(error) => Error::Source(error),
            Failure::Store(error) => opened.error(self.told(), &error),
        })
    }

    /// Some of its bytes.
    pub(crate) async fn get(&self, range: Range<u64>) -> Result<Option<Body>, Error> {
        if let Kind::Http(http) = self.handler.kind() {
            return self.in_time(self.get_by_http(http, range)).await;
        }
        self.in_time(async {
            let opened = self.open().await?;
            let got = objects::get(&*opened.store, &opened.path, range).await;
            got.map_err(|error| opened.error(self.told(), &error))
        })
        .await
    }

    /// Removes it; that it was gone already is as good.
    pub(crate) async fn delete(&self) -> Result<Removed, Error> {
        if let Kind::Http(http) = self.handler.kind() {
            return self.in_time(self.delete_by_http(http)).await;
        }
        self.in_time(async {
            let opened = self.open().await?;
            let deleted = objects::delete(&*opened.store, &opened.path).await;
            let deleted = deleted.map_err(|error| opened.error(self.told(), &error));
            deleted.map(|_| Removed::Gone)
        })
        .await
    }

    fn told(&self) -> String {
        self.placed.told()
    }

    fn unavailable(&self, reason: impl Into<String>) -> Error {
        Error::Unavailable {
            place: self.told(),
            reason: reason.into(),
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(done) => done,
            Err(_) => Err(self.unavailable(format!("no answer for {} s", PATIENCE.as_secs()))),
        }
    }

    /// The container that was recorded, by today's credentials.
    async fn open(&self) -> Result<Opened, Error> {
        let connector = Connector::new(self.outside.clone());
        let container = &self.placed.container;
        let store = match self.handler.kind() {
            Kind::S3(s3) => s3.open(container, connector.clone()),
            Kind::Azure(azure) => azure.open(container, connector.clone()),
            Kind::GoogleStorage(google) => google.open(container, connector.clone()),
            Kind::Folder(_) => {
                let (path, roots) = (container.clone(), self.outside.folder_roots());
                let opened = tokio::task::spawn_blocking(move || folder::open(&path, &roots));
                let opened = opened.await.map_err(|e| self.unavailable(e.to_string()))?;
                let opened = opened.map_err(|e| self.unavailable(e.to_string()));
                return Opened::new(opened?, &self.placed.key, connector);
            }
            Kind::Http(_) => return Err(self.unavailable("it takes requests, not objects")),
        };
        let store = store.map_err(|_| Error::Refused {
            place: self.told(),
            // The library's own words may quote a key.
            reason: "its settings cannot be used: the key is not of the form it must have"
                .to_owned(),
        })?;
        Opened::new(store, &self.placed.key, connector)
    }

    async fn get_by_http(&self, http: &Http, range: Range<u64>) -> Result<Option<Body>, Error> {
        use futures::{StreamExt as _, TryStreamExt as _};
        let request = self
            .outside
            .request(Method::GET, http.url(&self.placed.key));
        let request = request.map_err(|e| self.unavailable(e.to_string()))?;
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let response = request.header(RANGE, asked).send().await;
        let response = response.map_err(|e| self.unavailable(explain(e)))?;
        let skip = match response.status() {
            StatusCode::PARTIAL_CONTENT => 0,
            StatusCode::OK => range.start,
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            _ => return Err(self.answered(response).await),
        };
        let length = range.end - range.start;
        let body = response
            .bytes_stream()
            .map_err(|e| io::Error::other(explain(e)));
        Ok(Some(window(body.boxed(), skip, length)))
    }

    async fn delete_by_http(&self, http: &Http) -> Result<Removed, Error> {
        if !http.deletes() {
            return Ok(Removed::Cannot);
        }
        let request = self
            .outside
            .request(Method::DELETE, http.url(&self.placed.key));
        let request = request.map_err(|e| self.unavailable(e.to_string()))?;
        let response = request.send().await;
        let response = response.map_err(|e| self.unavailable(explain(e)))?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Removed::Gone),
            status if status.is_success() => Ok(Removed::Gone),
            _ => Err(self.answered(response).await),
        }
    }

    async fn answered(&self, mut response: reqwest::Response) -> Error {
        let status = response.status().as_u16();
        let said = answer(&mut response, PATIENCE).await;
        refusal(self.told(), status, &said)
    }
}

/// A container with what its requests met.
struct Opened {
    store: Box<dyn ObjectStore>,
    path: Path,
    connector: Connector,
}

impl Opened {
    fn new(store: Box<dyn ObjectStore>, key: &str, connector: Connector) -> Result<Self, Error> {
        let path = Path::parse(key).map_err(io::Error::other)?;
        Ok(Self {
            store,
            path,
            connector,
        })
    }

    /// What the library's error means. What a request met says more, and holds no credentials.
    fn error(&self, place: String, error: &object_store::Error) -> Error {
        match self.connector.trouble() {
            Some(trouble) => match trouble.status {
                Some(status) => refusal(place, status, &trouble.said),
                None => Error::Unavailable {
                    place,
                    reason: trouble.said,
                },
            },
            None => Error::Unavailable {
                place,
                reason: error.to_string(),
            },
        }
    }
}

/// What a status means. A region's redirect (3xx) wants other settings, as 4xx does.
fn refusal(place: String, status: u16, said: &str) -> Error {
    let reason = match said {
        "" => format!("it answered {status}"),
        said => format!("it answered {status}: {said}"),
    };
    let passing = matches!(status, 408 | 425 | 429) || status >= 500;
    match passing {
        true => Error::Unavailable { place, reason },
        false => Error::Refused { place, reason },
    }
}

/// The bytes from `skip` on, `length` of them.
fn window(body: Body, skip: u64, length: u64) -> Body {
    use futures::{StreamExt as _, TryStreamExt as _};
    let cut = body.try_filter_map({
        let (mut skip, mut left) = (skip, length);
        move |mut block| {
            let before = usize::try_from(skip).map_or(block.len(), |skip| skip.min(block.len()));
            skip -= before as u64;
            drop(block.split_to(before));
            block.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= block.len() as u64;
            futures::future::ready(Ok((!block.is_empty()).then_some(block)))
        }
    });
    cut.boxed()
}
