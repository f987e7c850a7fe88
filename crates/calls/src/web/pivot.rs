//! Fetches the callflow that a Pivot server serves, and keeps what was said for the author if that is wanted. Runs none.

use std::sync::Arc;

use callreel_callflow::{Answer, web::PivotRequest};
use callreel_proto::{AccountId, CallId, Utc, month_db, pvt_type, random_hex};
use callreel_store::stamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value, json};

use super::{Reply, Trouble};
use crate::context::Context;

/// Bytes of a request's or an answer's body that are kept for the author.
const LARGEST_KEPT: usize = 64 << 10;
/// Headers of an answer that may hold secrets.
const SECRET: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "set-cookie",
    "www-authenticate",
];
/// What stands in the place of what is not kept.
const HIDDEN: &str = "…";
/// What some editors and frameworks put before a text in UTF-8; JSON has no place for it (RFC 8259 §8.1 lets readers ignore it).
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Asks the server, and says what it serves or why there is nothing to run.
pub(crate) async fn serve(
    context: &Arc<Context>,
    account: &AccountId,
    call_id: &CallId,
    pivot: &PivotRequest,
) -> Answer {
    let notes = pivot.debug.then(|| Notes {
        context: Arc::clone(context),
        account: account.clone(),
        call_id: call_id.clone(),
        iteration: pivot.iteration,
    });
    if let Some(notes) = &notes {
        notes.keep(requested(pivot));
    }
    let asked = context.web.ask(&pivot.request).await;
    if let Some(notes) = &notes {
        notes.keep(answered(&asked));
    }
    match asked
        .map_err(|trouble| trouble.to_string())
        .and_then(|reply| flow(&reply))
    {
        Ok(document) => Answer::Flow(document),
        Err(reason) => Answer::Failed(format!("{}: {reason}", pivot.request)),
    }
}

/// What a server's answer says, if it is JSON.
fn flow(reply: &Reply) -> Result<Value, String> {
    if !reply.status.is_success() {
        return Err(format!("it answered {}", reply.status.as_u16()));
    }
    if reply.body.iter().all(u8::is_ascii_whitespace) {
        return Err("its answer is empty".to_owned());
    }
    let text = reply.body.strip_prefix(BYTE_ORDER_MARK);
    serde_json::from_slice(text.unwrap_or(&reply.body)).map_err(|error| {
        let kind = reply
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
        format!("its answer{kind} is no JSON: {error}")
    })
}

/// The request as Kazoo keeps it.
fn requested(pivot: &PivotRequest) -> Value {
    let request = &pivot.request;
    let mut headers: Map<String, Value> = request
        .headers
        .keys()
        .map(|name| (name.to_ascii_lowercase(), HIDDEN.into()))
        .collect();
    let body = request.body();
    if body.is_some() {
        headers.insert(
            "content-type".to_owned(),
            request.format.content_type().into(),
        );
    }
    json!({
        "uri": request.shown(),
        "method": request.verb,
        "req_headers": headers,
        "req_body": cut(body.unwrap_or_default().as_bytes()),
    })
}

/// The answer as Kazoo keeps it; of none, the reason.
fn answered(asked: &Result<Reply, Trouble>) -> Value {
    match asked {
        Ok(reply) => json!({
            "resp_status_code": reply.status.as_u16().to_string(),
            "resp_headers": headers(&reply.headers),
            "resp_body": cut(&reply.body),
        }),
        Err(trouble) => json!({"error": trouble.to_string()}),
    }
}

fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let shown = headers.iter().map(|(name, value)| {
        let secret = SECRET.contains(&name.as_str());
        let value = value.to_str().ok().filter(|_| !secret);
        (name.as_str().to_owned(), value.unwrap_or(HIDDEN).into())
    });
    shown.collect()
}

fn cut(body: &[u8]) -> String {
    let part = &body[..body.len().min(LARGEST_KEPT)];
    let text = String::from_utf8_lossy(part).into_owned();
    if part.len() < body.len() {
        return format!("{text}{HIDDEN}");
    }
    text
}

/// What is kept of one request.
struct Notes {
    context: Arc<Context>,
    account: AccountId,
    call_id: CallId,
    iteration: u32,
}

impl Notes {
    /// Keeps it beside the call, which does not wait for it.
    fn keep(&self, said: Value) {
        let now = Utc::now();
        let db = month_db(&self.account, &now.year_month());
        let mut doc = match said {
            Value::Object(doc) => doc,
            _ => Map::new(),
        };
        doc.insert("_id".to_owned(), random_hex(32).into());
        doc.insert("call_id".to_owned(), self.call_id.as_str().into());
        doc.insert("iteration".to_owned(), self.iteration.into());
        doc.insert("pvt_node".to_owned(), self.context.node.clone().into());
        stamp(
            &mut doc,
            pvt_type::PIVOT_DEBUG,
            &db,
            Some(&self.account),
            now,
        );
        let context = Arc::clone(&self.context);
        let call_id = self.call_id.clone();
        tokio::spawn(async move {
            if let Err(error) = context.store.save(&db, Value::Object(doc)).await {
                tracing::warn!(%call_id, %error, "what was said to a Pivot server is not kept");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::StatusCode;

    use super::*;

    fn reply(status: u16, kind: Option<&str>, body: &[u8]) -> Reply {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.to_vec(),
        }
    }

    #[test]
    fn any_content_type_will_do_and_a_bad_answer_says_why() {
        for kind in [
            None,
            Some("application/json"),
            Some("text/html; charset=utf-8"),
        ] {
            let served = flow(&reply(200, kind, b"{\"module\": \"hangup\"}")).unwrap();
            assert_eq!(served["module"], "hangup");
        }
        let marked = "\u{feff}{\"module\": \"hangup\"}";
        let served = flow(&reply(200, None, marked.as_bytes())).unwrap();
        assert_eq!(served["module"], "hangup");
        for (status, body, why) in [
            (404, "{}", "it answered 404"),
            (500, "", "it answered 500"),
            (302, "", "it answered 302"),
            (200, " \n", "its answer is empty"),
            (
                200,
                "<Response/>",
                "its answer (text/xml) is no JSON: expected value",
            ),
        ] {
            let said = flow(&reply(status, Some("text/xml"), body.as_bytes())).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
        let deep = "[".repeat(100_000);
        assert!(flow(&reply(200, None, deep.as_bytes())).is_err());
    }

    #[test]
    fn secrets_of_an_answer_are_not_kept_and_long_ones_are_cut() {
        let mut reply = reply(200, None, &vec![b'x'; LARGEST_KEPT + 1]);
        reply
            .headers
            .insert("set-cookie", "id=s3cret".parse().unwrap());
        let kept = answered(&Ok(reply));
        assert_eq!(kept["resp_headers"]["set-cookie"], HIDDEN);
        let body = kept["resp_body"].as_str().unwrap();
        assert_eq!(body.len(), LARGEST_KEPT + HIDDEN.len());
    }

    proptest! {
        #[test]
        fn no_answer_panics(status in 200u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let reply = reply(status, None, &body);
            drop(flow(&reply));
            drop(answered(&Ok(reply)));
        }
    }
}
