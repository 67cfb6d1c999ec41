//! The course of a revocation: victims are asked to end, and killed when their grace is over.

use std::{collections::BTreeSet, time::Duration};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<K> {
    /// Tell these that they are to end.
    Ask(Vec<K>),
    /// These have not ended: kill them.
    Kill(Vec<K>),
}

/// One revocation under way; `K` names a unit. Times are since any fixed one.
#[derive(Clone, Debug)]
pub struct Revocation<K> {
    waiting: BTreeSet<K>,
    asked: bool,
    deadline: Duration,
    killed: bool,
}

impl<K: Ord + Clone> Revocation<K> {
    /// Revokes `victims`, who have `grace` from `now` on.
    pub fn begin(victims: impl IntoIterator<Item = K>, now: Duration, grace: Duration) -> Self {
        Self {
            waiting: victims.into_iter().collect(),
            asked: false,
            deadline: now.saturating_add(grace),
            killed: false,
        }
    }

    /// What is to be done now, once each.
    pub fn step(&mut self, now: Duration) -> Option<Step<K>> {
        if self.waiting.is_empty() {
            return None;
        }
        let all = || self.waiting.iter().cloned().collect();
        if !self.asked {
            self.asked = true;
            return Some(Step::Ask(all()));
        }
        if !self.killed && now >= self.deadline {
            self.killed = true;
            return Some(Step::Kill(all()));
        }
        None
    }

    /// A unit has ended, by itself or not. True when it was the last one.
    pub fn ended(&mut self, unit: &K) -> bool {
        self.waiting.remove(unit) && self.waiting.is_empty()
    }

    /// The claim was withdrawn: those who still run may go on. A unit that was asked is to be told so.
    pub fn withdraw(&mut self) -> Vec<K> {
        let spared = std::mem::take(&mut self.waiting);
        if self.killed || !self.asked {
            return Vec::new();
        }
        spared.into_iter().collect()
    }

    /// When [`Revocation::step`] has something to do next; nothing if all have ended or were killed.
    pub fn next_deadline(&self) -> Option<Duration> {
        match (self.waiting.is_empty() || self.killed, self.asked) {
            (true, _) => None,
            (false, false) => Some(Duration::ZERO),
            (false, true) => Some(self.deadline),
        }
    }

    /// Whether all have ended.
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn who_does_not_end_within_the_grace_is_killed_once() {
        let mut revocation = Revocation::begin(["a", "b", "c"], at(100), at(30));
        assert_eq!(
            revocation.step(at(100)),
            Some(Step::Ask(vec!["a", "b", "c"]))
        );
        assert_eq!(revocation.step(at(101)), None, "they are asked once");
        assert!(!revocation.ended(&"b"));
        assert_eq!(revocation.next_deadline(), Some(at(130)));
        assert_eq!(revocation.step(at(129)), None);
        assert_eq!(revocation.step(at(130)), Some(Step::Kill(vec!["a", "c"])));
        assert_eq!(revocation.step(at(131)), None, "they are killed once");
        assert!(!revocation.ended(&"a"));
        assert!(
            !revocation.ended(&"a"),
            "an end that is said twice is no other"
        );
        assert!(revocation.ended(&"c") && revocation.is_over());
        assert_eq!(revocation.next_deadline(), None);
    }

    #[test]
    fn a_claim_that_is_withdrawn_spares_those_who_still_run() {
        let mut revocation = Revocation::begin(["a", "b"], at(0), at(30));
        revocation.step(at(0));
        revocation.ended(&"a");
        assert_eq!(revocation.withdraw(), ["b"]);
        assert_eq!(revocation.step(at(60)), None);
        assert!(revocation.is_over());
    }
}
