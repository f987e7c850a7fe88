//! Asks the HTTP API of the node that runs with the same configuration. Knows no route.

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use crate::config::Config;

/// The address of something in the API, by the segments of its path.
pub(crate) fn url(config: &Config, path: &[&str]) -> anyhow::Result<Url> {
    let api = &config.api;
    let mut url = Url::parse(&format!("{}://{}", api.scheme(), api.listen))?;
    url.path_segments_mut()
        .expect("http URLs have paths")
        .extend(path);
    Ok(url)
}

/// The node's own certificate is at hand, so that no authority is asked about it.
fn client(config: &Config) -> anyhow::Result<reqwest::Client> {
    let Some(certificate) = &config.api.tls_certificate else {
        return Ok(reqwest::Client::new());
    };
    let pinned = callreel_doors::pinned(certificate).context("api.tls_certificate")?;
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(pinned)
        .build()?)
}

/// What the API answers the operator, who asks with this command: the answer's data, or its reason as an error.
pub(crate) async fn ask(
    config: &Config,
    command: &'static str,
    method: Method,
    url: Url,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let mut request = client(config)?
        .request(method, url.clone())
        .header("x-ordered-by", command);
    if let Some(token) = &config.api.admin_token {
        request = request.header("x-auth-token", token.reveal());
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.with_context(|| {
        format!("no API answers at {url}: start a node with the role api, or name its address in api.listen")
    })?;
    let status = answer.status();
    let body: Value = answer.json().await.with_context(|| url.to_string())?;
    if status.is_success() {
        return Ok(body["data"].clone());
    }
    let reason = body["data"]["message"]
        .as_str()
        .unwrap_or("no reason given");
    match status {
        StatusCode::UNAUTHORIZED => bail!(
            "{url} asks for a token: give this command the node's api.admin_token ({status}: {reason})"
        ),
        _ => bail!("{status}: {reason}"),
    }
}
