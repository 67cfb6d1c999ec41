//! Answers to operators' questions, computed from the state.

use std::collections::{BTreeMap, BTreeSet};

use tepui_allocator::{Share, Weight};
use tepui_protocol::{
    AgentId, AgentInfo, Offer, Quantities, Resources, Role, TaskState, Timestamp,
    messages::operator::{
        AgentStanding, AgentSummary, FrameworkSummary, GetTasks, MasterSummary, RoleSummary,
        TaskSummary,
    },
    task::Task,
};

use super::{Agent, Framework, Master, registry::Absent};

impl Master {
    /// The master in numbers.
    pub fn summary(&self, now: Timestamp) -> MasterSummary {
        let live = |framework: &Framework| {
            framework
                .tasks
                .values()
                .filter(|task| !task.state.is_terminal())
                .count()
        };
        MasterSummary {
            id: self.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            agents: self
                .agents
                .values()
                .filter(|agent| agent.is_active())
                .count(),
            frameworks: self.frameworks.values().filter(|f| f.is_active()).count(),
            tasks: self.frameworks.values().map(live).sum(),
            offers: self.offers.len(),
            metrics: self.metrics(now),
        }
    }

    /// All agents, also those that are away.
    pub fn agents(&self) -> Vec<AgentSummary> {
        let present = self.agents.values().map(|agent| self.agent_summary(agent));
        present
            .chain(self.unreachable.values().map(absent_summary))
            .collect()
    }

    fn agent_summary(&self, agent: &Agent) -> AgentSummary {
        let live = |(framework_id, task_id): &&super::TaskKey| {
            let framework = self.frameworks.get(framework_id);
            let task = framework.and_then(|framework| framework.tasks.get(task_id));
            task.is_some_and(|task| !task.state.is_terminal())
        };
        AgentSummary {
            info: agent.info.clone(),
            pid: agent.pid.clone(),
            standing: agent.standing,
            version: agent.version.clone(),
            registered: agent.registered,
            used: agent.used_sum(),
            offered: agent.offered.clone(),
            tasks: agent.tasks.iter().filter(live).count(),
        }
    }

    /// All frameworks, also some that have ended.
    pub fn frameworks(&self) -> Vec<FrameworkSummary> {
        let total = self.total();
        let all = self.frameworks.values().chain(self.completed.values());
        all.map(|framework| self.framework_summary(framework, &total))
            .collect()
    }

    fn framework_summary(&self, framework: &Framework, total: &Quantities) -> FrameworkSummary {
        let mut tasks = BTreeMap::<TaskState, usize>::new();
        for task in all_tasks(framework) {
            *tasks.entry(task.state).or_default() += 1;
        }
        let used = self.used_by(framework);
        let offered = self.offered_to(framework);
        let held = used.quantities() + &offered.quantities();
        FrameworkSummary {
            info: framework.info.clone(),
            pid: framework.pid.clone(),
            standing: framework.standing,
            subscribed: framework.subscribed,
            used,
            offered,
            tasks,
            dominant_share: self.dominant_share(&held, total),
        }
    }

    fn used_by(&self, framework: &Framework) -> Resources {
        let Some(id) = &framework.info.id else {
            return Resources::new();
        };
        self.agents
            .values()
            .filter_map(|agent| agent.used.get(id))
            .sum()
    }

    fn offered_to(&self, framework: &Framework) -> Resources {
        let offers = framework.offers.iter().filter_map(|id| self.offers.get(id));
        offers.map(|offer| &offer.resources).sum()
    }

    /// Tasks that match, of live frameworks first.
    pub fn tasks(&self, call: &GetTasks) -> Vec<TaskSummary> {
        let wanted = |task: &&Task| {
            call.framework_id
                .as_ref()
                .is_none_or(|id| *id == task.framework_id)
                && call.task_id.as_ref().is_none_or(|id| *id == task.info.id)
                && !(call.live_only && task.state.is_terminal())
        };
        let frameworks = self.frameworks.values().chain(self.completed.values());
        let tasks = frameworks.flat_map(all_tasks).filter(wanted);
        tasks.map(|task| self.task_summary(task)).collect()
    }

    fn task_summary(&self, task: &Task) -> TaskSummary {
        let agent = self.agents.get(&task.info.agent_id);
        TaskSummary {
            task: task.clone(),
            hostname: self
                .hostname(&task.info.agent_id)
                .unwrap_or_default()
                .to_owned(),
            agent_pid: agent.and_then(|agent| agent.pid.clone()),
        }
    }

    fn hostname(&self, id: &AgentId) -> Option<&str> {
        let present = self.agents.get(id).map(|agent| &agent.info);
        let info: Option<&AgentInfo> =
            present.or_else(|| self.unreachable.get(id).map(|absent| &absent.info));
        info.map(|info| info.hostname.as_str())
    }

    /// All outstanding offers.
    pub fn offers(&self) -> Vec<Offer> {
        let seen = self
            .offers
            .values()
            .filter(|offer| !self.gathering.is_hidden(&offer.id));
        seen.cloned().collect()
    }

    /// All roles that have a weight, a quota, a framework or an allocation.
    pub fn roles(&self) -> Vec<RoleSummary> {
        let total = self.total();
        let allocated = self.allocated();
        let reserved = self.reserved();
        let subscribed = self.frameworks.values().flat_map(|f| f.info.roles.iter());
        let roles: BTreeSet<&Role> = self
            .weights
            .keys()
            .chain(self.quotas.keys())
            .chain(allocated.keys())
            .chain(reserved.keys())
            .chain(self.levels.keys())
            .chain(subscribed)
            .collect();
        roles
            .into_iter()
            .map(|role| RoleSummary {
                reserved: reserved.get(role).cloned().unwrap_or_default(),
                ..self.role_summary(role, &allocated, &total)
            })
            .collect()
    }

    fn role_summary(
        &self,
        role: &Role,
        allocated: &BTreeMap<Role, Resources>,
        total: &Quantities,
    ) -> RoleSummary {
        let below = |other: &Role| other == role || role.is_ancestor_of(other);
        let subtree = allocated.iter().filter(|(other, _)| below(other));
        let held = subtree.fold(Quantities::new(), |sum, (_, part)| sum + &part.quantities());
        let weight = self.weights.get(role).copied().unwrap_or(Weight::ONE);
        let mut frameworks = self.frameworks.iter();
        RoleSummary {
            role: role.clone(),
            weight: weight.milli() as f64 / 1000.0,
            dominant_share: self.dominant_share(&held, total),
            frameworks: frameworks
                .by_ref()
                .filter(|(_, framework)| framework.info.roles.contains(role))
                .map(|(id, _)| id.clone())
                .collect(),
            allocated: allocated.get(role).cloned().unwrap_or_default(),
            reserved: Resources::new(),
            quota: self.quotas.get(role).cloned().unwrap_or_default(),
            consumed: self.consumed(role),
        }
    }

    /// What is used or offered, by role.
    fn allocated(&self) -> BTreeMap<Role, Resources> {
        let mut roles = BTreeMap::<Role, Resources>::new();
        for agent in self.agents.values() {
            for (role, part) in (agent.used_sum() + &agent.offered).allocations() {
                *roles.entry(role).or_default() += &part;
            }
        }
        roles
    }

    /// What is reserved, by role.
    fn reserved(&self) -> BTreeMap<Role, Resources> {
        let mut roles = BTreeMap::<Role, Resources>::new();
        for agent in self.agents.values() {
            for (role, part) in agent.info.resources.reservations() {
                *roles.entry(role).or_default() += &part;
            }
        }
        roles
    }

    /// What registered agents have.
    fn total(&self) -> Quantities {
        let present = self
            .agents
            .values()
            .filter(|a| a.standing != AgentStanding::Recovered);
        present.fold(Quantities::new(), |sum, agent| {
            sum + &agent.info.resources.quantities()
        })
    }

    /// The largest part of any one resource, without weights.
    fn dominant_share(&self, held: &Quantities, total: &Quantities) -> f64 {
        let counted = total
            .iter()
            .filter(|(name, _)| !self.config.fair_share_excluded.contains(*name));
        let shares = counted.filter_map(|(name, all)| {
            let milli = |amount: tepui_protocol::Scalar| u64::try_from(amount.milli()).ok();
            Share::of(milli(held.get(name))?, milli(all)?, Weight::ONE)
        });
        shares.max().map_or(0.0, Share::to_f64)
    }
}

fn all_tasks(framework: &Framework) -> impl Iterator<Item = &Task> {
    let live = framework
        .tasks
        .values()
        .chain(framework.unreachable.values());
    live.chain(framework.completed.values())
}

fn absent_summary(absent: &Absent) -> AgentSummary {
    AgentSummary {
        info: absent.info.clone(),
        pid: None,
        standing: AgentStanding::Unreachable,
        version: String::new(),
        registered: Timestamp::default(),
        used: Resources::new(),
        offered: Resources::new(),
        tasks: 0,
    }
}
