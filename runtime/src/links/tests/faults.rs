//! Random faults between nodes that count: each sends the numbers from 0 on to each other one.
//!
//! | invariant | |
//! |---|---|
//! | LK-1 | between two lives of nodes, numbers arrive in order and none twice |
//! | LK-2 | a number that is missing was handed back, or its sender was told of a loss |
//! | LK-3 | when the faults are over, what is sent arrives |
//! | LK-4 | no frame of a life arrives after the notice of its loss |

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

use crate::{
    links::{LinkConfig, PeerId, testing::*},
    transport::MemoryNetwork,
};

const NODES: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    Send { from: usize, to: usize, count: u64 },
    Reset(usize, usize),
    Cut(usize, usize),
    Join(usize, usize),
    Restart(usize),
    Yield(u8),
    Pass { millis: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let pair = (0..NODES, 1..NODES).prop_map(|(a, step)| (a, (a + step) % NODES));
    prop_oneof![
        6 => (pair.clone(), 1..50_u64)
            .prop_map(|((from, to), count)| Step::Send { from, to, count }),
        3 => pair.clone().prop_map(|(a, b)| Step::Reset(a, b)),
        2 => pair.clone().prop_map(|(a, b)| Step::Cut(a, b)),
        2 => pair.prop_map(|(a, b)| Step::Join(a, b)),
        1 => (0..NODES).prop_map(Step::Restart),
        4 => (0..20_u8).prop_map(Step::Yield),
        3 => prop_oneof![0..200_u64, 200..12_000_u64].prop_map(|millis| Step::Pass { millis }),
    ]
}

/// The nodes, and what each life of them has sent and seen.
struct World {
    network: MemoryNetwork,
    nodes: Vec<TestNode>,
    lives: Vec<u64>,
    next: BTreeMap<(usize, usize), u64>,
    ended: Vec<(PeerId, std::sync::Arc<Inbox>)>,
}

/// A small window, so that it is reached, too; and nodes that give up sooner than others.
fn config(node: usize, incarnation: u64) -> LinkConfig {
    let lost_after = Duration::from_secs([3, 10, 5][node]);
    LinkConfig {
        windows: [2000, 2000],
        lost_after,
        ..life(incarnation)
    }
}

fn name(node: usize) -> String {
    format!("n{node}:1")
}

impl World {
    async fn new() -> Self {
        let network = MemoryNetwork::new();
        let mut nodes = Vec::new();
        for node in 0..NODES {
            nodes.push(TestNode::on(&network, &name(node), config(node, 1)).await);
        }
        let (lives, next, ended) = (vec![1; NODES], BTreeMap::new(), Vec::new());
        Self {
            network,
            nodes,
            lives,
            next,
            ended,
        }
    }

    fn id(&self, node: usize) -> PeerId {
        self.nodes[node].id(self.lives[node])
    }

    fn send(&mut self, from: usize, to: usize, count: u64) {
        let next = self.next.entry((from, to)).or_default();
        self.nodes[from].count(&self.nodes[to], *next..*next + count);
        *next += count;
    }

    async fn take(&mut self, step: Step) {
        let addr = |node: usize| self.nodes[node].addr().clone();
        match step {
            Step::Send { from, to, count } => self.send(from, to, count),
            Step::Reset(a, b) => self.network.reset(&addr(a), &addr(b)),
            Step::Cut(a, b) => self.network.cut(&addr(a), &addr(b)),
            Step::Join(a, b) => self.network.join(&addr(a), &addr(b)),
            Step::Restart(node) => self.restart(node).await,
            Step::Yield(times) => {
                for _ in 0..times {
                    yield_now().await;
                }
            }
            Step::Pass { millis } => pass(millis).await,
        }
    }

    /// Kills a node and starts it again; the numbers it sends begin again.
    async fn restart(&mut self, node: usize) {
        let id = self.id(node);
        let old = self.nodes.remove(node);
        self.ended.push((id, old.inbox.clone()));
        drop(old);
        yield_now().await;
        self.lives[node] += 1;
        let new = TestNode::on(&self.network, &name(node), config(node, self.lives[node])).await;
        self.nodes.insert(node, new);
        self.next.retain(|(from, _), _| *from != node);
    }

    /// Ends the faults; then everybody is heard by everybody (LK-3).
    async fn heal(&mut self) {
        for (a, b) in pairs() {
            self.network
                .join(self.nodes[a].addr(), self.nodes[b].addr());
        }
        pass(30_000).await;
        for (from, to) in pairs() {
            self.send(from, to, 3);
        }
        pass(30_000).await;
        for (from, to) in pairs() {
            let last = self.next[&(from, to)] - 1;
            let heard = self.nodes[to].inbox.numbers_by_sender();
            let heard = heard.get(&self.id(from)).and_then(|numbers| numbers.last());
            assert_eq!(heard, Some(&last), "LK-3: {from} to {to}");
        }
    }

    fn check(&self) {
        let living = (0..NODES).map(|node| (self.id(node), self.nodes[node].inbox.clone()));
        let all: Vec<_> = self.ended.iter().cloned().chain(living).collect();
        for (_, inbox) in &all {
            for (sender, numbers) in inbox.numbers_by_sender() {
                let ordered = numbers.windows(2).all(|pair| pair[0] < pair[1]);
                assert!(ordered, "LK-1: from {sender:?}: {numbers:?}");
            }
            assert!(inbox.is_silent_after_losses(), "LK-4");
        }
        for (from, to) in pairs() {
            self.check_missing(from, to);
        }
    }

    /// LK-2, for the present life of the sender and all lives of the receiver.
    fn check_missing(&self, from: usize, to: usize) {
        let mut missing: Vec<u64> = (0..self.next[&(from, to)]).collect();
        let addr = self.nodes[to].addr();
        let receivers = self
            .ended
            .iter()
            .filter(|(id, _)| id.addr == *addr)
            .map(|(_, i)| i);
        for inbox in receivers.chain([&self.nodes[to].inbox]) {
            let heard = inbox
                .numbers_by_sender()
                .remove(&self.id(from))
                .unwrap_or_default();
            missing.retain(|number| !heard.contains(number));
        }
        let sender = &self.nodes[from].inbox;
        let returned = sender.undelivered();
        missing.retain(|number| {
            !returned
                .iter()
                .any(|(frame, ..)| number_of(frame) == *number)
        });
        let told = sender
            .losses()
            .iter()
            .any(|(_, peer, _)| peer.addr == *addr);
        assert!(
            missing.is_empty() || told,
            "LK-2: {from} to {to}: {missing:?}"
        );
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..NODES).flat_map(|a| (0..NODES).filter(move |b| *b != a).map(move |b| (a, b)))
}

async fn pass(millis: u64) {
    sleep_until(Instant::now() + Duration::from_millis(millis)).await;
}

async fn run(steps: Vec<Step>) {
    let mut world = World::new().await;
    for step in steps {
        world.take(step).await;
    }
    world.heal().await;
    world.check();
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("TEPUI_FUZZ_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(2000_u32).div_ceil(10))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_invariants_hold_under_random_faults(steps in prop::collection::vec(any_step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}
