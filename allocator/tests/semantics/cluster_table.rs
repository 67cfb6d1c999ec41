//! A table of events for an allocator. Each line is `event; event; ... -> allocations`; after each event
//! the run that is due, if any, is carried out, as the master does; events joined by `&` share one.
//! `none` stands for no allocation; a line without an arrow asserts nothing of them.
//!
//! | event | meaning |
//! |---|---|
//! | `framework f role1 role2 ...` | a new framework; see below for what else may follow |
//! | `agent a 2/1024 ... [use f@role=1/512,.. ...]` | a new agent, or another in its place, with these resources (notation: `amounts.rs`), on host `a`; of which these are held |
//! | `attributes a k=v` | the agent registers again with this attribute |
//! | `resize a 4/2048 ...` | the agent has this instead |
//! | `remove f`, `remove a` | a framework or agent is gone |
//! | `off f`, `on f`, `off a`, `on a` | deactivate, activate |
//! | `suppress f [role ...]`, `revive f [role ...]` | |
//! | `decline f a [role] [SECONDS s]` | gives back all it holds there (in the role), with a filter |
//! | `return f a role 1/512 ...` | gives back a part, without a filter |
//! | `convert f a role cpus:1 > cpus(x):1` | of what it holds there, reservations change |
//! | `weight role 2` | |
//! | `guarantee role 2/1024 ...`, `limit role 1/0 ...`, `quota role 2/1024 ...` | forced; `quota` sets both; other bounds stay |
//! | `unquota role` | takes the quota away |
//! | `whitelist a b ...` | |
//! | `tick`, `wait SECONDS` | one interval later, the periodic run; only time passes |
//! | `filters role 1`, `share role 0.5` | assert the role's active filters or dominant share |
//!
//! After a framework's roles may follow `gpu`, `revocable`, `region`, `refine` (capabilities), `!role` (suppressed),
//! `role>=cpus:0.1|mem:10` (minimum), `role@rack=r1,ssd|hostname=b` (a role with constraints).
//!
//! An allocation is `f:a` (all that agent a has), `f:a=1/512,...` (that), with the role after an `@` where
//! it matters: `f@role:a`. Their order does not matter.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tepui_allocator::{
    Allocation, Allocator, FrameworkTerms, Options,
    invariants::{self, State},
};
use tepui_protocol::{
    AgentId, AgentInfo, Capability, Constraints, FrameworkId, Resources, Role, Timestamp,
};

use crate::{
    amounts::{items, resources},
    subject::Subject,
};

/// An allocator with its clock, checked against the invariants at every step.
pub(crate) struct Cluster {
    pub(crate) allocator: Box<dyn Allocator>,
    pub(crate) now: Timestamp,
    options: Options,
}

/// Runs the table on an empty cluster with default options.
pub(crate) fn cluster(table: &str) {
    Cluster::new(Options::default()).play(table);
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(crate) fn framework(name: &str) -> FrameworkId {
    FrameworkId::new(name).unwrap()
}

pub(crate) fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

pub(crate) fn roles(names: &[&str]) -> BTreeSet<Role> {
    names.iter().map(|name| role(name)).collect()
}

pub(crate) fn info(host: &str) -> AgentInfo {
    AgentInfo {
        id: None,
        hostname: host.to_owned(),
        resources: Resources::new(),
        attributes: BTreeMap::new(),
    }
}

/// `f@role=1/512,..`: what a framework holds in a role.
fn held(word: &str) -> (FrameworkId, Resources) {
    let (who, what) = word.split_once('=').unwrap();
    let (name, in_role) = who.split_once('@').unwrap();
    (
        framework(name),
        resources(what.split(',')).allocate(&role(in_role)),
    )
}

impl Cluster {
    pub(crate) fn new(options: Options) -> Self {
        let allocator = Box::new(Subject::new(options.clone()));
        Self {
            allocator,
            now: Timestamp::from_secs(1_000),
            options,
        }
    }

    /// Runs a table and asserts the allocations of each line that has an arrow.
    pub(crate) fn play(&mut self, table: &str) {
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (events, expected) = match line.split_once("->") {
                Some((events, expected)) => (events, Some(expected)),
                None => (line, None),
            };
            let made: Vec<Allocation> = events
                .split(';')
                .flat_map(|event| self.happen(event))
                .collect();
            if let Some(expected) = expected {
                self.compare(line, made, expected);
            }
        }
    }

    /// One event, with the run that follows.
    pub(crate) fn happen(&mut self, event: &str) -> Vec<Allocation> {
        let is_tick = event.trim() == "tick";
        if !is_tick {
            for part in event.split('&') {
                self.change(&part.split_whitespace().collect::<Vec<_>>());
            }
        }
        let before = State::of(&*self.allocator);
        let made = if is_tick {
            self.now = self.now + self.options.allocation_interval;
            self.allocator.tick(self.now)
        } else {
            self.allocator.allocate(self.now)
        };
        invariants::check_run(&before, &made).unwrap();
        invariants::check(&*self.allocator, &self.options.fair_share_excluded).unwrap();
        assert!(!self.allocator.needs_run());
        made
    }

    fn change(&mut self, words: &[&str]) {
        let name = words.get(1).copied().unwrap_or_default();
        let rest = &words[words.len().min(2)..];
        let known = self.allocator.agents();
        let is_agent = AgentId::new(name).is_ok_and(|name| known.contains_key(&name));
        match (words[0], is_agent) {
            ("framework", _) => self.add_framework(name, rest),
            ("agent", _) => {
                let at = rest
                    .iter()
                    .position(|word| *word == "use")
                    .unwrap_or(rest.len());
                let total = resources(rest[..at].iter().copied());
                let used = rest.iter().skip(at + 1).map(|word| held(word)).collect();
                self.allocator
                    .add_agent(&agent(name), &info(name), total, &used);
            }
            ("guarantee" | "limit" | "quota" | "unquota", _) => {
                self.set_quota(words[0], name, rest);
            }
            ("attributes", _) => self.set_attribute(name, rest[0]),
            ("resize", _) => {
                let total = resources(rest.iter().copied());
                self.allocator
                    .update_agent(&agent(name), &info(name), total);
            }
            ("remove", true) => self.allocator.remove_agent(&agent(name)),
            ("remove", false) => self.allocator.remove_framework(&framework(name)),
            ("off", true) => self.allocator.deactivate_agent(&agent(name)),
            ("off", false) => self.allocator.deactivate_framework(&framework(name)),
            ("on", true) => self.allocator.activate_agent(&agent(name)),
            ("on", false) => self.allocator.activate_framework(&framework(name)),
            ("suppress", _) => self.allocator.suppress(&framework(name), &roles(rest)),
            ("revive", _) => self.allocator.revive(&framework(name), &roles(rest)),
            ("decline", _) => self.decline(name, rest),
            ("return", _) => {
                let part = resources(rest[2..].iter().copied()).allocate(&role(rest[1]));
                self.recover(name, rest[0], &part, None);
            }
            ("convert", _) => {
                let at = rest.iter().position(|word| *word == ">").unwrap();
                let (from, to) = (&rest[2..at], &rest[at + 1..]);
                let part =
                    |words: &[&str]| resources(words.iter().copied()).allocate(&role(rest[1]));
                self.allocator
                    .convert(&framework(name), &agent(rest[0]), &part(from), &part(to))
                    .unwrap();
            }
            ("weight", _) => {
                let weights = BTreeMap::from([(role(name), rest[0].parse().unwrap())]);
                self.allocator.update_weights(&weights);
            }
            ("whitelist", _) => {
                let hosts = words[1..].iter().map(|host| (*host).to_owned()).collect();
                self.allocator.set_whitelist(Some(hosts));
            }
            ("wait", _) => {
                self.now = self.now + Duration::from_secs_f64(name.parse().unwrap());
                self.allocator.expire_filters(self.now);
            }
            ("filters", _) => {
                let filters = self.allocator.counters().active_filters;
                let count = filters.get(&role(name)).copied().unwrap_or(0);
                assert_eq!(count.to_string(), rest[0], "filters of {name}");
            }
            ("share", _) => {
                let share = self.allocator.roles()[&role(name)].dominant_share;
                assert_eq!(format!("{share:.2}"), rest[0], "share of {name}");
            }
            (event, _) => panic!("no such event: {event}"),
        }
    }

    fn add_framework(&mut self, name: &str, words: &[&str]) {
        let mut terms = FrameworkTerms::default();
        terms.capabilities.insert(Capability::MultiRole);
        let mut suppressed = BTreeSet::new();
        for word in words {
            if let Some((name, minimum)) = word.split_once(">=") {
                terms
                    .min_allocatable
                    .insert(role(name), minimum.parse().unwrap());
            } else if let Some((name, groups)) = word.split_once('@') {
                let groups = Constraints::parse(groups.split('|')).unwrap();
                terms.constraints.insert(role(name), groups);
                terms.roles.insert(role(name));
            } else if let Some(name) = word.strip_prefix('!') {
                suppressed.insert(role(name));
            } else if *word == "region" {
                terms.capabilities.insert(Capability::RegionAware);
            } else if *word == "refine" {
                terms.capabilities.insert(Capability::ReservationRefinement);
            } else if *word == "gpu" {
                terms.capabilities.insert(Capability::GpuResources);
            } else if *word == "revocable" {
                terms.capabilities.insert(Capability::RevocableResources);
            } else {
                terms.roles.insert(role(word));
            }
        }
        self.allocator
            .add_framework(&framework(name), terms, &suppressed, &BTreeMap::new());
    }

    fn set_quota(&mut self, which: &str, name: &str, amounts: &[&str]) {
        let role = role(name);
        let view = self.allocator.roles().remove(&role).unwrap_or_default();
        let mut quota = view.quota;
        let text = amounts
            .iter()
            .map(|word| items(word))
            .collect::<Vec<_>>()
            .join(";");
        if matches!(which, "guarantee" | "quota" | "unquota") {
            quota.guarantees = text.parse().unwrap();
        }
        if matches!(which, "limit" | "quota" | "unquota") {
            quota.limits = text.parse().unwrap();
        }
        self.allocator.set_quota(&role, quota, true).unwrap();
    }

    fn set_attribute(&mut self, name: &str, attribute: &str) {
        let (key, value) = attribute.split_once('=').unwrap();
        let attributes = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let total = self.allocator.agents()[&agent(name)].total.clone();
        self.allocator.update_agent(
            &agent(name),
            &AgentInfo {
                attributes,
                ..info(name)
            },
            total,
        );
    }

    fn decline(&mut self, name: &str, words: &[&str]) {
        let held = self.held(name, words[0]);
        let filter = words
            .iter()
            .find_map(|word| word.strip_suffix('s')?.parse::<f64>().ok());
        let in_role = words[1..]
            .iter()
            .find(|word| filter.is_none() || !word.ends_with('s'));
        let held = match in_role {
            Some(name) => held.allocations().remove(&role(name)).unwrap(),
            None => held,
        };
        self.recover(name, words[0], &held, filter.map(Duration::from_secs_f64));
    }

    /// What a framework holds on an agent.
    pub(crate) fn held(&self, of: &str, on: &str) -> Resources {
        let used = self.allocator.agents().remove(&agent(on)).unwrap().used;
        used.get(&framework(of)).cloned().unwrap_or_default()
    }

    pub(crate) fn recover(
        &mut self,
        of: &str,
        on: &str,
        part: &Resources,
        filter: Option<Duration>,
    ) {
        self.allocator
            .recover(&framework(of), &agent(on), part, filter, self.now)
            .unwrap();
    }

    fn compare(&self, line: &str, made: Vec<Allocation>, expected: &str) {
        let mut left = made.clone();
        for word in expected.split_whitespace().filter(|word| *word != "none") {
            let found = left.iter().position(|allocation| self.is(word, allocation));
            let Some(at) = found else {
                panic!("{line}\nno {word} in {made:#?}")
            };
            left.remove(at);
        }
        assert!(left.is_empty(), "{line}\nalso: {left:#?}");
    }

    fn is(&self, word: &str, allocation: &Allocation) -> bool {
        let (who, what) = word.split_once(':').unwrap();
        let (name, in_role) = who
            .split_once('@')
            .map_or((who, None), |(f, r)| (f, Some(r)));
        let (on, amounts) = what
            .split_once('=')
            .map_or((what, None), |(a, r)| (a, Some(r)));
        let resources = match amounts {
            Some(amounts) => resources(words(amounts)),
            None => self.allocator.agents()[&agent(on)].total.clone(),
        };
        allocation.framework == framework(name)
            && allocation.agent == agent(on)
            && in_role.is_none_or(|name| allocation.role == role(name))
            && allocation.resources == resources.allocate(&allocation.role)
    }
}

/// The amounts of an allocation; commas in brackets do not part them.
fn words(amounts: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    amounts.split(move |c| {
        depth += i32::from(c == '(' || c == '[') - i32::from(c == ')' || c == ']');
        c == ',' && depth == 0
    })
}
