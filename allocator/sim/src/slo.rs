//! Service levels of roles in a simulation: what was asked, what was granted and why, and whether it was kept.
//!
//! The rules are the allocator's ([`tepui_allocator::slo`]); the policy that keeps them is `policy/levels.rs`. A record can be made of any
//! run, so that other policies are measured by the same promises.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use serde::{Deserialize, Serialize};
use tepui_allocator::slo::{Admission, Class, Contract, Objective, Reason, Record};
use tepui_protocol::Role;

use crate::{
    amounts::{Amounts, GPUS, LANES, NAMES},
    cluster::{Ask, NodeId, Piece, Placement},
    engine::Outcome,
    nodes,
    random::Random,
    summary::Distribution,
    time::{Time, parse_span},
    trace::{Job, JobId},
    world::{Phase, World},
};

/// What a role asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The role.
    pub role: Role,
    /// Its objective.
    pub objective: Objective<LANES>,
    unit: Amounts,
}

const EXAMPLE: &str =
    "write e.g. web=hard,16xcpus:4;mem:8GiB,10m/1h or web=soft,8xcpus:1,5m/1h,p95:30s";

impl Terms {
    /// Reads `ROLE=CLASS,TASKSxRESOURCES,LENGTH/PERIOD[,pPERCENT:SPAN]`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("service level {text:?}: {what}; {EXAMPLE}");
        let parsed = text.split_once('=').ok_or_else(|| "no role".to_owned());
        parsed
            .and_then(|(role, rest)| Self::of_role(role.trim(), rest))
            .map_err(wrong)
    }

    fn of_role(role: &str, text: &str) -> Result<Self, String> {
        let role = Role::new(role).map_err(|error| error.to_string())?;
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let (class, burst, times, promise) = match parts[..] {
            [class, burst, times] => (class, burst, times, "p100:0s"),
            [class, burst, times, promise] => (class, burst, times, promise),
            _ => return Err("it has not three or four parts with commas between them".to_owned()),
        };
        let known = Class::ALL.iter().find(|(name, _)| *name == class);
        let asked = known.map(|(_, class)| *class);
        let asked = asked.ok_or_else(|| format!("{class:?} is not hard, soft or elastic"))?;
        let (tasks, unit) = burst
            .split_once('x')
            .ok_or_else(|| format!("{burst:?} is not so many tasks of a size"))?;
        let tasks = tasks
            .trim()
            .parse()
            .map_err(|_| format!("{tasks:?} is not a number of tasks"))?;
        let unit = nodes::parse_amounts(unit)?;
        let (length, period) = times
            .split_once('/')
            .ok_or_else(|| format!("{times:?} is not a length and a period"))?;
        let (percent, within) = promise
            .strip_prefix('p')
            .and_then(|rest| rest.split_once(':'))
            .ok_or_else(|| format!("{promise:?} is not a percentile and a time"))?;
        let percent = percent
            .parse()
            .map_err(|_| format!("{percent:?} is not a percentile"))?;
        let objective = Objective {
            asked,
            unit: unit.lanes().map(u64::from),
            tasks,
            length: span(parse_span(length)?),
            period: span(parse_span(period)?),
            within: span(parse_span(within)?),
            percent,
        };
        objective.check().map_err(|error| error.to_string())?;
        Ok(Self {
            role,
            objective,
            unit,
        })
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_and_what_is_wrong_is_told() {
        let terms = Terms::parse("eng/web=hard,16xcpus:4;mem:8GiB,10m/1h,p95:30s").unwrap();
        assert_eq!(terms.role.as_str(), "eng/web");
        let objective = terms.objective;
        assert_eq!((objective.asked, objective.tasks), (Class::Hard, 16));
        assert_eq!(objective.unit, [4000, 8192, 0, 0]);
        assert_eq!(objective.length, Duration::from_secs(600));
        assert_eq!(objective.percent, 95);
        for (bad, what) in [
            ("web", "no role"),
            ("web=hard", "three or four parts"),
            ("web=firm,1xcpus:1,1m/1h", "\"firm\" is not hard"),
            ("web=hard,cpus:1,1m/1h", "not so many tasks"),
            ("web=hard,-1xcpus:1,1m/1h", "not a number of tasks"),
            ("web=hard,1xcpu:1,1m/1h", "no resource is called"),
            ("web=hard,1xcpus:0,1m/1h", "takes nothing"),
            ("web=hard,1xcpus:1,2h/1h", "not longer than its period"),
            ("web=hard,1xcpus:1,1h", "a length and a period"),
            ("web=hard,1xcpus:1,1m/1h,95:1s", "not a percentile"),
            ("web=hard,1xcpus:1,1m/1h,p101:1s", "from 1 to 100"),
        ] {
            let error = Terms::parse(bad).unwrap_err();
            assert!(
                error.contains(what) && error.contains("write e.g."),
                "{error}"
            );
        }
    }
}
