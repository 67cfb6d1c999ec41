//! A group of workers on three nodes: each job goes to the one that has the least to do, and
//! when a node leaves, the others go on.
//!
//! `cargo run -p tepui-runtime --example worker_pool`

use std::time::Duration;

use tepui_runtime::{
    membership::{Group, Membership, MembershipConfig},
    prelude::*,
};

#[derive(Serialize, Deserialize, Message)]
#[message(name = "example.Job")]
struct Job {
    number: u64,
    results: AnyPid,
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "example.Sum")]
struct Sum(u64);

#[derive(Actor)]
struct Worker;

#[handlers]
impl Worker {
    #[on]
    fn job(&mut self, job: Job) {
        // Nobody waits for the results any more: nothing to do about it here.
        let _ = job.results.tell(Sum((1..=job.number).sum()));
    }
}

/// Ends when it has all results.
#[derive(Actor)]
struct Collector {
    missing: usize,
}

#[handlers]
impl Collector {
    #[on]
    fn sum(&mut self, _: Sum, ctx: &mut Context<Self>) {
        self.missing -= 1;
        if self.missing == 0 {
            ctx.stop();
        }
    }
}

/// Does `jobs` and waits for the results.
async fn work(node: &Node, pool: &Group, jobs: std::ops::Range<u64>) {
    let missing = jobs.clone().count();
    let name = node.unique_name("collector");
    let results = node
        .spawn(&name, Collector { missing })
        .expect("a free name")
        .any();
    for number in jobs {
        let results = results.clone();
        pool.tell_least_loaded(Job { number, results })
            .expect("a worker with room");
    }
    node.monitor(&results).await;
    println!("{missing} jobs done by {} workers", pool.members().len());
}

/// Waits until this node knows of so many workers.
async fn know(pool: &Group, count: usize) {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    while pool.members().len() != count {
        look.tick().await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut nodes, mut pools) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let node = Node::builder(NodeAddr::new("127.0.0.1", 0))
            .workers(1)
            .start()
            .await?;
        let seeds = nodes.first().map(|seed: &Node| seed.addr().clone());
        let membership = Membership::join(&node, MembershipConfig::default().seeds(seeds))?;
        let pool = membership.group("workers");
        pool.join(node.spawn("worker", Worker)?.as_any())?;
        nodes.push(node);
        pools.push(pool);
    }
    know(&pools[0], 3).await;
    work(&nodes[0], &pools[0], 0..100).await;
    nodes.remove(2).shutdown().await;
    know(&pools[0], 2).await;
    work(&nodes[0], &pools[0], 100..200).await;
    for node in nodes {
        node.shutdown().await;
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
