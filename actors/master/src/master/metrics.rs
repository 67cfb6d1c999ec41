//! What a master counts, under Mesos's names where it has one.

use std::collections::BTreeMap;

use tepui_protocol::{
    Resources, TaskState, Timestamp,
    messages::operator::{AgentStanding, FrameworkStanding},
};

use super::Master;

/// Counters by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics(BTreeMap<&'static str, u64>);

impl Metrics {
    /// Counts one.
    pub(super) fn count(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    pub(super) fn set(&mut self, name: &'static str, value: u64) {
        self.0.insert(name, value);
    }
}

/// Counters that are shown from the start.
const COUNTERS: [&str; 32] = [
    "allocator/backed_off_frameworks",
    "allocator/mesos/allocation_runs",
    "master/gangs_given_up",
    "master/invalid_status_updates",
    "master/offers_declined",
    "master/offers_made",
    "master/offers_rescinded",
    "master/operations/reserve/dropped",
    "master/operations/reserve/finished",
    "master/operations/unreserve/dropped",
    "master/operations/unreserve/finished",
    "master/recovery_slave_removals",
    "master/revocations",
    "master/slave_registrations",
    "master/slave_removals",
    "master/slave_removals/reason_maintenance",
    "master/slave_removals/reason_registered",
    "master/slave_removals/reason_unhealthy",
    "master/slave_removals/reason_unregistered",
    "master/slave_reregistrations",
    "master/slave_unreachable_completed",
    "master/slave_unreachable_scheduled",
    "master/tasks_dropped",
    "master/tasks_error",
    "master/tasks_failed",
    "master/tasks_finished",
    "master/tasks_gone",
    "master/tasks_killed",
    "master/tasks_lost",
    "master/tasks_revoked",
    "master/valid_status_update_acknowledgements",
    "master/valid_status_updates",
];

/// The counter of tasks that ended in `state`.
pub(super) fn ended_in(state: TaskState) -> Option<&'static str> {
    Some(match state {
        TaskState::Finished => "master/tasks_finished",
        TaskState::Failed => "master/tasks_failed",
        TaskState::Killed => "master/tasks_killed",
        TaskState::Lost => "master/tasks_lost",
        TaskState::Error => "master/tasks_error",
        TaskState::Dropped => "master/tasks_dropped",
        TaskState::Gone | TaskState::GoneByOperator => "master/tasks_gone",
        _ => return None,
    })
}

impl Master {
    /// Counters and gauges by name.
    pub fn metrics(&self, now: Timestamp) -> BTreeMap<String, f64> {
        let mut all: BTreeMap<String, f64> = BTreeMap::new();
        for name in COUNTERS {
            all.insert(name.to_owned(), 0.0);
        }
        for (name, count) in &self.metrics.0 {
            all.insert((*name).to_owned(), *count as f64);
        }
        let mut gauge = |name: &str, value: f64| all.insert(format!("master/{name}"), value);
        gauge("uptime_secs", now.since(self.started).as_secs_f64());
        gauge("elected", 1.0);
        gauge("outstanding_offers", self.offers.len() as f64);
        for (name, count) in self.agent_gauges() {
            gauge(name, count as f64);
        }
        for (name, count) in self.framework_gauges() {
            gauge(name, count as f64);
        }
        for (state, count) in self.live_tasks() {
            let name = state.name().trim_start_matches("TASK_").to_lowercase();
            gauge(&format!("tasks_{name}"), count as f64);
        }
        self.resource_gauges(&mut gauge);
        all.extend(self.wait_gauges());
        all
    }

    fn agent_gauges(&self) -> [(&'static str, usize); 5] {
        let count = |standing| {
            self.agents
                .values()
                .filter(|agent| agent.standing == standing)
                .count()
        };
        let active = count(AgentStanding::Active);
        [
            ("slaves_active", active),
            ("slaves_connected", active),
            ("slaves_disconnected", count(AgentStanding::Disconnected)),
            ("slaves_recovered", count(AgentStanding::Recovered)),
            ("slaves_unreachable", self.unreachable.len()),
        ]
    }

    fn framework_gauges(&self) -> [(&'static str, usize); 5] {
        let count = |standing| {
            self.frameworks
                .values()
                .filter(|framework| framework.standing == standing)
                .count()
        };
        let active = count(FrameworkStanding::Active);
        [
            ("frameworks_active", active),
            ("frameworks_connected", active),
            (
                "frameworks_disconnected",
                count(FrameworkStanding::Disconnected),
            ),
            ("frameworks_recovered", count(FrameworkStanding::Recovered)),
            ("frameworks_completed", self.completed.len()),
        ]
    }

    /// Tasks that may still run, by state.
    pub(super) fn live_tasks(&self) -> BTreeMap<TaskState, usize> {
        let states = [TaskState::Staging, TaskState::Starting, TaskState::Running];
        let mut counts: BTreeMap<_, _> = states.into_iter().map(|state| (state, 0)).collect();
        counts.extend([(TaskState::Killing, 0), (TaskState::Unreachable, 0)]);
        for framework in self.frameworks.values() {
            let tasks = framework
                .tasks
                .values()
                .chain(framework.unreachable.values());
            for task in tasks.filter(|task| !task.state.is_terminal()) {
                *counts.entry(task.state).or_default() += 1;
            }
        }
        counts
    }

    fn resource_gauges(&self, gauge: &mut impl FnMut(&str, f64) -> Option<f64>) {
        let present = || self.agents.values().filter(|agent| agent.pid.is_some());
        let total: Resources = present().map(|agent| &agent.info.resources).sum();
        let used: Resources = present()
            .map(super::Agent::used_sum)
            .fold(Resources::new(), |sum, more| sum + &more);
        for (name, all) in &total.quantities() {
            let part = used.scalar(name).as_f64();
            gauge(&format!("{name}_total"), all.as_f64());
            gauge(&format!("{name}_used"), part);
            gauge(&format!("{name}_percent"), part / all.as_f64());
        }
    }
}
