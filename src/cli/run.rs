//! `tepui run`: one command or a job file as a framework, until it is done.
//!
//! ```text
//!  check the job, ask for the master --> framework --all finished--> exit 0
//!                                            |------a task failed--> kill the others, exit 1
//!                                            +--SIGINT, SIGTERM----> kill all, exit 130 or 143
//! ```
//! With `--state-dir` a process that was killed goes on where it was when it is started again.
//! `run/watch.rs` has the news that are printed on the way.

mod files;
mod interactive;
mod lifecycle;
mod network;
mod watch;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{anyhow, bail};
use clap::Args;
use tepui_batch::{BatchScheduler, Job, JobOutcome, JobResult, PodScheduler, Policy};
use tepui_framework::{End, Handle, Options, run_with, start_node};
use tepui_protocol::{
    Capability, Constraints, FrameworkInfo, Gang, GroupPolicy, Resource, Resources, Role, Scalar,
    messages::operator,
};
use tepui_runtime::{AnyPid, Node};
use tepui_store::{MemoryStore, RedbStore, StateStore};
use tokio::time::{Instant, interval_at};

use crate::{
    cli::{
        BadInput,
        arguments::MasterAddress,
        bad_input,
        nodes::{Signals, Stop, prepare},
    },
    client::Client,
    output,
};
use files::FileFlags;
use interactive::InteractiveFlags;
use lifecycle::LifecycleFlags;
use network::NetworkFlags;
use watch::{Receiver, Watched};

pub(crate) use watch::News;

const EXAMPLES: &str = "\
Examples:
  tepui run -- echo hello
  tepui run --cpus 0.5 --mem 64 --instances 10 -- 'sleep 1; echo $TEPUI_INDEX'
  tepui run --role analytics --job wordcount.toml
  tepui run --pod web.toml            its groups together on one agent, all or none: docs/pods.md
  tepui run --constraint rack=r1,ssd --constraint hostname=node7 -- ./train
  tepui run --uri http://10.0.0.1/tool.tar.gz,extract,cache -- ./tool/run
  tepui run --image oci:/srv/images/busybox:1 -- ls /
  tepui run --health-http 8080/health --restarts 5 -- ./server --port 8080
  tepui run --publish 31080:8080 -- ./server --port 8080    with a network of its own
  tepui run -it -- bash               with this terminal, in a task of its own
  tepui run --state-dir /var/lib/count --job wordcount.toml    goes on when started again

One argument is a line for /bin/sh; several are a program and its arguments. In an image, a program
goes to the image's entry point, and without any command the image runs its own.
A job file has groups of commands, which may wait for each other:
  name = \"wordcount\"
  [[group]]
  name = \"map\"
  command = \"wc -w < /data/shard-{index}\"
  count = 24          # instances
  cpus = 0.5          # default 1
  mem = 64            # MiB, default 128
  gpus = 0.5          # default 0
  health = { tcp = 8080 }   # see docs/health.md
  uris = [\"http://10.0.0.1/words.tar.gz,extract\"]   # see docs/fetcher.md
  [[group]]
  name = \"reduce\"
  after = [\"map\"]
  command = \"for task in $TEPUI_TASKS_MAP; do tepui logs $task stdout; done | sort\"

Exit codes: 0 all tasks finished; 1 a task failed; 2 the input is bad; 130 and 143 ended by
SIGINT and SIGTERM, with all tasks. With -i or -t: as `tepui exec`.";

/// When, and how often, it is told that nothing happens.
const HINT_AFTER: Duration = Duration::from_secs(5);
const HINT_EVERY: Duration = Duration::from_secs(60);
const WAITING: &str =
    "waiting for an offer that is large enough; see `tepui agents` and `tepui roles`";

/// Run a command or a job on the cluster, and wait for it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The command: a line for the shell, or a program and its arguments
    #[arg(last = true, required_unless_present_any = ["job", "pod", "image"], value_name = "COMMAND")]
    command: Vec<String>,
    /// Run the groups of this TOML file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["command", "cpus", "mem", "gpus", "instances"])]
    job: Option<PathBuf>,
    /// Run the groups of this TOML file together on one agent, all or none
    #[arg(long, value_name = "FILE", conflicts_with_all = ["job", "command", "cpus", "mem", "gpus", "instances", "retries", "state_dir"])]
    pod: Option<PathBuf>,
    /// When one task of the pod fails, or is killed, the others go on
    #[arg(long, requires = "pod")]
    keep_others: bool,
    /// Processors for each instance [default: 1]
    #[arg(long, value_parser = parse_amount)]
    cpus: Option<Scalar>,
    /// Memory for each instance, in MiB [default: 128]
    #[arg(long, value_name = "MIB", value_parser = parse_amount)]
    mem: Option<Scalar>,
    /// GPUs for each instance: whole ones, or a part of one, as 0.5 [default: none]
    #[arg(long, value_parser = parse_amount)]
    gpus: Option<Scalar>,
    /// Begin only when there is room for all instances at once
    #[arg(long, conflicts_with_all = ["job", "pod"])]
    gang: bool,
    /// How often the command is to run, side by side
    #[arg(long, default_value_t = 1, value_name = "N")]
    instances: u32,
    /// How often each instance may fail and be run again
    #[arg(long, default_value_t = 0, value_name = "N", conflicts_with = "job")]
    retries: u32,
    /// The name of job and framework [default: that of the command or the file]
    #[arg(long)]
    name: Option<String>,
    /// The role on whose account it runs
    #[arg(long, default_value = "*")]
    role: Role,
    /// How important it is beside others in equally important roles, when tasks have to end for another role; larger is more
    #[arg(
        long,
        default_value_t = 0,
        allow_negative_numbers = true,
        value_name = "N"
    )]
    priority: i16,
    /// Only agents that meet all of `rack=r1`, `rack!=r1`, `rack`, `!rack` (with commas between them); hostname is an attribute, too.
    /// Repeated: that meet any of these
    #[arg(long = "constraint", value_name = "CONDITIONS")]
    constraints: Vec<String>,
    /// Agents of other regions than the master's, too
    #[arg(long)]
    any_region: bool,
    /// Whom the tasks run as on their agents [default: what the agents say]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Keep state here, so that a killed `tepui run` can be started again and goes on
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    lifecycle: LifecycleFlags,
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    interactive: InteractiveFlags,
    /// Print nothing but errors
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Print what happens as JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    master: MasterAddress,
}

pub(crate) async fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let beside = match arguments.interactive.are_set() {
        true => {
            let Arguments {
                command,
                name,
                interactive,
                ..
            } = &mut arguments;
            Some(interactive.take(command, name)?)
        }
        false => None,
    };
    let job = arguments.job()?;
    let pod = arguments.pod.as_ref().map(|_| match arguments.keep_others {
        true => GroupPolicy::KeepOthers,
        false => GroupPolicy::EndAll,
    });
    let constraints = Constraints::parse(arguments.constraints.iter().map(String::as_str));
    let constraints = constraints.map_err(|problem| bad_input(anyhow!("--{problem}")))?;
    let (store, is_resumed) = arguments.store()?;
    let master = arguments.master.pid.clone();
    let mut signals = Signals::catch()?;
    if !is_resumed {
        // A framework waits for its master as long as it takes; a typing error should not.
        let client = Client::of(&arguments.master).await?;
        let answer = client.ask(operator::GetMaster {}).await;
        client.close().await;
        answer?;
    }
    let form = match (arguments.quiet, arguments.json) {
        (true, _) => Form::Nothing,
        (_, true) => Form::Json,
        _ => Form::Lines,
    };
    let node = start_node(master.node(), arguments.master.security.tls()?).await?;
    let gang = job
        .groups
        .first()
        .filter(|_| arguments.gang)
        .map(|group| Gang {
            tasks: group.count,
            each: group.resources.quantities(),
            agents: 0,
        });
    let account = Account {
        role: arguments.role,
        user: arguments.user.unwrap_or_default(),
        constraints,
        any_region: arguments.any_region,
        priority: arguments.priority,
        gang,
    };
    let started = match pod {
        Some(policy) => start_pod(&node, &master, job, account, policy),
        None => start(&node, &master, job, account, store),
    };
    let ended = match (started, beside) {
        (Ok(running), None) => running.wait(&mut signals, form).await,
        (Ok(running), Some(beside)) => {
            let client = Client::of(&arguments.master).await?;
            let ended = running.with_command(&client, beside, &mut signals).await;
            client.close().await;
            ended
        }
        (Err(error), _) => Err(error),
    };
    node.shutdown().await;
    ended
}

impl Arguments {
    fn job(&self) -> anyhow::Result<Job> {
        let mut job = match self.job.as_ref().or(self.pod.as_ref()) {
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| BadInput(format!("{name}: cannot be read: {error}")))?;
                Job::parse(&name, &text).map_err(bad_input)?
            }
            None => self.single()?,
        };
        if let Some(name) = &self.name {
            job.name.clone_from(name);
        }
        job.check().map_err(bad_input)?;
        Ok(job)
    }

    fn single(&self) -> anyhow::Result<Job> {
        let resources = Resources::from_iter([
            Resource::scalar("cpus", self.cpus.unwrap_or(Scalar::from_whole(1))),
            Resource::scalar("mem", self.mem.unwrap_or(Scalar::from_whole(128))),
            Resource::scalar("gpus", self.gpus.unwrap_or(Scalar::ZERO)),
        ]);
        let name = job_name(self.command.first().map_or("", String::as_str));
        // An image may know what to run.
        let line = match self.command.is_empty() {
            true => "true".to_owned(),
            false => shell_line(&self.command),
        };
        let mut job = Job::single(&name, &line, resources, self.instances).map_err(bad_input)?;
        job.groups[0].retries = self.retries;
        job.groups[0].lifecycle = self.lifecycle.lifecycle();
        self.files.apply(&mut job.groups[0], &self.command);
        let network = self.network.apply(&mut job.groups[0]);
        network.map_err(|problem| bad_input(anyhow!("--network: {problem}")))?;
        Ok(job)
    }

    /// The store, and whether an earlier life of the job is in it.
    fn store(&self) -> anyhow::Result<(Box<dyn StateStore>, bool)> {
        let Some(dir) = &self.state_dir else {
            return Ok((Box::new(MemoryStore::new()), false));
        };
        let store = RedbStore::open(prepare(dir)?.join("framework.redb"))?;
        let is_resumed = !store.load()?.is_empty();
        Ok((Box::new(store), is_resumed))
    }
}

/// A positive amount of a resource.
fn parse_amount(text: &str) -> Result<Scalar, String> {
    match Scalar::parse(text) {
        Ok(amount) if !amount.is_zero() => Ok(amount),
        _ => Err("must be a number > 0, as 0.5".to_owned()),
    }
}

/// The name of a job after its command's program: `/usr/bin/sort -u` gives `sort`.
fn job_name(command: &str) -> String {
    let program = command.split_whitespace().next().unwrap_or_default();
    let file = program.rsplit('/').next().unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = file.chars().take_while(plain).take(32).collect();
    if name.is_empty() {
        "run".to_owned()
    } else {
        name
    }
}

/// What the shell makes of the words as they are; one word is a line already.
fn shell_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// On whose account a job runs, and where.
struct Account {
    role: Role,
    user: String,
    constraints: Constraints,
    any_region: bool,
    gang: Option<Gang>,
    priority: i16,
}

struct Running {
    handle: Handle,
    news: Receiver,
}

fn start(
    node: &Node,
    master: &AnyPid,
    job: Job,
    account: Account,
    store: Box<dyn StateStore>,
) -> anyhow::Result<Running> {
    let info = framework(node, &job.name, account);
    let address = master.node().to_string();
    let scheduler = BatchScheduler::new(job, Policy::default(), &address).map_err(bad_input)?;
    watch(node, master, info, scheduler, store)
}

fn start_pod(
    node: &Node,
    master: &AnyPid,
    job: Job,
    account: Account,
    policy: GroupPolicy,
) -> anyhow::Result<Running> {
    let info = framework(node, &job.name, account);
    let address = master.node().to_string();
    let scheduler = PodScheduler::new(job, policy, &address).map_err(bad_input)?;
    watch(node, master, info, scheduler, Box::new(MemoryStore::new()))
}

fn framework(node: &Node, name: &str, account: Account) -> FrameworkInfo {
    let mut info = FrameworkInfo {
        hostname: node.addr().host().to_owned(),
        user: account.user,
        priority: account.priority,
        ..FrameworkInfo::new(name, account.role.clone())
    };
    if account.any_region {
        info.capabilities.insert(Capability::RegionAware);
    }
    if let Some(gang) = account.gang {
        info.gangs.insert(account.role.clone(), gang);
    }
    if !account.constraints.is_empty() {
        info.constraints.insert(account.role, account.constraints);
    }
    // Also for jobs that want none: else they would wait forever where all agents have GPUs.
    info.capabilities.insert(Capability::GpuResources);
    info
}

fn watch(
    node: &Node,
    master: &AnyPid,
    info: FrameworkInfo,
    scheduler: impl watch::Ends,
    store: Box<dyn StateStore>,
) -> anyhow::Result<Running> {
    let (watched, news) = Watched::new(scheduler);
    let options = Options {
        store,
        ..Options::default()
    };
    let handle = run_with(node, master.clone(), info, watched, options)?;
    Ok(Running { handle, news })
}

impl Running {
    async fn wait(mut self, signals: &mut Signals, form: Form) -> anyhow::Result<ExitCode> {
        let mut stop = None;
        let mut hint = interval_at(Instant::now() + HINT_AFTER, HINT_EVERY);
        let mut waiting = form != Form::Nothing;
        let ended = loop {
            tokio::select! {
                biased;
                Some(news) = self.news.next() => {
                    waiting &= !matches!(news, News::Status(_));
                    print(&news, form)?;
                }
                ended = self.handle.wait() => break ended,
                _ = hint.tick(), if waiting => output::note(WAITING),
                signal = signals.next() => match stop.replace(signal) {
                    None => {
                        output::note("ending the job with its tasks; once more: at once");
                        self.handle.stop(End::Teardown);
                    }
                    Some(_) => return Ok(code(signal)),
                },
            }
        };
        while let Some(news) = self.news.waiting() {
            print(&news, form)?;
        }
        match (self.news.outcome(), stop) {
            (Some(outcome), None) => verdict(outcome, form),
            (_, Some(stop)) => Ok(code(stop)),
            (None, None) => match ended {
                Ok(()) => bail!("the job was ended by an operator"),
                Err(error) => Err(error.into()),
            },
        }
    }
}

fn code(stop: Stop) -> ExitCode {
    ExitCode::from(if stop == Stop::Interrupted { 130 } else { 143 })
}

/// How news are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Nothing,
    Lines,
    Json,
}

fn print(news: &News, form: Form) -> anyhow::Result<()> {
    match form {
        Form::Nothing => Ok(()),
        Form::Lines => output::print(&news.to_string()),
        Form::Json => output::print(&serde_json::to_string(news)?),
    }
}

fn verdict(outcome: JobOutcome, form: Form) -> anyhow::Result<ExitCode> {
    let result = outcome.result.clone();
    print(&News::Outcome(Box::new(outcome)), form)?;
    match result {
        JobResult::Succeeded => Ok(ExitCode::SUCCESS),
        JobResult::Failed { task_id, message } => {
            let more = task_id
                .as_ref()
                .map(|id| format!("; see `tepui logs {id} stderr`"));
            Err(anyhow!(
                "{message}{}{}",
                hint(&message),
                more.unwrap_or_default()
            ))
        }
        JobResult::Cancelled => Err(anyhow!("the job was cancelled")),
    }
}

/// What the shell means by its own exit statuses.
fn hint(message: &str) -> &'static str {
    match message.rsplit(' ').next() {
        Some("127") => " (the agent's shell found no such command; check its name and PATH)",
        Some("126") => " (the command is no program, or may not be executed)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn one_word_is_a_line_and_several_are_taken_as_they_are() {
        assert_eq!(shell_line(&words(&["echo a | wc"])), "echo a | wc");
        assert_eq!(
            shell_line(&words(&["echo", "a b", "it's", ""])),
            r"echo 'a b' 'it'\''s' ''"
        );
    }

    #[test]
    fn a_job_is_named_after_its_program() {
        for (command, name) in [
            ("/usr/bin/sort -u", "sort"),
            ("a.out", "a"),
            ("'x'", "run"),
            ("", "run"),
        ] {
            assert_eq!(job_name(command), name);
        }
    }

    #[test]
    fn amounts_are_positive() {
        assert_eq!(parse_amount("0.5").unwrap(), Scalar::from_milli(500));
        for text in ["0", "-1", "x", "nan"] {
            assert!(parse_amount(text).unwrap_err().contains("> 0"));
        }
    }

    #[test]
    fn a_command_that_does_not_exist_is_explained() {
        assert!(hint("a.run.0.0 failed: exited with status 127").contains("no such command"));
        assert_eq!(hint("a.run.0.0 failed: exited with status 1"), "");
    }
}
