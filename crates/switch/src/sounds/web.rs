//! Media that documents and flows name by a URL: fetched past the guard, bounded in time and size, kept for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callreel_attachments::{Outside, explain, hop::next_hop};
use callreel_media::Pcm;
use reqwest::{Method, Response};
use url::Url;

use super::decoding::{MAX_BYTES, decode};
use super::{Sounds, blocking};

/// From the first request to the last byte: a caller waits in silence.
const PATIENCE: Duration = Duration::from_secs(15);
/// Steps from the URL that is named to the one that answers.
const MAX_REDIRECTS: usize = 5;
/// What may have changed at its place is fetched again after this.
const KEPT_FOR: Duration = Duration::from_secs(300);

impl Sounds {
    /// The sound at a URL.
    pub(super) async fn web(&self, url: &str) -> Result<Arc<Pcm>, String> {
        let wrong = |e| format!("the media URL cannot be read: {e}");
        let place = Url::parse(url).map_err(wrong)?;
        let key = format!("web:{url}");
        if let Some(pcm) = self.kept.get(&key) {
            return Ok(pcm);
        }
        // Neither its user nor its query, which may be secrets.
        let told = format!("{}{}", place.host_str().unwrap_or_default(), place.path());
        let failed = |e: &dyn std::fmt::Display| format!("media of {told} cannot be played: {e}");
        let extension = place.path().rsplit_once('.').map(|(_, end)| end.to_owned());
        let fetched = tokio::time::timeout(PATIENCE, fetch(self.attachments.outside(), place));
        let bytes = match fetched.await {
            Ok(bytes) => bytes.map_err(|e| failed(&e))?,
            Err(_) => {
                return Err(failed(&format!(
                    "it took more than {} s",
                    PATIENCE.as_secs()
                )));
            }
        };
        let pcm = blocking(move || decode(bytes, extension.as_deref())).await;
        let pcm = pcm.map_err(|e| failed(&e))?;
        self.kept.put(key, &pcm, Some(Instant::now() + KEPT_FOR));
        Ok(pcm)
    }
}

/// The guard judges every step.
async fn fetch(outside: &Outside, mut url: Url) -> Result<Vec<u8>, String> {
    for _ in 0..=MAX_REDIRECTS {
        let request = outside.request(Method::GET, url.clone());
        let request = request.map_err(|e| e.to_string())?;
        let response = request.send().await.map_err(explain)?;
        let status = response.status();
        if status.is_success() {
            return body(response, MAX_BYTES).await;
        }
        url = match next_hop(&url, status, response.headers()) {
            Some(next) => next?,
            None => return Err(format!("its server answered {status}")),
        };
    }
    Err(format!("it was redirected more than {MAX_REDIRECTS} times"))
}

/// An answer's body, if it is not longer than this.
pub(super) async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, String> {
    let too_long = || format!("it is longer than {} MB", most / 1_000_000);
    if response
        .content_length()
        .is_some_and(|length| length > most as u64)
    {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(block) = response.chunk().await.map_err(explain)? {
        bytes.extend_from_slice(&block);
        if bytes.len() > most {
            return Err(too_long());
        }
    }
    Ok(bytes)
}
