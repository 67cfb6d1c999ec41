//! Quotas in the cluster: checked, kept, carried out.

use tepui_protocol::{AgentId, FrameworkId, FrameworkInfo, Quota, messages::operator::UpdateQuota};

use crate::testing::*;

fn quota(guarantees: &str, limits: &str) -> Quota {
    Quota {
        guarantees: guarantees.parse().unwrap(),
        limits: limits.parse().unwrap(),
    }
}

fn set(cluster: &mut Cluster, name: &str, quota: Quota, force: bool) -> Result<(), String> {
    let call = UpdateQuota {
        role: role(name),
        quota,
        force,
    };
    cluster.event(|master, now, out| master.on_update_quota(now, call, 1, out));
    cluster.check_books();
    cluster.answers.pop().expect("a command is answered")
}

fn offered(cluster: &mut Cluster, name: &str) -> Vec<String> {
    let offers = cluster.offers(&pid(name, 1)).into_iter();
    offers
        .map(|offer| offer.resources.unallocate().to_string())
        .collect()
}

/// After the master's restart the framework comes back as it was.
fn resubscribe(cluster: &mut Cluster, name: &str, role_name: &str, id: &FrameworkId) {
    let info = FrameworkInfo {
        id: Some(id.clone()),
        ..FrameworkInfo::new(name, role(role_name))
    };
    cluster.subscribe(pid(name, 1), info);
}

#[test]
fn limits_and_guarantees_decide_what_is_offered() {
    let mut cluster = Cluster::new();
    set(&mut cluster, "r", quota("", "cpus:1;mem:512"), false).unwrap();
    cluster.agent("a", "cpus:4;mem:4096");
    set(&mut cluster, "eng", quota("cpus:2", ""), false).unwrap();
    cluster.framework("f", "r");
    cluster.framework("g", "other");
    assert_eq!(offered(&mut cluster, "f"), ["cpus:1;mem:512"]);
    assert_eq!(offered(&mut cluster, "g"), ["cpus:1;mem:3584"]);
    cluster.framework("h", "eng/web");
    assert_eq!(offered(&mut cluster, "h"), ["cpus:2"]);
}

#[test]
fn a_quota_is_shown_with_what_is_consumed() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "eng/web");
    cluster.launch("f", &f, "t");
    set(&mut cluster, "eng", quota("cpus:2", "cpus:3"), false).unwrap();
    let roles = cluster.master.roles();
    let eng = roles.iter().find(|summary| summary.role == role("eng"));
    let eng = eng.expect("a role with a quota is shown");
    assert_eq!(eng.quota, quota("cpus:2", "cpus:3"));
    assert_eq!(eng.consumed.to_string(), "cpus:1;mem:64");
}

#[test]
fn what_cannot_be_kept_is_refused_unless_forced() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "r");
    cluster.launch("f", &f, "t");
    for (name, wanted, parts) in [
        (
            "s",
            quota("cpus:5", ""),
            ["cpus:5", "the cluster has cpus:4"],
        ),
        (
            "r",
            quota("", "cpus:0.5"),
            ["consumes cpus:1", "limit cpus:0.5"],
        ),
    ] {
        let error = set(&mut cluster, name, wanted.clone(), false).unwrap_err();
        for part in parts.iter().chain(&["--force", name]) {
            assert!(error.contains(part), "{error}");
        }
        assert!(cluster.master.quotas.is_empty());
        set(&mut cluster, name, wanted, true).unwrap();
        set(&mut cluster, name, Quota::default(), false).unwrap();
    }
    let error = set(&mut cluster, "r", Quota::default(), false).unwrap_err();
    assert_eq!(
        error,
        "role r has no quota; see `tepui quota` for those that have"
    );
    let error = set(&mut cluster, "r", quota("cpus:2", "cpus:1"), true).unwrap_err();
    assert!(
        error.starts_with("quota of role r: guarantee cpus:2"),
        "{error}"
    );
}

#[test]
fn offers_in_the_way_are_withdrawn() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:2;mem:1024");
    cluster.agent("b", "cpus:2;mem:1024");
    cluster.framework("f", "r");
    assert_eq!(offered(&mut cluster, "f").len(), 2);
    // One of the two is enough.
    set(&mut cluster, "eng", quota("cpus:2;mem:1024", ""), false).unwrap();
    assert_eq!(cluster.rescinded(&pid("f", 1)).len(), 1);
    cluster.framework("g", "eng");
    assert_eq!(offered(&mut cluster, "g"), ["cpus:2;mem:1024"]);
    // What is guaranteed stays; what is beyond a limit does not.
    set(&mut cluster, "r", quota("", "cpus:1"), false).unwrap();
    assert_eq!(cluster.rescinded(&pid("g", 1)), []);
    let letters = cluster.letters_to(&pid("f", 1));
    assert_eq!(
        letters.len(),
        2,
        "one rescinded, and offered in part: {letters:?}"
    );
}

/// Five agents; the first framework to come is in a role without quota.
fn restarted() -> (Cluster, Vec<AgentId>) {
    let mut cluster = Cluster::new();
    let names = ["a", "b", "c", "d", "e"];
    let ids = names.map(|name| cluster.agent(name, "cpus:2;mem:1024"));
    let f = cluster.framework("f", "r");
    set(&mut cluster, "eng", quota("cpus:8;mem:4096", ""), false).unwrap();
    cluster.restart_master();
    resubscribe(&mut cluster, "f", "r", &f);
    for (name, id) in names.iter().zip(&ids).take(3) {
        cluster.reregister(name, id, 2, &[]);
    }
    cluster.advance(secs(5));
    (cluster, ids.to_vec())
}

#[test]
fn quotas_survive_the_master_which_waits_for_its_agents() {
    let (mut cluster, ids) = restarted();
    assert_eq!(
        cluster.master.quotas[&role("eng")],
        quota("cpus:8;mem:4096", "")
    );
    assert_eq!(
        offered(&mut cluster, "f"),
        [""; 0],
        "three of five agents are back"
    );
    cluster.reregister("d", &ids[3], 2, &[]);
    cluster.advance(secs(5));
    assert_eq!(
        offered(&mut cluster, "f"),
        [""; 0],
        "eight cpus are held back"
    );
    cluster.reregister("e", &ids[4], 2, &[]);
    assert_eq!(offered(&mut cluster, "f"), ["cpus:2;mem:1024"]);
    set(&mut cluster, "eng", Quota::default(), false).unwrap();
    cluster.restart_master();
    assert!(cluster.master.quotas.is_empty());
}

#[test]
fn the_wait_for_agents_ends() {
    let (mut cluster, _) = restarted();
    cluster.framework("g", "eng");
    cluster.advance(secs(590));
    assert_eq!(offered(&mut cluster, "g"), [""; 0]);
    cluster.advance(secs(10));
    assert_eq!(offered(&mut cluster, "g").len(), 3);
}

#[test]
fn an_allocator_that_crashed_is_told_of_quotas() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:2;mem:1024");
    set(&mut cluster, "r", quota("", "cpus:1"), false).unwrap();
    cluster.crash_allocator();
    cluster.framework("f", "r");
    assert_eq!(offered(&mut cluster, "f"), ["cpus:1;mem:1024"]);
}
