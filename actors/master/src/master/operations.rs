//! Operations that frameworks want to hear of: what became of each is in the registry until it is acknowledged.
//!
//! ```text
//!   ACCEPT, with an id --> done or not, written --> OperationUpdate, again at each heartbeat --AcknowledgeOperation--> forgotten
//! ```
//! The change and its status are one write, so that a status that says FINISHED is true after any crash, and one that is lost on its way comes
//! again. An id that is not acknowledged names that operation alone: the same ACCEPT once more changes nothing.

use std::collections::BTreeMap;

use tepui_protocol::{
    AgentId, FrameworkId, OperationId, OperationState, OperationStatus, Timestamp,
    messages::scheduler::{AcknowledgeOperation, OperationUpdate, ReconcileOperations},
    operation::{ReservationChange, Tracked},
};

use super::{Master, registry, reservations::Kind, tasks::Lot};
use crate::effects::Effects;

/// So many may be unacknowledged, per framework; more are not tried.
pub(crate) const KEPT_MAX: usize = 1000;

/// What became of a framework's operations, until it has acknowledged that.
pub(crate) type Operations = BTreeMap<OperationId, OperationStatus>;

impl Master {
    /// Carries an operation out, and tells what became of it.
    pub(super) fn track(&mut self, lot: &mut Lot, tracked: Tracked, out: &mut Effects) {
        if !self.may_track(&lot.framework_id, &tracked.id, out) {
            return;
        }
        let (kind, named) = match &tracked.change {
            ReservationChange::Reserve(named) => (Kind::Reserve, named),
            ReservationChange::Unreserve(named) => (Kind::Unreserve, named),
        };
        let (state, message) = match self.change_offered(lot, kind, named, out) {
            Ok(()) => (OperationState::Finished, String::new()),
            Err(problem) => (OperationState::Error, problem),
        };
        let agent = Some(lot.agent_id.clone());
        self.conclude(&lot.framework_id, tracked.id, state, message, agent, out);
    }

    /// An operation was not tried.
    pub(super) fn drop_operation(
        &mut self,
        framework: &FrameworkId,
        tracked: &Tracked,
        problem: &str,
        out: &mut Effects,
    ) {
        if self.may_track(framework, &tracked.id, out) {
            let (id, state) = (tracked.id.clone(), OperationState::Dropped);
            self.conclude(framework, id, state, problem.to_owned(), None, out);
        }
    }

    /// Whether the id is free and there is room for its status; if not, the framework is told.
    fn may_track(&self, framework: &FrameworkId, id: &OperationId, out: &mut Effects) -> bool {
        let Some(framework) = self.frameworks.get(framework) else {
            return false;
        };
        let known = framework.operations.get(id).cloned();
        let full = framework.operations.len() >= KEPT_MAX;
        let status = known.or_else(|| {
            full.then(|| OperationStatus {
                id: id.clone(),
                state: OperationState::Dropped,
                message: format!(
                    "{KEPT_MAX} operations are not acknowledged; acknowledge them first"
                ),
                agent_id: None,
            })
        });
        let free = status.is_none();
        if let Some(status) = status {
            framework.send(OperationUpdate { status }, out);
        }
        free
    }

    fn conclude(
        &mut self,
        framework_id: &FrameworkId,
        id: OperationId,
        state: OperationState,
        message: String,
        agent_id: Option<AgentId>,
        out: &mut Effects,
    ) {
        let status = OperationStatus {
            id: id.clone(),
            state,
            message,
            agent_id,
        };
        registry::keep_operation(framework_id, &status, out);
        if let Some(framework) = self.frameworks.get_mut(framework_id) {
            framework.operations.insert(id, status.clone());
            framework.send(OperationUpdate { status }, out);
        }
    }

    /// A framework has heard what became of an operation.
    pub fn on_acknowledge_operation(
        &mut self,
        _now: Timestamp,
        call: AcknowledgeOperation,
        out: &mut Effects,
    ) {
        let framework = self.frameworks.get_mut(&call.framework_id);
        let known = framework.and_then(|it| it.operations.remove(&call.operation_id));
        if known.is_some() {
            registry::forget_operation(&call.framework_id, &call.operation_id, out);
        }
    }

    /// A framework asks what became of operations.
    pub fn on_reconcile_operations(
        &mut self,
        _now: Timestamp,
        call: ReconcileOperations,
        out: &mut Effects,
    ) {
        let Some(framework) = self.subscribed(&call.framework_id) else {
            return;
        };
        if call.operation_ids.is_empty() {
            return self.repeat_operations(&call.framework_id, out);
        }
        for id in call.operation_ids {
            let known = framework.operations.get(&id).cloned();
            let status = known.unwrap_or_else(|| OperationStatus {
                id,
                state: OperationState::Unknown,
                message: "the master knows of no such operation".to_owned(),
                agent_id: None,
            });
            framework.send(OperationUpdate { status }, out);
        }
    }

    /// Tells a framework once more what it has not acknowledged.
    pub(super) fn repeat_operations(&self, id: &FrameworkId, out: &mut Effects) {
        let Some(framework) = self.frameworks.get(id) else {
            return;
        };
        for status in framework.operations.values().cloned() {
            framework.send(OperationUpdate { status }, out);
        }
    }

    /// A framework has ended: nobody will acknowledge anything.
    pub(super) fn forget_operations(&mut self, id: &FrameworkId, out: &mut Effects) {
        if let Some(framework) = self.frameworks.get_mut(id) {
            for operation in std::mem::take(&mut framework.operations).into_keys() {
                registry::forget_operation(id, &operation, out);
            }
        }
    }
}
