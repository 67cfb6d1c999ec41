//! First in, first out with EASY backfill, over several resources and nodes.
//!
//! The first job that does not fit gets a reservation: by the estimates of the running jobs, the earliest time at which all of
//! its tasks fit, and the nodes they will take then. A later job may pass it if it ends before that time, or if it fits into what the
//! reservation leaves over. GPUs count by their sums in this forecast, and device by device when a job starts.
//
//= easy-2001, backfilling with one reservation

use std::collections::BTreeSet;

use super::{Event, Policy, PolicyError, Stage};
use crate::{amounts::Amounts, cluster::NodeId, time::Time, trace::JobId, world::World};

/// How far behind the first job candidates are looked for.
const DEPTH_MAX: usize = 2000;

/// The policy's memory: when running jobs are expected to end.
#[derive(Debug, Default)]
pub(super) struct Easy {
    running: BTreeSet<(Time, JobId)>,
    expected: Vec<Time>,
    /// Classes that were found not to fit in this round.
    full: Vec<u64>,
    round: u64,
    /// Waiting jobs by class, and how many classes have any.
    waiting: Vec<u32>,
    classes_waiting: usize,
}

/// What the reservation of the first job comes to.
struct Reservation {
    at: Time,
    /// What is free then beside the reserved tasks, by node.
    left: Vec<Amounts>,
}

impl Policy for Easy {
    fn on_event(&mut self, world: &World, event: Event) {
        match event {
            Event::Submitted(job) => {
                let class = world.job(job).class as usize;
                if class >= self.waiting.len() {
                    self.waiting.resize(class + 1, 0);
                }
                self.classes_waiting += usize::from(self.waiting[class] == 0);
                self.waiting[class] += 1;
            }
            Event::Ended(job) => {
                self.running.remove(&(self.expected[job.0 as usize], job));
            }
            Event::NodeDown(_) | Event::NodeUp(_) | Event::Woke => {}
        }
    }

    fn decide(&mut self, stage: &mut Stage<'_>) -> Result<(), PolicyError> {
        let first = loop {
            let Some(job) = stage.world().pending().next() else {
                return Ok(());
            };
            if !stage.start(job) {
                break job;
            }
            self.enter(stage.world(), job);
        };
        self.backfill(stage, first);
        Ok(())
    }
}

impl Easy {
    fn enter(&mut self, world: &World, job: JobId) {
        if self.expected.is_empty() {
            self.expected = vec![Time::ZERO; world.workload().jobs.len()];
        }
        let end = world.state(job).start.plus(world.job(job).estimate);
        self.expected[job.0 as usize] = end;
        self.running.insert((end, job));
        let waiting = &mut self.waiting[world.job(job).class as usize];
        *waiting -= 1;
        self.classes_waiting -= usize::from(*waiting == 0);
    }

    fn backfill(&mut self, stage: &mut Stage<'_>, first: JobId) {
        self.round += 1;
        self.full
            .resize(stage.world().workload().classes as usize, 0);
        self.full[stage.world().job(first).class as usize] = self.round;
        let (mut full, mut reservation) = (1, None);
        let mut next = stage.world().pending_after(first);
        for _ in 0..DEPTH_MAX {
            let Some(job) = next.filter(|_| full < self.classes_waiting) else {
                return;
            };
            next = stage.world().pending_after(job);
            let class = stage.world().job(job).class as usize;
            if self.full[class] == self.round {
                continue;
            }
            if !stage.would_fit(job) {
                self.full[class] = self.round;
                full += 1;
                continue;
            }
            let reservation = reservation.get_or_insert_with(|| self.reserve(stage, first));
            let ends = stage.now().plus(stage.world().job(job).estimate);
            let started = if ends <= reservation.at {
                stage.start(job)
            } else {
                start_beside(stage, job, reservation)
            };
            if started {
                self.enter(stage.world(), job);
            }
        }
    }

    /// When and where the first job will run, by estimates.
    fn reserve(&self, stage: &Stage<'_>, first: JobId) -> Reservation {
        let (world, ask) = (stage.world(), stage.ask(first));
        let cluster = world.cluster();
        let nodes = 0..cluster.len() as u32;
        let mut free: Vec<Amounts> = nodes.map(|node| cluster.free(NodeId(node))).collect();
        let room = |free: Amounts| u64::from(free.count_of(ask.demand).min(ask.tasks));
        let mut slots: u64 = free.iter().map(|&free| room(free)).sum();
        let mut at = world.now();
        for &(end, job) in &self.running {
            if slots >= u64::from(ask.tasks) {
                break;
            }
            // A job past its estimate may end at any time.
            at = end.max(world.now().plus(Time(1)));
            let held = stage.ask(job).demand;
            for piece in world.pieces(job) {
                let free = &mut free[piece.node.0 as usize];
                slots -= room(*free);
                *free = free.plus(held.times(piece.tasks));
                slots += room(*free);
            }
        }
        let mut wanted = if slots >= u64::from(ask.tasks) {
            ask.tasks
        } else {
            0
        };
        if wanted == 0 {
            at = Time::NEVER;
        }
        for free in &mut free {
            let tasks = free.count_of(ask.demand).min(wanted);
            if tasks > 0 {
                *free = free.minus(ask.demand.times(tasks));
                wanted -= tasks;
            }
        }
        Reservation { at, left: free }
    }
}

/// Starts a job in what is free now and stays free beside the reservation.
fn start_beside(stage: &mut Stage<'_>, job: JobId, reservation: &mut Reservation) -> bool {
    let ask = stage.ask(job);
    let (mut wanted, mut pieces) = (ask.tasks, Vec::new());
    for (node, left) in (0..).zip(&reservation.left) {
        let tasks = left.count_of(ask.demand).min(wanted);
        let tasks = if tasks == 0 {
            0
        } else {
            tasks.min(stage.world().cluster().count_on(NodeId(node), &ask))
        };
        if tasks > 0 {
            pieces.push((NodeId(node), tasks));
            wanted -= tasks;
        }
        if wanted == 0 {
            break;
        }
    }
    if wanted > 0 || stage.start_on(job, &pieces).is_err() {
        return false;
    }
    for (node, tasks) in pieces {
        let left = &mut reservation.left[node.0 as usize];
        *left = left.minus(ask.demand.times(tasks));
    }
    true
}
