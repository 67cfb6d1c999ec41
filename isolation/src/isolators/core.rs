//! The control group itself: made before the others write limits into it, entered by the launcher's
//! child, killed and removed at the end. There whenever one of the `cgroups/` isolators is.

use std::{collections::BTreeSet, sync::Arc};

use super::{Isolator, IsolatorError};
use crate::{
    cgroup::{Backend, Controller},
    container::Container,
    launch::Plan,
};

/// How much sooner the kernel kills a task than its agent, when the machine is out of memory.
const OOM_SCORE_ADJ: u16 = 300;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) cgroups: Arc<dyn Backend>,
    pub(crate) controllers: BTreeSet<Controller>,
}

impl Isolator for Core {
    fn prepare(&self, container: &Container, plan: &mut Plan) -> Result<(), IsolatorError> {
        self.cgroups.create(&container.name, &self.controllers)?;
        plan.cgroups = self.cgroups.entrances(&container.name, &self.controllers);
        plan.oom_score_adj = Some(OOM_SCORE_ADJ);
        Ok(())
    }

    fn cleanup(&self, name: &str) -> Result<(), IsolatorError> {
        Ok(self.cgroups.destroy(name)?)
    }

    fn left(&self) -> BTreeSet<String> {
        self.cgroups.groups()
    }
}
