//! Service levels: hard bursts have room of their own, soft ones go first, and what is left is shared by DRF.
//!
//! ```text
//!   hard: room for each task of the burst is set aside on a node when the run begins
//!         a job of the burst starts --> it takes the place of as many of these as it has tasks
//!         it ends                   --> they are set aside again before anybody else is asked
//! ```
//! So nothing that others do makes a hard burst wait. What is set aside is idle between bursts: that is the price. Which class
//! a role has and which of its jobs belong to the burst is the allocator's to say (`tepui_allocator::slo`).

use std::collections::{BTreeMap, BTreeSet};

use tepui_allocator::slo::{Class, Contract};

use super::{Event, Policy, PolicyError, Stage, fair::Fair};
use crate::{
    amounts::LANES,
    cluster::{Cluster, NodeId, Placement},
    random::Random,
    slo::{Grant, span},
    stage::Withheld,
    trace::JobId,
    world::{Phase, World},
};

/// A role with a service level.
#[derive(Debug)]
struct Level {
    grant: Grant,
    contract: Contract<LANES>,
    /// Jobs of the burst that wait.
    waiting: BTreeSet<JobId>,
    /// Room that is set aside for a task each.
    units: Vec<Withheld>,
    /// Nodes on which room is to be set aside as soon as there is any.
    owed: Vec<NodeId>,
}

/// A job of a hard burst that runs in the room of some units.
#[derive(Debug)]
struct Guest {
    level: usize,
    nodes: Vec<NodeId>,
    /// What the units had beyond its demand.
    rests: Vec<Withheld>,
}

/// The policy `slo`.
#[derive(Debug)]
pub(super) struct Levels {
    fair: Fair,
    levels: Vec<Level>,
    /// The level of a role, if it has one.
    of_role: BTreeMap<u32, usize>,
    /// Jobs of bursts that have come and not ended.
    belong: BTreeSet<JobId>,
    guests: BTreeMap<JobId, Guest>,
    gone: Vec<Guest>,
    /// Jobs that came since the last decision.
    fresh: Vec<JobId>,
    /// The cluster without what is set aside and with all else free, when the run begins.
    beside: Option<Cluster>,
    /// Whether jobs of a class can ever fit there, as far as is known.
    fits_beside: BTreeMap<u32, bool>,
}

impl Levels {
    pub(super) fn new(world: &World, grants: Vec<Grant>) -> Self {
        let of_role = grants.iter().map(|grant| grant.role).zip(0..).collect();
        let level = |grant: Grant| Level {
            contract: grant.contract(world),
            waiting: BTreeSet::new(),
            units: Vec::new(),
            owed: Vec::new(),
            grant,
        };
        Self {
            fair: Fair::flat(world),
            levels: grants.into_iter().map(level).collect(),
            of_role,
            belong: BTreeSet::new(),
            guests: BTreeMap::new(),
            gone: Vec::new(),
            fresh: Vec::new(),
            beside: None,
            fits_beside: BTreeMap::new(),
        }
    }

    fn came(&mut self, world: &World, id: JobId) {
        let job = world.job(id);
        let Some(&at) = self.of_role.get(&job.role) else {
            return;
        };
        let level = &mut self.levels[at];
        let demand = world.cluster().ask(job).demand.lanes().map(u64::from);
        let (now, expected) = (span(world.now()), span(job.estimate));
        if level.grant.is_of(world, job) && level.contract.came(now, job.tasks, &demand, expected) {
            level.waiting.insert(id);
            self.belong.insert(id);
        }
    }

    fn ended(&mut self, world: &World, id: JobId) {
        let job = world.job(id);
        if self.belong.remove(&id)
            && let Some(&at) = self.of_role.get(&job.role)
        {
            self.levels[at].contract.ended(job.tasks);
        }
        self.gone.extend(self.guests.remove(&id));
    }

    /// Sets aside again what guests had, and what could not be set aside before.
    fn set_aside(&mut self, stage: &mut Stage<'_>) {
        let is_first = self.beside.is_none();
        if is_first {
            for level in self.levels.iter_mut() {
                level.owed.clone_from(&level.grant.nodes);
            }
        }
        for guest in self.gone.drain(..) {
            for rest in &guest.rests {
                stage.give_back(rest);
            }
            self.levels[guest.level].owed.extend(guest.nodes);
        }
        for level in self
            .levels
            .iter_mut()
            .filter(|level| !level.owed.is_empty())
        {
            let (units, unit) = (&mut level.units, level.grant.unit);
            level.owed.retain(|&node| {
                let withheld = stage.withhold_on(node, unit);
                let is_owed = withheld.is_none();
                units.extend(withheld);
                is_owed
            });
        }
        if is_first {
            self.beside = Some(stage.world().cluster().draft());
        }
    }

    /// Rejects what can never fit beside what is set aside: its role's other jobs would wait behind it for ever.
    fn turn_away(&mut self, stage: &mut Stage<'_>) {
        let Some(beside) = &mut self.beside else {
            return;
        };
        for job in self.fresh.drain(..) {
            let ask = stage.ask(job);
            let of = stage.world().job(job);
            let role = of.role;
            let fits = *self.fits_beside.entry(of.class).or_insert_with(|| {
                let (mut unused, mut pieces) = (Random::new(0, 0), Vec::new());
                beside.place(Placement::FirstFit, &ask, &mut unused, &mut pieces)
            });
            if fits || self.belong.contains(&job) {
                continue;
            }
            let (tasks, demand) = (ask.tasks, ask.demand);
            let why = format!(
                "{tasks} tasks of {demand}: there is no room beside what is kept for hard service levels"
            );
            if stage.turn_away(job, why) {
                self.fair.left(stage.world(), role);
            }
        }
    }

    /// Starts a job of a hard burst in the room of some units; false if there are too few on nodes that are up.
    fn start_inside(&mut self, stage: &mut Stage<'_>, at: usize, job: JobId) -> bool {
        let level = &mut self.levels[at];
        let ask = stage.ask(job);
        let cluster = stage.world().cluster();
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for unit in level.units.drain(..) {
            let is_wanted = taken.len() < ask.tasks as usize && cluster.is_up(unit.node());
            let to = if is_wanted { &mut taken } else { &mut left };
            to.push(unit);
        }
        if taken.len() < ask.tasks as usize {
            taken.append(&mut left);
            level.units = taken;
            return false;
        }
        level.units = left;
        let nodes: Vec<NodeId> = taken.iter().map(Withheld::node).collect();
        for unit in &taken {
            stage.give_back(unit);
        }
        let pieces: Vec<(NodeId, u32)> = nodes.iter().map(|&node| (node, 1)).collect();
        if stage.start_on(job, &pieces).is_err() {
            level.owed.extend(nodes);
            return false;
        }
        let rest = level.grant.unit.minus(ask.demand);
        let mut rests = Vec::new();
        if !rest.is_zero() {
            rests.extend(
                nodes
                    .iter()
                    .filter_map(|&node| stage.withhold_on(node, rest)),
            );
        }
        let level = at;
        self.guests.insert(
            job,
            Guest {
                level,
                nodes,
                rests,
            },
        );
        true
    }

    /// Starts the jobs of bursts that wait, as far as there is room: those of hard ones, then those of soft ones.
    fn serve(&mut self, stage: &mut Stage<'_>, class: Class) {
        for at in 0..self.levels.len() {
            if self.levels[at].grant.class != class {
                continue;
            }
            for job in self.levels[at].waiting.clone() {
                let started = match class {
                    Class::Hard => self.start_inside(stage, at, job),
                    Class::Soft => stage.start(job),
                    Class::Elastic => false,
                };
                if started {
                    self.levels[at].waiting.remove(&job);
                    self.fair.started(stage.world(), job);
                }
            }
        }
    }
}

impl Policy for Levels {
    fn on_event(&mut self, world: &World, event: Event) {
        match event {
            Event::Submitted(job) => {
                self.came(world, job);
                self.fresh.push(job);
            }
            Event::Ended(job) => self.ended(world, job),
            Event::NodeDown(_) | Event::NodeUp(_) | Event::Woke => {}
        }
        self.fair.on_event(world, event);
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        self.set_aside(stage);
        self.turn_away(stage);
        self.serve(stage, Class::Hard);
        self.serve(stage, Class::Soft);
        self.fair.decide(stage)?;
        // A job of a burst that had to wait may have been served as others are.
        for level in &mut self.levels {
            level
                .waiting
                .retain(|job| stage.world().state(*job).phase == Phase::Pending);
        }
        Ok(())
    }
}
