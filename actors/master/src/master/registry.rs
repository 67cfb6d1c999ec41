//! What survives a restart of the master, and how a master starts from it.
//!
//! | key | record |
//! |---|---|
//! | `agents/<id>` | an admitted agent |
//! | `unreachable/<id>` | an agent that may come back, and since when it is away |
//! | `frameworks/<id>` | a framework that has not ended |
//! | `removed/<id>` | when a framework ended; its id is refused from then on |
//! | `weights` | weights of roles, set by operators |
//! | `quotas/<role>` | a role's quota, set by operators |
//! | `maintenance` | machines that are to be taken down, and those that are |
//! | `drains/<id>` | an agent that is drained, and the longest time its tasks have to end |
//! | `levels/<role>` | a role's service level, and what it got |
//! | `revocations/<role>` | whose tasks end for the role, and when they are killed |
//! | `operations/<framework>/<id>` | what became of an operation that its framework has not acknowledged |
//! | `counters` | how many ids were given out |
//!
//! Tasks are not here: agents report theirs when they re-register.
//= mesos, differs: frameworks are kept, so that failover_timeout holds over a master's restart (MESOS-4659)

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tepui_allocator::{Quotas, Weight};
use tepui_protocol::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, MasterId, OperationId, OperationStatus, Quota,
    Role, Timestamp, maintenance::Schedule,
};
use tepui_store::{Contents, StoreError, Write, get, put};

use super::{
    Agent, Framework, History, Master, Metrics, StartError,
    maintenance::Maintenance,
    quota::Awaited,
    revocation::{Kept, Revocations},
    service::Admitted,
};
use crate::{
    config::MasterConfig,
    effects::{Effect, Effects},
};

/// An agent that could not be reached and may come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Absent {
    pub(crate) info: AgentInfo,
    pub(crate) since: Timestamp,
}

/// How many ids were given out, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) agents: u64,
    pub(super) frameworks: u64,
}

/// What is planned for machines.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Plan {
    schedule: Schedule,
    down: BTreeSet<String>,
}

const AGENTS: &str = "agents/";
const UNREACHABLE: &str = "unreachable/";
const FRAMEWORKS: &str = "frameworks/";
const REMOVED: &str = "removed/";
const WEIGHTS: &str = "weights";
const QUOTAS: &str = "quotas/";
const MAINTENANCE: &str = "maintenance";
const LEVELS: &str = "levels/";
const DRAINS: &str = "drains/";
const REVOCATIONS: &str = "revocations/";
const OPERATIONS: &str = "operations/";
const COUNTERS: &str = "counters";

impl Master {
    /// A master that starts as run `id`, from what the registry holds. Ids of runs must differ.
    ///
    /// # Errors
    /// [`StartError`] when a choice makes no sense or a record cannot be read.
    pub fn new(
        config: MasterConfig,
        id: MasterId,
        registry: &Contents,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let mut master = Self {
            agents: BTreeMap::new(),
            unreachable: History::new(config.max_unreachable_agents),
            frameworks: BTreeMap::new(),
            completed: History::new(config.max_completed_frameworks),
            removed: History::new(config.max_removed_frameworks),
            offers: BTreeMap::new(),
            weights: weights(&config, registry)?,
            quotas: Quotas::new(),
            awaited: Awaited::default(),
            maintenance: Maintenance::default(),
            drains: BTreeMap::new(),
            gathering: Default::default(),
            levels: BTreeMap::new(),
            waits: Default::default(),
            revocations: Default::default(),
            causes: Default::default(),
            metrics: Metrics::default(),
            counters: read(registry, COUNTERS)?.unwrap_or_default(),
            offers_made: 0,
            epochs: 0,
            started: Timestamp::default(),
            id,
            config,
        };
        master.recover(registry)?;
        Ok(master)
    }

    fn recover(&mut self, registry: &Contents) -> Result<(), StoreError> {
        for (id, info) in records::<AgentId, AgentInfo>(registry, AGENTS)? {
            self.agents.insert(id, Agent::recovered(info));
        }
        let mut absent = records::<AgentId, Absent>(registry, UNREACHABLE)?;
        absent.sort_by_key(|(_, absent)| absent.since);
        for (id, absent) in absent {
            self.unreachable.insert(id, absent);
        }
        for (id, info) in records::<FrameworkId, FrameworkInfo>(registry, FRAMEWORKS)? {
            let mut framework = Framework::recovered(info, &self.config);
            let operations = records(registry, &format!("{OPERATIONS}{id}/"))?;
            framework.operations = operations.into_iter().collect();
            self.frameworks.insert(id, framework);
        }
        let mut removed = records::<FrameworkId, Timestamp>(registry, REMOVED)?;
        removed.sort_by_key(|(_, when)| *when);
        for (id, when) in removed {
            self.removed.insert(id, when);
        }
        self.quotas = records::<Role, Quota>(registry, QUOTAS)?
            .into_iter()
            .collect();
        let plan: Option<Plan> = read(registry, MAINTENANCE)?;
        let Plan { schedule, down } = plan.unwrap_or_default();
        self.maintenance = Maintenance::recovered(schedule, down);
        self.levels = records::<Role, Admitted>(registry, LEVELS)?
            .into_iter()
            .collect();
        let drains = records::<AgentId, Option<Duration>>(registry, DRAINS)?;
        self.drains = drains.into_iter().collect();
        self.revocations = Revocations::recovered(records::<Role, Kept>(registry, REVOCATIONS)?);
        self.await_agents();
        Ok(())
    }

    /// The first write shows at once whether the registry takes any.
    pub(super) fn write_initial(&mut self, out: &mut Effects) {
        self.write_counters(out);
    }

    pub(super) fn write_counters(&self, out: &mut Effects) {
        out.push(Effect::Write(put(COUNTERS, &self.counters)));
    }

    pub(super) fn write_weights(&self, out: &mut Effects) {
        let milli: BTreeMap<_, _> = self
            .weights
            .iter()
            .map(|(role, weight)| (role, weight.milli()))
            .collect();
        out.push(Effect::Write(put(WEIGHTS, &milli)));
    }
}

pub(super) fn keep_maintenance(schedule: &Schedule, down: &BTreeSet<String>, out: &mut Effects) {
    let plan = Plan {
        schedule: schedule.clone(),
        down: down.clone(),
    };
    out.push(Effect::Write(put(MAINTENANCE, &plan)));
}

pub(super) fn keep_level(role: &Role, level: Option<&Admitted>, out: &mut Effects) {
    let key = format!("{LEVELS}{role}");
    out.push(Effect::Write(match level {
        Some(level) => put(key, level),
        None => Write::delete(key),
    }));
}

pub(super) fn keep_operation(id: &FrameworkId, status: &OperationStatus, out: &mut Effects) {
    let key = format!("{OPERATIONS}{id}/{}", status.id);
    out.push(Effect::Write(put(key, status)));
}

pub(super) fn forget_operation(id: &FrameworkId, operation: &OperationId, out: &mut Effects) {
    let key = format!("{OPERATIONS}{id}/{operation}");
    out.push(Effect::Write(Write::delete(key)));
}

pub(super) fn keep_claim(role: &Role, claim: Option<&Kept>, out: &mut Effects) {
    let key = format!("{REVOCATIONS}{role}");
    out.push(Effect::Write(match claim {
        Some(claim) => put(key, claim),
        None => Write::delete(key),
    }));
}

pub(super) fn keep_drain(id: &AgentId, grace: Option<Duration>, out: &mut Effects) {
    out.push(Effect::Write(put(format!("{DRAINS}{id}"), &grace)));
}

pub(super) fn forget_drain(id: &AgentId, out: &mut Effects) {
    out.push(Effect::Write(Write::delete(format!("{DRAINS}{id}"))));
}

/// The default quota is none.
pub(super) fn keep_quota(role: &Role, quota: &Quota, out: &mut Effects) {
    let key = format!("{QUOTAS}{role}");
    out.push(Effect::Write(match quota.is_default() {
        true => Write::delete(key),
        false => put(key, quota),
    }));
}

pub(super) fn admit(id: &AgentId, info: &AgentInfo, out: &mut Effects) {
    out.push(Effect::Write(put(format!("{AGENTS}{id}"), info)));
}

pub(super) fn dismiss(id: &AgentId, out: &mut Effects) {
    out.push(Effect::Write(Write::delete(format!("{AGENTS}{id}"))));
}

pub(super) fn mark_unreachable(id: &AgentId, absent: &Absent, out: &mut Effects) {
    dismiss(id, out);
    out.push(Effect::Write(put(format!("{UNREACHABLE}{id}"), absent)));
}

pub(super) fn forget_unreachable(id: &AgentId, out: &mut Effects) {
    out.push(Effect::Write(Write::delete(format!("{UNREACHABLE}{id}"))));
}

pub(super) fn keep_framework(id: &FrameworkId, info: &FrameworkInfo, out: &mut Effects) {
    out.push(Effect::Write(put(format!("{FRAMEWORKS}{id}"), info)));
}

pub(super) fn remove_framework(id: &FrameworkId, now: Timestamp, out: &mut Effects) {
    out.push(Effect::Write(Write::delete(format!("{FRAMEWORKS}{id}"))));
    out.push(Effect::Write(put(format!("{REMOVED}{id}"), &now)));
}

pub(super) fn forget_removed(id: &FrameworkId, out: &mut Effects) {
    out.push(Effect::Write(Write::delete(format!("{REMOVED}{id}"))));
}

fn weights(
    config: &MasterConfig,
    registry: &Contents,
) -> Result<BTreeMap<Role, Weight>, StoreError> {
    let chosen = config.weights.iter();
    let mut weights: BTreeMap<Role, Weight> = chosen
        .filter_map(|(role, weight)| Some((role.clone(), Weight::try_from(*weight).ok()?)))
        .collect();
    let kept: BTreeMap<Role, u64> = read(registry, WEIGHTS)?.unwrap_or_default();
    let kept = kept.into_iter();
    weights.extend(kept.filter_map(|(role, milli)| Some((role, Weight::from_milli(milli).ok()?))));
    Ok(weights)
}

fn read<T: DeserializeOwned>(registry: &Contents, key: &str) -> Result<Option<T>, StoreError> {
    registry.get(key).map(|value| get(key, value)).transpose()
}

/// All records below `prefix`, by the id that the rest of the key is.
fn records<I, T>(registry: &Contents, prefix: &str) -> Result<Vec<(I, T)>, StoreError>
where
    I: std::str::FromStr<Err: std::fmt::Display>,
    T: DeserializeOwned,
{
    let below = registry
        .range(prefix.to_owned()..)
        .take_while(|(key, _)| key.starts_with(prefix));
    below
        .map(|(key, value)| {
            let id = key[prefix.len()..]
                .parse()
                .map_err(|error: I::Err| StoreError::Record {
                    key: key.clone(),
                    problem: error.to_string(),
                })?;
            Ok((id, get(key, value)?))
        })
        .collect()
}
