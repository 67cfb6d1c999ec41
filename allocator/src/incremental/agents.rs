//! One agent's ledger: what it has, who holds what, what is free.
//!
//! Invariant: `available` is `total` less everything held, floored at zero where an agent shrank below what
//! is held of it. It is kept up by what is taken and given back, and computed anew only after such a
//! shrinking.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use tepui_protocol::{AgentId, AgentInfo, FrameworkId, Resource, Resources, Role};

use super::names::Amounts;
use crate::{allocator::AgentView, hierarchical::Framework};

/// What a framework holds on one role's account.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) framework: FrameworkId,
    /// None for what an agent said is used on nobody's account.
    pub(super) role: Option<Role>,
    /// Unallocated, and not empty.
    pub(super) resources: Resources,
}

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
    /// Ascending by framework and role.
    used: Vec<Holding>,
    available: Resources,
    /// Whether more is held than there is.
    short: bool,
    /// The run that is to look at it, by number; zero for none yet.
    pub(super) due_in: u64,
}

impl Agent {
    pub(super) fn new(
        id: &AgentId,
        info: &AgentInfo,
        total: Resources,
        amounts: Amounts,
        used: &BTreeMap<FrameworkId, Resources>,
    ) -> Self {
        let mut agent = Self {
            id: id.clone(),
            hostname: info.hostname.clone(),
            attributes: info.attributes.clone(),
            active: true,
            has_gpus: !total.gpus().is_zero(),
            available: Resources::new(),
            total,
            amounts,
            used: Vec::new(),
            short: false,
            due_in: 0,
        };
        for (framework, resources) in used {
            agent.enter(framework, resources);
        }
        agent.settle();
        agent
    }

    pub(super) fn total(&self) -> &Resources {
        &self.total
    }

    pub(super) fn available(&self) -> &Resources {
        &self.available
    }

    pub(super) fn used(&self) -> &[Holding] {
        &self.used
    }

    /// Whether a framework holds anything.
    pub(super) fn is_held_by(&self, framework: &FrameworkId) -> bool {
        let mut used = self.used.iter();
        used.any(|held| held.framework == *framework)
    }

    /// What a framework holds, as allocated to roles; nothing if it holds nothing.
    pub(super) fn held_by(&self, framework: &FrameworkId) -> Resources {
        let held = self.used.iter().filter(|held| held.framework == *framework);
        held.fold(Resources::new(), |sum, held| sum + &held.allocated())
    }

    pub(super) fn has_gpus(&self) -> bool {
        self.has_gpus
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
        part: Option<Resources>,
    ) -> Resources {
        let given = match part {
            None => std::mem::take(&mut self.available),
            Some(part) => {
                debug_assert!(self.available.contains(&part), "AL-1 offered <= available");
                self.available -= &part;
                part
            }
        };
        let allocated = given.allocate(role);
        self.book(framework, Some(role), given);
        allocated
    }

    /// Enters `resources` (allocated to roles) as held.
    pub(super) fn take(&mut self, framework: &FrameworkId, resources: &Resources) {
        self.enter(framework, resources);
        self.settle();
    }

    fn enter(&mut self, framework: &FrameworkId, resources: &Resources) {
        for (role, part) in by_account(resources) {
            self.book(framework, role, part.unallocate());
        }
    }

    fn book(&mut self, framework: &FrameworkId, role: Option<&Role>, resources: Resources) {
        match self.find(framework, role) {
            Ok(at) => self.used[at].resources += &resources,
            Err(at) => {
                let (framework, role) = (framework.clone(), role.cloned());
                let holding = Holding {
                    framework,
                    role,
                    resources,
                };
                self.used.insert(at, holding);
            }
        }
    }

    /// Books `resources` (allocated to roles) as free again. Changes nothing and answers with what
    /// is held if that is less.
    pub(super) fn give_back(
        &mut self,
        framework: &FrameworkId,
        resources: &Resources,
    ) -> Result<(), Resources> {
        let parts = by_account(resources);
        let is_held = |(role, part): &(Option<&Role>, Cow<'_, Resources>)| {
            let held = self.find(framework, *role);
            held.is_ok_and(|at| {
                let held = &self.used[at].resources;
                is_same(held, part) || held.contains(&part.unallocate())
            })
        };
        if !parts.iter().all(is_held) {
            return Err(self.held_by(framework));
        }
        for (role, part) in parts {
            self.free(framework, role, &part);
        }
        if self.short {
            self.settle();
        }
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
        self.total -= &from.unallocate();
        self.total += &to.unallocate();
        self.take(framework, to);
        Ok(())
    }

    fn free(&mut self, framework: &FrameworkId, role: Option<&Role>, part: &Resources) {
        let Ok(at) = self.find(framework, role) else {
            return;
        };
        if !is_same(&self.used[at].resources, part) {
            let part = part.unallocate();
            self.used[at].resources -= &part;
            self.available += &part;
            return;
        }
        let held = self.used.remove(at).resources;
        if self.available.is_empty() {
            self.available = held;
        } else {
            self.available += &held;
        }
    }

    /// Frees all that a framework holds; whether there was any.
    pub(super) fn give_back_all(&mut self, framework: &FrameworkId) -> bool {
        let before = self.used.len();
        self.used.retain(|held| held.framework != *framework);
        if self.used.len() < before {
            self.settle();
        }
        self.used.len() < before
    }

    fn find(&self, framework: &FrameworkId, role: Option<&Role>) -> Result<usize, usize> {
        self.used.binary_search_by(|held| {
            let order = held.framework.cmp(framework);
            order.then_with(|| held.role.as_ref().cmp(&role))
        })
    }

    /// Computes anew what is available.
    fn settle(&mut self) {
        if self.used.is_empty() {
            self.available.clone_from(&self.total);
            self.short = false;
            return;
        }
        let held = match &self.used[..] {
            [one] => Cow::Borrowed(&one.resources),
            all => Cow::Owned(all.iter().map(|held| &held.resources).sum()),
        };
        self.short = !self.total.contains(&held);
        self.available = &self.total - &*held;
    }

    pub(super) fn view(&self) -> AgentView {
        let mut used = BTreeMap::<FrameworkId, Resources>::new();
        for held in &self.used {
            *used.entry(held.framework.clone()).or_default() += &held.allocated();
        }
        AgentView {
            active: self.active,
            total: self.total.clone(),
            available: self.available.clone(),
            used,
        }
    }
}

impl Holding {
    /// As allocated to its role.
    pub(super) fn allocated(&self) -> Resources {
        match &self.role {
            Some(role) => self.resources.allocate(role),
            None => self.resources.clone(),
        }
    }
}

/// The parts of `resources` by the role that they are allocated to; without copying if there is but one.
pub(super) fn by_account(resources: &Resources) -> Vec<(Option<&Role>, Cow<'_, Resources>)> {
    let mut accounts: Vec<Option<&Role>> = Vec::new();
    for entry in resources {
        let account = entry.allocation.as_ref();
        if !accounts.contains(&account) {
            accounts.push(account);
        }
    }
    if let [account] = accounts[..] {
        return vec![(account, Cow::Borrowed(resources))];
    }
    let part = |account: Option<&Role>| {
        Cow::Owned(resources.filter(|entry| entry.allocation.as_ref() == account))
    };
    let parts = accounts.into_iter();
    parts.map(|account| (account, part(account))).collect()
}

/// Whether both are the same but for the allocation, which all of `part` shares.
fn is_same(held: &Resources, part: &Resources) -> bool {
    let same = |(a, b): (&Resource, &Resource)| {
        a.value == b.value
            && a.name == b.name
            && a.reservations == b.reservations
            && (a.revocable, a.shared) == (b.revocable, b.shared)
            && a.disk == b.disk
    };
    held.len() == part.len() && held.iter().zip(part).all(same)
}
