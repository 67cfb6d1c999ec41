//! `out_jobs.csv`: the columns of Batsim's jobs file, so that tools made for it (evalys) read it.
//!
//! A *resource* is a slot of a node: what one task holds. Slots of a node are numbered on from those of the node before it, as many as it has
//! cpus, or GPUs if it has none. Of several tasks on one node each gets a slot that is free meanwhile; when
//! tasks are smaller than a cpu, several share one.
//
//= batsim, outputs: jobs

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, Write},
};

use super::{rows::Row, tables::name};
use crate::{
    amounts::{CPUS, GPUS},
    cluster::NodeId,
    engine::Outcome,
    time::Time,
    trace::JobId,
    world::{Phase, World},
};

/// A row for each job that ended or runs, in order of submission.
pub(super) fn jobs(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    out.write_all(
        b"job_id,workload_name,profile,submission_time,requested_number_of_resources,requested_time,success,final_state,\
starting_time,execution_time,finish_time,waiting_time,turnaround_time,stretch,allocated_resources,consumed_energy,metadata\n",
    )?;
    let world = &outcome.world;
    let (slots, _) = slots(world);
    let mut row = Row::new();
    for (job, id) in world.workload().jobs.iter().zip((0..).map(JobId)) {
        let state = world.state(id);
        if state.phase != Phase::Completed {
            continue;
        }
        name(&mut row, &world.workload().names[id.0 as usize]);
        row.plain("w0")
            .number(job.class.into())
            .time(job.submit)
            .number(job.tasks.into())
            .time(job.estimate);
        row.number(1)
            .plain("COMPLETED_SUCCESSFULLY")
            .time(state.start);
        let (ran, turnaround) = (state.end.since(state.start), state.end.since(job.submit));
        row.time(ran)
            .time(state.end)
            .time(state.start.since(job.submit))
            .time(turnaround);
        row.float(turnaround.0 as f64 / ran.0.max(1) as f64);
        for (nth, (first, last)) in ranges(&slots[id.0 as usize]).into_iter().enumerate() {
            if nth > 0 {
                row.byte(b' ');
            }
            row.digits(first.into());
            if last > first {
                row.byte(b'-');
                row.digits(last.into());
            }
        }
        row.empty().plain("-1").plain("").end(out)?;
    }
    Ok(())
}

/// Runs of neighbouring numbers; `numbers` are sorted.
pub(super) fn ranges(numbers: &[u32]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 >= number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

/// The slots of each completed job, sorted, and how many slots there are.
pub(super) fn slots(world: &World) -> (Vec<Vec<u32>>, u32) {
    let cluster = world.cluster();
    let mut starts = vec![0_u32];
    for node in 0..cluster.len() as u32 {
        let total = cluster.total(NodeId(node));
        let count = if total.lane(CPUS) > 0 {
            total.lane(CPUS).div_ceil(1000)
        } else {
            (total.lane(GPUS) / 1000).max(1)
        };
        starts.push(starts[starts.len() - 1].saturating_add(count));
    }
    let mut order: Vec<JobId> = (0..world.workload().jobs.len() as u32).map(JobId).collect();
    order.retain(|&job| world.state(job).phase == Phase::Completed);
    order.sort_by_key(|&job| (world.state(job).start, job));
    let mut free: Vec<BinaryHeap<Reverse<u32>>> = vec![BinaryHeap::new(); cluster.len()];
    let mut fresh: Vec<u32> = starts[..cluster.len()].to_vec();
    let mut ending: BinaryHeap<Reverse<(Time, JobId)>> = BinaryHeap::new();
    let mut slots: Vec<Vec<u32>> = vec![Vec::new(); world.workload().jobs.len()];
    for job in order {
        while let Some(&Reverse((end, ended))) = ending.peek() {
            if end > world.state(job).start {
                break;
            }
            ending.pop();
            for &slot in &slots[ended.0 as usize] {
                let node = starts.partition_point(|&start| start <= slot) - 1;
                free[node].push(Reverse(slot));
            }
        }
        let taken = &mut slots[job.0 as usize];
        for piece in world.last_pieces(job) {
            let node = piece.node.0 as usize;
            for task in 0..piece.tasks {
                let slot = match free[node].pop() {
                    Some(Reverse(slot)) => slot,
                    None if fresh[node] < starts[node + 1] => {
                        fresh[node] += 1;
                        fresh[node] - 1
                    }
                    // More tasks than slots: they share.
                    None => starts[node] + task % (starts[node + 1] - starts[node]),
                };
                taken.push(slot);
            }
        }
        taken.sort_unstable();
        taken.dedup();
        ending.push(Reverse((world.state(job).end, job)));
    }
    (slots, starts[starts.len() - 1])
}
