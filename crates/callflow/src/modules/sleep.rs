//! `sleep`: lets time pass and goes on.

use std::time::Duration;

use crate::stage::{Module, Stage, Turn};
use crate::wait::Await;

/// Kazoo's longest sleep: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Default)]
pub(crate) struct Sleep;

impl Module for Sleep {
    fn start(&mut self, stage: &mut Stage) -> Turn {
        let count = stage.whole("duration").unwrap_or(0);
        let unit_ms = match stage.text("unit").as_deref() {
            None | Some("s") => 1000,
            Some("ms") => 1,
            Some("m") => 60_000,
            Some("h") => 3_600_000,
            Some(other) => {
                let message = format!(
                    "{other:?} is no unit; use \"ms\", \"s\", \"m\" or \"h\"; seconds are used"
                );
                stage.warn_of("unit", message);
                1000
            }
        };
        let time = Duration::from_millis(count.saturating_mul(unit_ms));
        if time > LONGEST {
            stage.warn_of("duration", "longer than a day; a day is used");
        }
        if time.is_zero() {
            return Turn::next();
        }
        Turn::Wait(Await::Until(stage.after(time.min(LONGEST))))
    }
}
