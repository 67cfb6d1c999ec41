//! A hierarchical timer wheel: what is due when, in ticks that the caller counts.
//!
//! ```text
//!   level 0   64 slots of 1 tick       due within 64 ticks
//!   level 1   64 slots of 64 ticks     ... within 4096; re-sorted into level 0 when its slot comes
//!   ...                                up to 64^6 ticks; what is later waits in the last slot
//! ```
//! Adding is O(1); an entry moves down at most once a level. Nothing is ever taken out early: who changes
//! his mind leaves the entry and recognises it as old when it comes.

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 6;

/// Entries by the tick at which they are due.
#[derive(Clone, Debug)]
pub(super) struct Wheel<T> {
    now: u64,
    slots: Vec<Vec<(u64, T)>>,
    len: usize,
}

impl<T: Copy> Wheel<T> {
    /// An empty wheel at tick 0.
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            slots: vec![Vec::new(); SLOTS * LEVELS],
            len: 0,
        }
    }

    /// Adds what is due at a tick; what is due already comes at the next.
    pub(super) fn add(&mut self, due: u64, entry: T) {
        self.len += 1;
        self.put(due.max(self.now + 1), entry);
    }

    fn put(&mut self, due: u64, entry: T) {
        let ahead = due - self.now;
        let level = (0..LEVELS - 1).find(|&level| ahead >> (BITS as usize * (level + 1)) == 0);
        let level = level.unwrap_or(LEVELS - 1);
        let shift = BITS as usize * level;
        // What is beyond the last level waits in the slot that comes last.
        let tick = (due >> shift).min((self.now >> shift) + SLOTS as u64 - 1);
        let slot = (tick % SLOTS as u64) as usize;
        self.slots[level * SLOTS + slot].push((due, entry));
    }

    /// Goes on to a tick and hands out what has become due: earlier ticks first, in a tick what was added
    /// first among entries of one level.
    pub(super) fn advance(&mut self, to: u64, mut out: impl FnMut(T)) {
        if self.len == 0 {
            self.now = self.now.max(to);
        }
        while self.now < to {
            self.now += 1;
            self.sort_down();
            let slot = (self.now % SLOTS as u64) as usize;
            let due = std::mem::take(&mut self.slots[slot]);
            self.len -= due.len();
            due.iter().for_each(|&(_, entry)| out(entry));
            self.slots[slot] = due;
            self.slots[slot].clear();
            if self.len == 0 {
                self.now = to;
            }
        }
    }

    /// Moves down the slots of higher levels that begin now.
    fn sort_down(&mut self) {
        for level in (1..LEVELS).rev() {
            let shift = BITS as usize * level;
            if !self.now.is_multiple_of(1 << shift) {
                continue;
            }
            let slot = level * SLOTS + ((self.now >> shift) % SLOTS as u64) as usize;
            let entries = std::mem::take(&mut self.slots[slot]);
            for (due, entry) in entries {
                self.put(due, entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn far_away_entries_come_on_time() {
        let mut wheel = Wheel::new();
        for due in [1, 63, 64, 65, 4095, 4096, 300_000, 17_000_000] {
            wheel.add(due, due);
        }
        let mut last = 0;
        for to in [64, 4096, 400_000, 20_000_000] {
            wheel.advance(to, |due| {
                assert!(due > last && due <= to, "{due} after {last}, by {to}");
                last = due;
            });
        }
        assert_eq!((last, wheel.len, wheel.now), (17_000_000, 0, 20_000_000));
    }

    proptest! {
        #[test]
        fn everything_comes_once_and_on_its_tick(
            steps in prop::collection::vec((0..300_u64, prop::collection::vec(0..9000_u64, 0..5)), 1..40),
        ) {
            let mut wheel = Wheel::new();
            let (mut waiting, mut now) = (Vec::new(), 0);
            for (ahead, dues) in steps {
                for due in dues {
                    let due = (now + due).max(now + 1);
                    wheel.add(due, due);
                    waiting.push(due);
                }
                now += ahead;
                let mut came = Vec::new();
                wheel.advance(now, |due: u64| came.push(due));
                let mut expected: Vec<u64> = waiting.iter().copied().filter(|due| *due <= now).collect();
                waiting.retain(|due| *due > now);
                expected.sort_unstable();
                prop_assert_eq!(came, expected);
                prop_assert_eq!(wheel.len, waiting.len());
            }
        }
    }
}
