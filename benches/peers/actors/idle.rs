//! Memory of an actor that does nothing, its address held: growth of the resident set, each peer in
//! a process of its own.

use std::process::Command;

use crate::{
    figures::record,
    peer::{Peer, Total, thread},
};

const ACTORS: u64 = 100_000;
const VARIABLE: &str = "TEPUI_BENCH_IDLE";

/// Which peer this process is to measure, if it is one for that.
pub(crate) fn asked() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// Prints the bytes an actor, if the peer is the one that is asked for.
pub(crate) fn print<P: Peer>(asked: &str) {
    if asked != P::NAME {
        return;
    }
    let (runtime, local) = thread();
    let bytes = local.block_on(&runtime, async {
        let home = P::home().await;
        let before = resident();
        let mut addrs = Vec::new();
        for _ in 0..ACTORS {
            addrs.push(P::start(&home, Total::default()).await);
        }
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
        resident() - before
    });
    println!("{}", bytes / ACTORS);
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

fn measure(name: &str) -> f64 {
    let program = std::env::current_exe().expect("a program has a file");
    let output = Command::new(program)
        .env(VARIABLE, name)
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("a number of bytes")
}

pub(crate) fn record_figures(ours: &str, others: &[&str]) {
    let bytes = measure(ours);
    for (n, name) in others.iter().enumerate() {
        let theirs = measure(name);
        let baseline = format!("{name} {theirs:.0} bytes");
        if n == 0 {
            record("actors/idle-actor/bytes", bytes, "bytes", &baseline);
        }
        let figure = format!("actors/idle-actor/vs-{name}");
        record(&figure, bytes / theirs, "ratio", &baseline);
    }
}
