//! Two nodes over real TCP for a long time, through proxies that cut and heal the links every few
//! seconds, while actors crash at random.
//!
//! | invariant | |
//! |---|---|
//! | SK-1 | messages of one sender arrive at an actor in order and none twice |
//! | SK-2 | every question is answered or refused within its deadline |
//! | SK-3 | memory is flat |
//! | SK-4 | when the links are whole, messages arrive |
//!
//! `TEPUI_SOAK_SECONDS` sets the length (default 60, `make soak`: 600), `TEPUI_SOAK_SEED` the faults.
//! Memory follows the faults (what waits for a link that is cut takes some, and gives it back), so the two
//! tenths of the run whose memory is compared, the third and the last, see the same ones.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tepui_runtime::prelude::*;
use tokio::{
    task::{LocalSet, spawn_local},
    time::{Instant, sleep_until},
};

#[path = "soak/proxy.rs"]
mod proxy;
use proxy::Proxy;

/// Actors on each node, and senders to each of the other node's.
const ACTORS: u64 = 6;
const DEADLINE: Duration = Duration::from_secs(2);
/// What a node whose threads are busy may take beyond a deadline.
const SLACK: Duration = Duration::from_secs(8);
/// What a planned crash says.
const CRASH: &str = "as told";
/// One message in so many is large.
const LARGE_EVERY: u64 = 997;

#[derive(Serialize, Deserialize, Message)]
#[message(name = "soak.Count", reply = u64)]
struct Count {
    sender: u64,
    number: u64,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "soak.Crash")]
struct Crash;

/// What an actor has heard, by sender; it outlives the actor.
type Heard = Arc<Mutex<BTreeMap<u64, u64>>>;

/// What all see.
#[derive(Default)]
struct Tally {
    arrived: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    full: AtomicU64,
    crashes: AtomicU64,
    disorder: Mutex<Vec<String>>,
    over: AtomicBool,
}

struct Counter {
    heard: Heard,
    tally: Arc<Tally>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Count> for Counter {
    type Result = u64;

    fn handle(&mut self, count: Count, _: &mut Context<Self>) -> u64 {
        let last = self
            .heard
            .lock()
            .unwrap()
            .insert(count.sender, count.number);
        if last.is_some_and(|last| last >= count.number) {
            let line = format!(
                "SK-1: {} from {} after {last:?}",
                count.number, count.sender
            );
            self.tally.disorder.lock().unwrap().push(line);
        }
        self.tally.arrived.fetch_add(1, Ordering::Relaxed);
        count.number
    }
}

impl Handler<Crash> for Counter {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Context<Self>) {
        panic!("{CRASH}");
    }
}

accepts!(Counter: Count, Crash);

async fn pause(millis: u64) {
    sleep_until(Instant::now() + Duration::from_millis(millis)).await;
}

/// A node that others reach through a proxy.
async fn node() -> (Node, Arc<Proxy>) {
    let proxy = Proxy::bind().await;
    let node = Node::builder(proxy.target().clone())
        .advertise(proxy.addr())
        .workers(1)
        .heartbeat(Duration::from_millis(250), Duration::from_secs(3))
        .start()
        .await
        .unwrap();
    proxy.clone().serve();
    (node, proxy)
}

/// Keeps an actor alive: after a crash there is a new one of the same name.
async fn keep(node: Node, name: String, tally: Arc<Tally>) {
    let heard = Heard::default();
    while !tally.over.load(Ordering::Relaxed) {
        let counter = Counter {
            heard: heard.clone(),
            tally: tally.clone(),
        };
        match node.spawn(&name, counter) {
            Ok(pid) => drop(node.monitor(pid.as_any()).await),
            Err(_) => pause(1).await,
        }
    }
}

/// Tells and asks one actor of the other node until the end.
async fn send(node: Node, to: AnyPid, sender: u64, tally: Arc<Tally>) {
    let (to, mut number) = (node.bind::<Counter>(&to), 0);
    while !tally.over.load(Ordering::Relaxed) {
        for _ in 0..10 {
            number += 1;
            let bytes = if number % LARGE_EVERY == 0 {
                300_000
            } else {
                100
            };
            let payload = vec![7; bytes];
            let count = Count {
                sender,
                number,
                payload,
            };
            if to.tell(count).is_err() {
                tally.full.fetch_add(1, Ordering::Relaxed);
            }
        }
        number += 1;
        let count = Count {
            sender,
            number,
            payload: Vec::new(),
        };
        let asked = tokio::time::timeout(DEADLINE + SLACK, to.ask(count, DEADLINE)).await;
        match asked.expect("SK-2: a question is settled within its deadline") {
            Ok(reply) => {
                assert_eq!(reply, number);
                tally.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                tally.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        pause(10).await;
    }
}

/// Of a run's tenths, the one whose memory the last one's is compared with.
const COMPARED: u64 = 2;

/// When and which faults there are.
#[derive(Clone, Copy)]
struct Faults {
    seed: u64,
    start: Instant,
    tenth: Duration,
}

impl Faults {
    /// The number of the present tenth of the run.
    fn now(self) -> u64 {
        let tenths = self.start.elapsed().as_nanos() / self.tenth.as_nanos();
        u64::try_from(tenths).unwrap()
    }

    fn rng(self, tenth: u64) -> StdRng {
        let alike = if tenth == 9 { COMPARED } else { tenth };
        StdRng::seed_from_u64(self.seed.wrapping_mul(10) + alike)
    }
}

/// Cuts and heals the links, and crashes actors.
async fn disturb(proxies: [Arc<Proxy>; 2], nodes: [Node; 2], faults: Faults, tally: Arc<Tally>) {
    let mut tenth = 0;
    let mut rng = faults.rng(tenth);
    while !tally.over.load(Ordering::Relaxed) {
        if faults.now() != tenth {
            tenth = faults.now();
            rng = faults.rng(tenth);
        }
        pause(rng.random_range(500..3000)).await;
        let at = rng.random_range(0..2_usize);
        match rng.random_range(0..10) {
            0..4 => proxies.iter().for_each(|proxy| proxy.reset()),
            4..7 => {
                let millis = rng.random_range(50..1200);
                proxies.iter().for_each(|proxy| proxy.set_open(false));
                pause(millis).await;
            }
            // Longer than the nodes' patience.
            7 => {
                proxies.iter().for_each(|proxy| proxy.set_open(false));
                pause(4500).await;
            }
            _ => {
                let name = format!("counter-{}", rng.random_range(0..ACTORS));
                if let Some(pid) = nodes[at].lookup(&name) {
                    let _ = nodes[at].tell(&pid, Crash);
                    tally.crashes.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        proxies.iter().for_each(|proxy| proxy.set_open(true));
    }
}

/// Mebibytes of memory that this process has in use.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0 / (1024.0 * 1024.0)
}

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The medians of the third tenth of the run and of the last one: minutes 3 and 10 of ten.
fn assert_flat(memory: &[f64], seconds: usize) {
    let tenths: Vec<f64> = memory.chunks((seconds / 10).max(1)).map(median).collect();
    println!("memory, MiB, by tenths of the run: {tenths:.2?}");
    let (early, late) = (tenths[COMPARED as usize], *tenths.last().unwrap());
    // A short run has not filled its buffers when the early tenth begins.
    let allowed = if seconds >= 600 { 1.05 } else { 1.25 };
    assert!(late <= early * allowed, "SK-3: {memory:.0?}");
}

/// A planned crash prints nothing. Its backtrace, where `RUST_BACKTRACE` asks for one, would load the
/// debug information of this program, tens of MiB that stay: SK-3 would measure the first crash.
fn quiet_crashes() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(CRASH) {
            usual(panic);
        }
    }));
}

#[test]
fn links_that_break_and_heal_lose_no_order_and_no_memory() {
    let seconds = variable("TEPUI_SOAK_SECONDS", 60);
    let seed = variable("TEPUI_SOAK_SEED", 1);
    println!("seed {seed}: TEPUI_SOAK_SECONDS={seconds} TEPUI_SOAK_SEED={seed}");
    quiet_crashes();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, soak(seconds, seed));
}

async fn soak(seconds: u64, seed: u64) {
    let tally = Arc::new(Tally::default());
    let ((a, proxy_a), (b, proxy_b)) = (node().await, node().await);
    for node in [&a, &b] {
        for n in 0..ACTORS {
            spawn_local(keep(node.clone(), format!("counter-{n}"), tally.clone()));
        }
    }
    let mut senders = Vec::new();
    for (from, to) in [(&a, &b), (&b, &a)] {
        for n in 0..ACTORS {
            let pid = format!("counter-{n}@{}", to.addr()).parse().unwrap();
            let sending = send(from.clone(), pid, n, tally.clone());
            senders.push(spawn_local(sending));
        }
    }
    let start = Instant::now();
    let tenth = (Duration::from_secs(seconds) / 10).max(Duration::from_secs(1));
    let faults = Faults { seed, start, tenth };
    let proxies = [proxy_a, proxy_b];
    let nodes = [a.clone(), b.clone()];
    let disturbing = spawn_local(disturb(proxies.clone(), nodes, faults, tally.clone()));

    let mut memory = Vec::new();
    for second in 1..=seconds {
        sleep_until(start + Duration::from_secs(second)).await;
        memory.push(resident());
    }
    tally.over.store(true, Ordering::Relaxed);
    disturbing.await.unwrap();
    for sender in senders {
        sender.await.unwrap();
    }
    report(&tally);
    let disorder = tally.disorder.lock().unwrap().clone();
    assert!(
        disorder.is_empty(),
        "{} cases: {:?}",
        disorder.len(),
        disorder.first()
    );
    assert_flat(&memory, seconds as usize);
    assert_heals(&a, &b).await;
}

fn report(tally: &Tally) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{} arrived, {} asks answered and {} refused, {} tells handed back, {} crashes",
        count(&tally.arrived),
        count(&tally.answered),
        count(&tally.refused),
        count(&tally.full),
        count(&tally.crashes),
    );
    assert!(
        count(&tally.answered) > 100,
        "SK-4: hardly a question was answered"
    );
}

/// SK-4: with whole links and new actors, a question is answered.
async fn assert_heals(a: &Node, b: &Node) {
    for (from, to) in [(a, b), (b, a)] {
        let tally = Arc::new(Tally::default());
        let heard = Heard::default();
        to.spawn("last", Counter { heard, tally }).unwrap();
        let pid: AnyPid = format!("last@{}", to.addr()).parse().unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let count = Count {
                sender: 0,
                number: 1,
                payload: Vec::new(),
            };
            match from.ask(&pid, count, DEADLINE).await {
                Ok(_) => break,
                Err(error) => assert!(Instant::now() < until, "SK-4: {error}"),
            }
            pause(100).await;
        }
    }
}
