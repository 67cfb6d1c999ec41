//! `cgroups/pids`: a bound on processes and threads, so that a task cannot use up those of the
//! machine. Beyond it `fork` fails with EAGAIN; nothing is killed.

use std::sync::Arc;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    cgroup::{Backend, Controller, Usage},
    container::{Container, IsolationConfig},
    launch::Plan,
};

/// The container's init is not the task's.
const INIT: u64 = 1;

#[derive(Debug)]
struct Pids {
    cgroups: Arc<dyn Backend>,
    max: u64,
}

pub(super) fn build(
    config: &IsolationConfig,
    machine: &Machine,
) -> Result<Box<dyn Isolator>, String> {
    Ok(Box::new(Pids {
        cgroups: machine.controller(Controller::Pids)?,
        max: u64::from(config.pids_max),
    }))
}

impl Isolator for Pids {
    fn prepare(&self, container: &Container, _: &mut Plan) -> Result<(), IsolatorError> {
        Ok(self.cgroups.set_pids(&container.name, self.max + INIT)?)
    }

    fn usage(&self, container: &Container, usage: &mut Usage) {
        self.cgroups
            .read_usage(&container.name, Controller::Pids, usage);
    }
}
