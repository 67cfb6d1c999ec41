//! What an operator may choose of a master, with Mesos's defaults.
//!
//! In a file, durations are numbers of seconds: `agent_ping_interval = 15`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tepui_allocator::{AgentOrder, Minimum, Options, Weight};
use tepui_protocol::Role;

/// A choice that a master cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value}: {problem}")]
pub struct InvalidConfig {
    /// Which choice.
    pub field: String,
    /// What was chosen.
    pub value: String,
    /// The rule it breaks.
    pub problem: String,
}

/// For what tasks of others end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevokeFor {
    /// For guarantees of quotas.
    #[default]
    Guarantee,
    /// For fair shares of top-level roles as well: their weights' parts of the cluster.
    FairShare,
}

/// Choices for a master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MasterConfig {
    /// Between two runs of the allocator over all agents; also the least time a refusal holds.
    #[serde(with = "seconds")]
    pub allocation_interval: Duration,
    /// Whether resources that come back are offered at once instead of at the next interval.
    //= mesos, differs: there they wait; a small cluster turns around faster this way
    pub allocate_on_recover: bool,
    /// Seeds the order in which a run visits the agents.
    pub seed: u64,
    /// The least that is worth offering.
    #[serde(with = "text")]
    pub min_allocatable: Minimum,
    /// Names of resources that do not count for fair shares.
    pub fair_share_excluded: BTreeSet<String>,
    /// Weights of roles; what the registry holds takes precedence.
    pub weights: BTreeMap<Role, f64>,
    /// Where the cluster is: agents with the attribute `region` of another one are for frameworks with REGION_AWARE only.
    pub region: Option<String>,
    /// How long refusals hold at most of frameworks that decline everything, run after run, and so are asked less and less
    /// often; as long as they say if absent.
    #[serde(with = "seconds::optional")]
    pub decline_backoff: Option<Duration>,
    /// How long offers are gathered for a gang before they are given back.
    #[serde(with = "seconds")]
    pub gang_timeout: Duration,
    /// How long a role is below what it is guaranteed before tasks of others end for it; never if absent.
    #[serde(with = "seconds::optional")]
    pub revoke_after: Option<Duration>,
    /// How long such tasks have to end by themselves.
    #[serde(with = "seconds")]
    pub revoke_grace: Duration,
    /// What a role is guaranteed in this respect.
    pub revoke_for: RevokeFor,
    /// How important tasks of roles are, and of those below them: nothing of a more important one ends where less important ones
    /// would do. 0 if not named.
    pub priorities: BTreeMap<Role, i16>,
    /// How long a master that starts with quotas waits for four fifths of its agents before it offers
    /// anything.
    #[serde(with = "seconds")]
    pub quota_hold_timeout: Duration,
    /// The only roles that frameworks may use; all if absent.
    pub roles: Option<BTreeSet<Role>>,
    /// Between two signs of life to a scheduler.
    #[serde(with = "seconds")]
    pub heartbeat_interval: Duration,
    /// Between two pings of an agent.
    #[serde(with = "seconds")]
    pub agent_ping_interval: Duration,
    /// So many pings unanswered in a row make an agent unreachable.
    pub max_missed_pings: u32,
    /// How long an agent may be away after its link broke, or after the master restarted.
    #[serde(with = "seconds")]
    pub agent_reregister_timeout: Duration,
    /// The least time that a framework has to come back after the master restarted, for those with
    /// a shorter failover time-out.
    #[serde(with = "seconds")]
    pub recovered_framework_grace: Duration,
    /// After which an unanswered offer is withdrawn; never if absent.
    #[serde(with = "seconds::optional")]
    pub offer_timeout: Option<Duration>,
    /// Ended frameworks that are remembered with their tasks.
    pub max_completed_frameworks: usize,
    /// Ended tasks that are remembered, per framework.
    pub max_completed_tasks: usize,
    /// Unreachable tasks that are remembered, per framework.
    pub max_unreachable_tasks: usize,
    /// Ids of ended frameworks that are refused for good.
    pub max_removed_frameworks: usize,
    /// Unreachable agents that may come back.
    pub max_unreachable_agents: usize,
    /// For how long they may.
    #[serde(with = "seconds")]
    pub max_unreachable_age: Duration,
    /// Between two prunings of unreachable agents.
    #[serde(with = "seconds")]
    pub registry_gc_interval: Duration,
    /// A registry that does not take a write within this time stops the master.
    #[serde(with = "seconds")]
    pub registry_store_timeout: Duration,
}

impl Default for MasterConfig {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            allocation_interval: Duration::from_secs(1),
            allocate_on_recover: true,
            seed: 0,
            min_allocatable: Minimum::default(),
            fair_share_excluded: BTreeSet::new(),
            weights: BTreeMap::new(),
            region: None,
            decline_backoff: None,
            gang_timeout: Duration::from_secs(30),
            revoke_after: None,
            revoke_grace: Duration::from_secs(30),
            revoke_for: RevokeFor::Guarantee,
            priorities: BTreeMap::new(),
            quota_hold_timeout: minutes(10),
            roles: None,
            heartbeat_interval: Duration::from_secs(15),
            agent_ping_interval: Duration::from_secs(15),
            max_missed_pings: 5,
            agent_reregister_timeout: minutes(10),
            recovered_framework_grace: minutes(1),
            offer_timeout: None,
            max_completed_frameworks: 50,
            max_completed_tasks: 1000,
            max_unreachable_tasks: 1000,
            max_removed_frameworks: 10_000,
            max_unreachable_agents: 102_400,
            max_unreachable_age: minutes(14 * 24 * 60),
            registry_gc_interval: minutes(15),
            registry_store_timeout: Duration::from_secs(20),
        }
    }
}

impl MasterConfig {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// [`InvalidConfig`] for an interval of zero, no missed ping, or a weight that is no positive
    /// number.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let intervals = [
            ("allocation_interval", self.allocation_interval),
            ("heartbeat_interval", self.heartbeat_interval),
            ("agent_ping_interval", self.agent_ping_interval),
            ("registry_gc_interval", self.registry_gc_interval),
            ("registry_store_timeout", self.registry_store_timeout),
        ];
        for (field, interval) in intervals {
            if interval.is_zero() {
                return Err(invalid(field, "0", "must be more than 0 seconds"));
            }
        }
        if self.max_missed_pings == 0 {
            return Err(invalid("max_missed_pings", "0", "must be at least 1"));
        }
        for (role, weight) in &self.weights {
            Weight::try_from(*weight).map_err(|error| {
                invalid(
                    &format!("weights.{role}"),
                    &weight.to_string(),
                    &error.to_string(),
                )
            })?;
        }
        Ok(())
    }

    /// The allocator's share of the choices.
    pub(crate) fn allocator_options(&self) -> Options {
        Options {
            allocation_interval: self.allocation_interval,
            min_allocatable: self.min_allocatable.clone(),
            fair_share_excluded: self.fair_share_excluded.clone(),
            agent_order: AgentOrder::Shuffled(self.seed),
            region: self.region.clone(),
            decline_backoff: self.decline_backoff,
            ..Options::default()
        }
    }
}

fn invalid(field: &str, value: &str, problem: &str) -> InvalidConfig {
    InvalidConfig {
        field: field.into(),
        value: value.into(),
        problem: problem.into(),
    }
}

/// Durations as numbers of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(span.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(from)?;
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| D::Error::custom("must be a number of seconds >= 0"))
    }

    pub(super) mod optional {
        use super::*;

        #[derive(Deserialize)]
        struct Seconds(#[serde(with = "super")] Duration);

        pub(in super::super) fn serialize<S: Serializer>(
            span: &Option<Duration>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match span {
                Some(span) => to.serialize_some(&span.as_secs_f64()),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<Seconds>::deserialize(from)?.map(|Seconds(span)| span))
        }
    }
}

/// Values with a text form of their own.
mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_only_what_differs() {
        let text = "allocation_interval = 0.1\noffer_timeout = 30\nmin_allocatable = \"cpus:1\"";
        let config: MasterConfig = toml::from_str(text).unwrap();
        assert_eq!(config.allocation_interval, Duration::from_millis(100));
        assert_eq!(config.offer_timeout, Some(Duration::from_secs(30)));
        assert_eq!(config.min_allocatable.to_string(), "cpus:1");
        assert_eq!(config.max_missed_pings, 5);
        config.validate().unwrap();
    }

    #[test]
    fn bad_choices_are_named() {
        for (text, part) in [
            ("allocation_intervall = 1", "allocation_intervall"),
            ("heartbeat_interval = -1", "-1"),
            ("min_allocatable = \"cpus\"", "cpus"),
        ] {
            let error = toml::from_str::<MasterConfig>(text)
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{error}");
        }
        let weights = BTreeMap::from([(Role::new("a").unwrap(), -1.0)]);
        let error = MasterConfig {
            weights,
            ..MasterConfig::default()
        }
        .validate()
        .unwrap_err();
        assert_eq!(error.field, "weights.a");
        let config = MasterConfig {
            agent_ping_interval: Duration::ZERO,
            ..MasterConfig::default()
        };
        assert!(
            config
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("agent_ping_interval = 0")
        );
    }
}
