//! Mesos's `LargeAndSmallQuota`: 3,000 agents, 3,000 roles with a guarantee and a limit, a framework each.
//!
//! | figure | what |
//! |---|---|
//! | `add` | the frameworks subscribe, one after the other, and the run that is due then gives all of them their quota |
//! | `first` | all is given back; the next periodic run gives 3,500 pieces of agents |
//! | `empty` | the runs after that: a quarter of the cluster is free, and nobody may have it |
//!
//! What Mesos took: as in `mesos.rs`.

use std::collections::{BTreeMap, BTreeSet};

use tepui_allocator::{Allocation, Allocator, FrameworkTerms, IncrementalDrf, Options};
use tepui_protocol::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, Limits, MasterId, Quantities, Quota, Resources,
    Role, Timestamp,
};

use super::{
    figures::record,
    mesos::{cpu_ms, median},
};

const AGENTS: u64 = 3_000;
const LARGE: u64 = 500;
const SMALL: u64 = 2_500;
/// Large roles get two whole agents, small ones half of one.
const PIECES: usize = (2 * LARGE + SMALL) as usize;
const ROUNDS: usize = 5;

/// Roles by name, and their quota.
fn quotas() -> Vec<(Role, Quota)> {
    let quota = |text: &str| {
        let guarantees: Quantities = text.parse().expect("text");
        let limits = Limits::from(&guarantees);
        Quota { guarantees, limits }
    };
    let small = quota("cpus:1;mem:1024;disk:1024");
    let large = quota("cpus:4;mem:4096;disk:4096");
    let role = |name: String| Role::new(name).expect("a role");
    let large = (0..LARGE).map(|n| (role(format!("large-{n}")), large.clone()));
    let small = (0..SMALL).map(|n| (role(format!("small-{n}")), small.clone()));
    large.chain(small).collect()
}

fn agents(allocator: &mut IncrementalDrf, master: &MasterId) {
    let total: Resources = "cpus:2;mem:2048;disk:2048".parse().expect("text");
    for n in 0..AGENTS {
        let id = AgentId::nth(master, n);
        let info = AgentInfo {
            id: Some(id.clone()),
            hostname: format!("host-{n}"),
            resources: total.clone(),
            attributes: BTreeMap::new(),
        };
        allocator.add_agent(&id, &info, total.clone(), &BTreeMap::new());
    }
}

/// A cluster with agents and quotas, and what giving everything to new frameworks took.
fn filled() -> (IncrementalDrf, Vec<Allocation>, f64) {
    let mut allocator = IncrementalDrf::new(Options::default());
    let master = MasterId::new("m").expect("an id");
    agents(&mut allocator, &master);
    let quotas = quotas();
    for (role, quota) in &quotas {
        let answer = allocator.set_quota(role, quota.clone(), true);
        answer.expect("the quotas go together");
    }
    assert!(allocator.allocate(Timestamp::from_secs(1)).is_empty());
    let mut made = Vec::new();
    let took = cpu_ms(|| {
        for (n, (role, _)) in (0..).zip(&quotas) {
            let terms = FrameworkTerms::from(&FrameworkInfo::new(format!("f{n}"), role.clone()));
            let id = FrameworkId::nth(&master, n);
            allocator.add_framework(&id, terms, &BTreeSet::new(), &BTreeMap::new());
        }
        made = allocator.allocate(Timestamp::from_secs(1));
    });
    assert_eq!(made.len(), PIECES, "every role gets its quota");
    (allocator, made, took)
}

pub(crate) fn all() {
    let (mut add, mut first, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (mut allocator, made, took) = filled();
        add.push(took);
        let now = Timestamp::from_secs(2);
        for given in &made {
            let back =
                allocator.recover(&given.framework, &given.agent, &given.resources, None, now);
            back.expect("it was held");
        }
        let mut count = 0;
        first.push(cpu_ms(|| count = allocator.tick(now).len()));
        assert_eq!(count, PIECES, "every role gets its quota again");
        for second in 3..8 {
            let now = Timestamp::from_secs(second);
            empty.push(cpu_ms(|| count = allocator.tick(now).len()));
            assert_eq!(count, 0, "everybody is at its limit");
        }
    }
    let name = "allocator/mesos/3000-roles/LargeAndSmallQuota";
    record(&format!("{name}/add"), median(add), "ms", "Mesos 25600 ms");
    record(
        &format!("{name}/first"),
        median(first),
        "ms",
        "Mesos 31100 ms",
    );
    record(
        &format!("{name}/empty"),
        median(empty),
        "ms",
        "Mesos 27100 ms",
    );
}
