//! The host of a machine's processes: executors, each with a node of its own, and tasks.
//!
//! An executor is killed by dropping everything it has at once; its peers see what they would see of
//! a dead process: a closed connection, and a refusal at the next attempt.

use std::{collections::BTreeMap, time::Duration};

use rand::RngExt;
use tepui_executor::{ExecutorActor, ExecutorConfig, StartProcess, StartSession, actor::NAME};
use tepui_isolation::Ended;
use tepui_protocol::messages::environment::ExecutorPlace;
use tepui_runtime::{ExitReason, NodeAddr};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::{LocalSet, spawn_local},
};

use super::{
    launcher::{SimProcesses, pause},
    machine::{Machine, SIGKILL, SIGTERM, Start, Waiting},
    rng,
    script::{self, Outcome},
    simulation::Site,
};

/// The port of an executor is this plus its process number.
const FIRST_PORT: u16 = 2_000;

/// Starts what is to be started, until the host crashes.
pub async fn host(site: Site, name: String, machine: Machine) -> turmoil::Result {
    loop {
        let Waiting {
            pid,
            start,
            mut signals,
        } = machine.next().await;
        let (site, machine, name) = (site.clone(), machine.clone(), name.clone());
        spawn_local(async move {
            let ended = match start {
                Start::Executor(variables) => {
                    executor(&site, &name, pid, variables, &machine, &mut signals).await
                }
                Start::Task(start) => task(site.seed, &start, &mut signals).await,
                Start::Session(start) => command(&start, &mut signals).await,
            };
            machine.ended(pid, ended);
        });
    }
}

/// Runs an executor until it ends or is killed.
async fn executor(
    site: &Site,
    host: &str,
    pid: u32,
    variables: BTreeMap<String, String>,
    machine: &Machine,
    signals: &mut UnboundedReceiver<i32>,
) -> Ended {
    let processes = LocalSet::new();
    let life = processes.run_until(executor_life(site, host, pid, variables, machine));
    tokio::select! {
        biased;
        signal = signals.recv() => Ended::Signalled { signal: signal.unwrap_or(SIGKILL) },
        code = life => Ended::Exited { code },
    }
}

async fn executor_life(
    site: &Site,
    host: &str,
    pid: u32,
    variables: BTreeMap<String, String>,
    machine: &Machine,
) -> i32 {
    let port = FIRST_PORT + u16::try_from(pid).expect("few processes in one simulation");
    let place = ExecutorPlace::from_variables(|name| variables.get(name).cloned());
    let place = place.expect("the agent tells executors their place");
    let node = site.node(host, port).await.expect("the port is free");
    let run = place.run.clone();
    let config = ExecutorConfig {
        listen: NodeAddr::new(host, port),
        resend_after: Duration::from_secs(2),
        ..ExecutorConfig::new(place)
    };
    let (machine, watch) = (machine.clone(), site.watch.clone());
    let processes = SimProcesses {
        machine,
        run,
        watch,
        started: Vec::new(),
    };
    let rng = node.rng();
    let actor = move || ExecutorActor::new(config, rng, Box::new(processes));
    let actor = node.spawn_with(NAME, actor).expect("the name is free");
    let exited = node.monitor(actor.as_any()).await;
    node.shutdown().await;
    i32::from(exited.reason != ExitReason::Stopped)
}

/// Runs a task's script until it ends or is killed. One in eight tasks does not heed SIGTERM.
async fn task(seed: u64, start: &StartProcess, signals: &mut UnboundedReceiver<i32>) -> Ended {
    let task = start.task_id.as_str();
    let stubborn = rng::number(seed, &format!("stubborn {task}")).is_multiple_of(8);
    let Ok(outcome) = script::run(&start.command.value, &start.environment, work(seed, task))
    else {
        return Ended::Exited { code: 127 };
    };
    let end = pause(outcome.span);
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            signal = signals.recv() => match signal {
                Some(SIGTERM) if stubborn => {}
                signal => return Ended::Signalled { signal: signal.unwrap_or(SIGKILL) },
            },
            () = &mut end => return Ended::Exited { code: outcome.status },
        }
    }
}

/// Runs a command beside a task until it ends or is ended.
async fn command(start: &StartSession, signals: &mut UnboundedReceiver<i32>) -> Ended {
    let nothing = Outcome {
        span: Duration::ZERO,
        status: 0,
    };
    let line = start.command.join(" ");
    let Ok(outcome) = script::run(&line, &start.environment, nothing) else {
        return Ended::Exited { code: 127 };
    };
    tokio::select! {
        biased;
        signal = signals.recv() => Ended::Signalled { signal: signal.unwrap_or(SIGKILL) },
        () = pause(outcome.span) => Ended::Exited { code: outcome.status },
    }
}

/// What the word `work` does in a task: 0.1 to 6 s, and a failure in one of eight first attempts.
fn work(seed: u64, task: &str) -> Outcome {
    let mut rng = rng::generator(seed, &format!("work {task}"));
    let span = Duration::from_millis(rng.random_range(100..6_000));
    let fails = task.ends_with(".0") && rng.random_range(0..8) == 0;
    Outcome {
        span,
        status: i32::from(fails),
    }
}
