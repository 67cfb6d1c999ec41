//! The simulation that users of the runtime write, on a replicated counter: right, it survives all
//! faults; with a planted bug, the faults are found that are needed to see it.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tepui_runtime::{
    prelude::*,
    testkit::sim::{
        Case, Explore, Failure, Fault, Host, Schedule, Settings, Shape, Sim, TraceFile,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const CALM: Duration = Duration::from_secs(40);

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Increment", reply = u64)]
struct Increment {}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Keep", reply = u64)]
struct Keep(u64);

/// Keeps the highest number on a disk.
struct Replica(Arc<AtomicU64>);

impl Actor for Replica {
    type Context = Context<Self>;
}

impl Handler<Keep> for Replica {
    type Result = u64;

    fn handle(&mut self, keep: Keep, _: &mut Context<Self>) -> u64 {
        self.0.fetch_max(keep.0, Ordering::SeqCst).max(keep.0)
    }
}

accepts!(Replica: Keep);

/// Counts, and has the replica keep the count before it answers; with the bug, at some time.
struct Primary {
    count: u64,
    replica: AnyPid,
    hasty: bool,
}

impl Actor for Primary {
    type Context = Context<Self>;
}

impl Handler<Increment> for Primary {
    type Result = ResponseActFuture<Self, u64>;

    fn handle(&mut self, _: Increment, _: &mut Context<Self>) -> Self::Result {
        self.count += 1;
        let (count, replica, hasty) = (self.count, self.replica.clone(), self.hasty);
        let kept = async move {
            match hasty {
                true => drop(replica.tell(Keep(count))),
                false => while replica.ask(Keep(count), SECOND).await.is_err() {},
            }
            count
        };
        Box::pin(kept.into_actor(self))
    }
}

accepts!(Primary: Increment);

async fn primary(host: Host, hasty: bool) -> turmoil::Result {
    let node = host.node().await?;
    let replica: AnyPid = "replica@b:1".parse()?;
    let count = loop {
        match node.ask(&replica, Keep(0), SECOND).await {
            Ok(count) => break count,
            Err(_) => host.pause(SECOND / 10).await,
        }
    };
    let primary = Primary {
        count,
        replica,
        hasty,
    };
    let primary = node.spawn("primary", primary)?;
    host.lives(&node, primary.as_any()).await
}

/// Counts on, and looks whether it goes up.
async fn client(host: Host) -> turmoil::Result {
    let node = host.node().await?;
    let (primary, mut last) = ("primary@a:1".parse()?, 0);
    loop {
        if let Ok(count) = node.ask(&primary, Increment {}, 2 * SECOND).await {
            if count <= last {
                let what = format!("after {last} comes {count}");
                host.journal().violated("COUNT-1", what);
            }
            host.note(&format!("counts {count}"));
            last = count;
        }
        host.pause(SECOND / 5).await;
    }
}

fn counting(sim: &mut Sim, hasty: bool) -> Result<(), Failure> {
    let disk = Arc::<AtomicU64>::default();
    sim.host("a", move |host| primary(host, hasty));
    sim.host("b", move |host| {
        let disk = disk.clone();
        async move {
            let node = host.node().await?;
            let replica = node.spawn("replica", Replica(disk))?;
            host.lives(&node, replica.as_any()).await
        }
    });
    sim.host("c", client);
    sim.run_for(CALM)?;
    let before = sim.journal().events().len();
    sim.run_for(20 * SECOND)?;
    let events = sim.journal().events();
    let counts = |(_, what): &(Duration, String)| what.starts_with("c counts");
    let counted = events[before..].iter().any(counts);
    sim.ensure("COUNT-2 it counts on once the faults are over", counted)
}

#[test]
fn a_counter_that_is_right_survives_all_kinds_of_faults() {
    let shape = Shape::new(["a", "b", "c"], 25 * SECOND);
    Explore::new("counter", "cargo test -p tepui-runtime --test sim")
        .seeds(0..12)
        .threads(2)
        .faults(shape)
        .check(|sim| counting(sim, false));
}

/// Eight faults, of which 3 and 6 together show the bug: what is not kept yet is lost in a crash.
fn faults() -> Schedule<Fault> {
    let [a, b, c] = ["a", "b", "c"].map(str::to_owned);
    let slow = |latency: u64| Fault::Slow {
        latency: Duration::from_millis(latency),
        span: 2 * SECOND,
    };
    let crash = |host: &String, down| Fault::Crash {
        host: host.clone(),
        down,
    };
    let skew = Fault::Skew {
        host: a.clone(),
        offset_ms: -30_000,
        drift_ppm: 200,
        span: 9 * SECOND,
    };
    let cut_client = Fault::Cut {
        a: c.clone(),
        b: a.clone(),
        span: SECOND,
    };
    let cut = Fault::CutOneWay {
        from: a.clone(),
        to: b.clone(),
        span: 10 * SECOND,
    };
    let slow_link = Fault::SlowLink {
        a: b.clone(),
        b: c.clone(),
        latency: SECOND,
        span: 3 * SECOND,
    };
    [
        (2 * SECOND, skew),
        (3 * SECOND, crash(&c, SECOND)),
        (5 * SECOND, cut_client),
        (10 * SECOND, cut),
        (11 * SECOND, slow(300)),
        (12 * SECOND, slow_link),
        (14 * SECOND, crash(&a, SECOND)),
        (30 * SECOND, crash(&b, SECOND)),
    ]
    .into_iter()
    .collect()
}

fn planted() -> Explore<Fault> {
    Explore::new("planted", "RERUN")
        .seeds(4..5)
        .faults(Shape::new(["a"], CALM / 2))
        .draw(|_| faults())
}

#[test]
fn a_planted_bug_is_shrunk_to_the_faults_that_it_needs() {
    let (explore, hasty) = (planted(), |sim: &mut Sim| counting(sim, true));
    let run = |case: &Case<Fault>| explore.simulate(case, &hasty);
    let report = explore.judge(&explore.case(4), &run).unwrap_err();
    assert!(
        report.contains("planted: seed 4: COUNT-1 after "),
        "{report}"
    );
    assert!(report.contains("needed of them: 3, 6\n"), "{report}");
    let command = "\n  TEPUI_SEED=4 TEPUI_FAULTS=3,6 RERUN\n";
    assert!(report.contains(command), "{report}");

    // The trace has these two faults and the whole run, and is the same when it is run again.
    let path = report.split("TEPUI_REPLAY=").nth(1).unwrap();
    let path = PathBuf::from(path.split_whitespace().next().unwrap());
    let trace = TraceFile::<Fault>::read(&path).unwrap();
    let wanted = faults().only(&[3, 6].into());
    assert_eq!((trace.seed, &trace.faults), (4, &wanted));
    assert!(trace.violation.unwrap().starts_with("COUNT-1: "));
    let again = run(&Case {
        seed: trace.seed,
        faults: trace.faults,
    });
    assert_eq!(again.journal.events(), trace.events);
    assert!(trace.events.len() > 100);

    // Neither is enough, and without the bug both are harmless.
    let case = |numbers: &[usize]| Case {
        seed: 4,
        faults: faults().only(&numbers.iter().copied().collect()),
    };
    assert!(run(&case(&[3])).verdict.is_ok());
    assert!(run(&case(&[6])).verdict.is_ok());
    let right = explore.simulate(&case(&[3, 6]), &|sim: &mut Sim| counting(sim, false));
    assert!(right.verdict.is_ok(), "{:?}", right.verdict);
}

/// Fails; run by the test below alone.
#[test]
#[ignore = "fails, for a test of what is printed then"]
fn planted_bug() {
    planted().check(|sim| counting(sim, true));
}

#[test]
fn the_printed_commands_replay_what_failed() {
    let run = |variables: &[(&str, &str)]| {
        let mut tests = Command::new(std::env::current_exe().unwrap());
        tests.args(["--ignored", "--exact", "--nocapture", "planted_bug"]);
        for name in ["SEED", "SEEDS", "FIRST_SEED", "FAULTS", "REPLAY", "TRACE"] {
            tests.env_remove(format!("TEPUI_{name}"));
        }
        tests.env("RUST_BACKTRACE", "0");
        let output = tests.envs(variables.iter().copied()).output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), text.concat())
    };
    let (passed, report) = run(&[]);
    assert!(!passed, "{report}");
    let with = report.split("with these alone: ").nth(1).unwrap();
    let (violation, rest) = with.split_once('\n').unwrap();
    assert!(violation.starts_with("COUNT-1 "), "{violation}");

    let variables: Vec<_> = rest
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .collect();
    let [seed, faults, replay] = variables[..3] else {
        panic!("{report}");
    };
    assert_eq!(
        [seed, faults],
        [("TEPUI_SEED", "4"), ("TEPUI_FAULTS", "3,6")]
    );
    for variables in [&[seed, faults][..], &[replay]] {
        let (passed, text) = run(variables);
        assert!(!passed && text.contains(violation), "{variables:?}: {text}");
        assert!(!text.contains("another run than in the trace"), "{text}");
    }
    let (passed, text) = run(&[seed, ("TEPUI_FAULTS", "3")]);
    assert!(passed, "{text}");
}

#[test]
fn a_wrong_clock_is_the_hosts_own() {
    let skewed: Schedule<Fault> = [(
        5 * SECOND,
        Fault::Skew {
            host: "a".into(),
            offset_ms: -2_000,
            drift_ppm: 100_000,
            span: 10 * SECOND,
        },
    )]
    .into_iter()
    .collect();
    let clocks = |sim: &mut Sim| {
        for name in ["a", "b"] {
            sim.host(name, |host| async move {
                let node = host.node().await?;
                let start = node.now();
                loop {
                    host.pause(SECOND).await;
                    host.note(&format!(
                        "has {}",
                        (node.now() - start + 500_000) / 1_000_000
                    ));
                }
            });
        }
        sim.run_for(25 * SECOND)
    };
    let case = Case {
        seed: 0,
        faults: skewed,
    };
    let explore = Explore::new("clocks", "-").faults(Shape::new(["a", "b"], 20 * SECOND));
    let ran = explore.simulate(&case, &clocks);
    assert_eq!(ran.verdict, Ok(()));
    let of = |host: &str| -> Vec<u64> {
        let events = ran.journal.events().into_iter();
        let told = events.filter_map(|(_, what)| {
            Some(
                what.strip_prefix(host)?
                    .strip_prefix(" has ")?
                    .parse()
                    .unwrap(),
            )
        });
        told.collect()
    };
    let right: Vec<u64> = (1..=24).collect();
    assert_eq!(of("b")[..24], right);
    let wrong = of("a");
    assert_eq!(wrong[..4], right[..4]);
    // Two seconds behind at first, then a tenth of a second less with each, then right again.
    assert!(
        (3..=4).contains(&wrong[5]) && (12..=13).contains(&wrong[13]),
        "{wrong:?}"
    );
    assert_eq!(wrong[16..24], right[16..]);
}

#[test]
fn a_host_that_is_crashed_by_hand_starts_again_as_another_life() {
    let mut sim = Sim::new(Settings::new(1));
    let starts = Arc::<AtomicU64>::default();
    let counted = starts.clone();
    sim.host("a", move |host| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let node = host.node().await?;
            let replica = node.spawn("replica", Replica(Arc::default()))?;
            host.lives(&node, replica.as_any()).await
        }
    });
    for life in 1..=3 {
        sim.run_for(SECOND).unwrap();
        assert!(sim.is_running("a"));
        assert_eq!(starts.load(Ordering::SeqCst), life);
        sim.crash("a");
        sim.run_for(SECOND).unwrap();
        assert!(!sim.is_running("a"));
        sim.start("a");
    }
    // Both in the same moment.
    sim.run_for(SECOND).unwrap();
    sim.crash("a");
    sim.start("a");
    sim.run_for(SECOND).unwrap();
    assert!(sim.is_running("a"));
    assert_eq!(starts.load(Ordering::SeqCst), 5);
    sim.crash("a");
    sim.start("a");
    sim.crash("a");
    sim.run_for(SECOND).unwrap();
    assert!(!sim.is_running("a"));
}
