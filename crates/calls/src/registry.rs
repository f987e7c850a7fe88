//! Who listens to which call: at most a few to one, for a call that is transferred has two controllers for a moment. Binds
//! nothing and sends nothing.

use std::collections::HashMap;

use callreel_proto::{CallId, RouteResp, RouteWin};
use ractor::{ActorId, ActorRef};
use serde_json::Value;
use tokio::time::Instant;

use crate::{call::CallMsg, pulse::Pulse, recorder::RecorderMsg};

/// An actor that hears a call's events.
#[derive(Clone)]
pub(crate) enum Listener {
    /// A controller.
    Call(ActorRef<CallMsg>),
    /// A recorder for a call that another application controls.
    Recorder(ActorRef<RecorderMsg>),
}

impl Listener {
    fn id(&self) -> ActorId {
        match self {
            Self::Call(actor) => actor.get_id(),
            Self::Recorder(actor) => actor.get_id(),
        }
    }
}

/// One control session of a call, or one recorder's stay at it.
pub(crate) struct Session {
    /// The call, under its present id.
    pub(crate) call_id: CallId,
    /// The leg that stays when this one transfers it: heard, too, and all that is left once this one is gone.
    pub(crate) heir: Option<CallId>,
    /// Who listens.
    pub(crate) listener: Listener,
    /// The control session's `Fetch-ID`; empty for a recorder alone, which controls nothing.
    pub(crate) fetch_id: String,
    /// What we answered to its `route_req`, to say it again when asked again.
    pub(crate) answer: Option<RouteResp>,
    /// Where the call's commands go, once it is won and as long as it is ours.
    pub(crate) control_queue: Option<String>,
    /// Whether its channel lives.
    pub(crate) pulse: Pulse,
}

impl Session {
    /// A bid for a call.
    pub(crate) fn bid(
        call: ActorRef<CallMsg>,
        call_id: CallId,
        fetch_id: String,
        answer: RouteResp,
    ) -> Self {
        Self {
            call_id,
            heir: None,
            listener: Listener::Call(call),
            fetch_id,
            answer: Some(answer),
            control_queue: None,
            pulse: Pulse::new(Instant::now()),
        }
    }

    /// A recorder for another's call.
    pub(crate) fn recorder(
        recorder: ActorRef<RecorderMsg>,
        call_id: CallId,
        queue: String,
    ) -> Self {
        Self {
            call_id,
            heir: None,
            listener: Listener::Recorder(recorder),
            fetch_id: String::new(),
            answer: None,
            control_queue: Some(queue),
            pulse: Pulse::new(Instant::now()),
        }
    }

    /// Whether it waits for its `route_win`.
    pub(crate) fn is_bid(&self) -> bool {
        self.answer.is_some()
    }

    /// Whether it is the control session an event or a usurper names.
    pub(crate) fn is_controlled_by(&self, fetch_id: &str) -> bool {
        !self.fetch_id.is_empty() && self.fetch_id == fetch_id
    }
}

/// All of a node's sessions.
#[derive(Default)]
pub(crate) struct Registry {
    sessions: HashMap<ActorId, Session>,
    by_call: HashMap<CallId, Vec<ActorId>>,
}

impl Registry {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether anybody listens to this call.
    pub(crate) fn hears(&self, call_id: &CallId) -> bool {
        self.by_call.contains_key(call_id)
    }

    /// Takes a session in.
    pub(crate) fn add(&mut self, session: Session) {
        let actor = session.listener.id();
        let listeners = self.by_call.entry(session.call_id.clone()).or_default();
        listeners.push(actor);
        self.sessions.insert(actor, session);
    }

    /// Takes a session out.
    pub(crate) fn remove(&mut self, actor: ActorId) -> Option<Session> {
        let session = self.sessions.remove(&actor)?;
        self.leave(actor, &session.call_id);
        if let Some(heir) = &session.heir {
            self.leave(actor, heir);
        }
        Some(session)
    }

    /// The session's call goes on under another id; says under which it went on until now.
    pub(crate) fn rename(&mut self, actor: ActorId, call_id: CallId) -> Option<CallId> {
        let session = self.sessions.get_mut(&actor)?;
        let before = std::mem::replace(&mut session.call_id, call_id.clone());
        self.leave(actor, &before);
        self.by_call.entry(call_id).or_default().push(actor);
        Some(before)
    }

    /// This leg is heard by the session, too, until it is all that the session hears.
    pub(crate) fn add_heir(&mut self, actor: ActorId, heir: CallId) {
        if let Some(session) = self.sessions.get_mut(&actor)
            && session.heir.is_none()
        {
            session.heir = Some(heir.clone());
            self.by_call.entry(heir).or_default().push(actor);
        }
    }

    /// The session's own leg is gone: its heir, if it has one, is its leg now. Says which is gone then.
    pub(crate) fn inherit(&mut self, actor: ActorId) -> Option<CallId> {
        let session = self.sessions.get_mut(&actor)?;
        let heir = session.heir.take()?;
        let before = std::mem::replace(&mut session.call_id, heir);
        self.leave(actor, &before);
        Some(before)
    }

    fn leave(&mut self, actor: ActorId, call_id: &CallId) {
        if let Some(listeners) = self.by_call.get_mut(call_id) {
            listeners.retain(|other| *other != actor);
            if listeners.is_empty() {
                self.by_call.remove(call_id);
            }
        }
    }

    /// The actors that listen to a call, oldest first.
    pub(crate) fn actors(&self, call_id: &CallId) -> Vec<ActorId> {
        self.by_call.get(call_id).cloned().unwrap_or_default()
    }

    /// One session, to look at.
    pub(crate) fn get(&self, actor: ActorId) -> Option<&Session> {
        self.sessions.get(&actor)
    }

    /// One session.
    pub(crate) fn get_mut(&mut self, actor: ActorId) -> Option<&mut Session> {
        self.sessions.get_mut(&actor)
    }

    /// The sessions of one call, oldest first.
    pub(crate) fn of(&self, call_id: &CallId) -> impl Iterator<Item = &Session> {
        let actors = self.by_call.get(call_id).into_iter().flatten();
        actors.filter_map(|actor| self.sessions.get(actor))
    }

    /// All sessions.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// All sessions, to change them.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = (ActorId, &mut Session)> {
        self.sessions
            .iter_mut()
            .map(|(actor, session)| (*actor, session))
    }

    /// The bid that this win is for: the one of its `Fetch-ID`, else the newest.
    pub(crate) fn winner(&self, win: &RouteWin) -> Option<ActorId> {
        let fetch_id = win
            .custom_channel_vars
            .get("Fetch-ID")
            .and_then(Value::as_str);
        let bids = || self.of(&win.call_id).filter(|session| session.is_bid());
        let named = bids().find(|s| fetch_id.is_some_and(|id| s.is_controlled_by(id)));
        named.or_else(|| bids().last()).map(|s| s.listener.id())
    }

    /// The controllers of a call whose control session is not this one.
    pub(crate) fn usurped(&self, call_id: &CallId, fetch_id: &str) -> Vec<ActorId> {
        let controls =
            |s: &&Session| matches!(s.listener, Listener::Call(_)) && s.control_queue.is_some();
        self.of(call_id)
            .filter(controls)
            .filter(|s| !s.is_controlled_by(fetch_id))
            .map(|s| s.listener.id())
            .collect()
    }
}
