//! The allocator alone. CPU time, medians; each case beside its baseline in the same run.
//!
//! | case | file |
//! |---|---|
//! | whole decisions, 100,000 agents x 10,000 frameworks x 100 roles at 90 % load, beside the floor program; growth, single events, memory | `allocator/decisions.rs` |
//! | two optimistic schedulers on one table, beside one | `allocator/optimistic.rs` |
//! | a shard under a million events a second from four threads, with readers | `allocator/under_load.rs` |
//! | Mesos's own benchmarks, through the trait that the master uses | `allocator/mesos.rs` |
//! | Mesos's benchmark of quota, 3,000 roles | `allocator/quota.rs` |
//! | Mesos's other benchmarks of its allocator, in all of their sizes; only when asked for: `only=grid` | `allocator/grid.rs`, `allocator/sorter.rs` |
//! | offers a second of a full round through the trait that the master uses, beside a bare scan | here |
//!
//! A round: every agent is free, each goes to the framework whose turn it is, all is declined
//! without a filter. Sizes 10^2 and 10^3 agents, 100 frameworks in 10 roles.
//! `cargo bench --bench allocator`

#[path = "allocator/decisions.rs"]
mod decisions;
#[path = "allocator/engine.rs"]
mod engine;
#[path = "allocator/floor.rs"]
mod floor;
#[path = "allocator/grid.rs"]
mod grid;
#[path = "allocator/mesos.rs"]
mod mesos;
#[path = "allocator/optimistic.rs"]
mod optimistic;
#[path = "allocator/quota.rs"]
mod quota;
#[path = "allocator/sorter.rs"]
mod sorter;
#[path = "allocator/under_load.rs"]
mod under_load;
#[path = "allocator/workload.rs"]
mod workload;

mod figures;

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
};

use criterion::{Criterion, Throughput};
use figures::{CpuTime, criterion, median_ns, record};
use tepui_allocator::{AgentOrder, Allocator, FrameworkTerms, IncrementalDrf, Options};
use tepui_protocol::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, MasterId, Resources, Role, Timestamp,
};

const FRAMEWORKS: u64 = 100;
const ROLES: u64 = 10;

fn cluster(agents: u64) -> (IncrementalDrf, Vec<Resources>) {
    let options = Options {
        agent_order: AgentOrder::Shuffled(1),
        ..Options::default()
    };
    let mut allocator = IncrementalDrf::new(options);
    let master = MasterId::new("m").expect("an id");
    for n in 0..FRAMEWORKS {
        let role = Role::new(format!("role-{}", n % ROLES)).expect("a role");
        let info = FrameworkInfo::new(format!("f{n}"), role);
        let terms = FrameworkTerms::from(&info);
        let id = FrameworkId::nth(&master, n);
        allocator.add_framework(&id, terms, &BTreeSet::new(), &BTreeMap::new());
    }
    let total: Resources = "cpus:16;mem:65536;disk:100000;ports:[31000-32000]"
        .parse()
        .expect("text");
    for n in 0..agents {
        let info = AgentInfo {
            id: Some(AgentId::nth(&master, n)),
            hostname: format!("host-{n}"),
            resources: total.clone(),
            attributes: BTreeMap::new(),
        };
        let id = AgentId::nth(&master, n);
        allocator.add_agent(&id, &info, total.clone(), &BTreeMap::new());
    }
    (
        allocator,
        vec![total; usize::try_from(agents).expect("a small number")],
    )
}

fn rounds(c: &mut Criterion<CpuTime>, agents: u64) {
    let name = format!("round_{agents}_agents");
    let mut group = c.benchmark_group(&name);
    group.throughput(Throughput::Elements(agents));
    let (mut allocator, totals) = cluster(agents);
    let mut now = 0;
    group.bench_function("tepui", |b| {
        b.iter(|| {
            now += 1;
            let at = Timestamp::from_secs(now);
            let offers = allocator.tick(at);
            assert_eq!(offers.len() as u64, agents, "every agent is offered");
            for offer in offers {
                let given_back =
                    allocator.recover(&offer.framework, &offer.agent, &offer.resources, None, at);
                given_back.expect("it was held");
            }
        });
    });
    let least: Resources = "cpus:0.01;mem:32".parse().expect("text");
    group.bench_function("scan", |b| {
        b.iter(|| {
            totals
                .iter()
                .filter(|total| black_box(total).contains(&least))
                .count()
        });
    });
    group.finish();
    let (Some(ours), Some(scan)) = (median_ns(&name, "tepui"), median_ns(&name, "scan")) else {
        return;
    };
    let per = agents as f64;
    let baseline = format!("bare scan {:.0} ns an agent", scan / per);
    record(
        &format!("allocator/offers/{agents}-agents/rate"),
        per * 1e9 / ours,
        "offers/s",
        &baseline,
    );
    record(
        &format!("allocator/offers/{agents}-agents/vs-scan"),
        ours / scan,
        "ratio",
        &baseline,
    );
}

fn main() {
    // `cargo bench --bench allocator -- only=under-load` measures one part.
    let only = std::env::args().find_map(|arg| arg.strip_prefix("only=").map(str::to_owned));
    if let Some(case) = only.as_deref().and_then(|only| only.strip_prefix("grid")) {
        return grid::all(case.trim_start_matches('/'));
    }
    let parts: [(&str, fn()); 6] = [
        ("decisions", decisions::all),
        ("memory", decisions::memory),
        ("optimistic", optimistic::all),
        ("under-load", under_load::all),
        ("mesos", mesos::all),
        ("quota", quota::all),
    ];
    for (name, part) in parts {
        if only.as_deref().is_none_or(|only| only == name) {
            part();
        }
    }
    if only.is_some() {
        return;
    }
    let mut criterion = criterion();
    rounds(&mut criterion, 100);
    rounds(&mut criterion, 1000);
    criterion.final_summary();
}
