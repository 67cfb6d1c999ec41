//! A job under random faults, seeded: links break, launches get lost with them, networks are cut, master and framework die and
//! come back, agents become unreachable. Whatever happens, the job is finished, every update is
//! acknowledged, and no task is launched twice (the fake master sees to that).
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::time::Duration;

use tepui_batch::{Group, Job, JobHandle, JobOptions, start_job};
use tepui_framework::{
    protocol::messages::scheduler::Accept, store::MemoryStore, testkit::FakeMaster,
};
use tepui_runtime::{
    Node,
    testkit::{TestKit, run_seeded},
};

const SEEDS: u64 = 60;
const FAULTS: u64 = 12;
const AGENTS: [&str; 3] = ["a1", "a2", "a3"];

fn job() -> Job {
    let group = |name: &str, count, after: &[&str]| {
        let resources = "cpus:1;mem:64".parse().unwrap();
        let after = after.iter().map(|name| (*name).to_owned()).collect();
        Group {
            after,
            ..Group::new(name, "work", count, resources)
        }
    };
    let groups = vec![
        group("map", 12, &[]),
        group("sort", 3, &["map"]),
        group("reduce", 1, &["sort"]),
    ];
    Job {
        name: "job".to_owned(),
        groups,
    }
}

struct World {
    kit: TestKit,
    master_node: Node,
    master: FakeMaster,
    node: Node,
    store: MemoryStore,
    handle: JobHandle,
    lives: u64,
}

impl World {
    async fn new(kit: TestKit) -> Self {
        let (master_node, node) = (kit.node("there").await, kit.node("here").await);
        let master = FakeMaster::start(&master_node, "m0");
        for agent in AGENTS {
            master.agent(agent, "cpus:2;mem:512", Some(Duration::from_secs(4)));
        }
        let store = MemoryStore::new();
        let handle = start(&node, &master, &store);
        Self {
            kit,
            master_node,
            master,
            node,
            store,
            handle,
            lives: 0,
        }
    }

    fn is_over(&self) -> bool {
        self.handle.progress().finished.is_some()
    }

    async fn fault(&mut self) {
        let span = Duration::from_millis(self.master_node.random_u64() % 15_000);
        let agent = AGENTS[(self.master_node.random_u64() % 3) as usize];
        match self.master_node.random_u64() % 7 {
            0 => self.kit.reset(&self.node, &self.master_node),
            1 => {
                self.kit.cut(&self.node, &self.master_node);
                self.kit.advance(span).await;
                self.kit.join(&self.node, &self.master_node);
            }
            5 => {
                let lost = self.kit.filter().drop_next::<Accept>(1);
                self.kit.advance(span).await;
                lost.lift();
                self.kit.reset(&self.node, &self.master_node);
            }
            2 => self.restart_master(span).await,
            3 => self.restart_framework(span).await,
            4 => {
                self.master.agent_lost(agent);
                self.kit.advance(span).await;
                self.master.agent_back(agent);
            }
            _ => {
                self.master.fall_silent();
                self.kit.advance(span).await;
                self.master.speak();
            }
        }
        let pause = self.master_node.random_u64() % 3000;
        self.kit.advance(Duration::from_millis(pause)).await;
    }

    async fn restart_master(&mut self, after: Duration) {
        self.master.stop().await;
        self.kit.advance(after).await;
        self.lives += 1;
        self.master.start_again(&format!("m{}", self.lives));
    }

    async fn restart_framework(&mut self, after: Duration) {
        for name in ["scheduler", "batch"] {
            if let Some(actor) = self.node.lookup(name) {
                self.node.kill(&actor);
                self.node.monitor(&actor).await;
            }
        }
        self.kit.advance(after).await;
        self.handle = start(&self.node, &self.master, &self.store);
    }
}

fn start(node: &Node, master: &FakeMaster, store: &MemoryStore) -> JobHandle {
    let options = JobOptions {
        store: Box::new(store.clone()),
        ..JobOptions::default()
    };
    start_job(node, &master.pid(), job(), options).unwrap()
}

#[test]
fn a_job_is_finished_under_random_faults() {
    for seed in 0..SEEDS {
        run_seeded(seed, async |kit| {
            let mut world = World::new(kit).await;
            for _ in 0..FAULTS {
                if !world.is_over() {
                    world.fault().await;
                }
            }
            for _ in 0..30 {
                if !world.is_over() {
                    world.kit.advance(Duration::from_secs(20)).await;
                }
            }
            let progress = world.handle.progress();
            assert!(world.is_over(), "seed {seed}: {progress:?}");
            let outcome = world.handle.wait().await.unwrap();
            world.kit.settle().await;
            assert!(outcome.is_success(), "seed {seed}: {outcome:?}");
            let counts = outcome.tasks.values().map(Vec::len).collect::<Vec<_>>();
            assert_eq!(counts, [12, 1, 3], "seed {seed}");
            assert!(world.master.is_torn_down(), "seed {seed}");
        });
    }
}
