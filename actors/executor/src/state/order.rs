//! The order of starts in a group: who waits for whom, and when that is over.

use tepui_protocol::{
    TaskId, TaskState, Timestamp,
    start::{StartAfter, StartCondition},
};

use super::{Executor, Phase, Task};
use crate::effects::Effect;

/// What a task of a group has come to; also when it is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) running: bool,
    pub(super) healthy: bool,
    pub(super) ended: Option<TaskState>,
}

impl Reached {
    fn is(self, condition: StartCondition) -> bool {
        match condition {
            StartCondition::Finished => self.ended == Some(TaskState::Finished),
            StartCondition::Running => self.running,
            StartCondition::Healthy => self.healthy,
        }
    }
}

/// What a task that waits is to do.
enum Turn {
    Wait,
    Begin,
    /// What it waits for will never come, for this reason.
    Never(String),
}

impl Executor {
    /// Notes what a task of a group has come to.
    pub(super) fn reach(&mut self, id: &TaskId, note: impl FnOnce(&mut Reached)) {
        let in_group = |task: &Task| task.info.group.is_some();
        if self.tasks.get(id).is_some_and(in_group) {
            note(self.reached.entry(id.clone()).or_default());
        }
    }

    /// Starts the tasks whose turn has come, and ends those whose turn will not come.
    pub(super) fn start_waiting(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        loop {
            let waiting = self.tasks.iter().filter(|(_, t)| t.phase == Phase::Waiting);
            let next = waiting.map(|(id, task)| (id, self.turn(&task.info.start_after)));
            let next = next
                .filter(|(_, turn)| !matches!(turn, Turn::Wait))
                .map(|(id, turn)| (id.clone(), turn))
                .next();
            match next {
                Some((id, Turn::Never(why))) => {
                    self.end(now, &id, TaskState::Failed, None, Some((None, why)), out);
                }
                Some((id, _)) => {
                    if let Some(task) = self.tasks.get_mut(&id) {
                        task.phase = Phase::Starting;
                    }
                    self.begin(now, &id, out);
                }
                None => return,
            }
        }
    }

    fn turn(&self, after: &[StartAfter]) -> Turn {
        let reached = |id| self.reached.get(id).copied().unwrap_or_default();
        let awaited = after.iter().map(|after| (after, reached(&after.task)));
        let mut missing = awaited.filter(|(after, reached)| !reached.is(after.condition));
        match missing
            .clone()
            .find_map(|(after, reached)| Some((after, reached.ended?)))
        {
            Some((after, state)) => Turn::Never(format!(
                "it was to start when task {} is {}; that ended as {state}",
                after.task, after.condition
            )),
            None if missing.next().is_some() => Turn::Wait,
            None => Turn::Begin,
        }
    }
}
