//! Ping-pong as Erlang's nodes do it: between an actor and an actor, each on a worker thread that spins
//! before it sleeps.

use std::time::Duration;

use tepui_runtime::prelude::*;

use crate::{
    Load,
    ours::{DEADLINE, Sink},
};

/// As long as Erlang's schedulers spin by default, about.
const SPIN: Duration = Duration::from_micros(500);

/// Asks `of` so many times; answers with the microseconds of each.
#[derive(Serialize, Deserialize, Message)]
#[message(name = "bench.Ping", reply = Vec<f64>)]
struct Ping {
    of: AnyPid,
    times: u64,
}

#[derive(Actor)]
struct Player;

#[handlers]
impl Player {
    #[on]
    async fn ping(&mut self, ping: Ping) -> Vec<f64> {
        let mut times = Vec::new();
        for n in 0..ping.times {
            let start = tokio::time::Instant::now();
            let answer = ping.of.ask(Load::new(n), DEADLINE).await;
            assert_eq!(answer, Ok(n));
            times.push(start.elapsed().as_nanos() as f64 / 1e3);
        }
        times
    }
}

async fn node() -> Node {
    let addr = "127.0.0.1:0".parse().expect("an address");
    let builder = Node::builder(addr).workers(1).spin(SPIN);
    builder.start().await.expect("a node")
}

/// Runs until the process is ended.
pub(crate) async fn serve() {
    let node = node().await;
    let sink = node.spawn("sink", Sink).expect("a free name");
    println!("{}", node.addr());
    node.monitor(sink.as_any()).await;
}

/// Pings the server at `addr` from a node of its own.
pub(crate) async fn pings(addr: &str, times: u64) -> Vec<f64> {
    let node = node().await;
    let of = format!("sink@{addr}").parse().expect("a PID");
    let player = node.spawn("player", Player).expect("a free name");
    let times = player.ask(Ping { of, times }, DEADLINE).await;
    node.shutdown().await;
    times.expect("the player answers")
}
