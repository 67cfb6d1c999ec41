//! Mesos's whole grid of allocator benchmarks, with its names and sizes, through the trait that the master uses.
//!
//! `cargo bench --bench allocator -- only=grid` runs all (about ten minutes), `only=grid/DeclineOffers` one of them.
//!
//! | case | sizes | figures, CPU time |
//! |---|---|---|
//! | `AddAndUpdateSlave` | agents x frameworks | all agents join; all change |
//! | `DeclineOffers`, `ResourceLabels`, `PersistentVolumes` | agents x frameworks | one periodic run that offers all agents, of which all is declined: for ever, and without a refusal with volumes |
//! | `SuppressOffers`, `ExtremeSuppressOffers` | agents x frameworks | the same while a tenth of the frameworks more is suppressed each round; while 99 % are |
//! | `Metrics` | agents x frameworks | what `/metrics` needs, with a role and a quota for each framework |
//! | `AllocatorBacklog` | agents x frameworks | each framework revives, and a run over all agents follows |
//! | `NonQuotaVsQuota` | roles | a run that gives all away; one that finds nothing to give; with and without quota |
//! | `UpdateAllocation` | reservations on one agent | a reservation is made, or undone, on what is offered of it |
//! | `MultiFrameworkAllocations` | one | runs until 4,000 + 5 x 500 + 20 x 50 tasks were launched by frameworks of three kinds |
//! | `FullSort`, `HierarchyFullSort` | agents x clients | the sorter alone: `sorter.rs` |
//!
//! `LargeAndSmallQuota` is `quota.rs`. Where Mesos was measured (see `mesos.rs`), its figure stands beside; those rows go into the
//! file of figures, all are printed.

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    time::Duration,
};

use tepui_allocator::{Allocation, Allocator, FrameworkTerms, IncrementalDrf, Options};
use tepui_protocol::{
    FrameworkId, FrameworkInfo, Limits, MasterId, Quantities, Quota, Resources, Role, Timestamp,
    resources::Reservation,
};

use super::{
    figures::record,
    mesos::{Cluster, FOR_EVER, agent_info, cpu_ms, median},
    sorter,
};

const AGENTS: [u64; 6] = [1_000, 5_000, 10_000, 20_000, 30_000, 50_000];
const FRAMEWORKS: [u64; 8] = [1, 50, 100, 200, 500, 1_000, 3_000, 6_000];
const ROUNDS: usize = 5;

/// Mesos's own, in ms: case and figure, agents, frameworks.
const MEASURED: [(&str, u64, u64, f64); 33] = [
    ("AddAndUpdateSlave/add", 1_000, 50, 80.0),
    ("AddAndUpdateSlave/add", 1_000, 1_000, 105.0),
    ("AddAndUpdateSlave/add", 10_000, 50, 920.0),
    ("AddAndUpdateSlave/add", 10_000, 1_000, 1320.0),
    ("AddAndUpdateSlave/update", 1_000, 50, 65.0),
    ("AddAndUpdateSlave/update", 1_000, 1_000, 120.0),
    ("AddAndUpdateSlave/update", 10_000, 50, 810.0),
    ("AddAndUpdateSlave/update", 10_000, 1_000, 810.0),
    ("DeclineOffers", 10_000, 200, 600.0),
    ("DeclineOffers", 10_000, 1_000, 900.0),
    ("ResourceLabels", 1_000, 50, 97.0),
    ("ResourceLabels", 5_000, 50, 600.0),
    ("ResourceLabels", 10_000, 50, 790.0),
    ("PersistentVolumes", 1_000, 50, 92.0),
    ("PersistentVolumes", 1_000, 1_000, 85.0),
    ("PersistentVolumes", 5_000, 50, 293.0),
    ("PersistentVolumes", 5_000, 1_000, 409.0),
    ("PersistentVolumes", 10_000, 50, 620.0),
    ("PersistentVolumes", 10_000, 1_000, 1390.0),
    ("SuppressOffers", 1_000, 50, 81.0),
    ("SuppressOffers", 1_000, 1_000, 92.0),
    ("SuppressOffers", 5_000, 50, 250.0),
    ("SuppressOffers", 5_000, 1_000, 320.0),
    ("SuppressOffers", 10_000, 50, 690.0),
    ("SuppressOffers", 10_000, 1_000, 700.0),
    ("ExtremeSuppressOffers", 1_000, 1_000, 58.0),
    ("ExtremeSuppressOffers", 5_000, 1_000, 225.0),
    ("ExtremeSuppressOffers", 10_000, 1_000, 500.0),
    ("AllocatorBacklog", 1_000, 1_000, 260.0),
    ("AllocatorBacklog", 5_000, 1_000, 2730.0),
    ("AllocatorBacklog", 10_000, 50, 410.0),
    ("AllocatorBacklog", 10_000, 1_000, 7900.0),
    ("Metrics", 1_000, 1_000, 86.0),
];

/// Prints a row, and records it where Mesos was measured.
fn row(case: &str, agents: u64, frameworks: u64, ms: f64) {
    let is_it = |(name, a, f, _): &&(&str, u64, u64, f64)| {
        *name == case && (*a, *f) == (agents, frameworks)
    };
    match MEASURED.iter().find(is_it) {
        Some((.., mesos)) => record(
            &format!("allocator/grid/{case}/{agents}x{frameworks}"),
            ms,
            "ms",
            &format!("Mesos {mesos} ms"),
        ),
        None => println!("grid: {case} {agents} x {frameworks}: {ms:.2} ms"),
    }
}

fn star(_: u64) -> String {
    "*".to_owned()
}

/// The median run in which all agents are offered; all is declined in between.
fn rounds(cluster: &mut Cluster, agents: u64, refusal: Option<Duration>, count: usize) -> f64 {
    let mut made = cluster.tick();
    let mut took = Vec::new();
    for _ in 0..count {
        cluster.decline(&made, refusal);
        made.clear();
        took.push(cpu_ms(|| made = cluster.tick()));
    }
    // Refusals for ever are as many as frameworks, in the end.
    assert!(refusal.is_some() || made.len() as u64 == agents);
    median(took)
}

fn add_and_update(agents: u64, frameworks: u64) {
    let mut cluster = Cluster::new(frameworks, star);
    let joining = cluster.joining(agents, true);
    let adding = cpu_ms(|| drop(black_box(cluster.add_agents(joining))));
    row("AddAndUpdateSlave/add", agents, frameworks, adding);
    let more: Resources = "cpus:1".parse().expect("text");
    let total = cluster.total.clone() + &more;
    let updates: Vec<_> = (0..agents).map(|n| agent_info(n, &total)).collect();
    let updating = cpu_ms(|| {
        for (id, info) in &updates {
            cluster.allocator.update_agent(id, info, total.clone());
        }
        black_box(cluster.allocator.allocate(cluster.now));
    });
    row("AddAndUpdateSlave/update", agents, frameworks, updating);
}

fn decline(agents: u64, frameworks: u64) {
    let mut cluster = Cluster::new(frameworks, star);
    let joining = cluster.joining(agents, true);
    let made = cluster.add_agents(joining);
    cluster.decline(&made, Some(FOR_EVER));
    let took = rounds(&mut cluster, agents, Some(FOR_EVER), ROUNDS);
    row("DeclineOffers", agents, frameworks, took);
}

/// Agents whose resources are reserved in part, with labels or as volumes.
fn reserved(case: &str, role: &str, total: &Resources, agents: u64, frameworks: u64) {
    let mut cluster = Cluster::new(frameworks, |_| role.to_owned());
    cluster.total = total.clone();
    let joining = cluster.joining(agents, false);
    let made = cluster.add_agents(joining);
    cluster.decline(&made, None);
    let took = rounds(&mut cluster, agents, None, ROUNDS);
    row(case, agents, frameworks, took);
}

fn labels(agents: u64, frameworks: u64) {
    let label = |n: usize| (format!("key-{n}"), format!("value-{n}"));
    let claim = |n| Reservation {
        labels: BTreeMap::from([label(n), label(n + 1)]),
        ..Reservation::dynamic(Role::new("role1").expect("a role"), Some("ops".to_owned()))
    };
    let part: Resources = "cpus:2;mem:512;disk:512".parse().expect("text");
    let free: Resources = "cpus:20;mem:3072;disk:3072;ports:[31000-32000]"
        .parse()
        .expect("text");
    let total = free + &part.push_reservation(&claim(0)) + &part.push_reservation(&claim(2));
    reserved("ResourceLabels", "role1", &total, agents, frameworks);
}

fn volumes(agents: u64, frameworks: u64) {
    let total = "cpus:24;mem:4096;disk:4096;ports:[31000-32000];disk(test)[v:data]:1024";
    let total = total.parse().expect("text");
    reserved("PersistentVolumes", "test", &total, agents, frameworks);
}

fn suppress(agents: u64, frameworks: u64) {
    let mut cluster = Cluster::new(frameworks, star);
    let joining = cluster.joining(agents, true);
    let mut made = cluster.add_agents(joining);
    let tenth = (cluster.frameworks.len() / 10).max(1);
    let mut took = Vec::new();
    let ids = cluster.frameworks.clone();
    for some in ids.chunks(tenth).take(9) {
        cluster.decline(&made, None);
        made.clear();
        for id in some {
            cluster.allocator.suppress(id, &BTreeSet::new());
        }
        took.push(cpu_ms(|| made = cluster.tick()));
    }
    row("SuppressOffers", agents, frameworks, median(took));
}

fn suppress_nearly_all(agents: u64, frameworks: u64) {
    let mut cluster = Cluster::new(frameworks, star);
    let joining = cluster.joining(agents, true);
    let made = cluster.add_agents(joining);
    cluster.decline(&made, None);
    for id in cluster
        .frameworks
        .clone()
        .iter()
        .take(frameworks as usize * 99 / 100)
    {
        cluster.allocator.suppress(id, &BTreeSet::new());
    }
    let took = rounds(&mut cluster, agents, None, ROUNDS);
    row("ExtremeSuppressOffers", agents, frameworks, took);
}

fn metrics(agents: u64, frameworks: u64) {
    let mut cluster = Cluster::new(frameworks, |n| format!("role-{n}"));
    let guarantees: Quantities = "cpus:1;mem:512".parse().expect("text");
    for n in 0..frameworks {
        let role = Role::new(format!("role-{n}")).expect("a role");
        let limits = Limits::from(&guarantees);
        let quota = Quota {
            guarantees: guarantees.clone(),
            limits,
        };
        let answer = cluster.allocator.set_quota(&role, quota, true);
        answer.expect("the quotas go together");
    }
    let joining = cluster.joining(agents, true);
    cluster.add_agents(joining);
    let allocator = &cluster.allocator;
    let snapshots = (0..ROUNDS).map(|_| {
        cpu_ms(|| {
            black_box((allocator.counters(), allocator.roles()));
        })
    });
    row("Metrics", agents, frameworks, median(snapshots.collect()));
}

fn backlog(agents: u64, frameworks: u64) {
    let mut cluster = Cluster::new(frameworks, star);
    let joining = cluster.joining(agents, false);
    let made = cluster.add_agents(joining);
    assert_eq!(made.len() as u64, agents, "every agent is offered");
    let reviving = cpu_ms(|| {
        for id in &cluster.frameworks {
            cluster.allocator.revive(id, &BTreeSet::new());
            assert!(cluster.allocator.allocate(cluster.now).is_empty());
        }
    });
    row("AllocatorBacklog", agents, frameworks, reviving);
}

/// Two agents and two frameworks a role; one agent's worth of guarantee and limit for each, or none.
fn quota_or_none(roles: u64, quota: bool, mesos: [f64; 2]) {
    let (mut giving, mut idle) = (Vec::new(), Vec::new());
    let mut cluster = Cluster::new(2 * roles, |n| format!("role-{}", n / 2));
    if quota {
        for n in 0..roles {
            let guarantees: Quantities = "cpus:24;mem:4096;disk:4096".parse().expect("text");
            let limits = Limits::from(&guarantees);
            let role = Role::new(format!("role-{n}")).expect("a role");
            let quota = Quota { guarantees, limits };
            let answer = cluster.allocator.set_quota(&role, quota, true);
            answer.expect("the quotas go together");
        }
    }
    let joining = cluster.joining(2 * roles, false);
    let mut made = cluster.add_agents(joining);
    for _ in 0..ROUNDS {
        cluster.decline(&made, None);
        giving.push(cpu_ms(|| made = cluster.tick()));
        assert!(made.len() as u64 >= roles, "each role gets something");
        idle.push(cpu_ms(|| assert!(cluster.tick().is_empty())));
    }
    let kind = if quota { "quota" } else { "no-quota" };
    let name = format!("allocator/grid/NonQuotaVsQuota/{roles}-roles/{kind}");
    for (what, took, mesos) in [("giving", giving, mesos[0]), ("idle", idle, mesos[1])] {
        record(
            &format!("{name}/{what}"),
            median(took),
            "ms",
            &format!("Mesos {mesos} ms"),
        );
    }
}

/// Reserves and unreserves a cpu for one role after the other on an agent with reservations for all of them.
fn update_allocation(roles: u64, mesos: f64) {
    let mut cluster = Cluster::new(1, |_| "role-0".to_owned());
    let claim =
        |n: u64| Reservation::dynamic(Role::new(format!("role-{n}")).expect("a role"), None);
    let part = |n: u64| {
        let text = format!("cpus:1;mem:128;disk:128;ports:[{0}-{0}]", 31_000 + n);
        text.parse::<Resources>().expect("text")
    };
    let free: Resources = "cpus:64;mem:65536;disk:65536".parse().expect("text");
    cluster.total = (0..roles).fold(free, |sum, n| sum + &part(n).push_reservation(&claim(n)));
    let joining = cluster.joining(1, false);
    let made = cluster.add_agents(joining);
    let [
        Allocation {
            framework,
            agent,
            resources,
            ..
        },
    ] = &made[..]
    else {
        unreachable!("one framework, one agent");
    };
    let role = Role::new("role-0").expect("a role");
    let cpu: Resources = "cpus:1".parse().expect("text");
    let (from, to) = (
        cpu.allocate(&role),
        cpu.push_reservation(&claim(0)).allocate(&role),
    );
    assert!(resources.contains(&from), "a free cpu was offered");
    let took = (0..20).map(|_| {
        cpu_ms(|| {
            cluster
                .allocator
                .convert(framework, agent, &from, &to)
                .expect("it was held");
            cluster
                .allocator
                .convert(framework, agent, &to, &from)
                .expect("it was held");
        })
    });
    record(
        &format!("allocator/grid/UpdateAllocation/{roles}-roles"),
        median(took.collect()) / 2.0,
        "ms",
        &format!("Mesos {mesos} ms"),
    );
}

/// A kind of framework: what a task takes, how many it wants, and launches of one offer.
struct Kind {
    task: Resources,
    wants: u64,
    at_once: u64,
}

fn several_kinds() {
    let kind = |task: &str, wants, at_once| Kind {
        task: task.parse().expect("text"),
        wants,
        at_once,
    };
    let mut allocator = IncrementalDrf::new(Options::default());
    let master = MasterId::new("m").expect("an id");
    let mut wanting: BTreeMap<FrameworkId, Kind> = BTreeMap::new();
    let mut add = |n: u64, role: String, kind| {
        let role = Role::new(role).expect("a role");
        let id = FrameworkId::nth(&master, n);
        let terms = FrameworkTerms::from(&FrameworkInfo::new(format!("f{n}"), role));
        allocator.add_framework(&id, terms, &BTreeSet::new(), &BTreeMap::new());
        wanting.insert(id, kind);
    };
    (0..4).for_each(|n| {
        add(
            n,
            format!("marathon-{n}"),
            kind("cpus:0.07;mem:400", 1_000, 100),
        )
    });
    (4..504).for_each(|n| add(n, "jenkins".to_owned(), kind("cpus:0.1;mem:4000", 5, 1)));
    (504..554).for_each(|n| add(n, format!("spark-{n}"), kind("cpus:1;mem:1000", 20, 5)));
    let total: Resources = "cpus:64;mem:488000".parse().expect("text");
    for n in 0..80 {
        let (id, info) = agent_info(n, &total);
        allocator.add_agent(&id, &info, total.clone(), &BTreeMap::new());
    }
    let (mut runs, mut launched) = (0_u64, 0);
    let took = cpu_ms(|| {
        while wanting.values().any(|kind| kind.wants > 0) {
            runs += 1;
            assert!(runs < 10_000, "the cluster has room for all");
            let now = Timestamp::from_secs(runs);
            for made in allocator.tick(now) {
                let kind = wanting.get_mut(&made.framework).expect("known");
                let (task, mut left) = (kind.task.allocate(&made.role), made.resources);
                let most = kind.wants.min(kind.at_once);
                let fits =
                    (0..most).take_while(|_| left.contains(&task).then(|| left -= &task).is_some());
                let count = fits.count() as u64;
                kind.wants -= count;
                launched += count;
                let back = allocator.recover(
                    &made.framework,
                    &made.agent,
                    &left,
                    Some(Duration::from_secs(5)),
                    now,
                );
                back.expect("it was held");
                if kind.wants == 0 {
                    allocator.suppress(&made.framework, &BTreeSet::new());
                }
            }
        }
    });
    record(
        "allocator/grid/MultiFrameworkAllocations/cpu",
        took,
        "ms",
        &format!("{launched} tasks in {runs} runs; not measured with Mesos"),
    );
}

/// Measures a number of agents and of frameworks.
type Case = fn(u64, u64);

/// Runs the case of this name, or all.
pub(crate) fn all(only: &str) {
    let cases: [(&str, Case); 8] = [
        ("AddAndUpdateSlave", add_and_update),
        ("DeclineOffers", decline),
        ("ResourceLabels", labels),
        ("PersistentVolumes", volumes),
        ("SuppressOffers", suppress),
        ("ExtremeSuppressOffers", suppress_nearly_all),
        ("Metrics", metrics),
        ("AllocatorBacklog", backlog),
    ];
    for (_, case) in cases
        .iter()
        .filter(|(name, _)| only.is_empty() || *name == only)
    {
        for agents in AGENTS {
            for frameworks in FRAMEWORKS {
                case(agents, frameworks);
            }
        }
    }
    let is_wanted = |name| only.is_empty() || name == only;
    if is_wanted("NonQuotaVsQuota") {
        for (roles, none, quota) in [
            (10, [0.85, 0.19], [1.3, 0.19]),
            (100, [11.7, 3.5], [18.9, 2.1]),
            (1_000, [605.0, 449.0], [432.0, 148.0]),
        ] {
            quota_or_none(roles, false, none);
            quota_or_none(roles, true, quota);
        }
    }
    if is_wanted("UpdateAllocation") {
        [(50, 6.5), (100, 10.2), (200, 35.0)]
            .into_iter()
            .for_each(|(roles, mesos)| update_allocation(roles, mesos));
    }
    if is_wanted("MultiFrameworkAllocations") {
        several_kinds();
    }
    if is_wanted("FullSort") {
        sorter::full_sort();
    }
    if is_wanted("HierarchyFullSort") {
        sorter::hierarchy();
    }
}
