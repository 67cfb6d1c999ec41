//! One agent's ledger: what it has, who holds what, what is free.
//!
//! Invariant: `available` is `total` less everything held, floored at zero where an agent shrank below what
//! is held of it. It is kept up by what is taken and given back, and computed anew only after such a
//! shrinking.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{AgentId, AgentInfo, FrameworkId, Resources, Role};

use super::names::Amounts;
use crate::allocator::AgentView;

#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub(super) id: AgentId,
    hostname: String,
    attributes: BTreeMap<String, String>,
    pub(super) active: bool,
    total: Resources,
    /// Its scalars.
    pub(super) amounts: Amounts,
    has_gpus: bool,
    /// Held by each framework, as allocated to roles; ascending, and no entry is empty.
    used: Vec<(FrameworkId, Resources)>,
    available: Resources,
    /// Whether more is held than there is.
    short: bool,
    /// Its place in the list of agents with something to offer.
    pub(super) open_at: Option<u32>,
    /// Whether the next run is to look at it.
    pub(super) due: bool,
}

impl Agent {
    pub(super) fn new(
        id: &AgentId,
        info: &AgentInfo,
        total: Resources,
        amounts: Amounts,
        used: &BTreeMap<FrameworkId, Resources>,
    ) -> Self {
        let used = used.iter().filter(|(_, held)| !held.is_empty());
        let mut agent = Self {
            id: id.clone(),
            hostname: info.hostname.clone(),
            attributes: info.attributes.clone(),
            active: true,
            has_gpus: !total.gpus().is_zero(),
            available: Resources::new(),
            total,
            amounts,
            used: used.map(|(id, held)| (id.clone(), held.clone())).collect(),
            short: false,
            open_at: None,
            due: false,
        };
        agent.settle();
        agent
    }

    pub(super) fn available(&self) -> &Resources {
        &self.available
    }

    pub(super) fn used(&self) -> &[(FrameworkId, Resources)] {
        &self.used
    }

    pub(super) fn held_by(&self, framework: &FrameworkId) -> Option<&Resources> {
        self.find(framework).ok().map(|at| &self.used[at].1)
    }

    pub(super) fn has_gpus(&self) -> bool {
        self.has_gpus
    }

    pub(super) fn is_listed(&self, whitelist: Option<&BTreeSet<String>>) -> bool {
        whitelist.is_none_or(|hostnames| hostnames.contains(&self.hostname))
    }

    /// Whether there is something to offer.
    pub(super) fn is_open(&self) -> bool {
        self.active && !self.available.is_empty()
    }

    /// Replaces what the agent has; true if its attributes changed.
    pub(super) fn update(&mut self, info: &AgentInfo, total: Resources, amounts: Amounts) -> bool {
        self.hostname.clone_from(&info.hostname);
        self.has_gpus = !total.gpus().is_zero();
        (self.total, self.amounts) = (total, amounts);
        self.settle();
        let changed = self.attributes != info.attributes;
        self.attributes.clone_from(&info.attributes);
        changed
    }

    /// Gives a part of what is available, or all of it if none is named, and says what was given.
    pub(super) fn give(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        part: Option<&Resources>,
    ) -> Resources {
        let given = match part {
            None => std::mem::take(&mut self.available).allocate(role),
            Some(part) => {
                debug_assert!(self.available.contains(part), "AL-1 offered <= available");
                self.available -= part;
                part.allocate(role)
            }
        };
        self.book(framework, &given);
        given
    }

    /// Enters `resources` (allocated to roles) as held.
    pub(super) fn take(&mut self, framework: &FrameworkId, resources: &Resources) {
        if !resources.is_empty() {
            self.book(framework, resources);
            self.settle();
        }
    }

    fn book(&mut self, framework: &FrameworkId, resources: &Resources) {
        match self.find(framework) {
            Ok(at) => self.used[at].1 += resources,
            Err(at) => self.used.insert(at, (framework.clone(), resources.clone())),
        }
    }

    /// Books `resources` (allocated to roles) as free again. Changes nothing and answers with what
    /// is held if that is less.
    pub(super) fn give_back(
        &mut self,
        framework: &FrameworkId,
        resources: &Resources,
    ) -> Result<(), Resources> {
        let Ok(at) = self.find(framework) else {
            let nothing = resources.is_empty();
            return if nothing {
                Ok(())
            } else {
                Err(Resources::new())
            };
        };
        if self.used[at].1 == *resources {
            self.used.remove(at);
        } else {
            let held = &self.used[at].1;
            let Some(left) = held.checked_sub(resources) else {
                return Err(held.clone());
            };
            self.used[at].1 = left;
        }
        if self.short || self.used.is_empty() {
            self.settle();
        } else {
            self.available += &resources.unallocate();
        }
        Ok(())
    }

    /// Frees all that a framework holds.
    pub(super) fn give_back_all(&mut self, framework: &FrameworkId) {
        if let Ok(at) = self.find(framework) {
            self.used.remove(at);
            self.settle();
        }
    }

    fn find(&self, framework: &FrameworkId) -> Result<usize, usize> {
        self.used.binary_search_by(|(id, _)| id.cmp(framework))
    }

    /// Computes anew what is available.
    fn settle(&mut self) {
        if self.used.is_empty() {
            self.available.clone_from(&self.total);
            self.short = false;
            return;
        }
        let held = self.used.iter().map(|(_, held)| held.unallocate());
        let held = held.fold(Resources::new(), |sum, more| sum + &more);
        self.short = !self.total.contains(&held);
        self.available = &self.total - &held;
    }

    pub(super) fn view(&self) -> AgentView {
        AgentView {
            active: self.active,
            total: self.total.clone(),
            available: self.available.clone(),
            used: self.used.iter().cloned().collect(),
        }
    }
}
