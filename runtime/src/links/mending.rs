//! When to dial again after the last connection of a link broke, and when to give it up.
//!
//! The dialler of the broken connection tries again at once, the other side a little later, so that
//! they do not meet half-way; then at growing intervals. A peer that keeps refusing is down; one
//! that stays silent is unreachable when it has not been heard of for long enough.

use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long the side that did not dial holds back.
const COURTESY: Duration = Duration::from_millis(100);
/// A peer that has refused for this long is down.
const REFUSALS_MEAN_DOWN: Duration = Duration::from_millis(300);

/// The state of the attempts.
#[derive(Debug)]
pub(super) struct Mending {
    /// When to dial next.
    pub(super) next: Instant,
    /// When to give up.
    pub(super) deadline: Instant,
    pause: Duration,
    refused_since: Option<Instant>,
}

impl Mending {
    /// Begins; the peer was last heard of at `heard`, and this node dialled, or not.
    pub(super) fn begin(now: Instant, heard: Instant, patience: Duration, dialled: bool) -> Self {
        Self {
            next: if dialled { now } else { now + COURTESY },
            deadline: heard + patience,
            pause: FIRST_PAUSE,
            refused_since: None,
        }
    }

    /// An attempt has failed, with a refusal or otherwise. True: the peer is down. `random`, between
    /// 0 and 1, shortens the pause by up to a quarter, so that many do not try at the same time.
    pub(super) fn failed(&mut self, now: Instant, refused: bool, random: f64) -> bool {
        self.next = now + self.pause.mul_f64(1.0 - random / 4.0);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if !refused {
            self.refused_since = None;
            return false;
        }
        now - *self.refused_since.get_or_insert(now) >= REFUSALS_MEAN_DOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_for_300_ms_mean_down_with_growing_pauses() {
        let start = Instant::now();
        let mut mending = Mending::begin(start, start, millis(10_000), true);
        let mut tried = Vec::new();
        loop {
            tried.push(mending.next - start);
            if mending.failed(mending.next, true, 0.0) {
                break;
            }
        }
        assert_eq!(tried, [0, 50, 150, 350].map(millis));
    }

    #[tokio::test(start_paused = true)]
    async fn chance_shortens_a_pause_by_a_quarter_at_most() {
        let start = Instant::now();
        let mut mending = Mending::begin(start, start, millis(10_000), true);
        mending.failed(start, false, 1.0);
        assert_eq!(mending.next - start, FIRST_PAUSE.mul_f64(0.75));
        mending.failed(start, false, 0.0);
        assert_eq!(mending.next - start, FIRST_PAUSE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_refusals_starts_the_count_anew() {
        let start = Instant::now();
        let mut mending = Mending::begin(start, start, millis(10_000), false);
        assert_eq!(mending.next, start + COURTESY);
        assert!(!mending.failed(start, true, 0.0));
        assert!(!mending.failed(start + millis(200), false, 0.0));
        assert!(!mending.failed(start + millis(400), true, 0.0));
        assert!(mending.failed(start + millis(700), true, 0.0));
        assert_eq!(mending.deadline, start + millis(10_000));
    }
}
