//! GPU placements on a cluster like openb's, a sixteenth of its size: pods are drawn from its kinds until more GPUs are asked for than
//! there are, and never end.
//
//= fgd-2023, evaluation: pods drawn with replacement until the cluster is full

use tepui_sim::{Options, Placement, random::Random, summary};

use super::*;

const KINDS: &str = include_str!("../data/openb-kinds.csv");
const SCALE: u64 = 16;

/// Count, cpus in 1/1000, MiB, GPUs in 1/1000.
fn kinds(of: &str) -> Vec<[u64; 4]> {
    let lines = KINDS
        .lines()
        .filter_map(|line| line.strip_prefix(of)?.strip_prefix(','));
    lines
        .map(|line| {
            let mut cells = line.split(',').map(|cell| cell.parse().expect("a number"));
            std::array::from_fn(|_| cells.next().expect("four cells"))
        })
        .collect()
}

fn nodes() -> (String, u64) {
    let mut gpus_all = 0;
    let kinds = kinds("node")
        .into_iter()
        .filter_map(|[count, cpus, mem, gpus]| {
            let count = (count + SCALE / 2) / SCALE;
            gpus_all += count * gpus;
            (count > 0).then(|| {
                format!(
                    "{count}xcpus:{};mem:{mem};gpus:{}",
                    cpus as f64 / 1000.0,
                    gpus / 1000
                )
            })
        });
    let kinds: Vec<String> = kinds.collect();
    (kinds.join(","), gpus_all)
}

/// Pods until so many GPUs, in 1/1000, are asked for.
fn pods(seed: u64, gpus_all: u64) -> Workload {
    let kinds = kinds("pod");
    let all: u64 = kinds.iter().map(|[count, ..]| count).sum();
    let (mut random, mut asked, mut text) = (Random::new(seed, 9), 0, String::new());
    for id in 0.. {
        if asked >= gpus_all {
            break;
        }
        let mut at = random.below(all);
        let kind = kinds.iter().find(|[count, ..]| {
            let is_it = at < *count;
            at = at.saturating_sub(*count);
            is_it
        });
        let [_, cpus, mem, gpus] = kind.expect("all are counted");
        asked += gpus;
        text += &format!(
            "{{\"id\":{id},\"submit_s\":{id},\"run_s\":100000000,\"cpus\":{},\"mem_mib\":{mem},\"gpus\":{}}}\n",
            *cpus as f64 / 1000.0,
            *gpus as f64 / 1000.0
        );
    }
    jobs(&text)
}

/// The part of the GPUs that is allocated at the first pod that finds no room, and in the end.
fn allocated(placement: Placement, seed: u64) -> (f64, f64) {
    let (nodes, gpus) = nodes();
    let workload = pods(seed, gpus * 13 / 10);
    let options = Options {
        placement,
        seed,
        until: Some(tepui_sim::Time::from_secs(1_000_000)),
        ..Options::default()
    };
    let outcome = run(workload, &nodes, BuiltIn::Shortest, options);
    let gpu = summary::summarise(&outcome, "openb", "sjf", "p", seed)
        .gpu
        .expect("GPUs");
    (
        gpu.allocated_at_first_failure
            .expect("the cluster fills up"),
        gpu.allocated_peak,
    )
}

/// The mean over some seeds.
fn mean(placement: Placement) -> (f64, f64) {
    const SEEDS: u64 = 10;
    let (mut first, mut all) = (0.0, 0.0);
    for seed in 0..SEEDS {
        let (a, b) = allocated(placement, seed);
        (first, all) = (first + a / SEEDS as f64, all + b / SEEDS as f64);
    }
    (first, all)
}

#[test]
fn at_the_first_failure_fragmentation_gradient_descent_has_allocated_the_most_gpus() {
    let fgd = mean(Placement::Fgd);
    let others = Placement::ALL.iter().filter(|(name, ..)| *name != "fgd");
    for (name, placement, _) in others {
        let other = mean(*placement);
        assert!(fgd.0 > other.0, "{name}: {other:?}, fgd: {fgd:?}");
        // In the end, what is nearest in shape is as good or better.
        assert!(
            fgd.1 > other.1 || *name == "shape",
            "{name}: {other:?}, fgd: {fgd:?}"
        );
    }
}
