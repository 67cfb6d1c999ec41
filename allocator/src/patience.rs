//! Adaptive back-off: who declines all that it is offered, run after run, is asked less and less often.
//!
//! ```text
//!   run 1..3   declined         its refusals hold as long as it says
//!   run 4..    declined         twice as long with each further run, up to the longest
//!   uses something, revives, is deactivated, leaves the role         from the beginning
//! ```
//! Counted by framework and role, once a run, however many offers of the run were declined. Off unless a longest time is set. Refusals
//! that name a longer time keep it.
//
//= mesos, differs: there frameworks have to suppress themselves (MESOS-9028)

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_protocol::{FrameworkId, Role};

/// So many runs in a row may be declined before it matters.
const FREE_RUNS: u32 = 3;

/// Why a framework is offered nothing of what comes back from it, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It does not want it.
    Declined(Duration),
    /// It may want it, but others come first.
    SetAside(Duration),
}

/// Runs that were declined, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Streak {
    runs: u32,
    /// The last one, by number.
    last: u64,
}

/// Who declines, and for how long that holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patience {
    longest: Option<Duration>,
    streaks: BTreeMap<FrameworkId, BTreeMap<Role, Streak>>,
}

impl Patience {
    pub(crate) fn new(longest: Option<Duration>) -> Self {
        Self {
            longest,
            streaks: BTreeMap::new(),
        }
    }

    /// Whether a refusal makes any difference.
    pub(crate) fn matters(&self, refusal: Refusal) -> bool {
        match refusal {
            Refusal::Declined(span) => !span.is_zero() || self.longest.is_some(),
            Refusal::SetAside(span) => !span.is_zero(),
        }
    }

    /// For how long a refusal holds, made after run number `run`. Refusals hold for `interval` at least.
    pub(crate) fn refused(
        &mut self,
        id: &FrameworkId,
        role: &Role,
        refusal: Refusal,
        interval: Duration,
        run: u64,
    ) -> Duration {
        let timeout = match refusal {
            Refusal::Declined(timeout) => timeout,
            Refusal::SetAside(span) => return span,
        };
        if self.longest.is_none() {
            return timeout;
        }
        let streaks = self.streaks.entry(id.clone()).or_default();
        let streak = streaks.entry(role.clone()).or_default();
        if streak.runs == 0 || streak.last != run {
            streak.runs = streak.runs.saturating_add(1);
            streak.last = run;
        }
        let runs = streak.runs;
        self.lengthened(timeout, interval, runs)
    }

    fn lengthened(&self, timeout: Duration, interval: Duration, runs: u32) -> Duration {
        let (Some(longest), Some(beyond)) = (self.longest, runs.checked_sub(FREE_RUNS + 1)) else {
            return timeout;
        };
        let doubled = timeout
            .max(interval)
            .max(Duration::from_millis(1))
            .saturating_mul(2_u32.saturating_pow(beyond.saturating_add(1)));
        timeout.max(doubled.min(longest))
    }

    /// A framework uses something of what it was offered.
    pub(crate) fn used(&mut self, id: &FrameworkId, role: &Role) {
        self.forget(id, |other| other == role);
    }

    /// A framework wants to be asked again in these roles.
    pub(crate) fn clear(&mut self, id: &FrameworkId, roles: &BTreeSet<Role>) {
        self.forget(id, |role| roles.contains(role));
    }

    /// A framework has no other roles than these.
    pub(crate) fn keep(&mut self, id: &FrameworkId, roles: &BTreeSet<Role>) {
        self.forget(id, |role| !roles.contains(role));
    }

    /// A framework is away, or gone.
    pub(crate) fn remove(&mut self, id: &FrameworkId) {
        self.streaks.remove(id);
    }

    fn forget(&mut self, id: &FrameworkId, which: impl Fn(&Role) -> bool) {
        if let Some(streaks) = self.streaks.get_mut(id) {
            streaks.retain(|role, _| !which(role));
            if streaks.is_empty() {
                self.streaks.remove(id);
            }
        }
    }

    /// How many runs in a row a framework has declined, if its refusals hold longer for it.
    pub(crate) fn declined_runs(&self, id: &FrameworkId, role: &Role) -> Option<u32> {
        let streak = self.streaks.get(id)?.get(role)?;
        (streak.runs > FREE_RUNS).then_some(streak.runs)
    }

    /// How many frameworks' refusals hold longer, counted in each role.
    pub(crate) fn backed_off(&self) -> usize {
        let streaks = self.streaks.values().flat_map(BTreeMap::values);
        streaks.filter(|streak| streak.runs > FREE_RUNS).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DECLINED: Refusal = Refusal::Declined(SECOND);

    fn subject() -> (Patience, FrameworkId, Role) {
        let longest = Some(60 * SECOND);
        (
            Patience::new(longest),
            FrameworkId::new("f").unwrap(),
            Role::new("r").unwrap(),
        )
    }

    #[test]
    fn refusals_hold_longer_from_the_fourth_run_on_and_not_beyond_the_longest() {
        let (mut patience, f, r) = subject();
        let declined = Refusal::Declined(5 * SECOND);
        let mut refuse = |run| patience.refused(&f, &r, declined, SECOND, run).as_secs();
        assert_eq!(refuse(1), 5);
        assert_eq!(refuse(1), 5, "offers of one run count once");
        let later: Vec<u64> = (2..10).map(&mut refuse).collect();
        assert_eq!(later, [5, 5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(patience.declined_runs(&f, &r), Some(9));
        assert_eq!(patience.backed_off(), 1);
        // One that says more is believed; the interval is the least.
        assert_eq!(
            patience.refused(&f, &r, Refusal::Declined(600 * SECOND), SECOND, 20),
            600 * SECOND
        );
        patience.clear(&f, &BTreeSet::from([r.clone()]));
        assert_eq!(patience.declined_runs(&f, &r), None);
        let mut refuse = |run| {
            patience
                .refused(&f, &r, Refusal::Declined(Duration::ZERO), SECOND, run)
                .as_secs()
        };
        assert_eq!([30, 31, 32, 33, 34].map(&mut refuse), [0, 0, 0, 2, 4]);
    }

    #[test]
    fn who_uses_something_begins_anew_in_that_role() {
        let (mut patience, f, r) = subject();
        let other = Role::new("other").unwrap();
        for run in 1..6 {
            patience.refused(&f, &r, DECLINED, SECOND, run);
            patience.refused(&f, &other, DECLINED, SECOND, run);
        }
        patience.used(&f, &r);
        assert_eq!(patience.declined_runs(&f, &r), None);
        assert_eq!(patience.declined_runs(&f, &other), Some(5));
        patience.keep(&f, &BTreeSet::from([r.clone()]));
        assert_eq!(patience.backed_off(), 0);
        assert!(patience.streaks.is_empty());
    }

    #[test]
    fn without_a_longest_time_nothing_is_counted() {
        let (_, f, r) = subject();
        let mut patience = Patience::new(None);
        for run in 1..9 {
            assert_eq!(patience.refused(&f, &r, DECLINED, SECOND, run), SECOND);
        }
        assert!(patience.streaks.is_empty());
    }

    #[test]
    fn what_is_set_aside_was_not_declined() {
        let (mut patience, f, r) = subject();
        for run in 1..9 {
            let aside = Refusal::SetAside(5 * SECOND);
            assert_eq!(patience.refused(&f, &r, aside, SECOND, run), 5 * SECOND);
        }
        assert_eq!(patience.declined_runs(&f, &r), None);
        assert!(!patience.matters(Refusal::SetAside(Duration::ZERO)));
        assert!(patience.matters(Refusal::Declined(Duration::ZERO)));
    }
}
