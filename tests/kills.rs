//! `kill -9` of agent, executors and launchers at instants that are drawn at random, while tasks are
//! launched, run, end and are found again by an agent that was killed.
//!
//! | invariant | |
//! |---|---|
//! | KI-1 | the job succeeds, and each of its tasks ends in exactly one terminal state |
//! | KI-2 | no process, control group or mount is left, whatever a task has started |
//! | KI-3 | no device, namespace or rule of a private network is left |
//!
//! Some of the tasks have private networks, where these work; all of the test is in a network of its own then.
//!
//! `TEPUI_KILLS` sets how many (default 50), `TEPUI_KILLS_SEED` the instants and the victims. Needs
//! root and control groups; where they are absent, it says so in one line.

#[path = "cluster/isolated.rs"]
mod isolated;
#[path = "cluster/node.rs"]
mod node;
#[path = "cluster/private.rs"]
mod private;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Duration,
};

use isolated::{Cluster, executors, launchers, sleepers};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use node::Guard;
use rand::{
    RngExt, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::Value;
use tepui_isolation::process::family::await_patiently;

/// Between two kills, at most.
const GAP_MS: u64 = 120;
/// Tasks of a job; jobs follow each other until all kills are done.
const TASKS: usize = 100;
/// Those of them that have private networks, where these work.
const PRIVATE: usize = 15;

fn setting(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// A job of short tasks, each of which leaves a process behind that only its container's end ends.
fn start_job(cluster: &Cluster, name: &str, span: &str, has_networks: bool) -> Guard {
    let file = cluster.dir.path().join(format!("{name}.toml"));
    let (private, mode) = match has_networks {
        true => (PRIVATE, "private"),
        false => (PRIVATE, "host"),
    };
    let group = |name: &str, count: usize, mode: &str| {
        format!(
            "[[group]]\nname = \"{name}\"\ncount = {count}\ncpus = 0.2\nmem = 32\nnetwork = \"{mode}\"\n\
             retries = 1000\ncommand = \"setsid sleep {span} & exec sleep 0.05\"\n"
        )
    };
    // Those with networks first: they take longer.
    let groups = group("private", private, mode) + &group("short", TASKS - private, "host");
    let job = format!("name = \"{name}\"\n{groups}");
    fs::write(&file, job).expect("a writable directory");
    let said = File::create(cluster.dir.path().join(format!("{name}.jsonl")));
    let mut command = cluster.command(&["run", "--json", "--job"]);
    let child = command
        .arg(file)
        .stdout(said.expect("a writable directory"));
    let child = child.stderr(Stdio::null()).spawn().expect("it starts");
    Guard::new(child, Signal::SIGTERM)
}

/// How often each task of the job was told to have ended.
fn ends(dir: &Path, name: &str) -> BTreeMap<String, Vec<String>> {
    let said =
        fs::read_to_string(dir.join(format!("{name}.jsonl"))).expect("it has said something");
    let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in said.lines() {
        let news: Value = serde_json::from_str(line).expect("JSON");
        let status = &news["status"];
        let (Some(task), Some(state)) = (status["task_id"].as_str(), status["state"].as_str())
        else {
            continue;
        };
        let of_task = ends.entry(task.to_owned()).or_default();
        if !matches!(
            state,
            "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING"
        ) {
            of_task.push(state.to_owned());
        }
    }
    ends
}

/// Whom to kill.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Agent,
    Executor,
    Launcher,
}

/// Kills one of that kind while something runs; false when there is none.
fn strike(cluster: &mut Cluster, dir: &Path, kind: Kind, random: &mut StdRng) -> bool {
    let executors = executors(dir);
    let victims = match kind {
        Kind::Agent if executors.is_empty() => return false,
        Kind::Agent => {
            cluster.agent().process.kill(Signal::SIGKILL);
            cluster.start_agent();
            return true;
        }
        Kind::Executor => executors,
        Kind::Launcher => launchers(),
    };
    let victim = victims.choose(random);
    // One that has just ended is fine.
    victim.is_some_and(|pid| kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).is_ok())
}

#[test]
fn whoever_is_killed_at_whatever_instant_tasks_end_once_and_nothing_is_left() {
    let has_networks = private::enter();
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let (kills, seed) = (setting("TEPUI_KILLS", 50), setting("TEPUI_KILLS_SEED", 1));
    let kills = usize::try_from(kills).expect("a number");
    println!("TEPUI_KILLS={kills} TEPUI_KILLS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = fs::canonicalize(cluster.work_dir()).expect("it is there");
    // Seconds that nobody else sleeps for.
    let span = (4_000_000 + std::process::id()).to_string();
    let kinds = [Kind::Agent, Kind::Executor, Kind::Launcher];
    let mut planned: Vec<Kind> = kinds.into_iter().cycle().take(kills).collect();
    planned.shuffle(&mut random);
    let mut jobs = 0;
    let mut namespaces: BTreeSet<String> = BTreeSet::new();
    let mut tasks: BTreeMap<String, usize> = BTreeMap::new();
    while !planned.is_empty() {
        let name = format!("storm{jobs}");
        jobs += 1;
        let mut job = start_job(&cluster, &name, &span, has_networks);
        while let Some(kind) = planned.last()
            && job.child.try_wait().expect("our child").is_none()
        {
            #[expect(clippy::disallowed_methods, reason = "the instant is what is drawn")]
            std::thread::sleep(Duration::from_millis(random.random_range(0..GAP_MS)));
            if has_networks {
                namespaces.extend(private::devices());
            }
            if strike(&mut cluster, &dir, *kind, &mut random) {
                planned.pop();
            }
        }
        let status = job.child.wait().expect("our child");
        assert!(status.success(), "KI-1: {name}: {status}");
        let ends = ends(cluster.dir.path(), &name);
        assert!(ends.len() >= TASKS, "KI-1: {ends:?}");
        for (task, states) in &ends {
            assert_eq!(states.len(), 1, "KI-1: {task}: {states:?}");
            *tasks.entry(states[0].clone()).or_default() += 1;
        }
    }
    println!(
        "{jobs} jobs; {} networks seen; how tasks ended: {tasks:?}",
        namespaces.len()
    );
    let left = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("readable");
        let mounts = mounts
            .lines()
            .filter(|line| line.contains(&*dir.to_string_lossy()));
        let mounts: Vec<String> = mounts.map(str::to_owned).collect();
        let processes = [executors(&dir), launchers(), sleepers(&span)].concat();
        (processes, cluster.left(), mounts)
    };
    let is_gone = |(processes, groups, mounts): &(Vec<u32>, _, Vec<String>)| {
        processes.is_empty() && BTreeSet::is_empty(groups) && mounts.is_empty()
    };
    let gone = await_patiently(|| is_gone(&left()));
    assert!(gone, "KI-2: {:?}", left());
    if has_networks {
        let are_gone = || {
            let are_named = namespaces
                .iter()
                .any(|name| Path::new("/run/netns").join(name).exists());
            !are_named && private::left() == (vec![], String::new())
        };
        let gone = await_patiently(are_gone);
        assert!(gone, "KI-3: {namespaces:?}, {:?}", private::left());
    }
}
