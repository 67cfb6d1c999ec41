//! Which jobs belong to a role's burst: those that come while it is within what it asked for.
//!
//! A job belongs to it if its tasks are no larger than the burst's, run beside those of the burst that came before, and are, by what
//! is known of their run time, within what the burst may take in the period. Whether it does is settled when it comes, so that
//! the answer does not hang on how well others are served.

use std::time::Duration;

use super::Objective;
use crate::order::Amounts;

/// A role's burst, as it comes. Times are since any fixed one and do not go back.
#[derive(Clone, Debug)]
pub struct Contract<const L: usize> {
    objective: Objective<L>,
    begin: Duration,
    period: u128,
    /// Task time that the jobs of this period were entered with, in µs.
    charged: u128,
    /// Tasks that came and have not ended.
    tasks: u32,
}

impl<const L: usize> Contract<L> {
    /// Periods count from `begin`.
    pub fn new(objective: Objective<L>, begin: Duration) -> Self {
        Self {
            objective,
            begin,
            period: 0,
            charged: 0,
            tasks: 0,
        }
    }

    /// The period of a time.
    pub fn period_of(&self, now: Duration) -> u128 {
        let passed = now.saturating_sub(self.begin).as_micros();
        passed / self.objective.period.as_micros().max(1)
    }

    /// A job comes, its tasks of `demand` each, expected to run for so long. Whether it belongs to the burst; then its end is to be told.
    pub fn came(
        &mut self,
        now: Duration,
        tasks: u32,
        demand: &Amounts<L>,
        expected: Duration,
    ) -> bool {
        let period = self.period_of(now);
        if period > self.period {
            (self.period, self.charged) = (period, 0);
        }
        let Objective { unit, length, .. } = self.objective;
        let charge = expected.as_micros().saturating_mul(u128::from(tasks));
        let most = length.as_micros() * u128::from(self.objective.tasks);
        let charged = self.charged.saturating_add(charge);
        let at_once = self.tasks.saturating_add(tasks);
        let is_small = demand.iter().zip(&unit).all(|(each, most)| each <= most);
        let belongs = is_small && at_once <= self.objective.tasks && charged <= most;
        if belongs {
            (self.tasks, self.charged) = (at_once, charged);
        }
        belongs
    }

    /// A job of the burst has ended, or will not run.
    pub fn ended(&mut self, tasks: u32) {
        debug_assert!(tasks <= self.tasks, "SLO-1 what ends has come");
        self.tasks = self.tasks.saturating_sub(tasks);
    }

    /// Tasks of the burst that came and have not ended.
    pub fn tasks(&self) -> u32 {
        self.tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::Class;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_burst_is_so_many_tasks_for_so_long_in_each_period() {
        let objective = Objective {
            asked: Class::Hard,
            unit: [2, 4],
            tasks: 4,
            length: 10 * SECOND,
            period: 100 * SECOND,
            within: Duration::ZERO,
            percent: 100,
        };
        let mut contract = Contract::new(objective, 50 * SECOND);
        let mut came = |at: u32, tasks, demand, secs: u32| {
            contract.came(at * SECOND, tasks, &demand, secs * SECOND)
        };
        assert!(!came(50, 1, [2, 5], 1), "larger than a task of the burst");
        assert!(came(50, 3, [2, 4], 5));
        assert!(!came(51, 2, [2, 4], 1), "more than four at once");
        assert!(came(51, 1, [1, 0], 25), "40 task seconds in all");
        contract.ended(4);
        let mut came = |at: u32, secs: u32| contract.came(at * SECOND, 1, &[1, 1], secs * SECOND);
        assert!(!came(149, 1), "this period's 40 are used up");
        assert!(came(150, 40));
        assert_eq!(contract.tasks(), 1);
        assert_eq!(contract.period_of(349 * SECOND), 2);
    }
}
