//! Tasks of others end for a role that is below what it is guaranteed.

use std::collections::BTreeMap;

use tepui_protocol::{
    FrameworkId, FrameworkInfo, Gang, KillPolicy, Quota, Reason, TaskId, TaskState,
    messages::{operator::UpdateQuota, scheduler::RevocationNotice},
    task::Task,
};

use crate::{
    config::{MasterConfig, RevokeFor},
    effects::Letter,
    testing::*,
};

fn cluster(revoke_for: RevokeFor) -> Cluster {
    Cluster::with(MasterConfig {
        revoke_after: Some(secs(60)),
        revoke_grace: secs(30),
        revoke_for,
        ..MasterConfig::default()
    })
}

fn guarantee(cluster: &mut Cluster, name: &str, amounts: &str) {
    let quota = Quota {
        guarantees: amounts.parse().unwrap(),
        ..Quota::default()
    };
    let call = UpdateQuota {
        role: role(name),
        quota,
        force: false,
    };
    cluster.event(|master, now, out| master.on_update_quota(now, call, 1, out));
    cluster.answers.pop().unwrap().unwrap();
}

/// Fills the agent of 4 cpus with four tasks, a second apart.
fn fill(cluster: &mut Cluster, name: &str, id: &FrameworkId) -> Vec<Task> {
    let mut tasks = Vec::new();
    for n in 0..4 {
        cluster.advance(secs(6));
        tasks.push(cluster.launch(name, id, &format!("t{n}")));
    }
    tasks
}

fn notices(cluster: &mut Cluster, name: &str) -> Vec<RevocationNotice> {
    let letters = cluster.letters_to(&pid(name, 1)).into_iter();
    let notices = letters.filter_map(|letter| match letter {
        Letter::Revocation(notice) => Some(notice),
        _ => None,
    });
    notices.collect()
}

fn kills(cluster: &mut Cluster) -> Vec<(TaskId, Option<KillPolicy>)> {
    let letters = cluster.letters_to(&pid("a", 1)).into_iter();
    let kills = letters.filter_map(|letter| match letter {
        Letter::KillTask(kill) => Some((kill.task_id, kill.kill_policy)),
        _ => None,
    });
    kills.collect()
}

fn ids(names: &[&str]) -> Vec<TaskId> {
    names.iter().map(|name| task_id(name)).collect()
}

/// The agent is full of the tasks of `f`; `g` comes into the role `eng`.
fn full(revoke_for: RevokeFor) -> (Cluster, FrameworkId, Vec<Task>) {
    let mut cluster = cluster(revoke_for);
    cluster.agent("a", "cpus:4;mem:256");
    let f = cluster.framework("f", "batch");
    let tasks = fill(&mut cluster, "f", &f);
    cluster.letters.clear();
    cluster.framework("g", "eng");
    (cluster, f, tasks)
}

#[test]
fn a_role_below_its_guarantee_gets_it_within_the_grace_time() {
    let (mut cluster, f, tasks) = full(RevokeFor::Guarantee);
    guarantee(&mut cluster, "eng", "cpus:2;mem:128");
    cluster.advance(secs(59));
    assert_eq!(notices(&mut cluster, "f"), []);
    cluster.advance(secs(2));
    // As few as are enough, the youngest.
    let told = notices(&mut cluster, "f");
    assert_eq!(told.len(), 1);
    let mut named = told[0].tasks.clone();
    named.sort();
    assert_eq!(
        (named, told[0].role.clone()),
        (ids(&["t2", "t3"]), role("eng"))
    );
    let deadline = told[0].deadline.unwrap();
    assert!(deadline.since(cluster.now) >= secs(29), "{deadline}");
    assert_eq!(kills(&mut cluster), []);
    // One ends by itself, the other is killed.
    cluster.update(&tasks[2], TaskState::Finished, TaskState::Finished);
    cluster.advance(secs(29));
    assert_eq!(kills(&mut cluster), []);
    cluster.advance(secs(2));
    assert_eq!(kills(&mut cluster), [(task_id("t3"), None)]);
    cluster.letters.clear();
    cluster.update(&tasks[3], TaskState::Killed, TaskState::Killed);
    let status = &cluster.statuses(&pid("f", 1))[0];
    assert_eq!(status.reason, Some(Reason::ContainerPreempted));
    assert!(status.message.contains("role eng"), "{}", status.message);
    cluster.advance(secs(1));
    let offered = cluster.master.offers();
    let own = offered.iter().filter(|offer| offer.role == role("eng"));
    let sum = own
        .map(|offer| offer.resources.cpus())
        .sum::<tepui_protocol::Scalar>();
    assert_eq!(
        sum.to_string(),
        "2",
        "it has what it is guaranteed: {offered:?}"
    );
    assert_eq!(cluster.metric("master/revocations"), 1.0);
    assert_eq!(cluster.metric("master/tasks_revoked"), 1.0);
    // That is all.
    cluster.advance(secs(300));
    assert_eq!(
        (notices(&mut cluster, "f"), kills(&mut cluster)),
        (vec![], vec![])
    );
    assert_eq!(cluster.master.frameworks()[0].info.id, Some(f));
}

#[test]
fn nothing_is_revoked_unless_it_is_chosen_and_somebody_takes_offers() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:256");
    let f = cluster.framework("f", "batch");
    fill(&mut cluster, "f", &f);
    cluster.framework("g", "eng");
    guarantee(&mut cluster, "eng", "cpus:2");
    cluster.advance(secs(1000));
    assert_eq!(kills(&mut cluster), []);
    // Chosen, but the framework is away.
    let (mut cluster, _, _) = full(RevokeFor::Guarantee);
    guarantee(&mut cluster, "eng", "cpus:2");
    cluster.exit(&pid("g", 1));
    cluster.advance(secs(500));
    assert_eq!(
        (notices(&mut cluster, "f"), kills(&mut cluster)),
        (vec![], vec![])
    );
}

#[test]
fn who_would_fall_below_a_guarantee_of_its_own_is_spared() {
    let (mut cluster, _, _) = full(RevokeFor::Guarantee);
    guarantee(&mut cluster, "batch", "cpus:3");
    guarantee(&mut cluster, "eng", "cpus:1;mem:64");
    cluster.advance(secs(61));
    let told = notices(&mut cluster, "f");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].tasks, ids(&["t3"]));
}

#[test]
fn victims_may_go_on_when_others_have_made_room() {
    let (mut cluster, _, tasks) = full(RevokeFor::Guarantee);
    guarantee(&mut cluster, "eng", "cpus:1;mem:64");
    cluster.advance(secs(61));
    assert_eq!(notices(&mut cluster, "f")[0].tasks, ids(&["t3"]));
    cluster.update(&tasks[0], TaskState::Finished, TaskState::Finished);
    cluster.advance(secs(2));
    let told = notices(&mut cluster, "f");
    assert_eq!(
        (told[0].tasks.clone(), told[0].deadline),
        (ids(&["t3"]), None)
    );
    cluster.advance(secs(200));
    assert_eq!(kills(&mut cluster), []);
}

#[test]
fn fair_shares_count_where_that_is_chosen() {
    let (mut cluster, _, _) = full(RevokeFor::FairShare);
    cluster.advance(secs(61));
    let mut named = notices(&mut cluster, "f").remove(0).tasks;
    named.sort();
    assert_eq!(named, ids(&["t2", "t3"]), "half of the cluster");
}

/// A framework that takes no offers although it has asked for none of its tasks to stop: each claim that
/// brings nothing doubles the time to the next.
#[test]
fn claims_that_bring_nothing_become_rare() {
    let (mut cluster, f, _) = full(RevokeFor::FairShare);
    let g = cluster.master.frameworks()[1].info.id.clone().unwrap();
    let mut claims = Vec::new();
    let mut next = 10;
    for second in 0..2000 {
        cluster.advance(secs(1));
        for offer in cluster.master.offers() {
            if offer.framework_id == g {
                cluster.decline(&g, &offer, 3600.0);
            } else {
                let info = task(&format!("t{next}"), &offer, "cpus:1;mem:64");
                next += 1;
                cluster.accept(&f, &[&offer], vec![info]);
            }
        }
        for (id, _) in kills(&mut cluster) {
            let ended = cluster.task(id.as_str());
            let uuid = cluster.update(&ended, TaskState::Killed, TaskState::Killed);
            cluster.acknowledge(&ended, uuid);
            claims.push(second);
        }
        cluster.letters.clear();
    }
    claims.dedup();
    assert!(claims.len() <= 6, "{claims:?}");
}

/// Tasks of `f` in role `batch`: one for each amount of cpus, all of an agent each.
fn agents(cluster: &mut Cluster, id: &FrameworkId, sizes: &[(&str, &str, &[&str])]) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (name, all, parts) in sizes {
        cluster.agent(name, &format!("cpus:{all};mem:256"));
        for (n, part) in parts.iter().enumerate() {
            cluster.advance(secs(6));
            let mut offers = cluster.master.offers().into_iter();
            let offer = offers.find(|offer| offer.hostname == *name).unwrap();
            let info = task(&format!("{name}{n}"), &offer, &format!("cpus:{part};mem:8"));
            cluster.accept(id, &[&offer], vec![info]);
            tasks.push(cluster.task(&format!("{name}{n}")));
        }
    }
    cluster.letters.clear();
    tasks
}

#[test]
fn what_is_asked_fits_on_an_agent_afterwards() {
    let mut cluster = cluster(RevokeFor::Guarantee);
    let f = cluster.framework("f", "batch");
    // The youngest are of 1 on agents of 2: in the sum they would do.
    let small: &[&str] = &["1", "1"];
    let sizes: [(&str, &str, &[&str]); 3] =
        [("a", "4", &["4"]), ("b", "2", small), ("c", "2", small)];
    agents(&mut cluster, &f, &sizes);
    let mut gang = FrameworkInfo::new("g", role("eng"));
    let each = "cpus:4;mem:8".parse().unwrap();
    gang.gangs.insert(
        role("eng"),
        Gang {
            tasks: 1,
            each,
            agents: 0,
        },
    );
    cluster.subscribe(pid("g", 1), gang);
    guarantee(&mut cluster, "eng", "cpus:4");
    cluster.advance(secs(61));
    assert_eq!(notices(&mut cluster, "f")[0].tasks, ids(&["a0"]));
}

#[test]
fn the_least_important_go_first() {
    let mut cluster = Cluster::with(MasterConfig {
        revoke_after: Some(secs(60)),
        priorities: BTreeMap::from([(role("batch"), 5), (role("batch/low"), -1)]),
        ..MasterConfig::default()
    });
    let f = cluster.framework("f", "batch/high");
    agents(&mut cluster, &f, &[("a", "2", &["2"])]);
    let mut more = FrameworkInfo::new("h", role("batch/high"));
    more.priority = 1;
    let h = cluster.subscribe(pid("h", 1), more);
    agents(&mut cluster, &h, &[("b", "2", &["2"])]);
    let g = cluster.framework("g", "batch/low");
    agents(&mut cluster, &g, &[("c", "2", &["2"])]);
    cluster.framework("e", "eng");
    let mut gone = Vec::new();
    for cpus in [2, 4] {
        guarantee(&mut cluster, "eng", &format!("cpus:{cpus}"));
        cluster.advance(secs(61));
        for name in ["f", "g", "h"] {
            let told = notices(&mut cluster, name).into_iter();
            gone.extend(told.flat_map(|notice| notice.tasks));
        }
        for id in gone.clone() {
            let ended = cluster.task(id.as_str());
            cluster.update(&ended, TaskState::Finished, TaskState::Finished);
        }
    }
    assert_eq!(gone, ids(&["c0", "a0"]), "by role, then by framework");
}

#[test]
fn a_claim_goes_on_after_a_restart_of_the_master() {
    let (mut cluster, f, tasks) = full(RevokeFor::Guarantee);
    let g = cluster.master.frameworks()[1].info.id.clone().unwrap();
    let a = cluster.master.agents()[0].info.id.clone().unwrap();
    guarantee(&mut cluster, "eng", "cpus:1;mem:64");
    cluster.advance(secs(61));
    assert_eq!(notices(&mut cluster, "f")[0].tasks, ids(&["t3"]));
    cluster.restart_master();
    // Nobody is back: nothing is decided.
    cluster.advance(secs(40));
    let named = |name: &str, id: &FrameworkId, of: &str| FrameworkInfo {
        id: Some(id.clone()),
        ..FrameworkInfo::new(name, role(of))
    };
    cluster.reregister("a", &a, 1, &tasks);
    cluster.subscribe(pid("f", 1), named("f", &f, "batch"));
    cluster.subscribe(pid("g", 1), named("g", &g, "eng"));
    cluster.advance(secs(1));
    assert_eq!(kills(&mut cluster), [(task_id("t3"), None)]);
    cluster.update(&tasks[3], TaskState::Killed, TaskState::Killed);
    cluster.advance(secs(1));
    assert!(
        cluster
            .registry
            .keys()
            .all(|key| !key.starts_with("revocations/"))
    );
}
