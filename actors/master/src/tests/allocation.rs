//! Master and allocator together: shares, and books that agree.

use tepui_protocol::Filters;

use crate::testing::*;

/// 9 cpus and 18 GB; one framework's tasks need 1 cpu and 4 GB, the other's 3 cpus and 1 GB: they
/// end with 3 and 2 tasks.
//= drf-2011 §4.1
#[test]
fn the_example_of_the_paper_ends_with_3_and_2_tasks() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:9;mem:18432");
    let wants = [("f", "cpus:1;mem:4096"), ("g", "cpus:3;mem:1024")];
    let ids = wants.map(|(name, _)| cluster.framework(name, name));
    let mut launched = [0, 0];
    for _ in 0..20 {
        for (n, (name, demand)) in wants.iter().enumerate() {
            for offer in cluster.offers(&pid(name, 1)) {
                let fits = offer.resources.unallocate().contains(&resources(demand));
                if !fits {
                    cluster.decline(&ids[n], &offer, 0.0);
                    continue;
                }
                let name = format!("{name}{}", launched[n]);
                let one = task(&name, &offer, demand);
                cluster.accept_with(&ids[n], &[&offer], vec![one], Filters::NONE);
                launched[n] += 1;
            }
        }
        cluster.advance(secs(1));
    }
    assert_eq!(launched, [3, 2]);
    let used = cluster
        .master
        .frameworks()
        .into_iter()
        .map(|f| f.used.unallocate().to_string());
    // Both hold two thirds of what they need most.
    assert_eq!(
        used.collect::<Vec<_>>(),
        ["cpus:3;mem:12288", "cpus:6;mem:2048"]
    );
}

#[test]
fn an_allocator_that_crashed_is_told_everything_anew() {
    let mut cluster = Cluster::new();
    cluster.agent("a", "cpus:4;mem:4096");
    let f = cluster.framework("f", "*");
    cluster.launch("f", &f, "t");
    cluster.framework("g", "*");
    assert_eq!(cluster.offers(&pid("g", 1)).len(), 1);
    cluster.crash_allocator();
    assert_eq!(cluster.offers(&pid("f", 1)), [], "all is used or offered");
    cluster.agent("b", "cpus:1;mem:64");
    let offers = cluster.offers(&pid("f", 1)).len() + cluster.offers(&pid("g", 1)).len();
    assert_eq!(offers, 1);
    cluster.check_books();
}
