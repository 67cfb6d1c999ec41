//! Who is next when the past counts: the role of the least decayed share.
//!
//! A role's key is its [`DecayedUsage`] as it will be in one half-life if it goes on holding what it holds now: half what it had
//! lately, half what it has. So a task that is given counts at once, what was had before counts for less and less, and who
//! asks for the same for ever ends where plain DRF would have it.

use std::time::Duration;

use super::DecayedUsage;
use crate::{order::Amounts, share::Weight};

/// Bits that a key has beyond those of a share, so that large weights tell roles apart.
const FINE: u32 = 20;

#[derive(Clone, Debug)]
struct Entry<const L: usize> {
    usage: DecayedUsage<L>,
    held: Amounts<L>,
    weight: Weight,
}

/// What roles hold and held, and in which order that puts them.
#[derive(Clone, Debug)]
pub struct HistoryOrder<const L: usize> {
    capacity: Amounts<L>,
    half_life: Duration,
    roles: Vec<Entry<L>>,
}

impl<const L: usize> HistoryOrder<L> {
    /// Without roles, over this capacity.
    ///
    /// # Panics
    /// When the half-life is zero.
    pub fn new(capacity: Amounts<L>, half_life: Duration) -> Self {
        assert!(!half_life.is_zero(), "a half-life takes time");
        Self {
            capacity,
            half_life,
            roles: Vec::new(),
        }
    }

    /// Adds a role that has had nothing; its number.
    pub fn add_role(&mut self, weight: Weight, now: Duration) -> usize {
        self.roles.push(Entry {
            usage: DecayedUsage::new(self.half_life, now),
            held: [0; L],
            weight,
        });
        self.roles.len() - 1
    }

    /// From `now` on the role holds so much more.
    pub fn hold(&mut self, role: usize, now: Duration, amounts: &Amounts<L>) {
        let entry = &mut self.roles[role];
        for (held, more) in entry.held.iter_mut().zip(amounts) {
            *held = held.saturating_add(*more);
        }
        entry.usage.hold(now, entry.held);
    }

    /// From `now` on the role holds so much less.
    pub fn release(&mut self, role: usize, now: Duration, amounts: &Amounts<L>) {
        let entry = &mut self.roles[role];
        for (held, less) in entry.held.iter_mut().zip(amounts) {
            *held = held.saturating_sub(*less);
        }
        entry.usage.hold(now, entry.held);
    }

    /// By what the role is ordered at `now`, the least first; only good for comparing.
    pub fn key(&self, role: usize, now: Duration) -> u128 {
        let entry = &self.roles[role];
        let ahead = now.saturating_add(self.half_life);
        let share = u128::from(entry.usage.share(ahead, &self.capacity)) << FINE;
        share * 1000 / u128::from(entry.weight.milli())
    }

    /// The role's decayed share at `now`, a part of the cluster in 2^-40, without its weight.
    pub fn share(&self, role: usize, now: Duration) -> u64 {
        self.roles[role].usage.share(now, &self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const ALL: u64 = 1 << 40;

    fn pair(weight: u64) -> HistoryOrder<1> {
        let mut order = HistoryOrder::new([1 << 20], HOUR);
        order.add_role(Weight::from_milli(weight).unwrap(), Duration::ZERO);
        order.add_role(Weight::ONE, Duration::ZERO);
        order
    }

    #[test]
    fn a_burst_counts_2_to_the_minus_k_after_k_half_lives() {
        let mut order = pair(1000);
        order.hold(0, Duration::ZERO, &[1 << 20]);
        let end = 100 * HOUR;
        order.release(0, end, &[1 << 20]);
        for k in 0..20 {
            assert_eq!(order.share(0, end + k * HOUR), ALL >> k, "{k}");
        }
    }

    #[test]
    fn who_had_much_waits_until_it_is_forgotten() {
        let mut order = pair(1000);
        order.hold(0, Duration::ZERO, &[1 << 20]);
        let end = 100 * HOUR;
        order.release(0, end, &[1 << 20]);
        // The other holds a quarter from then on: half of that ahead, and more and more of it in the mean.
        order.hold(1, end, &[1 << 18]);
        assert!(order.key(0, end) > order.key(1, end));
        assert!(order.key(0, end + HOUR) > order.key(1, end + HOUR));
        // After 2 half-lives: 1/8 is left ahead of the one, 7/32 ahead of the other.
        assert!(order.key(0, end + 2 * HOUR) < order.key(1, end + 2 * HOUR));
    }

    #[test]
    fn what_is_given_counts_at_once_and_by_weight() {
        let mut order = pair(2000);
        for role in 0..2 {
            order.hold(role, HOUR, &[1 << 10]);
        }
        assert!(order.key(0, HOUR) > 0);
        assert_eq!(order.key(0, HOUR) * 2, order.key(1, HOUR));
    }
}
