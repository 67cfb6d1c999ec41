//! Memory of an actor that does nothing, its address held: growth of the resident set, each kind in
//! a process of its own.

use std::process::Command;

use tepui_runtime::actix::Actor;

use crate::{figures::record, ours, plain};

const ACTORS: usize = 100_000;
const VARIABLE: &str = "TEPUI_BENCH_IDLE";

/// Prints the bytes an actor of that kind.
pub(crate) fn child(kind: &str) {
    let (runtime, local) = ours::thread();
    let total = ours::Total::default();
    let bytes = local.block_on(&runtime, async {
        let node = ours::node(None).await;
        let before = resident();
        if kind == "actix" {
            let start = |_| plain::Counter(total.clone()).start();
            let addrs: Vec<_> = (0..ACTORS).map(start).collect();
            settled().await;
            return (resident() - before, addrs.len());
        }
        let spawn = |_| {
            let name = node.unique_name("idle");
            node.spawn(&name, ours::Counter(total.clone()))
                .expect("a free name")
        };
        let pids: Vec<_> = (0..ACTORS).map(spawn).collect();
        settled().await;
        (resident() - before, pids.len())
    });
    println!("{}", bytes.0 / bytes.1 as u64);
}

async fn settled() {
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
}

/// The process's resident set, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number of pages") * 4096
}

fn measure(kind: &str) -> f64 {
    let program = std::env::current_exe().expect("a program has a file");
    let output = Command::new(program)
        .env(VARIABLE, kind)
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("a number of bytes")
}

pub(crate) fn record_figures() {
    let (ours, theirs) = (measure("tepui"), measure("actix"));
    let baseline = format!("actix {theirs:.0} bytes");
    record("actors/idle-actor/bytes", ours, "bytes", &baseline);
    record(
        "actors/idle-actor/vs-actix",
        ours / theirs,
        "ratio",
        &baseline,
    );
}
