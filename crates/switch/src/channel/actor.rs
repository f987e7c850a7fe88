//! The actor of a channel, and what carries the words of the SIP library and of the media engine to it.

use std::sync::Arc;

use callreel_proto::CallId;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rsipstack::dialog::dialog::DialogStateReceiver;
use tokio::sync::mpsc;

use super::{Begin, Channel, ChannelMsg};
use crate::rtp::MediaEvent;
use crate::shared::Shared;

/// The actor of a [`Channel`].
pub(crate) struct ChannelActor;

impl Actor for ChannelActor {
    type Msg = ChannelMsg;
    type State = Channel;
    type Arguments = (Arc<Shared>, CallId, Begin);

    async fn pre_start(
        &self,
        me: ActorRef<ChannelMsg>,
        (shared, call_id, begin): Self::Arguments,
    ) -> Result<Channel, ActorProcessingErr> {
        Ok(match begin {
            Begin::Inbound(inbound) => {
                Box::pin(Channel::begin_inbound(shared, me, call_id, *inbound)).await
            }
            Begin::Outbound(outbound) => {
                Box::pin(Channel::begin_outbound(shared, me, call_id, *outbound)).await
            }
        })
    }

    async fn handle(
        &self,
        me: ActorRef<ChannelMsg>,
        message: ChannelMsg,
        channel: &mut Channel,
    ) -> Result<(), ActorProcessingErr> {
        channel.handle(message).await;
        if channel.over {
            me.stop(None);
        }
        Ok(())
    }
}

/// Carries what the media engine tells about a leg to its channel.
pub(super) fn pump_media(me: &ActorRef<ChannelMsg>, mut events: mpsc::Receiver<MediaEvent>) {
    let me = me.clone();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if me.cast(ChannelMsg::Media(event)).is_err() {
                break;
            }
        }
    });
}

/// Carries what the SIP library tells about a dialog to its channel.
pub(super) fn pump_dialog(me: &ActorRef<ChannelMsg>, mut states: DialogStateReceiver) {
    let me = me.clone();
    tokio::spawn(async move {
        while let Some(state) = states.recv().await {
            if me.cast(ChannelMsg::Dialog(Box::new(state))).is_err() {
                break;
            }
        }
    });
}
