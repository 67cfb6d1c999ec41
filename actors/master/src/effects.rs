//! What the master's state machine wants done: data, carried out in order by the shell.
//!
//! A [`Effect::Write`] comes before everything that must not happen without it; the shell holds
//! what follows back until the write is durable (see [`tepui_store::Outbox`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_allocator::{FrameworkTerms, Weight};
use tepui_protocol::{
    AgentId, AgentInfo, FrameworkId, OfferId, Quota, Resources, Role,
    messages::{agent, scheduler},
};
use tepui_runtime::{AnyPid, TellError, Undeliverable};
use tepui_store::{Outgoing, Write};

/// Effects of one event, in order.
pub type Effects = Vec<Effect>;

/// The outcome of an operator's command; an error is for people.
pub type Outcome = Result<(), String>;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send `letter` to `to`; should it not leave, tell the state machine.
    Tell {
        /// To whom.
        to: AnyPid,
        /// What.
        letter: Letter,
    },
    /// Tell the allocator.
    Allocator(Call),
    /// Make this durable.
    Write(Write),
    /// Report when this actor exits.
    Watch(AnyPid),
    /// No longer report it.
    Unwatch(AnyPid),
    /// Raise `timer` after this time.
    Timer {
        /// From now on.
        after: Duration,
        /// Which.
        timer: Timer,
    },
    /// Answer an operator's command.
    Answer {
        /// The number that the command came with.
        token: u64,
        /// The answer.
        outcome: Outcome,
    },
}

impl Outgoing for Effect {
    fn into_write(self) -> Result<Write, Self> {
        match self {
            Effect::Write(write) => Ok(write),
            other => Err(other),
        }
    }
}

/// A timer, with what tells whether it still matters when it goes off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    /// All agents are due for the allocator.
    Allocation,
    /// A scheduler is due for a sign of life.
    Heartbeat {
        /// Whose.
        framework_id: FrameworkId,
        /// The subscription it belongs to.
        epoch: u64,
    },
    /// A framework's scheduler has been away for its failover time-out.
    Failover {
        /// Whose.
        framework_id: FrameworkId,
        /// The subscription that ended.
        epoch: u64,
    },
    /// An agent is due for a ping.
    Ping {
        /// Which.
        agent_id: AgentId,
        /// The registration it belongs to.
        epoch: u64,
    },
    /// An agent's link has been down for too long.
    AgentReregister {
        /// Which.
        agent_id: AgentId,
        /// The registration that the link belonged to.
        epoch: u64,
    },
    /// Agents known from the registry had the time to come back.
    RecoveredAgents,
    /// No longer waits for agents before it keeps quotas.
    QuotaHold,
    /// An offer was not answered.
    Offer(OfferId),
    /// Unreachable agents are due for pruning.
    RegistryGc,
}

/// What the allocator is told.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "fields are those of tepui_allocator::Allocator's methods"
)]
pub enum Call {
    /// All that it knows is void; the rest follows.
    Reset,
    /// A framework subscribed.
    AddFramework {
        id: FrameworkId,
        terms: FrameworkTerms,
        suppressed: BTreeSet<Role>,
    },
    /// A framework subscribed with other terms.
    UpdateFramework {
        id: FrameworkId,
        terms: FrameworkTerms,
        suppressed: BTreeSet<Role>,
    },
    /// A framework is gone for good.
    RemoveFramework { id: FrameworkId },
    /// A framework takes offers again.
    ActivateFramework { id: FrameworkId },
    /// A framework's scheduler is away.
    DeactivateFramework { id: FrameworkId },
    /// A framework wants no offers.
    Suppress {
        id: FrameworkId,
        roles: BTreeSet<Role>,
    },
    /// A framework wants offers.
    Revive {
        id: FrameworkId,
        roles: BTreeSet<Role>,
    },
    /// An agent is there; what was known of it is void. Allocations of it carry `ledger`.
    AddAgent {
        id: AgentId,
        ledger: u64,
        info: AgentInfo,
        total: Resources,
        used: BTreeMap<FrameworkId, Resources>,
    },
    /// An agent is gone.
    RemoveAgent { id: AgentId },
    /// Nothing of an agent may be offered.
    DeactivateAgent { id: AgentId },
    /// Resources are free again.
    Recover {
        framework: FrameworkId,
        agent: AgentId,
        resources: Resources,
        /// Present when the framework refused them: for how long it does not want them.
        refused: Option<Duration>,
    },
    /// Resources are free again that a framework did not decline: for `span`, others come before it.
    SetAside {
        framework: FrameworkId,
        agent: AgentId,
        resources: Resources,
        span: Duration,
    },
    /// Reservations on what a framework holds of an agent have changed.
    Convert {
        framework: FrameworkId,
        agent: AgentId,
        from: Resources,
        to: Resources,
    },
    /// A framework uses some of what it was offered.
    NoteUse { framework: FrameworkId, role: Role },
    /// Roles weigh this much.
    UpdateWeights { weights: BTreeMap<Role, Weight> },
    /// A role is guaranteed and limited to this; it was checked.
    SetQuota { role: Role, quota: Quota },
    /// Nothing may be given until [`Call::Resume`].
    Pause,
    /// What is free may be given again.
    Resume,
    /// The interval is over.
    Tick,
}

macro_rules! letters {
    ($($(#[$doc:meta])* $name:ident($message:ty),)*) => {
        /// A message to a scheduler or an agent.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Letter {$(
            $(#[$doc])*
            $name($message),
        )*}

        $(impl From<$message> for Letter {
            fn from(message: $message) -> Self {
                Letter::$name(message)
            }
        })*

        impl Letter {
            /// Sends the message to `to`.
            ///
            /// # Errors
            /// The message and why it did not leave.
            #[expect(clippy::result_large_err, reason = "a failed send hands the message back")]
            pub(crate) fn send(self, to: &AnyPid) -> Result<(), (Letter, Undeliverable)> {
                match self {$(
                    Letter::$name(message) => to.tell(message).map_err(
                        |TellError { message, reason, .. }| (message.into(), reason),
                    ),
                )*}
            }
        }
    };
}

letters! {
    /// The framework is subscribed.
    Subscribed(scheduler::Subscribed),
    /// New offers.
    Offers(scheduler::Offers),
    /// An offer is void.
    Rescind(scheduler::Rescind),
    /// The framework is asked to leave agents.
    InverseOffers(scheduler::InverseOffers),
    /// An inverse offer is void.
    RescindInverseOffer(scheduler::RescindInverseOffer),
    /// Tasks are to end for another role.
    Revocation(scheduler::RevocationNotice),
    /// News of an operation.
    Operation(scheduler::OperationUpdate),
    /// News of a task.
    Update(scheduler::Update),
    /// An agent or executor is gone.
    Failure(scheduler::Failure),
    /// The framework must stop.
    Error(scheduler::SchedulerError),
    /// A sign of life.
    Heartbeat(scheduler::Heartbeat),
    /// The agent is admitted.
    Registered(agent::Registered),
    /// The agent is back.
    Reregistered(agent::Reregistered),
    /// Start a task.
    RunTask(agent::RunTask),
    /// Start the tasks of a group.
    RunGroup(agent::RunGroup),
    /// End a task.
    KillTask(agent::KillTask),
    /// End a framework's tasks.
    ShutdownFramework(agent::ShutdownFramework),
    /// End everything.
    Shutdown(agent::Shutdown),
    /// An update has arrived.
    Acknowledged(agent::StatusUpdateAcknowledged),
    /// A question for a sign of life.
    Ping(agent::Ping),
}

pub(crate) fn tell(to: &AnyPid, letter: impl Into<Letter>) -> Effect {
    Effect::Tell {
        to: to.clone(),
        letter: letter.into(),
    }
}
