//! Why the master has tasks killed that nobody asked to be killed: their last status says so.
//!
//! Executors report TASK_KILLED and know no reason. A framework can then tell a loss that is the cluster's doing from a kill of its own.

use std::collections::BTreeMap;

use tepui_protocol::{KillPolicy, Reason, TaskState, TaskStatus};

use super::{Master, TaskKey};
use crate::effects::Effects;

/// The reasons of kills, by task.
pub(super) type Causes = BTreeMap<TaskKey, (Reason, String)>;

impl Master {
    /// Kills a task for a reason of the cluster's own.
    pub(super) fn kill_because(
        &mut self,
        key: &TaskKey,
        policy: Option<KillPolicy>,
        (reason, message): (Reason, String),
        out: &mut Effects,
    ) {
        let frameworks = &self.frameworks;
        let known = |(framework, task): &TaskKey| {
            frameworks
                .get(framework)
                .is_some_and(|framework| framework.tasks.contains_key(task))
        };
        self.causes.retain(|key, _| known(key));
        self.causes.insert(key.clone(), (reason, message));
        self.kill(key, policy, out);
    }

    /// Says in the status of a task that was killed why it was.
    pub(super) fn explain_end(&self, key: &TaskKey, status: &mut TaskStatus) {
        if status.state != TaskState::Killed || status.reason.is_some() {
            return;
        }
        if let Some((reason, message)) = self.causes.get(key) {
            status.reason = Some(*reason);
            status.message.clone_from(message);
        }
    }
}
