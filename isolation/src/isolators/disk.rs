//! `disk/du`: a task whose sandbox holds more than the task has of the disk is ended. Looked at
//! every 15 s unless configured otherwise, as adding files up takes a while.

use super::{Isolator, IsolatorError, Machine};
use crate::{
    cgroup::Usage,
    container::{Container, IsolationConfig},
    launch::{DiskWatch, Plan, disk_used},
};

#[derive(Debug)]
struct Disk {
    interval_ms: u64,
}

pub(super) fn build(config: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    let interval_ms = config.disk_interval_ms;
    if interval_ms == 0 {
        return Err("disk_interval_ms = 0: must be a number > 0".to_owned());
    }
    Ok(Box::new(Disk { interval_ms }))
}

impl Isolator for Disk {
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        plan.disk = container.disk.map(|limit| DiskWatch {
            directory: container.sandbox.clone(),
            also: container.changes(),
            limit,
            interval_ms: self.interval_ms,
        });
        Ok(())
    }

    fn usage(&self, container: &Container, usage: &mut Usage) {
        // Adding files up takes a while; nobody asks for it where there is no limit.
        usage.disk = container.disk.map(|_| {
            let changes = container.changes();
            disk_used(&container.sandbox) + changes.as_deref().map_or(0, disk_used)
        });
    }
}
