//! The running action as its module sees it: its place, its children, its data, and what is wrong with them.

use std::sync::Arc;
use std::time::Duration;

use callreel_proto::Terminators;
use serde_json::{Map, Value};

use super::Stage;
use crate::data::Data;
use crate::flow::Node;
use crate::speech;
use crate::talk::Effect;

/// Warnings of one action: a person reads the first few, and the log is everybody's.
const MOST_WARNINGS: usize = 100;

impl Stage {
    /// An action begins.
    pub(crate) fn enter(&mut self, node: Arc<Node>) {
        self.node = Some(node);
        self.warnings = 0;
    }

    /// Whether the running action has a child of this name, be it `{}`.
    pub(crate) fn has_child(&self, key: &str) -> bool {
        let node = self.node.as_ref();
        node.is_some_and(|node| node.child(key).is_some())
    }

    /// The running action's place.
    pub(crate) fn pointer(&self) -> String {
        self.node
            .as_ref()
            .map(|node| node.pointer.clone())
            .unwrap_or_default()
    }

    /// Whether an action stands under this branch key of the running one.
    pub(crate) fn leads_to(&self, key: &str) -> bool {
        self.node
            .as_ref()
            .is_some_and(|node| node.action(key).is_some())
    }

    /// Warns about the running action.
    pub(crate) fn warn(&mut self, message: impl Into<String>) {
        let pointer = self.pointer();
        self.warn_at(&pointer, message);
    }

    /// Warns about one of the running action's data keys.
    pub(crate) fn warn_of(&mut self, key: &str, message: impl Into<String>) {
        let pointer = self
            .node
            .as_ref()
            .map(|node| node.pointer_to(key))
            .unwrap_or_default();
        self.warn_at(&pointer, message);
    }

    /// Warns about a place, unless this action has filled its share of the log.
    pub(crate) fn warn_at(&mut self, pointer: &str, message: impl Into<String>) {
        self.warnings += 1;
        let message = match self.warnings {
            ..=MOST_WARNINGS => message.into(),
            n if n == MOST_WARNINGS + 1 => "more is wrong here than is told".to_owned(),
            _ => return,
        };
        self.effect(Effect::Warn {
            pointer: pointer.to_owned(),
            message,
        });
    }

    /// Reads the running action's data; what is wrong with it is told.
    pub(crate) fn data<T>(&mut self, read: impl FnOnce(&mut Data<'_>) -> T) -> T {
        self.data_under(Map::new(), read)
    }

    /// The same, where something else goes before what the data says.
    pub(crate) fn data_under<T>(
        &mut self,
        before: Map<String, Value>,
        read: impl FnOnce(&mut Data<'_>) -> T,
    ) -> T {
        let node = self.node.clone();
        let none = Map::new();
        let own = node.as_ref().map_or(&none, |node| &node.data);
        let merged;
        let map = if before.is_empty() {
            own
        } else {
            merged = own.clone().into_iter().chain(before).collect();
            &merged
        };
        let mut data = Data::new(map, format!("{}/data", self.pointer()));
        let found = read(&mut data);
        for (pointer, message) in data.warnings {
            self.warn_at(&pointer, message);
        }
        found
    }

    /// The media a data key names, as the switch understands it.
    pub(crate) fn media(&mut self, key: &str) -> Option<String> {
        let account = self.call.account_id.clone();
        self.data(|data| speech::media(data, key, &account))
    }

    /// A data key's value; JSON null counts as absent.
    pub(crate) fn value(&mut self, key: &str) -> Option<Value> {
        self.data(|data| data.value(key).cloned())
    }

    /// A data key's text; empty counts as absent, a number as its digits.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        self.data(|data| data.text(key))
    }

    /// A data key's whole number.
    pub(crate) fn whole(&mut self, key: &str) -> Option<u64> {
        self.data(|data| data.whole(key))
    }

    /// A data key's time, given in milliseconds.
    pub(crate) fn millis(&mut self, key: &str) -> Option<Duration> {
        self.whole(key).map(Duration::from_millis)
    }

    /// A data key's truth.
    pub(crate) fn flag(&mut self, key: &str) -> Option<bool> {
        self.data(|data| data.flag(key))
    }

    /// The keys that end a playback; all of them when the data names none.
    pub(crate) fn terminators(&mut self) -> Terminators {
        self.data(|data| data.terminators())
    }
}
