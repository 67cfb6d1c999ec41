//! The state of a simulation that policies may look at: time, jobs, queues, cluster.

mod queue;

use std::sync::Arc;

pub use self::queue::Pending;
use self::queue::Queues;
use crate::{
    cluster::{Cluster, Piece},
    time::Time,
    trace::{Job, JobId, Workload},
};

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not submitted yet, or on its way to the allocator.
    Coming,
    /// In the queue.
    Pending,
    /// It holds resources.
    Running,
    /// It has ended well.
    Completed,
    /// It can never run here.
    Rejected,
    /// It was killed by failing nodes too often.
    Failed,
}

/// What has become of a job.
#[derive(Clone, Debug)]
pub struct JobState {
    /// Where it is in its life.
    pub phase: Phase,
    /// How often it was started, and so killed by failures.
    pub attempts: u16,
    /// When its tasks began to run, in its last attempt.
    pub start: Time,
    /// When they ended; of running jobs, when they will.
    pub end: Time,
    /// Where it runs or ran.
    pub(crate) held: Held,
}

/// The pieces of a job; most jobs have one.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Nothing,
    One(Piece),
    Many(Box<[Piece]>),
}

impl Held {
    pub(crate) fn new(pieces: &[Piece]) -> Self {
        match pieces {
            [] => Held::Nothing,
            [one] => Held::One(*one),
            many => Held::Many(many.into()),
        }
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        match self {
            Held::Nothing => &[],
            Held::One(piece) => std::slice::from_ref(piece),
            Held::Many(pieces) => pieces,
        }
    }
}

/// Everything a policy can see.
#[derive(Debug)]
pub struct World {
    pub(crate) now: Time,
    pub(crate) workload: Arc<Workload>,
    pub(crate) cluster: Cluster,
    pub(crate) states: Vec<JobState>,
    pub(crate) queues: Queues,
}

impl World {
    pub(crate) fn new(workload: Arc<Workload>, cluster: Cluster) -> Self {
        let jobs = workload.jobs.len();
        let fresh = JobState {
            phase: Phase::Coming,
            attempts: 0,
            start: Time::ZERO,
            end: Time::ZERO,
            held: Held::Nothing,
        };
        Self {
            now: Time::ZERO,
            queues: Queues::new(jobs, workload.roles.len()),
            states: vec![fresh; jobs],
            workload,
            cluster,
        }
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The jobs, the roles and their names.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// The nodes.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A job as its trace says it.
    pub fn job(&self, job: JobId) -> &Job {
        &self.workload.jobs[job.at()]
    }

    /// What has become of a job.
    pub fn state(&self, job: JobId) -> &JobState {
        &self.states[job.at()]
    }

    /// Where a job runs; nothing unless it does.
    pub fn pieces(&self, job: JobId) -> &[Piece] {
        let state = self.state(job);
        if state.phase == Phase::Running {
            state.held.pieces()
        } else {
            &[]
        }
    }

    /// Where a job runs, or ran last.
    pub fn last_pieces(&self, job: JobId) -> &[Piece] {
        self.state(job).held.pieces()
    }

    /// The jobs that wait, in order of submission; jobs that a failure killed come first.
    pub fn pending(&self) -> Pending<'_> {
        self.queues.all()
    }

    /// The waiting job behind this one, which waits.
    pub fn pending_after(&self, job: JobId) -> Option<JobId> {
        self.queues.after(job)
    }

    /// The jobs of a role that wait, in the same order.
    pub fn pending_of(&self, role: u32) -> Pending<'_> {
        self.queues.of(role)
    }

    /// How many jobs wait.
    pub fn pending_len(&self) -> usize {
        self.queues.len()
    }

    /// How many jobs of a role wait.
    pub fn pending_len_of(&self, role: u32) -> usize {
        self.queues.len_of(role)
    }
}
