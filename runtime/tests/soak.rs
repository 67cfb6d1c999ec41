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
//! `TEPUI_SOAK_SECONDS` sets the length (default 60, `make soak`: 600; the pauses between rounds
//! come on top), `TEPUI_SOAK_SEED` the faults.
//! The run has ten rounds. While one lasts, memory follows its faults: what waits for a link that is cut
//! takes some, and gives it back. So what is compared is what is held between two rounds, when both links
//! have begun anew, all questions are settled and nothing waits. A long run also compares the memory of the whole
//! process while the third round and the last one last, which see the same faults.

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

#[global_allocator]
static HEAP: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

const ROUNDS: u64 = 10;
/// Of the rounds, counted from 0, the one whose memory the last one's is compared with.
const COMPARED: u64 = 2;

/// Actors on each node, and senders to each of the other node's.
const ACTORS: u64 = 6;
const DEADLINE: Duration = Duration::from_secs(2);
/// What a node whose threads are busy may take beyond a deadline.
const SLACK: Duration = Duration::from_secs(8);
/// A node that is silent for so long is given up.
const PATIENCE: Duration = Duration::from_secs(3);
/// Milliseconds of a cut that both nodes notice.
const BEYOND_PATIENCE: u64 = 4500;
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
    /// Between two rounds.
    rest: AtomicBool,
}

impl Tally {
    fn rests(&self) -> bool {
        self.rest.load(Ordering::Relaxed)
    }
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
        .heartbeat(Duration::from_millis(250), PATIENCE)
        .start()
        .await
        .unwrap();
    proxy.clone().serve();
    (node, proxy)
}

/// Keeps an actor alive: after a crash there is a new one of the same name.
async fn keep(node: Node, name: String, tally: Arc<Tally>) {
    let heard = Heard::default();
    loop {
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

/// Tells and asks one actor of the other node until the round ends; counts on from `number`.
async fn send(node: Node, to: AnyPid, sender: u64, mut number: u64, tally: Arc<Tally>) -> u64 {
    let to = node.bind::<Counter>(&to);
    while !tally.rests() {
        for _ in 0..10 {
            number += 1;
            let bytes = if number.is_multiple_of(LARGE_EVERY) {
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
    number
}

/// The faults of a round.
fn faults(seed: u64, round: u64) -> StdRng {
    let alike = if round == ROUNDS - 1 { COMPARED } else { round };
    StdRng::seed_from_u64(seed.wrapping_mul(ROUNDS) + alike)
}

/// Cuts and heals the links, and crashes actors, until the round ends.
async fn disturb(proxies: [Arc<Proxy>; 2], nodes: [Node; 2], mut rng: StdRng, tally: Arc<Tally>) {
    while !tally.rests() {
        pause(rng.random_range(500..3000)).await;
        let at = rng.random_range(0..2_usize);
        match rng.random_range(0..10) {
            0..4 => proxies.iter().for_each(|proxy| proxy.reset()),
            4..7 => {
                let millis = rng.random_range(50..1200);
                proxies.iter().for_each(|proxy| proxy.set_open(false));
                pause(millis).await;
            }
            7 => {
                proxies.iter().for_each(|proxy| proxy.set_open(false));
                pause(BEYOND_PATIENCE).await;
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

/// Memory of each round.
#[derive(Default)]
struct Memory {
    /// KiB in use after the round, when nothing waits.
    held: Vec<f64>,
    /// MiB of the whole process, the median of the round's seconds.
    resident: Vec<f64>,
}

impl Memory {
    fn assert_flat(&self, seconds: u64) {
        println!("held after each round, KiB: {:.0?}", self.held);
        println!("memory in each round, MiB: {:.2?}", self.resident);
        let pair = |values: &[f64]| (values[COMPARED as usize], values[ROUNDS as usize - 1]);
        let (early, late) = pair(&self.held);
        assert!(late <= early * 1.05, "SK-3: {:.0?}", self.held);
        // The seconds of a short round are too few for a median.
        let (early, late) = pair(&self.resident);
        assert!(
            seconds < 600 || late <= early * 1.05,
            "SK-3: {:.2?}",
            self.resident
        );
    }
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
    let mut pairs: Vec<(Node, AnyPid, u64)> = Vec::new();
    for (from, to) in [(&a, &b), (&b, &a)] {
        for n in 0..ACTORS {
            let pid = format!("counter-{n}@{}", to.addr()).parse().unwrap();
            pairs.push((from.clone(), pid, 0));
        }
    }
    let mut memory = Memory::default();
    for round in 0..ROUNDS {
        tally.rest.store(false, Ordering::Relaxed);
        let (proxies, nodes) = ([proxy_a.clone(), proxy_b.clone()], [a.clone(), b.clone()]);
        let disturbing = disturb(proxies, nodes, faults(seed, round), tally.clone());
        let disturbing = spawn_local(disturbing);
        let mut senders = Vec::new();
        for (n, (from, to, number)) in (0..ACTORS).cycle().zip(&pairs) {
            let sending = send(from.clone(), to.clone(), n, *number, tally.clone());
            senders.push(spawn_local(sending));
        }
        memory.resident.push(watch(seconds).await);
        tally.rest.store(true, Ordering::Relaxed);
        disturbing.await.unwrap();
        for (sender, (_, _, number)) in senders.into_iter().zip(&mut pairs) {
            *number = sender.await.unwrap();
        }
        begin_anew([&proxy_a, &proxy_b]).await;
        for (n, (from, to, number)) in (0..ACTORS).cycle().zip(&mut pairs) {
            *number = settle(from, to, n, *number).await;
        }
        memory.held.push(held().await);
    }
    report(&tally);
    let disorder = tally.disorder.lock().unwrap().clone();
    assert!(
        disorder.is_empty(),
        "{} cases: {:?}",
        disorder.len(),
        disorder.first()
    );
    memory.assert_flat(seconds);
}

/// The memory of the process while a round lasts, MiB.
async fn watch(seconds: u64) -> f64 {
    let (start, samples) = (Instant::now(), (seconds / ROUNDS).max(1));
    let mut resident_mib = Vec::new();
    for second in 1..=samples {
        sleep_until(start + Duration::from_secs(second)).await;
        resident_mib.push(resident());
    }
    median(&resident_mib)
}

/// Ends the lives of both links: what each held, buffers among it, is to go.
async fn begin_anew(proxies: [&Proxy; 2]) {
    proxies.iter().for_each(|proxy| proxy.set_open(false));
    pause(BEYOND_PATIENCE).await;
    proxies.iter().for_each(|proxy| {
        proxy.reset();
        proxy.set_open(true);
    });
}

/// KiB in use when it falls no more.
async fn held() -> f64 {
    let (mut least, mut unchanged) = (usize::MAX, 0);
    while unchanged < 10 {
        pause(100).await;
        let now = HEAP.allocated();
        unchanged = if now < least { 0 } else { unchanged + 1 };
        least = least.min(now);
    }
    least as f64 / 1024.0
}

/// SK-4: with whole links, a question is answered, and with it all that was told before it has arrived.
async fn settle(from: &Node, to: &AnyPid, sender: u64, mut number: u64) -> u64 {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        number += 1;
        let count = Count {
            sender,
            number,
            payload: Vec::new(),
        };
        match from.ask(to, count, DEADLINE).await {
            Ok(_) => return number,
            Err(error) => assert!(Instant::now() < until, "SK-4: {error}"),
        }
        pause(100).await;
    }
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
