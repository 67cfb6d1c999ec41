//! `tepui demo`: a cluster of separate processes at work on this machine, checked to the last digit.
//!
//! ```text
//!  prepare --> master --> agents --> frameworks --watch until the job is done--> check --> report
//!     |           |          |            |                                                  |
//!     +-----------+----------+------------+---Ctrl-C, failure---> end: nobody is left <------+
//! ```
//! Owns the course of events. `demo/processes.rs` keeps the processes running, `demo/jobs.rs` has
//! the commands that the tasks run, `demo/trace.rs` the data and the direct computation,
//! `demo/view.rs` and `demo/display.rs` show what happens, `demo/report.rs` tells how it ended.

mod chart;
mod display;
mod jobs;
mod processes;
mod record;
mod report;
mod stop;
mod trace;
mod view;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use nix::sys::signal::Signal;
use tepui_isolation::ProcessIdentity;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::{
    cli::{
        MasterAddress,
        arguments::parse_master,
        nodes::{self, Signals, Stop},
    },
    client::Client,
    output,
};
use display::{Display, History};
use processes::{Kind, Processes};
use record::Record;
use report::Findings;
use trace::Answer;
use view::View;

const EXAMPLES: &str = "\
Examples:
  tepui demo                  about ten seconds; needs no root, no network, no fixed ports
  tepui demo --keep           leave the cluster up, to try the other commands on it
  tepui demo --stop DIR       end a cluster that was left up

One master and three agents run as processes of their own. The framework `analytics`
(role weight 2) computes from a real log of a supercomputer who used it and when: 24 map
tasks and a reduce task, all shell commands. The framework `background` (weight 1) competes
with a stream of short tasks. Kill any of the processes on the way: it is started again, and
the result stays right.";

/// Agents and what they have: nothing of the machine's own counts, so that it works on any.
const AGENTS: [(&str, &str); 3] = [
    ("agent-1", "cpus:4;mem:4096;disk:4096;ports:[31000-31099]"),
    ("agent-2", "cpus:3;mem:3072;disk:4096;ports:[31100-31199]"),
    ("agent-3", "cpus:2;mem:2048;disk:4096;ports:[31200-31299]"),
];
/// The roles, which are also the names of the frameworks, and their weights.
const ROLES: [(&str, u32); 2] = [(ANALYTICS, 2), (BACKGROUND, 1)];
const ANALYTICS: &str = "analytics";
const BACKGROUND: &str = "background";

/// How long the cluster may take to come up.
const START_WITHIN: Duration = Duration::from_secs(20);
/// How long the job may take, also when processes are killed on the way.
const DONE_WITHIN: Duration = Duration::from_secs(180);
/// How long processes may take to end.
const END_WITHIN: Duration = Duration::from_secs(8);
/// How long the master may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at the cluster.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Short intervals, so that restarts cost seconds and not minutes.
const SETTINGS: &str = "\
[master.options]
allocation_interval = 0.2       # seconds, as all of these
agent_ping_interval = 1
agent_reregister_timeout = 30

[agent.options]
registration_backoff = 0.05
update_retry_min = 1
";

/// See a cluster run a real job, from an empty machine to a checked result
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Leave the cluster up at the end
    #[arg(long)]
    keep: bool,
    /// Where everything is kept; must not exist [default: a new directory for temporary files]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// End the cluster that an earlier demo left up, and do nothing else
    #[arg(long, value_name = "DIR", conflicts_with_all = ["keep", "work_dir"])]
    stop: Option<PathBuf>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(dir) = &arguments.stop {
        return stop::run(dir).await;
    }
    let mut signals = Signals::catch()?.and_hangup()?;
    let mut demo = Demo::prepare(arguments.work_dir.as_deref())?;
    let played = tokio::select! {
        findings = demo.play() => findings.map(Ok),
        stop = signals.next() => Ok(Err(stop)),
    };
    demo.display.clear();
    match played {
        Ok(Ok(findings)) if arguments.keep => demo.leave(&findings),
        Ok(Ok(findings)) => {
            let told = report::tell(&findings);
            demo.end(&mut signals, Leftovers::AreFailure).await?;
            told?;
            demo.verdict(&findings)
        }
        Ok(Err(stop)) => {
            output::note("interrupted: ending all processes");
            demo.end(&mut signals, Leftovers::AreKilled).await?;
            Ok(ExitCode::from(if stop == Stop::Interrupted {
                130
            } else {
                143
            }))
        }
        Err(error) => {
            // The first error is the one to tell.
            let _ = demo.end(&mut signals, Leftovers::AreKilled).await;
            Err(error.context(format!(
                "the demo failed (logs in {})",
                demo.dir.join("logs").display()
            )))
        }
    }
}

/// What it means when processes remain that nobody ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leftovers {
    AreFailure,
    AreKilled,
}

struct Demo {
    dir: PathBuf,
    binary: PathBuf,
    mark: String,
    processes: Processes,
    display: Display,
    lines: Vec<String>,
    started: Instant,
}

impl Demo {
    /// Makes the directories and the data; starts nothing.
    fn prepare(dir: Option<&Path>) -> anyhow::Result<Self> {
        let binary = std::env::current_exe().context("cannot tell where this program is")?;
        let me = ProcessIdentity::of(std::process::id()).context("cannot read /proc")?;
        let mark = format!("{}-{}", me.pid, me.start_time);
        let dir = make_work_dir(dir, &mark)?;
        let lines = trace::lines()?;
        for (n, shard) in trace::shards(&lines, jobs::SHARDS)?.iter().enumerate() {
            write(&dir.join(format!("shards/shard-{n}.swf.gz")), shard)?;
        }
        let around = jobs::Surroundings {
            shards: &dir.join("shards"),
            binary: &binary,
        };
        write(
            &dir.join("analytics.toml"),
            jobs::analytics(&around).as_bytes(),
        )?;
        write(
            &dir.join("background.toml"),
            jobs::background(&around).as_bytes(),
        )?;
        write(&dir.join("cluster.toml"), SETTINGS.as_bytes())?;
        let processes = Processes::new(binary.clone(), &dir, mark.clone());
        let display = Display::new(AGENTS.len());
        Ok(Self {
            dir,
            binary,
            mark,
            processes,
            display,
            lines,
            started: Instant::now(),
        })
    }

    /// From the first process to the result.
    async fn play(&mut self) -> anyhow::Result<Findings> {
        let jobs = chart::grouped(self.lines.len() as u64);
        let shards = jobs::SHARDS;
        self.display.say(&format!(
            "NASA Ames iPSC/860, 1993: {jobs} jobs, in {shards} shards"
        ))?;
        self.display
            .say(&format!("work directory {}", self.dir.display()))?;
        let master = self.start_master().await?;
        let pid = parse_master(&master).map_err(|error| anyhow!(error))?;
        let address = MasterAddress::plain(pid);
        let client = Client::of(&address).await?;
        let client = client.patient_for(ANSWER_WITHIN);
        self.start_agents(&client, &master).await?;
        self.start_frameworks(&master)?;
        let findings = self.findings(client, master).await;
        self.display.clear();
        findings
    }

    async fn start_master(&mut self) -> anyhow::Result<String> {
        let dir = self.dir.join("master");
        let weights = ROLES.map(|(role, weight)| format!("{role}={weight}"));
        let mut arguments = words(&["master", "--port", "0", "--config"]);
        arguments.extend([
            self.dir.join("cluster.toml").into(),
            "--work-dir".into(),
            (&dir).into(),
        ]);
        arguments.extend(
            weights
                .iter()
                .flat_map(|weight| words(&["--role-weight", weight])),
        );
        let pid = self.processes.start("master", Kind::Node, arguments)?;
        let mut look = interval(LOOK_EVERY / 5);
        let address = timeout(START_WITHIN, async {
            loop {
                look.tick().await;
                self.look_after()?;
                if let Ok(address) = fs::read_to_string(dir.join(nodes::ADDRESS)) {
                    return anyhow::Ok(address.trim().to_owned());
                }
            }
        });
        let address = address.await.context("the master did not come up")??;
        self.processes.set_master(address.clone())?;
        self.display
            .say(&format!("started master      pid {pid:<7} {address}"))?;
        Ok(address)
    }

    async fn start_agents(&mut self, client: &Client, master: &str) -> anyhow::Result<()> {
        for (name, resources) in AGENTS {
            let mut arguments = words(&["agent", "--port", "0", "--master", master]);
            arguments.extend(words(&["--hostname", name, "--resources", resources]));
            // Its tasks read each other's files in the demonstration's own directory.
            arguments.extend(words(&["--isolation", "none"]));
            arguments.extend(["--config".into(), self.dir.join("cluster.toml").into()]);
            arguments.extend(["--work-dir".into(), self.dir.join(name).into()]);
            let pid = self.processes.start(name, Kind::Node, arguments)?;
            self.display
                .say(&format!("started {name:11} pid {pid:<7} {resources}"))?;
        }
        let mut look = interval(LOOK_EVERY / 5);
        let up = timeout(START_WITHIN, async {
            loop {
                look.tick().await;
                self.look_after()?;
                if View::ask(client)
                    .await
                    .is_ok_and(|view| view.connected() == AGENTS.len())
                {
                    return anyhow::Ok(());
                }
            }
        });
        up.await.context("the agents did not register")?
    }

    fn start_frameworks(&mut self, master: &str) -> anyhow::Result<()> {
        for (name, weight) in ROLES {
            let mut arguments =
                words(&["run", "--json", "--master", master, "--role", name, "--job"]);
            arguments.push(self.dir.join(format!("{name}.toml")).into());
            arguments.extend(["--state-dir".into(), self.dir.join(name).into()]);
            let pid = self.processes.start(name, Kind::Framework, arguments)?;
            self.display.say(&format!(
                "started {name:11} pid {pid:<7} role {name}, weight {weight}"
            ))?;
        }
        Ok(())
    }

    /// Keeps the processes running and tells what was started again.
    fn look_after(&mut self) -> anyhow::Result<()> {
        for restarted in self.processes.look_after()? {
            let processes::Restarted {
                name,
                old_pid,
                how,
                pid,
            } = restarted;
            let line = format!("restarted {name} (pid {old_pid}, {how}) as pid {pid}");
            self.display.say(&line)?;
        }
        Ok(())
    }

    /// Watches until the job is done, and gathers what is to be told.
    async fn findings(&mut self, client: Client, master: String) -> anyhow::Result<Findings> {
        let started = Instant::now();
        let watched = timeout(DONE_WITHIN, self.watch(&client)).await;
        let late = |_| anyhow!("the job was not done within {DONE_WITHIN:?}");
        let (history, mut record) = watched.map_err(late)??;
        let took = started.elapsed();
        let killed = self
            .processes
            .stop(&[BACKGROUND], Signal::SIGTERM, END_WITHIN)
            .await?;
        if let [name, ..] = &killed[..] {
            bail!("{name} did not end when asked to");
        }
        self.catch_up(&mut record)?;
        let outcome = record
            .outcome(ANALYTICS)
            .context("analytics did not tell its outcome")?;
        let findings = Findings {
            view: View::ask(&client).await?,
            computed: report::fetch(&client, outcome).await?,
            direct: Answer::direct(&self.lines)?,
            problems: record.problems(outcome),
            record,
            dir: self.dir.clone(),
            history,
            took,
            master,
        };
        client.close().await;
        Ok(findings)
    }

    /// Takes in what the frameworks have written.
    fn catch_up(&self, record: &mut Record) -> anyhow::Result<()> {
        ROLES
            .iter()
            .try_for_each(|(name, _)| record.catch_up(&self.processes.output(name)))
    }

    async fn watch(&mut self, client: &Client) -> anyhow::Result<(History, Record)> {
        let (mut history, mut record) = (History::new(), Record::default());
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.processes.is_over(ANALYTICS) {
            look.tick().await;
            self.look_after()?;
            self.catch_up(&mut record)?;
            // A master that is being started again answers next time.
            let Ok(view) = View::ask(client).await else {
                continue;
            };
            if view::is_contended(&record) {
                for (role, _) in ROLES {
                    history.entry(role).or_default().push(view.share(role));
                }
            }
            self.display
                .update(self.started.elapsed(), &view, &record, &history);
        }
        Ok((history, record))
    }

    /// Ends all processes, in order; a further signal ends them at once.
    async fn end(&mut self, signals: &mut Signals, leftovers: Leftovers) -> anyhow::Result<()> {
        let ended = tokio::select! {
            ended = self.end_in_order() => ended,
            _ = signals.next() => Ok(Vec::new()),
        };
        let left = match leftovers {
            Leftovers::AreFailure => processes::await_none(&self.mark, END_WITHIN).await,
            Leftovers::AreKilled => Vec::new(),
        };
        processes::kill_all(&self.mark)?;
        let killed = ended?;
        if leftovers == Leftovers::AreFailure && !(left.is_empty() && killed.is_empty()) {
            bail!("processes did not end by themselves: {killed:?} {left:?}");
        }
        Ok(())
    }

    async fn end_in_order(&mut self) -> anyhow::Result<Vec<String>> {
        let mut killed = Vec::new();
        let frameworks = self.processes.names(Kind::Framework);
        let (master, agents): (Vec<_>, Vec<_>) = self
            .processes
            .names(Kind::Node)
            .into_iter()
            .partition(|name| name == "master");
        // An agent that is interrupted ends its tasks, too.
        let order = [
            (frameworks, Signal::SIGTERM),
            (agents, Signal::SIGINT),
            (master, Signal::SIGTERM),
        ];
        for (names, signal) in order {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            killed.extend(self.processes.stop(&names, signal, END_WITHIN).await?);
        }
        Ok(killed)
    }

    /// Leaves the cluster up, and tells how to use and end it.
    fn leave(&mut self, findings: &Findings) -> anyhow::Result<ExitCode> {
        report::tell(findings)?;
        let (binary, dir, master) = (self.binary.display(), self.dir.display(), &findings.master);
        output::print(&format!(
            "\nThe cluster is up. To use it:\n  export TEPUI_MASTER={master}\n  {binary} agents\n  \
             {binary} run --cpus 0.5 -- echo hello\nTo end it:\n  {binary} demo --stop {dir}\n"
        ))?;
        self.verdict(findings)
    }

    fn verdict(&self, findings: &Findings) -> anyhow::Result<ExitCode> {
        match findings.failure() {
            Some(failure) => bail!("{failure}"),
            None => Ok(ExitCode::SUCCESS),
        }
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

fn write(file: &Path, contents: &[u8]) -> anyhow::Result<()> {
    fs::write(file, contents).with_context(|| format!("cannot write {}", file.display()))
}

/// Makes a directory that was not there, with those below it.
fn make_work_dir(dir: Option<&Path>, mark: &str) -> anyhow::Result<PathBuf> {
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None => std::env::temp_dir().join(format!("tepui-demo-{mark}")),
    };
    let made = fs::create_dir(&dir).with_context(|| format!("work directory {}", dir.display()));
    made?;
    let dir = dir.canonicalize()?;
    for below in ["logs", "shards"] {
        fs::create_dir(dir.join(below))?;
    }
    Ok(dir)
}
