//! What always holds of an agent, as predicates with ids; used by assertions, tests and simulation.

use std::collections::BTreeSet;

use tepui_store::Write;

use super::{Agent, Phase};
use crate::effects::{Effect, ToExecutor};

impl Agent {
    /// The first invariant that does not hold, by id and text; none when all hold.
    pub fn violated(&self) -> Option<&'static str> {
        let checks: [(bool, &'static str); 6] = [
            (
                self.tasks_end_once(),
                "AG-2 one terminal update per task, and nothing after it",
            ),
            (
                self.updates_fly_in_order(),
                "AG-3 at most one update in flight per task, the oldest",
            ),
            (
                self.live_tasks_have_executors(),
                "AG-4 a live task has an executor",
            ),
            (
                self.known_tasks_are_unfinished(),
                "AG-5 a task is forgotten when all is acknowledged",
            ),
            (
                self.executors_have_frameworks(),
                "AG-6 a framework with executors or tasks is known",
            ),
            (
                self.gpus_are_given_once(),
                "AG-7 no GPU is given beyond its whole",
            ),
        ];
        checks
            .into_iter()
            .find(|(holds, _)| !holds)
            .map(|(_, id)| id)
    }

    fn tasks_end_once(&self) -> bool {
        self.streams.values().all(super::Stream::ends_once)
    }

    fn updates_fly_in_order(&self) -> bool {
        self.streams.values().all(super::Stream::flies_in_order)
    }

    fn live_tasks_have_executors(&self) -> bool {
        let settled = matches!(self.phase, Phase::Recovering | Phase::Stopped);
        settled
            || self.frameworks.iter().all(|(id, framework)| {
                let live = framework
                    .tasks
                    .iter()
                    .filter(|(task, _)| !self.is_over(id, task));
                live.into_iter()
                    .all(|(_, entry)| framework.executors.contains_key(&entry.executor_id))
            })
    }

    fn known_tasks_are_unfinished(&self) -> bool {
        self.streams
            .values()
            .all(|stream| !(stream.is_terminal() && stream.is_drained()))
    }

    fn executors_have_frameworks(&self) -> bool {
        let used = |f: &super::Framework| !f.executors.is_empty() || !f.tasks.is_empty();
        self.phase == Phase::Stopped || self.frameworks.values().all(used)
    }
}

/// AG-1: an update is acknowledged to the executor only behind the write that makes it durable.
/// Returns the position of the first effect that breaks it, in everything an agent has wanted so
/// far, for updates of frameworks that checkpoint.
pub fn acknowledged_before_durable(effects: &[Effect]) -> Option<usize> {
    let mut written = BTreeSet::new();
    for (at, effect) in effects.iter().enumerate() {
        match effect {
            Effect::Write(Write::Put { key, .. } | Write::Delete { key }) => {
                written.insert(key.as_str());
            }
            Effect::Executor(_, ToExecutor::Acknowledged(message)) => {
                let end = format!("/{}", message.task_id);
                let durable = |key: &&str| key.starts_with("stream/") && key.ends_with(&end);
                if !written.iter().any(durable) {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
