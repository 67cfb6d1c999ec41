//! `network/private`: a task that asks for it, or all of them, has a network of its own.

use std::collections::BTreeSet;

use caps::Capability;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    container::{Container, IsolationConfig},
    launch::{Namespace, Plan},
    network::Networks,
};

#[derive(Debug)]
struct Private(Networks);

pub(super) fn build(config: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    Machine::capability(Capability::CAP_SYS_ADMIN)?;
    Machine::capability(Capability::CAP_NET_ADMIN)?;
    let networks = Networks::new(
        &config.work_dir,
        config.number(),
        config.network_subnet,
        config.egress_mbit,
    )?;
    Ok(Box::new(Private(networks)))
}

impl Isolator for Private {
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        let Some(wish) = &container.network else {
            return Ok(());
        };
        plan.network = Some(self.0.join(&container.name, wish)?);
        plan.namespaces.push(Namespace::Network);
        Ok(())
    }

    fn cleanup(&self, name: &str) -> Result<(), IsolatorError> {
        self.0.leave(name)
    }

    fn left(&self) -> BTreeSet<String> {
        self.0.left()
    }
}
