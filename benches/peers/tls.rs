//! The same messages between two nodes with TLS and without, in the same run.
//!
//! Both ends live in this process, each on a thread of its own, over loopback. Rounds with and without
//! TLS alternate, so that what else the machine does hits both. Cases: tells a second (wall time, and
//! CPU of both ends), ping-pong latency. `cargo bench --bench tls`

#[path = "../figures.rs"]
mod figures;

use std::{sync::Arc, time::Duration};

use figures::{cpu_time, quantile, record, wall};
use tepui_certs::{Authority, Validity};
use tepui_runtime::{prelude::*, transport::Tls};
use tokio::runtime::{Builder, Runtime};

const ROUNDS: usize = 9;
const TELLS: u64 = 200_000;
const PINGS: usize = 5_000;
/// 2026-01-01.
const START: i64 = 1_767_225_600;

#[derive(Clone, Serialize, Deserialize, Message)]
#[message(name = "bench.Load", reply = u64)]
struct Load {
    n: u64,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

impl Load {
    fn new(n: u64) -> Self {
        Self {
            n,
            payload: vec![7; 100],
        }
    }
}

#[derive(Default)]
struct Sink(u64);

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Load> for Sink {
    type Result = u64;

    fn handle(&mut self, load: Load, _: &mut Context<Self>) -> u64 {
        self.0 += 1;
        load.n
    }
}

accepts!(Sink: Load);

/// Two nodes, and the way from one to the other.
struct Pair {
    _nodes: [Node; 2],
    sink: Pid<Sink>,
}

impl Pair {
    async fn start(tls: Option<&Tls>) -> Self {
        let node = async || {
            let builder = Node::builder("127.0.0.1:0".parse().expect("an address")).workers(1);
            let builder = match tls {
                Some(tls) => builder.transport(Arc::new(tls.clone())),
                None => builder,
            };
            builder.start().await.expect("a node")
        };
        let (here, there) = (node().await, node().await);
        let sink = there.spawn("sink", Sink::default()).expect("a free name");
        let sink = here.bind(sink.as_any());
        Self {
            _nodes: [here, there],
            sink,
        }
    }

    async fn ask(&self, n: u64) -> u64 {
        let answer = self.sink.ask(Load::new(n), Duration::from_secs(5)).await;
        answer.expect("an answer")
    }
}

#[derive(Default)]
struct Measured {
    rates: Vec<f64>,
    costs: Vec<f64>,
    pings: Vec<f64>,
}

impl Measured {
    fn round(&mut self, runtime: &Runtime, pair: &Pair) {
        let cpu = cpu_time();
        let took = wall(|| {
            runtime.block_on(async {
                for n in 0..TELLS {
                    pair.sink
                        .tell_wait(Load::new(n))
                        .await
                        .expect("the link is up");
                }
                // Messages of a pair arrive in order, so all are there when this is answered.
                pair.ask(0).await
            });
        });
        self.rates.push(TELLS as f64 / took.as_secs_f64());
        self.costs
            .push((cpu_time() - cpu).as_nanos() as f64 / TELLS as f64);
        runtime.block_on(async {
            for n in 0..PINGS as u64 {
                let start = tokio::time::Instant::now();
                assert_eq!(pair.ask(n).await, n);
                self.pings.push(start.elapsed().as_nanos() as f64 / 1e3);
            }
        });
    }

    fn median(values: &mut [f64]) -> f64 {
        values.sort_by(f64::total_cmp);
        quantile(values, 0.5)
    }
}

fn identity() -> Tls {
    let (ca, _) = Authority::create(Validity::days_from(START, 36_500)).expect("an authority");
    let host = ["127.0.0.1".parse().expect("a host")];
    let issued = ca
        .issue(&host, Validity::days_from(START, 36_000))
        .expect("a certificate");
    let tls = Tls::new(
        ca.cert().as_bytes(),
        issued.cert.as_bytes(),
        issued.key.as_bytes(),
    );
    tls.expect("an identity")
}

fn main() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tls = identity();
    let plain = runtime.block_on(Pair::start(None));
    let secured = runtime.block_on(Pair::start(Some(&tls)));
    let (mut without, mut with) = (Measured::default(), Measured::default());
    for _ in 0..ROUNDS {
        without.round(&runtime, &plain);
        with.round(&runtime, &secured);
    }
    let rates = (
        Measured::median(&mut with.rates),
        Measured::median(&mut without.rates),
    );
    let costs = (
        Measured::median(&mut with.costs),
        Measured::median(&mut without.costs),
    );
    let pings = (
        Measured::median(&mut with.pings),
        Measured::median(&mut without.pings),
    );
    let baseline = format!(
        "plain {:.0}/s, {:.0} ns CPU of both ends, ping-pong {:.1} us",
        rates.1, costs.1, pings.1
    );
    record("remote/tls/rate", rates.0, "messages/s", &baseline);
    record("remote/tls/vs-plain", rates.0 / rates.1, "ratio", &baseline);
    record(
        "remote/tls/cpu/vs-plain",
        costs.0 / costs.1,
        "ratio",
        &baseline,
    );
    record(
        "remote/tls/ping-pong/p50/vs-plain",
        pings.0 / pings.1,
        "ratio",
        &baseline,
    );
}
