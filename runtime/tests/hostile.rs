//! Peers that err or mean harm, over real TCP: each costs its own link and a bounded amount of
//! memory, and a healthy pair of nodes goes on as before.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tepui_runtime::{Undeliverable, prelude::*};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::Instant,
};

#[path = "hostile/raw.rs"]
mod raw;
use raw::Raw;

const MIB: usize = 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Load", reply = u64)]
struct Load {
    n: u64,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

fn load(n: u64, bytes: usize) -> Load {
    let payload = vec![7; bytes];
    Load { n, payload }
}

/// Takes loads; does nothing else for a while after each, if told so.
struct Sink {
    pause: Option<Duration>,
}

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Load> for Sink {
    type Result = u64;

    fn handle(&mut self, load: Load, ctx: &mut Context<Self>) -> u64 {
        if let Some(pause) = self.pause {
            let until = Instant::now() + pause;
            ctx.wait(tokio::time::sleep_until(until).into_actor(self));
        }
        load.n
    }
}

accepts!(Sink: Load);

/// A runtime, and the right to run: memory is the whole process's, so that tests take turns.
struct Alone {
    runtime: Runtime,
    _turn: MutexGuard<'static, ()>,
}

impl Alone {
    fn block_on(&self, test: impl Future<Output = ()>) {
        self.runtime.block_on(test);
    }
}

fn runtime() -> Alone {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    Alone { runtime, _turn }
}

async fn node() -> Node {
    let addr = "127.0.0.1:0".parse().unwrap();
    Node::builder(addr)
        .workers(1)
        .mailbox(1024)
        .start()
        .await
        .unwrap()
}

/// A node that is wronged, another one that talks to it, and what they have.
struct Pair {
    victim: Node,
    friend: Node,
    sink: Pid<Sink>,
}

impl Pair {
    async fn new() -> Self {
        let (victim, friend) = (node().await, node().await);
        let sink = victim.spawn("sink", Sink { pause: None }).unwrap();
        let sink = friend.bind(sink.as_any());
        Self {
            victim,
            friend,
            sink,
        }
    }

    /// The 99th percentile of `count` questions, in microseconds.
    async fn p99(&self, count: usize) -> u128 {
        p99(self.times(count).await)
    }

    /// What `count` questions take, in microseconds.
    async fn times(&self, count: usize) -> Vec<u128> {
        let mut times = Vec::new();
        for n in 0..count as u64 {
            let start = Instant::now();
            assert_eq!(self.sink.ask(load(n, 100), DEADLINE).await, Ok(n));
            times.push(start.elapsed().as_micros());
        }
        times
    }

    /// The percentile, which was `calm`, at most doubles. A pair that nobody wrongs is asked in
    /// turn: what a busy machine does to the one it does to the other.
    async fn assert_unharmed(&self, calm: u128) {
        let other = Pair::new().await;
        let (mut seen, mut beside) = (0, 0);
        for _ in 0..ROUNDS {
            (seen, beside) = Self::p99s(self, &other, 2000).await;
            if seen <= 2 * calm.max(beside) + NOISE_MICROS {
                return other.end().await;
            }
        }
        panic!("the p99 of a healthy pair went from {calm} to {seen} us; beside it: {beside} us");
    }

    /// The percentile of both, asked in turn.
    async fn p99s(one: &Pair, other: &Pair, count: usize) -> (u128, u128) {
        let (mut ones, mut others) = (Vec::new(), Vec::new());
        for _ in 0..count / 100 {
            ones.extend(one.times(100).await);
            others.extend(other.times(100).await);
        }
        (p99(ones), p99(others))
    }

    async fn end(self) {
        self.friend.shutdown().await;
        // An actor that is stuck does not stop; the node ends with the process.
        drop(self.victim);
    }
}

fn p99(mut times: Vec<u128>) -> u128 {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// On a machine with neighbours a percentile is never exact; a wronged link shows in milliseconds.
const NOISE_MICROS: u128 = 3_000;
/// A neighbour takes the processor for milliseconds, too, but not in each of so many rounds.
const ROUNDS: usize = 20;

/// Bytes of memory that this process has in use.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn a_slow_consumer_costs_its_senders_and_nobody_else() {
    runtime().block_on(async {
        let pair = Pair::new().await;
        let calm = pair.p99(2000).await;
        let pause = Some(Duration::from_millis(20));
        let slow = pair.victim.spawn("slow", Sink { pause }).unwrap();
        let slow = pair.friend.bind::<Sink>(slow.as_any());
        let before = resident();
        let mut sent = 0;
        // 1,024 are in the mailbox; what is parked beyond is little.
        let refused = loop {
            match slow.tell(load(sent, 1000)) {
                Ok(()) => sent += 1,
                Err(refused) => break refused.reason,
            }
            tokio::task::yield_now().await;
            if sent % 64 == 0 {
                pair.sink.ask(load(0, 1), DEADLINE).await.unwrap();
            }
        };
        assert_eq!(refused, Undeliverable::MailboxFull);
        assert!(
            (1024..4096).contains(&sent),
            "{sent} before the actor was full"
        );
        let grown = resident().saturating_sub(before);
        println!("{sent} sent, {grown} bytes for a slow actor");
        assert!(grown < 32 * MIB, "{grown} bytes for a slow actor");
        pair.assert_unharmed(calm).await;
        pair.end().await;
    });
}

#[test]
fn a_flooding_peer_that_heeds_nothing_is_bounded() {
    runtime().block_on(async {
        let pair = Pair::new().await;
        let calm = pair.p99(2000).await;
        let pause = Some(Duration::from_secs(3600));
        pair.victim.spawn("stuck", Sink { pause }).unwrap();
        let mut raw = Raw::greet(pair.victim.addr()).await;
        let before = resident();
        // It sends for ever, to an actor that never takes any; the victim stops reading. The mailbox takes
        // 1,024 of them; then the bound, twice the window of 8 MiB.
        let (mut sent, frame) = (0, raw.tell("stuck", "test.Load", &raw::load(100_000)));
        let bound = 1024 * frame.len() + 32 * MIB;
        while sent < bound {
            let write = raw.write.write_all(&frame);
            match tokio::time::timeout(Duration::from_secs(3), write).await {
                Ok(written) => written.unwrap(),
                Err(_) => break,
            }
            sent += frame.len();
        }
        let grown = resident().saturating_sub(before);
        assert!(sent > 8 * MIB, "{sent} bytes were taken");
        assert!(
            sent < bound && grown < bound + 32 * MIB,
            "{sent} sent, {grown} grown"
        );
        pair.assert_unharmed(calm).await;
        pair.end().await;
    });
}

#[test]
fn a_peer_that_never_reads_is_bounded() {
    runtime().block_on(async {
        let pair = Pair::new().await;
        let calm = pair.p99(2000).await;
        let raw = Raw::listen().await;
        let to: AnyPid = format!("anybody@{}", raw.addr).parse().unwrap();
        let before = resident();
        let mut sent = 0;
        let refused = loop {
            match pair.victim.tell(&to, load(sent, 10_000)) {
                Ok(()) => sent += 1,
                Err(refused) => break refused.reason,
            }
            if sent % 16 == 0 {
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(refused, Undeliverable::LinkFull);
        let grown = resident().saturating_sub(before);
        // What waits, 64 MiB, and what is under way, 8 MiB.
        assert!(sent * 10_000 > 60 << 20, "{sent} messages were taken");
        assert!(
            grown < 128 * MIB,
            "{grown} bytes for a peer that does not read"
        );
        pair.assert_unharmed(calm).await;
        drop(raw);
        pair.end().await;
    });
}

#[test]
fn half_a_frame_is_given_up_with_its_link() {
    runtime().block_on(async {
        let addr = "127.0.0.1:0".parse().unwrap();
        let victim = Node::builder(addr)
            .workers(1)
            .heartbeat(Duration::from_millis(100), Duration::from_secs(1))
            .start()
            .await
            .unwrap();
        let mut raw = Raw::greet(victim.addr()).await;
        // It claims 16 MB and sends a few.
        let claim = (16_000_000_u32).to_be_bytes();
        raw.write
            .write_all(&[&claim[..], &[64, 0, 9]].concat())
            .await
            .unwrap();
        let mut rest = Vec::new();
        let closed = raw.read.read_to_end(&mut rest);
        tokio::time::timeout(DEADLINE, closed).await.unwrap().ok();
        victim.shutdown().await;
    });
}

/// File descriptors that the process may have.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line
        .and_then(|line| line.split_whitespace().nth(3))
        .unwrap();
    soft.parse().unwrap_or(usize::MAX)
}

#[test]
fn ten_thousand_connections_leave_a_healthy_pair_alone() {
    let (wanted, possible) = (10_000, (descriptors() - 200) / 2);
    let count = wanted.min(possible);
    if count < wanted {
        println!("NOT IN FULL: {count} connections of {wanted}: too few file descriptors");
    }
    runtime().block_on(async {
        let pair = Pair::new().await;
        let calm = pair.p99(2000).await;
        let before = resident();
        let mut peers = Vec::new();
        for n in 0..count {
            peers.push(Raw::greet_as(pair.victim.addr(), n).await);
        }
        // The last one is in when the victim answers it.
        peers.last_mut().unwrap().expect_any().await;
        let each = resident().saturating_sub(before) / count;
        println!("{count} connections, {each} bytes each");
        assert!(each < 32 * 1024, "{each} bytes for an idle connection");
        pair.assert_unharmed(calm).await;
        drop(peers);
        pair.end().await;
    });
}

#[test]
fn strangers_that_say_nothing_are_dropped() {
    runtime().block_on(async {
        let pair = Pair::new().await;
        let calm = pair.p99(2000).await;
        let mut strangers = Vec::new();
        for _ in 0..2000 {
            strangers.push(
                TcpStream::connect(pair.victim.addr().to_string())
                    .await
                    .unwrap(),
            );
        }
        pair.assert_unharmed(calm).await;
        let mut oldest = strangers.swap_remove(0);
        let mut rest = Vec::new();
        let closed = oldest.read_to_end(&mut rest);
        tokio::time::timeout(DEADLINE, closed).await.unwrap().ok();
        pair.end().await;
    });
}
