//! Who may be chosen to end: what runs, agent by agent, and how important it is; and what is asked.

use std::collections::{BTreeMap, BTreeSet};

use tepui_allocator::revocation::{Site, Unit};
use tepui_protocol::{AgentId, ExecutorId, FrameworkId, Role, service::ServiceClass};

use super::{
    super::{
        Agent, Master, TaskKey,
        lanes::{Amounts, NAMES, amounts, counted, plus},
    },
    since_epoch,
    standing::{Standing, is_own},
};

/// Active agents with what runs on them, and the names of that.
pub(super) struct Sites {
    pub(super) sites: Vec<Site<{ NAMES.len() }>>,
    /// The tasks of each unit of each agent.
    names: Vec<(AgentId, Vec<Vec<TaskKey>>)>,
}

impl Sites {
    /// The tasks of these units, and where they run.
    pub(super) fn tasks(&self, victims: &[(usize, usize)]) -> BTreeMap<TaskKey, AgentId> {
        let mut tasks = BTreeMap::new();
        for &(site, unit) in victims {
            let (agent, units) = &self.names[site];
            let named = units[unit].iter();
            tasks.extend(named.map(|key| (key.clone(), agent.clone())));
        }
        tasks
    }
}

impl Master {
    /// What runs on active agents and may be taken for a role, and what is free there once offers of others are withdrawn.
    pub(super) fn sites(&self, role: &Role, standing: &Standing) -> Sites {
        let under_way: BTreeSet<&TaskKey> = self
            .revocations
            .claims
            .values()
            .flat_map(|claim| claim.victims.keys())
            .collect();
        let mut all = Sites {
            sites: Vec::new(),
            names: Vec::new(),
        };
        let active = self.agents.iter().filter(|(_, agent)| agent.is_active());
        for (id, agent) in active {
            let (units, names) = self.units(agent, &under_way, standing);
            let mut free = counted(&agent.available());
            let offers = agent.offers.iter().filter_map(|id| self.offers.get(id));
            offers
                .filter(|offer| self.may_withdraw(role, offer))
                .for_each(|offer| plus(&mut free, &counted(&offer.resources)));
            all.sites.push(Site { free, units });
            all.names.push((id.clone(), names));
        }
        all
    }

    /// What runs on an agent and may be taken, tasks of a group as one, and the names of each.
    fn units(
        &self,
        agent: &Agent,
        under_way: &BTreeSet<&TaskKey>,
        standing: &Standing,
    ) -> (Vec<Unit<{ NAMES.len() }>>, Vec<Vec<TaskKey>>) {
        let mut groups =
            BTreeMap::<(&FrameworkId, ExecutorId, Option<&TaskKey>), Vec<&TaskKey>>::new();
        for key in agent.tasks.iter().filter(|key| !under_way.contains(key)) {
            let Some(task) = self.task(key).filter(|task| !task.state.is_terminal()) else {
                continue;
            };
            // Tasks of one executor that are no group go one by one.
            let single = task.info.group.is_none().then_some(key);
            groups
                .entry((&key.0, task.info.executor_id(), single))
                .or_default()
                .push(key);
        }
        let (mut units, mut names) = (Vec::new(), Vec::new());
        for tasks in groups.into_values() {
            let mut unit: Option<Unit<{ NAMES.len() }>> = None;
            for (key, task) in tasks.iter().filter_map(|key| Some((key, self.task(key)?))) {
                let mut entries = task.info.resources.iter();
                let account = entries.find_map(|entry| entry.allocation.as_ref());
                let Some((account, place)) =
                    account.and_then(|role| Some((role, standing.place(role)?)))
                else {
                    continue;
                };
                let amounts = counted(&task.info.resources);
                let began = task.statuses.first().map(|status| status.timestamp);
                let began = since_epoch(began.unwrap_or(self.started));
                let unit = unit.get_or_insert(Unit {
                    role: place,
                    amounts: Amounts::default(),
                    elsewhere: Amounts::default(),
                    tasks: 0,
                    priority: self.priority(&key.0, account),
                    began,
                    revocable: false,
                });
                unit.tasks += 1;
                unit.began = unit.began.min(began);
                plus(&mut unit.amounts, &amounts);
            }
            if let Some(unit) = unit.filter(|unit| unit.amounts != Amounts::default()) {
                units.push(unit);
                names.push(tasks.into_iter().cloned().collect());
            }
        }
        (units, names)
    }

    /// How important a framework's tasks in a role are: the operator's word for the role, or for the nearest above it, and then the
    /// framework's own.
    fn priority(&self, id: &FrameworkId, role: &Role) -> i32 {
        let chosen = &self.config.priorities;
        let of_role = std::iter::once(role.clone())
            .chain(role.ancestors())
            .find_map(|role| chosen.get(&role).copied());
        let own = self.frameworks.get(id).map(|it| it.info.priority);
        let of_role = i32::from(of_role.unwrap_or_default()).saturating_mul(1 << 16);
        of_role.saturating_add(own.unwrap_or_default().into())
    }

    /// What a task takes that is waited for in a role, where that is known: of a gang, or of the burst of a service level.
    pub(super) fn asked_size(&self, role: &Role) -> Option<Amounts> {
        let active = self.frameworks.iter().filter(|(_, it)| it.is_active());
        let mut gangs = active.flat_map(|(id, framework)| {
            let roles = framework.info.gangs.keys();
            let eager =
                roles.filter(|own| is_own(role, own) && !framework.suppressed.contains(*own));
            eager.filter_map(|own| self.gang(id, own))
        });
        if let Some(gang) = gangs.next() {
            return Some(amounts(&gang.each));
        }
        let level = self.levels.get(role)?;
        (level.class == ServiceClass::Hard).then(|| amounts(&level.level.each))
    }
}
