//! What must always hold of a master, one predicate each; checked after every event in debug builds
//! and by simulations.
//!
//! | id | statement |
//! |---|---|
//! | MA-1 | per agent, used + offered <= total |
//! | MA-2 | a task has at most one terminal state |
//! | MA-3 | no offer outlives its agent's connection or its framework's |
//! | MA-4 | the books of offers agree |
//! | MA-5 | the books of tasks agree |
//! | MA-6 | a framework that has ended is not known, nor is an unreachable agent |
//! | MA-7 | histories are bounded |

use std::collections::BTreeMap;

use tepui_protocol::{FrameworkId, Resources, messages::operator::AgentStanding, task::Task};

use crate::master::{Agent, Framework, KEPT_MAX, Master};

/// An invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} {statement}: {what}")]
pub struct Violation {
    /// As `MA-1`.
    pub id: &'static str,
    /// What should hold.
    pub statement: &'static str,
    /// Where it does not.
    pub what: String,
}

/// Predicate by predicate: its id, its statement, and what breaks it.
type Rule = (&'static str, &'static str, fn(&Master) -> Option<String>);

const RULES: [Rule; 7] = [
    ("MA-1", "per agent, used + offered <= total", over_allocated),
    ("MA-2", "a task has at most one terminal state", ended_twice),
    (
        "MA-3",
        "no offer outlives its agent's connection or its framework's",
        stale_offer,
    ),
    ("MA-4", "the books of offers agree", offer_books),
    ("MA-5", "the books of tasks agree", task_books),
    (
        "MA-6",
        "a framework that has ended is not known, nor is an unreachable agent",
        undead,
    ),
    ("MA-7", "histories are bounded", unbounded),
];

/// Checks every invariant of a master.
///
/// # Errors
/// The first [`Violation`].
pub fn check(master: &Master) -> Result<(), Violation> {
    for (id, statement, broken) in RULES {
        if let Some(what) = broken(master) {
            return Err(Violation {
                id,
                statement,
                what,
            });
        }
    }
    Ok(())
}

/// An agent may come back with less than is used on it; then nothing more is offered of it.
fn over_allocated(master: &Master) -> Option<String> {
    let over = |agent: &&Agent| {
        let held = (agent.used_sum() + &agent.offered).unallocate();
        !agent.offered.is_empty() && !agent.info.resources.contains(&held)
    };
    let agent = master.agents.values().find(over)?;
    Some(format!(
        "{:?}: {:?} used, {:?} offered of {:?}",
        agent.info.id,
        agent.used_sum(),
        agent.offered,
        agent.info.resources
    ))
}

fn tasks(master: &Master) -> impl Iterator<Item = &Task> {
    let frameworks = master.frameworks.values().chain(master.completed.values());
    frameworks.flat_map(|framework| {
        let live = framework
            .tasks
            .values()
            .chain(framework.unreachable.values());
        live.chain(framework.completed.values())
    })
}

fn ended_twice(master: &Master) -> Option<String> {
    let twice = |task: &&Task| {
        let mut ends = task
            .statuses
            .iter()
            .map(|s| s.state)
            .filter(|state| state.is_terminal());
        let end = ends.next();
        ends.any(|other| Some(other) != end)
            || end.is_some_and(|end| task.state.is_terminal() && task.state != end)
    };
    let task = tasks(master).find(twice)?;
    Some(format!(
        "{} is {}: {:?}",
        task.info.id, task.state, task.statuses
    ))
}

fn stale_offer(master: &Master) -> Option<String> {
    let stale = master.offers.values().find(|offer| {
        let agent = master
            .agents
            .get(&offer.agent_id)
            .is_some_and(Agent::is_active);
        let framework = master.frameworks.get(&offer.framework_id);
        let wanted = |f: &Framework| f.is_active() && f.info.roles.contains(&offer.role);
        !agent || !framework.is_some_and(wanted)
    });
    stale.map(|offer| format!("{offer:?}"))
}

fn offer_books(master: &Master) -> Option<String> {
    for (id, agent) in &master.agents {
        let offers = agent
            .offers
            .iter()
            .filter_map(|offer| master.offers.get(offer));
        let offers: Vec<_> = offers.filter(|offer| offer.agent_id == *id).collect();
        let sum: Resources = offers.iter().map(|offer| &offer.resources).sum();
        if offers.len() != agent.offers.len() || sum != agent.offered {
            return Some(format!("agent {id}: {:?} but {:?}", agent.offered, offers));
        }
    }
    let of_agents: usize = master.agents.values().map(|agent| agent.offers.len()).sum();
    let of_frameworks: usize = master.frameworks.values().map(|f| f.offers.len()).sum();
    let all = master.offers.len();
    (of_agents != all || of_frameworks != all)
        .then(|| format!("{all} offers, {of_agents} of agents, {of_frameworks} of frameworks"))
}

fn task_books(master: &Master) -> Option<String> {
    for (id, agent) in &master.agents {
        let mut used = BTreeMap::<FrameworkId, Resources>::new();
        let mut charge = |owner: &FrameworkId, resources: &Resources| {
            if !resources.is_empty() {
                *used.entry(owner.clone()).or_default() += resources;
            }
        };
        for (owner, task_id) in &agent.tasks {
            let task = master
                .frameworks
                .get(owner)
                .and_then(|f| f.tasks.get(task_id));
            let Some(task) = task.filter(|task| task.info.agent_id == *id) else {
                return Some(format!(
                    "agent {id} has task {task_id}, its framework has not"
                ));
            };
            if !task.state.is_terminal() {
                charge(owner, &task.info.resources);
            }
        }
        for ((owner, _), executor) in &agent.executors {
            charge(owner, &executor.resources);
        }
        if used != agent.used {
            return Some(format!(
                "agent {id}: {:?} but its tasks use {used:?}",
                agent.used
            ));
        }
    }
    let of_agents: usize = master.agents.values().map(|agent| agent.tasks.len()).sum();
    let of_frameworks: usize = master.frameworks.values().map(|f| f.tasks.len()).sum();
    let twice = master.frameworks.values().find_map(|framework| {
        framework
            .tasks
            .keys()
            .find(|task| framework.unreachable.contains(task))
    });
    if let Some(task) = twice {
        return Some(format!("task {task} is both on an agent and unreachable"));
    }
    (of_agents != of_frameworks)
        .then(|| format!("{of_agents} tasks of agents, {of_frameworks} of frameworks"))
}

fn undead(master: &Master) -> Option<String> {
    let framework = master
        .frameworks
        .keys()
        .find(|id| master.removed.contains(id) || master.completed.contains(id));
    let agent = master.agents.iter().find_map(|(id, agent)| {
        let adrift = agent.standing != AgentStanding::Recovered && agent.pid.is_none();
        (adrift || master.unreachable.contains(id)).then_some(id)
    });
    match (framework, agent) {
        (Some(id), _) => Some(format!("framework {id}")),
        (_, Some(id)) => Some(format!("agent {id}")),
        (None, None) => None,
    }
}

fn unbounded(master: &Master) -> Option<String> {
    let frameworks = master.frameworks.values().chain(master.completed.values());
    let operations = master.frameworks.values().map(|f| f.operations.len()).max();
    let tasks = frameworks.flat_map(|f| [&f.completed, &f.unreachable]);
    let mut sizes = tasks
        .map(|history| (history.len(), history.capacity()))
        .chain([
            (master.completed.len(), master.completed.capacity()),
            (operations.unwrap_or(0), KEPT_MAX),
            (master.removed.len(), master.removed.capacity()),
            (master.unreachable.len(), master.unreachable.capacity()),
        ]);
    let (size, capacity) = sizes.find(|(size, capacity)| size > capacity)?;
    Some(format!("{size} entries where {capacity} are kept"))
}
