//! `jobs.csv`, `shares.csv` and `queue.csv`. The columns are described in `docs/simulator.md`.

use std::io::{self, Write};

use super::rows::Row;
use crate::{
    amounts::{CPUS, DISK, GPUS, MEM},
    engine::Outcome,
    time::Time,
    trace::{JobId, JobName},
    world::Phase,
};

/// The word for a phase in outputs.
pub(super) fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Coming => "coming",
        Phase::Pending => "pending",
        Phase::Running => "running",
        Phase::Completed => "completed",
        Phase::Rejected => "rejected",
        Phase::Failed => "failed",
    }
}

pub(super) fn name(row: &mut Row, name: &JobName) {
    match name {
        JobName::Number(number) => row.number(*number),
        JobName::Text(text) => row.text(text),
    };
}

/// A row for each job, in order of submission.
pub(super) fn jobs(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    out.write_all(
        b"job,role,state,submit_s,start_s,end_s,wait_s,run_s,estimate_s,tasks,cpus,mem_mib,gpus,disk_mib,attempts,nodes,reason\n",
    )?;
    let world = &outcome.world;
    let workload = world.workload();
    let mut row = Row::new();
    for (job, id) in workload.jobs.iter().zip((0..).map(JobId)) {
        let state = world.state(id);
        let ran = matches!(state.phase, Phase::Running | Phase::Completed);
        name(&mut row, &workload.names[id.0 as usize]);
        row.text(workload.roles.name(job.role).as_str())
            .plain(word(state.phase))
            .time(job.submit);
        if ran {
            row.time(state.start);
            row.time(if state.phase == Phase::Completed {
                state.end
            } else {
                Time::NEVER
            });
            row.time(state.start.since(job.submit));
        } else {
            row.empty().empty().empty();
        }
        let lanes = job.demand.lanes();
        row.time(job.run)
            .time(job.estimate)
            .number(job.tasks.into());
        row.milli(lanes[CPUS].into()).number(lanes[MEM].into());
        row.milli(lanes[GPUS].into())
            .number(lanes[DISK].into())
            .number(state.attempts.into());
        let pieces = if ran { world.last_pieces(id) } else { &[] };
        let mut nodes = 0;
        let mut last = None;
        for piece in pieces {
            nodes += u64::from(last != Some(piece.node));
            last = Some(piece.node);
        }
        row.number(nodes);
        row.text(&outcome.reason(id).unwrap_or_default());
        row.end(out)?;
    }
    Ok(())
}

/// A row for each active role at each sample.
pub(super) fn shares(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    out.write_all(b"time_s,role,pending_jobs,running_tasks,cpus,mem_mib,gpus,disk_mib,key\n")?;
    let roles = &outcome.world.workload().roles;
    let mut row = Row::new();
    for sample in outcome.series().samples() {
        for role in &sample.roles {
            row.time(sample.time).text(roles.name(role.role).as_str());
            row.number(role.pending.into()).number(role.running_tasks);
            row.milli(role.used[CPUS])
                .number(role.used[MEM])
                .milli(role.used[GPUS])
                .number(role.used[DISK]);
            row.float(role.key);
            row.end(out)?;
        }
    }
    Ok(())
}

/// A row for each sample.
pub(super) fn queue(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    out.write_all(
        b"time_s,pending_jobs,running_jobs,cpus,mem_mib,gpus,disk_mib,gpu_fragmentation\n",
    )?;
    let mut row = Row::new();
    for sample in outcome.series().samples() {
        row.time(sample.time)
            .number(sample.pending.into())
            .number(sample.running);
        row.milli(sample.used[CPUS])
            .number(sample.used[MEM])
            .milli(sample.used[GPUS])
            .number(sample.used[DISK]);
        match sample.fragmentation {
            Some(fragmentation) => row.float(fragmentation),
            None => row.empty(),
        };
        row.end(out)?;
    }
    Ok(())
}
