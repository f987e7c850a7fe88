//! Decides whether this node can run a new call, and gathers what its actor needs. Sends nothing.

use std::sync::Arc;

use callreel_callflow::{Flow, Settings};
use callreel_proto::{Envelope, Headers, RouteReq};
use serde_json::Value;

use crate::{call, context::Context, lookup};

/// A call we can run.
pub(crate) struct Bid {
    /// The switch's request.
    pub(crate) route: Arc<RouteReq>,
    /// Its headers: where the answer goes.
    pub(crate) headers: Headers,
    /// What the call actor is started with.
    pub(crate) call: call::Args,
    /// The callflow's document.
    pub(crate) flow_id: String,
}

/// Whether we can run this call: its account's callflow, if it is one.
pub(crate) async fn consider(context: Arc<Context>, request: Envelope<RouteReq>) -> Option<Bid> {
    let Envelope { headers, body } = request;
    let account = body.account_id()?;
    let number = body.dialled().to_owned();
    let doc = match lookup::callflow_of(&context.store, &account, &number).await {
        Ok(doc) => doc?,
        Err(error) => {
            tracing::error!(call_id = %body.call_id, account_id = %account, %error, "no bid: the callflow cannot be read");
            return None;
        }
    };
    let text = |key: &str| doc.get(key).and_then(Value::as_str).map(str::to_owned);
    let flow = match Flow::parse(&doc, false) {
        Ok(flow) => flow,
        Err(error) => {
            tracing::error!(call_id = %body.call_id, account_id = %account, number, %error, "no bid: the callflow is broken");
            return None;
        }
    };
    let settings = Settings {
        media: lookup::media_config(&context.store).await,
        ..Settings::default()
    };
    let route = Arc::new(body);
    Some(Bid {
        headers,
        flow_id: text("_id").unwrap_or_default(),
        call: call::Args {
            context,
            route: Arc::clone(&route),
            account,
            flow,
            flow_name: text("name"),
            settings,
        },
        route,
    })
}
