//! Our side of the bench: two nodes, a sink on the far one.

use std::time::Duration;

use tepui_runtime::prelude::*;

use crate::{Link, Load};

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Sink;

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Load> for Sink {
    type Result = u64;

    fn handle(&mut self, load: Load, _: &mut Context<Self>) -> u64 {
        load.n
    }
}

accepts!(Sink: Load);

async fn node() -> Node {
    let addr = "127.0.0.1:0".parse().expect("an address");
    Node::builder(addr).local().start().await.expect("a node")
}

/// Runs until the process is ended.
pub(crate) async fn serve() {
    let node = node().await;
    let sink = node.spawn("sink", Sink).expect("a free name");
    node.spawn("store", Sink).expect("a free name");
    println!("{}", node.addr());
    node.monitor(sink.as_any()).await;
}

/// The near node.
pub(crate) struct Ours {
    _node: Node,
    sink: Pid<Sink>,
    store: Pid<Sink>,
}

impl Ours {
    pub(crate) async fn connect(addr: &str) -> Self {
        let node = node().await;
        let bind = |name: &str| node.bind(&format!("{name}@{addr}").parse().expect("a PID"));
        Self {
            sink: bind("sink"),
            store: bind("store"),
            _node: node.clone(),
        }
    }

    /// Sends `count` messages of `bytes` bytes to another actor, and waits until they are there.
    pub(crate) async fn transfer(&self, count: usize, bytes: usize) {
        for n in 0..count as u64 {
            let payload = vec![7; bytes];
            let sent = self.store.tell_wait(Load { n, payload }).await;
            sent.expect("the link is up");
            tokio::task::yield_now().await;
        }
        let last = self.store.ask(Load::new(1), DEADLINE).await;
        assert_eq!(last, Ok(1));
    }
}

impl Link for Ours {
    async fn tell(&self, load: Load) {
        self.sink.tell_wait(load).await.expect("the link is up");
    }

    async fn ask(&self, load: Load) -> u64 {
        self.sink.ask(load, DEADLINE).await.expect("an answer")
    }
}
