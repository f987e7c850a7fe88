//! Tells whoever asks on the bus what this role's spool owes. Orders nothing, and keeps nothing.

use std::sync::Arc;

use callreel_bus::{Binding, Bus, Mishaps, QueueOptions, Subscription};
use callreel_proto::{Envelope, Exchange, OwedReq, OwedResp};
use callreel_spool::View;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use crate::Error;

/// Questions that may wait. Each is answered by a walk through the spool, one at a time, so that questions cannot take the
/// disk from recordings; who asks waits for seconds only.
const BACKLOG: usize = 32;

/// Answers until it is dropped.
#[derive(Debug)]
pub(crate) struct Teller {
    _telling: AbortOnDropHandle<()>,
}

impl Teller {
    /// Listens for questions; `node` is who answers.
    pub(crate) async fn start(bus: Bus, spool: View, node: &str) -> Result<Self, Error> {
        let binding = Binding::new(Exchange::Kapps, OwedReq::KEY);
        let questions = bus
            .subscribe(QueueOptions::private(BACKLOG), vec![binding])
            .await?;
        let office = Office {
            bus,
            spool: Arc::new(spool),
            node: node.to_owned(),
        };
        Ok(Self {
            _telling: AbortOnDropHandle::new(tokio::spawn(office.answer_all(questions))),
        })
    }
}

struct Office {
    bus: Bus,
    spool: Arc<View>,
    node: String,
}

impl Office {
    async fn answer_all(self, mut questions: Subscription) {
        let unusable = Mishaps::default();
        while let Some(delivery) = questions.recv().await {
            match Envelope::<OwedReq>::from_bytes(&delivery.body) {
                Ok(question) => self.answer(question).await,
                Err(error) => {
                    if unusable.count(&error.what) {
                        warn!(%error, "passing over a question for what is owed; more of this kind are passed over silently");
                    }
                }
            }
        }
    }

    async fn answer(&self, question: Envelope<OwedReq>) {
        let Some(asker) = question.headers.server_id else {
            return;
        };
        let Some(answer) = self.look(question.body).await else {
            return;
        };
        let mut answer = answer.into_envelope(&question.headers.msg_id);
        answer.headers.node.clone_from(&self.node);
        let sent = self.bus.send(Exchange::Targeted, &asker, answer.to_bytes());
        if let Err(error) = sent.await {
            warn!(%error, asker, "what is owed could not be told");
        }
    }

    /// The spool's calls wait for the disk.
    async fn look(&self, asked: OwedReq) -> Option<OwedResp> {
        let spool = Arc::clone(&self.spool);
        let looked = tokio::task::spawn_blocking(move || spool.owed(&asked)).await;
        match looked {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                warn!(%error, "the spool cannot be read for somebody who asks what is owed");
                None
            }
            // The process ends.
            Err(_) => None,
        }
    }
}
