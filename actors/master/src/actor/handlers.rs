//! Which message goes where.

use tepui_protocol::{
    Timestamp,
    messages::{
        agent::{ExecutorExited, Pong, Register, Reregister, StatusUpdate, Unregister},
        operator::{
            DrainAgent, GetAgents, GetFrameworks, GetGangs, GetMaintenance, GetMaster, GetOffers,
            GetRoles, GetServiceLevels, GetTasks, KillTask, ReactivateAgent, ReserveResources,
            StartMaintenance, StopMaintenance, TeardownFramework, UnreserveResources,
            UpdateMaintenanceSchedule, UpdateQuota, UpdateServiceLevel, UpdateWeights,
        },
        scheduler::{
            Accept, AcceptInverseOffers, Acknowledge, AcknowledgeOperation, Decline,
            DeclineInverseOffers, Kill, Reconcile, ReconcileOperations, Revive, Subscribe,
            Suppress, Teardown,
        },
    },
};
use tepui_runtime::{prelude::*, rt::MessageResult};

use super::MasterActor;
use crate::{
    allocation::{Allocated, AllocatorStarted},
    effects::Outcome,
};

accepts!(MasterActor:
    Subscribe, Teardown, Accept, Decline, Revive, Suppress, Kill, Acknowledge, Reconcile,
    Register, Reregister, StatusUpdate, ExecutorExited, Pong, Unregister,
    AcceptInverseOffers, DeclineInverseOffers, AcknowledgeOperation, ReconcileOperations,
    GetMaster, GetAgents, GetFrameworks, GetTasks, GetOffers, GetRoles, GetMaintenance, GetServiceLevels, GetGangs, UpdateServiceLevel,
    UpdateMaintenanceSchedule, StartMaintenance, StopMaintenance, DrainAgent, ReactivateAgent,
    UpdateWeights, UpdateQuota, ReserveResources, UnreserveResources, KillTask, TeardownFramework,
);

/// Messages that the state machine has a method for, and that are not answered.
macro_rules! events {
    ($($message:ty => $method:ident),* $(,)?) => {$(
        impl Handler<$message> for MasterActor {
            type Result = ();

            fn handle(&mut self, message: $message, ctx: &mut Context<Self>) {
                self.event(ctx, |state, now, out| state.$method(now, message, out));
            }
        }
    )*};
}

events! {
    Subscribe => on_subscribe,
    Teardown => on_teardown,
    Accept => on_accept,
    Decline => on_decline,
    AcceptInverseOffers => on_accept_inverse_offers,
    DeclineInverseOffers => on_decline_inverse_offers,
    Revive => on_revive,
    Suppress => on_suppress,
    Kill => on_kill,
    Acknowledge => on_acknowledge,
    AcknowledgeOperation => on_acknowledge_operation,
    ReconcileOperations => on_reconcile_operations,
    Reconcile => on_reconcile,
    Register => on_register,
    Reregister => on_reregister,
    StatusUpdate => on_status_update,
    ExecutorExited => on_executor_exited,
    Pong => on_pong,
    Unregister => on_unregister,
}

/// Questions, answered from the state as it is.
macro_rules! questions {
    ($($message:ty => |$actor:ident, $question:ident, $now:ident| $answer:expr,)*) => {$(
        impl Handler<$message> for MasterActor {
            type Result = MessageResult<$message>;

            fn handle(&mut self, $question: $message, ctx: &mut Context<Self>) -> Self::Result {
                let ($actor, $now) = (&self.state, Timestamp(ctx.now()));
                MessageResult($answer)
            }
        }
    )*};
}

questions! {
    GetMaster => |state, _question, now| state.summary(now),
    GetAgents => |state, _question, _now| state.agents(),
    GetFrameworks => |state, _question, _now| state.frameworks(),
    GetTasks => |state, question, _now| state.tasks(&question),
    GetOffers => |state, _question, _now| state.offers(),
    GetRoles => |state, _question, _now| state.roles(),
    GetServiceLevels => |state, _question, _now| state.service_levels(),
    GetMaintenance => |state, _question, _now| state.maintenance(),
    GetGangs => |state, question, now| state.gangs(now, &question.framework_id),
}

/// Commands, answered once what they change is durable.
macro_rules! commands {
    ($($message:ty => $method:ident),* $(,)?) => {$(
        impl Handler<$message> for MasterActor {
            type Result = ResponseFuture<Outcome>;

            fn handle(&mut self, call: $message, ctx: &mut Context<Self>) -> Self::Result {
                self.command(ctx, |state, now, token, out| state.$method(now, call, token, out))
            }
        }
    )*};
}

commands! {
    UpdateWeights => on_update_weights,
    UpdateQuota => on_update_quota,
    UpdateServiceLevel => on_update_service_level,
    ReserveResources => on_reserve_resources,
    UnreserveResources => on_unreserve_resources,
    UpdateMaintenanceSchedule => on_update_maintenance_schedule,
    StartMaintenance => on_start_maintenance,
    StopMaintenance => on_stop_maintenance,
    DrainAgent => on_drain_agent,
    ReactivateAgent => on_reactivate_agent,
    KillTask => on_kill_task,
    TeardownFramework => on_teardown_framework,
}

impl Handler<AllocatorStarted> for MasterActor {
    type Result = ();

    fn handle(&mut self, _: AllocatorStarted, ctx: &mut Context<Self>) {
        self.calls.clear();
        self.allocating = false;
        self.event(ctx, |state, _, out| state.on_allocator_started(out));
    }
}

impl Handler<Allocated> for MasterActor {
    type Result = ();

    fn handle(&mut self, Allocated { granted, counters }: Allocated, ctx: &mut Context<Self>) {
        self.allocating = false;
        self.event(ctx, |state, now, out| {
            state.on_allocated(now, granted, &counters, out)
        });
    }
}

impl Handler<Exited> for MasterActor {
    type Result = ();

    fn handle(&mut self, exited: Exited, ctx: &mut Context<Self>) {
        if self
            .allocator
            .as_ref()
            .is_some_and(|pid| *pid.as_any() == exited.pid)
        {
            return ctx.fail(format!("the allocator has ended: {}", exited.reason));
        }
        self.event(ctx, |state, now, out| state.on_exited(now, exited, out));
    }
}
