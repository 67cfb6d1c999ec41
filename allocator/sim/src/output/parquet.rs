//! `jobs.parquet`, `shares.parquet`, `queue.parquet`: the tables of `tables.rs` for data frames.

use std::{io::Write, sync::Arc};

use parquet::{
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use super::tables::word;
use crate::{
    amounts::{CPUS, DISK, GPUS, MEM},
    engine::Outcome,
    trace::JobId,
    world::Phase,
};

/// The values of a column.
enum Values {
    Text(Vec<ByteArray>),
    Whole(Vec<i64>),
    Number(Vec<f64>),
    Maybe(Vec<Option<f64>>),
}

type Column = (&'static str, Values);

impl Values {
    fn declaration(&self, name: &str) -> String {
        match self {
            Values::Text(_) => format!("required binary {name} (UTF8);"),
            Values::Whole(_) => format!("required int64 {name};"),
            Values::Number(_) => format!("required double {name};"),
            Values::Maybe(_) => format!("optional double {name};"),
        }
    }
}

fn write(out: impl Write + Send, name: &str, columns: &[Column]) -> Result<(), ParquetError> {
    let fields: Vec<String> = columns
        .iter()
        .map(|(name, values)| values.declaration(name))
        .collect();
    let schema = parse_message_type(&format!("message {name} {{ {} }}", fields.join(" ")))?;
    let properties = WriterProperties::builder()
        .set_created_by("tepui".to_owned())
        .build();
    let mut writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (_, values) in columns {
        let Some(mut column) = group.next_column()? else {
            break;
        };
        match values {
            Values::Text(values) => {
                _ = column
                    .typed::<ByteArrayType>()
                    .write_batch(values, None, None)?
            }
            Values::Whole(values) => {
                _ = column
                    .typed::<Int64Type>()
                    .write_batch(values, None, None)?
            }
            Values::Number(values) => {
                _ = column
                    .typed::<DoubleType>()
                    .write_batch(values, None, None)?
            }
            Values::Maybe(values) => {
                let levels: Vec<i16> = values
                    .iter()
                    .map(|value| i16::from(value.is_some()))
                    .collect();
                let there: Vec<f64> = values.iter().flatten().copied().collect();
                column
                    .typed::<DoubleType>()
                    .write_batch(&there, Some(&levels), None)?;
            }
        }
        column.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

fn text(value: &str) -> ByteArray {
    ByteArray::from(value.as_bytes().to_vec())
}

/// A row for each job, in order of submission.
pub(super) fn jobs(out: impl Write + Send, outcome: &Outcome) -> Result<(), ParquetError> {
    let world = &outcome.world;
    let workload = world.workload();
    let jobs = &workload.jobs;
    let ids = || (0..jobs.len() as u32).map(JobId);
    let ended = |job: JobId| world.state(job).phase == Phase::Completed;
    let ran = |job: JobId| ended(job) || world.state(job).phase == Phase::Running;
    let milli = |lane: usize| {
        jobs.iter()
            .map(|job| f64::from(job.demand.lane(lane)) / 1000.0)
            .collect()
    };
    let whole = |lane: usize| {
        jobs.iter()
            .map(|job| job.demand.lane(lane).into())
            .collect()
    };
    let columns = [
        (
            "job",
            Values::Text(
                workload
                    .names
                    .iter()
                    .map(|name| text(&name.to_string()))
                    .collect(),
            ),
        ),
        (
            "role",
            Values::Text(
                jobs.iter()
                    .map(|job| text(workload.roles.name(job.role).as_str()))
                    .collect(),
            ),
        ),
        (
            "state",
            Values::Text(
                ids()
                    .map(|job| text(word(world.state(job).phase)))
                    .collect(),
            ),
        ),
        (
            "submit_s",
            Values::Number(jobs.iter().map(|job| job.submit.as_secs_f64()).collect()),
        ),
        (
            "start_s",
            Values::Maybe(
                ids()
                    .map(|job| ran(job).then(|| world.state(job).start.as_secs_f64()))
                    .collect(),
            ),
        ),
        (
            "end_s",
            Values::Maybe(
                ids()
                    .map(|job| ended(job).then(|| world.state(job).end.as_secs_f64()))
                    .collect(),
            ),
        ),
        (
            "tasks",
            Values::Whole(jobs.iter().map(|job| job.tasks.into()).collect()),
        ),
        ("cpus", Values::Number(milli(CPUS))),
        ("mem_mib", Values::Whole(whole(MEM))),
        ("gpus", Values::Number(milli(GPUS))),
        ("disk_mib", Values::Whole(whole(DISK))),
        (
            "attempts",
            Values::Whole(ids().map(|job| world.state(job).attempts.into()).collect()),
        ),
    ];
    write(out, "jobs", &columns)
}

/// A row for each active role at each sample.
pub(super) fn shares(out: impl Write + Send, outcome: &Outcome) -> Result<(), ParquetError> {
    let roles = &outcome.world.workload().roles;
    let samples = outcome.series().samples();
    let rows = || {
        samples
            .iter()
            .flat_map(|sample| sample.roles.iter().map(move |role| (sample.time, role)))
    };
    let milli = |lane: usize| {
        rows()
            .map(|(_, role)| role.used[lane] as f64 / 1000.0)
            .collect()
    };
    let whole = |lane: usize| rows().map(|(_, role)| role.used[lane] as i64).collect();
    let columns = [
        (
            "time_s",
            Values::Number(rows().map(|(time, _)| time.as_secs_f64()).collect()),
        ),
        (
            "role",
            Values::Text(
                rows()
                    .map(|(_, role)| text(roles.name(role.role).as_str()))
                    .collect(),
            ),
        ),
        (
            "pending_jobs",
            Values::Whole(rows().map(|(_, role)| role.pending.into()).collect()),
        ),
        (
            "running_tasks",
            Values::Whole(rows().map(|(_, role)| role.running_tasks as i64).collect()),
        ),
        ("cpus", Values::Number(milli(CPUS))),
        ("mem_mib", Values::Whole(whole(MEM))),
        ("gpus", Values::Number(milli(GPUS))),
        ("disk_mib", Values::Whole(whole(DISK))),
        (
            "key",
            Values::Number(rows().map(|(_, role)| role.key).collect()),
        ),
    ];
    write(out, "shares", &columns)
}

/// A row for each sample.
pub(super) fn queue(out: impl Write + Send, outcome: &Outcome) -> Result<(), ParquetError> {
    let samples = outcome.series().samples();
    let milli = |lane: usize| {
        samples
            .iter()
            .map(|sample| sample.used[lane] as f64 / 1000.0)
            .collect()
    };
    let whole = |lane: usize| {
        samples
            .iter()
            .map(|sample| sample.used[lane] as i64)
            .collect()
    };
    let columns = [
        (
            "time_s",
            Values::Number(
                samples
                    .iter()
                    .map(|sample| sample.time.as_secs_f64())
                    .collect(),
            ),
        ),
        (
            "pending_jobs",
            Values::Whole(samples.iter().map(|sample| sample.pending.into()).collect()),
        ),
        (
            "running_jobs",
            Values::Whole(samples.iter().map(|sample| sample.running as i64).collect()),
        ),
        ("cpus", Values::Number(milli(CPUS))),
        ("mem_mib", Values::Whole(whole(MEM))),
        ("gpus", Values::Number(milli(GPUS))),
        ("disk_mib", Values::Whole(whole(DISK))),
        (
            "gpu_fragmentation",
            Values::Maybe(samples.iter().map(|sample| sample.fragmentation).collect()),
        ),
    ];
    write(out, "queue", &columns)
}
