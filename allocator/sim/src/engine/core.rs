//! What happens to jobs and nodes: arriving, starting, ending, failing. The loop is in `engine.rs`.

use std::collections::BTreeMap;

use super::{
    Options,
    events::{Events, What},
    tell,
};
use crate::{
    amounts::GPUS,
    cluster::{Ask, NodeId, Piece, Placement},
    meter::Meter,
    policy::{Event, Policy},
    random::Random,
    time::Time,
    trace::JobId,
    world::{Held, Phase, World},
};

/// Whether a class of jobs can ever run on the whole cluster.
#[derive(Clone, Debug)]
enum Ever {
    Unknown,
    Yes,
    Never(String),
}

/// The state of a run.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) world: World,
    pub(crate) placement: Placement,
    pub(crate) random: Random,
    pub(crate) meter: Meter,
    /// A place to put pieces together, kept to be used again.
    pub(crate) pieces: Vec<Piece>,
    /// Jobs started in this decision.
    pub(crate) started_now: Vec<JobId>,
    pub(super) events: u64,
    pub(super) done: u64,
    pub(super) killed: u64,
    pub(super) revoked: u64,
    /// Jobs that the policy turned away, and why.
    pub(super) turned_away: BTreeMap<JobId, String>,
    options: Options,
    ahead: Events,
    chance: Random,
    ever: Vec<Ever>,
    /// Running jobs by node; kept only if nodes fail.
    on_node: Vec<Vec<JobId>>,
    /// Planned ends that are still true, planned repairs, planned wakings.
    frees: u64,
    repairs: u64,
    wakes: u64,
    next_wake: Time,
}

impl Core {
    pub(super) fn new(world: World, options: Options) -> Self {
        let mut core = Self {
            meter: Meter::new(&world),
            placement: options.placement,
            random: Random::new(options.seed, 2),
            chance: Random::new(options.seed, 3),
            pieces: Vec::new(),
            started_now: Vec::new(),
            events: 0,
            done: 0,
            killed: 0,
            revoked: 0,
            turned_away: BTreeMap::new(),
            ahead: Events::default(),
            ever: vec![Ever::Unknown; world.workload.classes as usize],
            on_node: Vec::new(),
            frees: 0,
            repairs: 0,
            wakes: 0,
            next_wake: Time::NEVER,
            options,
            world,
        };
        if core.options.failures.is_some() {
            core.on_node = vec![Vec::new(); core.world.cluster.len()];
            let begin = core
                .world
                .workload
                .jobs
                .first()
                .map_or(Time::ZERO, |job| job.submit);
            core.world.now = begin;
            for node in 0..core.world.cluster.len() {
                core.plan_failure(node as u32);
            }
        }
        core
    }

    /// When something happens next that can still matter; none at the end.
    pub(super) fn next_time(&self, arrival: Option<Time>) -> Option<Time> {
        let ahead = self.ahead.next_time();
        match arrival {
            Some(arrival) => Some(ahead.map_or(arrival, |ahead| ahead.min(arrival))),
            None if self.frees > 0 => ahead,
            None if self.world.pending_len() > 0 && self.repairs + self.wakes > 0 => ahead,
            None => None,
        }
    }

    pub(super) fn advance(&mut self, now: Time) {
        self.meter.advance(&mut self.world, now);
        self.world.now = now;
    }

    pub(super) fn due(&mut self) -> Option<What> {
        self.ahead.due(self.world.now)
    }

    pub(super) fn apply(&mut self, what: What, policy: &mut dyn Policy) {
        match what {
            What::Free { job, attempt } => {
                let job = JobId(job);
                let state = &self.world.states[job.at()];
                if state.phase == Phase::Running && state.attempts == attempt {
                    self.events += 1;
                    self.frees -= 1;
                    self.end(job, Phase::Completed);
                    tell(self, policy, Event::Ended(job));
                }
            }
            What::Fail(node) => self.fail(NodeId(node), policy),
            What::Repair(node) => {
                self.events += 1;
                self.repairs -= 1;
                self.world.cluster.set_up(NodeId(node));
                self.plan_failure(node);
                tell(self, policy, Event::NodeUp(NodeId(node)));
            }
            What::Wake => {
                self.events += 1;
                self.wakes -= 1;
                self.next_wake = Time::NEVER;
                tell(self, policy, Event::Woke);
            }
        }
    }

    pub(super) fn arrive(&mut self, job: JobId, policy: &mut dyn Policy) {
        self.events += 1;
        let of = &self.world.workload.jobs[job.at()];
        let (class, role) = (of.class as usize, of.role);
        let ask = self.ask(job);
        if of.unfit.is_none() && matches!(self.ever[class], Ever::Unknown) {
            let never = if ask.demand.is_zero() {
                Some("it asks for nothing that is counted on these nodes".to_owned())
            } else {
                self.world.cluster.never(&ask)
            };
            self.ever[class] = never.map_or(Ever::Yes, Ever::Never);
        }
        if of.unfit.is_some() || matches!(self.ever[class], Ever::Never(_)) {
            self.world.states[job.at()].phase = Phase::Rejected;
            self.done += 1;
            return;
        }
        self.world.states[job.at()].phase = Phase::Pending;
        self.world.queues.push_back(job, role);
        self.meter.queued(&self.world, role);
        tell(self, policy, Event::Submitted(job));
    }

    /// Notes whether one of the jobs that have just arrived wants GPUs and has to wait.
    pub(super) fn watch_gpus(&mut self, jobs: std::ops::Range<u32>) {
        if !self.meter.watches_gpus() {
            return;
        }
        let waits = |job: &JobId| {
            self.world.job(*job).demand.lane(GPUS) > 0
                && self.world.state(*job).phase == Phase::Pending
        };
        if jobs.map(JobId).any(|job| waits(&job)) {
            self.meter.gpu_job_waits(&self.world);
        }
    }

    /// What a job asks for here.
    pub(crate) fn ask(&self, job: JobId) -> Ask {
        self.world.cluster.ask(&self.world.workload.jobs[job.at()])
    }

    /// Whether there is room for all tasks now.
    pub(crate) fn would_fit(&mut self, ask: &Ask) -> bool {
        let mut pieces = std::mem::take(&mut self.pieces);
        let fits =
            self.world
                .cluster
                .place(Placement::FirstFit, ask, &mut self.random, &mut pieces);
        self.pieces = pieces;
        fits
    }

    /// Starts a pending job on pieces that have room.
    pub(crate) fn start(&mut self, job: JobId, ask: &Ask, pieces: &mut Vec<Piece>) {
        self.meter.before_start(&mut self.world, job);
        self.world.cluster.claim(ask, pieces);
        let of = &self.world.workload.jobs[job.at()];
        let (role, run) = (of.role, of.run);
        self.world.queues.remove(job, role);
        let latency = self.options.latency;
        let start = self.world.now.plus(Time(latency.0.saturating_mul(2)));
        let end = start.plus(run);
        let state = &mut self.world.states[job.at()];
        state.phase = Phase::Running;
        state.attempts = state.attempts.saturating_add(1);
        (state.start, state.end) = (start, end);
        state.held = Held::new(pieces);
        if end != Time::NEVER {
            let what = What::Free {
                job: job.0,
                attempt: state.attempts,
            };
            self.ahead.plan(end.plus(latency), what);
            self.frees += 1;
        }
        if !self.on_node.is_empty() {
            for piece in pieces.iter() {
                self.on_node[piece.node.at()].push(job);
            }
        }
        self.events += 1;
        self.started_now.push(job);
        self.meter.started(&self.world, job, ask);
    }

    /// Ends a running job; its resources are free.
    fn end(&mut self, job: JobId, phase: Phase) {
        let ask = self.ask(job);
        let state = &mut self.world.states[job.at()];
        state.phase = phase;
        self.world.cluster.release(&ask, state.held.pieces());
        if !self.on_node.is_empty() {
            for piece in state.held.pieces() {
                self.on_node[piece.node.at()].retain(|other| *other != job);
            }
        }
        self.done += u64::from(phase == Phase::Completed || phase == Phase::Failed);
        self.meter.ended(&self.world, job, &ask);
    }

    /// A running job is killed for another one, and waits again in front of the queue.
    pub(crate) fn revoke(&mut self, job: JobId) {
        self.events += 1;
        self.revoked += 1;
        self.stop(job, Phase::Pending);
        let role = self.world.workload.jobs[job.at()].role;
        self.world.queues.push_front(job, role);
        self.meter.queued(&self.world, role);
    }

    /// A waiting job will never be run.
    pub(crate) fn turn_away(&mut self, job: JobId, why: String) {
        let role = self.world.workload.jobs[job.at()].role;
        self.world.states[job.at()].phase = Phase::Rejected;
        self.world.queues.remove(job, role);
        self.done += 1;
        self.turned_away.insert(job, why);
        self.meter.queued(&self.world, role);
    }

    /// Ends a running job before its time.
    fn stop(&mut self, job: JobId, phase: Phase) {
        let state = &mut self.world.states[job.at()];
        self.frees -= u64::from(state.end != Time::NEVER);
        state.end = self.world.now;
        self.end(job, phase);
    }

    /// A node fails: its jobs are killed, whole gangs, and wait again in front of the queue.
    fn fail(&mut self, node: NodeId, policy: &mut dyn Policy) {
        let Some(failures) = self.options.failures else {
            return;
        };
        self.events += 1;
        let mut hit = std::mem::take(&mut self.on_node[node.at()]);
        hit.sort_unstable();
        hit.dedup();
        for &job in hit.iter().rev() {
            let is_last = self.world.states[job.at()].attempts >= failures.attempts_max;
            self.killed += 1;
            self.stop(
                job,
                if is_last {
                    Phase::Failed
                } else {
                    Phase::Pending
                },
            );
            tell(self, policy, Event::Ended(job));
            if !is_last {
                let role = self.world.workload.jobs[job.at()].role;
                self.world.queues.push_front(job, role);
                self.meter.queued(&self.world, role);
                tell(self, policy, Event::Submitted(job));
            }
        }
        self.world.cluster.set_down(node);
        let repair = self.span(failures.mttr);
        self.ahead
            .plan(self.world.now.plus(repair), What::Repair(node.0));
        self.repairs += 1;
        tell(self, policy, Event::NodeDown(node));
    }

    fn plan_failure(&mut self, node: u32) {
        if let Some(failures) = self.options.failures {
            let after = self.span(failures.mtbf);
            self.ahead
                .plan(self.world.now.plus(after), What::Fail(node));
        }
    }

    /// An exponentially distributed span, at least 1 µs.
    fn span(&mut self, mean: Time) -> Time {
        let micros = self.chance.exponential(mean.0 as f64);
        Time((micros as u64).max(1))
    }

    pub(crate) fn wake_at(&mut self, time: Time) {
        let time = time.max(self.world.now.plus(Time(1)));
        if time < self.next_wake {
            self.next_wake = time;
            self.wakes += 1;
            self.ahead.plan(time, What::Wake);
        }
    }

    pub(super) fn never_texts(&self) -> Vec<Option<String>> {
        let text = |ever: &Ever| match ever {
            Ever::Never(reason) => Some(reason.clone()),
            Ever::Unknown | Ever::Yes => None,
        };
        self.ever.iter().map(text).collect()
    }
}
