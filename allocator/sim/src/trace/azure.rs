//! Azure VMs: `vm_id, batch_id, arrival_s, vcpu, mem_gib, life_lo_s, life_hi_s, still_running`.
//!
//! A VM is a job of one task. Its lifetime is drawn evenly between `life_lo_s` and `life_hi_s`; a VM that was still running at the
//! end of the trace does not end. The batch is its user, so that roles by user are tenants' batches.
//
//= azure-2017

use super::{
    Lined, Table,
    number::{amount, lane, seconds, shown},
    workload::{Builder, JobName, Record},
};
use crate::{random::Random, roles::Origin, time::Time};

/// The format's reader.
pub(super) struct Vms<'a> {
    table: Table<8>,
    random: &'a mut Random,
}

impl<'a> Vms<'a> {
    pub(super) fn new(random: &'a mut Random) -> Self {
        let table = Table::new([
            "vm_id",
            "batch_id",
            "arrival_s",
            "vcpu",
            "mem_gib",
            "life_lo_s",
            "life_hi_s",
            "still_running",
        ]);
        Self { table, random }
    }
}

impl Lined for Vms<'_> {
    fn line(&mut self, line: &[u8], jobs: &mut Builder) -> Result<(), String> {
        let Some([id, batch, arrival, cpus, mem, least, most, running]) = self.table.cells(line)?
        else {
            return Ok(());
        };
        let name = std::str::from_utf8(id)
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        let name =
            name.ok_or_else(|| format!("vm_id {}: must be a whole number >= 0", shown(id)))?;
        let least = seconds("life_lo_s", least)?;
        let run = match running {
            b"1" => Time::NEVER,
            b"0" => {
                let most = seconds("life_hi_s", most)?;
                if most < least {
                    return Err(format!(
                        "life_hi_s {most}: must be at least life_lo_s {least}"
                    ));
                }
                least.plus(Time(self.random.below(most.since(least).0 + 1)))
            }
            other => return Err(format!("still_running {}: must be 0 or 1", shown(other))),
        };
        jobs.push(Record {
            name: JobName::Number(name),
            submit: seconds("arrival_s", arrival)?,
            run: Some(run),
            estimate: None,
            demand: [
                lane("vcpu", amount("vcpu", cpus)?, 1000.0)?,
                lane("mem_gib", amount("mem_gib", mem)?, 1024.0)?,
                0,
                0,
            ],
            tasks: Some(1),
            models: 0,
            origin: Origin {
                user: Some(batch),
                ..Origin::default()
            },
        })
    }

    fn is_fatal(&self) -> bool {
        !self.table.has_header()
    }
}
