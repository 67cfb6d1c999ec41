//! Pods of the openb trace: `name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec, qos, pod_phase,
//! creation_time, deletion_time, scheduled_time`.
//!
//! A pod is a job of one task. It runs as long as it did there: from `scheduled_time`, or from `creation_time` where that is empty, to
//! `deletion_time`. `gpu_milli` is the part of a GPU if `num_gpu` is 1. The role by `queue` is the QoS class.
//
//= fgd-2023, trace of the evaluation

use super::{
    Lined, Table,
    number::{amount, lane, seconds, shown},
    workload::{Builder, JobName, Record},
};
use crate::roles::Origin;

/// The format's reader.
pub(super) struct Pods(Table<10>);

impl Default for Pods {
    fn default() -> Self {
        Self(Table::new([
            "name",
            "cpu_milli",
            "memory_mib",
            "num_gpu",
            "gpu_milli",
            "gpu_spec",
            "qos",
            "creation_time",
            "deletion_time",
            "scheduled_time",
        ]))
    }
}

impl Lined for Pods {
    fn line(&mut self, line: &[u8], jobs: &mut Builder) -> Result<(), String> {
        let Some(
            [
                name,
                cpu,
                mem,
                gpus,
                gpu_milli,
                models,
                qos,
                created,
                deleted,
                scheduled,
            ],
        ) = self.0.cells(line)?
        else {
            return Ok(());
        };
        let submit = seconds("creation_time", created)?;
        let from = if scheduled.is_empty() {
            submit
        } else {
            seconds("scheduled_time", scheduled)?
        };
        let run = if deleted.is_empty() {
            None
        } else {
            Some(seconds("deletion_time", deleted)?.since(from))
        };
        let count = amount("num_gpu", gpus)?;
        if count.fract() != 0.0 {
            return Err(format!("num_gpu {count}: must be a whole number"));
        }
        let part = if gpu_milli.is_empty() {
            0.0
        } else {
            amount("gpu_milli", gpu_milli)?
        };
        let gpus = if count == 1.0 { part } else { count * 1000.0 };
        let models = mask(models, jobs)?;
        jobs.push(Record {
            name: text(name)?,
            submit,
            run,
            estimate: None,
            demand: [
                lane("cpu_milli", amount("cpu_milli", cpu)?, 1.0)?,
                lane("memory_mib", amount("memory_mib", mem)?, 1.0)?,
                lane("GPUs in 1/1000", gpus, 1.0)?,
                0,
            ],
            tasks: Some(1),
            models,
            origin: Origin {
                user: None,
                group: None,
                queue: Some(qos),
                role: None,
            },
        })
    }

    fn is_fatal(&self) -> bool {
        !self.0.has_header()
    }
}

fn text(name: &[u8]) -> Result<JobName, String> {
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_empty() && !text.contains(char::is_control) => {
            Ok(JobName::Text(text.into()))
        }
        _ => Err(format!("name {}: must be text", shown(name))),
    }
}

fn mask(models: &[u8], jobs: &mut Builder) -> Result<u64, String> {
    let text = std::str::from_utf8(models)
        .map_err(|_| format!("gpu_spec {}: must be text", shown(models)))?;
    let mut mask = 0;
    for model in text
        .split('|')
        .map(str::trim)
        .filter(|model| !model.is_empty())
    {
        mask |= 1 << jobs.model(model)?;
    }
    Ok(mask)
}
