//! What is measured while a run goes on: use, shares, fairness. Only sums and samples are kept.
//!
//! - The *key* of a role is its dominant share over its weight (times those above it).
//! - A role is *hungry* while jobs of it wait, and *active* while it is hungry or holds something.
//! - Its *entitlement* is its weight over the weights of all active roles.
//! - The *largest key gap* is the largest difference of keys among hungry roles after a decision.
//! - A *violation of the sharing incentive* is a start that goes to a role at or above its entitlement while the hungry role
//!   of the least key is below its own by more than its next job, that job would fit, and is not started in the same instant.

mod series;

use tepui_allocator::order::{ABSENT, Key, Tournament};

pub use self::series::{RoleSample, Sample, Series};
use crate::{
    amounts::{GPUS, LANES},
    cluster::Ask,
    cluster::Placement,
    random::Random,
    time::Time,
    trace::JobId,
    world::{Phase, World},
};

/// Fixed point of keys in the tournaments.
const UNIT: f64 = (1_u64 << 40) as f64;

#[derive(Clone, Debug)]
struct Standing {
    used: [u64; LANES],
    weight: f64,
    key: f64,
    running_tasks: u64,
    is_active: bool,
}

/// GPUs allocated when a job that wants some first found no room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FirstFailure {
    /// When.
    pub time: Time,
    /// The part of all GPUs that was allocated.
    pub allocated: f64,
}

/// The measures.
#[derive(Debug)]
pub struct Meter {
    roles: Vec<Standing>,
    capacity: [u64; LANES],
    /// Hungry roles by least and by largest key.
    least: Tournament,
    largest: Tournament,
    active_weight: f64,
    active: u64,
    last: Option<Time>,
    busy: [u128; LANES],
    pending_time: u128,
    gap_time: f64,
    gap: f64,
    gap_max: f64,
    violations: u64,
    /// Jobs that were passed over in this instant by starts that were not owed.
    passed_over: Vec<JobId>,
    began: Time,
    series: Series,
    fragmentation_sum: f64,
    fragmentation_count: u64,
    first_failure: Option<FirstFailure>,
    gpus_used_max: u64,
    running: u64,
}

impl Meter {
    pub(crate) fn new(world: &World) -> Self {
        let roles = &world.workload.roles;
        let standing = |role: u32| Standing {
            used: [0; LANES],
            weight: roles.weight(role),
            key: 0.0,
            running_tasks: 0,
            is_active: false,
        };
        let jobs = &world.workload.jobs;
        let begin = jobs.first().map_or(Time::ZERO, |job| job.submit);
        let expected = jobs
            .last()
            .map_or(Time::ZERO, |job| job.submit)
            .since(begin);
        Self {
            roles: (0..roles.len() as u32).map(standing).collect(),
            capacity: world.cluster.capacity(),
            least: Tournament::new(),
            largest: Tournament::new(),
            active_weight: 0.0,
            active: 0,
            last: None,
            busy: [0; LANES],
            pending_time: 0,
            gap_time: 0.0,
            gap: 0.0,
            gap_max: 0.0,
            violations: 0,
            passed_over: Vec::new(),
            began: begin,
            series: Series::new(begin, expected),
            fragmentation_sum: 0.0,
            fragmentation_count: 0,
            first_failure: None,
            gpus_used_max: 0,
            running: 0,
        }
    }

    /// Time goes on to `now`, with everything as it was since the last event.
    pub(crate) fn advance(&mut self, world: &mut World, now: Time) {
        while self.series.is_due(now) {
            self.sample(world);
        }
        if let Some(last) = self.last {
            let span = now.since(last).0;
            let used = world.cluster.used();
            for (busy, used) in self.busy.iter_mut().zip(used) {
                *busy += u128::from(used) * u128::from(span);
            }
            self.pending_time += world.pending_len() as u128 * u128::from(span);
            self.gap_time += self.gap * span as f64;
        }
        self.last = Some(now);
    }

    fn sample(&mut self, world: &mut World) {
        let fragmentation = if self.capacity[GPUS] > 0 {
            let (fragmentation, _) = world.cluster.fragmentation();
            self.fragmentation_sum += fragmentation;
            self.fragmentation_count += 1;
            Some(fragmentation)
        } else {
            None
        };
        let roles = self
            .roles
            .iter()
            .zip(0..)
            .filter(|(standing, _)| standing.is_active);
        let roles = roles.map(|(standing, role)| RoleSample {
            role,
            pending: world.pending_len_of(role) as u32,
            running_tasks: standing.running_tasks,
            used: standing.used,
            key: standing.key,
        });
        let sample = Sample {
            time: Time::ZERO,
            pending: world.pending_len() as u32,
            running: self.running,
            used: world.cluster.used(),
            fragmentation,
            roles: roles.collect(),
        };
        self.series.push(sample);
    }

    /// A job of the role came into the queue.
    pub(crate) fn queued(&mut self, world: &World, role: u32) {
        self.refresh(world, role);
    }

    /// A job is about to be started: whether that is at the cost of one that is owed more.
    pub(crate) fn before_start(&mut self, world: &mut World, job: JobId) {
        let Some(least) = self.least.top() else {
            return;
        };
        let role = world.workload.jobs[job.at()].role;
        if least == role || self.active < 2 {
            return;
        }
        let entitled = |standing: &Standing| 1.0 / self.active_weight - standing.key;
        let (given, owed) = (&self.roles[role as usize], &self.roles[least as usize]);
        if entitled(given) > 0.0 {
            return;
        }
        let Some(next) = world.pending_of(least).next() else {
            return;
        };
        let ask = world.cluster.ask(world.job(next));
        let share = |lane: usize| match self.capacity[lane] {
            0 => 0.0,
            all => f64::from(ask.demand.lane(lane)) * f64::from(ask.tasks) / all as f64,
        };
        let needs = (0..LANES).map(share).fold(0.0, f64::max) / owed.weight;
        if entitled(owed) < needs {
            return;
        }
        let mut pieces = Vec::new();
        let mut unused = Random::new(0, 0);
        if world
            .cluster
            .place(Placement::FirstFit, &ask, &mut unused, &mut pieces)
        {
            self.passed_over.push(next);
        }
    }

    /// A job was started.
    pub(crate) fn started(&mut self, world: &World, job: JobId, ask: &Ask) {
        let role = world.workload.jobs[job.at()].role;
        let standing = &mut self.roles[role as usize];
        for (used, lane) in standing.used.iter_mut().zip(ask.demand.lanes()) {
            *used += u64::from(lane) * u64::from(ask.tasks);
        }
        standing.running_tasks += u64::from(ask.tasks);
        self.running += 1;
        self.gpus_used_max = self.gpus_used_max.max(world.cluster.used()[GPUS]);
        self.refresh(world, role);
    }

    /// A job has ended.
    pub(crate) fn ended(&mut self, world: &World, job: JobId, ask: &Ask) {
        let role = world.workload.jobs[job.at()].role;
        let standing = &mut self.roles[role as usize];
        for (used, lane) in standing.used.iter_mut().zip(ask.demand.lanes()) {
            *used -= u64::from(lane) * u64::from(ask.tasks);
        }
        standing.running_tasks -= u64::from(ask.tasks);
        self.running -= 1;
        self.refresh(world, role);
    }

    /// All decisions of this instant are made.
    pub(crate) fn close_instant(&mut self, world: &World) {
        let waits = |job: &JobId| world.state(*job).phase == Phase::Pending;
        self.violations += self.passed_over.iter().filter(|job| waits(job)).count() as u64;
        self.passed_over.clear();
        self.gap = match (self.least.top(), self.largest.top()) {
            (Some(least), Some(largest)) => {
                self.roles[largest as usize].key - self.roles[least as usize].key
            }
            _ => 0.0,
        };
        self.gap_max = self.gap_max.max(self.gap);
    }

    /// A job that wants GPUs waits although the policy has decided.
    pub(crate) fn gpu_job_waits(&mut self, world: &World) {
        let (used, all) = (world.cluster.used()[GPUS], self.capacity[GPUS]);
        if self.first_failure.is_none() && all > 0 {
            self.first_failure = Some(FirstFailure {
                time: world.now,
                allocated: used as f64 / all as f64,
            });
        }
    }

    /// Whether [`Meter::gpu_job_waits`] is still of interest.
    pub(crate) fn watches_gpus(&self) -> bool {
        self.first_failure.is_none() && self.capacity[GPUS] > 0
    }

    /// What a role holds, by lane.
    pub(crate) fn held(&self, role: u32) -> [u64; LANES] {
        self.roles[role as usize].used
    }

    /// Hungry roles, the least key first.
    pub(crate) fn hungry(&self) -> impl Iterator<Item = u32> {
        self.least.ascending()
    }

    /// The weights of all active roles, added up.
    pub(crate) fn active_weight(&self) -> f64 {
        self.active_weight
    }

    fn refresh(&mut self, world: &World, role: u32) {
        let standing = &mut self.roles[role as usize];
        let share = |lane: usize| match self.capacity[lane] {
            0 => 0.0,
            all => standing.used[lane] as f64 / all as f64,
        };
        standing.key = (0..LANES).map(share).fold(0.0, f64::max) / standing.weight;
        let is_hungry = world.pending_len_of(role) > 0;
        let is_active = is_hungry || standing.running_tasks > 0;
        if is_active != standing.is_active {
            standing.is_active = is_active;
            let weight = if is_active {
                standing.weight
            } else {
                -standing.weight
            };
            self.active_weight += weight;
            self.active = if is_active {
                self.active + 1
            } else {
                self.active - 1
            };
            if self.active == 0 {
                self.active_weight = 0.0;
            }
        }
        let fixed = (standing.key * UNIT) as u64;
        let least = if is_hungry { fixed } else { ABSENT };
        let largest = if is_hungry {
            (ABSENT - 1).saturating_sub(fixed)
        } else {
            ABSENT
        };
        self.least.set(role, Key::of(least));
        self.largest.set(role, Key::of(largest));
    }

    pub(crate) fn finish(&mut self) {
        self.series.finish();
    }

    /// The samples.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// The first submission.
    pub fn began(&self) -> Time {
        self.began
    }

    /// The mean part of the capacity that was in use until `end`, by lane; none of what the cluster has not.
    pub fn utilisation(&self, end: Time) -> [Option<f64>; LANES] {
        let span = end.since(self.began).0;
        std::array::from_fn(|lane| {
            let all = self.capacity[lane];
            (all > 0).then(|| {
                if span == 0 {
                    0.0
                } else {
                    self.busy[lane] as f64 / (all as f64 * span as f64)
                }
            })
        })
    }

    /// The mean number of jobs that waited until `end`.
    pub fn queue_mean(&self, end: Time) -> f64 {
        let span = end.since(self.began).0;
        if span == 0 {
            0.0
        } else {
            self.pending_time as f64 / span as f64
        }
    }

    /// The largest difference of keys among hungry roles after a decision.
    pub fn largest_key_gap(&self) -> f64 {
        self.gap_max
    }

    /// The mean of that difference over time until `end`.
    pub fn mean_key_gap(&self, end: Time) -> f64 {
        let span = end.since(self.began).0;
        if span == 0 {
            0.0
        } else {
            self.gap_time / span as f64
        }
    }

    /// Starts that violated the sharing incentive.
    pub fn violations(&self) -> u64 {
        self.violations
    }

    /// The mean fragmentation of idle GPUs over the samples; none without GPUs.
    pub fn fragmentation(&self) -> Option<f64> {
        (self.fragmentation_count > 0)
            .then(|| self.fragmentation_sum / self.fragmentation_count as f64)
    }

    /// GPUs at the first job that found no room.
    pub fn first_failure(&self) -> Option<FirstFailure> {
        self.first_failure
    }

    /// The largest part of the GPUs that was allocated at once; none without GPUs.
    pub fn gpu_peak(&self) -> Option<f64> {
        let all = self.capacity[GPUS];
        (all > 0).then(|| self.gpus_used_max as f64 / all as f64)
    }
}
