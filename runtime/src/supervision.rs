//! Supervision: what becomes of an actor that crashes.

use std::time::Duration;

/// How often, and how fast, a crashed actor is made anew. Its PID and mailbox stay; the message
/// that it crashed on is gone, and its asker is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervision {
    pub(crate) max_restarts: usize,
    pub(crate) within: Duration,
    pub(crate) pause_min: Duration,
    pub(crate) pause_max: Duration,
    pub(crate) resume: bool,
}

impl Supervision {
    /// No second life: a crash ends the actor.
    pub const fn stop() -> Self {
        Self {
            max_restarts: 0,
            within: Duration::ZERO,
            pause_min: Duration::ZERO,
            pause_max: Duration::ZERO,
            resume: false,
        }
    }

    /// Made anew at once, at most `max_restarts` times `within` a span; one more ends it.
    pub const fn restart(max_restarts: usize, within: Duration) -> Self {
        Self {
            max_restarts,
            within,
            ..Self::stop()
        }
    }

    /// A handler's panic drops that message only; the actor goes on with the state it has.
    pub const fn resume() -> Self {
        Self {
            resume: true,
            ..Self::stop()
        }
    }

    /// Waits before a restart: `min`, doubled with each restart within the span, at most `max`.
    pub const fn back_off(self, min: Duration, max: Duration) -> Self {
        Self {
            pause_min: min,
            pause_max: max,
            ..self
        }
    }

    pub(crate) fn pause(&self, earlier: usize) -> Duration {
        let factor = 1_u32 << earlier.min(20);
        self.pause_min.saturating_mul(factor).min(self.pause_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(50));
        let supervision = Supervision::restart(9, max).back_off(min, max);
        let pauses = (0..4)
            .map(|n| supervision.pause(n).as_millis())
            .collect::<Vec<_>>();
        assert_eq!(pauses, [10, 20, 40, 50]);
        assert_eq!(Supervision::restart(9, max).pause(3), Duration::ZERO);
    }
}
