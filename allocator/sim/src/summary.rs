//! What a run comes to, in a few numbers.
//!
//! Holds nothing that differs between two runs of a seed: how long the machine took is told beside it.

mod alone;
mod distribution;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::distribution::Distribution;
use crate::{
    amounts::{GPUS, LANES, NAMES},
    engine::Outcome,
    slo::ServiceLevel,
    time::Time,
    trace::JobId,
    world::Phase,
};

/// How many jobs came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// Jobs of the trace that arrived.
    pub submitted: u64,
    /// Jobs that ended well.
    pub completed: u64,
    /// Jobs that can never run on this cluster.
    pub rejected: u64,
    /// Jobs that wait or run when nothing can happen any more, or that failures killed too often.
    pub unfinished: u64,
}

/// How the cluster was shared. Terms: `meter.rs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// Roles with jobs.
    pub roles: u64,
    /// The largest difference of weighted dominant shares among hungry roles after a decision.
    pub largest_key_gap: f64,
    /// The mean of that difference over time.
    pub mean_key_gap: f64,
    /// Starts for a role above its entitlement while one below its own had a job that fitted.
    pub sharing_incentive_violations: u64,
    /// By role: the turnaround of its jobs over what it were on a private part of the cluster, as its weight is
    /// entitled to; 1 or less is no worse than alone.
    pub finish_time_fairness: Distribution,
}

/// How good the estimates were that policies saw, of completed jobs that ran at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// The part of the jobs that ran no longer than estimated.
    pub covered: f64,
    /// Estimate over run time.
    pub ratio: Distribution,
}

/// GPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpus {
    /// Whole GPUs of the cluster.
    pub total: f64,
    /// The mean part that was allocated.
    pub allocated_ratio: f64,
    /// The largest part that was allocated at once.
    pub allocated_peak: f64,
    /// The part that was allocated when a job that wants GPUs first had to wait; none if none had to.
    pub allocated_at_first_failure: Option<f64>,
    /// The mean part of idle GPUs that the expected jobs could not use.
    pub fragmentation: f64,
}

/// The summary of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The trace.
    pub trace: String,
    /// The policy.
    pub policy: String,
    /// The placement.
    pub placement: String,
    /// The seed.
    pub seed: u64,
    /// Nodes of the cluster.
    pub nodes: u64,
    /// What became of the jobs.
    pub jobs: Jobs,
    /// Why jobs were rejected, and how many for this reason.
    pub rejections: BTreeMap<String, u64>,
    /// Lines of the trace that were left out because they could not be used.
    pub skipped_lines: u64,
    /// Seconds from the first submission to the last end.
    pub makespan_s: f64,
    /// Arrivals, starts, ends, failures, repairs and wakings.
    pub events: u64,
    /// How often the policy decided.
    pub decisions: u64,
    /// Jobs that failing nodes killed.
    pub killed: u64,
    /// Jobs that were revoked for others, each time.
    #[serde(default)]
    pub revoked: u64,
    /// The mean part of each resource in use until the last event, by name.
    pub utilisation: BTreeMap<String, f64>,
    /// The mean number of waiting jobs until the last event.
    pub queue_mean: f64,
    /// From submission to the last start, of completed jobs.
    pub wait_s: Distribution,
    /// From submission to end, of completed jobs.
    pub turnaround_s: Distribution,
    /// Turnaround over run time, where run times below 10 s count as 10 s, and at least 1.
    pub slowdown: Distribution,
    /// How good the estimates were.
    #[serde(default)]
    pub estimates: Estimates,
    /// How the cluster was shared.
    pub fairness: Fairness,
    /// GPUs, if the cluster has any.
    pub gpu: Option<Gpus>,
    /// How service levels were kept, of roles that have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<ServiceLevel>,
}

/// Run times below this do not make a slowdown larger.
//= feitelson-2001, bounded slowdown
const SHORT: Time = Time::from_secs(10);
/// Reasons of rejections that are told apart; the rest is counted as `other`.
const REASONS_MAX: usize = 20;

/// Names the run and sums it up.
pub fn summarise(
    outcome: &Outcome,
    trace: &str,
    policy: &str,
    placement: &str,
    seed: u64,
) -> Summary {
    let world = &outcome.world;
    let jobs = &world.workload().jobs;
    let mut counts = Jobs::default();
    let mut rejections: BTreeMap<String, u64> = BTreeMap::new();
    let (mut waits, mut turnarounds, mut slowdowns) = (Vec::new(), Vec::new(), Vec::new());
    let (mut covered, mut ratios) = (0, Vec::new());
    let mut last_end = None;
    for (job, id) in jobs.iter().zip((0..).map(JobId)) {
        let state = world.state(id);
        match state.phase {
            Phase::Coming => continue,
            Phase::Rejected => {
                counts.rejected += 1;
                let reason = outcome.reason(id).unwrap_or_default();
                let is_known = rejections.contains_key(&reason) || rejections.len() < REASONS_MAX;
                *rejections
                    .entry(if is_known { reason } else { "other".to_owned() })
                    .or_default() += 1;
            }
            Phase::Completed => {
                counts.completed += 1;
                let (wait, turnaround) =
                    (state.start.since(job.submit), state.end.since(job.submit));
                waits.push(wait.as_secs_f64());
                turnarounds.push(turnaround.as_secs_f64());
                slowdowns.push((turnaround.0 as f64 / job.run.max(SHORT).0 as f64).max(1.0));
                last_end = last_end.max(Some(state.end));
                if job.run > Time::ZERO {
                    covered += u64::from(job.run <= job.estimate);
                    ratios.push(job.estimate.0 as f64 / job.run.0 as f64);
                }
            }
            Phase::Pending | Phase::Running | Phase::Failed => counts.unfinished += 1,
        }
        counts.submitted += 1;
    }
    let (meter, end) = (&outcome.meter, outcome.end);
    let utilisation = meter.utilisation(end);
    let lanes = (0..LANES).filter_map(|lane| Some((NAMES[lane].to_owned(), utilisation[lane]?)));
    let gpus = world.cluster().capacity()[GPUS];
    Summary {
        trace: trace.to_owned(),
        policy: policy.to_owned(),
        placement: placement.to_owned(),
        seed,
        nodes: world.cluster().len() as u64,
        jobs: counts,
        rejections,
        skipped_lines: world.workload().skipped,
        makespan_s: last_end.unwrap_or(end).since(meter.began()).as_secs_f64(),
        events: outcome.events,
        decisions: outcome.decisions,
        killed: outcome.killed,
        revoked: outcome.revoked,
        utilisation: lanes.collect(),
        queue_mean: meter.queue_mean(end),
        wait_s: Distribution::of(waits),
        turnaround_s: Distribution::of(turnarounds),
        slowdown: Distribution::of(slowdowns),
        estimates: Estimates {
            covered: covered as f64 / ratios.len().max(1) as f64,
            ratio: Distribution::of(ratios),
        },
        fairness: Fairness {
            roles: world.workload().roles.len() as u64,
            largest_key_gap: meter.largest_key_gap(),
            mean_key_gap: meter.mean_key_gap(end),
            sharing_incentive_violations: meter.violations(),
            finish_time_fairness: Distribution::of(
                alone::ratios(world).into_iter().flatten().collect(),
            ),
        },
        gpu: (gpus > 0).then(|| Gpus {
            total: gpus as f64 / 1000.0,
            allocated_ratio: utilisation[GPUS].unwrap_or_default(),
            allocated_peak: meter.gpu_peak().unwrap_or_default(),
            allocated_at_first_failure: meter.first_failure().map(|failure| failure.allocated),
            fragmentation: meter.fragmentation().unwrap_or_default(),
        }),
        slo: Vec::new(),
    }
}
