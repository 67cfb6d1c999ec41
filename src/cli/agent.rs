//! `tepui agent`: the node that offers a machine's resources and runs tasks.

pub(crate) mod gpus;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use tepui_agent::{
    AgentActor, AgentConfig, StopAgent, SystemLauncher,
    monitor::{CONTAINERS, Containers, MONITOR, Monitor},
};
use tepui_fetch::{FetchConfig, Fetcher, Images};
use tepui_isolation::{Containerizer, IsolationConfig, discovery::discover};
use tepui_protocol::Resources;
use tepui_runtime::{AnyPid, Node, NodeAddr, Pid};
use tokio::time::timeout;

use crate::{
    cli::{
        agent::gpus::GpuDevices,
        arguments::{ConfigFile, parse_attributes, parse_master},
        bad_input,
        isolation::{self, Isolation},
        nodes::{self, LOOPBACK, Listen, Signals, Stop},
        security::Security,
    },
    config::{AgentSection, Config},
    output,
};

const EXAMPLES: &str = "\
Examples:
  tepui agent --master 10.0.0.1:5050 --host 10.0.0.2 \\
      --tls-ca ca.pem --tls-cert agent-1.pem --tls-key agent-1.key
  tepui agent --resources 'cpus:4;mem:4096;ports:[31000-31999]' --attributes 'rack:r1'
  tepui agent --port 0 --work-dir /tmp/a     any free port; the same one at the next start

Resources that are not given are probed; mem and disk are in MiB. GPUs: see docs/gpus.md. Flags come before
environment variables, and those before [agent] of --config.
SIGTERM stops the agent alone: its tasks run on, and an agent started again with the same
work directory takes them over (to upgrade it). SIGINT, and SIGTERM with
--kill-tasks-on-stop, end the tasks too, and the agent leaves the cluster.";

/// The port where none is given, Mesos's.
const PORT: u16 = 5051;
/// How long an agent may take to end its tasks.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Run an agent: offers this machine and runs tasks on it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The master's address [default: 127.0.0.1:5050]
    #[arg(long, env = "TEPUI_MASTER", value_name = "HOST:PORT", value_parser = parse_master)]
    master: Option<AnyPid>,
    /// The port to listen on; 0 takes a free one and keeps it in the work directory [default: 5051]
    #[arg(long, env = "TEPUI_PORT")]
    port: Option<u16>,
    /// The address of this machine to listen on [default: 127.0.0.1]
    #[arg(long, env = "TEPUI_HOST")]
    host: Option<String>,
    /// What others are to dial, where that is another address than the one to listen on: HOST or HOST:PORT
    #[arg(long, env = "TEPUI_ADVERTISE", value_name = "HOST[:PORT]", value_parser = nodes::parse_advertise)]
    advertise: Option<NodeAddr>,
    /// Where sandboxes and records are kept [default: ~/.local/state/tepui/agent]
    #[arg(long, env = "TEPUI_WORK_DIR", value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// What to offer, in place of what is probed: cpus:4;mem:4096;disk:9000;ports:[31000-32000]
    #[arg(long, env = "TEPUI_RESOURCES", value_name = "TEXT")]
    resources: Option<Resources>,
    /// Labels of the machine, copied into offers
    #[arg(long, env = "TEPUI_ATTRIBUTES", value_name = "KEY:VALUE;..")]
    attributes: Option<String>,
    /// The machine's name, for people [default: the system's]
    #[arg(long, env = "TEPUI_HOSTNAME", value_name = "NAME")]
    hostname: Option<String>,
    /// SIGTERM ends the tasks, too
    #[arg(long)]
    kill_tasks_on_stop: bool,
    #[command(flatten)]
    gpus: GpuDevices,
    #[command(flatten)]
    isolation: Isolation,
    #[command(flatten)]
    security: Security,
    /// Listen where anybody can connect, without TLS
    #[arg(long, env = "TEPUI_INSECURE", help_heading = "Encryption")]
    insecure: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let section = Config::read(arguments.config.path.as_deref())?.agent;
    let work_dir = arguments
        .work_dir
        .clone()
        .or_else(|| section.work_dir.clone());
    let work_dir = nodes::prepare(&work_dir.unwrap_or_else(|| nodes::default_work_dir("agent")))?;
    let host = arguments.host.clone().or_else(|| section.host.clone());
    let listen = Listen {
        host: host.unwrap_or_else(|| LOOPBACK.to_owned()),
        advertise: arguments
            .advertise
            .clone()
            .or_else(|| section.advertise.clone()),
        port: arguments.port.or(section.port).unwrap_or(PORT),
        work_dir: work_dir.clone(),
        tls: arguments.security.clone().or(section.security()).tls()?,
        insecure: arguments.insecure || section.insecure,
    };
    let master = arguments
        .master
        .clone()
        .or_else(|| section.master.clone().map(|m| m.0));
    let master = match master {
        Some(master) => master,
        None => parse_master("127.0.0.1:5050").map_err(anyhow::Error::msg)?,
    };
    let mut isolation = isolation_of(&arguments.isolation, section.isolation.clone(), &work_dir);
    let gpus = arguments.gpus.or(section.gpu_devices.clone());
    let gpus = gpus.find(&isolation.cdi_dirs)?;
    let fetch = section.fetch.clone();
    let mut config = settings(&arguments, section, &work_dir)?;
    gpus.tell();
    let reason = gpus.reason().to_owned();
    let not_offered = gpus.offer(&mut config, &mut isolation);
    let (containerizer, off) = isolation::containerizer(isolation)?;
    let mut signals = Signals::catch()?;
    // Opened first: the lock keeps a second process from the address.
    let store = nodes::open_store(&work_dir)?;
    let (node, door) = nodes::start_with_door(&listen).await?;
    let config = AgentConfig { door, ..config };
    let agent = spawn(&node, config, (containerizer, fetch), store, master);
    let agent = agent.map_err(|error| gpus::explained(error, &reason))?;
    isolation::tell(off);
    isolation::tell(not_offered);
    output::print(&format!("agent listening on {}", node.addr()))?;
    let stopped = nodes::until_stopped(&node, agent.as_any(), &mut signals).await;
    let stop = stopped.as_ref().ok().copied();
    stop_agent(
        &node,
        &agent,
        arguments.kill_tasks_on_stop || stop == Some(Stop::Interrupted),
    )
    .await;
    node.shutdown().await;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

fn settings(
    arguments: &Arguments,
    section: AgentSection,
    work_dir: &Path,
) -> anyhow::Result<AgentConfig> {
    let text = match &arguments.resources {
        Some(resources) => resources.to_string(),
        None => section.resources(),
    };
    let mut attributes = section.attributes;
    let given = arguments
        .attributes
        .as_deref()
        .map(parse_attributes)
        .transpose();
    let given = given.map_err(|problem| bad_input(anyhow::anyhow!("--attributes: {problem}")))?;
    attributes.extend(given.unwrap_or_default());
    let hostname = arguments.hostname.clone().or(section.hostname);
    let config = AgentConfig {
        work_dir: work_dir.to_owned(),
        hostname: hostname.map_or_else(machine_name, Ok)?,
        attributes,
        ..section.options
    };
    Ok(config.with_resources(discover(work_dir, &text).map_err(bad_input)?))
}

fn machine_name() -> anyhow::Result<String> {
    let name = nix::unistd::gethostname().context("cannot tell the machine's name")?;
    Ok(name.to_string_lossy().into_owned())
}

/// The isolation of an agent with that work directory.
pub(crate) fn isolation_of(
    flags: &Isolation,
    file: IsolationConfig,
    work_dir: &Path,
) -> IsolationConfig {
    IsolationConfig {
        work_dir: work_dir.to_owned(),
        ..flags.over(file)
    }
}

/// Starts an agent on `node`.
///
/// # Errors
/// When its records cannot be read, or are those of another machine or settings; or its cache of
/// fetched files cannot be used.
pub(crate) fn spawn(
    node: &Node,
    config: AgentConfig,
    (containerizer, fetch): (Containerizer, FetchConfig),
    store: tepui_store::RedbStore,
    master: AnyPid,
) -> anyhow::Result<Pid<AgentActor>> {
    let launcher = SystemLauncher::current_exe().context("cannot tell where this program is")?;
    let images = Images::open(&config.work_dir, fetch.clone())?;
    let fetcher = Fetcher::open(&config.work_dir, fetch)?;
    let launcher = launcher.contained(containerizer).fetching(fetcher, images);
    let (store, launcher) = (Box::new(store), Box::new(launcher));
    let agent = AgentActor::new(config, store, launcher, master, node.rng())?;
    let agent = node.spawn("agent", agent)?;
    node.spawn(CONTAINERS, Containers(agent.clone()))?;
    node.spawn(MONITOR, Monitor(agent.clone()))?;
    Ok(agent)
}

/// Stops an agent in good order, with its tasks or without.
pub(crate) async fn stop_agent(node: &Node, agent: &Pid<AgentActor>, kill_tasks: bool) {
    // An agent that has ended needs no telling, and a hanging one is not waited for forever.
    if agent.tell(StopAgent { kill_tasks }).is_ok() {
        let _ = timeout(STOP_WITHIN, node.monitor(agent.as_any())).await;
    }
}
