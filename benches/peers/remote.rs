//! Messages between two nodes over loopback TCP, beside a raw link in the same run.
//!
//! The servers are processes of their own (this program again, with `--serve`), and each process has
//! one runtime thread. The raw link is what one would write by hand with tokio and rmp-serde: a
//! 25-byte binary header and the body straight into one buffer, one write for each drained queue of at
//! most 512 messages, tasks joined by channels. Both send 100 bytes as one binary field beside a
//! number, encoded by position; rounds alternate, so that both meet the same neighbours.
//!
//! Cases: tells (CPU of the client, rate; also with fields by name), ping-pong latency, asks with
//! 1,000 in flight, ping-pong during a bulk transfer of 1 GiB, and tells and ping-pong beside two
//! Erlang nodes (where Erlang is installed; the script `erlang`), whose threads spin before they sleep:
//! for that ping-pong ours do, too (`awake`).
//! `cargo bench --bench remote`; with `-- tell`, `ping-pong`, `ask`, `bulk` or `erlang` one of the cases.

#[path = "remote/awake.rs"]
mod awake;
#[path = "remote/erlang.rs"]
mod erlang;
#[path = "../figures.rs"]
mod figures;
#[path = "remote/ours.rs"]
mod ours;
#[path = "remote/raw.rs"]
mod raw;

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::Duration,
};

use figures::{cpu_time, quantile, record, wall};
use tepui_runtime::prelude::*;
use tokio::{
    runtime::{Builder, Runtime},
    task::LocalSet,
};

const ROUNDS: usize = 9;
const TELLS: u64 = 200_000;
/// Bulk transfers.
const TRANSFERS: usize = 7;
const PINGS: usize = 2_000;
const ASKS: usize = 20_000;
const IN_FLIGHT: usize = 1_000;
/// A sender lets others run after so many messages.
const TURN: u64 = 256;
const BULK_MESSAGES: usize = 1_024;
const BULK_BYTES: usize = 1024 * 1024;

/// What both links carry.
#[derive(Clone, Serialize, Deserialize, Message)]
#[message(name = "bench.Load", reply = u64, positional)]
pub(crate) struct Load {
    pub(crate) n: u64,
    #[serde(with = "serde_bytes")]
    pub(crate) payload: Vec<u8>,
}

impl Load {
    pub(crate) fn new(n: u64) -> Self {
        Self {
            n,
            payload: vec![7; 100],
        }
    }
}

/// A way to send loads and to wait for their arrival.
pub(crate) trait Link {
    async fn tell(&self, load: Load);
    async fn ask(&self, load: Load) -> u64;
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A server process; it ends with this.
struct Server {
    child: Child,
    addr: String,
}

impl Server {
    fn start(kind: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--serve", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut addr = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out)
            .read_line(&mut addr)
            .expect("the server says where it is");
        Self {
            child,
            addr: addr.trim().to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(kind: &str) {
    // The client holds the other end: when it is gone, so is this.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let local = LocalSet::new();
    match kind {
        "raw" => local.block_on(&runtime(), raw::serve()),
        "awake" => runtime().block_on(awake::serve()),
        _ => local.block_on(&runtime(), ours::serve()),
    }
}

/// Tells a second, and CPU nanoseconds a tell of this process.
async fn tells(link: &impl Link) -> (f64, f64) {
    link.ask(Load::new(0)).await;
    let cpu = cpu_time();
    let start = tokio::time::Instant::now();
    for n in 0..TELLS {
        link.tell(Load::new(n)).await;
        if n % TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    link.ask(Load::new(0)).await;
    let rate = TELLS as f64 / start.elapsed().as_secs_f64();
    (rate, (cpu_time() - cpu).as_nanos() as f64 / TELLS as f64)
}

/// Microseconds of questions and their answers.
async fn pings(link: &impl Link, times: &mut Vec<f64>) {
    for n in 0..PINGS as u64 {
        let start = tokio::time::Instant::now();
        assert_eq!(link.ask(Load::new(n)).await, n);
        times.push(start.elapsed().as_nanos() as f64 / 1e3);
    }
}

/// Asks a second with many in flight.
async fn asks(link: &impl Link) -> f64 {
    let start = tokio::time::Instant::now();
    let each = ASKS / IN_FLIGHT;
    let askers = (0..IN_FLIGHT).map(|_| async {
        for n in 0..each as u64 {
            assert_eq!(link.ask(Load::new(n)).await, n);
        }
    });
    futures_util::future::join_all(askers).await;
    ASKS as f64 / start.elapsed().as_secs_f64()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// What one link showed.
#[derive(Default)]
struct Seen {
    rates: Vec<f64>,
    costs: Vec<f64>,
    pings: Vec<f64>,
    asks: Vec<f64>,
}

impl Seen {
    async fn round(&mut self, link: &impl Link) {
        if wanted("tell") || wanted("erlang") {
            let (rate, cost) = tells(link).await;
            self.rates.push(rate);
            self.costs.push(cost);
        }
        if wanted("ping-pong") || wanted("erlang") {
            pings(link, &mut self.pings).await;
        }
        if wanted("ask") {
            self.asks.push(asks(link).await);
        }
    }
}

/// Whether the command line asks for `case`, or for none.
fn wanted(case: &str) -> bool {
    let mut cases = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let first = cases.next();
    first.is_none_or(|first| first == case || cases.any(|other| other == case))
}

fn compare(raw: Seen, ours: Seen, erlang: Option<Seen>, awake: &[f64]) {
    if let Some(erlang) = erlang {
        compare_erlang(&erlang, &ours, awake);
    }
    if wanted("tell") {
        compare_tells(&raw, &ours);
    }
    if wanted("ask") {
        let (raw_asks, asks) = (median(&raw.asks), median(&ours.asks));
        let baseline = format!("raw link {raw_asks:.0}/s");
        record("remote/ask/in-flight-1000/rate", asks, "asks/s", &baseline);
    }
    if wanted("ping-pong") {
        compare_pings(&raw.pings, &ours.pings);
    }
}

fn compare_erlang(erlang: &Seen, ours: &Seen, awake: &[f64]) {
    let (theirs, rate) = (median(&erlang.rates), median(&ours.rates));
    let baseline = format!("Erlang {theirs:.0}/s");
    let name = "remote/tell-100B/rate/vs-erlang";
    record(name, rate / theirs, "ratio", &baseline);
    let theirs = median(&erlang.pings);
    let baseline = format!("Erlang {theirs:.1} us");
    let name = "remote/ping-pong/p50/vs-erlang";
    record(name, median(awake) / theirs, "ratio", &baseline);
    let name = "remote/ping-pong-without-spin/p50/vs-erlang";
    record(name, median(&ours.pings) / theirs, "ratio", &baseline);
}

fn compare_tells(raw: &Seen, ours: &Seen) {
    let (raw_cost, cost) = (median(&raw.costs), median(&ours.costs));
    let (raw_rate, rate) = (median(&raw.rates), median(&ours.rates));
    let baseline = format!("raw link {raw_rate:.0}/s, {raw_cost:.0} ns CPU");
    record("remote/tell-100B/rate", rate, "messages/s", &baseline);
    record("remote/tell-100B/client-cpu", cost, "ns/op", &baseline);
    let ratio = cost / raw_cost;
    record(
        "remote/tell-100B/client-cpu/vs-raw",
        ratio,
        "ratio",
        &baseline,
    );
}

/// The quantile of each round, and the median of those: what disturbs the machine in one round is in that one.
fn of_rounds(pings: &[f64], q: f64) -> f64 {
    let of_round = |round: &[f64]| {
        let mut round = round.to_vec();
        round.sort_by(f64::total_cmp);
        quantile(&round, q)
    };
    median(&pings.chunks(PINGS).map(of_round).collect::<Vec<_>>())
}

fn compare_pings(raw_pings: &[f64], pings: &[f64]) {
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let (ours, raw) = (of_rounds(pings, q), of_rounds(raw_pings, q));
        let baseline = format!("raw link {raw:.1} us");
        record(&format!("remote/ping-pong/{name}"), ours, "us", &baseline);
        let name = format!("remote/ping-pong/{name}/vs-raw");
        record(&name, ours / raw, "ratio", &baseline);
    }
}

/// Ping-pong while 1 GiB passes in messages of 1 MiB: the median of the p99 of several transfers.
async fn interference(link: &ours::Ours) {
    let mut calm = Vec::new();
    pings(link, &mut calm).await;
    calm.sort_by(f64::total_cmp);
    let (mut p99s, mut took, mut count) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TRANSFERS {
        let (times, seconds) = transfer(link).await;
        count += times.len();
        p99s.push(quantile(&times, 0.99) / 1e3);
        took.push(seconds);
    }
    let baseline = format!(
        "calm p99 {:.0} us; {TRANSFERS} times 1 GiB in {:.1} s; {count} pings",
        quantile(&calm, 0.99),
        median(&took),
    );
    record(
        "remote/bulk-interference/p99",
        median(&p99s),
        "ms",
        &baseline,
    );
}

/// The times of pings beside one transfer, ascending, and the seconds that it took.
async fn transfer(link: &ours::Ours) -> (Vec<f64>, f64) {
    let transfer = link.transfer(BULK_MESSAGES, BULK_BYTES);
    let times = std::cell::RefCell::new(Vec::new());
    let pinging = async {
        loop {
            let start = tokio::time::Instant::now();
            link.ask(Load::new(1)).await;
            times
                .borrow_mut()
                .push(start.elapsed().as_nanos() as f64 / 1e3);
            tokio::time::sleep_until(start + Duration::from_millis(1)).await;
        }
    };
    let start = tokio::time::Instant::now();
    tokio::select! {
        () = transfer => {}
        () = pinging => {}
    }
    let took = start.elapsed().as_secs_f64();
    let mut times = times.take();
    times.sort_by(f64::total_cmp);
    (times, took)
}

fn main() {
    let mut arguments = std::env::args();
    if arguments.any(|argument| argument == "--serve") {
        return serve(&arguments.next().expect("what to serve"));
    }
    let (raw_server, our_server) = (Server::start("raw"), Server::start("ours"));
    let local = LocalSet::new();
    let took = wall(|| {
        local.block_on(&runtime(), async {
            let raw = raw::Raw::connect(&raw_server.addr).await;
            let ours = ours::Ours::connect(&our_server.addr).await;
            let (mut of_raw, mut of_ours) = (Seen::default(), Seen::default());
            let mut of_erlang = wanted("erlang").then(Seen::default);
            let mut of_awake = Vec::new();
            for n in 0..ROUNDS {
                of_raw.round(&raw).await;
                of_ours.round(&ours).await;
                if n % 3 == 0 && !of_erlang.as_mut().is_none_or(erlang::round) {
                    of_erlang = None;
                }
                if n % 3 == 0 && of_erlang.is_some() {
                    let server = Server::start("awake");
                    of_awake.extend(awake::pings(&server.addr, PINGS as u64).await);
                }
            }
            compare(of_raw, of_ours, of_erlang, &of_awake);
            if wanted("bulk") {
                interference(&ours).await;
            }
        });
    });
    println!("{ROUNDS} rounds in {took:.0?}");
}
