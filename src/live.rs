//! `callreel calls`: looks at live calls and controls their recordings, through the HTTP API of a running node.

use std::process::ExitCode;

use callreel_proto::AccountId;
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use crate::{
    cli::{Calls, Record},
    config::Config,
    remote,
    serve::say,
};

/// `callreel calls …`.
pub(crate) async fn calls(command: Calls) -> anyhow::Result<ExitCode> {
    match command {
        Calls::List { account, place } => {
            let config = place.load()?;
            let url = channels(&config, &account, None)?;
            let data = remote::ask(&config, "callreel calls", Method::GET, url, None).await?;
            for channel in data.as_array().into_iter().flatten() {
                say(&line(channel));
            }
        }
        Calls::Record(record) => {
            let config = record.place.load()?;
            let url = channels(&config, &record.account, Some(&record.call_id))?;
            let asked = json!({"data": {"module": "record_call", "data": data(&record)}});
            let done =
                remote::ask(&config, "callreel calls", Method::PUT, url, Some(&asked)).await?;
            for recording in done["recordings"].as_array().into_iter().flatten() {
                say(&told(recording));
            }
            if let Some(message) = done["message"].as_str() {
                say(&format!("{message}\n"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The address of an account's live calls, or of one.
fn channels(config: &Config, account: &str, call_id: Option<&str>) -> anyhow::Result<Url> {
    let account = AccountId::parse(account)?;
    let mut path = vec!["v2", "accounts", account.as_str(), "channels"];
    path.extend(call_id);
    remote::url(config, &path)
}

fn line(channel: &Value) -> String {
    let text = |key: &str| channel[key].as_str().unwrap_or("-");
    let seconds = channel["elapsed_s"].as_u64().unwrap_or(0);
    let state = if channel["answered"] == true {
        "answered"
    } else {
        "ringing"
    };
    let (uuid, from, to) = (text("uuid"), text("from"), text("destination"));
    format!(
        "{uuid}  {} {from} -> {to}  {state}, {seconds} s\n",
        text("direction")
    )
}

fn data(record: &Record) -> Value {
    let mut data = Map::new();
    data.insert("action".to_owned(), record.action.name().into());
    for (key, value) in [
        ("name", &record.name),
        ("recording_id", &record.recording),
        ("url", &record.url),
        ("format", &record.format),
    ] {
        data.extend(value.as_deref().map(|value| (key.to_owned(), value.into())));
    }
    Value::Object(data)
}

fn told(recording: &Value) -> String {
    let text = |key: &str| recording[key].as_str().unwrap_or("-");
    format!("{}  {}  {}\n", text("id"), text("state"), text("name"))
}
