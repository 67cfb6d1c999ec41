//! Whether a promise was kept, period by period.

use std::{collections::BTreeMap, time::Duration};

use super::Objective;

/// How long the jobs of each period's burst waited for their first offer.
#[derive(Clone, Debug)]
pub struct Record {
    within: Duration,
    percent: u8,
    periods: BTreeMap<u128, Vec<Duration>>,
}

/// What a record comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Periods in which a job of the burst came.
    pub periods: u64,
    /// Those in which the promise was kept.
    pub held: u64,
}

impl Record {
    /// Of this objective.
    pub fn new<const L: usize>(objective: &Objective<L>) -> Self {
        Self {
            within: objective.within,
            percent: objective.percent,
            periods: BTreeMap::new(),
        }
    }

    /// A job that came in this period had its first offer after so long; [`Duration::MAX`] if it never had one.
    pub fn offered(&mut self, period: u128, waited: Duration) {
        self.periods.entry(period).or_default().push(waited);
    }

    /// In how many periods the percentile (nearest rank) was within the promised time.
    pub fn verdict(&self) -> Verdict {
        let is_held = |waits: &&Vec<Duration>| {
            let late = waits.iter().filter(|wait| **wait > self.within).count();
            // So many may be late that the percentile's rank is not among them.
            late * 100 <= waits.len() * usize::from(100 - self.percent.min(100))
        };
        Verdict {
            periods: self.periods.len() as u64,
            held: self.periods.values().filter(is_held).count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::Class;

    #[test]
    fn a_period_is_held_if_enough_of_its_jobs_were_served_in_time() {
        let second = Duration::from_secs(1);
        let objective = |percent| Objective {
            asked: Class::Hard,
            unit: [1],
            tasks: 1,
            length: second,
            period: second,
            within: second,
            percent,
        };
        for (percent, held) in [(100, 1), (95, 2), (90, 3)] {
            let mut record = Record::new(&objective(percent));
            for (period, late) in [(0, 0), (1, 1), (7, 2)] {
                for job in 0..20 {
                    record.offered(period, if job < late { 2 * second } else { second });
                }
            }
            assert_eq!(record.verdict(), Verdict { periods: 3, held }, "{percent}");
        }
    }
}
