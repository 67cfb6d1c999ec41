//! Many actors under one supervisor, and many links to a node that is killed.
//!
//! Cases: 100,000 children of one supervisor started in order, all killed and made anew, stopped
//! in reverse (CPU and wall time); 10,000 actors, each linked to one of another process, which is
//! killed: how long until all have been told (wall time, to hold: 1 s).
//! `cargo bench --bench supervision`

#[path = "../figures.rs"]
mod figures;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use figures::{cpu_time, record};
use tepui_runtime::{
    prelude::*,
    supervision::{Child, Supervisor},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
    time::Instant,
};

const CHILDREN: usize = 100_000;
const LINKS: usize = 10_000;
const ROUNDS: usize = 3;
/// Set in the process that is to be killed.
const VICTIM: &str = "TEPUI_BENCH_VICTIM";

/// Counts, and wakes who waits for a number.
#[derive(Default)]
struct Count {
    n: AtomicUsize,
    changed: Notify,
}

impl Count {
    fn add(&self) {
        self.n.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    async fn reaches(&self, n: usize) {
        loop {
            let changed = self.changed.notified();
            if self.n.load(Ordering::Acquire) >= n {
                return;
            }
            changed.await;
        }
    }
}

/// Counts its starts, and the ends it is told of.
struct Counted {
    starts: Arc<Count>,
    ends: Arc<Count>,
    link: Option<AnyPid>,
}

impl Actor for Counted {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(pid) = &self.link {
            ctx.link(pid);
        }
        self.starts.add();
    }
}

impl Handler<Exited> for Counted {
    type Result = ();

    fn handle(&mut self, exited: Exited, _: &mut Context<Self>) {
        let lost = matches!(
            exited.reason,
            ExitReason::NodeDown | ExitReason::Unreachable
        );
        assert!(lost, "{exited:?}");
        self.ends.add();
    }
}

accepts!(Counted: Exited);

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts")
}

async fn node() -> Node {
    let addr = "127.0.0.1:0".parse().expect("an address");
    let node = Node::builder(addr).workers(1).mailbox(1_000).start().await;
    node.expect("a node starts")
}

/// Wall and CPU milliseconds.
async fn timed(what: impl Future<Output = ()>) -> [f64; 2] {
    let (cpu, start) = (cpu_time(), Instant::now());
    what.await;
    [start.elapsed(), cpu_time() - cpu].map(|span| span.as_secs_f64() * 1e3)
}

/// Start, kill and restart, stop.
async fn supervised() -> [[f64; 2]; 3] {
    let (node, starts) = (node().await, Arc::new(Count::default()));
    let child = |n: usize| {
        let starts = starts.clone();
        Child::permanent(&format!("w{n}"), move || Counted {
            starts: starts.clone(),
            ends: Arc::default(),
            link: None,
        })
    };
    let supervisor = (0..CHILDREN)
        .map(child)
        .fold(Supervisor::one_for_one(), Supervisor::child)
        .intensity(CHILDREN, Duration::from_secs(3600));
    let mut running = None;
    let start = timed(async {
        running = Some(supervisor.start(&node, "s").expect("the name is free"));
        starts.reaches(CHILDREN).await;
    });
    let start = start.await;
    let running = running.expect("it was started");
    let pids: Vec<AnyPid> = (0..CHILDREN)
        .map(|n| node.lookup(&format!("w{n}")).expect("it lives"))
        .collect();
    let restart = timed(async {
        pids.iter().for_each(|pid| node.kill(pid));
        starts.reaches(2 * CHILDREN).await;
    });
    let restart = restart.await;
    let stop = timed(async {
        node.stop(&running.pid());
        node.monitor(&running.pid()).await;
    });
    let stop = stop.await;
    node.shutdown().await;
    [start, restart, stop]
}

/// The process that is killed: actors to link to, until the end.
fn victim() {
    runtime().block_on(async {
        let node = node().await;
        for n in 0..LINKS {
            let actor = Counted {
                starts: Arc::default(),
                ends: Arc::default(),
                link: None,
            };
            node.spawn(&format!("b{n}"), actor).expect("a free name");
        }
        println!("{}", node.addr());
        std::future::pending::<()>().await;
    });
}

/// Milliseconds from the kill to the last notice.
async fn exited() -> f64 {
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again");
    let mut line = String::new();
    let stdout = victim.stdout.take().expect("it was piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let there: NodeAddr = line.trim().parse().expect("an address");
    let node = node().await;
    let (starts, ends) = (Arc::new(Count::default()), Arc::new(Count::default()));
    for n in 0..LINKS {
        let link = AnyPid::new(&format!("b{n}"), there.clone()).expect("a name");
        let actor = Counted {
            starts: starts.clone(),
            ends: ends.clone(),
            link: Some(link),
        };
        node.spawn(&format!("a{n}"), actor).expect("a free name");
    }
    starts.reaches(LINKS).await;
    // Behind all links on the wire: when it is answered they are made.
    let found = node.lookup_at(&there, "b0", Duration::from_secs(60)).await;
    assert!(found.expect("it answers").is_some());
    let start = Instant::now();
    victim.kill().expect("it runs");
    ends.reaches(LINKS).await;
    let passed = start.elapsed();
    victim.wait().expect("it was killed");
    assert_eq!(ends.n.load(Ordering::Acquire), LINKS, "each once");
    node.shutdown().await;
    passed.as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    if std::env::var_os(VICTIM).is_some() {
        return victim();
    }
    let runtime = runtime();
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| runtime.block_on(supervised()))
        .collect();
    for (n, step) in ["start", "kill-and-restart", "stop"].iter().enumerate() {
        let of = |which: usize| median(rounds.iter().map(|round| round[n][which]).collect());
        let (wall, cpu) = (of(0), of(1));
        let name = format!("actors/supervisor-100k/{step}");
        let beside = format!("{wall:.0} ms wall");
        let per_child = cpu * 1e6 / CHILDREN as f64;
        record(&format!("{name}/ms"), wall, "ms", "100,000 children");
        record(&format!("{name}/cpu"), per_child, "ns/child", &beside);
    }
    let exits = (0..ROUNDS).map(|_| runtime.block_on(exited())).collect();
    record(
        "remote/exited-10000/ms",
        median(exits),
        "ms",
        "to hold: 1,000 ms",
    );
}
