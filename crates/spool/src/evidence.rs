//! What a ticket keeps as evidence: which spans were masked, what told the parties of the recording, and who wanted it so.

use std::collections::BTreeMap;

use callreel_proto::{CallId, OrderedBy};
use serde::{Deserialize, Serialize};

/// A span that is heard as silence, nanoseconds of the source's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AnyMask")]
pub struct Mask {
    /// First silent instant.
    pub from_ns: u64,
    /// First instant that is heard again; only a growing recording's last mask has none.
    pub until_ns: Option<u64>,
    /// Who wanted it, as far as it is known: a journal does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<OrderedBy>,
    /// Who ended it, if it was ended before the recording was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<OrderedBy>,
}

/// A mask as this version writes it, or as the one before did.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnyMask {
    Span(u64, Option<u64>),
    Mask {
        from_ns: u64,
        until_ns: Option<u64>,
        by: Option<OrderedBy>,
        ended_by: Option<OrderedBy>,
    },
}

impl From<AnyMask> for Mask {
    fn from(any: AnyMask) -> Self {
        match any {
            AnyMask::Span(from_ns, until_ns) => Self {
                until_ns,
                ..Self::from(from_ns, None)
            },
            AnyMask::Mask {
                from_ns,
                until_ns,
                by,
                ended_by,
            } => Self {
                from_ns,
                until_ns,
                by,
                ended_by,
            },
        }
    }
}

impl Mask {
    fn from(from_ns: u64, by: Option<OrderedBy>) -> Self {
        Self {
            from_ns,
            until_ns: None,
            by,
            ended_by: None,
        }
    }
}

/// The masks of one recording, in the order of time. At most the last one is open.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Masks(Vec<Mask>);

impl Masks {
    pub(crate) fn spans(&self) -> &[Mask] {
        &self.0
    }

    /// All of them with an end: one that is open ends at `end_ns`.
    pub(crate) fn closed(&self, end_ns: u64) -> Vec<(u64, u64)> {
        let close = |mask: &Mask| (mask.from_ns, mask.until_ns.unwrap_or(end_ns));
        self.0.iter().map(close).collect()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.last().is_some_and(|mask| mask.until_ns.is_none())
    }

    /// Begins one, unless one is open.
    pub(crate) fn begin(&mut self, at_ns: u64, by: Option<OrderedBy>) {
        if !self.is_open() {
            self.0.push(Mask::from(at_ns, by));
        }
    }

    /// Ends the open one, if there is one.
    pub(crate) fn close(&mut self, at_ns: u64, by: Option<OrderedBy>) {
        if let Some(mask) = self.0.last_mut().filter(|mask| mask.until_ns.is_none()) {
            mask.until_ns = Some(at_ns.max(mask.from_ns));
            mask.ended_by = by;
        }
    }

    /// Takes over what a journal knows: where both know a mask, by its start, the journal is right about its end.
    pub(crate) fn merge(&mut self, journal: &BTreeMap<u64, Option<u64>>) {
        let known = self.0.drain(..).map(|mask| (mask.from_ns, mask));
        let mut merged: BTreeMap<u64, Mask> = known.collect();
        for (from_ns, until_ns) in journal {
            let mask = merged.entry(*from_ns);
            mask.or_insert_with(|| Mask::from(*from_ns, None)).until_ns = *until_ns;
        }
        self.0 = merged.into_values().collect();
        for nth in 1..self.0.len() {
            let next_ns = self.0[nth].from_ns;
            self.0[nth - 1].until_ns.get_or_insert(next_ns);
        }
    }
}

/// A beep or an announcement that told parties of the recording: evidence of consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// `beep`, or what was played or said.
    pub what: String,
    /// The Call-IDs of the legs that heard it.
    pub heard_by: Vec<CallId>,
    /// When it began, nanoseconds of the source's clock.
    pub from_ns: u64,
    /// When it was over; none if nobody said so.
    pub until_ns: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mask_of_the_version_before_is_read() {
        let masks: Masks =
            serde_json::from_value(json!([[5, 9], {"from_ns": 20, "until_ns": null}])).unwrap();
        assert_eq!(masks.closed(30), [(5, 9), (20, 30)]);
        assert!(masks.is_open());
        let written = serde_json::to_value(&masks).unwrap();
        assert_eq!(written[0], json!({"from_ns": 5, "until_ns": 9}));
    }
}
