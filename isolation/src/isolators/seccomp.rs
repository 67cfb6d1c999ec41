//! `linux/seccomp`: a task cannot use the system calls that change the machine.

use super::{Isolator, IsolatorError, Machine};
use crate::{
    container::{Container, IsolationConfig},
    launch::{Plan, Syscalls},
};

#[derive(Debug)]
struct Seccomp;

pub(super) fn build(_: &IsolationConfig, _: &Machine) -> Result<Box<dyn Isolator>, String> {
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        Ok(Box::new(Seccomp))
    } else {
        Err("there is no profile for this kind of processor".to_owned())
    }
}

impl Isolator for Seccomp {
    fn prepare(&self, _: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        plan.syscalls = Some(Syscalls::Default);
        Ok(())
    }
}
