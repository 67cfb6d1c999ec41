//! What operators tell a master to do. Each command is answered once what it changes is durable.

use tepui_allocator::Weight;
use tepui_protocol::{
    Timestamp,
    messages::{
        operator::{KillTask, TeardownFramework, UpdateWeights},
        scheduler::SchedulerError,
    },
    task::Task,
};

use super::{Master, TaskKey};
use crate::effects::{Call, Effect, Effects, Outcome};

impl Master {
    /// Sets weights; those of other roles stay.
    pub fn on_update_weights(
        &mut self,
        _now: Timestamp,
        call: UpdateWeights,
        token: u64,
        out: &mut Effects,
    ) {
        let outcome = self.update_weights(call, out);
        out.push(Effect::Answer { token, outcome });
    }

    fn update_weights(&mut self, call: UpdateWeights, out: &mut Effects) -> Outcome {
        let mut weights = std::collections::BTreeMap::new();
        for (role, weight) in call.weights {
            let checked = Weight::try_from(weight).map_err(|error| format!("role {role}: {error}"));
            weights.insert(role, checked?);
        }
        self.weights.extend(weights.clone());
        self.write_weights(out);
        out.push(Effect::Allocator(Call::UpdateWeights { weights }));
        Ok(())
    }

    /// Ends a framework on an operator's behalf.
    pub fn on_teardown_framework(
        &mut self,
        now: Timestamp,
        call: TeardownFramework,
        token: u64,
        out: &mut Effects,
    ) {
        let id = &call.framework_id;
        let outcome = match self.frameworks.get(id) {
            Some(framework) => {
                let message = "the framework was torn down by an operator".to_owned();
                framework.send(SchedulerError { message }, out);
                self.end_framework(now, id, out);
                Ok(())
            }
            None if self.has_ended(id) => Err(format!("framework {id} has ended already")),
            None => Err(format!("framework {id} is unknown")),
        };
        out.push(Effect::Answer { token, outcome });
    }

    /// Ends a task on an operator's behalf.
    pub fn on_kill_task(&mut self, _now: Timestamp, call: KillTask, token: u64, out: &mut Effects) {
        let outcome = self
            .find_task(&call)
            .map(|key| self.kill(&key, call.kill_policy, out));
        out.push(Effect::Answer { token, outcome });
    }

    fn find_task(&self, call: &KillTask) -> Result<TaskKey, String> {
        let id = &call.task_id;
        let asked = |owner| {
            call.framework_id
                .as_ref()
                .is_none_or(|asked| asked == owner)
        };
        let owners: Vec<_> = self
            .frameworks
            .iter()
            .filter(|(owner, framework)| asked(*owner) && framework.tasks.contains_key(id))
            .map(|(owner, _)| owner.clone())
            .collect();
        let [owner] = &owners[..] else {
            return Err(match owners.len() {
                0 => format!("task {id} is not known, or has ended already"),
                _ => format!("{} frameworks have a task {id}; name one", owners.len()),
            });
        };
        let key = (owner.clone(), id.clone());
        match self
            .task(&key)
            .filter(|task: &&Task| task.state.is_terminal())
        {
            Some(task) => Err(format!("task {id} has ended already: {}", task.state)),
            None => Ok(key),
        }
    }
}
