//! Where an account's live calls stand and what is recorded of them: asks every calls role. Knows no channel.

use std::{collections::HashMap, time::Duration};

use callreel_proto::{AccountId, CallId, Exchange, LiveCall, LiveReq, LiveResp};
use tokio::time::Instant;

use crate::{Shared, asking::Answers};

/// How long a calls role may take: one of ours gives each of its calls half a second. A listing goes without those that are
/// later.
const PATIENCE: Duration = Duration::from_secs(1);

/// An account's live calls by their id, as far as their controllers told of them in time.
#[derive(Debug, Default)]
pub(crate) struct Live(HashMap<CallId, LiveCall>);

impl Live {
    /// Asks all that run calls, as far as their heartbeats were heard.
    pub(crate) async fn of(shared: &Shared, account: &AccountId) -> Self {
        let question = LiveReq {
            account_id: account.clone(),
        };
        let asked = shared
            .asker
            .ask(Exchange::Kapps, LiveReq::KEY, question.into_envelope());
        match asked.await {
            Ok(answers) => Self::gather(shared, answers).await,
            // The bus is away, and the question for the channels says so.
            Err(_) => Self::default(),
        }
    }

    async fn gather(shared: &Shared, mut answers: Answers) -> Self {
        let mut silent = shared.nodes.with("calls");
        let until = Instant::now() + PATIENCE;
        let mut live = Self::default();
        while !silent.is_empty() {
            let Some(answer) = answers.next::<LiveResp>(until).await else {
                break;
            };
            silent.remove(&answer.headers.node);
            for call in answer.body.calls {
                live.add(call);
            }
        }
        live
    }

    /// Takes a call in. One that is transferred has two controllers for a moment, and one that another application controls may
    /// have a recorder beside it: what each tells is true.
    fn add(&mut self, told: LiveCall) {
        match self.0.get_mut(&told.call_id) {
            None => {
                self.0.insert(told.call_id.clone(), told);
            }
            Some(known) => {
                known.flow = known.flow.take().or(told.flow);
                known.recordings.extend(told.recordings);
            }
        }
    }

    /// What was told of this call.
    pub(crate) fn call(&self, id: &CallId) -> Option<&LiveCall> {
        self.0.get(id)
    }
}
