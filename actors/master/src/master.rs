//! The master's state machine: who is there, who was offered what, which task is where.
//!
//! Owns agents, frameworks, offers and tasks as the master knows them, and what of it survives a
//! restart. It does no I/O and has no clock: each event comes with the time, and what is to be done
//! about it goes to [`Effects`]. Who is offered what is decided by the allocator (`allocation.rs`
//! carries the calls); the actor around all this is `actor.rs`.
//!
//! | events | file |
//! |---|---|
//! | a scheduler subscribes, leaves, fails over | `master/frameworks.rs` |
//! | an agent registers, comes back | `master/agents.rs`, `master/reregistration.rs` |
//! | an agent does not answer, its link breaks | `master/reachability.rs` |
//! | allocations, declines, rescinding | `master/offers.rs` |
//! | accept, kill, what is a valid task | `master/tasks.rs`, `master/validation.rs` |
//! | RESERVE and UNRESERVE, and what became of them | `master/reservations.rs`, `master/operations.rs` |
//! | status updates and acknowledgements | `master/updates.rs` |
//! | reconciliation | `master/reconcile.rs` |
//! | what is persisted, and starting from it | `master/registry.rs` |
//! | operators' questions and commands | `master/views.rs`, `master/commands.rs`, `master/quota.rs`, `master/metrics.rs` |
//! | maintenance, inverse offers, drained agents | `master/maintenance.rs`, `master/drains.rs` |
//! | tasks that end for another role | `master/revocation.rs` and below, `master/causes.rs` |
//! | offers all at once or not at all | `master/gangs.rs` |
//! | service levels, and how long frameworks wait | `master/service.rs` |
//! | what always holds | `invariants.rs` |

mod agent;
mod agents;
mod causes;
mod commands;
mod drains;
mod framework;
mod frameworks;
mod gangs;
mod history;
mod lanes;
mod maintenance;
mod metrics;
mod offers;
mod operations;
mod quota;
mod reachability;
mod reconcile;
mod registry;
mod reregistration;
mod reservations;
mod revocation;
mod service;
mod tasks;
mod updates;
mod validation;
mod views;

use std::{collections::BTreeMap, time::Duration};

use tepui_allocator::{Quotas, Weight};
use tepui_protocol::{AgentId, FrameworkId, MasterId, Offer, OfferId, Role, TaskId, Timestamp};
use tepui_store::StoreError;

pub use self::offers::Granted;
pub(crate) use self::operations::{KEPT_MAX, Operations};
pub(crate) use self::{agent::Agent, framework::Framework, history::History};
use self::{metrics::Metrics, registry::Counters};
use crate::{
    config::{InvalidConfig, MasterConfig},
    effects::{Call, Effect, Effects, Timer},
};

/// A task's full name.
pub(crate) type TaskKey = (FrameworkId, TaskId);

/// Why a master cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its registry cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A choice of the operator's makes no sense.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
}

/// All that a master knows.
#[derive(Clone, Debug)]
pub struct Master {
    pub(crate) config: MasterConfig,
    pub(crate) id: MasterId,
    pub(crate) started: Timestamp,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) unreachable: History<AgentId, registry::Absent>,
    pub(crate) frameworks: BTreeMap<FrameworkId, Framework>,
    pub(crate) completed: History<FrameworkId, Framework>,
    /// Frameworks that may never subscribe again.
    pub(crate) removed: History<FrameworkId, Timestamp>,
    pub(crate) offers: BTreeMap<OfferId, Offer>,
    pub(crate) weights: BTreeMap<Role, Weight>,
    pub(crate) quotas: Quotas,
    /// Agents to come back before quotas can be kept; see `master/quota.rs`.
    awaited: quota::Awaited,
    maintenance: maintenance::Maintenance,
    /// Agents that are drained, and the longest time that their tasks have to end.
    drains: BTreeMap<AgentId, Option<Duration>>,
    gathering: gangs::Gathering,
    levels: BTreeMap<Role, service::Admitted>,
    waits: service::Waits,
    revocations: revocation::Revocations,
    causes: causes::Causes,
    metrics: Metrics,
    counters: Counters,
    offers_made: u64,
    epochs: u64,
}

impl Master {
    /// This run's id.
    pub fn id(&self) -> &MasterId {
        &self.id
    }

    /// The operator's choices.
    pub fn config(&self) -> &MasterConfig {
        &self.config
    }

    /// Begins: arms the timers. To be called once.
    pub fn on_start(&mut self, now: Timestamp, out: &mut Effects) {
        self.started = now;
        self.write_initial(out);
        out.push(after(self.config.allocation_interval, Timer::Allocation));
        out.push(after(self.config.registry_gc_interval, Timer::RegistryGc));
        out.push(after(
            self.config.agent_reregister_timeout,
            Timer::RecoveredAgents,
        ));
        self.arm_quota_hold(out);
        self.arm_recovered_frameworks(out);
    }

    /// Handles a timer that went off; one that no longer matters is ignored.
    pub fn on_timer(&mut self, now: Timestamp, timer: Timer, out: &mut Effects) {
        match timer {
            Timer::Allocation => {
                out.push(Effect::Allocator(Call::Tick));
                self.ask_to_leave(now, out);
                self.follow_bursts(now, out);
                self.revoke(now, out);
                self.give_up_gangs(now, out);
                out.push(after(self.config.allocation_interval, Timer::Allocation));
            }
            Timer::Heartbeat {
                framework_id,
                epoch,
            } => self.on_heartbeat(&framework_id, epoch, out),
            Timer::Failover {
                framework_id,
                epoch,
            } => {
                self.on_failover_timeout(now, &framework_id, epoch, out);
            }
            Timer::Ping { agent_id, epoch } => self.on_ping_due(now, &agent_id, epoch, out),
            Timer::AgentReregister { agent_id, epoch } => {
                self.on_reregister_timeout(now, &agent_id, epoch, out);
            }
            Timer::RecoveredAgents => self.on_recovered_agents_timeout(now, out),
            Timer::QuotaHold => self.on_quota_hold_timeout(out),
            Timer::Offer(offer_id) => self.on_offer_timeout(&offer_id, out),
            Timer::RegistryGc => {
                self.prune_unreachable(now, out);
                out.push(after(self.config.registry_gc_interval, Timer::RegistryGc));
            }
        }
    }

    /// An allocator has started, the first one or another after a crash: tells it all that is known.
    pub fn on_allocator_started(&mut self, out: &mut Effects) {
        out.push(Effect::Allocator(Call::Reset));
        let weights = self.weights.clone();
        out.push(Effect::Allocator(Call::UpdateWeights { weights }));
        self.tell_quotas(out);
        for (id, framework) in &self.frameworks {
            framework.introduce(id, out);
        }
        let present: Vec<_> = self.agents.keys().cloned().collect();
        for id in present {
            self.offer_anew(&id, out);
        }
    }

    /// How many agents, frameworks, offers and tasks are in the books.
    pub(crate) fn size(&self) -> usize {
        let tasks = self
            .frameworks
            .values()
            .map(|framework| framework.tasks.len());
        self.agents.len() + self.frameworks.len() + self.offers.len() + tasks.sum::<usize>()
    }

    fn next_epoch(&mut self) -> u64 {
        self.epochs += 1;
        self.epochs
    }
}

fn after(after: Duration, timer: Timer) -> Effect {
    Effect::Timer { after, timer }
}
