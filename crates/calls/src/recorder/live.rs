//! What a program or a party wants of a live call's recordings: which ones it means, whether it may, and what came of it.

use callreel_callflow::{Asker, Meant, Want, wish};
use callreel_proto::{
    AccountId, ActionStatus, Envelope, FlowPosition, LiveCall, LiveRecording, LiveState,
    MetaflowAction, OrderedBy, RecordingSource,
};
use ractor::{ActorRef, RpcReplyPort};
use serde_json::{Map, Value};

use super::{
    RecorderMsg, State,
    masking::Whom,
    running::{Key, Orderer, Running},
};
use crate::lookup;

impl State {
    /// Does what a program wants, and answers it. A call of another account is none it can know of.
    pub(super) async fn act(
        &mut self,
        request: Box<Envelope<MetaflowAction>>,
        myself: &ActorRef<RecorderMsg>,
    ) {
        let Envelope { headers, body } = *request;
        let foreign = |account| account != &self.args.account;
        if self.silenced || body.account_id.as_ref().is_some_and(foreign) {
            return;
        }
        let by = body.ordered_by.unwrap_or_else(|| OrderedBy {
            who: Some(headers.app_name.clone()),
            ..OrderedBy::new(RecordingSource::Api)
        });
        let outcome = self.grant(&body.data, &by, myself).await;
        let (status, detail, recordings) = match outcome {
            Ok(recordings) => (ActionStatus::Done, None, recordings),
            Err(reason) => {
                let all = self.running.values().filter(|r| r.is_beside());
                (ActionStatus::Refused, Some(reason), all.map(told).collect())
            }
        };
        let context = self.context();
        crate::told::answer(
            context,
            &headers,
            body.call_id,
            (status, detail),
            recordings,
        )
        .await;
    }

    /// A party dialled a feature code.
    pub(super) async fn dialled(
        &mut self,
        data: &Map<String, Value>,
        by: &OrderedBy,
        myself: &ActorRef<RecorderMsg>,
    ) {
        if self.silenced {
            return;
        }
        if let Err(reason) = self.grant(data, by, myself).await {
            tracing::warn!(call_id = %self.call_id(), account_id = %self.args.account, reason, ?by, "a feature code did nothing");
        }
    }

    /// Does what is wanted, and says of which recordings.
    ///
    /// # Errors
    /// Why it is not done, for people.
    pub(super) async fn grant(
        &mut self,
        data: &Map<String, Value>,
        by: &OrderedBy,
        myself: &ActorRef<RecorderMsg>,
    ) -> Result<Vec<LiveRecording>, String> {
        let media = lookup::media_config(&self.context().store, &self.args.account).await;
        let asker = Asker {
            media: &media,
            account_id: &self.args.account,
            by,
            number: self.args.route.dialled(),
        };
        let wish = wish::read(data, &asker);
        for problem in &wish.warnings {
            tracing::warn!(call_id = %self.call_id(), account_id = %self.args.account, %problem, ?by, "control of a live call");
        }
        let want = match &wish.want {
            Want::Toggle(meant, _) => {
                let running = self.wanted(meant, by.source).is_ok();
                wish.want.settled(running, false)
            }
            Want::ToggleMask(Meant::Usual) => wish.want.settled(true, self.masked_by.is_some()),
            Want::ToggleMask(meant) => {
                let key = self.meant_live(meant);
                let masked = key.is_some_and(|key| self.running[&key].masked_alone);
                wish.want.settled(true, masked)
            }
            _ => wish.want,
        };
        tracing::info!(call_id = %self.call_id(), account_id = %self.args.account, ?by, "control of a live call");
        match want {
            Want::Start(order) => {
                let keys = self.start(*order, Orderer::Nobody, myself).await?;
                Ok(self.tell_of(&keys))
            }
            Want::Nowhere(reason) => {
                self.refuse(Orderer::Nobody, by.clone(), reason.clone())
                    .await;
                Err(reason)
            }
            Want::Stop(meant) => self.stop_live(&meant, by, myself).await,
            Want::Mask(meant) => self.mask_live(&meant, true, by).await,
            Want::Unmask(meant) => self.mask_live(&meant, false, by).await,
            Want::Toggle(..) | Want::ToggleMask(_) => unreachable!("settled above"),
        }
    }

    async fn stop_live(
        &mut self,
        meant: &Meant,
        by: &OrderedBy,
        myself: &ActorRef<RecorderMsg>,
    ) -> Result<Vec<LiveRecording>, String> {
        let keys = self.pair(self.wanted(meant, by.source)?);
        let mut told = self.tell_of(&keys);
        self.end_by(keys[0], by.clone(), myself).await;
        for recording in &mut told {
            recording.state = LiveState::Stopped;
        }
        Ok(told)
    }

    async fn mask_live(
        &mut self,
        meant: &Meant,
        on: bool,
        by: &OrderedBy,
    ) -> Result<Vec<LiveRecording>, String> {
        let (whom, keys) = match meant {
            Meant::Usual => (Whom::Call, self.running.keys().copied().collect()),
            _ => {
                let key = self.meant_live(meant).ok_or("no such recording runs")?;
                (Whom::One(key), vec![key])
            }
        };
        if keys.is_empty() {
            return Err("nothing of the call is being recorded".to_owned());
        }
        match whom {
            Whom::Call => self.mask_call(on, by.clone()).await,
            Whom::One(_) => self.mask(whom, on, by.clone()).await,
        }
        Ok(self.tell_of(&keys))
    }

    /// What a stop means. Unless it is named: the newest of the same source, else the newest that a flow, a program or a party
    /// began, for who presses "stop" means what is being recorded. What the account or a device wants recorded only a program
    /// may end, by its id.
    fn wanted(&self, meant: &Meant, source: RecordingSource) -> Result<Key, String> {
        if *meant == Meant::Usual {
            let of = |wanted: &dyn Fn(RecordingSource) -> bool| {
                self.newest(|r| r.is_beside() && r.goes_on() && wanted(r.ordered_by.source))
            };
            let none = "nothing runs that may be stopped like this; what the account, a device or another application wants recorded has to be named";
            let own = of(&|of| of == source);
            return own
                .or_else(|| of(&is_at_hand))
                .ok_or_else(|| none.to_owned());
        }
        let key = self.meant_live(meant).ok_or("no such recording runs")?;
        let mandated = self.running[&key].ordered_by.source.is_mandate();
        let by_id = matches!(meant, Meant::Id(_)) && source == RecordingSource::Api;
        if mandated && !by_id {
            return Err(
                "the account or a device wants this recorded: only its id can end it".to_owned(),
            );
        }
        Ok(key)
    }

    /// The running recording of this id, or the newest of this name, whoever began it.
    fn meant_live(&self, meant: &Meant) -> Option<Key> {
        self.newest(|running| {
            let live = running.is_beside() && running.goes_on();
            live && match meant {
                Meant::Named(name) => running.name.as_deref() == Some(name),
                Meant::Id(id) => running.ticket.recording_id().as_str() == id,
                Meant::Usual | Meant::Slot(_) => false,
            }
        })
    }

    /// Tells of the call, with the place in its flow that its controller has said, if it is this account's.
    pub(super) fn live(
        &self,
        account: &AccountId,
        flow: Option<FlowPosition>,
        reply: RpcReplyPort<LiveCall>,
    ) {
        if *account != self.args.account {
            return;
        }
        let going_on = self.running.values().filter(|running| running.goes_on());
        drop(reply.send(LiveCall {
            call_id: self.call_id().clone(),
            flow,
            recordings: going_on.map(told).collect(),
        }));
    }

    fn tell_of(&self, keys: &[Key]) -> Vec<LiveRecording> {
        let running = keys.iter().filter_map(|key| self.running.get(key));
        running.map(told).collect()
    }
}

/// Whether somebody with a hand on the live call began it, so that another such hand may end it.
fn is_at_hand(source: RecordingSource) -> bool {
    match source {
        RecordingSource::Callflow | RecordingSource::Api | RecordingSource::FeatureCode => true,
        RecordingSource::Account | RecordingSource::Endpoint | RecordingSource::Application => {
            false
        }
    }
}

/// A recording as an answer tells of it.
fn told(running: &Running) -> LiveRecording {
    LiveRecording {
        id: running.ticket.recording_id().clone(),
        state: match running.ticket.is_masked() {
            true => LiveState::Masked,
            false => LiveState::Recording,
        },
        name: running.name.clone(),
        source: running.ordered_by.source,
    }
}
