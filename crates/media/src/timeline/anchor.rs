//! Finds where one stream lies on the capture's clock: its transit over time, from the packets that were delayed least.

use std::mem;

use super::{
    drift::{self, Floor, MAX_DRIFT_PPM, Window},
    follow::FLOOR_WINDOW_NS,
};
use crate::packet::ns_of_ticks;

/// A transit this much above the usual is either a stall of the network or a sender that paused its timestamps.
const RISE_NS: i64 = 80_000_000;
/// A stall ends in a burst that brings the transit down again at once; one that has stayed up for this long was a pause.
const PATIENCE_NS: i64 = 5_000_000_000;
/// Rises and rests of a stream shorter than this are not enough to conclude a pause from, once there is nothing more to come.
const BRIEF_NS: i64 = 1_000_000_000;
/// Pauses that may be in doubt at once; within the patience there is hardly ever more than one.
const MAX_DOUBTS: usize = 8;

/// Where a timestamp meets the capture's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Knot {
    pub(crate) tick: i64,
    /// Capture time less RTP time.
    pub(crate) transit: i64,
}

/// A stretch of a stream whose timestamps run evenly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// First tick that belongs to it.
    pub(crate) from_tick: i64,
    /// At least one, by tick.
    pub(crate) knots: Vec<Knot>,
}

impl Segment {
    /// Capture time of a tick: along the knots, beyond them at the rate of a perfect clock.
    pub(crate) fn place(&self, tick: i64) -> i64 {
        let after = self.knots.partition_point(|knot| knot.tick <= tick);
        let transit = match (after.checked_sub(1), self.knots.get(after)) {
            (None, next) => next.map_or(0, |knot| knot.transit),
            (Some(before), None) => self.knots[before].transit,
            (Some(before), Some(next)) => drift::between(self.knots[before], *next, tick),
        };
        ns_of_ticks(tick) + transit
    }

    /// How fast the sender's clock is against ours, in parts per million; 0 when there is too little to tell.
    pub(crate) fn drift_ppm(&self) -> f64 {
        let (Some(first), Some(last)) = (self.knots.first(), self.knots.last()) else {
            return 0.0;
        };
        let sent = ns_of_ticks(last.tick - first.tick).max(1);
        (first.transit - last.transit) as f64 / sent as f64 * 1e6
    }
}

/// A rise of the transit that may turn out to be a pause.
struct Doubt {
    from_tick: i64,
    since: i64,
    /// Smallest transit since.
    low: i64,
    /// The open window before the rise.
    before: Window,
}

/// Collects the transits of one stream in the first pass.
pub(crate) struct Anchor {
    first_tick: i64,
    floors: Vec<Floor>,
    window: i64,
    open: Window,
    pauses: Vec<i64>,
    doubts: Vec<Doubt>,
    level: i64,
    last_arrival: i64,
    last_tick: i64,
}

impl Anchor {
    pub(crate) fn new(arrival: i64, tick: i64) -> Self {
        Self {
            first_tick: tick,
            floors: Vec::new(),
            window: arrival / FLOOR_WINDOW_NS,
            open: Window::default(),
            pauses: Vec::new(),
            doubts: Vec::new(),
            level: arrival - ns_of_ticks(tick),
            last_arrival: arrival,
            last_tick: tick,
        }
    }

    /// Takes a packet seen for the first time. `newest`: none with a higher sequence number came before.
    pub(crate) fn observe(&mut self, arrival: i64, tick: i64, newest: bool) {
        let transit = arrival - ns_of_ticks(tick);
        self.first_tick = self.first_tick.min(tick);
        let window = arrival / FLOOR_WINDOW_NS;
        if window != self.window {
            self.close_window();
            self.window = window;
        }
        if newest {
            self.doubt(arrival, tick, transit);
            (self.last_arrival, self.last_tick) = (arrival, tick);
        }
        self.open.observe(arrival, Knot { tick, transit });
    }

    fn close_window(&mut self) {
        let before = self.doubts.iter_mut().map(|doubt| &mut doubt.before);
        let windows = before.chain([&mut self.open]).map(mem::take);
        self.floors.extend(windows.filter_map(Window::floor));
    }

    fn doubt(&mut self, arrival: i64, tick: i64, transit: i64) {
        // The level may climb as fast as clocks drift, so that a slow sender is no pause.
        let climb = (arrival - self.last_arrival).max(0) / 1_000_000 * MAX_DRIFT_PPM;
        self.level = (self.level + climb).min(transit);
        while transit <= self.below_last_doubt() + RISE_NS
            && let Some(unfounded) = self.doubts.pop()
        {
            self.open = unfounded.before.with(mem::take(&mut self.open));
        }
        while let Some(doubt) = self.doubts.first()
            && arrival - doubt.since > PATIENCE_NS
        {
            self.level = doubt.low.min(transit);
            self.pauses.push(doubt.from_tick);
            self.floors.extend(self.doubts.remove(0).before.floor());
        }
        let low = self.doubts.last().map_or(self.level, |doubt| doubt.low);
        if transit > low + RISE_NS && self.doubts.len() < MAX_DOUBTS {
            self.doubts.push(Doubt {
                from_tick: tick,
                since: arrival,
                low: transit,
                before: mem::take(&mut self.open),
            });
        } else if let Some(doubt) = self.doubts.last_mut() {
            doubt.low = doubt.low.min(transit);
        }
    }

    fn below_last_doubt(&self) -> i64 {
        match self.doubts.len() {
            0 | 1 => self.level,
            n => self.doubts[n - 2].low,
        }
    }

    /// What is known when the last packet has been seen.
    pub(crate) fn finish(mut self) -> Vec<Segment> {
        let mut below = self.level;
        for doubt in &self.doubts {
            // The stream ended in doubt. In a burst after a stall, more media came than time passed; and for a short rise in a short rest,
            // jitter is the likelier cause.
            let rest = self.last_arrival - doubt.since;
            let media = ns_of_ticks(self.last_tick - doubt.from_tick);
            let is_burst = media > 2 * rest + RISE_NS;
            if !is_burst && (rest > BRIEF_NS || doubt.low - below > BRIEF_NS) {
                self.pauses.push(doubt.from_tick);
            }
            below = doubt.low;
        }
        self.close_window();
        self.floors
            .sort_by_key(|floor| (floor.knot.tick, floor.knot.transit));
        self.floors.dedup_by_key(|floor| floor.knot.tick);
        let mut segments = Vec::with_capacity(self.pauses.len() + 1);
        let starts = std::iter::once(self.first_tick).chain(self.pauses.iter().copied());
        for (n, from_tick) in starts.enumerate() {
            let until = self.pauses.get(n).copied().unwrap_or(i64::MAX);
            let within = |floor: &Floor| (from_tick..until).contains(&floor.knot.tick);
            let knots = drift::knots(self.floors.iter().copied().filter(within));
            if !knots.is_empty() {
                segments.push(Segment { from_tick, knots });
            }
        }
        segments
    }
}
