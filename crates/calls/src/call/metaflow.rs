//! Does what feature codes and programs want of a live call, beside its flow. Hears no key.

use callreel_callflow::metaflow::{Act, Party, Step, chain};
use callreel_callflow::{Answer, Input, Query};
use callreel_proto::{
    ActionStatus, Application, CallId, Envelope, InsertAt, MetaflowAction, MetaflowFlow, OrderedBy,
    RecordingSource,
};
use ractor::ActorRef;
use serde_json::Value;

use super::{CallMsg, State};
use crate::{lookup, recorder::RecorderMsg, told};

impl State {
    /// Does the steps, one after the other, without waiting for what becomes of them; one that cannot be done ends them.
    pub(super) async fn run(
        &mut self,
        steps: Vec<Step>,
        party: Party,
        by: &OrderedBy,
        myself: &ActorRef<CallMsg>,
    ) {
        for step in steps {
            if let Err(reason) = self.step(&step, party, by, myself).await {
                let (call_id, module) = (&self.route.call_id, &step.module);
                tracing::warn!(%call_id, module, reason, ?by, "a metaflow ends here");
                return;
            }
        }
    }

    /// Does one step.
    ///
    /// # Errors
    /// Why it is not done, for people.
    async fn step(
        &mut self,
        step: &Step,
        party: Party,
        by: &OrderedBy,
        myself: &ActorRef<CallMsg>,
    ) -> Result<(), String> {
        if self.finished || self.control.is_none() {
            return Err("the call is not controlled here".to_owned());
        }
        let (wanted, problems) = step.act(party, &self.account);
        for problem in problems {
            tracing::warn!(call_id = %self.route.call_id, account_id = %self.account, %problem, ?by, "control of a live call");
        }
        match wanted? {
            Act::Record(data) => {
                let recorder = self.recorder(myself).await.map_err(|e| e.to_string())?;
                drop(recorder.cast(RecorderMsg::Dialled(data, by.clone())));
            }
            Act::Command(party, application) => self.order(party, *application, by).await?,
            Act::Callflow(id) => self.overlay(Query::Callflow { id }, myself),
            Act::Number(number) => self.overlay(Query::Dialled { number }, myself),
        }
        Ok(())
    }

    async fn order(
        &self,
        party: Party,
        application: Application,
        by: &OrderedBy,
    ) -> Result<(), String> {
        let control = self.control.as_ref().ok_or("the call is not ours")?;
        let leg = match party {
            Party::Caller => &control.call_id,
            Party::Callee => self.peer.as_ref().ok_or("the call is not bridged")?,
        };
        tracing::info!(call_id = %control.call_id, %leg, command = application.name(), ?by, "control of a live call");
        let control = control.about(leg);
        control.send(InsertAt::Now, application, None).await;
        Ok(())
    }

    /// Has the flow go on with another one.
    fn overlay(&self, query: Query, myself: &ActorRef<CallMsg>) {
        let (context, account) = (self.context.clone(), self.account.clone());
        let (myself, call_id) = (myself.clone(), self.route.call_id.clone());
        tokio::spawn(async move {
            let document = match lookup::answer(&context.store, &account, &query).await {
                Answer::Flow(document) => document,
                Answer::Dialled(found) => found.document,
                _ => {
                    tracing::warn!(%call_id, ?query, "a metaflow names no callflow of the account");
                    return;
                }
            };
            // The call may have ended meanwhile.
            drop(myself.cast(CallMsg::Tell(Box::new(Input::Overlay(document)))));
        });
    }

    /// A program wants one thing done: what concerns recordings is the recorder's to answer.
    pub(super) async fn act(
        &mut self,
        request: Box<Envelope<MetaflowAction>>,
        myself: &ActorRef<CallMsg>,
    ) {
        if request.body.action != MetaflowAction::RECORD_CALL {
            return self.act_itself(*request, myself).await;
        }
        if self.control.is_none() || (self.finished && self.recorder.is_none()) {
            return;
        }
        match self.recorder(myself).await {
            Ok(recorder) => drop(recorder.cast(RecorderMsg::Act(request))),
            Err(error) => {
                tracing::error!(call_id = %self.route.call_id, account_id = %self.account, %error, "no recorder: a program is not answered");
            }
        }
    }

    async fn act_itself(&mut self, request: Envelope<MetaflowAction>, myself: &ActorRef<CallMsg>) {
        let Envelope { headers, body } = request;
        let foreign = body
            .account_id
            .as_ref()
            .is_some_and(|id| *id != self.account);
        if foreign || self.control.is_none() || self.finished {
            return;
        }
        let by = body.ordered_by.unwrap_or_else(|| OrderedBy {
            who: Some(headers.app_name.clone()),
            ..OrderedBy::new(RecordingSource::Api)
        });
        let step = Step {
            module: body.action,
            data: body.data,
        };
        let party = self.party(&body.call_id);
        let (status, detail) = match self.step(&step, party, &by, myself).await {
            Ok(()) => (ActionStatus::Done, None),
            Err(reason) => (ActionStatus::Refused, Some(reason)),
        };
        told::answer(
            &self.context,
            &headers,
            body.call_id,
            (status, detail),
            Vec::new(),
        )
        .await;
    }

    /// A program wants several things done, one after the other. Nobody is answered, as in Kazoo.
    pub(super) async fn flow(
        &mut self,
        request: Envelope<MetaflowFlow>,
        myself: &ActorRef<CallMsg>,
    ) {
        let Envelope { headers, body } = request;
        let (steps, problems) = chain(&Value::Object(body.flow), "");
        for problem in problems {
            tracing::warn!(call_id = %self.route.call_id, account_id = %self.account, %problem, app = headers.app_name, "metaflow.flow");
        }
        let by = OrderedBy {
            who: Some(headers.app_name.clone()),
            ..OrderedBy::new(RecordingSource::Api)
        };
        let party = self.party(&body.call_id);
        self.run(steps, party, &by, myself).await;
    }

    fn party(&self, leg: &CallId) -> Party {
        if self.peer.as_ref() == Some(leg) {
            Party::Callee
        } else {
            Party::Caller
        }
    }
}
