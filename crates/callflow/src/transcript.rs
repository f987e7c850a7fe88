//! Writes a talk down as people read it: what was heard, what was done, what is waited for. Never makes anything happen.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::cursor::{Cursor, Position};
use crate::print::{place, seconds};
use crate::talk::{Effect, Input, Output};

/// A cursor and the record of its talk.
///
/// ```text
/// 0s > Started
///    < answer
///    wait until 5s
/// 0.1s > CHANNEL_EXECUTE_COMPLETE answer
///    < hangup
///    wait until 40.1s
/// 0.2s > CHANNEL_DESTROY
///    finished
/// ```
#[derive(Debug)]
pub struct Transcript {
    cursor: Cursor,
    origin: Instant,
    text: String,
    place: Option<String>,
}

/// What one input led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// In this order.
    pub effects: Vec<Effect>,
    /// When the cursor wants a tick, since the origin.
    pub wake_at: Option<Duration>,
    /// Nothing will ever come again.
    pub finished: bool,
}

impl Transcript {
    /// A transcript whose times count from `origin`.
    pub fn new(cursor: Cursor, origin: Instant) -> Self {
        Self {
            cursor,
            origin,
            text: String::new(),
            place: None,
        }
    }

    /// Where the call is.
    pub fn position(&self) -> Option<Position> {
        self.cursor.position()
    }

    /// Tells the cursor what happened this long after the origin, and writes down what it makes of it.
    pub fn hear(&mut self, at: Duration, input: Input) -> Heard {
        self.line(&format!("{} > {input}", seconds(at)));
        self.cursor.handle_input(self.origin + at, input);
        let mut heard = Heard {
            effects: Vec::new(),
            wake_at: None,
            finished: false,
        };
        loop {
            match self.cursor.poll_output() {
                Output::Effect(effect) => {
                    self.line(&format!("   < {effect}"));
                    heard.effects.push(effect);
                }
                Output::Wait(wake_at) => {
                    heard.wake_at = wake_at.map(|instant| instant.duration_since(self.origin));
                    self.say_where();
                    match heard.wake_at {
                        Some(at) => self.line(&format!("   wait until {}", seconds(at))),
                        None => self.line("   wait"),
                    }
                    return heard;
                }
                Output::Finished => {
                    self.line("   finished");
                    heard.finished = true;
                    return heard;
                }
            }
        }
    }

    /// What was written so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn say_where(&mut self) {
        let at = self.cursor.position();
        let line = at.map(|at| format!("   at {} {}", at.module, place(&at.pointer)));
        if self.place != line {
            if let Some(line) = &line {
                self.line(line);
            }
            self.place = line;
        }
    }

    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("writing to a string cannot fail");
    }
}
