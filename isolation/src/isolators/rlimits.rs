//! `posix/rlimits`: limits of each process, as `setrlimit` sets them.

use super::{Isolator, IsolatorError, Machine};
use crate::{
    container::{Container, IsolationConfig},
    launch::{Plan, Rlimit, resource},
};

#[derive(Debug)]
struct Rlimits(Vec<Rlimit>);

pub(super) fn build(config: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    for limit in &config.rlimits {
        resource(&limit.name).map_err(|_| format!("{}: there is no such limit", limit.name))?;
        if limit.soft > limit.hard {
            return Err(format!("{}: soft is above hard", limit.name));
        }
    }
    Ok(Box::new(Rlimits(config.rlimits.clone())))
}

impl Isolator for Rlimits {
    fn prepare(&self, _: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        plan.rlimits.extend(self.0.iter().cloned());
        Ok(())
    }
}
