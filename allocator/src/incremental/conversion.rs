//! Reservations on what a framework holds change: in its agent's ledger and in what quota counts.
//!
//! Amounts stay, so that shares do, and with them the tree of roles.

use tepui_protocol::{AgentId, FrameworkId, Resources};

use super::{IncrementalDrf, agents::Agent};
use crate::allocator::NotHeld;

impl IncrementalDrf {
    /// See [`crate::Allocator::convert`].
    pub(super) fn change_reservations(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        from: &Resources,
        to: &Resources,
    ) -> Result<(), NotHeld> {
        let Some(number) = self.agents.number(agent) else {
            return Ok(());
        };
        let before = self.agents.get(number).total().clone();
        let change = |agent: &mut Agent| agent.convert(framework, from, to);
        match self.agents.change(number, change) {
            Ok(()) => {}
            Err(held) if held.is_empty() && self.members.number(framework).is_none() => {
                return Ok(());
            }
            Err(held) => {
                return Err(NotHeld::new(framework, agent, from, held));
            }
        }
        self.quota.resize(&before, self.agents.get(number).total());
        self.quota.release(from);
        self.quota.hold(to);
        Ok(())
    }
}
