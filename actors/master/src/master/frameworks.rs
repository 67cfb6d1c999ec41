//! Frameworks subscribe, leave, fail over, end.
//!
//! ```text
//!           Subscribe            scheduler exits
//! (unknown) --------> Active <----------------------> Disconnected
//!                      ^  |      Subscribe (id)         |
//!  registry, agents    |  | Teardown                    | failover_timeout
//!  ------> Recovered --+  v                             |
//!              |       Completed <----------------------+
//!              +----------> (failover_timeout, at least the grace period)
//! ```
//! An id that is completed is refused for good.

use std::collections::BTreeSet;

use tepui_allocator::FrameworkTerms;
use tepui_protocol::{
    FrameworkId, FrameworkInfo, Role, TaskState, Timestamp,
    messages::{
        agent::ShutdownFramework,
        operator::FrameworkStanding,
        scheduler::{Heartbeat, SchedulerError, Subscribe, Subscribed, Teardown},
    },
};
use tepui_runtime::AnyPid;

use super::{Framework, Master, after, registry};
use crate::effects::{Call, Effect, Effects, Timer, tell};

impl Master {
    /// A framework subscribes, for the first time or again.
    pub fn on_subscribe(&mut self, now: Timestamp, call: Subscribe, out: &mut Effects) {
        if let Err(message) = self.check_subscription(&call) {
            tracing::warn!(pid = %call.pid, message, "framework refused");
            out.push(tell(&call.pid, SchedulerError { message }));
            return;
        }
        if let Some(id) = self.subscribed_already(&call) {
            let subscribed = self.welcome(id.clone());
            if let Some(framework) = self.frameworks.get(&id) {
                framework.send(subscribed, out);
            }
            return;
        }
        let Subscribe {
            pid,
            info,
            suppressed_roles,
        } = call;
        let (id, info) = self.identify(&pid, info, out);
        self.take_over(&id, &pid, out);
        self.connect(now, &id, pid, info, suppressed_roles, out);
    }

    /// A framework ends itself.
    pub fn on_teardown(&mut self, now: Timestamp, call: Teardown, out: &mut Effects) {
        self.end_framework(now, &call.framework_id, out);
    }

    fn check_subscription(&self, call: &Subscribe) -> Result<(), String> {
        let info = &call.info;
        if let Some(id) = info.id.as_ref().filter(|id| self.has_ended(id)) {
            return Err(format!(
                "Framework has been removed: {id} cannot subscribe again"
            ));
        }
        if info.roles.is_empty() {
            return Err(format!(
                "framework {:?}: must have at least one role",
                info.name
            ));
        }
        if info.roles.len() > 1 && !info.can(tepui_protocol::Capability::MultiRole) {
            return Err(format!(
                "framework {:?}: several roles need MULTI_ROLE",
                info.name
            ));
        }
        if let Some(role) = call.suppressed_roles.difference(&info.roles).next() {
            return Err(format!(
                "suppressed role {role} is not among the framework's roles"
            ));
        }
        for (role, gang) in &info.gangs {
            let fits = info
                .roles
                .contains(role)
                .then_some(())
                .ok_or("it is not among its roles");
            let checked = fits.map_err(str::to_owned).and_then(|()| gang.validate());
            checked.map_err(|problem| format!("gang in role {role}: {problem}"))?;
        }
        let barred = |role: &&Role| {
            self.config
                .roles
                .as_ref()
                .is_some_and(|all| !all.contains(*role))
        };
        match info.roles.iter().find(barred) {
            Some(role) => Err(format!(
                "role {role} is not on this cluster's list of roles"
            )),
            None => Ok(()),
        }
    }

    /// The framework whose first subscription comes once more, as its answer was slow. Its offers are good: it may
    /// have accepted some by now.
    //= mesos: "already subscribed, resending acknowledgement"
    fn subscribed_already(&self, call: &Subscribe) -> Option<FrameworkId> {
        let id = self
            .framework_at(&call.pid)
            .filter(|_| call.info.id.is_none())?;
        let framework = self.frameworks.get(&id)?;
        let info = FrameworkInfo {
            id: framework.info.id.clone(),
            ..call.info.clone()
        };
        let is_same = framework.info == info && framework.suppressed == call.suppressed_roles;
        is_same.then_some(id)
    }

    fn welcome(&self, framework_id: FrameworkId) -> Subscribed {
        Subscribed {
            framework_id,
            master_id: self.id.clone(),
            heartbeat_interval: self.config.heartbeat_interval,
        }
    }

    /// Settles which framework this is; a new one gets an id. What may not change does not.
    fn identify(
        &mut self,
        pid: &AnyPid,
        mut info: FrameworkInfo,
        out: &mut Effects,
    ) -> (FrameworkId, FrameworkInfo) {
        let id = info
            .id
            .take()
            .or_else(|| self.framework_at(pid))
            .unwrap_or_else(|| {
                let id = FrameworkId::nth(&self.id, self.counters.frameworks);
                self.counters.frameworks += 1;
                self.write_counters(out);
                id
            });
        info.id = Some(id.clone());
        if let Some(known) = self.frameworks.get(&id) {
            info.user.clone_from(&known.info.user);
            info.checkpoint = known.info.checkpoint;
        }
        if self
            .frameworks
            .get(&id)
            .is_none_or(|known| known.info != info)
        {
            registry::keep_framework(&id, &info, out);
        }
        (id, info)
    }

    /// Ends the subscription that is replaced: its offers are void, and its scheduler must stop.
    fn take_over(&mut self, id: &FrameworkId, pid: &AnyPid, out: &mut Effects) {
        self.rescind_offers_of_framework(id, out);
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        let replaced = framework
            .pid
            .as_ref()
            .filter(|old| framework.is_active() && *old != pid);
        if let Some(old) = replaced {
            let message = "Framework failed over".to_owned();
            out.push(tell(old, SchedulerError { message }));
            out.push(Effect::Unwatch(old.clone()));
        }
        // The allocator forgets what the replaced subscription refused.
        if framework.is_active() {
            out.push(Effect::Allocator(Call::DeactivateFramework {
                id: id.clone(),
            }));
        }
    }

    fn connect(
        &mut self,
        now: Timestamp,
        id: &FrameworkId,
        pid: AnyPid,
        info: FrameworkInfo,
        suppressed: BTreeSet<Role>,
        out: &mut Effects,
    ) {
        let epoch = self.next_epoch();
        let subscribed = self.welcome(id.clone());
        let fresh = || Framework::recovered(info.clone(), &self.config);
        let framework = self.frameworks.entry(id.clone()).or_insert_with(fresh);
        let before = framework.standing;
        if !framework.is_active() || framework.pid.as_ref() != Some(&pid) {
            out.push(Effect::Watch(pid.clone()));
        }
        framework.info = info;
        framework.pid = Some(pid);
        framework.standing = FrameworkStanding::Active;
        framework.subscribed = now;
        framework.epoch = epoch;
        framework.suppressed.clone_from(&suppressed);
        self.maintenance.forget_asked(id);
        self.waits.cancel(id, |_| true);
        self.waits
            .begin(now, id, framework.info.roles.difference(&suppressed));
        framework.send(subscribed, out);
        framework.register(id, before, out);
        self.on_heartbeat(id, epoch, out);
    }

    /// Sends a sign of life, now and from now on at each interval.
    pub(super) fn on_heartbeat(&self, id: &FrameworkId, epoch: u64, out: &mut Effects) {
        let current = |framework: &&Framework| framework.is_active() && framework.epoch == epoch;
        let Some(framework) = self.frameworks.get(id).filter(current) else {
            return;
        };
        framework.send(Heartbeat {}, out);
        self.repeat_operations(id, out);
        let timer = Timer::Heartbeat {
            framework_id: id.clone(),
            epoch,
        };
        out.push(after(self.config.heartbeat_interval, timer));
    }

    /// The framework whose scheduler is exactly `pid`, and connected.
    pub(super) fn framework_at(&self, pid: &AnyPid) -> Option<FrameworkId> {
        let mut frameworks = self.frameworks.iter();
        let here =
            |framework: &Framework| framework.is_active() && framework.pid.as_ref() == Some(pid);
        frameworks
            .find(|(_, framework)| here(framework))
            .map(|(id, _)| id.clone())
    }

    /// The framework, if its scheduler is connected; calls of others are void.
    pub(super) fn subscribed(&self, id: &FrameworkId) -> Option<&Framework> {
        let framework = self
            .frameworks
            .get(id)
            .filter(|framework| framework.is_active());
        if framework.is_none() {
            tracing::debug!(framework = %id, "call of a framework that is not subscribed");
        }
        framework
    }

    /// A scheduler is gone: no offers, and its time to come back runs.
    pub(super) fn disconnect_framework(
        &mut self,
        now: Timestamp,
        id: &FrameworkId,
        out: &mut Effects,
    ) {
        let Some(framework) = self.frameworks.get_mut(id) else {
            return;
        };
        framework.standing = FrameworkStanding::Disconnected;
        self.waits.cancel(id, |_| true);
        let (timeout, epoch) = (framework.info.failover_timeout, framework.epoch);
        if timeout.is_zero() {
            return self.end_framework(now, id, out);
        }
        out.push(Effect::Allocator(Call::DeactivateFramework {
            id: id.clone(),
        }));
        self.rescind_offers_of_framework(id, out);
        out.push(after(
            timeout,
            Timer::Failover {
                framework_id: id.clone(),
                epoch,
            },
        ));
    }

    pub(super) fn on_failover_timeout(
        &mut self,
        now: Timestamp,
        id: &FrameworkId,
        epoch: u64,
        out: &mut Effects,
    ) {
        let away = |framework: &&Framework| !framework.is_active() && framework.epoch == epoch;
        if self.frameworks.get(id).filter(away).is_some() {
            tracing::info!(framework = %id, "failover time-out is over");
            self.end_framework(now, id, out);
        }
    }

    /// Whether the id belonged to a framework that has ended.
    pub(super) fn has_ended(&self, id: &FrameworkId) -> bool {
        self.removed.contains(id) || self.completed.contains(id)
    }

    /// Ends a framework: its tasks are killed, and its id is void from now on.
    pub(super) fn end_framework(&mut self, now: Timestamp, id: &FrameworkId, out: &mut Effects) {
        self.rescind_offers_of_framework(id, out);
        self.forget_operations(id, out);
        let Some(mut framework) = self.frameworks.remove(id) else {
            return;
        };
        self.forget_waits(id);
        registry::remove_framework(id, now, out);
        for (dropped, _) in self.removed.insert(id.clone(), now) {
            registry::forget_removed(&dropped, out);
        }
        if let Some(pid) = framework.pid.as_ref().filter(|_| framework.is_active()) {
            out.push(Effect::Unwatch(pid.clone()));
        }
        out.push(Effect::Allocator(Call::RemoveFramework { id: id.clone() }));
        self.clear_agents_of(id, out);
        framework.standing = FrameworkStanding::Completed;
        framework.end_tasks();
        self.completed.insert(id.clone(), framework);
    }

    /// Takes a framework out of the agents' books and tells them to end what it has there.
    fn clear_agents_of(&mut self, id: &FrameworkId, out: &mut Effects) {
        for agent in self.agents.values_mut() {
            agent.used.remove(id);
            agent.tasks.retain(|(owner, _)| owner != id);
            agent.executors.retain(|(owner, _), _| owner != id);
            agent.kills.retain(|(owner, _), _| owner != id);
            if let Some(pid) = agent.connected() {
                out.push(tell(
                    pid,
                    ShutdownFramework {
                        framework_id: id.clone(),
                    },
                ));
            }
        }
    }
}

impl Framework {
    /// Tells the allocator of a (new) subscription.
    fn register(&self, id: &FrameworkId, before: FrameworkStanding, out: &mut Effects) {
        if before == FrameworkStanding::Recovered {
            return self.introduce(id, out);
        }
        let (id, terms) = (id.clone(), FrameworkTerms::from(&self.info));
        let suppressed = self.suppressed.clone();
        out.push(Effect::Allocator(Call::UpdateFramework {
            id: id.clone(),
            terms,
            suppressed,
        }));
        out.push(Effect::Allocator(Call::ActivateFramework { id }));
    }

    /// Its tasks are killed with it.
    fn end_tasks(&mut self) {
        let mut tasks = std::mem::take(&mut self.tasks);
        while let Some((id, task)) = self.unreachable.pop_oldest() {
            tasks.insert(id, task);
        }
        for (id, mut task) in tasks {
            if !task.state.is_terminal() {
                task.state = TaskState::Killed;
            }
            self.completed.insert(id, task);
        }
    }
}
