//! The test kit itself: clock, settling, seeds, and what outlives a test.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    future::pending,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tepui_runtime::{prelude::*, testkit, testkit::TestKit};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Message)]
#[message(name = "test.Work")]
struct Work {
    /// Hops to go.
    left: u64,
}

/// Passes work on to its peer, by way of the blocking pool every time.
#[derive(Default)]
struct Worker {
    peer: Option<AnyPid>,
    done: Arc<AtomicU64>,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Work> for Worker {
    type Result = ();

    fn handle(&mut self, work: Work, ctx: &mut Context<Self>) {
        let job = tokio::task::spawn_blocking(move || (0..100_000).fold(work.left, u64::max));
        ctx.spawn(
            job.into_actor(self)
                .map(move |result, worker: &mut Self, _| {
                    std::hint::black_box(result.unwrap());
                    worker.done.fetch_add(1, Ordering::SeqCst);
                    if let (Some(peer), 1..) = (&worker.peer, work.left) {
                        let left = work.left - 1;
                        peer.tell(Work { left }).unwrap();
                    }
                }),
        );
    }
}

accepts!(Worker: Work);

#[tepui_runtime::test]
async fn settled_is_when_the_blocking_pool_has_nothing_left_on_any_node(kit: TestKit) {
    let (here, there) = (kit.node("here").await, kit.node("there").await);
    let done = Arc::<AtomicU64>::default();
    let last = Worker {
        peer: None,
        done: done.clone(),
    };
    let last = there.spawn("last", last).unwrap();
    let first = Worker {
        peer: Some(last.any()),
        done: done.clone(),
    };
    let first = here.spawn("first", first).unwrap();
    let before = kit.now();
    for _ in 0..20 {
        first.tell(Work { left: 1 }).unwrap();
    }
    kit.settle().await;
    assert_eq!(done.load(Ordering::SeqCst), 40);
    assert_eq!(kit.now(), before, "time did not move for it");
}

#[tepui_runtime::test]
async fn time_moves_to_a_timer_and_not_beyond(kit: TestKit) {
    let clock = kit.clock().clone();
    assert!(clock.is_paused());
    let (start, node) = (kit.now(), kit.node("a").await);
    kit.settle().await;
    assert_eq!(kit.now(), start);
    kit.advance(90 * SECOND).await;
    assert_eq!(
        (kit.now() - start, node.now() - start),
        (90_000_000, 90_000_000)
    );
    assert_eq!(clock.elapsed(), 90 * SECOND);
}

/// Counts milliseconds.
struct Ticker(Arc<AtomicU64>);

impl Actor for Ticker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(SECOND / 1000, |ticker, _| {
            ticker.0.fetch_add(1, Ordering::SeqCst);
        });
    }
}

accepts!(Ticker:);

#[tepui_runtime::test]
#[expect(
    clippy::disallowed_methods,
    reason = "what is shown is that the clock follows the time outside"
)]
async fn a_resumed_clock_follows_the_time_outside_until_it_is_paused(kit: TestKit) {
    let node = kit.node("a").await;
    let ticks = Arc::<AtomicU64>::default();
    node.spawn("ticker", Ticker(ticks.clone())).unwrap();
    kit.settle().await;
    assert_eq!(ticks.load(Ordering::SeqCst), 0);

    let (start, outside) = (kit.now(), std::time::Instant::now());
    kit.clock().resume();
    kit.clock().resume();
    assert!(!kit.clock().is_paused());
    // For the reason above.
    tokio::time::sleep(30 * SECOND / 1000).await;
    kit.clock().pause();
    let passed = Duration::from_micros(kit.now() - start);
    assert!(passed >= 30 * SECOND / 1000, "{passed:?}");
    assert!(passed <= outside.elapsed() + SECOND / 1000, "{passed:?}");
    assert!(ticks.load(Ordering::SeqCst) > 0);

    kit.settle().await;
    let (stopped, ticked) = (kit.now(), ticks.load(Ordering::SeqCst));
    // For the reason above: the time outside goes on, the clock does not.
    tokio::task::spawn_blocking(|| std::thread::sleep(20 * SECOND / 1000))
        .await
        .unwrap();
    assert_eq!((kit.now(), ticks.load(Ordering::SeqCst)), (stopped, ticked));
    kit.advance(10 * SECOND / 1000).await;
    let jumped = ticks.load(Ordering::SeqCst) - ticked;
    // Timers are due at whole milliseconds, of which the clock stopped somewhere in between.
    assert!((4..=10).contains(&jumped), "{jumped}");
}

#[test]
#[should_panic(expected = "the test has not ended after 86400s on its clock")]
fn a_test_that_waits_for_ever_fails() {
    testkit::run(async |kit| {
        let _node = kit.node("a").await;
        pending::<()>().await;
    });
}

/// Does not stop.
struct Stubborn;

impl Actor for Stubborn {
    type Context = Context<Self>;

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        Running::Continue
    }
}

impl Handler<Work> for Stubborn {
    type Result = ();

    fn handle(&mut self, _: Work, ctx: &mut Context<Self>) {
        // Waits for something that does not come, and handles nothing meanwhile.
        ctx.wait(pending::<()>().into_actor(self));
    }
}

accepts!(Stubborn: Work);

fn panic_of(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(test).expect_err("it fails");
    *panic.downcast::<String>().unwrap()
}

#[test]
fn an_actor_that_outlives_its_test_fails_it_by_name_and_place() {
    let text = panic_of(|| {
        testkit::run(async |kit| {
            let node = kit.node("a").await;
            node.spawn("stubborn", Stubborn).unwrap();
            node.spawn("fine", Worker::default()).unwrap();
            let other = kit.node("b").await;
            let stuck = other.spawn("stuck", Stubborn).unwrap();
            for left in 0..3 {
                stuck.tell(Work { left }).unwrap();
            }
            kit.settle().await;
        });
    });
    assert!(text.starts_with("2 actors outlived the test: "), "{text}");
    assert!(text.contains("kit.allow_leaks()"), "{text}");
    let here = format!("spawned at {}:", file!());
    for (name, counts) in [
        ("stubborn@a:1", "0 messages handled, 0 waiting"),
        ("stuck@b:1", "1 messages handled, 2 waiting"),
    ] {
        let named = |line: &&str| line.contains(name) && line.contains(&here);
        let line = text.lines().find(named).unwrap_or_else(|| panic!("{text}"));
        assert!(line.ends_with(counts), "{line}");
    }
    assert!(!text.contains("fine@"), "{text}");
}

#[tepui_runtime::test]
async fn leaks_are_allowed_where_the_test_says_so(kit: TestKit) {
    kit.allow_leaks();
    let node = kit.node("a").await;
    node.spawn("stubborn", Stubborn).unwrap();
}

#[tepui_runtime::test]
async fn tests_may_return_errors_and_need_no_kit() -> Result<(), InvalidAddress> {
    let _: NodeAddr = "a:1".parse().map_err(|_| InvalidAddress)?;
    Ok(())
}

#[derive(Debug)]
struct InvalidAddress;

#[tepui_runtime::test(seed = 7)]
async fn a_seed_decides_what_is_random(kit: TestKit) {
    // With TEPUI_SEED another is run.
    let seed = std::env::var("TEPUI_SEED").map_or(7, |seed| seed.parse().unwrap());
    assert_eq!(kit.seed(), seed);
    let first = kit.node("a").await.random_u64();
    let again = std::thread::spawn(move || {
        testkit::run_seeded(seed, async |kit| kit.node("a").await.random_u64())
    });
    assert_eq!(first, again.join().unwrap());
}

/// Fails with seed 11; run by the test below alone.
#[tepui_runtime::test(seeds = 5..20)]
#[ignore = "fails, for a test of what is printed then"]
async fn planted_failure(kit: TestKit) {
    println!("ran seed {}", kit.seed());
    assert_ne!(kit.seed(), 11, "planted");
}

#[test]
fn a_failing_seed_is_printed_with_the_command_that_replays_it() {
    let run = |seed: Option<&str>| {
        let mut tests = Command::new(std::env::current_exe().unwrap());
        tests.args(["--ignored", "--exact", "--nocapture", "planted_failure"]);
        match seed {
            Some(seed) => tests.env("TEPUI_SEED", seed),
            None => tests.env_remove("TEPUI_SEED"),
        };
        let output = tests.output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), text.concat())
    };
    let ran = |text: &str| text.matches("ran seed").count();
    let (passed, text) = run(None);
    assert!(!passed);
    let command = "TEPUI_SEED=11 cargo test -p tepui-runtime planted_failure -- --exact";
    assert!(
        text.contains(&format!("failed with seed 11; replay with:\n  {command}\n")),
        "{text}"
    );
    assert_eq!(ran(&text), 7, "5 to 11, and no more: {text}");
    let (passed, text) = run(Some("11"));
    assert!(
        !passed && ran(&text) == 1,
        "that seed alone fails too: {text}"
    );
    let (passed, text) = run(Some("12"));
    assert!(passed && ran(&text) == 1, "{text}");
}
