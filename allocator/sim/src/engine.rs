//! The engine: events in virtual time, one policy, one cluster.
//!
//! ```text
//!  while something may still happen:
//!    now = the time of the earliest event
//!    apply all events of now: ends, failures and repairs in the order they were planned, then arrivals
//!    ask the policy once
//! ```
//! Ties go by sequence number, so that a run depends on its inputs and its seed alone. A job holds its resources from the decision on: with
//! a message latency L it begins 2 L later (offer, launch), and what it held is free L after its end.

mod core;
mod events;

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use self::core::Core;
use self::events::What;
use crate::{
    cluster::{Cluster, Placement},
    meter::{Meter, Series},
    nodes::Nodes,
    policy::{Event, Policy, PolicyError, Stage},
    time::Time,
    trace::{JobId, Workload},
    world::{Phase, World},
};

/// Failing nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// The mean time of a node between its repair and its next failure; exponentially distributed.
    pub mtbf: Time,
    /// The mean time of a repair; exponentially distributed.
    pub mttr: Time,
    /// A job that failures killed so often is given up.
    pub attempts_max: u16,
}

/// What a run can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where jobs go that the policy leaves to the simulation.
    pub placement: Placement,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How long a message between allocator, framework and node takes.
    pub latency: Time,
    /// Whether nodes fail.
    pub failures: Option<Failures>,
    /// Ends the run at this time at the latest.
    pub until: Option<Time>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events so far.
    pub events: u64,
    /// Jobs that have ended or were rejected.
    pub done: u64,
    /// All jobs.
    pub jobs: u64,
    /// The virtual time.
    pub now: Time,
}

/// What a run has come to.
#[derive(Debug)]
pub struct Outcome {
    /// Jobs, cluster and workload as they were at the end.
    pub world: World,
    /// Why jobs were rejected, by class; jobs that are unfit as such say so themselves.
    pub never: Vec<Option<String>>,
    /// Jobs that the policy turned away, and why.
    pub turned_away: BTreeMap<JobId, String>,
    /// What was measured on the way.
    pub meter: Meter,
    /// Arrivals, starts, ends, failures, repairs and wakings.
    pub events: u64,
    /// How often the policy decided.
    pub decisions: u64,
    /// Jobs that failures killed.
    pub killed: u64,
    /// Jobs that the policy killed for others, each time.
    pub revoked: u64,
    /// The time of the last event.
    pub end: Time,
}

/// After so many wakings in a row that change nothing, nothing will change any more.
const IDLE_WAKES_MAX: u32 = 10_000;
/// Progress is told every so many events.
const PROGRESS_EVERY: u64 = 1 << 15;

/// Makes the world of a run, for policies that want to look at it when they are made.
pub fn world(workload: Arc<Workload>, nodes: Nodes) -> World {
    let mut cluster = Cluster::new(nodes);
    cluster.expect(&workload);
    World::new(workload, cluster)
}

/// Runs a workload to its end.
///
/// # Errors
/// [`PolicyError`] from the policy.
pub fn run(
    world: World,
    policy: &mut dyn Policy,
    options: Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, PolicyError> {
    let mut core = Core::new(world, options);
    let jobs = core.world.workload.jobs.len();
    let (mut arrived, mut idle_wakes, mut told) = (0, 0, 0);
    let (mut decisions, mut end) = (0, Time::ZERO);
    loop {
        let arrival = core
            .world
            .workload
            .jobs
            .get(arrived)
            .map(|job| job.submit.plus(options.latency));
        let Some(now) = core.next_time(arrival) else {
            break;
        };
        if options.until.is_some_and(|until| now > until) {
            break;
        }
        core.advance(now);
        end = now;
        let (mut is_idle, first) = (true, arrived);
        while let Some(what) = core.due() {
            is_idle &= what == What::Wake;
            core.apply(what, policy);
        }
        while arrived < jobs
            && core.world.workload.jobs[arrived]
                .submit
                .plus(options.latency)
                == now
        {
            is_idle = false;
            core.arrive(JobId(arrived as u32), policy);
            arrived += 1;
        }
        let mut changed = false;
        if core.world.pending_len() > 0 {
            core.started_now.clear();
            let revoked = core.revoked;
            policy.decide(&mut Stage { core: &mut core })?;
            changed = !core.started_now.is_empty() || core.revoked > revoked;
            decisions += 1;
        }
        core.watch_gpus(first as u32..arrived as u32);
        core.meter.close_instant(&core.world);
        idle_wakes = if is_idle && !changed {
            idle_wakes + 1
        } else {
            0
        };
        if idle_wakes > IDLE_WAKES_MAX {
            break;
        }
        if core.events - told >= PROGRESS_EVERY {
            told = core.events;
            progress(Progress {
                events: told,
                done: core.done,
                jobs: jobs as u64,
                now,
            });
        }
    }
    progress(Progress {
        events: core.events,
        done: core.done,
        jobs: jobs as u64,
        now: end,
    });
    core.meter.finish();
    Ok(Outcome {
        never: core.never_texts(),
        turned_away: core.turned_away,
        world: core.world,
        meter: core.meter,
        events: core.events,
        decisions,
        killed: core.killed,
        revoked: core.revoked,
        end,
    })
}

impl Outcome {
    /// Why a job was rejected; none unless it was.
    pub fn reason(&self, job: JobId) -> Option<String> {
        if self.world.state(job).phase != Phase::Rejected {
            return None;
        }
        if let Some(why) = self.turned_away.get(&job) {
            return Some(why.clone());
        }
        let of = self.world.job(job);
        let unfit = of.unfit.map(|unfit| unfit.to_string());
        unfit.or_else(|| self.never[of.class as usize].clone())
    }

    /// The series of samples.
    pub fn series(&self) -> &Series {
        self.meter.series()
    }
}

/// Tells a policy of something, with the world as it is.
fn tell(core: &Core, policy: &mut dyn Policy, event: Event) {
    policy.on_event(&core.world, event);
}
