//! `cgroups/cpuset`: tasks run on the processors that the operator names, and leave the others to
//! the machine.

use std::sync::Arc;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    cgroup::{Backend, Controller},
    container::{Container, IsolationConfig},
    launch::Plan,
};

#[derive(Debug)]
struct Cpuset {
    cgroups: Arc<dyn Backend>,
    cpus: String,
}

pub(super) fn build(
    config: &IsolationConfig,
    machine: &Machine,
) -> Result<Box<dyn Isolator>, String> {
    let cpus = config
        .cpuset
        .clone()
        .ok_or("no processors are named for it (cpuset, as 0-3)")?;
    Ok(Box::new(Cpuset {
        cgroups: machine.controller(Controller::Cpuset)?,
        cpus,
    }))
}

impl Isolator for Cpuset {
    fn prepare(&self, container: &Container, _: &mut Plan) -> Result<(), IsolatorError> {
        Ok(self.cgroups.set_cpuset(&container.name, &self.cpus)?)
    }
}
