//! What a role's jobs would have taken on a private part of the cluster.
//!
//! The part is what its weight is entitled to among all roles of the trace, of each resource, as one pool: no nodes, no fragmentation. Jobs go
//! first in, first out. A job larger than the pool takes all of what it lacks and runs longer in proportion.
//
//= themis-2020 §3, finish-time fairness

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    amounts::LANES,
    time::Time,
    trace::{Job, JobId},
    world::{Phase, World},
};

/// By role: the turnaround of its completed jobs over that of the same jobs alone; none without such jobs.
pub(super) fn ratios(world: &World) -> Vec<Option<f64>> {
    let roles = &world.workload().roles;
    let mut completed: Vec<Vec<JobId>> = vec![Vec::new(); roles.len()];
    for (job, id) in world.workload().jobs.iter().zip((0..).map(JobId)) {
        if world.state(id).phase == Phase::Completed {
            completed[job.role as usize].push(id);
        }
    }
    let all: f64 = (0..roles.len() as u32).map(|role| roles.weight(role)).sum();
    let ratio = |(role, jobs): (u32, &Vec<JobId>)| {
        let part = roles.weight(role) / all;
        let pool = world
            .cluster()
            .capacity()
            .map(|amount| amount as f64 * part);
        let shared: f64 = jobs
            .iter()
            .map(|&job| {
                world
                    .state(job)
                    .end
                    .since(world.job(job).submit)
                    .as_secs_f64()
            })
            .sum();
        let alone = turnaround(world, jobs, pool);
        (alone > 0.0).then(|| shared / alone)
    };
    (0..).zip(&completed).map(ratio).collect()
}

/// The sum of the jobs' turnarounds on the pool, in s.
fn turnaround(world: &World, jobs: &[JobId], pool: [f64; LANES]) -> f64 {
    let mut free = pool;
    let mut running: BinaryHeap<Reverse<(Time, u32)>> = BinaryHeap::new();
    let mut held: Vec<[f64; LANES]> = Vec::with_capacity(jobs.len());
    let (mut now, mut sum) = (Time::ZERO, 0.0);
    for (&id, nth) in jobs.iter().zip(0..) {
        let job = world.job(id);
        let (needs, stretch) = needs(world, job, &pool);
        now = now.max(job.submit);
        // What is rounded is not to keep a job from a pool that is all its own.
        let fits = |free: &[f64; LANES]| (0..LANES).all(|lane| needs[lane] <= free[lane] + 1e-6);
        while let Some(&Reverse((end, ended))) = running.peek() {
            if end > now && fits(&free) {
                break;
            }
            now = now.max(end);
            for (free, held) in free.iter_mut().zip(held[ended as usize]) {
                *free += held;
            }
            running.pop();
        }
        let end = now.plus(Time((job.run.0 as f64 * stretch) as u64));
        for (free, needs) in free.iter_mut().zip(needs) {
            *free -= needs;
        }
        held.push(needs);
        running.push(Reverse((end, nth)));
        sum += end.since(job.submit).as_secs_f64();
    }
    sum
}

/// What a job takes of the pool, and how much longer it runs if that is less than it asks for.
fn needs(world: &World, job: &Job, pool: &[f64; LANES]) -> ([f64; LANES], f64) {
    let ask = world.cluster().ask(job);
    let wants: [f64; LANES] = ask
        .demand
        .lanes()
        .map(|lane| f64::from(lane) * f64::from(ask.tasks));
    let stretch = |lane: usize| {
        if wants[lane] > 0.0 && pool[lane] > 0.0 {
            wants[lane] / pool[lane]
        } else {
            0.0
        }
    };
    let stretch = (0..LANES).map(stretch).fold(1.0, f64::max);
    (
        std::array::from_fn(|lane| wants[lane].min(pool[lane])),
        stretch,
    )
}
