//! The recordings a flow has started and those that wait for the call to be answered or bridged. Never starts one itself.

use crate::order::{RecordingOrder, Slot};

/// In the order of their actions, oldest first. One entry an action: a flow is finite, and so is the number of branches.
#[derive(Debug, Default)]
pub(crate) struct Recordings(Vec<Entry>);

#[derive(Debug)]
enum Entry {
    Running(Slot),
    Waiting(Box<RecordingOrder>, Start),
}

/// What a recording waits for; with both, whichever comes first (Kazoo 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Start {
    /// `record_on_answer`.
    pub(crate) on_answer: bool,
    /// `record_on_bridge`.
    pub(crate) on_bridge: bool,
}

impl Start {
    fn is_due(self, answered: bool, bridged: bool) -> bool {
        let at_once = !self.on_answer && !self.on_bridge;
        at_once || (self.on_answer && answered) || (self.on_bridge && bridged)
    }
}

impl Recordings {
    /// Takes an order; [`Recordings::due`] gives it back when its time has come.
    pub(crate) fn add(&mut self, order: RecordingOrder, start: Start) {
        self.0.push(Entry::Waiting(Box::new(order), start));
    }

    /// The orders whose time has come, oldest first; they count as running from here.
    pub(crate) fn due(&mut self, answered: bool, bridged: bool) -> Vec<RecordingOrder> {
        let mut orders = Vec::new();
        for entry in &mut self.0 {
            if let Entry::Waiting(order, start) = entry
                && start.is_due(answered, bridged)
            {
                let slot = order.slot;
                if let Entry::Waiting(order, _) = std::mem::replace(entry, Entry::Running(slot)) {
                    orders.push(*order);
                }
            }
        }
        orders
    }

    /// A running one has ended by itself.
    pub(crate) fn ended(&mut self, slot: Slot) {
        self.0
            .retain(|entry| !matches!(entry, Entry::Running(running) if *running == slot));
    }

    /// Takes the newest away. The order is given back if it was still waiting, for then nothing runs that could be stopped.
    pub(crate) fn take_newest(&mut self) -> Option<RecordingOrder> {
        match self.0.pop()? {
            Entry::Running(_) => None,
            Entry::Waiting(order, _) => Some(*order),
        }
    }

    /// Takes all that still wait.
    pub(crate) fn abandon(&mut self) -> Vec<RecordingOrder> {
        std::mem::take(&mut self.0)
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Running(_) => None,
                Entry::Waiting(order, _) => Some(*order),
            })
            .collect()
    }
}
