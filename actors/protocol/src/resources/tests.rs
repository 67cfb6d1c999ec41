//! Tests of the arithmetic, with the examples of Mesos's own tests of resources.

use super::*;
use crate::role::Role;

fn r(text: &str) -> Resources {
    Resources::parse(text).unwrap()
}

fn role(text: &str) -> Role {
    Role::new(text).unwrap()
}

#[test]
fn scalars_of_one_identity_add_up_and_others_stay_apart() {
    assert_eq!(r("cpus:1;mem:5") + &r("cpus:2;mem:10"), r("cpus:3;mem:15"));
    let mixed = r("cpus(role1):1;mem(role1):5;cpus:2") + &r("cpus(role1):3;cpus{REV}:1");
    assert_eq!(
        mixed.to_string(),
        "cpus:2;cpus{REV}:1;cpus(role1):4;mem(role1):5"
    );
    assert_eq!(mixed.cpus(), Scalar::from_whole(7));
    assert_eq!(
        r("cpus:1") + &r("cpus(allocated:a):1"),
        r("cpus(allocated:a):1;cpus:1")
    );
}

#[test]
fn subtraction_takes_what_is_there() {
    assert_eq!(
        r("cpus:50;mem:4096") - &r("cpus:0.5;mem:1024"),
        r("cpus:49.5;mem:3072")
    );
    assert_eq!(r("cpus:1") - &r("cpus:1"), Resources::new());
    assert_eq!(r("cpus:1;mem:1") - &r("cpus:2;gpus:1"), r("mem:1"));
    assert_eq!(r("cpus:1") - &r("cpus(a):1"), r("cpus:1"));
    assert_eq!(
        r("ports:[20000-40000]") - &r("ports:[10000-30000]"),
        r("ports:[30001-40000]")
    );
    assert_eq!(
        r("ports:[1-10]") - &r("ports:[2-3,5-6]"),
        r("ports:[1-1,4-4,7-10]")
    );
    assert_eq!(r("zones:{a,b}") - &r("zones:{b,c}"), r("zones:{a}"));
}

#[test]
fn containment_is_by_identity() {
    assert!(r("cpus:50;mem:4096").contains(&r("cpus:50;mem:4096")));
    assert!(r("cpus:50;mem:4096").contains(&r("cpus:1")));
    assert!(r("cpus:1").contains(&Resources::new()));
    assert!(!r("cpus:0.5").contains(&r("cpus:1")));
    assert!(!r("cpus:1").contains(&r("mem:1")));
    assert!(!r("cpus:2").contains(&r("cpus(a):1")));
    assert!(!r("cpus(a):2").contains(&r("cpus(a/b):1")));
    assert!(!r("cpus:2").contains(&r("cpus{REV}:1")));
    assert!(r("ports:[2-2,4-5]").contains(&r("ports:[2-2,4-4]")));
    assert!(!r("ports:[1-10]").contains(&r("ports:[5-11]")));
    assert!(r("zones:{a,b}").contains(&r("zones:{b}")));
    assert!(!r("zones:{a,b}").contains(&r("zones:{b,c}")));
    assert!(!r("x:1").contains(&r("x:[1-1]")));
}

#[test]
fn checked_subtraction_is_all_or_nothing() {
    assert_eq!(
        r("cpus:2;mem:1").checked_sub(&r("cpus:2")),
        Some(r("mem:1"))
    );
    assert_eq!(r("cpus:2;mem:1").checked_sub(&r("cpus:1;mem:2")), None);
    assert_eq!(r("").checked_sub(&r("")), Some(r("")));
}

#[test]
fn equal_contents_are_equal_however_they_came_about() {
    let a = r("mem:1;cpus:1;ports:[2-3];cpus(b):1");
    let b = r("cpus(b):0.5;ports:[3];cpus:1;ports:[2];mem:1") + &r("cpus(b):0.5");
    assert_eq!(a, b);
    assert_ne!(r("cpus:1"), r("cpus(a):1"));
    assert_ne!(r("cpus:1"), r("cpus:1.001"));
}

#[test]
fn mount_disks_are_taken_whole_or_not_at_all() {
    let mount = r("disk[MOUNT:/m]:10");
    assert_eq!((mount.clone() + &mount).len(), 2);
    assert_eq!(
        r("disk[MOUNT:/m]:10;disk[MOUNT:/m]:10"),
        mount.clone() + &mount
    );
    assert!(!mount.contains(&r("disk[MOUNT:/m]:4")));
    assert!(!mount.contains(&(mount.clone() + &mount)));
    assert_eq!(mount.clone() - &r("disk[MOUNT:/m]:4"), mount);
    assert!((mount.clone() - &mount).is_empty());
    assert_eq!(
        r("disk[PATH:/p]:10") - &r("disk[PATH:/p]:4"),
        r("disk[PATH:/p]:6")
    );
    assert!(!r("disk[PATH:/p]:10").contains(&r("disk[PATH:/q]:1")));
    assert_eq!((mount.clone() + &mount).disk(), Scalar::from_whole(20));
}

#[test]
fn persistent_volumes_stay_apart_from_space_and_each_other() {
    let disk = r("disk(a):100;disk(a)[v:data]:10;disk(a)[w:data]:10");
    assert_eq!(disk.len(), 3);
    assert_eq!(disk.disk(), Scalar::from_whole(120));
    assert!(!disk.contains(&r("disk(a)[v:data]:5")));
    assert_eq!(
        disk.persistent_volumes() - &r("disk(a)[v:data]:10"),
        r("disk(a)[w:data]:10")
    );
}

#[test]
fn shared_volumes_are_counted_by_copies_and_summed_once() {
    let volume = r("disk(a)[v:data]<SHARED>:10");
    let three: Resources = [&volume, &volume, &volume].into_iter().sum();
    assert_eq!(three.len(), 3);
    assert_eq!(three.disk(), Scalar::from_whole(10));
    assert_eq!(three.quantities(), Quantities::parse("disk:10").unwrap());
    assert!(three.contains(&(volume.clone() + &volume)));
    let two = three.checked_sub(&volume).unwrap();
    assert_eq!(two.len(), 2);
    assert!(!two.contains(&three));
    assert!(
        two.checked_sub(&volume)
            .unwrap()
            .checked_sub(&volume)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn sums_are_by_name_over_all_identities() {
    let all = r("cpus:1;cpus(a):2.5;cpus{REV}:1;mem:512;disk:9;gpus:2;ports:[1-2];ports(a):[4-5]");
    assert_eq!(all.cpus(), Scalar::from_milli(4500));
    assert_eq!(
        (all.mem(), all.disk()),
        (Scalar::from_whole(512), Scalar::from_whole(9))
    );
    assert_eq!(
        (all.gpus(), all.scalar("ports")),
        (Scalar::from_whole(2), Scalar::ZERO)
    );
    assert_eq!(all.ports().unwrap().to_string(), "[1-2,4-5]");
    assert_eq!(r("cpus:1").ports(), None);
    assert_eq!(
        all.quantities(),
        Quantities::parse("cpus:4.5;disk:9;gpus:2;mem:512").unwrap()
    );
    assert_eq!(
        all.names().collect::<Vec<_>>(),
        ["cpus", "disk", "gpus", "mem", "ports"]
    );
}

#[test]
fn parts_are_chosen_by_kind_and_claim() {
    let all = r("cpus:1;cpus(a):2;cpus(a/b):3;cpus(c):4;mem{REV}:5;ports:[1-2];zones:{x}");
    assert_eq!(all.scalars() + &all.non_scalars(), all);
    assert_eq!(all.non_scalars(), r("ports:[1-2];zones:{x}"));
    assert_eq!(
        all.unreserved(),
        r("cpus:1;mem{REV}:5;ports:[1-2];zones:{x}")
    );
    assert_eq!(all.reserved(), r("cpus(a):2;cpus(a/b):3;cpus(c):4"));
    assert_eq!(all.reserved_to(&role("a")), r("cpus(a):2"));
    assert_eq!(all.allocatable_to(&role("a")).reserved(), r("cpus(a):2"));
    assert_eq!(
        all.allocatable_to(&role("a/b")),
        all.clone() - &r("cpus(c):4")
    );
    assert_eq!(all.allocatable_to(&Role::star()), all.unreserved());
    assert_eq!(all.revocable(), r("mem{REV}:5"));
    assert_eq!(all.non_revocable() + &all.revocable(), all);
    assert_eq!(
        all.reservations()
            .keys()
            .map(Role::as_str)
            .collect::<Vec<_>>(),
        ["a", "a/b", "c"]
    );
    let mixed = r("disk(a)[v:data]<SHARED>:1;disk:1");
    assert_eq!((mixed.shared().len(), mixed.non_shared()), (1, r("disk:1")));
}

#[test]
fn allocation_is_part_of_the_identity_and_can_be_taken_off() {
    let free = r("cpus:1;cpus(a):1;mem:1");
    let held = free.allocate(&role("a"));
    assert_eq!(
        held,
        r("cpus(allocated:a):1;cpus(allocated:a)(a):1;mem(allocated:a):1")
    );
    assert!(!held.contains(&r("mem:1")));
    assert_eq!(held.unallocate(), free);
    let both = held.clone() + &r("mem:2").allocate(&role("b")) + &r("gpus:1");
    let by_role = both.allocations();
    assert_eq!(by_role.len(), 2);
    assert_eq!(by_role[&role("a")], held);
    assert_eq!(both.unallocate(), free + &r("mem:2;gpus:1"));
}

#[test]
fn reservations_are_pushed_popped_and_dropped() {
    let base = r("cpus:1;mem:2");
    let a = base.push_reservation(&Reservation::fixed(role("a")));
    assert_eq!(a, r("cpus(a):1;mem(a):2"));
    let ab = a.push_reservation(&Reservation::dynamic(role("a/b"), None));
    assert_eq!(ab.reserved_to(&role("a/b")), ab);
    assert_eq!(ab.pop_reservation(), a);
    assert_eq!(a.pop_reservation().pop_reservation(), base);
    assert_eq!((ab.to_unreserved(), ab.validate()), (base.clone(), Ok(())));
    let held = (ab + &base).allocate(&role("a/b"));
    assert_eq!(
        held.to_unreserved(),
        r("cpus:2;mem:4").allocate(&role("a/b"))
    );
    assert_eq!(held.flatten(), r("cpus:2;mem:4"));
}

#[test]
fn empty_resources_leave_no_trace() {
    let mut all = r("cpus:0");
    all.add_resource(Resource::ranges("ports", Ranges::new()));
    assert_eq!((all.len(), all.is_empty()), (0, true));
    all.extend([Resource::scalar("cpus", Scalar::from_whole(1))]);
    all.retain(|entry| entry.name == "mem");
    assert!(all.is_empty());
}

#[test]
fn what_comes_over_the_wire_is_put_in_order() {
    let json = r#"[{"name":"mem","value":{"scalar":1}},{"name":"cpus","value":{"scalar":1}},
        {"name":"mem","value":{"scalar":2}},{"name":"gpus","value":{"scalar":0}}]"#;
    assert_eq!(
        serde_json::from_str::<Resources>(json).unwrap(),
        r("cpus:1;mem:3")
    );
    assert!(serde_json::from_str::<Resources>(&json.replace(":2}", ":-2}")).is_err());
}
