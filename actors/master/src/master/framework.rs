//! One framework, as the master knows it.

use std::collections::{BTreeMap, BTreeSet};

use tepui_allocator::FrameworkTerms;
use tepui_protocol::{
    Capability, FrameworkId, FrameworkInfo, OfferId, Role, TaskId, TaskStatus, Timestamp,
    messages::{operator::FrameworkStanding, scheduler},
    task::Task,
};
use tepui_runtime::AnyPid;

use super::{History, Operations};
use crate::{
    config::MasterConfig,
    effects::{Call, Effect, Effects, Letter, tell},
};

/// A framework that may still have tasks or subscribe; or, completed, what is left of one.
#[derive(Clone, Debug)]
pub(crate) struct Framework {
    /// What it said of itself; the id is set.
    pub(crate) info: FrameworkInfo,
    /// Absent while recovered.
    pub(crate) pid: Option<AnyPid>,
    pub(crate) standing: FrameworkStanding,
    pub(crate) subscribed: Timestamp,
    /// Changes with each subscription; timers of earlier ones are void.
    pub(crate) epoch: u64,
    pub(crate) suppressed: BTreeSet<Role>,
    /// Tasks that are not both terminal and acknowledged, and not unreachable.
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    /// Tasks on agents that cannot be reached.
    pub(crate) unreachable: History<TaskId, Task>,
    /// Tasks that have ended.
    pub(crate) completed: History<TaskId, Task>,
    pub(crate) offers: BTreeSet<OfferId>,
    /// What became of its operations, until it has acknowledged that.
    pub(crate) operations: Operations,
}

impl Framework {
    /// A framework that nobody has subscribed since the master started.
    pub(crate) fn recovered(info: FrameworkInfo, config: &MasterConfig) -> Self {
        Self {
            info,
            pid: None,
            standing: FrameworkStanding::Recovered,
            subscribed: Timestamp::default(),
            epoch: 0,
            suppressed: BTreeSet::new(),
            tasks: BTreeMap::new(),
            unreachable: History::new(config.max_unreachable_tasks),
            completed: History::new(config.max_completed_tasks),
            offers: BTreeSet::new(),
            operations: Operations::new(),
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.standing == FrameworkStanding::Active
    }

    /// Sends a message to the scheduler, if it is connected.
    pub(crate) fn send(&self, letter: impl Into<Letter>, out: &mut Effects) {
        if let Some(pid) = self.pid.as_ref().filter(|_| self.is_active()) {
            out.push(tell(pid, letter));
        }
    }

    /// Sends news of a task, in terms that the scheduler understands.
    pub(crate) fn send_status(&self, mut status: TaskStatus, out: &mut Effects) {
        if !self.info.can(Capability::PartitionAware) {
            status.state = status.state.legacy();
        }
        self.send(scheduler::Update { status }, out);
    }

    /// The roles among `roles` that it is subscribed to; none named: all of them.
    pub(crate) fn roles_meant(&self, roles: &BTreeSet<Role>) -> BTreeSet<Role> {
        if roles.is_empty() {
            return self.info.roles.clone();
        }
        roles.intersection(&self.info.roles).cloned().collect()
    }

    /// Tells an allocator that does not know the framework about it.
    pub(crate) fn introduce(&self, id: &FrameworkId, out: &mut Effects) {
        if self.standing == FrameworkStanding::Recovered {
            return;
        }
        let terms = FrameworkTerms::from(&self.info);
        let suppressed = self.suppressed.clone();
        out.push(Effect::Allocator(Call::AddFramework {
            id: id.clone(),
            terms,
            suppressed,
        }));
        if !self.is_active() {
            out.push(Effect::Allocator(Call::DeactivateFramework {
                id: id.clone(),
            }));
        }
    }
}
