//! `linux/nnp`: nothing that a task executes gains privileges by set-user-id or file capabilities.

use super::{Isolator, IsolatorError, Machine};
use crate::{
    container::{Container, IsolationConfig},
    launch::Plan,
};

#[derive(Debug)]
struct NoNewPrivileges;

pub(super) fn build(_: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    Ok(Box::new(NoNewPrivileges))
}

impl Isolator for NoNewPrivileges {
    fn prepare(&self, _: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        plan.no_new_privileges = true;
        Ok(())
    }
}
