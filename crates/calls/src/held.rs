//! Which actor of this node records what: so that what an actor leaves behind that dies can be finished, and so that several
//! recorders of one call (it was transferred) know of each other. Finishes nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use callreel_proto::{CallId, OrderedBy, RecordingId};
use ractor::{ActorId, ActorRef};

use crate::recorder::RecorderMsg;

/// One recording that grows.
#[derive(Clone)]
pub(crate) struct Holding {
    /// The call or recorder that the node's dispatcher knows.
    pub(crate) owner: ActorId,
    /// Who records it.
    pub(crate) recorder: ActorRef<RecorderMsg>,
    /// The leg it is made of by now.
    pub(crate) leg: CallId,
    /// Who wanted it.
    pub(crate) by: OrderedBy,
}

/// All recordings of this node that grow.
#[derive(Default)]
pub(crate) struct Held(Mutex<HashMap<RecordingId, Holding>>);

impl Held {
    /// It grows.
    pub(crate) fn take(&self, id: RecordingId, holding: Holding) {
        self.lock().insert(id, holding);
    }

    /// It has ended.
    pub(crate) fn release(&self, id: &RecordingId) {
        self.lock().remove(id);
    }

    /// It is made of another leg now.
    pub(crate) fn moved(&self, id: &RecordingId, leg: &CallId) {
        if let Some(holding) = self.lock().get_mut(id) {
            holding.leg.clone_from(leg);
        }
    }

    /// Who holds it.
    pub(crate) fn owner(&self, id: &RecordingId) -> Option<ActorId> {
        self.lock().get(id).map(|holding| holding.owner)
    }

    /// Whether another than this owner records this leg because of this hand.
    pub(crate) fn is_done_by_others(&self, leg: &CallId, by: &OrderedBy, owner: ActorId) -> bool {
        let held = self.lock();
        let mut others = held.values().filter(|held| held.owner != owner);
        others.any(|held| held.leg == *leg && held.by == *by)
    }

    /// The recorders of others than this owner that record this leg.
    pub(crate) fn others(&self, leg: &CallId, owner: ActorId) -> Vec<ActorRef<RecorderMsg>> {
        let held = self.lock();
        let others = held
            .values()
            .filter(|held| held.owner != owner && held.leg == *leg);
        let by_owner: HashMap<ActorId, ActorRef<RecorderMsg>> = others
            .map(|held| (held.owner, held.recorder.clone()))
            .collect();
        by_owner.into_values().collect()
    }

    /// What this actor recorded: it is the caller's to finish now.
    pub(crate) fn left_by(&self, dead: ActorId) -> Vec<RecordingId> {
        let mut held = self.lock();
        let left = held.extract_if(|_, holding| holding.owner == dead);
        left.map(|(id, _)| id).collect()
    }

    /// What all actors recorded: it is the caller's to finish now.
    pub(crate) fn left_by_all(&self) -> Vec<RecordingId> {
        self.lock().drain().map(|(id, _)| id).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordingId, Holding>> {
        // A map of ids is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use callreel_proto::{RecordingSource, Utc};
    use ractor::{Actor, ActorProcessingErr};

    use super::*;

    struct Nothing;

    impl Actor for Nothing {
        type Msg = RecorderMsg;
        type State = ();
        type Arguments = ();

        async fn pre_start(
            &self,
            _: ActorRef<RecorderMsg>,
            (): (),
        ) -> Result<(), ActorProcessingErr> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn two_sessions_of_one_call_leave_each_its_own() {
        let held = Held::default();
        let ids = [0, 1].map(|_| RecordingId::random(Utc::now()));
        let mut owners = Vec::new();
        for id in &ids {
            let (recorder, _) = Actor::spawn(None, Nothing, ()).await.unwrap();
            owners.push(recorder.get_id());
            let holding = Holding {
                owner: recorder.get_id(),
                recorder,
                leg: CallId::new("one call"),
                by: OrderedBy::new(RecordingSource::Account),
            };
            held.take(id.clone(), holding);
        }
        let leg = CallId::new("one call");
        let by = OrderedBy::new(RecordingSource::Account);
        assert!(held.is_done_by_others(&leg, &by, owners[0]));
        assert_eq!(held.others(&leg, owners[0])[0].get_id(), owners[1]);
        assert_eq!(held.left_by(owners[0]), [ids[0].clone()]);
        assert_eq!(held.owner(&ids[1]), Some(owners[1]));
        held.moved(&ids[1], &CallId::new("another leg"));
        assert!(!held.is_done_by_others(&leg, &by, owners[0]));
        assert_eq!(held.left_by_all(), [ids[1].clone()]);
    }
}
