//! How often is too often: restarts within a span, and the pauses between them. Pure.

use std::{collections::VecDeque, time::Duration};

/// At most so many restarts within a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) max: usize,
    pub(crate) within: Duration,
}

/// The restarts of late; times in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Restarts(VecDeque<u64>);

impl Restarts {
    /// Counts one more at `now`: how many there were before it within the span, or `None` when the
    /// limit is reached.
    pub(crate) fn count(&mut self, limit: Limit, now: u64) -> Option<usize> {
        let within = micros(limit.within);
        while self
            .0
            .front()
            .is_some_and(|&at| now.saturating_sub(at) >= within)
        {
            self.0.pop_front();
        }
        let before = self.0.len();
        (before < limit.max).then(|| {
            self.0.push_back(now);
            before
        })
    }
}

/// A pause before a restart that doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BackOff {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl BackOff {
    pub(crate) const NONE: BackOff = BackOff {
        min: Duration::ZERO,
        max: Duration::ZERO,
    };

    /// The pause after `earlier` restarts of late.
    pub(crate) fn pause(&self, earlier: usize) -> Duration {
        let factor = 1_u32 << earlier.min(20);
        self.min.saturating_mul(factor).min(self.max)
    }
}

/// `span` in microseconds.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(50));
        let back_off = BackOff { min, max };
        let pauses = (0..4)
            .map(|n| back_off.pause(n).as_millis())
            .collect::<Vec<_>>();
        assert_eq!(pauses, [10, 20, 40, 50]);
        assert_eq!(BackOff::NONE.pause(3), Duration::ZERO);
    }

    #[test]
    fn a_restart_counts_until_its_span_is_over() {
        let within = Duration::from_micros(10);
        let limit = Limit { max: 2, within };
        let mut restarts = Restarts::default();
        assert_eq!(restarts.count(limit, 100), Some(0));
        assert_eq!(restarts.count(limit, 105), Some(1));
        assert_eq!(restarts.count(limit, 109), None);
        assert_eq!(restarts.count(limit, 110), Some(1));
        assert_eq!(restarts.count(Limit { max: 0, within }, 999), None);
    }
}
