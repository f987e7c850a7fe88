//! Lines for a person who watches: elapsed time, a mark, what happened, detail. Colour only where it is wanted.

use std::{
    env,
    io::{IsTerminal, Write, stdout},
    time::{Duration, Instant},
};

/// Columns of "what happened", so that details line up.
const HEADLINE: usize = 18;

/// Column at which details begin: time, mark, headline.
const DETAIL: usize = 9 + 4 + HEADLINE + 1;

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Something was done.
    Done,
    /// Somebody speaks.
    Voice,
    /// A check that holds.
    Good,
    /// A check that does not hold, or an end nobody wanted.
    Bad,
    /// Something to wait for.
    Waiting,
}

impl Mark {
    fn sign(self) -> &'static str {
        match self {
            Self::Done => "•",
            Self::Voice => "♪",
            Self::Good => "✓",
            Self::Bad => "✗",
            Self::Waiting => "…",
        }
    }

    /// SGR colour.
    fn colour(self) -> &'static str {
        match self {
            Self::Done => "36",
            Self::Voice => "35",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Waiting => "33",
        }
    }
}

/// Prints steps with the time since its making.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    began: Instant,
    colour: bool,
}

impl Steps {
    /// Starts the clock. Colour if standard output is a terminal and `NO_COLOR` is unset or empty (no-color.org).
    pub(crate) fn start() -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            began: Instant::now(),
            colour: stdout().is_terminal() && !refused,
        }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// One step, now.
    pub(crate) fn step(&self, mark: Mark, headline: &str, detail: impl AsRef<str>) {
        print(&self.format(self.elapsed(), mark, headline, detail.as_ref()));
    }

    /// More about the step before, below its detail.
    pub(crate) fn more(&self, detail: impl AsRef<str>) {
        print(&format!(
            "{}{}",
            " ".repeat(DETAIL),
            self.paint("2", detail.as_ref())
        ));
    }

    /// A line without time: a title, a verdict, something to copy.
    pub(crate) fn title(&self, text: &str) {
        print(&self.paint("1", text));
    }

    /// A line without time or weight.
    pub(crate) fn plain(&self, text: &str) {
        print(text);
    }

    fn format(&self, at: Duration, mark: Mark, headline: &str, detail: &str) -> String {
        let pad = " ".repeat(HEADLINE.saturating_sub(headline.chars().count()));
        format!(
            "{}  {} {headline}{pad} {}",
            self.paint("2", &format!("{:7.2} s", at.as_secs_f64())),
            self.paint(mark.colour(), mark.sign()),
            self.paint("2", detail),
        )
        .trim_end()
        .to_owned()
    }

    fn paint(&self, sgr: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{sgr}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A closed pipe is the reader's choice, not an error.
fn print(line: &str) {
    writeln!(stdout().lock(), "{line}").ok();
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_colour_is_optional() {
        let mut steps = Steps {
            began: Instant::now(),
            colour: false,
        };
        let at = Duration::from_millis(1234);
        assert_eq!(
            steps.format(at, Mark::Done, "registered", "for 300 s"),
            "   1.23 s  • registered         for 300 s"
        );
        assert_eq!(
            steps.format(at, Mark::Good, "done", ""),
            "   1.23 s  ✓ done"
        );
        let detail = "for 300 s";
        let line = steps.format(at, Mark::Done, "registered", detail);
        assert_eq!(line.chars().count(), DETAIL + detail.len());
        steps.colour = true;
        let line = steps.format(at, Mark::Good, "done", "");
        assert!(line.contains("\x1b[32m✓\x1b[0m done"), "{line:?}");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(45_678), "45.7 kB");
        assert_eq!(size(12_300_000), "12.3 MB");
    }
}
