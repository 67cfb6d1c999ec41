//! Where actors run: beside their parent, on a worker, spread, from any thread; and what blocks.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{collections::BTreeSet, thread::ThreadId, time::Duration};

use tepui_runtime::{
    Place,
    blocking::{self, BlockingError},
    prelude::*,
    testkit,
};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Message)]
#[message(local, reply = ThreadId)]
struct Where;

#[derive(Message)]
#[message(local, reply = Pid<Dweller>)]
struct Spawn(&'static str, Place);

#[derive(Message)]
#[message(local, reply = u8)]
struct Block;

struct Dweller;

impl Actor for Dweller {
    type Context = Context<Self>;
}

impl Handler<Where> for Dweller {
    type Result = MessageResult<Where>;

    fn handle(&mut self, _: Where, _: &mut Context<Self>) -> Self::Result {
        MessageResult(std::thread::current().id())
    }
}

impl Handler<Spawn> for Dweller {
    type Result = MessageResult<Spawn>;

    fn handle(&mut self, spawn: Spawn, ctx: &mut Context<Self>) -> Self::Result {
        let place = spawn.1;
        let options = SpawnOptions {
            place,
            ..SpawnOptions::new()
        };
        MessageResult(ctx.node().spawn_as(spawn.0, options, || Dweller).unwrap())
    }
}

impl AsyncHandler<Block> for Dweller {
    async fn handle(&mut self, _: Block, ctx: &mut Context<Self>) -> u8 {
        let here = std::thread::current().id();
        let work = move || (std::thread::current().id() != here, 7);
        let (elsewhere, value) = ctx.node().blocking(work).await.unwrap();
        assert!(elsewhere);
        value
    }
}

accepts!(Dweller: async Block);

async fn node(workers: usize) -> Node {
    let builder = Node::builder("127.0.0.1:0".parse().unwrap());
    builder.workers(workers).start().await.unwrap()
}

/// On a runtime of several threads, none of which has a `LocalSet`.
fn on_threads(test: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let task = runtime.spawn(test);
    runtime.block_on(task).unwrap();
}

#[test]
fn children_live_beside_their_parent_or_where_they_are_put() {
    on_threads(async {
        let node = node(2).await;
        let at = |pid: Pid<Dweller>| async move { pid.ask(Where, PATIENCE).await.unwrap() };
        let parent = node.spawn("parent", Dweller).unwrap();
        let home = at(parent.clone()).await;
        let child = parent
            .ask(Spawn("child", Place::Beside), PATIENCE)
            .await
            .unwrap();
        assert_eq!(at(child).await, home);
        let mut threads = Vec::new();
        for (name, n) in [("zero", 0), ("one", 1)] {
            let there = SpawnOptions::new().on(n);
            let from_outside = node.spawn_as(name, there, || Dweller).unwrap();
            let name = if n == 0 { "0" } else { "1" };
            let from_inside = parent
                .ask(Spawn(name, Place::On(n)), PATIENCE)
                .await
                .unwrap();
            threads.push(at(from_outside).await);
            assert_eq!(at(from_inside).await, threads[n]);
        }
        assert_ne!(threads[0], threads[1]);
        let mut spread = BTreeSet::new();
        for name in ["a", "b"] {
            let child = parent
                .ask(Spawn(name, Place::Spread), PATIENCE)
                .await
                .unwrap();
            spread.insert(format!("{:?}", at(child).await));
        }
        assert_eq!(spread.len(), 2);
        let error = node
            .spawn_as("x", SpawnOptions::new().on(2), || Dweller)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no worker 2: the node has 2, counted from 0"
        );
        node.shutdown().await;
    });
}

#[test]
fn a_local_node_takes_spawns_from_other_threads_and_plain_tasks() {
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let there = node.clone();
        let spawned = std::thread::spawn(move || there.spawn("x", Dweller).unwrap());
        let pid = spawned.join().unwrap();
        let home = pid.ask(Where, PATIENCE).await.unwrap();
        assert_eq!(home, std::thread::current().id());
        let child = pid.ask(Spawn("y", Place::On(3)), PATIENCE).await.unwrap();
        assert_eq!(child.ask(Where, PATIENCE).await, Ok(home));
    });
}

#[test]
fn blocking_work_leaves_the_actors_thread_and_its_panics_are_errors() {
    on_threads(async {
        let node = node(1).await;
        let pid = node.spawn("x", Dweller).unwrap();
        assert_eq!(pid.ask(Block, PATIENCE).await, Ok(7));
        let panicked = node.blocking(|| panic!("as told")).await.unwrap_err();
        let text = "as told".to_owned();
        assert_eq!(panicked, BlockingError::Panicked { text });
        node.shutdown().await;
    });
}

struct Blocker;

impl Actor for Blocker {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        blocking::check("reading a file");
    }
}

accepts!(Blocker:);

#[test]
#[cfg_attr(not(debug_assertions), ignore = "debug builds only")]
fn a_blocking_call_on_an_actors_thread_is_an_error() {
    blocking::check("outside of actors");
    testkit::run(async |kit| {
        let node = kit.node("a").await;
        let pid = node.spawn("x", Blocker).unwrap();
        let ExitReason::Crashed(why) = node.monitor(pid.as_any()).await.reason else {
            panic!("not crashed");
        };
        assert!(
            why.contains("reading a file") && why.contains("node.blocking"),
            "{why}"
        );
    });
}
