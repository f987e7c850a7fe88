//! What other applications and programs want of calls: finds whom each is for. Does none of it.

use std::{sync::Arc, time::Duration};

use callreel_proto::{
    AccountId, CallId, Envelope, LiveCall, LiveReq, LiveResp, MetaflowAction, MetaflowFlow,
    RecordRequest, RecordingId,
};
use futures::future::join_all;
use ractor::{Actor, ActorRef, rpc::CallResult};
use serde_json::Value;

use super::{DispatcherMsg, State};
use crate::{
    call::CallMsg,
    control::{Control, Owner},
    lookup,
    recorder::{self, Recorder, RecorderMsg},
    registry::{Listener, Session},
    told,
};

/// A call that is too busy to tell of itself for so long is left out: whoever asked waits for the others.
const TELLING: Duration = Duration::from_millis(500);

impl State {
    /// What another application wants recorded: for its controller if that is here, else for a recorder of its own.
    pub(super) async fn record(
        &mut self,
        request: Box<Envelope<RecordRequest>>,
        myself: &ActorRef<DispatcherMsg>,
    ) {
        let call_id = request.body.command.call_id.clone();
        let listener = self
            .registry
            .of(&call_id)
            .find(|session| session.control_queue.is_some())
            .map(|session| session.listener.clone());
        let listener = match listener {
            Some(listener) => Ok(listener),
            None => self.recorder(&call_id, &request.body, myself).await,
        };
        match listener {
            Ok(Listener::Call(call)) => drop(call.cast(CallMsg::Asked(request))),
            Ok(Listener::Recorder(recorder)) => drop(recorder.cast(RecorderMsg::Asked(request))),
            Err(reason) => recorder::answer_error(&self.context, &request, &reason).await,
        }
    }

    /// What a program wants of a live call: for its controller, else for a recorder at it. The calls of others are theirs, and
    /// a call that nobody knows is answered by nobody.
    pub(super) fn act(&self, request: Box<Envelope<MetaflowAction>>) {
        let call_id = &request.body.call_id;
        let id = request
            .body
            .data
            .get("recording_id")
            .and_then(Value::as_str);
        let id = id.and_then(|id| RecordingId::parse(id).ok());
        // It may be an earlier controller's: that of a call that was transferred.
        let holder = id.and_then(|id| self.context.held.owner(&id));
        let holder = holder.and_then(|owner| self.registry.get(owner));
        let holder = holder.filter(|s| s.call_id == *call_id || s.heir.as_ref() == Some(call_id));
        let mut listener = holder.map(|session| session.listener.clone());
        let found = listener.is_some();
        for session in self.registry.of(&request.body.call_id) {
            let controls = matches!(session.listener, Listener::Call(_));
            if !found && session.control_queue.is_some() && (controls || listener.is_none()) {
                listener = Some(session.listener.clone());
            }
        }
        match listener {
            Some(Listener::Call(call)) => drop(call.cast(CallMsg::Act(request))),
            Some(Listener::Recorder(recorder)) => drop(recorder.cast(RecorderMsg::Act(request))),
            None => {}
        }
    }

    /// The metaflow that a program wants run: for the controller of the leg, or of the leg it talks to.
    pub(super) fn flow(&self, request: Box<Envelope<MetaflowFlow>>) {
        let leg = &request.body.call_id;
        let controls = |session: &&Session| session.control_queue.is_some();
        let listener = self
            .registry
            .of(leg)
            .find(controls)
            .map(|s| s.listener.clone());
        let call = match listener {
            Some(Listener::Call(call)) => Some(call),
            Some(Listener::Recorder(_)) => None,
            None => self.context.legs.call(leg),
        };
        if let Some(call) = call {
            drop(call.cast(CallMsg::Flow(request)));
        }
    }

    /// Which calls of an account are here: all are asked at once, and the answer waits for nobody else's message.
    pub(super) fn live(&self, request: Envelope<LiveReq>) {
        let listeners: Vec<Listener> = self
            .registry
            .all()
            .filter(|session| session.control_queue.is_some())
            .map(|session| session.listener.clone())
            .collect();
        let context = Arc::clone(&self.context);
        tokio::spawn(async move {
            let Envelope { headers, body } = request;
            let asked = listeners
                .iter()
                .map(|listener| live(listener, &body.account_id));
            let calls = join_all(asked).await.into_iter().flatten().collect();
            let answer = LiveResp { calls }.into_envelope(&headers.msg_id);
            told::reply(&context, &headers, answer).await;
        });
    }

    /// A recorder for a channel that another application controls.
    async fn recorder(
        &mut self,
        call_id: &CallId,
        request: &RecordRequest,
        myself: &ActorRef<DispatcherMsg>,
    ) -> Result<Listener, String> {
        if self.draining || self.registry.len() >= self.context.config.max_calls {
            return Err("this node takes no more calls".to_owned());
        }
        let account = request.call.account_id();
        let account = account.ok_or("the call belongs to no account")?;
        self.hear(call_id)
            .await
            .map_err(|error| error.to_string())?;
        let control = Control {
            context: Arc::clone(&self.context),
            call_id: call_id.clone(),
            queue: request.control_queue.clone(),
            owner: Owner::Nobody,
            asked_in: None,
        };
        let recipient = lookup::recipient(&self.context.store, &account).await;
        let args = recorder::Args {
            call: None,
            recipient,
            control,
            route: Arc::new(request.call.clone()),
            account,
            peer: None,
        };
        let spawned = Actor::spawn_linked(None, Recorder, args, myself.get_cell()).await;
        let (recorder, _) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                self.hear_no_more(call_id).await;
                return Err(error.to_string());
            }
        };
        let queue = request.control_queue.clone();
        self.registry
            .add(Session::recorder(recorder.clone(), call_id.clone(), queue));
        Ok(Listener::Recorder(recorder))
    }
}

/// What a listener tells of its call. Others' calls, and those that have ended meanwhile, are not told of.
async fn live(listener: &Listener, account: &AccountId) -> Option<LiveCall> {
    let account = account.clone();
    let told = match listener {
        Listener::Call(call) => {
            let ask = |reply| CallMsg::Live(account, reply);
            call.call(ask, Some(TELLING)).await.ok()
        }
        Listener::Recorder(recorder) => {
            let ask = |reply| RecorderMsg::Live(account, None, reply);
            recorder.call(ask, Some(TELLING)).await.ok()
        }
    };
    match told? {
        CallResult::Success(call) => Some(call),
        CallResult::Timeout | CallResult::SenderError => None,
    }
}
