//! `cgroups/cpu`: processors in proportion to what the task has, or no more than that.

use std::sync::Arc;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    cgroup::{Backend, Controller, Usage},
    container::{Container, IsolationConfig},
    launch::Plan,
};

#[derive(Debug)]
struct Cpu {
    cgroups: Arc<dyn Backend>,
    is_hard: bool,
}

pub(super) fn build(
    config: &IsolationConfig,
    machine: &Machine,
) -> Result<Box<dyn Isolator>, String> {
    Ok(Box::new(Cpu {
        cgroups: machine.controller(Controller::Cpu)?,
        is_hard: config.cpu_hard_limit,
    }))
}

impl Isolator for Cpu {
    fn prepare(&self, container: &Container, _: &mut Plan) -> Result<(), IsolatorError> {
        self.update(container)
    }

    fn update(&self, container: &Container) -> Result<(), IsolatorError> {
        let milli = container.milli_cpus;
        let max = container.milli_cpus_max.or(self.is_hard.then_some(milli));
        Ok(self.cgroups.set_cpu(&container.name, milli, max)?)
    }

    fn usage(&self, container: &Container, usage: &mut Usage) {
        self.cgroups
            .read_usage(&container.name, Controller::Cpuacct, usage);
        self.cgroups
            .read_usage(&container.name, Controller::Cpu, usage);
    }
}
