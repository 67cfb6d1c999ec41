//! `namespaces/pid`, `/ipc`, `/uts`, `/cgroup`: a task sees its own processes, message queues and
//! shared memory, machine name and control group, and nobody else's.

use caps::Capability;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    container::{Container, IsolationConfig},
    launch::{Namespace, Plan},
};

/// A kernel takes no longer names of machines.
const HOSTNAME_MAX: usize = 63;

#[derive(Debug)]
struct Own(Namespace);

fn build(namespace: Namespace) -> Result<Box<dyn Isolator>, String> {
    Machine::capability(Capability::CAP_SYS_ADMIN)?;
    Ok(Box::new(Own(namespace)))
}

pub(super) fn pid(_: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    build(Namespace::Pid)
}

pub(super) fn ipc(_: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    build(Namespace::Ipc)
}

pub(super) fn uts(_: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    build(Namespace::Uts)
}

pub(super) fn cgroup(_: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    build(Namespace::Cgroup)
}

impl Isolator for Own {
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        plan.namespaces.push(self.0);
        if self.0 == Namespace::Uts {
            let name: String = container.name.chars().take(HOSTNAME_MAX).collect();
            plan.hostname = Some(name);
        }
        Ok(())
    }
}
