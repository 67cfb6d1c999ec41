//! `cgroups/mem`: no more memory than the task has, swap included. When the kernel kills one of its
//! processes over that, the launcher ends all of them and says so.

use std::sync::Arc;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    cgroup::{Backend, Controller, Usage},
    container::{Container, IsolationConfig},
    launch::{MemoryWatch, Plan},
};

//= mesos, cgroups/mem: a container gets 32 MB at least
const MIN: u64 = 32 << 20;

#[derive(Debug)]
struct Memory {
    cgroups: Arc<dyn Backend>,
}

pub(super) fn build(_: &IsolationConfig, machine: &Machine) -> Result<Box<dyn Isolator>, String> {
    Ok(Box::new(Memory {
        cgroups: machine.controller(Controller::Memory)?,
    }))
}

fn limit(container: &Container) -> Option<u64> {
    container.memory.map(|bytes| bytes.max(MIN))
}

impl Isolator for Memory {
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        self.update(container)?;
        plan.memory = limit(container).map(|limit| MemoryWatch {
            directory: self.cgroups.directory(&container.name, Controller::Memory),
            also: None,
            unified: self.cgroups.is_unified(),
            limit,
        });
        Ok(())
    }

    fn update(&self, container: &Container) -> Result<(), IsolatorError> {
        match limit(container) {
            Some(bytes) => Ok(self.cgroups.set_memory(&container.name, bytes)?),
            None => Ok(()),
        }
    }

    fn usage(&self, container: &Container, usage: &mut Usage) {
        self.cgroups
            .read_usage(&container.name, Controller::Memory, usage);
    }
}
