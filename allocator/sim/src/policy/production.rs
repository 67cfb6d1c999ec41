//! The production allocator in the simulation: one framework a role, offers, declines, filters.
//!
//! ```text
//!   job arrives   -> the framework revives            job ends     -> its resources are recovered
//!   offers come   -> the framework starts its jobs in order, and gives back what it does not need
//!   a gang lacks  -> the framework holds what it has, and waits for what others decline
//!   nothing moves -> the holder whose job is the youngest declines; its filter lasts until something comes free
//! ```
//! All of this happens within one instant. Frameworks with nothing to run are suppressed. The allocator is [`HierarchicalDrf`], as
//! the master runs it, behind the trait [`Allocator`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_allocator::{
    AgentOrder, Allocator, FrameworkTerms, GpuAgents, HierarchicalDrf, Minimum, Options,
};
use tepui_protocol::{
    AgentId, AgentInfo, Capability, FrameworkId, Resource, Resources, Scalar, Timestamp,
};

use super::{Event, Policy, PolicyError, Stage};
use crate::{
    amounts::{Amounts, CPUS, GPUS, NAMES},
    cluster::NodeId,
    time::Time,
    world::World,
};

/// A refusal stands until something comes free anywhere, or the framework has another job in front: to offer the same
/// sooner changes nothing. Frameworks revive then; the filter itself outlasts every trace.
const FILTER: Duration = Duration::from_secs(365 * 24 * 3600);

/// An offer that a framework holds.
#[derive(Debug)]
struct Offer {
    node: NodeId,
    resources: Resources,
}

/// The policy `mesos`.
#[derive(Debug)]
pub(super) struct Production {
    allocator: HierarchicalDrf,
    frameworks: Vec<FrameworkId>,
    agents: Vec<AgentId>,
    /// Offers by role.
    held: BTreeMap<u32, Vec<Offer>>,
    /// Roles that have refused something since they last revived.
    refused: BTreeSet<u32>,
    something_is_free: bool,
}

impl Production {
    pub(super) fn new(world: &World, seed: u64) -> Self {
        let mut allocator = HierarchicalDrf::new(Options {
            allocation_interval: Duration::ZERO,
            min_allocatable: Minimum::anything(),
            fair_share_excluded: BTreeSet::new(),
            agent_order: AgentOrder::Shuffled(seed),
            gpu_agents: GpuAgents::ForAll,
            ..Options::default()
        });
        let roles = &world.workload().roles;
        allocator.update_weights(roles.weights());
        let id = |role: usize| FrameworkId::new(format!("f{role:06}")).expect("a valid id");
        let frameworks: Vec<FrameworkId> = (0..roles.len()).map(id).collect();
        for (framework, role) in frameworks.iter().zip(roles.names()) {
            let terms = FrameworkTerms {
                roles: BTreeSet::from([role.clone()]),
                capabilities: BTreeSet::from([Capability::GpuResources, Capability::MultiRole]),
                ..FrameworkTerms::default()
            };
            let suppressed = BTreeSet::from([role.clone()]);
            allocator.add_framework(framework, terms, &suppressed, &BTreeMap::new());
        }
        let id = |node: usize| AgentId::new(format!("{node:08}")).expect("a valid id");
        let mut policy = Self {
            allocator,
            frameworks,
            agents: (0..world.cluster().len()).map(id).collect(),
            held: BTreeMap::new(),
            refused: BTreeSet::new(),
            something_is_free: false,
        };
        for node in 0..world.cluster().len() {
            policy.add_agent(world, NodeId(node as u32));
        }
        policy
    }

    fn add_agent(&mut self, world: &World, node: NodeId) {
        let total = resources(world.cluster().total(node), 1);
        let info = AgentInfo {
            id: None,
            hostname: world.cluster().name(node),
            resources: total.clone(),
            attributes: BTreeMap::new(),
        };
        self.allocator
            .add_agent(&self.agents[node.at()], &info, total, &BTreeMap::new());
    }

    /// Gives resources back to the allocator, which offers them to others.
    fn give_back(
        &mut self,
        role: u32,
        node: NodeId,
        resources: &Resources,
        filter: Option<Duration>,
        now: Time,
    ) {
        if resources.is_empty() {
            return;
        }
        let (framework, agent) = (&self.frameworks[role as usize], &self.agents[node.at()]);
        let result = self
            .allocator
            .recover(framework, agent, resources, filter, timestamp(now));
        debug_assert!(result.is_ok(), "what is given back was held: {result:?}");
        self.allocator.request(agent);
        if filter.is_some() {
            self.refused.insert(role);
        }
    }

    /// Starts the role's jobs in order while its offers have room; whether any was.
    fn use_offers(&mut self, stage: &mut Stage<'_>, role: u32) -> bool {
        let mut any = false;
        while let Some(job) = stage.world().pending_of(role).next() {
            let Some(offers) = self.held.get_mut(&role) else {
                break;
            };
            let ask = stage.ask(job);
            let (mut wanted, mut pieces) = (ask.tasks, Vec::new());
            for offer in offers.iter() {
                // An offer has all that is free on its node, also after a part of it was used.
                let tasks = stage
                    .world()
                    .cluster()
                    .count_on(offer.node, &ask)
                    .min(wanted);
                if tasks > 0 {
                    pieces.push((offer.node, tasks));
                    wanted -= tasks;
                }
                if wanted == 0 {
                    break;
                }
            }
            if wanted > 0 || stage.start_on(job, &pieces).is_err() {
                break;
            }
            for offer in offers {
                if let Some((_, tasks)) = pieces.iter().find(|(node, _)| *node == offer.node) {
                    let used = resources(ask.demand, *tasks)
                        .allocate(stage.world().workload().roles.name(role));
                    offer.resources -= &used;
                }
            }
            any = true;
        }
        any
    }

    /// Declines what a role holds.
    fn decline(&mut self, role: u32, filter: Option<Duration>, now: Time) {
        for offer in self.held.remove(&role).unwrap_or_default() {
            self.give_back(role, offer.node, &offer.resources, filter, now);
        }
    }

    fn revive(&mut self, role: u32) {
        self.refused.remove(&role);
        self.allocator
            .revive(&self.frameworks[role as usize], &BTreeSet::new());
    }

    /// Takes what the allocator offers now; whether there was anything.
    fn take_offers(&mut self, now: Time) -> Result<bool, PolicyError> {
        let allocations = self.allocator.allocate(timestamp(now));
        let any = !allocations.is_empty();
        for allocation in allocations {
            let number = |text: &str| text.trim_start_matches('f').parse::<u32>().ok();
            let place =
                number(allocation.framework.as_str()).zip(number(allocation.agent.as_str()));
            let (role, node) = place.ok_or_else(|| PolicyError {
                policy: "mesos".to_owned(),
                what: format!(
                    "{} on {} is not ours",
                    allocation.framework, allocation.agent
                ),
            })?;
            let offers = self.held.entry(role).or_default();
            match offers.iter_mut().find(|offer| offer.node.0 == node) {
                Some(offer) => offer.resources += allocation.resources,
                None => offers.push(Offer {
                    node: NodeId(node),
                    resources: allocation.resources,
                }),
            }
        }
        Ok(any)
    }
}

impl Policy for Production {
    fn on_event(&mut self, world: &World, event: Event) {
        match event {
            Event::Submitted(job) => {
                let role = world.job(job).role;
                if world.pending_of(role).next() == Some(job) {
                    self.revive(role);
                }
            }
            Event::Ended(job) => {
                let role = world.job(job).role;
                let name = world.workload().roles.name(role);
                let demand = world.cluster().ask(world.job(job)).demand;
                for piece in world.last_pieces(job) {
                    let used = resources(demand, piece.tasks).allocate(name);
                    self.give_back(role, piece.node, &used, None, world.now());
                }
                self.something_is_free = true;
            }
            Event::NodeDown(node) => self.allocator.remove_agent(&self.agents[node.at()]),
            Event::NodeUp(node) => {
                self.add_agent(world, node);
                self.something_is_free = true;
            }
            Event::Woke => {}
        }
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        let now = stage.now();
        if std::mem::take(&mut self.something_is_free) {
            for role in std::mem::take(&mut self.refused) {
                self.revive(role);
            }
        }
        loop {
            self.take_offers(now)?;
            let roles: Vec<u32> = self.held.keys().copied().collect();
            let mut moved = false;
            for &role in &roles {
                let started = self.use_offers(stage, role);
                if stage.world().pending_len_of(role) == 0 {
                    self.allocator
                        .suppress(&self.frameworks[role as usize], &BTreeSet::new());
                    self.decline(role, None, now);
                    moved = true;
                } else if started && self.refused.contains(&role) {
                    // Another job is first now: what was too little for the last may do for it.
                    self.revive(role);
                    moved = true;
                }
            }
            if moved {
                continue;
            }
            let head = |role: &u32| stage.world().pending_of(*role).next();
            let Some(&youngest) = self.held.keys().max_by_key(|&role| head(role)) else {
                return Ok(());
            };
            self.decline(youngest, Some(FILTER), now);
        }
    }
}

/// `tasks` times `amounts` as the allocator knows them.
fn resources(amounts: Amounts, tasks: u32) -> Resources {
    let lanes = amounts.lanes();
    let named = NAMES
        .iter()
        .enumerate()
        .filter(|&(lane, _)| lanes[lane] > 0);
    named
        .map(|(lane, name)| {
            let amount = i64::from(lanes[lane]) * i64::from(tasks);
            let milli = if lane == CPUS || lane == GPUS {
                amount
            } else {
                amount * 1000
            };
            Resource::scalar(*name, Scalar::from_milli(milli))
        })
        .collect()
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp(time.0)
}
