//! Puts those of a group in an order of chance, by their weights. The chance itself is told: it comes with their documents.

/// Numbers that follow from a seed (SplitMix64): small, and good enough for a fair turn.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Draws one after the other; who weighs twice as much is twice as likely to be next.
pub(super) fn by_weight<T>(mut left: Vec<T>, weight: impl Fn(&T) -> u64, chance: u64) -> Vec<T> {
    let mut numbers = Numbers(chance);
    let mut drawn = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let sum: u64 = left.iter().map(&weight).sum();
        let mut point = numbers.next() % sum.max(1);
        let at = left.iter().position(|one| {
            let here = point < weight(one);
            point = point.saturating_sub(weight(one));
            here
        });
        drawn.push(left.remove(at.unwrap_or_default()));
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_weighs_more_is_first_more_often() {
        let mut firsts = [0; 3];
        for chance in 0..1000 {
            let order = by_weight(vec![(0, 10), (1, 30), (2, 60)], |one| one.1, chance);
            assert_eq!(order.len(), 3);
            firsts[order[0].0] += 1;
        }
        for (found, wanted) in firsts.into_iter().zip([100, 300, 600]) {
            assert!((wanted - 50..wanted + 50).contains(&found), "{firsts:?}");
        }
    }

    #[test]
    fn the_same_chance_gives_the_same_order() {
        let order = |chance| by_weight((0..20).collect(), |_| 20, chance);
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
    }
}
