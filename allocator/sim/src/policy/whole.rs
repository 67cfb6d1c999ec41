//! The production engine in the simulation: it decides whose turn it is *and* where the task goes.
//!
//! `tepui_allocator::engine` works on single tasks of known size: gangs, parts of GPUs, GPU models and failing nodes are refused with a
//! clear error; `hdrf` has all of them with the same order.

use std::collections::BTreeMap;

use tepui_allocator::{
    Weight,
    engine::{Agent, Engine, Seat, Slot, Task},
    order::{NodeId as TreeId, Rule},
};
use tepui_protocol::Role;

use super::{Event, Policy, PolicyError, Stage};
use crate::{
    amounts::{Amounts, GPUS, LANES},
    cluster::NodeId,
    trace::JobId,
    world::World,
};

/// A framework, and the jobs at the front of its queue that ask for the same.
#[derive(Debug)]
struct Front {
    seat: Slot<Seat>,
    demand: Amounts,
    /// How many of them the engine was told of.
    wanted: usize,
}

/// The policy `engine`.
#[derive(Debug)]
pub(super) struct Whole {
    engine: Engine<LANES>,
    fronts: Vec<Front>,
    /// The role of a seat, by its index.
    role_of: Vec<u32>,
    /// The node of an agent, by its index.
    node_of: Vec<u32>,
    agents: Vec<Slot<Agent>>,
    tasks: Vec<Option<Slot<Task>>>,
    refusal: Option<String>,
}

impl Whole {
    pub(super) fn new(world: &World) -> Self {
        let mut engine = Engine::new(Rule::Hierarchical);
        let (mut agents, mut node_of, mut refusal) = (Vec::new(), Vec::new(), None);
        for node in 0..world.cluster().len() as u32 {
            match engine.add_agent(world.cluster().total(NodeId(node)).lanes().map(u64::from)) {
                Ok(agent) => {
                    enter(&mut node_of, agent.index(), node);
                    agents.push(agent);
                }
                Err(error) => {
                    refusal = Some(format!(
                        "node {}: {error}",
                        world.cluster().name(NodeId(node))
                    ))
                }
            }
        }
        let roles = &world.workload().roles;
        let mut known: BTreeMap<Role, TreeId> = BTreeMap::new();
        let (mut fronts, mut role_of) = (Vec::new(), Vec::new());
        for (role, number) in roles.names().iter().zip(0..) {
            let mut above: Vec<Role> = role.ancestors().collect();
            above.sort_by_key(|role| role.components().count());
            let mut parent = TreeId::ROOT;
            for name in above.iter().chain([role]) {
                let weight = roles.own_weight(name);
                parent = *known
                    .entry(name.clone())
                    .or_insert_with(|| engine.add_role(parent, weight));
            }
            let seat = engine.add_framework(parent, Weight::ONE, [1; LANES]);
            let seat = seat.expect("its role was added before it");
            enter(&mut role_of, seat.index(), number);
            fronts.push(Front {
                seat,
                demand: Amounts::ZERO,
                wanted: 0,
            });
        }
        let tasks = vec![None; world.workload().jobs.len()];
        Self {
            engine,
            fronts,
            role_of,
            node_of,
            agents,
            tasks,
            refusal,
        }
    }

    /// Tells the engine of the jobs at the front of a role's queue, none of which it knows.
    fn want(&mut self, world: &World, role: u32) {
        let front = &mut self.fronts[role as usize];
        debug_assert!(front.wanted == 0, "the engine has had all of them");
        let demand = |job: JobId| world.cluster().ask(world.job(job)).demand;
        let Some(first) = world.pending_of(role).next() else {
            return;
        };
        if demand(first) != front.demand {
            front.demand = demand(first);
            self.engine
                .set_demand(front.seat, front.demand.lanes().map(u64::from));
        }
        let alike = world
            .pending_of(role)
            .take_while(|job| demand(*job) == front.demand);
        let more = alike.count();
        front.wanted = more;
        self.engine.want(front.seat, more as u64);
    }
}

fn enter(table: &mut Vec<u32>, at: usize, value: u32) {
    if at >= table.len() {
        table.resize(at + 1, u32::MAX);
    }
    table[at] = value;
}

impl Policy for Whole {
    fn on_event(&mut self, world: &World, event: Event) {
        match event {
            Event::Submitted(job) => {
                let of = world.job(job);
                let gpus = of.demand.lane(GPUS);
                let why = match of {
                    _ if of.tasks > 1 => "is a gang",
                    _ if !gpus.is_multiple_of(1000) => "wants a part of a GPU",
                    _ if of.models != 0 => "is bound to GPU models",
                    _ => {
                        // Only what is behind the jobs that the engine knows is new.
                        let front = &self.fronts[of.role as usize];
                        if front.wanted + 1 >= world.pending_len_of(of.role) {
                            self.want_last(world, job);
                        }
                        return;
                    }
                };
                let name = &world.workload().names[job.0 as usize];
                self.refusal.get_or_insert(format!(
                    "job {name} {why}: the engine places single tasks; use hdrf"
                ));
            }
            Event::Ended(job) => {
                if let Some(task) = self.tasks[job.0 as usize].take() {
                    let ended = self.engine.end(task);
                    debug_assert!(ended, "a task ends once");
                }
            }
            Event::NodeDown(node) => {
                self.engine.close_agent(self.agents[node.at()]);
                let what = "a node failed: the engine is not told of lost tasks here; use hdrf";
                self.refusal.get_or_insert(what.to_owned());
            }
            Event::NodeUp(_) | Event::Woke => {}
        }
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        let failed = |what: String| PolicyError {
            policy: "engine".to_owned(),
            what,
        };
        if let Some(what) = self.refusal.take() {
            return Err(failed(what));
        }
        while let Some(decision) = self.engine.decide() {
            let role = self.role_of[decision.seat.index()];
            let node = NodeId(self.node_of[decision.agent.index()]);
            let Some(job) = stage.world().pending_of(role).next() else {
                return Err(failed(format!(
                    "role {role} got a task that it did not want"
                )));
            };
            let started = stage.start_on(job, &[(node, 1)]);
            started.map_err(|error| failed(format!("job {}: {error}", job.0)))?;
            self.tasks[job.0 as usize] = Some(decision.task);
            self.fronts[role as usize].wanted -= 1;
            if self.fronts[role as usize].wanted == 0 {
                self.want(stage.world(), role);
            }
        }
        Ok(())
    }
}

impl Whole {
    /// A job came to the end of a queue all of which the engine knows.
    fn want_last(&mut self, world: &World, job: JobId) {
        let role = world.job(job).role;
        let front = &mut self.fronts[role as usize];
        if front.wanted == 0 {
            return self.want(world, role);
        }
        if world.cluster().ask(world.job(job)).demand == front.demand {
            front.wanted += 1;
            self.engine.want(front.seat, 1);
        }
    }
}
