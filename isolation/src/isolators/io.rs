//! `cgroups/blkio`: counts what a task reads from disks and writes to them.

use std::sync::Arc;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    cgroup::{Backend, Controller, Usage},
    container::{Container, IsolationConfig},
    launch::Plan,
};

#[derive(Debug)]
struct Io {
    cgroups: Arc<dyn Backend>,
}

pub(super) fn build(_: &IsolationConfig, machine: &Machine) -> Result<Box<dyn Isolator>, String> {
    Ok(Box::new(Io {
        cgroups: machine.controller(Controller::Io)?,
    }))
}

impl Isolator for Io {
    fn prepare(&self, _: &Container, _: &mut Plan) -> Result<(), IsolatorError> {
        Ok(())
    }

    fn usage(&self, container: &Container, usage: &mut Usage) {
        self.cgroups
            .read_usage(&container.name, Controller::Io, usage);
    }
}
