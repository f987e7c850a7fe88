//! Live calls: the channels of an account, as Crossbar shows them, and what may be done with one while it lives. The
//! switches tell which there are; the call's controller does what is asked.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use callreel_proto::{
    AccountId, ActionStatus, CallId, Exchange, MetaflowAction, MetaflowActionResp, OrderedBy,
    RecordingSource,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Shared,
    envelope::{Answer, Page},
    metaflow,
    refusal::{Refusal, Why},
    request::{Posted, invalid_header},
    scope,
    switches::Channel,
};

type Answered = Result<Response, Refusal>;

/// How long a call's controller may take: a start writes to the disk and waits for the switch.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who the request says it is made for.
const ORDERED_BY: &str = "x-ordered-by";
/// Longest such name: it is kept with every recording.
const MAX_NAME_BYTES: usize = 128;

/// `GET /v2/accounts/{A}/channels`.
pub(crate) async fn list(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answered {
    let account = scope::account(&shared, &id).await?;
    answer_list(&shared, &account, |_| true).await
}

/// `GET /v2/accounts/{A}/users/{U}/channels`.
pub(crate) async fn list_of_user(
    State(shared): State<Arc<Shared>>,
    Path((id, user)): Path<(String, String)>,
) -> Answered {
    let account = scope::account(&shared, &id).await?;
    scope::user(&shared, &account, &user).await?;
    answer_list(&shared, &account, |channel| channel.is_of_user(&user)).await
}

/// `GET /v2/accounts/{A}/devices/{D}/channels`.
pub(crate) async fn list_of_device(
    State(shared): State<Arc<Shared>>,
    Path((id, device)): Path<(String, String)>,
) -> Answered {
    let account = scope::account(&shared, &id).await?;
    scope::device(&shared, &account, &device).await?;
    answer_list(&shared, &account, |channel| channel.is_of_device(&device)).await
}

/// `GET /v2/accounts/{A}/channels/{CALL_ID}`.
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    Path((id, call_id)): Path<(String, String)>,
) -> Answered {
    let account = scope::account(&shared, &id).await?;
    let channel = find(&shared, &account, &call_id).await?;
    Ok(Answer::new(channel.picture()).wrap(&shared))
}

/// `PUT` and `POST /v2/accounts/{A}/channels/{CALL_ID}`: a metaflow is done with the call.
pub(crate) async fn act(
    State(shared): State<Arc<Shared>>,
    Path((id, call_id)): Path<(String, String)>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    Posted(body): Posted,
) -> Answered {
    let address = from.map(|Extension(ConnectInfo(address))| address);
    let ordered_by = ordered_by(&headers, address)?;
    let account = scope::account(&shared, &id).await?;
    let data = metaflow::read(&body)?;
    let channel = find(&shared, &account, &call_id).await?;
    let action = MetaflowAction {
        account_id: Some(account),
        ordered_by: Some(ordered_by),
        ..MetaflowAction::record_call(channel.call(), data)
    };
    let done = order(&shared, action).await?;
    answer_action(&shared, &call_id, done)
}

async fn answer_list(
    shared: &Shared,
    account: &AccountId,
    is_meant: impl Fn(&Channel) -> bool,
) -> Answered {
    let channels = shared.switches.channels(&shared.asker, account).await?;
    let meant = channels.iter().filter(|channel| is_meant(channel));
    let data: Vec<Value> = meant.map(Channel::picture).collect();
    let page = Page {
        size: data.len(),
        ..Page::default()
    };
    let answer = Answer {
        page: Some(page),
        ..Answer::new(Value::Array(data))
    };
    Ok(answer.wrap(shared))
}

async fn find(shared: &Shared, account: &AccountId, call_id: &str) -> Result<Channel, Refusal> {
    let call_id = CallId::parse(call_id)
        .map_err(|e| Refusal::new(Why::NotFound, e.to_string()).cause("call_id"))?;
    let found = shared.switches.channel(&shared.asker, account, &call_id);
    found.await
}

/// Tells the call's controller, and waits for what it says.
async fn order(shared: &Shared, action: MetaflowAction) -> Result<MetaflowActionResp, Refusal> {
    let (call_id, key) = (action.call_id.clone(), action.routing_key());
    tracing::info!(%call_id, by = ?action.ordered_by, what = ?action.data.get("action"), "ordered by the API");
    let ask = shared
        .asker
        .ask(Exchange::Metaflow, &key, action.into_envelope());
    let answer = ask.await?.next(Instant::now() + PATIENCE).await;
    answer.map(|answer| answer.body).ok_or_else(|| {
        let message = format!(
            "nobody who controls the call answered within {} s, so it is not known whether it was done: \
             either its controller is no Callreel, or its node is away or busy",
            PATIENCE.as_secs()
        );
        Refusal::new(Why::Late, message).cause(call_id.as_str())
    })
}

fn answer_action(shared: &Shared, call_id: &str, done: MetaflowActionResp) -> Answered {
    if done.status == ActionStatus::Refused {
        let message = done.detail.unwrap_or_else(|| "it was refused".to_owned());
        return Err(Refusal::new(Why::Conflict, message).cause(call_id));
    }
    // Nothing is recorded yet, nor ended: it waits for the answer or the bridge.
    let status = if done.recordings.is_empty() {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    let mut data = json!({"recordings": done.recordings});
    if let Some(detail) = done.detail {
        data["message"] = detail.into();
    }
    let answer = Answer {
        status,
        ..Answer::new(data)
    };
    Ok(answer.wrap(shared))
}

/// Who asks, for the evidence: the address it came from, and the name it gives itself. There is no authentication yet, so a
/// name is only a claim.
fn ordered_by(headers: &HeaderMap, address: Option<SocketAddr>) -> Result<OrderedBy, Refusal> {
    let name = headers.get(ORDERED_BY).map(|value| {
        let name = value
            .to_str()
            .ok()
            .filter(|name| name.len() <= MAX_NAME_BYTES);
        name.ok_or_else(|| {
            let message = format!("must be at most {MAX_NAME_BYTES} visible ASCII characters");
            invalid_header(ORDERED_BY, &message)
        })
    });
    let name = name
        .transpose()?
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let address = address.map(|address| address.ip().to_string());
    let who = match (name, address) {
        (Some(name), Some(address)) => Some(format!("{name} at {address}")),
        (name, address) => name.map(str::to_owned).or(address),
    };
    Ok(OrderedBy {
        who,
        ..OrderedBy::new(RecordingSource::Api)
    })
}
