//! A counter on three nodes that counts on while one of them is away. Each node counts for itself
//! and tells the others; the count is the sum, whatever arrives twice or late.
//!
//! `cargo run -p tepui-runtime --example replicated_counter`

use std::{collections::BTreeMap, time::Duration};

use tepui_runtime::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "example.Count", reply = u64)]
struct Count(u64);

/// What a replica knows: the count of each node. The larger of two is the newer one.
#[derive(Clone, Serialize, Deserialize, Message)]
#[message(name = "example.Merge")]
struct Merge(BTreeMap<NodeAddr, u64>);

#[derive(Actor)]
#[actor(started = gossip)]
struct Replica {
    peers: Vec<NodeAddr>,
    counts: BTreeMap<NodeAddr, u64>,
}

#[handlers]
impl Replica {
    #[on]
    fn count(&mut self, count: Count, ctx: &mut Context<Self>) -> u64 {
        *self.counts.entry(ctx.node().addr().clone()).or_default() += count.0;
        self.counts.values().sum()
    }

    #[on]
    fn merge(&mut self, theirs: Merge) {
        for (node, count) in theirs.0 {
            let ours = self.counts.entry(node).or_default();
            *ours = count.max(*ours);
        }
    }

    fn gossip(&mut self, ctx: &mut Context<Self>) {
        for peer in &self.peers {
            let pid = AnyPid::new("replica", peer.clone()).expect("a valid name");
            // Lost or refused, it is said again soon.
            let _ = pid.tell(Merge(self.counts.clone()));
        }
        ctx.run_later(Duration::from_millis(20), Self::gossip);
    }
}

/// Waits until all of them know of the whole count.
async fn agree(replicas: &[Pid<Replica>], count: u64) -> Result<(), AskError> {
    for replica in replicas {
        while replica.ask(Count(0), SECOND).await? != count {
            tokio::task::yield_now().await;
        }
        println!("{} knows of all {count}", replica.as_any().node());
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(
            Node::builder(NodeAddr::new("127.0.0.1", 0))
                .workers(1)
                .start()
                .await?,
        );
    }
    let addrs: Vec<NodeAddr> = nodes.iter().map(|node| node.addr().clone()).collect();
    let mut replicas = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        let (peers, counts) = (addrs.clone(), BTreeMap::new());
        replicas.push(node.spawn("replica", Replica { peers, counts })?);
        replicas[n].ask(Count(n as u64 + 1), SECOND).await?;
    }
    agree(&replicas, 6).await?;
    nodes.remove(0).shutdown().await;
    replicas[1].ask(Count(10), SECOND).await?;
    agree(&replicas[1..], 16).await?;
    for node in nodes {
        node.shutdown().await;
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
