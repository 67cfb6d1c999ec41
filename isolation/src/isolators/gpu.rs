//! `gpu/nvidia`: a task sees the device nodes of its GPUs and of no others, and is charged for what it
//! does on them. Which GPUs it has, the agent decides.
//!
//! What may be opened is up to `cgroups/devices`, which asks here for the numbers; what is seen in
//! `/dev`, to `filesystem/linux`, which comes before this one.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use super::{Isolator, IsolatorError, Machine};
use crate::{
    cgroup::{Backend, Controller, Usage},
    container::{Container, IsolationConfig},
    gpu::{Cdi, Device, Grant, Meter},
    launch::Plan,
};

/// The GPUs of the agent, for isolators.
#[derive(Clone, Debug)]
pub(super) struct Gpus {
    devices: Vec<Device>,
    cdi_dirs: Vec<PathBuf>,
}

impl Gpus {
    pub(super) fn of(config: &IsolationConfig) -> Self {
        Self {
            devices: config.gpus.clone(),
            cdi_dirs: config.cdi_dirs.clone(),
        }
    }

    /// Whether the agent has any.
    pub(super) fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// What a container gets with its GPUs.
    pub(super) fn grant(&self, container: &Container) -> Result<Grant, IsolatorError> {
        let has = |device: &&Device| container.gpus.iter().any(|has| has.uuid == device.uuid);
        self.grant_of(self.devices.iter().filter(has).collect())
    }

    fn grant_of(&self, devices: Vec<&Device>) -> Result<Grant, IsolatorError> {
        if devices.is_empty() {
            return Ok(Grant::default());
        }
        // What cannot be read was told when the agent looked for GPUs.
        let (cdi, _) = Cdi::read(&self.cdi_dirs);
        Grant::of(&devices, &cdi).map_err(IsolatorError::Refused)
    }
}

#[derive(Debug)]
struct Nvidia {
    gpus: Gpus,
    meter: Meter,
    cgroups: Option<Arc<dyn Backend>>,
    /// Whether `cgroups/devices` keeps containers off the nodes that they see.
    is_ruled: bool,
}

pub(super) fn build(
    config: &IsolationConfig,
    machine: &Machine,
) -> Result<Box<dyn Isolator>, String> {
    let named = |name: &String| name == "auto" || name == "cgroups/devices";
    Ok(Box::new(Nvidia {
        gpus: Gpus::of(config),
        meter: Meter::default(),
        cgroups: machine.cgroups.clone(),
        is_ruled: config.isolators.iter().any(named)
            && machine.controller(Controller::Devices).is_ok(),
    }))
}

impl Isolator for Nvidia {
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        let mut grant = self.gpus.grant(container)?;
        if container.grows && self.is_ruled {
            // `/dev` stays as it is made now, what may be opened changes.
            grant.nodes = self
                .gpus
                .grant_of(self.gpus.devices.iter().collect())?
                .nodes;
        }
        for (name, value) in grant.environment {
            plan.environment.entry(name).or_insert(value);
        }
        if let Some(root) = &mut plan.root {
            root.devices.extend(grant.nodes);
            root.binds.extend(grant.mounts);
            if root.image.is_some() {
                root.binds.extend(grant.shown);
            }
        }
        Ok(())
    }

    fn usage(&self, container: &Container, usage: &mut Usage) {
        if container.gpus.is_empty() {
            return;
        }
        let group = self.cgroups.as_ref().map(|cgroups| {
            let directory = cgroups.directory(&container.name, Controller::Freezer);
            fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default()
        });
        let processes: BTreeSet<u32> = group
            .iter()
            .flat_map(|text| text.lines())
            .filter_map(|line| line.parse().ok())
            .collect();
        self.meter.read(&container.gpus, &processes, usage);
    }
}
