//! The actor at the switch's SIP port: supervises the channels and clears up after one that dies. Serves no request itself.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use callreel_proto::{CallEvent, EventName, HangupCause, Utc};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use rsipstack::dialog::dialog::{Dialog, DialogState};
use rsipstack::sip::StatusCode;
use rsipstack::transaction::key::TransactionRole;

use crate::events;
use crate::shared::{Entry, Shared, locked};

/// How often expired registrations are forgotten; they are not found meanwhile, only kept.
const SWEEP: Duration = Duration::from_secs(60);

/// What the port hears.
pub(crate) enum PortMsg {
    /// From its own timer: forget what has expired.
    Sweep,
}

/// Supervises the channels of one switch.
pub(crate) struct SipPort;

impl Actor for SipPort {
    type Msg = PortMsg;
    type State = Arc<OnceLock<Arc<Shared>>>;
    type Arguments = Arc<OnceLock<Arc<Shared>>>;

    async fn pre_start(
        &self,
        me: ActorRef<PortMsg>,
        shared: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        me.send_interval(SWEEP, || PortMsg::Sweep);
        Ok(shared)
    }

    async fn handle(
        &self,
        _me: ActorRef<PortMsg>,
        message: PortMsg,
        shared: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PortMsg::Sweep => {
                if let Some(shared) = shared.get() {
                    locked(&shared.location).sweep(Instant::now());
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<PortMsg>,
        event: SupervisionEvent,
        shared: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(actor, error) = event {
            tracing::error!(%error, "a channel died");
            if let Some(shared) = shared.get() {
                clear_up(shared, &actor).await;
            }
        }
        Ok(())
    }
}

/// The phone of a dead channel is told, and so are its listeners.
async fn clear_up(shared: &Arc<Shared>, actor: &ActorCell) {
    let Some((call_id, entry)) = shared.channels.remove_actor(actor.get_id()) else {
        return;
    };
    let mut event = CallEvent::new(call_id, Utc::now());
    event.call_direction = Some(entry.direction.name().to_owned());
    shared.identity.sign(&mut event);
    event.hangup_cause = Some(HangupCause::NormalTemporaryFailure);
    event.hangup_code = Some("sip:500".to_owned());
    let (bus, identity) = (&shared.bus, &shared.identity);
    events::publish(bus, identity, EventName::ChannelDestroy, event, None).await;
    tokio::spawn(end_dialog(shared.clone(), entry));
}

async fn end_dialog(shared: Arc<Shared>, entry: Entry) {
    let Some(dialog) = entry.dialog else {
        return;
    };
    let unanswered = matches!(
        dialog.state(),
        DialogState::Calling(_) | DialogState::Trying(_) | DialogState::Early(..)
    );
    let outcome = match (unanswered, dialog.role()) {
        (true, TransactionRole::Server) => {
            dialog.reject(Some(StatusCode::ServerInternalError), None)
        }
        (true, TransactionRole::Client) => dialog.cancel().await,
        (false, _) => dialog.bye().await,
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "ending the dialog of a dead channel");
    }
    shared.dialogs.remove_dialog(&Dialog::Invite(dialog).id());
}
