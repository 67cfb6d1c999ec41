//! `linux/capabilities`: a task has none of root's powers but those that the operator names, also
//! when it runs as root.

use caps::Capability;

use super::{Isolator, IsolatorError, Machine};
use crate::{
    container::{Container, IsolationConfig},
    launch::{Plan, capability},
};

#[derive(Debug)]
struct Capabilities(Vec<String>);

pub(super) fn build(config: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    Machine::capability(Capability::CAP_SETPCAP)?;
    for name in &config.capabilities {
        let known = capability(name).ok_or(format!("{name}: there is no such capability"))?;
        Machine::capability(known).map_err(|_| format!("{name}: the agent has it not itself"))?;
    }
    Ok(Box::new(Capabilities(config.capabilities.clone())))
}

impl Isolator for Capabilities {
    fn prepare(&self, _: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        plan.capabilities = Some(self.0.clone());
        Ok(())
    }
}
