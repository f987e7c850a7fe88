//! The recordings a flow has started and those that wait for the call to be answered or bridged. Never starts one itself.

use callreel_proto::OrderedBy;

use crate::order::{Meant, RecordingOrder, Slot};

/// In the order of their actions, oldest first. One entry an action: a flow is finite, and so is the number of branches.
#[derive(Debug, Default)]
pub(crate) struct Recordings(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    slot: Slot,
    name: Option<String>,
    /// The platform wants it, not the flow: no step ends it.
    mandated: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Running,
    Waiting {
        order: Box<RecordingOrder>,
        start: Start,
        /// It is to begin masked.
        masked: Option<OrderedBy>,
    },
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

/// An order whose time has come.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) order: Box<RecordingOrder>,
    /// Who masked it before it began.
    pub(crate) masked: Option<OrderedBy>,
}

/// What a stop found.
#[derive(Debug)]
pub(crate) enum Taken {
    /// One that runs, or none that is known.
    Running,
    /// One that had not begun: there is nothing to stop.
    Waiting(Box<RecordingOrder>),
}

impl Recordings {
    /// Takes an order; [`Recordings::due`] gives it back when its time has come.
    pub(crate) fn add(&mut self, order: RecordingOrder, start: Start) {
        self.0.push(Entry {
            slot: order.slot,
            name: order.name.clone(),
            mandated: order.by.source.is_mandate(),
            state: State::Waiting {
                order: Box::new(order),
                start,
                masked: None,
            },
        });
    }

    /// The orders whose time has come, oldest first; they count as running from here.
    pub(crate) fn due(&mut self, answered: bool, bridged: bool) -> Vec<Due> {
        let due = |state: &State| match state {
            State::Running => false,
            State::Waiting { start, .. } => start.is_due(answered, bridged),
        };
        let entries = self.0.iter_mut().filter(|entry| due(&entry.state));
        entries
            .filter_map(
                |entry| match std::mem::replace(&mut entry.state, State::Running) {
                    State::Running => None,
                    State::Waiting { order, masked, .. } => Some(Due { order, masked }),
                },
            )
            .collect()
    }

    /// Whether it has been ordered and has not ended.
    pub(crate) fn is_running(&self, slot: Slot) -> bool {
        let mut entries = self.0.iter();
        entries.any(|entry| entry.slot == slot && matches!(entry.state, State::Running))
    }

    /// A running one has ended by itself.
    pub(crate) fn ended(&mut self, slot: Slot) {
        self.0
            .retain(|entry| entry.slot != slot || !matches!(entry.state, State::Running));
    }

    /// Takes away the newest of the flow's own that is meant.
    pub(crate) fn take(&mut self, meant: &Meant) -> Taken {
        let found = self.0.iter().rposition(|entry| entry.is(meant));
        match found.map(|at| self.0.remove(at).state) {
            None | Some(State::Running) => Taken::Running,
            Some(State::Waiting { order, .. }) => Taken::Waiting(order),
        }
    }

    /// The newest of the flow's own of this name begins masked, or no longer. Whether it was one that still waits.
    pub(crate) fn mask_waiting(&mut self, meant: &Meant, by: Option<OrderedBy>) -> bool {
        if *meant == Meant::Usual {
            return false;
        }
        let mut newest_first = self.0.iter_mut().rev();
        let found = newest_first.find(|entry| entry.is(meant));
        match found.map(|entry| &mut entry.state) {
            Some(State::Waiting { masked, .. }) => {
                *masked = by;
                true
            }
            Some(State::Running) | None => false,
        }
    }

    /// Takes all that still wait.
    pub(crate) fn abandon(&mut self) -> Vec<RecordingOrder> {
        std::mem::take(&mut self.0)
            .into_iter()
            .filter_map(|entry| match entry.state {
                State::Running => None,
                State::Waiting { order, .. } => Some(*order),
            })
            .collect()
    }
}

impl Entry {
    /// Whether a step of the flow can mean it so.
    fn is(&self, meant: &Meant) -> bool {
        let fits = match meant {
            Meant::Usual => true,
            Meant::Named(name) => self.name.as_ref() == Some(name),
            Meant::Slot(slot) => self.slot == *slot,
            // A flow knows no ids.
            Meant::Id(_) => false,
        };
        fits && !self.mandated
    }
}
