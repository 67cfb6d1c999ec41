//! What an actor's cell keeps for those who watch the node.

use std::{
    num::NonZeroU64,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Turns that are timed each; later ones are sampled.
const TURNS_TIMED: u32 = 64;
/// Of later turns, one in so many is timed and counts for all.
const SAMPLE: u32 = 16;

/// Work done, lives begun anew, and how the last one ended.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    /// The incarnation of the actor that spawned it.
    pub(crate) parent: Option<NonZeroU64>,
    busy_nanos: AtomicU64,
    restarts: AtomicU32,
    last_exit: Mutex<Option<Box<str>>>,
}

impl Vitals {
    /// Of an actor that the actor with the incarnation `parent` spawned.
    pub(crate) fn of(parent: Option<u64>) -> Self {
        Self {
            parent: parent.and_then(NonZeroU64::new),
            ..Self::default()
        }
    }

    pub(crate) fn busy_micros(&self) -> u64 {
        self.busy_nanos.load(Ordering::Relaxed) / 1000
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(crate) fn last_exit(&self) -> Option<String> {
        let exit = self
            .last_exit
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        exit.as_deref().map(str::to_owned)
    }

    /// Another life begins.
    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// A life has ended.
    pub(crate) fn ended(&self, how: &str) {
        let mut exit = self
            .last_exit
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *exit = Some(how.into());
    }

    fn worked(&self, time: Duration, turns: u32) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let nanos = nanos.saturating_mul(turns.into());
        self.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Times an actor's turns without looking at the clock in most of them.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    turn: u32,
}

/// A turn that is timed, and for how many it counts.
pub(crate) struct Turn(Option<(Instant, u32)>);

impl Stopwatch {
    /// A turn begins.
    #[inline]
    pub(crate) fn begin(&mut self) -> Turn {
        let turn = self.turn;
        // Stays among the sampled ones when it is about to overflow.
        self.turn = turn.checked_add(1).unwrap_or(TURNS_TIMED);
        if turn < TURNS_TIMED {
            Turn(Some((Instant::now(), 1)))
        } else if turn.is_multiple_of(SAMPLE) {
            Turn(Some((Instant::now(), SAMPLE)))
        } else {
            Turn(None)
        }
    }
}

impl Turn {
    pub(crate) fn untimed() -> Self {
        Self(None)
    }

    /// The turn ends.
    #[inline]
    pub(crate) fn end(self, vitals: &Vitals) {
        if let Some((began, turns)) = self.0 {
            vitals.worked(began.elapsed(), turns);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn busy_time_is_exact_at_first_and_then_an_estimate() {
        let (vitals, mut watch) = (Vitals::default(), Stopwatch::default());
        for turns in [TURNS_TIMED, 1600] {
            let before = vitals.busy_micros();
            for _ in 0..turns {
                let turn = watch.begin();
                advance(Duration::from_millis(1)).await;
                turn.end(&vitals);
            }
            assert_eq!(vitals.busy_micros() - before, u64::from(turns) * 1000);
        }
    }
}
