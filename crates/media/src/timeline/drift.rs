//! Tells the drift of a sender's clock from the network's jitter: how the transit of one segment moves, from the floors of its windows.

use super::anchor::Knot;
use crate::packet::ns_of_ticks;

/// The most that two telephones' clocks can drift apart, in parts per million, with room to spare. Real crystals keep to 100.
pub(super) const MAX_DRIFT_PPM: i64 = 500;
/// Windows on either side that a window is judged by: a minute each way, in which a crystal's rate hardly changes.
const REACH: usize = 6;
/// How long the parts of a window are whose floors are compared. What delays one packet often delays the next ones, seldom those after that.
const PART_NS: i64 = 200_000_000;
/// A window's lowest parts that are compared.
const LOWEST: usize = 3;
/// A floor may lie this many times as far above the true transit as the window's lowest parts lie apart. Measured with 40 and 120 ms of jitter: with 2,
/// one in a hundred of minute-long calls without drift is corrected; with 4, three hours of 200 ppm come to lie 18 ms off instead of 16.
const CAUTION: i64 = 3;
/// However few its packets are, no window is more in doubt than this: networks that jitter more are out of use.
const MAX_DOUBT_NS: i64 = 120_000_000;

/// What arrived in one window.
#[derive(Debug, Default)]
pub(super) struct Window {
    best: Option<Knot>,
    packets: i64,
    /// The part that is open, and its smallest transit.
    part: Option<(i64, i64)>,
    /// The smallest transits of the parts that are closed, lowest first.
    lowest: Vec<i64>,
}

impl Window {
    pub(super) fn observe(&mut self, arrival: i64, knot: Knot) {
        let part = arrival / PART_NS;
        self.part = match self.part {
            Some((open, low)) if open == part => Some((part, low.min(knot.transit))),
            _ => {
                self.close_part();
                Some((part, knot.transit))
            }
        };
        self.best = lower(self.best, Some(knot));
        self.packets += 1;
    }

    fn close_part(&mut self) {
        self.lowest.extend(self.part.take().map(|(_, low)| low));
        self.lowest.sort_unstable();
        self.lowest.truncate(LOWEST);
    }

    /// Both as one.
    pub(super) fn with(mut self, mut later: Self) -> Self {
        self.close_part();
        self.lowest.append(&mut later.lowest);
        self.close_part();
        Self {
            best: lower(self.best, later.best),
            packets: self.packets + later.packets,
            part: later.part,
            lowest: self.lowest,
        }
    }

    /// `None` when nothing arrived.
    pub(super) fn floor(mut self) -> Option<Floor> {
        self.close_part();
        let spread = match self.lowest.as_slice() {
            [first, .., last] if self.lowest.len() == LOWEST => Some(last - first),
            _ => None,
        };
        self.best.map(|knot| Floor {
            knot,
            packets: self.packets,
            spread,
        })
    }
}

/// The lower of two knots, the earlier when they are level.
fn lower(a: Option<Knot>, b: Option<Knot>) -> Option<Knot> {
    [a, b]
        .into_iter()
        .flatten()
        .min_by_key(|k| (k.transit, k.tick))
}

/// The packet of a window that was delayed least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor {
    pub(super) knot: Knot,
    packets: i64,
    /// How far its lowest parts lie apart; `None` when there were too few.
    spread: Option<i64>,
}

/// Between which bounds the true transit lies.
struct Bounds {
    tick: i64,
    low: i64,
    high: i64,
}

/// The knots of a segment, from its floors by tick: of all lines that the floors allow the one that bends and climbs least, so that a clock
/// drifts only as far as jitter cannot explain.
pub(super) fn knots(floors: impl Iterator<Item = Floor>) -> Vec<Knot> {
    let mut floors: Vec<Floor> = floors.collect();
    keep_undelayed(&mut floors);
    let bounds: Vec<Bounds> = (0..floors.len()).map(|n| bounds(&floors, n)).collect();
    taut(&bounds)
}

/// Keeps the floors that clocks allow, given the others: networks only ever delay, so of two floors that disagree the lower one is right.
fn keep_undelayed(floors: &mut Vec<Floor>) {
    let climb = |from: &Floor, to: &Floor| {
        ns_of_ticks(to.knot.tick - from.knot.tick) / 1_000_000 * MAX_DRIFT_PPM
    };
    let mut limits: Vec<i64> = floors.iter().map(|floor| floor.knot.transit).collect();
    for n in 1..floors.len() {
        limits[n] = limits[n].min(limits[n - 1] + climb(&floors[n - 1], &floors[n]));
    }
    for n in (1..floors.len()).rev() {
        limits[n - 1] = limits[n - 1].min(limits[n] + climb(&floors[n - 1], &floors[n]));
    }
    let mut limits = limits.into_iter();
    floors.retain(|floor| limits.next() == Some(floor.knot.transit));
}

/// At most on the lower convex hull of the windows around (Moon, Skelly and Towsley, "Estimation and removal of clock skew from network delay
/// measurements", 1999), and below it by as much as a floor of so few packets, with so few on one of its sides, can lie above the truth.
fn bounds(floors: &[Floor], n: usize) -> Bounds {
    let near = n.saturating_sub(REACH)..(n + REACH + 1).min(floors.len());
    let Floor { knot, packets, .. } = floors[n];
    let across = floors[near.start..n].iter().flat_map(|before| {
        let after = &floors[n + 1..near.end];
        after
            .iter()
            .map(|after| between(before.knot, after.knot, knot.tick))
    });
    let high = across.fold(knot.transit, i64::min);
    let sum = |floors: &[Floor]| floors.iter().map(|floor| floor.packets).sum::<i64>();
    let beside = sum(&floors[near.start..n]).min(sum(&floors[n + 1..near.end]));
    let near = &floors[near];
    let mut spreads: Vec<i64> = near.iter().filter_map(|floor| floor.spread).collect();
    spreads.sort_unstable();
    let spread = spreads.get(spreads.len() / 2).copied().unwrap_or(0);
    let most = near
        .iter()
        .map(|floor| floor.packets)
        .max()
        .unwrap_or(packets);
    let doubt = spread.saturating_mul(CAUTION).saturating_mul(most) / (packets + beside);
    Bounds {
        tick: knot.tick,
        low: high - doubt.min(MAX_DOUBT_NS),
        high,
    }
}

/// The transit at a tick on the line through two knots.
pub(super) fn between(before: Knot, after: Knot, tick: i64) -> i64 {
    let share = (tick - before.tick) as f64 / (after.tick - before.tick) as f64;
    before.transit + ((after.transit - before.transit) as f64 * share).round() as i64
}

/// A string pulled taut between the bounds, level wherever it is free.
fn taut(bounds: &[Bounds]) -> Vec<Knot> {
    let Some(first) = bounds.first() else {
        return Vec::new();
    };
    let mut knots = vec![Knot {
        tick: first.tick,
        transit: first_level(bounds),
    }];
    let mut at = 0;
    while at + 1 < bounds.len() {
        let (next, transit) = next_bend(bounds, at, knots[knots.len() - 1].transit);
        knots.push(Knot {
            tick: bounds[next].tick,
            transit,
        });
        at = next;
    }
    knots
}

/// The level that stays within the bounds longest.
fn first_level(bounds: &[Bounds]) -> i64 {
    let (mut low, mut high) = (i64::MIN, i64::MAX);
    for here in bounds {
        if here.low > high {
            return high;
        }
        if here.high < low {
            return low;
        }
        (low, high) = (low.max(here.low), high.min(here.high));
    }
    high
}

/// Where the string bends that comes from the bounds at `at`, or where it ends.
fn next_bend(bounds: &[Bounds], at: usize, transit: i64) -> (usize, i64) {
    let (mut least, mut most) = ((f64::NEG_INFINITY, at), (f64::INFINITY, at));
    for (n, here) in bounds.iter().enumerate().skip(at + 1) {
        let span = (here.tick - bounds[at].tick) as f64;
        let low = (here.low - transit) as f64 / span;
        let high = (here.high - transit) as f64 / span;
        if low > most.0 {
            return (most.1, bounds[most.1].high);
        }
        if high < least.0 {
            return (least.1, bounds[least.1].low);
        }
        if low >= least.0 {
            least = (low, n);
        }
        if high <= most.0 {
            most = (high, n);
        }
    }
    match (least, most) {
        ((slope, n), _) if slope > 0.0 => (n, bounds[n].low),
        (_, (slope, n)) if slope < 0.0 => (n, bounds[n].high),
        _ => (bounds.len() - 1, transit),
    }
}
