//! The task that keeps us connected: connects, lets a session work until it ends, waits a moment, and again.

use std::{sync::Arc, time::Duration};

use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
};
use tokio::time::{interval, sleep, timeout};

use super::{
    Shared, State,
    counters::count,
    outbox::EXPIRY_CHECK,
    session::{End, Session},
    target::Target,
};

/// Kazoo's first and longest wait between two attempts (`kz_amqp_connection`).
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Restoring thousands of bindings takes a second or two; a broker that takes longer does not work.
const RESTORE_PATIENCE: Duration = Duration::from_secs(60);

/// Works until the bus is closed.
pub(crate) async fn run(shared: Arc<Shared>, target: Target) {
    tokio::select! {
        () = stay_connected(&shared, &target) => {}
        () = forget_the_old(&shared) => {}
    }
    let left = shared.outbox.discard();
    if left > 0 {
        tracing::error!(
            left,
            "the bus was closed before the broker had all messages"
        );
    }
    shared.set_state(State::Closed);
}

async fn stay_connected(shared: &Arc<Shared>, target: &Target) {
    let mut wait = FIRST_WAIT;
    while !shared.outbox.is_closed() {
        match turn(shared, target).await {
            Turn::Closed => break,
            Turn::Worked => wait = FIRST_WAIT,
            Turn::Failed => {}
        }
        tokio::select! {
            () = sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            () = shared.closing() => {}
        }
    }
}

/// Senders learn in time that their messages are lost, also when nothing is sent. Never returns.
async fn forget_the_old(shared: &Shared) {
    let mut check = interval(EXPIRY_CHECK);
    loop {
        check.tick().await;
        shared.outbox.expire(&shared.counters);
    }
}

enum Turn {
    /// There was a working connection.
    Worked,
    /// There was none.
    Failed,
    /// The bus was closed, and everything said.
    Closed,
}

/// One connection, from its establishment to its end.
async fn turn(shared: &Arc<Shared>, target: &Target) -> Turn {
    let connected = tokio::select! {
        connected = target.connect() => connected,
        () = shared.closing() => return Turn::Closed,
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            failed(shared, &error.to_string());
            if is_refusal(&error) {
                shared.set_state(State::Refused);
            }
            return Turn::Failed;
        }
    };
    let mut session = Session::new(shared, connection);
    let restored = tokio::select! {
        restored = timeout(RESTORE_PATIENCE, session.restore()) => restored,
        () = shared.closing() => return Turn::Closed,
    };
    let restored = restored.unwrap_or_else(|_| Err(End::lost("it does not answer")));
    let restored_all = restored.is_ok();
    let end = match restored {
        Ok(publisher) => {
            let again = count(&shared.counters.connects) > 1;
            shared.set_state(State::Connected);
            if again {
                shared.reconnected();
            }
            tracing::info!(url = shared.url(), again, "connected to the broker");
            session.work(publisher).await
        }
        Err(end) => end,
    };
    match end {
        End::Closed => {
            session.finish().await;
            Turn::Closed
        }
        End::Lost(reason) => {
            // Before changes are void: who waits for one then looks at the state.
            shared.set_state(State::Connecting);
            session.abandon().await;
            failed(shared, &reason);
            if restored_all {
                Turn::Worked
            } else {
                Turn::Failed
            }
        }
    }
}

fn failed(shared: &Shared, reason: &str) {
    if shared.set_error(reason) {
        tracing::warn!(
            url = shared.url(),
            reason,
            "no connection to the broker: trying again, messages wait"
        );
    }
}

/// Whether the broker answered that it will not have us: wrong password, no such vhost.
fn is_refusal(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    matches!(
        error.kind(),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
            | AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)
    )
}

#[cfg(test)]
mod tests {
    use callreel_proto::Exchange;

    use super::*;
    use crate::{BusConfig, Delivery, Lost, Receipt};

    #[tokio::test(start_paused = true)]
    async fn a_sender_learns_of_its_loss_although_the_broker_stays_away() {
        let config = BusConfig {
            url: "amqp://127.0.0.1:9".to_owned(),
            ..BusConfig::default()
        };
        let target = Target::new(&config, "node").unwrap();
        let shared = Arc::new(Shared::new("node", target.shown()));
        let running = tokio::spawn(run(Arc::clone(&shared), target));
        let track = || {
            let (receipt, answer) = Receipt::open();
            let message = Delivery {
                exchange: Exchange::Callctl,
                routing_key: "q".to_owned(),
                deliver_to: None,
                call_id: None,
                body: bytes::Bytes::new(),
            };
            let published = shared
                .outbox
                .publish(message, Some(answer), &shared.counters);
            published.map(|()| receipt).unwrap()
        };
        assert_eq!(track().await, Err(Lost::Expired));
        let left = track();
        shared.outbox.close();
        running.await.unwrap();
        assert_eq!(left.await, Err(Lost::Closed));
    }
}
