//! `cgroups/devices`: no devices but those that harm nobody, and the task's GPUs.

use std::sync::Arc;

use super::{Isolator, IsolatorError, Machine, gpu::Gpus};
use crate::{
    cgroup::{Backend, Controller, Device},
    container::{Container, IsolationConfig},
    launch::Plan,
};

/// null, zero, full, random, urandom, tty, ptmx, and pseudo-terminals.
const ALLOWED: &[(i64, Option<i64>)] = &[
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

#[derive(Debug)]
struct Devices {
    cgroups: Arc<dyn Backend>,
    gpus: Gpus,
}

pub(super) fn build(
    config: &IsolationConfig,
    machine: &Machine,
) -> Result<Box<dyn Isolator>, String> {
    Ok(Box::new(Devices {
        cgroups: machine.controller(Controller::Devices)?,
        gpus: Gpus::of(config),
    }))
}

impl Devices {
    fn allow(&self, container: &Container) -> Result<(), IsolatorError> {
        let harmless = ALLOWED.iter().map(|&(major, minor)| Device {
            major,
            minor,
            make: false,
        });
        let gpus = self.gpus.grant(container)?.numbers();
        let allowed: Vec<Device> = harmless.chain(gpus).collect();
        Ok(self.cgroups.set_devices(&container.name, &allowed)?)
    }
}

impl Isolator for Devices {
    fn prepare(&self, container: &Container, _: &mut Plan) -> Result<(), IsolatorError> {
        self.allow(container)
    }

    fn update(&self, container: &Container) -> Result<(), IsolatorError> {
        match self.gpus.is_empty() {
            true => Ok(()),
            false => self.allow(container),
        }
    }
}
