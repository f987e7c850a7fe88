//! One line of a bench: what one way through the program costs, what it is held against, and whether all came out right.

use std::{process::ExitCode, time::Duration};

use serde_json::{Map, Value, json};

use crate::serve::say;

/// Costs of one case. What a bench does not measure is left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) bench: &'static str,
    pub(super) case: String,
    pub(super) calls: Option<u64>,
    /// Seconds of CPU, user and system, of the server only, for a minute of a call.
    pub(super) cpu_s_per_call_minute: Option<f64>,
    /// Most resident bytes that a call took.
    pub(super) rss_bytes_per_call: Option<f64>,
    /// What it costs beside the least it could cost, and how much of that is allowed.
    pub(super) ratio_to_floor: Option<f64>,
    pub(super) goal: Option<f64>,
    /// Share of what was to come out that did, whole and right.
    pub(super) complete: Option<f64>,
    /// What else there is to say: name and figure.
    pub(super) more: Vec<(&'static str, Value)>,
}

impl Row {
    pub(super) fn new(bench: &'static str, case: impl Into<String>) -> Self {
        Self {
            bench,
            case: case.into(),
            ..Self::default()
        }
    }

    /// CPU of so many calls, each so long.
    pub(super) fn cpu(mut self, cpu: Duration, calls: u64, each: Duration) -> Self {
        let minutes = calls as f64 * each.as_secs_f64() / 60.0;
        self.calls = Some(calls);
        self.cpu_s_per_call_minute = Some(cpu.as_secs_f64() / minutes);
        self
    }

    /// Holds its CPU against that of another, for the same minutes.
    pub(super) fn against(mut self, floor_s_per_call_minute: f64, goal: Option<f64>) -> Self {
        let own = self.cpu_s_per_call_minute;
        self.ratio_to_floor = own.map(|own| own / floor_s_per_call_minute);
        self.goal = goal;
        self
    }

    /// A ratio that was measured in another way.
    pub(super) fn ratio(mut self, ratio: f64, goal: Option<f64>) -> Self {
        self.ratio_to_floor = Some(ratio);
        self.goal = goal;
        self
    }

    pub(super) fn complete(mut self, share: f64) -> Self {
        self.complete = Some(share);
        self
    }

    pub(super) fn with(mut self, name: &'static str, figure: impl Into<Value>) -> Self {
        self.more.push((name, figure.into()));
        self
    }

    fn calls_per_core(&self) -> Option<f64> {
        self.cpu_s_per_call_minute.map(|cpu| 60.0 / cpu)
    }

    /// Why it is not good, in a few words: files are not right, or a goal is missed.
    fn wrong(&self) -> Option<&'static str> {
        if self.complete.is_some_and(|share| share < 1.0) {
            return Some("NOT RIGHT");
        }
        let missed = self.ratio_to_floor.zip(self.goal);
        missed
            .is_some_and(|(ratio, goal)| ratio > goal)
            .then_some("MISSED")
    }

    fn line(&self) -> String {
        let figure = |value: Option<f64>, digits: usize| {
            value.map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        let calls = self.calls.map_or_else(String::new, |n| n.to_string());
        let whole = self.complete.map(|share| share * 100.0);
        let more = self.more.iter().map(|(name, it)| format!("{name} {it}"));
        let more: Vec<String> = self
            .wrong()
            .map(str::to_owned)
            .into_iter()
            .chain(more)
            .collect();
        format!(
            "{:<9} {:<28} {calls:>6} {:>12} {:>10} {:>9} {:>7} {:>6} {:>9}  {}\n",
            self.bench,
            self.case,
            figure(self.cpu_s_per_call_minute, 5),
            figure(self.calls_per_core(), 0),
            figure(self.rss_bytes_per_call, 0),
            figure(self.ratio_to_floor, 2),
            figure(self.goal, 2),
            figure(whole, 1),
            more.join(", "),
        )
    }

    fn json(&self) -> Value {
        let mut row = json!({
            "bench": self.bench,
            "case": self.case,
            "calls": self.calls,
            "cpu_s_per_call_minute": self.cpu_s_per_call_minute,
            "calls_per_core": self.calls_per_core(),
            "rss_bytes_per_call": self.rss_bytes_per_call,
            "ratio_to_floor": self.ratio_to_floor,
            "goal": self.goal,
            "complete": self.complete,
            "wrong": self.wrong(),
        });
        let more: Map<String, Value> = self
            .more
            .iter()
            .map(|(name, figure)| (name.replace(' ', "_"), figure.clone()))
            .collect();
        row.as_object_mut()
            .expect("it was just made as one")
            .extend(more);
        row
    }
}

/// Prints rows as they come, and knows in the end whether all were good.
pub(super) struct Table {
    json: bool,
    strict: bool,
    failed: bool,
}

impl Table {
    /// A table for people or for programs. Whatever is not right fails the run; a missed goal does so only if that is wanted.
    pub(super) fn begin(json: bool, strict: bool) -> Self {
        if !json {
            say(&format!(
                "{:<9} {:<28} {:>6} {:>12} {:>10} {:>9} {:>7} {:>6} {:>9}\n",
                "bench",
                "case",
                "calls",
                "CPU s/call m",
                "calls/core",
                "B/call",
                "ratio",
                "goal",
                "right %",
            ));
        }
        Self {
            json,
            strict,
            failed: false,
        }
    }

    pub(super) fn add(&mut self, row: &Row) {
        let wrong = row.wrong();
        self.failed |= wrong.is_some_and(|wrong| self.strict || wrong != "MISSED");
        say(&if self.json {
            format!("{}\n", row.json())
        } else {
            row.line()
        });
    }

    pub(super) fn end(self) -> ExitCode {
        ExitCode::from(u8::from(self.failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row::new("recorder", "live").cpu(Duration::from_secs(6), 100, Duration::from_secs(120))
    }

    #[test]
    fn costs_become_minutes_and_calls_of_a_core() {
        let row = row().against(0.02, Some(1.5)).with("late ms", 3);
        let json = row.json();
        assert_eq!(json["cpu_s_per_call_minute"], 0.03);
        assert_eq!(json["calls_per_core"], 2000.0);
        assert_eq!(json["ratio_to_floor"], 1.5);
        assert_eq!(
            (&json["wrong"], &json["late_ms"]),
            (&Value::Null, &json!(3))
        );
        assert!(row.line().ends_with("late ms 3\n"), "{}", row.line());
    }

    #[test]
    fn what_is_not_right_fails_always_and_a_missed_goal_where_it_counts() {
        let fails = |row: &Row, strict| {
            let mut table = Table::begin(true, strict);
            table.add(row);
            table.failed
        };
        let missed = row().against(0.01, Some(1.5)).complete(1.0);
        assert_eq!((fails(&missed, true), fails(&missed, false)), (true, false));
        let lost = row().complete(0.99);
        assert_eq!((fails(&lost, true), fails(&lost, false)), (true, true));
        assert!(!fails(&row().complete(1.0), true));
    }
}
