//! The cursor: where in its callflow a call is.

use std::time::Instant;

use serde::Serialize;

use crate::flow::Flow;
use crate::talk::{CallInfo, Input, Output, Settings};

/// Where a call is in its flow, for people and for the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The action's place in its document.
    pub pointer: String,
    /// Its module.
    pub module: String,
    /// What it waits for.
    pub waiting_for: String,
}

/// Walks one call through its callflow.
#[derive(Debug)]
pub struct Cursor {
    _call: CallInfo,
}

impl Cursor {
    /// A cursor at the flow's first action; nothing happens before [`Input::Started`].
    pub fn new(flow: Flow, call: CallInfo, settings: Settings) -> Self {
        let _ = (flow, settings);
        Self { _call: call }
    }

    /// Tells the cursor what happened. Ask [`Cursor::poll_output`] until it says wait or finished.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        let _ = (now, input);
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Output {
        Output::Finished
    }

    /// Where the call is; none before the start and after the end.
    pub fn position(&self) -> Option<Position> {
        None
    }
}
