//! Revocation around another policy: who is below its fair share takes what it lacks from those above theirs.
//!
//! ```text
//!   a hungry role's next jobs would be within its fair share, and do not fit
//!     --> victims are chosen by the allocator (`tepui_allocator::revocation`): whole gangs, the youngest first,
//!         nobody falls below its own fair share
//!     --> they are asked to end; what runs when the grace is over is killed, and waits again in front of its queue
//!     --> the policy inside, which serves the least share first, starts the role's jobs
//! ```
//! A role's fair share of each resource is its weight over the weights of all active roles. Simulated jobs do not heed being asked.

use std::{collections::BTreeSet, time::Duration};

use tepui_allocator::revocation::{Holder, Pool, Revocation, Step, Unit};

use super::{Event, Policy, PolicyError, Stage};
use crate::{
    amounts::LANES,
    cluster::NodeId,
    slo::span,
    time::Time,
    trace::JobId,
    world::{Phase, World},
};

/// How many hungry roles are looked at in a decision.
const ROLES_MAX: usize = 8;
/// How many jobs of a role are claimed for at once.
const JOBS_MAX: usize = 1000;
/// On how many nodes victims are looked for, for a task that needs room on one.
const NODES_MAX: usize = 64;

/// A revocation under way.
#[derive(Debug)]
struct Claim {
    role: u32,
    jobs: Vec<JobId>,
    course: Revocation<JobId>,
}

/// A policy with revocation.
pub(super) struct Reclaim {
    inner: Box<dyn Policy>,
    grace: Duration,
    running: BTreeSet<JobId>,
    claims: Vec<Claim>,
    /// Jobs that are to end.
    victims: BTreeSet<JobId>,
}

impl Reclaim {
    pub(super) fn new(inner: Box<dyn Policy>, grace: Time) -> Self {
        Self {
            inner,
            grace: span(grace),
            running: BTreeSet::new(),
            claims: Vec::new(),
            victims: BTreeSet::new(),
        }
    }

    /// Kills whose grace is over; claims of jobs that do not wait any more are withdrawn.
    fn go_on(&mut self, stage: &mut Stage<'_>) {
        let now = span(stage.now());
        let mut kill = Vec::new();
        self.claims.retain_mut(|claim| {
            let waits = |job: &JobId| stage.world().state(*job).phase == Phase::Pending;
            if !claim.jobs.iter().any(waits) {
                for spared in claim.course.withdraw() {
                    self.victims.remove(&spared);
                }
            }
            while let Some(step) = claim.course.step(now) {
                if let Step::Kill(victims) = step {
                    kill.extend(victims);
                }
            }
            !claim.course.is_over()
        });
        for job in kill {
            if stage.revoke(job) {
                self.on_event(stage.world(), Event::Ended(job));
                self.on_event(stage.world(), Event::Submitted(job));
            }
        }
        self.claims.retain(|claim| !claim.course.is_over());
    }

    /// Claims for the hungry roles of the least shares.
    fn claim(&mut self, stage: &mut Stage<'_>) {
        let hungry: Vec<u32> = stage.hungry().take(ROLES_MAX).collect();
        for role in hungry {
            if self.claims.iter().any(|claim| claim.role == role) {
                continue;
            }
            let jobs = within_share(stage, role);
            let found = if jobs.is_empty() {
                None
            } else {
                self.victims_for(stage, role, jobs)
            };
            if let Some((jobs, victims)) = found {
                self.victims.extend(&victims);
                let mut course = Revocation::begin(victims, span(stage.now()), self.grace);
                course.step(span(stage.now()));
                self.claims.push(Claim { role, jobs, course });
            }
        }
        if let Some(next) = self
            .claims
            .iter()
            .filter_map(|claim| claim.course.next_deadline())
            .min()
        {
            stage.wake_at(Time(u64::try_from(next.as_micros()).unwrap_or(u64::MAX)));
        }
    }

    /// Who goes, and for which of the jobs: all of them from the whole cluster, or the first one from a single node.
    fn victims_for(
        &self,
        stage: &Stage<'_>,
        role: u32,
        mut jobs: Vec<JobId>,
    ) -> Option<(Vec<JobId>, Vec<JobId>)> {
        let everywhere = |units: &JobId| all_of(stage.world(), *units);
        // What is free may be what claims before this one count on.
        let free = if self.claims.is_empty() {
            stage.world().cluster().free_sum()
        } else {
            [0; LANES]
        };
        let need = |jobs: &[JobId]| {
            let each = jobs.iter().map(|job| needs(stage, *job));
            each.fold([0; LANES], plus)
        };
        let victims = self.plan(stage, role, free, &need(&jobs), everywhere);
        if let Some(victims) =
            victims.filter(|victims| !victims.is_empty() && stage.would_fit_without(victims, &jobs))
        {
            return Some((jobs, victims));
        }
        jobs.truncate(1);
        let (job, world) = (jobs[0], stage.world());
        if world.job(job).tasks > 1 || stage.would_fit_without(&[], &jobs) {
            return None;
        }
        let demand = need(&jobs);
        let cluster = world.cluster();
        let mut nodes: Vec<NodeId> = (0..cluster.len() as u32).map(NodeId).collect();
        nodes
            .retain(|&node| cluster.is_up(node) && cluster.total(node).fits(stage.ask(job).demand));
        let lacks = |node: &NodeId| {
            let free = cluster.free(*node).lanes();
            let short = (0..LANES).map(|j| demand[j].saturating_sub(u64::from(free[j])));
            short.sum::<u64>()
        };
        nodes.sort_by_key(|node| (lacks(node), *node));
        let mut best: Option<(u32, Vec<JobId>)> = None;
        for node in nodes.into_iter().take(NODES_MAX) {
            let free = cluster.free(node).lanes().map(u64::from);
            let here = |unit: &JobId| on_node(world, *unit, node);
            let Some(victims) = self.plan(stage, role, free, &demand, here) else {
                continue;
            };
            let tasks = victims.iter().map(|job| world.job(*job).tasks).sum();
            let is_better = best.as_ref().is_none_or(|(least, _)| tasks < *least);
            if is_better && !victims.is_empty() && stage.would_fit_without(&victims, &jobs) {
                best = Some((tasks, victims));
            }
        }
        best.map(|(_, victims)| (jobs, victims))
    }

    /// Asks the allocator who goes, of what runs in a pool where `amounts` of a job are what it holds there.
    fn plan(
        &self,
        stage: &Stage<'_>,
        role: u32,
        free: [u64; LANES],
        claim: &[u64; LANES],
        amounts: impl Fn(&JobId) -> [u64; LANES],
    ) -> Option<Vec<JobId>> {
        let world = stage.world();
        let roles = world.workload().roles.len() as u32;
        // What is to go already does not count for its role.
        let mut held: Vec<[u64; LANES]> = (0..roles).map(|role| stage.held(role)).collect();
        for victim in &self.victims {
            let of = &mut held[world.job(*victim).role as usize];
            let less = all_of(world, *victim);
            *of = std::array::from_fn(|j| of[j].saturating_sub(less[j]));
        }
        let holders: Vec<Holder<LANES>> = (0..roles)
            .map(|role| Holder {
                above: None,
                guarantee: fair_share(stage, role),
                held: held[role as usize],
            })
            .collect();
        let ids: Vec<JobId> = self.running.difference(&self.victims).copied().collect();
        let mut named = Vec::new();
        let mut units = Vec::new();
        for id in ids {
            let here = amounts(&id);
            if here.iter().all(|&each| each == 0) {
                continue;
            }
            let all = all_of(world, id);
            named.push(id);
            units.push(Unit {
                role: world.job(id).role as usize,
                amounts: here,
                elsewhere: std::array::from_fn(|j| all[j] - here[j]),
                tasks: world.job(id).tasks,
                priority: 0,
                began: span(world.state(id).start),
                revocable: false,
            });
        }
        let pool = Pool {
            free,
            holders: &holders,
            units: &units,
        };
        let plan = pool.plan(role as usize, claim).ok()?;
        Some(plan.into_iter().map(|at| named[at]).collect())
    }
}

/// The first jobs of a role with which it is still within its fair share.
fn within_share(stage: &Stage<'_>, role: u32) -> Vec<JobId> {
    let (mut held, share) = (stage.held(role), fair_share(stage, role));
    let mut jobs = Vec::new();
    for job in stage.world().pending_of(role).take(JOBS_MAX) {
        let needs = needs(stage, job);
        held = plus(held, needs);
        if (0..LANES).any(|j| needs[j] > 0 && held[j] > share[j]) {
            break;
        }
        jobs.push(job);
    }
    jobs
}

fn fair_share(stage: &Stage<'_>, role: u32) -> [u64; LANES] {
    let part = stage.world().workload().roles.weight(role) / stage.active_weight().max(1e-9);
    let capacity = stage.world().cluster().capacity();
    capacity.map(|all| (all as f64 * part.min(1.0) + 1e-6) as u64)
}

fn needs(stage: &Stage<'_>, job: JobId) -> [u64; LANES] {
    let ask = stage.ask(job);
    let lanes = ask.demand.lanes();
    lanes.map(|lane| u64::from(lane) * u64::from(ask.tasks))
}

/// What a job holds everywhere.
fn all_of(world: &World, job: JobId) -> [u64; LANES] {
    let of = world.job(job);
    let lanes = world.cluster().ask(of).demand.lanes();
    lanes.map(|lane| u64::from(lane) * u64::from(of.tasks))
}

fn on_node(world: &World, job: JobId, node: NodeId) -> [u64; LANES] {
    let pieces = world.pieces(job).iter().filter(|piece| piece.node == node);
    let tasks: u64 = pieces.map(|piece| u64::from(piece.tasks)).sum();
    let lanes = world.cluster().ask(world.job(job)).demand.lanes();
    lanes.map(|lane| u64::from(lane) * tasks)
}

fn plus(a: [u64; LANES], b: [u64; LANES]) -> [u64; LANES] {
    std::array::from_fn(|j| a[j].saturating_add(b[j]))
}

impl Policy for Reclaim {
    fn on_event(&mut self, world: &World, event: Event) {
        if let Event::Ended(job) = event {
            self.running.remove(&job);
            self.victims.remove(&job);
            for claim in &mut self.claims {
                claim.course.ended(&job);
            }
        }
        self.inner.on_event(world, event);
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        self.go_on(stage);
        self.inner.decide(stage)?;
        self.running.extend(stage.started());
        self.claim(stage);
        Ok(())
    }
}
