//! How long frameworks wait for a first offer.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tepui_protocol::{FrameworkId, Role, Timestamp};

/// Waits that are remembered of each role.
const WAITS_MAX: usize = 256;

/// Who waits for a first offer, and how long others have waited.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Waits {
    since: BTreeMap<(FrameworkId, Role), Timestamp>,
    /// By role: when the wait was over, and how long it was.
    pub(super) done: BTreeMap<Role, VecDeque<(Timestamp, Duration)>>,
}

impl Waits {
    /// A framework wants offers in these roles.
    pub(in super::super) fn begin<'a>(
        &mut self,
        now: Timestamp,
        id: &FrameworkId,
        roles: impl IntoIterator<Item = &'a Role>,
    ) {
        for role in roles {
            self.since.entry((id.clone(), role.clone())).or_insert(now);
        }
    }

    /// A framework wants none for now in the roles that `which` picks.
    pub(in super::super) fn cancel(&mut self, id: &FrameworkId, which: impl Fn(&Role) -> bool) {
        self.since
            .retain(|(other, role), _| other != id || !which(role));
    }

    /// A framework has an offer.
    pub(in super::super) fn end(&mut self, now: Timestamp, id: &FrameworkId, role: &Role) {
        if self.since.is_empty() {
            return;
        }
        let key = (id.clone(), role.clone());
        if let Some(since) = self.since.remove(&key) {
            let done = self.done.entry(key.1).or_default();
            done.push_back((now, now.since(since)));
            if done.len() > WAITS_MAX {
                done.pop_front();
            }
        }
    }

    /// Forgets roles that nobody is in.
    pub(super) fn keep(&mut self, is_used: impl Fn(&Role) -> bool) {
        self.done.retain(|role, _| is_used(role));
    }

    /// How long frameworks of a role waited, ascending.
    pub(super) fn sorted(&self, role: &Role) -> Vec<Duration> {
        let done = self.done.get(role).into_iter().flatten();
        let mut waits: Vec<Duration> = done.map(|(_, wait)| *wait).collect();
        waits.sort();
        waits
    }
}

/// What so many of a hundred are at most, by nearest rank.
pub(super) fn percentile(sorted: &[Duration], percent: u8) -> Option<Duration> {
    let rank = (sorted.len() * usize::from(percent)).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
