//! Which sandboxes of ended runs go, and when: sooner the fuller the disk is, the oldest first.
//!
//! A sandbox may become `delay * max(0, 1 - headroom - disk use)` old. What is due is told without
//! any I/O; [`super::kept`] lists sandboxes and removes them. As Mesos's agents do it (`--gc_delay`, `--gc_disk_headroom`).

use std::{path::PathBuf, time::Duration};

use tepui_protocol::Timestamp;

/// A sandbox that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The run that it is, or was, for.
    pub run: String,
    /// Where it is.
    pub path: PathBuf,
    /// When its run was last seen, or its directory changed.
    pub since: Timestamp,
}

/// How long sandboxes are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Collection {
    /// The longest, on an empty disk without headroom.
    pub delay: Duration,
    /// The part of the disk that is to stay free.
    pub headroom: f64,
}

impl Collection {
    /// How old a sandbox may become while that part of the disk is in use.
    pub fn age_max(&self, disk_used: f64) -> Duration {
        let part = (1.0 - self.headroom - disk_used).clamp(0.0, 1.0);
        Duration::try_from_secs_f64(self.delay.as_secs_f64() * part).unwrap_or(self.delay)
    }

    /// Has sandboxes of ended runs removed that are too old, the oldest first. The disk is looked at
    /// before each, so that it ends when enough is free; and when its use cannot be told.
    pub fn collect(
        &self,
        now: Timestamp,
        mut ended: Vec<Kept>,
        mut disk_used: impl FnMut() -> Option<f64>,
        mut remove: impl FnMut(Kept),
    ) {
        ended.sort_by(|a, b| (a.since, &a.path).cmp(&(b.since, &b.path)));
        for kept in ended {
            match disk_used() {
                Some(used) if now.since(kept.since) >= self.age_max(used) => remove(kept),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;
    const MESOS: Collection = Collection {
        delay: Duration::from_secs(7 * DAY),
        headroom: 0.1,
    };

    fn at(days: u64) -> Timestamp {
        Timestamp::from_secs(days * DAY)
    }

    /// Sandboxes whose runs ended on these days.
    fn ended(days: &[u64]) -> Vec<Kept> {
        let kept = days.iter().map(|day| Kept {
            run: day.to_string(),
            path: PathBuf::from(day.to_string()),
            since: at(*day),
        });
        kept.collect()
    }

    /// The days whose sandboxes go on a day, as the disk use follows from how many went.
    fn gone(days: &[u64], today: u64, used: impl Fn(usize) -> Option<f64>) -> Vec<String> {
        let gone = std::cell::RefCell::new(Vec::new());
        let disk = || used(gone.borrow().len());
        let remove = |kept: Kept| gone.borrow_mut().push(kept.run);
        MESOS.collect(at(today), ended(days), disk, remove);
        gone.into_inner()
    }

    #[test]
    fn the_fuller_the_disk_the_shorter_sandboxes_stay() {
        let hours = |used| (MESOS.age_max(used).as_secs_f64() / 3600.0).round();
        assert_eq!(hours(0.0), 151.0);
        assert_eq!(hours(0.4), 84.0);
        assert_eq!(hours(0.8), 17.0);
        assert_eq!(MESOS.age_max(0.9), Duration::ZERO);
        assert_eq!(MESOS.age_max(1.0), Duration::ZERO);
        let forever = Collection {
            delay: Duration::MAX,
            headroom: 0.0,
        };
        assert_eq!(forever.age_max(0.0), Duration::MAX);
    }

    #[test]
    fn what_is_too_old_goes_and_the_rest_stays() {
        // Half of the disk is in use: 2.8 days.
        assert_eq!(gone(&[9, 3, 8, 6], 10, |_| Some(0.5)), ["3", "6"]);
        assert!(gone(&[8, 9], 10, |_| Some(0.5)).is_empty());
    }

    #[test]
    fn of_a_full_disk_the_oldest_go_until_enough_is_free() {
        assert_eq!(gone(&[10, 9, 8], 10, |_| Some(0.95)), ["8", "9", "10"]);
        let used = |gone| Some(if gone < 2 { 0.95 } else { 0.5 });
        assert_eq!(gone(&[10, 9, 8], 10, used), ["8", "9"]);
    }

    #[test]
    fn nothing_goes_where_disk_use_cannot_be_told_or_the_clock_went_back() {
        assert!(gone(&[1], 100, |_| None).is_empty());
        assert!(gone(&[50], 10, |_| Some(0.0)).is_empty());
    }
}
