//! One agent's ledger: what it has, who holds what, what is free.
//!
//! Invariant: `available` is `total` less everything held, floored at zero where an agent shrank
//! below what is held of it.

use std::collections::{BTreeMap, BTreeSet};

use tepui_protocol::{AgentInfo, FrameworkId, Resources, Role};

use super::frameworks::Framework;
use crate::allocator::AgentView;

#[derive(Clone, Debug)]
pub(super) struct Agent {
    hostname: String,
    attributes: BTreeMap<String, String>,
    pub(super) active: bool,
    total: Resources,
    /// Held by each framework, as allocated to roles; no entry is empty.
    used: BTreeMap<FrameworkId, Resources>,
    /// The sum of `used`, unallocated.
    held: Resources,
    available: Resources,
}

impl Agent {
    pub(super) fn new(
        info: &AgentInfo,
        total: Resources,
        used: &BTreeMap<FrameworkId, Resources>,
    ) -> Self {
        let mut agent = Self {
            hostname: info.hostname.clone(),
            attributes: info.attributes.clone(),
            active: true,
            available: total.clone(),
            total,
            used: BTreeMap::new(),
            held: Resources::new(),
        };
        for (framework, resources) in used {
            agent.take(framework, resources);
        }
        agent
    }

    pub(super) fn total(&self) -> &Resources {
        &self.total
    }

    pub(super) fn available(&self) -> &Resources {
        &self.available
    }

    pub(super) fn used(&self) -> &BTreeMap<FrameworkId, Resources> {
        &self.used
    }

    pub(super) fn has_gpus(&self) -> bool {
        !self.total.gpus().is_zero()
    }

    /// Whether it is in another region than `here`.
    pub(super) fn is_remote(&self, here: Option<&str>) -> bool {
        let regions = here.zip(self.attributes.get("region"));
        regions.is_some_and(|(here, there)| here != there)
    }

    /// Whether a framework takes it in a role, in a cluster that is `here`.
    pub(super) fn is_taken_by(
        &self,
        framework: &Framework,
        role: &Role,
        here: Option<&str>,
    ) -> bool {
        (framework.takes_remote_agents() || !self.is_remote(here))
            && framework.takes_agent(role, &self.hostname, &self.attributes)
    }

    pub(super) fn is_listed(&self, whitelist: Option<&BTreeSet<String>>) -> bool {
        whitelist.is_none_or(|hostnames| hostnames.contains(&self.hostname))
    }

    /// Replaces what the agent has; true if its attributes changed.
    pub(super) fn update(&mut self, info: &AgentInfo, total: Resources) -> bool {
        self.hostname.clone_from(&info.hostname);
        self.total = total;
        self.settle();
        let changed = self.attributes != info.attributes;
        self.attributes.clone_from(&info.attributes);
        changed
    }

    /// Books `resources` (allocated to roles) as held.
    pub(super) fn take(&mut self, framework: &FrameworkId, resources: &Resources) {
        if resources.is_empty() {
            return;
        }
        *self.used.entry(framework.clone()).or_default() += resources;
        self.held += &resources.unallocate();
        self.settle();
    }

    /// Books `resources` (allocated to roles) as free again. Changes nothing and answers with what
    /// is held if that is less.
    pub(super) fn give_back(
        &mut self,
        framework: &FrameworkId,
        resources: &Resources,
    ) -> Result<(), Resources> {
        let held = self.used.get(framework).cloned().unwrap_or_default();
        let Some(left) = held.checked_sub(resources) else {
            return Err(held);
        };
        if left.is_empty() {
            self.used.remove(framework);
        } else {
            self.used.insert(framework.clone(), left);
        }
        self.held -= &resources.unallocate();
        self.settle();
        Ok(())
    }

    /// Changes reservations on what a framework holds, and on what the agent has. Changes nothing and answers with
    /// what is held if that is less than `from`.
    pub(super) fn convert(
        &mut self,
        framework: &FrameworkId,
        from: &Resources,
        to: &Resources,
    ) -> Result<(), Resources> {
        self.give_back(framework, from)?;
        self.total = &self.total - &from.unallocate() + &to.unallocate();
        self.take(framework, to);
        self.settle();
        Ok(())
    }

    /// Frees all that a framework holds, and tells what it was.
    pub(super) fn give_back_all(&mut self, framework: &FrameworkId) -> Resources {
        let Some(resources) = self.used.remove(framework) else {
            return Resources::new();
        };
        self.held -= &resources.unallocate();
        self.settle();
        resources
    }

    fn settle(&mut self) {
        self.available = &self.total - &self.held;
    }

    pub(super) fn view(&self) -> AgentView {
        AgentView {
            active: self.active,
            total: self.total.clone(),
            available: self.available.clone(),
            used: self.used.clone(),
        }
    }
}
