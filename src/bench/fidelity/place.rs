//! Where a leg's audio belongs in a file, known from how its packets were sent and from nothing the renderer says. Pure.

/// Nanoseconds of a second.
const SECOND_NS: f64 = 1e9;

/// Where the samples of a leg belong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    /// Sample of the file at which the first one belongs.
    pub(crate) origin: f64,
    /// Samples of the file per sample of the leg: not 1 when the telephone's clock is not ours.
    pub(crate) pace: f64,
}

impl Place {
    /// A leg whose first sound belongs at an instant of the capture, in a file that begins at another.
    ///
    /// `lag`: samples of the file by which the leg's audio lags what was said.
    pub(crate) fn new(
        sound_ns: u64,
        file_ns: u64,
        sample_rate: u32,
        lag: f64,
        drift_ppm: f64,
    ) -> Self {
        let after = sound_ns as f64 - file_ns as f64;
        let pace = 1.0 / (1.0 + drift_ppm / 1e6);
        Self {
            origin: after * f64::from(sample_rate) / SECOND_NS - lag * pace,
            pace,
        }
    }

    /// Where the leg's nth sample belongs.
    pub(crate) fn of(&self, sample: usize) -> f64 {
        self.origin + sample as f64 * self.pace
    }

    /// The leg as a perfect recording would have it: `length` samples, with silence where the leg is silent.
    pub(crate) fn lay(&self, leg: &[i16], length: usize) -> Vec<i16> {
        (0..length)
            .map(|at| sample_at(leg, (at as f64 - self.origin) / self.pace))
            .collect()
    }
}

/// Neighbours on each side that a sample between samples is made of.
const REACH: i64 = 16;

/// The sound between two samples, by the ideal interpolation faded out (Hann).
fn sample_at(samples: &[i16], at: f64) -> i16 {
    let nearest = at.round() as i64;
    let off = at - nearest as f64;
    let get = |n: i64| {
        let n = usize::try_from(n).ok()?;
        samples.get(n).copied().map(f64::from)
    };
    if off.abs() < 1e-6 {
        return get(nearest).unwrap_or(0.0) as i16;
    }
    let sum: f64 = (nearest - REACH..=nearest + REACH)
        .filter_map(|n| {
            let x = (at - n as f64) * std::f64::consts::PI;
            let fade = 0.5 + 0.5 * (x / (REACH + 1) as f64).cos();
            Some(get(n)? * x.sin() / x * fade)
        })
        .sum();
    sum.round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_belongs_where_its_first_packet_arrives() {
        let place = Place::new(1_250_000_000, 1_000_000_000, 8000, 10.0, 0.0);
        assert_eq!(place.of(0), 1990.0);
        assert_eq!(place.of(8000), 9990.0);
        let fast = Place::new(0, 0, 8000, 0.0, 200.0);
        let hour = fast.of(3600 * 8000) - 3600.0 * 8000.0;
        assert!((hour + 0.72 * 8000.0).abs() < 2.0, "{hour}");
    }

    #[test]
    fn a_leg_is_laid_where_it_belongs_and_stretched_without_harm() {
        let tone = |n: f64| (n / 8000.0 * 1100.0 * std::f64::consts::TAU).sin() * 10_000.0;
        let leg: Vec<i16> = (0..8000).map(|n| tone(f64::from(n)) as i16).collect();
        let whole = Place {
            origin: 100.0,
            pace: 1.0,
        };
        let laid = whole.lay(&leg, 9000);
        assert_eq!(laid[100..8100], leg);
        assert!(laid[..100].iter().chain(&laid[8100..]).all(|s| *s == 0));
        let place = Place {
            origin: 100.3,
            pace: 1.0002,
        };
        let laid = place.lay(&leg, 9000);
        for n in 200..8000 {
            let meant = tone((f64::from(n) - 100.3) / 1.0002);
            let off = f64::from(laid[n as usize]) - meant;
            assert!(off.abs() < 30.0, "off by {off} at {n}");
        }
    }
}
