//! The seam between the master and whatever decides who is offered what.
//!
//! Owns the [`Allocator`] trait and the plain data it takes and gives. An allocator is told of every
//! change (frameworks, agents, resources given back), is asked for a run, and answers with
//! allocations, which it books as given at once. It has no clock: the caller passes the time.
//! The built-in implementations are [`crate::IncrementalDrf`], which the master uses, and
//! [`crate::Hierarchical`], the same rules over any order of one's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use tepui_protocol::{
    AgentId, AgentInfo, Capability, Constraints, Explanation, FrameworkId, FrameworkInfo,
    Quantities, Quota, Resources, Role, Timestamp,
};

use crate::{
    minimum::Minimum,
    quota::QuotaError,
    share::{Share, Weight},
};

/// What an allocator needs to know of a framework.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameworkTerms {
    /// The roles it takes offers in.
    pub roles: BTreeSet<Role>,
    /// What its scheduler understands.
    pub capabilities: BTreeSet<Capability>,
    /// The least worth offering, for roles where it is not the cluster's default.
    pub min_allocatable: BTreeMap<Role, Minimum>,
    /// Which agents it takes, by role; all of them in roles that are not named.
    pub constraints: BTreeMap<Role, Constraints>,
}

impl From<&FrameworkInfo> for FrameworkTerms {
    fn from(info: &FrameworkInfo) -> Self {
        Self {
            roles: info.roles.clone(),
            capabilities: info.capabilities.clone(),
            min_allocatable: BTreeMap::new(),
            constraints: info.constraints.clone(),
        }
    }
}

/// Resources of one agent, given to a framework in one role until they are recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// To whom.
    pub framework: FrameworkId,
    /// On whose account.
    pub role: Role,
    /// Whose resources.
    pub agent: AgentId,
    /// What; each resource carries the allocation to `role`.
    pub resources: Resources,
}

/// Resources were given back that the framework does not hold on the agent. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("framework {framework} gave back {returned} on agent {agent} but holds {held}")]
pub struct NotHeld {
    /// Who gave back.
    pub framework: FrameworkId,
    /// Where.
    pub agent: AgentId,
    /// What was given back.
    pub returned: Resources,
    /// What is held.
    pub held: Resources,
}

impl NotHeld {
    pub(crate) fn new(
        framework: &FrameworkId,
        agent: &AgentId,
        returned: &Resources,
        held: Resources,
    ) -> Self {
        Self {
            framework: framework.clone(),
            agent: agent.clone(),
            returned: returned.clone(),
            held,
        }
    }
}

/// A role as people and metrics see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleView {
    /// Its weight against its siblings.
    pub weight: Weight,
    /// The weighted dominant share of the role and those below it.
    pub dominant_share: Share,
    /// The frameworks subscribed to it, and those that still hold resources in it.
    pub frameworks: BTreeSet<FrameworkId>,
    /// What frameworks in the role and those below it hold, offered or used.
    pub allocated: Quantities,
    /// What it and those below it are guaranteed and limited to.
    pub quota: Quota,
    /// What counts against a quota: reserved to the role and those below it, or held there unreserved and
    /// for good. Empty for a role without a quota.
    pub consumed: Quantities,
}

/// A framework as people and metrics see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameworkView {
    /// Whether it takes offers at all.
    pub active: bool,
    /// The roles in which it takes none for now.
    pub suppressed: BTreeSet<Role>,
    /// Its dominant share of the cluster, per role.
    pub shares: BTreeMap<Role, Share>,
    /// What it holds, offered or used, per role.
    pub allocated: BTreeMap<Role, Quantities>,
}

/// An agent as people, metrics and invariants see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentView {
    /// Whether its resources are offered.
    pub active: bool,
    /// All that it has.
    pub total: Resources,
    /// What nobody holds.
    pub available: Resources,
    /// What each framework holds, offered or used, as allocated to roles.
    pub used: BTreeMap<FrameworkId, Resources>,
}

/// What an allocator counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Runs so far.
    pub runs: u64,
    /// Refusals in force, per role.
    pub active_filters: BTreeMap<Role, usize>,
    /// Frameworks whose refusals hold longer because they keep declining, counted in each role.
    pub backed_off: usize,
}

/// Decides who is offered what.
///
/// Calls naming an unknown agent or framework are ignored: it may have gone while the call was on
/// its way. Resources that a framework holds carry the role they are allocated to.
///
/// A run is *due* ([`Allocator::needs_run`]) after an agent was added or updated, a framework added,
/// activated or revived, and after [`Allocator::request`]. All else waits for the periodic
/// [`Allocator::tick`].
pub trait Allocator: Send + fmt::Debug {
    /// Adds an active framework, which holds `used`. What agents that were added before say it holds
    /// there takes precedence. A framework that is known is replaced.
    fn add_framework(
        &mut self,
        id: &FrameworkId,
        terms: FrameworkTerms,
        suppressed: &BTreeSet<Role>,
        used: &BTreeMap<AgentId, Resources>,
    );

    /// Replaces a framework's terms and suppressed roles. What it holds in roles that it left stays
    /// until recovered.
    fn update_framework(
        &mut self,
        id: &FrameworkId,
        terms: FrameworkTerms,
        suppressed: &BTreeSet<Role>,
    );

    /// Forgets a framework; what it held is available.
    fn remove_framework(&mut self, id: &FrameworkId);

    /// Lets a framework take offers again.
    fn activate_framework(&mut self, id: &FrameworkId);

    /// Makes no offers to a framework and forgets its refusals; what it holds stays its own.
    fn deactivate_framework(&mut self, id: &FrameworkId);

    /// Makes no offers to a framework in these roles (none named: all of its roles).
    fn suppress(&mut self, id: &FrameworkId, roles: &BTreeSet<Role>);

    /// Makes offers again in these roles (none named: all of its roles) and forgets the refusals
    /// there.
    fn revive(&mut self, id: &FrameworkId, roles: &BTreeSet<Role>);

    /// Adds an active agent with `total` resources, of which `used` are held, also by frameworks not
    /// added yet. An agent that is known is replaced.
    fn add_agent(
        &mut self,
        id: &AgentId,
        info: &AgentInfo,
        total: Resources,
        used: &BTreeMap<FrameworkId, Resources>,
    );

    /// Replaces what an agent has. If its attributes changed, refusals of its resources are
    /// forgotten. More may be held than there is now; then nothing is available until enough is
    /// recovered.
    fn update_agent(&mut self, id: &AgentId, info: &AgentInfo, total: Resources);

    /// Forgets an agent and what is held of it.
    fn remove_agent(&mut self, id: &AgentId);

    /// Lets an agent's resources be offered again.
    fn activate_agent(&mut self, id: &AgentId);

    /// Offers nothing of an agent.
    fn deactivate_agent(&mut self, id: &AgentId);

    /// Takes back resources that a framework held. With a `filter` other than zero, the framework
    /// is not offered these, or a part of them, on this agent in this role until the time is over
    /// and one periodic run has passed.
    ///
    /// # Errors
    /// [`NotHeld`] if the framework does not hold all of them. Resources of an unknown agent, or of
    /// a framework that is unknown and holds nothing there, are ignored.
    fn recover(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        filter: Option<Duration>,
        now: Timestamp,
    ) -> Result<(), NotHeld>;

    /// Takes back resources that a framework held and did not decline: others come before it. For `span`, it is not
    /// offered these, as after a refusal, but that does not count as declining (see
    /// [`crate::Options::decline_backoff`]).
    ///
    /// # Errors
    /// As [`Allocator::recover`].
    fn set_aside(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        resources: &Resources,
        span: Duration,
        now: Timestamp,
    ) -> Result<(), NotHeld>;

    /// Reservations on what a framework holds have changed: of an agent, it holds `to` where it held `from`, and
    /// the agent has that. Both are allocated to roles, are of the same amounts, and differ in reservations alone.
    ///
    /// # Errors
    /// As [`Allocator::recover`].
    fn convert(
        &mut self,
        framework: &FrameworkId,
        agent: &AgentId,
        from: &Resources,
        to: &Resources,
    ) -> Result<(), NotHeld>;

    /// A framework uses some of what it was offered in a role: it does not decline everything (see
    /// [`crate::Options::decline_backoff`]).
    fn note_use(&mut self, framework: &FrameworkId, role: &Role);

    /// Sets the weights of these roles; others keep theirs.
    fn update_weights(&mut self, weights: &BTreeMap<Role, Weight>);

    /// Sets what a role and those below it are guaranteed and limited to (see [`crate::quota`]); the default
    /// takes the quota away. The next run goes by it, but none is due for it. With `force`, guarantees
    /// may be above what the cluster has, and limits below what is consumed.
    ///
    /// # Errors
    /// [`QuotaError`] when it does not go together with the other quotas or the cluster. Nothing was changed.
    fn set_quota(&mut self, role: &Role, quota: Quota, force: bool) -> Result<(), QuotaError>;

    /// Offers only agents on these hosts; none for all agents.
    fn set_whitelist(&mut self, hostnames: Option<BTreeSet<String>>);

    /// Makes a run over the agent due, for a caller that does not want to wait for the next tick.
    fn request(&mut self, agent: &AgentId);

    /// Whether a run is due.
    fn needs_run(&self) -> bool;

    /// Carries out the run that is due; without one, allocates nothing.
    fn allocate(&mut self, now: Timestamp) -> Vec<Allocation>;

    /// The periodic run, over all agents. What is due is included.
    fn tick(&mut self, now: Timestamp) -> Vec<Allocation>;

    /// Forgets refusals whose time is over. Runs do it themselves; it matters only for counters.
    fn expire_filters(&mut self, now: Timestamp);

    /// When [`Allocator::expire_filters`] next has something to do without a tick before.
    fn next_deadline(&self, now: Timestamp) -> Option<Timestamp>;

    /// The roles with frameworks, a weight or a quota, and those above them.
    fn roles(&self) -> BTreeMap<Role, RoleView>;

    /// The frameworks.
    fn frameworks(&self) -> BTreeMap<FrameworkId, FrameworkView>;

    /// The agents.
    fn agents(&self) -> BTreeMap<AgentId, AgentView>;

    /// The counters.
    fn counters(&self) -> Counters;

    /// Why a framework is offered what it is offered. O(agents) for each of its roles, when asked; none if it is
    /// unknown, or the allocator does not explain itself.
    fn explain(&mut self, _id: &FrameworkId) -> Option<Explanation> {
        None
    }
}
