//! Pauses between attempts to reach a peer that was not reached, across the records of that peer.
//!
//! A record ends when an attempt fails and nothing waits, so what was learned is kept here, by address:
//! the first attempt is made at once, the next ones after pauses that double up to a second. Who was
//! reached, or has not been tried for long, is forgotten. What is sent meanwhile waits in the outbox.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::pid::NodeAddr;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// Failures older than that say nothing any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
/// Addresses kept, at most; others are tried without a pause.
const KEPT_MAX: usize = 4096;

/// Waits until `at`, and not at all when that is over: the timer's ticks are a millisecond long.
pub(super) async fn until(at: Instant) {
    if at > Instant::now() {
        sleep_until(at).await;
    }
}

#[derive(Debug)]
struct Failed {
    at: Instant,
    /// Before the next attempt.
    pause: Duration,
    /// Without the part that chance took off.
    whole: Duration,
}

impl Failed {
    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < FORGOTTEN_AFTER
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pauses(BTreeMap<NodeAddr, Failed>);

impl Pauses {
    /// When `addr` may be dialled.
    pub(super) fn due(&self, addr: &NodeAddr, now: Instant) -> Instant {
        let failed = self.0.get(addr).filter(|failed| failed.is_recent(now));
        failed.map_or(now, |failed| now.max(failed.at + failed.pause))
    }

    /// An attempt has failed. `random`, between 0 and 1, shortens the pause by up to a quarter, so that
    /// many do not try at the same time.
    pub(super) fn failed(&mut self, addr: &NodeAddr, now: Instant, random: f64) {
        let before = self.0.get(addr).filter(|failed| failed.is_recent(now));
        let whole = before.map_or(FIRST, |failed| (failed.whole * 2).min(LONGEST));
        if self.0.len() >= KEPT_MAX && !self.0.contains_key(addr) {
            self.0.retain(|_, failed| failed.is_recent(now));
            if self.0.len() >= KEPT_MAX {
                return;
            }
        }
        let failed = Failed {
            at: now,
            pause: whole.mul_f64(1.0 - random / 4.0),
            whole,
        };
        self.0.insert(addr.clone(), failed);
    }

    /// `addr` answers.
    pub(super) fn reached(&mut self, addr: &NodeAddr) {
        self.0.remove(addr);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn addr(port: u16) -> NodeAddr {
        NodeAddr::new("h", port)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_a_second_until_the_peer_is_reached() {
        let (mut pauses, mut now) = (Pauses::default(), Instant::now());
        let mut waited = Vec::new();
        for _ in 0..7 {
            let due = pauses.due(&addr(1), now);
            waited.push((due - now).as_millis());
            pauses.failed(&addr(1), due, 0.0);
            now = due;
        }
        assert_eq!(waited, [0, 50, 100, 200, 400, 800, 1000]);
        assert_eq!(pauses.due(&addr(2), now), now, "of others nothing is known");
        pauses.reached(&addr(1));
        assert_eq!(pauses.due(&addr(1), now), now);
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_is_no_sleep() {
        let polled = |at| {
            let waiting = std::pin::pin!(until(at));
            waiting.poll(&mut Context::from_waker(Waker::noop()))
        };
        let now = Instant::now();
        assert_eq!(polled(now), Poll::Ready(()));
        assert_eq!(polled(now + FIRST), Poll::Pending);
    }

    #[tokio::test(start_paused = true)]
    async fn chance_shortens_a_pause_by_a_quarter_at_most() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        pauses.failed(&addr(1), now, 1.0);
        assert_eq!(pauses.due(&addr(1), now) - now, FIRST.mul_f64(0.75));
        pauses.failed(&addr(1), now, 0.0);
        assert_eq!(
            pauses.due(&addr(1), now) - now,
            FIRST * 2,
            "of the whole pause"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn old_failures_are_forgotten_and_the_table_is_bounded() {
        let (mut pauses, start) = (Pauses::default(), Instant::now());
        for port in 0..5000 {
            pauses.failed(&addr(port), start, 0.0);
        }
        assert_eq!(pauses.0.len(), KEPT_MAX);
        let later = start + FORGOTTEN_AFTER;
        assert_eq!(pauses.due(&addr(0), later), later);
        pauses.failed(&addr(5000), later, 0.0);
        assert_eq!(pauses.0.len(), 1);
    }
}
