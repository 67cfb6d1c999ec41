//! What always holds of an executor, as predicates with ids.

use std::collections::BTreeSet;

use super::{Executor, Phase};

impl Executor {
    /// The first invariant that does not hold, by id and text; none when all hold.
    pub fn violated(&self) -> Option<&'static str> {
        let checks: [(bool, &'static str); 3] = [
            (
                self.one_terminal_update_per_task(),
                "EX-1 one terminal update per task",
            ),
            (
                self.nothing_after_the_end(),
                "EX-2 no update after the terminal one",
            ),
            (
                self.ended_tasks_wait_for_acknowledgement(),
                "EX-3 a task is kept until acknowledged",
            ),
        ];
        checks
            .into_iter()
            .find(|(holds, _)| !holds)
            .map(|(_, id)| id)
    }

    fn one_terminal_update_per_task(&self) -> bool {
        let terminal = self
            .unacknowledged
            .iter()
            .filter(|status| status.state.is_terminal());
        let mut seen = BTreeSet::new();
        terminal
            .into_iter()
            .all(|status| seen.insert(&status.task_id))
    }

    fn nothing_after_the_end(&self) -> bool {
        let mut over = BTreeSet::new();
        self.unacknowledged.iter().all(|status| {
            let late = over.contains(&status.task_id);
            if status.state.is_terminal() {
                over.insert(&status.task_id);
            }
            !late
        })
    }

    fn ended_tasks_wait_for_acknowledgement(&self) -> bool {
        let ended = self
            .tasks
            .iter()
            .filter(|(_, task)| task.phase == Phase::Ended);
        let has_update = |id: &tepui_protocol::TaskId| {
            self.unacknowledged
                .iter()
                .any(|status| status.task_id == *id)
        };
        ended.into_iter().all(|(id, _)| has_update(id))
    }
}
