//! Service levels of roles in a simulation: what was asked, what was granted and why, and whether it was kept.
//!
//! The rules are the allocator's ([`tepui_allocator::slo`]); the policy that keeps them is `policy/levels.rs`. A record can be made of any
//! run, so that other policies are measured by the same promises.

mod terms;

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use serde::{Deserialize, Serialize};
use tepui_allocator::slo::{Admission, Class, Contract, Objective, Reason, Record};
use tepui_protocol::Role;

pub use self::terms::Terms;
use crate::{
    amounts::{Amounts, GPUS, LANES, NAMES},
    cluster::{Ask, NodeId, Piece, Placement},
    engine::Outcome,
    random::Random,
    summary::Distribution,
    time::Time,
    trace::{Job, JobId},
    world::{Phase, World},
};

/// What a role was granted.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The role, an index of the workload's roles.
    pub role: u32,
    /// What it asked for, of resources that are counted here.
    pub objective: Objective<LANES>,
    /// What it got.
    pub class: Class,
    /// Why.
    pub reason: String,
    /// What a task of its burst takes at most.
    pub(crate) unit: Amounts,
    /// Where the tasks of a hard burst have their room.
    pub(crate) nodes: Vec<NodeId>,
}

impl Grant {
    /// Whether a job is of the kind that the burst is made of.
    pub(crate) fn is_of(&self, world: &World, job: &Job) -> bool {
        let gpus = world.cluster().ask(job).demand.lane(GPUS);
        // A part of a device cannot be taken out of the room of whole ones and put back.
        job.models == 0 && (gpus == self.unit.lane(GPUS) || gpus.is_multiple_of(1000))
    }

    /// A fresh contract of it.
    pub(crate) fn contract(&self, world: &World) -> Contract<LANES> {
        Contract::new(self.objective, span(begin(world)))
    }
}

/// Decides who gets what, in the order of the terms; roles without terms are there before.
///
/// # Errors
/// A role that no job is in, one that is named twice, a burst of what is not counted here.
pub fn grants(world: &World, terms: &[Terms]) -> Result<Vec<Grant>, String> {
    let (roles, cluster) = (&world.workload().roles, world.cluster());
    let mut admission = Admission::new(cluster.capacity());
    let mut named: Vec<u32> = Vec::new();
    for terms in terms {
        let role = roles.names().iter().position(|role| *role == terms.role);
        let role = role.ok_or_else(|| {
            let some: Vec<&str> = roles.names().iter().take(5).map(Role::as_str).collect();
            format!(
                "service level of role {}: no job is in it; roles are {} ...",
                terms.role,
                some.join(", ")
            )
        })? as u32;
        if named.contains(&role) {
            return Err(format!("role {} has two service levels", terms.role));
        }
        named.push(role);
    }
    for role in (0..roles.len() as u32).filter(|role| !named.contains(role)) {
        let joined = admission.join(roles.flat_weight(role), None);
        debug_assert!(joined.is_ok(), "nobody was promised anything yet");
    }
    let (mut draft, mut grants) = (cluster.draft(), Vec::new());
    for (terms, role) in terms.iter().zip(named) {
        let unit = cluster.counted(terms.unit);
        let objective = Objective {
            unit: unit.lanes().map(u64::from),
            ..terms.objective
        };
        objective
            .check()
            .map_err(|error| format!("service level of role {}: {error}", terms.role))?;
        let mut grant = Grant {
            role,
            objective,
            class: Class::Elastic,
            reason: String::new(),
            unit,
            nodes: Vec::new(),
        };
        match admission.join(roles.flat_weight(role), Some(&objective)) {
            Ok(decision) => {
                grant.class = decision.class;
                grant.reason = in_words(&decision.reason);
            }
            Err(refused) => {
                grant.reason = format!(
                    "its share would be taken from a role that was promised {} on average",
                    amount(refused.resource, refused.average)
                );
            }
        }
        if grant.class == Class::Hard {
            match room(&mut draft, unit, objective.tasks) {
                Ok(nodes) => grant.nodes = nodes,
                Err(found) => {
                    grant.class = Class::Soft;
                    grant.reason =
                        format!("the nodes have room for {found} of its tasks of {unit}");
                }
            }
        }
        grants.push(grant);
    }
    Ok(grants)
}

/// Nodes for so many tasks, whose room is then taken; or for how many there is room.
fn room(
    cluster: &mut crate::cluster::Cluster,
    demand: Amounts,
    tasks: u32,
) -> Result<Vec<NodeId>, u32> {
    let ask = Ask {
        demand,
        tasks: 1,
        models: 0,
    };
    let (mut unused, mut pieces, mut nodes) = (Random::new(0, 0), Vec::new(), Vec::new());
    let mut taken: Vec<Vec<Piece>> = Vec::new();
    for found in 0..tasks {
        if !cluster.place(Placement::FirstFit, &ask, &mut unused, &mut pieces) {
            for pieces in &taken {
                cluster.release(&ask, pieces);
            }
            return Err(found);
        }
        nodes.push(pieces[0].node);
        cluster.claim(&ask, &mut pieces);
        taken.push(std::mem::take(&mut pieces));
    }
    Ok(nodes)
}

fn in_words(reason: &Reason) -> String {
    match *reason {
        Reason::AsAsked => "as asked".to_owned(),
        Reason::AboveFairShare {
            resource,
            average,
            share,
        } => format!(
            "over its period the burst takes {} on average, the role's fair share is {}",
            amount(resource, average),
            amount(resource, share)
        ),
        Reason::NoRoom {
            resource,
            burst,
            left,
        } => format!(
            "the burst takes {}, and {} are left beside the hard bursts before it",
            amount(resource, burst),
            amount(resource, left)
        ),
    }
}

fn amount(lane: usize, amount: u64) -> String {
    match NAMES[lane] {
        name @ ("cpus" | "gpus") => format!("{name}:{}", amount as f64 / 1000.0),
        name => format!("{name}:{amount}"),
    }
}

/// How a role's service level was kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceLevel {
    /// The role.
    pub role: String,
    /// The class it asked for.
    pub asked: String,
    /// The class it got.
    pub class: String,
    /// Why.
    pub reason: String,
    /// Periods in which a job of the burst came.
    pub periods: u64,
    /// Those in which the promise was kept.
    pub held: u64,
    /// Jobs of the burst.
    pub jobs: u64,
    /// Jobs of the role beyond its burst, to which nothing was promised.
    pub beyond: u64,
    /// From when the allocator knew of a job of the burst to its first offer, of those that had one.
    pub first_offer_s: Distribution,
}

/// How the service levels were kept, by what would have been of the bursts had nobody waited.
pub fn kept(outcome: &Outcome, grants: &[Grant], latency: Time) -> Vec<ServiceLevel> {
    grants
        .iter()
        .map(|grant| kept_by(outcome, grant, latency))
        .collect()
}

fn kept_by(outcome: &Outcome, grant: &Grant, latency: Time) -> ServiceLevel {
    let world = &outcome.world;
    let (mut contract, mut record) = (grant.contract(world), Record::new(&grant.objective));
    let mut level = ServiceLevel {
        role: world.workload().roles.name(grant.role).to_string(),
        asked: grant.objective.asked.to_string(),
        class: grant.class.to_string(),
        reason: grant.reason.clone(),
        ..ServiceLevel::default()
    };
    let (mut ends, mut waits) = (BinaryHeap::new(), Vec::new());
    for (job, id) in world.workload().jobs.iter().zip((0..).map(JobId)) {
        let state = world.state(id);
        if job.role != grant.role || matches!(state.phase, Phase::Coming | Phase::Rejected) {
            continue;
        }
        let known = job.submit.plus(latency);
        while let Some(&Reverse((end, tasks))) = ends.peek()
            && end <= known
        {
            ends.pop();
            contract.ended(tasks);
        }
        let demand = world.cluster().ask(job).demand.lanes().map(u64::from);
        let belongs = grant.is_of(world, job)
            && contract.came(span(known), job.tasks, &demand, span(job.estimate));
        if !belongs {
            level.beyond += 1;
            continue;
        }
        let messages = Time(latency.0.saturating_mul(3));
        ends.push(Reverse((known.plus(messages).plus(job.run), job.tasks)));
        level.jobs += 1;
        let waited = match state.phase {
            Phase::Running | Phase::Completed => {
                let offered = state.start.since(Time(latency.0.saturating_mul(2)));
                waits.push(offered.since(known).as_secs_f64());
                span(offered.since(known))
            }
            _ => Duration::MAX,
        };
        record.offered(contract.period_of(span(known)), waited);
    }
    let verdict = record.verdict();
    (level.periods, level.held) = (verdict.periods, verdict.held);
    level.first_offer_s = Distribution::of(waits);
    level
}

fn begin(world: &World) -> Time {
    let first = world.workload().jobs.first();
    first.map_or(Time::ZERO, |job| job.submit)
}

pub(crate) fn span(time: Time) -> Duration {
    Duration::from_micros(time.0)
}
