//! Watches over the controllers of calls: a call whose controller has gone from the bus ends when nothing runs on it. What
//! runs goes on, a bridge stays up: as on Kazoo, a call does not need its controller until something is to be done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::channel::ChannelMsg;
use crate::shared::Shared;

/// Looks at controllers this many times within the time they are given.
const LOOKS: u32 = 4;

/// Watches as long as it is let.
pub(crate) async fn run(shared: Arc<Shared>) {
    let limit = Duration::from_secs(shared.config.controller_timeout_s);
    if limit.is_zero() {
        return std::future::pending().await;
    }
    let mut reconnects = shared.bus.reconnects();
    let mut look = interval(limit / LOOKS);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missing = Missing::default();
    loop {
        tokio::select! {
            // A broker that was away has taken everybody's queue with it: they have all their time to come back.
            () = reconnects.next() => missing = Missing::default(),
            _ = look.tick() => check(&shared, &mut missing, limit).await,
        }
    }
}

/// Controllers that are missing, by their address: since when, and whether that was logged.
#[derive(Default)]
struct Missing(HashMap<String, (Instant, bool)>);

async fn check(shared: &Shared, missing: &mut Missing, limit: Duration) {
    let calls = shared.channels.by_controller();
    missing
        .0
        .retain(|controller, _| calls.contains_key(controller));
    for (controller, channels) in calls {
        match shared.bus.has_queue(&controller).await {
            Some(false) => {}
            Some(true) => {
                missing.0.remove(&controller);
                continue;
            }
            None => return,
        }
        let now = Instant::now();
        let entry = missing.0.entry(controller.clone());
        let (since, logged) = entry.or_insert((now, false));
        if now - *since < limit {
            continue;
        }
        if !std::mem::replace(logged, true) {
            let calls = channels.len();
            tracing::warn!(
                controller,
                calls,
                "a controller has gone: its calls end when nothing runs on them"
            );
        }
        for channel in channels {
            // A channel that has just ended needs no telling.
            drop(channel.cast(ChannelMsg::Abandoned));
        }
    }
}
