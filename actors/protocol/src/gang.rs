//! Gangs: tasks of which a framework can begin with all or none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AgentId, Quantities, Resources, Role, Timestamp};

/// What a framework needs at once to begin in a role: room for so many tasks of a size, on so many agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gang {
    /// So many tasks, at least one.
    pub tasks: u32,
    /// What each takes; not nothing.
    pub each: Quantities,
    /// On at least so many agents.
    #[serde(default)]
    pub agents: u32,
}

impl Gang {
    /// Checks that it asks for something.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn validate(&self) -> Result<(), String> {
        if self.tasks == 0 || self.each.iter().all(|(_, amount)| amount.is_zero()) {
            return Err("a gang needs at least one task, which takes something".to_owned());
        }
        if self.agents > self.tasks {
            let Self { tasks, agents, .. } = self;
            return Err(format!(
                "a gang of {tasks} tasks cannot be on {agents} agents"
            ));
        }
        Ok(())
    }

    /// For how many of its tasks there is room in what one agent has, whatever its reservations.
    pub fn room(&self, resources: &Resources) -> u32 {
        let wanted = self.each.iter().filter(|(_, each)| !each.is_zero());
        let rooms = wanted.map(|(name, each)| {
            let fits = resources.scalar(name).milli() / each.milli().max(1);
            u32::try_from(fits).unwrap_or(0)
        });
        rooms.min().unwrap_or(0).min(self.tasks)
    }

    /// Whether there is room for all in these resources of agents; what is named twice adds up.
    pub fn is_met_by<'a>(
        &self,
        offered: impl IntoIterator<Item = (&'a AgentId, &'a Resources)>,
    ) -> bool {
        let rooms = self.rooms(offered);
        let sum = rooms.iter().map(|room| u64::from(*room)).sum::<u64>();
        sum >= u64::from(self.tasks) && rooms.len() as u64 >= u64::from(self.agents)
    }

    /// For how many tasks there is room on each agent with room for one; what is named twice adds up.
    pub fn rooms<'a>(
        &self,
        offered: impl IntoIterator<Item = (&'a AgentId, &'a Resources)>,
    ) -> Vec<u32> {
        let mut agents = BTreeMap::<&AgentId, Resources>::new();
        for (agent, resources) in offered {
            *agents.entry(agent).or_default() += resources;
        }
        let rooms = agents.values().map(|all| self.room(all));
        rooms.filter(|room| *room > 0).collect()
    }
}

/// What a gang that has not begun is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GangState {
    /// Nothing is kept back for it.
    Waits,
    /// Something is kept back for it, and given back if it is not enough by then.
    Gathers {
        /// That time.
        until: Timestamp,
    },
    /// It gathered in vain, and is offered nothing of what it had until then.
    Pauses {
        /// That time.
        until: Timestamp,
    },
}

/// How far a gang is that has not begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GangStanding {
    /// In which role.
    pub role: Role,
    /// What it needs.
    pub gang: Gang,
    /// What it does.
    pub state: GangState,
    /// What is kept back for it: no framework is told of a part.
    pub held: Quantities,
    /// That is room for so many of its tasks,
    pub room: u64,
    /// on so many agents.
    pub on_agents: usize,
    /// So many times in a row it gathered in vain.
    pub vain: u32,
    /// So many gangs came before it and have not begun; they go first where both could begin.
    pub before: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gang(tasks: u32, each: &str, agents: u32) -> Gang {
        let each = each.parse().unwrap();
        Gang {
            tasks,
            each,
            agents,
        }
    }

    #[test]
    fn room_is_counted_in_whole_tasks_of_each_agent() {
        let (a, b): (AgentId, AgentId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let some: Resources = "cpus:3.5;mem:400".parse().unwrap();
        let few: Resources = "cpus:0.5;mem:4000;cpus(r):0.5".parse().unwrap();
        let wanted = gang(3, "cpus:1;mem:100", 0);
        assert_eq!((wanted.room(&some), wanted.room(&few)), (3, 1));
        assert!(wanted.is_met_by([(&a, &some)]));
        assert!(!wanted.is_met_by([(&a, &few), (&b, &few)]));
        let spread = gang(3, "cpus:1;mem:100", 2);
        assert!(!spread.is_met_by([(&a, &some)]));
        assert!(spread.is_met_by([(&a, &some), (&b, &few)]));
        // Halves of two agents are no whole.
        let half: Resources = "cpus:0.5;mem:100".parse().unwrap();
        let one = gang(1, "cpus:1", 0);
        assert!(!one.is_met_by([(&a, &half), (&b, &half)]));
        assert!(one.is_met_by([(&a, &half), (&a, &half)]));
    }

    #[test]
    fn what_asks_for_nothing_or_too_much_is_refused() {
        gang(2, "cpus:1", 2).validate().unwrap();
        for bad in [gang(0, "cpus:1", 0), gang(1, "", 0), gang(1, "cpus:1", 2)] {
            assert!(bad.validate().unwrap_err().contains("a gang"));
        }
    }
}
