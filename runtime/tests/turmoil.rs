//! Nodes in a simulated network: links mend, losses are told of, and a seed is the same run twice.
//!
//! Three nodes greet each other on timers, ask and monitor each other, while connections break,
//! messages are lost and hosts crash. The whole-cluster simulation rests on what is shown here.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::{
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use tepui_runtime::{
    filter::{Filters, Traced},
    prelude::*,
    testkit,
    transport::Turmoil,
};
use tokio::sync::Notify;

const HOSTS: [&str; 3] = ["a", "b", "c"];
const EPOCH_MICROS: u64 = 946_684_800_000_000;

#[derive(Serialize, Deserialize, Message)]
#[message(name = "test.Greet", reply = u64)]
struct Greet {
    number: u64,
}

/// Greets all its peers again and again, and monitors them.
struct Greeter {
    peers: Vec<AnyPid>,
    sent: u64,
    heard: u64,
    exits: Log,
}

type Log = Arc<Mutex<Vec<String>>>;

impl Greeter {
    fn greet(&mut self, ctx: &mut Context<Self>) {
        for peer in self.peers.clone() {
            self.sent += 1;
            let (number, peer_of_ask) = (self.sent, peer.clone());
            let _ = peer.tell(Greet { number });
            let asking = async move {
                peer_of_ask
                    .ask(Greet { number }, Duration::from_secs(2))
                    .await
            };
            ctx.spawn(asking.into_actor(self).map(|reply, actor, _| {
                if let Ok(heard) = reply {
                    actor.heard = actor.heard.wrapping_mul(31).wrapping_add(heard);
                }
            }));
        }
        let pause = 50 + ctx.node().random_u64() % 100;
        ctx.run_later(Duration::from_millis(pause), Self::greet);
    }
}

impl Actor for Greeter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.peers.iter().for_each(|peer| ctx.monitor(peer));
        self.greet(ctx);
    }
}

impl Handler<Greet> for Greeter {
    type Result = u64;

    fn handle(&mut self, greet: Greet, _: &mut Context<Self>) -> u64 {
        self.heard = self.heard.wrapping_mul(31).wrapping_add(greet.number);
        self.heard
    }
}

impl Handler<Exited> for Greeter {
    type Result = ();

    fn handle(&mut self, exited: Exited, ctx: &mut Context<Self>) {
        let (me, now) = (ctx.any_pid(), ctx.now() - EPOCH_MICROS);
        let line = format!(
            "{now} {} saw {}: {}",
            me.node().host(),
            exited.pid.node().host(),
            exited.reason
        );
        self.exits.lock().unwrap().push(line);
        ctx.run_later(Duration::from_millis(500), move |_, ctx| {
            ctx.monitor(&exited.pid)
        });
    }
}

accepts!(Greeter: Greet, Exited);

/// What a run leaves behind.
#[derive(Default)]
struct Run {
    /// Everything that happened to messages.
    trace: Log,
    /// Notices of lost peers.
    exits: Log,
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn line(event: &Traced<'_>) -> String {
    let at = turmoil::sim_elapsed().unwrap_or_default().as_micros();
    match event {
        Traced::Sent {
            from,
            to,
            name,
            body,
        } => {
            let body = body.map(hash).unwrap_or_default();
            format!("{at} {from:?} -> {to} {name} {body:x}")
        }
        Traced::Handled { by, name, .. } => format!("{at} {by} {name}"),
    }
}

async fn software(host: &'static str, filters: Filters, exits: Log) -> turmoil::Result {
    let started = turmoil::sim_elapsed().unwrap_or_default();
    let node = Node::builder(NodeAddr::new(host, 1))
        .local()
        .transport(Arc::new(Turmoil))
        .seed(hash(host.as_bytes()))
        .start_time(EPOCH_MICROS + started.as_micros() as u64)
        .heartbeat(Duration::from_millis(500), Duration::from_secs(3))
        .filters(filters)
        .start()
        .await?;
    let others = HOSTS.into_iter().filter(|other| *other != host);
    let peers = others
        .map(|other| format!("greeter@{other}:1").parse().unwrap())
        .collect();
    let greeter = Greeter {
        peers,
        sent: 0,
        heard: 0,
        exits,
    };
    let pid = node.spawn("greeter", greeter)?;
    let exited = node.monitor(pid.as_any()).await;
    Err(format!("the greeter of {host} ended: {}", exited.reason).into())
}

/// Ten seconds of faults, then ten of peace.
fn simulate(seed: u64) -> Run {
    let run = Run::default();
    let filters = Filters::default();
    let trace = run.trace.clone();
    filters.trace(Arc::new(move |event| {
        trace.lock().unwrap().push(line(event))
    }));
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(Duration::from_millis(10))
        .simulation_duration(Duration::from_secs(600))
        .max_message_latency(Duration::from_millis(40))
        .build();
    let killed = Rc::new(Notify::new());
    for host in HOSTS {
        let (filters, exits, killed) = (filters.clone(), run.exits.clone(), killed.clone());
        sim.host(host, move || {
            let software = software(host, filters.clone(), exits.clone());
            // One of them is killed.
            let killed = if host == "c" {
                killed.clone()
            } else {
                Rc::default()
            };
            async move { testkit::until_killed(&killed, software).await }
        });
    }
    let until = |sim: &mut turmoil::Sim<'_>, ms: u64| {
        while sim.elapsed() < Duration::from_millis(ms) {
            sim.step().unwrap();
        }
    };
    until(&mut sim, 1_000 + seed % 100);
    sim.partition("a", "b");
    until(&mut sim, 2_000);
    killed.notify_one();
    sim.step().unwrap();
    sim.crash("c");
    until(&mut sim, 6_000);
    sim.repair("a", "b");
    sim.bounce("c");
    until(&mut sim, 7_000);
    sim.set_link_fail_rate("b", "c", 0.05);
    sim.partition_oneway("a", "c");
    until(&mut sim, 10_000);
    sim.set_link_fail_rate("b", "c", 0.0);
    sim.repair("b", "c");
    sim.repair_oneway("a", "c");
    until(&mut sim, 20_000);
    run
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

/// Messages handled by `by` that `from` sent after the faults, judged by the host names.
fn handled_late(trace: &[String], by: &str) -> usize {
    let late = |line: &&String| {
        let at: u64 = line.split(' ').next().unwrap().parse().unwrap();
        at > 15_000_000 && line.contains(&format!("greeter@{by}:1#")) && line.ends_with("Greet")
    };
    trace.iter().filter(late).count()
}

#[test]
fn a_seed_is_the_same_run_twice_and_another_seed_is_not() {
    let (first, second, other) = (simulate(7), simulate(7), simulate(8));
    let (first, second, other) = (
        lines(&first.trace),
        lines(&second.trace),
        lines(&other.trace),
    );
    let differs = first.iter().zip(&second).position(|(a, b)| a != b);
    assert_eq!(
        differs,
        None,
        "{:?}",
        differs.map(|at| (&first[at], &second[at]))
    );
    assert_eq!(first.len(), second.len());
    assert!(first.len() > 1_000, "{} events", first.len());
    assert_ne!(first, other);
}

#[test]
fn after_partitions_losses_and_a_crash_everybody_talks_to_everybody() {
    for seed in 0..5 {
        let run = simulate(seed);
        let trace = lines(&run.trace);
        for host in HOSTS {
            // Five seconds of about ten greetings a second from each of two, told and asked.
            let count = handled_late(&trace, host);
            assert!(count > 100, "seed {seed}: {host} handled {count} greetings");
        }
        let exits = lines(&run.exits);
        for (watcher, lost, reason) in [("a", "b", "unreachable"), ("a", "c", "down")] {
            let seen = |line: &String| {
                line.contains(&format!(" {watcher} saw {lost}: ")) && line.contains(reason)
            };
            assert!(
                exits.iter().any(seen),
                "seed {seed}: {watcher}, {lost}: {exits:?}"
            );
        }
    }
}
