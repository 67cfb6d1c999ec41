//! Mesos's allocator benchmarks through the trait that the master uses, with Mesos's names and sizes.
//!
//! | case | what |
//! |---|---|
//! | `AddAgents` | agents of 24 cpus and 1,001 ports join, each partly in use; all are offered |
//! | `DeclineOffers` | a periodic run offers every agent; then all is declined for ever, so that refusals pile up |
//! | `AllocatorBacklog` | everything is offered; each framework revives, and a run over all agents follows |
//! | `SuppressOffers` | as `DeclineOffers`, with a tenth of the frameworks suppressed each round |
//! | `FullRefill` | 50,000 free agents, 6,000 frameworks: one run |
//! | `Metrics` | what `/metrics` needs of it, with a role for each framework |
//!
//! What Mesos itself took for these was measured once, on one core of a Xeon of 2.5 GHz, from its own
//! benchmarks; it stands beside each figure as its baseline, and is not measured again here.

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    time::Duration,
};

use tepui_allocator::{Allocation, Allocator, FrameworkTerms, IncrementalDrf, Options};
use tepui_protocol::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, MasterId, Resources, Role, Timestamp,
};

use super::figures::{cpu_time, quantile, record};

/// Fifty years.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(50 * 365 * 86_400);

pub(crate) struct Cluster {
    pub(crate) allocator: IncrementalDrf,
    pub(crate) frameworks: Vec<FrameworkId>,
    pub(crate) total: Resources,
    used: Resources,
    pub(crate) now: Timestamp,
}

/// An agent with what is used of it.
pub(crate) type Joining = (
    AgentId,
    AgentInfo,
    Resources,
    BTreeMap<FrameworkId, Resources>,
);

pub(crate) fn cpu_ms(work: impl FnOnce()) -> f64 {
    let start = cpu_time();
    work();
    (cpu_time() - start).as_secs_f64() * 1e3
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// The agent of a number.
pub(crate) fn agent_info(n: u64, total: &Resources) -> (AgentId, AgentInfo) {
    let master = MasterId::new("m").expect("an id");
    let id = AgentId::nth(&master, n);
    let info = AgentInfo {
        id: Some(id.clone()),
        hostname: format!("host-{n}"),
        resources: total.clone(),
        attributes: BTreeMap::new(),
    };
    (id, info)
}

impl Cluster {
    /// Frameworks in the role that `role` names for each.
    pub(crate) fn new(frameworks: u64, role: impl Fn(u64) -> String) -> Self {
        let mut allocator = IncrementalDrf::new(Options::default());
        let master = MasterId::new("m").expect("an id");
        let add = |n| {
            let role = Role::new(role(n)).expect("a role");
            let terms = FrameworkTerms::from(&FrameworkInfo::new(format!("f{n}"), role));
            let id = FrameworkId::nth(&master, n);
            allocator.add_framework(&id, terms, &BTreeSet::new(), &BTreeMap::new());
            id
        };
        let frameworks = (0..frameworks).map(add).collect();
        let fragments: Vec<String> = (0..16)
            .map(|n| format!("{0}-{1}", 31_000 + 62 * n, 31_030 + 62 * n))
            .collect();
        let used = format!("cpus:16;mem:2014;disk:1024;ports:[{}]", fragments.join(","));
        let total = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]";
        Self {
            allocator,
            frameworks,
            total: total.parse().expect("text"),
            used: used.parse().expect("text"),
            now: Timestamp::from_secs(1),
        }
    }

    /// What joins: agents, partly used by one framework after the other if `in_use` says so.
    pub(crate) fn joining(&self, agents: u64, in_use: bool) -> Vec<Joining> {
        let agent = |n| {
            let (id, info) = agent_info(n, &self.total);
            let mut used = BTreeMap::new();
            if in_use {
                let by = self.frameworks[n as usize % self.frameworks.len()].clone();
                used.insert(by, self.used.allocate(&Role::star()));
            }
            (id, info, self.total.clone(), used)
        };
        (0..agents).map(agent).collect()
    }

    /// Adds agents, and carries out the run that is due then, as one run follows many events that wait in
    /// the master's and in Mesos's queue.
    pub(crate) fn add_agents(&mut self, joining: Vec<Joining>) -> Vec<Allocation> {
        for (id, info, total, used) in joining {
            self.allocator.add_agent(&id, &info, total, &used);
        }
        self.allocator.allocate(self.now)
    }

    pub(crate) fn tick(&mut self) -> Vec<Allocation> {
        self.now = self.now + Duration::from_secs(1);
        self.allocator.tick(self.now)
    }

    pub(crate) fn decline(&mut self, made: &[Allocation], filter: Option<Duration>) {
        for Allocation {
            framework,
            agent,
            resources,
            ..
        } in made
        {
            let answer = self
                .allocator
                .recover(framework, agent, resources, filter, self.now);
            answer.expect("it was held");
        }
    }
}

fn star(_: u64) -> String {
    "*".to_owned()
}

fn decline_offers() {
    let (agents, frameworks) = (10_000, 1_000);
    let mut cluster = Cluster::new(frameworks, star);
    let mut made = Vec::new();
    let joining = cluster.joining(agents, true);
    let adding = cpu_ms(|| made = cluster.add_agents(joining));
    let name = "allocator/mesos/10000x1000";
    record(&format!("{name}/AddAgents"), adding, "ms", "Mesos 1300 ms");
    let mut rounds = Vec::new();
    for _ in 0..10 {
        cluster.decline(&made, Some(FOR_EVER));
        made.clear();
        rounds.push(cpu_ms(|| made = cluster.tick()));
        assert_eq!(made.len() as u64, agents, "every agent is offered");
    }
    record(
        &format!("{name}/DeclineOffers"),
        median(rounds),
        "ms",
        "Mesos 900 ms",
    );
}

fn suppress_offers() {
    let (agents, frameworks) = (10_000, 1_000);
    let mut cluster = Cluster::new(frameworks, star);
    let joining = cluster.joining(agents, true);
    let mut made = cluster.add_agents(joining);
    let mut rounds = Vec::new();
    for n in 0..9 {
        cluster.decline(&made, None);
        made.clear();
        for id in &cluster.frameworks[100 * n..100 * (n + 1)] {
            cluster.allocator.suppress(id, &BTreeSet::new());
        }
        rounds.push(cpu_ms(|| made = cluster.tick()));
        assert_eq!(made.len() as u64, agents, "every agent is offered");
    }
    let name = "allocator/mesos/10000x1000/SuppressOffers";
    record(name, median(rounds), "ms", "Mesos 700 ms");
}

fn backlog() {
    let mut cluster = Cluster::new(1_000, star);
    let mut made = Vec::new();
    let joining = cluster.joining(10_000, false);
    let adding = cpu_ms(|| made = cluster.add_agents(joining));
    assert_eq!(made.len(), 10_000, "every agent is offered");
    let reviving = cpu_ms(|| {
        for id in &cluster.frameworks {
            cluster.allocator.revive(id, &BTreeSet::new());
            assert!(cluster.allocator.allocate(cluster.now).is_empty());
        }
    });
    let name = "allocator/mesos/10000x1000/AllocatorBacklog";
    record(&format!("{name}/add"), adding, "ms", "Mesos 700 ms");
    record(&format!("{name}/revive"), reviving, "ms", "Mesos 7900 ms");
}

fn full_refill() {
    let (agents, frameworks) = (50_000, 6_000);
    let mut cluster = Cluster::new(frameworks, |n| format!("role-{}", n % 100));
    let joining = cluster.joining(agents, false);
    let mut made = cluster.add_agents(joining);
    let mut rounds = Vec::new();
    for _ in 0..5 {
        cluster.decline(&made, None);
        made.clear();
        rounds.push(cpu_ms(|| made = cluster.tick()));
        assert_eq!(made.len() as u64, agents, "every agent is offered");
    }
    let name = "allocator/mesos/50000x6000/FullRefill";
    record(name, median(rounds), "ms", "not measured with Mesos");
}

fn metrics() {
    let mut cluster = Cluster::new(1_000, |n| format!("role-{n}"));
    let joining = cluster.joining(10_000, false);
    cluster.add_agents(joining);
    let allocator = &cluster.allocator;
    let snapshots = (0..21).map(|_| {
        cpu_ms(|| {
            black_box((allocator.counters(), allocator.roles()));
        })
    });
    let name = "allocator/mesos/10000x1000/Metrics";
    record(name, median(snapshots.collect()), "ms", "Mesos timed out");
}

pub(crate) fn all() {
    decline_offers();
    suppress_offers();
    backlog();
    full_refill();
    metrics();
}
