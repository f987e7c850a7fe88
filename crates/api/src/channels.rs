//! Live calls: the channels of an account, as Crossbar shows them, and what may be done with one while it lives. The
//! switches tell which there are; the call's controller does what is asked.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    http::StatusCode,
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
    auth::By,
    envelope::{Answer, Page},
    live::Live,
    metaflow,
    refusal::{Refusal, Why},
    request::Posted,
    scope,
    switches::Channel,
};

type Answered = Result<Response, Refusal>;

/// How long a call's controller may take: a start writes to the disk and waits for the switch.
const PATIENCE: Duration = Duration::from_secs(5);

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
    let channel = find(&shared, &account, &call_id);
    let (channel, live) = tokio::join!(channel, Live::of(&shared, &account));
    Ok(Answer::new(picture(&channel?, &live)).wrap(&shared))
}

/// `PUT` and `POST /v2/accounts/{A}/channels/{CALL_ID}`: a metaflow is done with the call.
pub(crate) async fn act(
    State(shared): State<Arc<Shared>>,
    Path((id, call_id)): Path<(String, String)>,
    By(who): By,
    Posted(body): Posted,
) -> Answered {
    let account = scope::account(&shared, &id).await?;
    let step = metaflow::read(&body, &account)?;
    let channel = find(&shared, &account, &call_id).await?;
    let action = MetaflowAction {
        account_id: Some(account),
        ordered_by: Some(OrderedBy {
            who,
            ..OrderedBy::new(RecordingSource::Api)
        }),
        action: step.module,
        ..MetaflowAction::record_call(channel.call(), step.data)
    };
    let done = order(&shared, action).await?;
    answer_action(&shared, &call_id, done)
}

async fn answer_list(
    shared: &Shared,
    account: &AccountId,
    is_meant: impl Fn(&Channel) -> bool,
) -> Answered {
    let channels = shared.switches.channels(&shared.asker, account);
    let (channels, live) = tokio::join!(channels, Live::of(shared, account));
    let channels = channels?;
    let meant = channels.iter().filter(|channel| is_meant(channel));
    let data: Vec<Value> = meant.map(|channel| picture(channel, &live)).collect();
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

/// A channel with what is told of the call it belongs to; neither is there if nobody of us has that call.
fn picture(channel: &Channel, live: &Live) -> Value {
    let mut picture = channel.picture();
    let of_another = || live.call(&channel.id());
    if let Some(call) = live.call(&channel.call()).or_else(of_another) {
        picture["flow"] = json!(call.flow);
        picture["recordings"] = json!(call.recordings);
    }
    picture
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
    tracing::info!(%call_id, by = ?action.ordered_by, what = action.action, how = ?action.data.get("action"), "ordered by the API");
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
