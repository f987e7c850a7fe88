//! Decides whether this node can run a new call, and gathers what its actor needs. Sends nothing.

use std::{sync::Arc, time::Duration};

use callreel_callflow::{Dialled, Flow, Ringback, Settings, Standing, metaflow::MetaflowRules};
use callreel_proto::{AccountId, Envelope, Headers, RouteReq, RouteResp};
use serde_json::Value;

use crate::{
    answer, call,
    context::Context,
    lookup::{
        self, PartyDocs,
        restrictions::{self, Sender},
    },
};

/// Kazoo gives those who know a caller without an account of its own this head start.
const HEAD_START: Duration = Duration::from_millis(500);

/// What a node waits for each doubling of its calls before it answers.
const COURTESY: Duration = Duration::from_millis(10);

/// How long a node with so many calls holds its answer back. The first answer wins, so the least busy of several nodes
/// should come first; a full one still answers in an eighth of a second, and Kazoo waits for more than two.
pub(crate) fn courtesy(calls: usize) -> Duration {
    let doublings = f64::from(u32::try_from(calls).unwrap_or(u32::MAX)).ln_1p() / 2f64.ln();
    COURTESY.mul_f64(doublings)
}

/// A call we can run.
pub(crate) struct Bid {
    /// Its headers: where the answer goes.
    pub(crate) headers: Headers,
    /// What the call actor is started with.
    pub(crate) call: call::Args,
    /// The control session it would be.
    pub(crate) fetch_id: String,
    /// The answer.
    pub(crate) answer: RouteResp,
}

/// How the caller was authenticated, as far as it matters here (Kazoo's `cf_route_req`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// By nobody: the call came with an account all the same, by the number it dialled.
    Unknown,
    /// As one of the account's own.
    Own,
    /// As a carrier.
    Carrier,
    /// As the system itself (`sys_info`).
    System,
    /// In a way that is not for callflows.
    Stranger,
}

impl Caller {
    fn of(route: &RouteReq) -> Self {
        match route.channel_var("Authorizing-Type") {
            None => Self::Unknown,
            Some(
                "account" | "user" | "device" | "mobile" | "callforward" | "clicktocall"
                | "click2call" | "conference",
            ) => Self::Own,
            Some("resource") => Self::Carrier,
            Some("sys_info") => Self::System,
            Some(_) => Self::Stranger,
        }
    }
}

/// The control session a `route_req` asks for: its `Msg-ID`, under another name.
pub(crate) fn fetch_id<'a>(headers: &'a Headers, route: &'a RouteReq) -> &'a str {
    route.channel_var("Fetch-ID").unwrap_or(&headers.msg_id)
}

/// Whether we can run this call: its account's callflow, if it is one.
pub(crate) async fn consider(context: Arc<Context>, request: Envelope<RouteReq>) -> Option<Bid> {
    let Envelope { headers, body } = request;
    let account = body.account_id()?;
    if !context.calls.takes(&account) {
        return None;
    }
    let caller = Caller::of(&body);
    match caller {
        Caller::Stranger => return None,
        Caller::System if is_public_number(body.dialled()) => return None,
        Caller::System => tokio::time::sleep(HEAD_START).await,
        Caller::Unknown | Caller::Own | Caller::Carrier => {}
    }
    let senders = senders(&context, &account, &body).await;
    let found = callflow(&context, &account, &body, caller, &senders).await?;
    let doc = &found.document;
    let flow = match Flow::parse(doc, false) {
        Ok(flow) => flow,
        Err(error) => {
            tracing::error!(call_id = %body.call_id, account_id = %account, number = body.dialled(), %error, "no bid: the callflow is broken");
            return None;
        }
    };
    let text = |key: &str| doc.get(key).and_then(Value::as_str).map(str::to_owned);
    let settings = Settings {
        media: lookup::media_config(&context.store, &account).await,
        callflow: lookup::callflow_config(&context.store).await,
        ..Settings::default()
    };
    let device = lookup::calling_device(&body);
    let caller = lookup::party(&context.store, &account, device).await;
    if !context.grants(&account, 1) {
        tracing::warn!(call_id = %body.call_id, account_id = %account, number = body.dialled(), "no bid: the account runs more calls and actions than it may (calls.flow_tokens)");
        return None;
    }
    let store = &context.store;
    let sender = senders.first();
    let denied = restrictions::denied(store, &account, &body, &caller, sender, &found).await;
    if let Some(why) = &denied {
        tracing::info!(call_id = %body.call_id, account_id = %account, number = body.dialled(), %why, "the caller may not make this call");
    }
    let wishes = match denied {
        Some(_) => Wishes::of_nobody(),
        None => Wishes::of(flow, &caller, &body, &found),
    };
    let flow_id = text("_id").unwrap_or_default();
    let fetch_id = fetch_id(&headers, &body).to_owned();
    Some(Bid {
        answer: answer::park(&body, &account, &caller, &flow_id, &settings.callflow),
        call: call::Args {
            route: Arc::new(body),
            account,
            flow: wishes.flow,
            flow_name: text("name"),
            ringback: Ringback::of(doc),
            captures: found.captures,
            caller: caller.facts(),
            standing: wishes.standing,
            metaflows: wishes.metaflows,
            recipient: caller.recipient(),
            settings,
            asked_in: headers.trace_parent,
            context,
        },
        fetch_id,
        headers,
    })
}

/// What becomes of a call.
struct Wishes {
    flow: Flow,
    standing: Standing,
    metaflows: MetaflowRules,
}

impl Wishes {
    /// What the account and the caller want.
    fn of(flow: Flow, caller: &PartyDocs, route: &RouteReq, found: &Dialled) -> Self {
        Self {
            flow: match caller.preflow() {
                Some(id) => flow.after(&id),
                None => flow,
            },
            standing: caller.standing(route, found),
            metaflows: MetaflowRules {
                callflow: metaflows_of(&found.document),
                ..caller.metaflows()
            },
        }
    }

    /// Of a caller who may not make the call nothing is wanted but to know it.
    fn of_nobody() -> Self {
        Self {
            flow: Flow::unauthorized(),
            standing: Standing::default(),
            metaflows: MetaflowRules::default(),
        }
    }
}

/// A callflow's own feature codes. Kazoo's documents may also say `true` or `false`, which names none.
fn metaflows_of(document: &Value) -> Value {
    let own = document.get("metaflows").filter(|own| !own.is_boolean());
    own.cloned().unwrap_or_default()
}

/// The callflow this call runs, if it may run one. A device of the account that sent the call here may dial out of it, too.
async fn callflow(
    context: &Context,
    account: &AccountId,
    route: &RouteReq,
    caller: Caller,
    senders: &[Sender],
) -> Option<Dialled> {
    let found = lookup::callflow_of(&context.store, account, route.dialled()).await;
    let found = match found {
        Ok(found) => found?,
        Err(error) => {
            tracing::error!(call_id = %route.call_id, account_id = %account, %error, "no bid: the callflow cannot be read");
            return None;
        }
    };
    let own = |sender: &Sender| matches!(sender, Sender::Own(_));
    if found.fallback && caller != Caller::Own && !senders.iter().any(own) {
        return None;
    }
    Some(found)
}

/// Who diverted and who transferred the call here.
async fn senders(context: &Context, account: &AccountId, route: &RouteReq) -> Vec<Sender> {
    let mut senders = Vec::new();
    for name in ["Redirected-By", "Referred-By"] {
        if let Some(user) = route.channel_var(name).and_then(user_of) {
            senders.push(restrictions::sender(&context.store, account, user).await);
        }
    }
    senders
}

/// The user part of a SIP address such as `"Bob" <sip:bob@acme.example>;x=1`.
fn user_of(address: &str) -> Option<&str> {
    let address = address.rsplit('<').next()?;
    let address = address.strip_prefix("sips:").unwrap_or(address);
    let address = address.strip_prefix("sip:").unwrap_or(address);
    let user = address.split(['@', '>', ';']).next()?;
    (!user.is_empty()).then_some(user)
}

/// Whether this is a number of the public network, by Kazoo's default rule of what it reconciles.
fn is_public_number(number: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let international = number.strip_prefix('+');
    let national = international.unwrap_or(number);
    let national = national.strip_prefix('1').unwrap_or(national);
    if national.len() == 10 && digits(national) {
        return true;
    }
    let long = |text: &str, least: usize| text.len() >= least && digits(text);
    international.is_some_and(|n| n.starts_with(|c| ('2'..='9').contains(&c)) && long(n, 8))
        || number.strip_prefix("011").is_some_and(|n| long(n, 5))
        || number.strip_prefix("00").is_some_and(|n| long(n, 5))
}

#[cfg(test)]
mod tests {
    use callreel_proto::CallId;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_busier_node_answers_later_and_none_late() {
        assert_eq!(courtesy(0), Duration::ZERO);
        assert!(courtesy(4) > courtesy(0) + Duration::from_millis(20));
        assert!(courtesy(2000) > courtesy(1000) + Duration::from_millis(9));
        assert!(courtesy(4000) < Duration::from_millis(125));
    }

    #[test]
    fn only_some_ways_to_be_authenticated_are_for_callflows() {
        let caller = |kind: Option<&str>| {
            let mut route = RouteReq::new(CallId::new("a"), "a@r", "b@r", "b@r");
            if let Some(kind) = kind {
                let vars = &mut route.custom_channel_vars;
                vars.insert("Authorizing-Type".to_owned(), json!(kind));
            }
            Caller::of(&route)
        };
        assert_eq!(caller(None), Caller::Unknown);
        assert_eq!(caller(Some("mobile")), Caller::Own);
        assert_eq!(caller(Some("resource")), Caller::Carrier);
        assert_eq!(caller(Some("sys_info")), Caller::System);
        assert_eq!(caller(Some("trunkstore")), Caller::Stranger);
    }

    #[test]
    fn public_numbers_are_told_from_extensions() {
        for public in [
            "4155550100",
            "14155550100",
            "+14155550100",
            "+4930123456",
            "0114930123456",
            "004930123",
        ] {
            assert!(is_public_number(public), "{public}");
        }
        for own in [
            "",
            "2000",
            "*97",
            "+",
            "+123",
            "no_match",
            "0112",
            "415555010x",
        ] {
            assert!(!is_public_number(own), "{own}");
        }
    }

    #[test]
    fn the_user_of_an_address_is_found_however_it_is_written() {
        for (address, user) in [
            ("sip:bob@acme.example", Some("bob")),
            ("<sips:bob@acme.example;transport=tcp>", Some("bob")),
            ("\"Bob\" <sip:bob@acme.example>;tag=1", Some("bob")),
            ("bob", Some("bob")),
            ("", None),
            ("sip:@acme.example", None),
        ] {
            assert_eq!(user_of(address), user, "{address}");
        }
    }
}
