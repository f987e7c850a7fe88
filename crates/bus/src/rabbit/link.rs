//! The task that keeps us connected: connects, lets a session work until it ends, waits a moment, and again.

use std::{sync::Arc, time::Duration};

use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
};
use tokio::time::{sleep, timeout};

use super::{
    Shared, State,
    counters::count,
    session::{End, Session},
    target::Target,
};

/// Kazoo's first and longest wait between two attempts (kazoo-wire §1.1).
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Restoring thousands of bindings takes a second or two; a broker that takes longer does not work.
const RESTORE_PATIENCE: Duration = Duration::from_secs(60);

/// Works until the bus is closed.
pub(crate) async fn run(shared: Arc<Shared>, target: Target) {
    let mut wait = FIRST_WAIT;
    while !shared.outbox.is_closed() {
        match turn(&shared, &target).await {
            Turn::Closed => break,
            Turn::Worked => wait = FIRST_WAIT,
            Turn::Failed => {}
        }
        tokio::select! {
            () = sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            () = shared.closing() => {}
        }
    }
    let (left, _) = shared.outbox.level();
    if left > 0 {
        tracing::error!(
            left,
            "the bus was closed before the broker had all messages"
        );
    }
    shared.set_state(State::Closed);
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
