//! `tepui local`: a whole cluster in one process. The actors are those of `tepui master` and
//! `tepui agent`, each on a node of its own; executors are processes as ever.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use tepui_agent::{AgentActor, AgentConfig};
use tepui_fetch::FetchConfig;
use tepui_isolation::{Containerizer, Discovered, IsolationConfig, discovery::discover};
use tepui_master::MasterConfig;
use tepui_protocol::{Resource, Resources, Role, Scalar};
use tepui_runtime::{AnyPid, Node, Pid};

use crate::{
    cli::{
        agent::{
            self,
            gpus::{Found, GpuDevices},
        },
        arguments::parse_weight,
        bad_input,
        isolation::{self, Isolation},
        master,
        nodes::{self, Listen, Signals},
    },
    output,
};

const EXAMPLES: &str = "\
Examples:
  tepui local                                  one agent with all of this machine
  tepui local --agents 3 --resources 'cpus:2;mem:1024'
  tepui local --port 0 --work-dir /tmp/cluster any free port; state is kept

Without --resources the agents divide what the machine has, with one cpu at least. Ctrl-C ends all, tasks too.";

/// The first port of tasks, and how many there are for all agents.
const PORTS: (u32, u32) = (31_000, 1_000);

/// Run a master and agents in this process, to try things out
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// How many agents
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    agents: u16,
    /// What each agent offers
    #[arg(long, env = "TEPUI_RESOURCES", value_name = "TEXT")]
    resources: Option<Resources>,
    /// The port of the master; 0 takes a free one
    #[arg(long, env = "TEPUI_PORT", default_value_t = 5050)]
    port: u16,
    /// The weight of a role, a number > 0; may be repeated
    #[arg(long = "role-weight", value_name = "ROLE=WEIGHT", value_parser = parse_weight)]
    role_weights: Vec<(Role, f64)>,
    /// Keep state and sandboxes here [default: a directory that is removed at the end]
    #[arg(long, env = "TEPUI_WORK_DIR", value_name = "DIR")]
    work_dir: Option<PathBuf>,
    #[command(flatten)]
    gpus: GpuDevices,
    #[command(flatten)]
    isolation: Isolation,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let temporary = std::env::temp_dir().join(format!("tepui-local-{}", std::process::id()));
    let work_dir = nodes::prepare(arguments.work_dir.as_ref().unwrap_or(&temporary))?;
    let mut cluster = Cluster::default();
    let outcome = cluster.run(&arguments, &work_dir).await;
    cluster.stop().await;
    if arguments.work_dir.is_none() {
        std::fs::remove_dir_all(&work_dir)
            .with_context(|| format!("cannot remove {}", work_dir.display()))?;
    }
    outcome?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Default)]
struct Cluster {
    master: Option<(Node, AnyPid)>,
    agents: Vec<(Node, Pid<AgentActor>)>,
}

impl Cluster {
    async fn run(&mut self, arguments: &Arguments, work_dir: &Path) -> anyhow::Result<()> {
        let mut signals = Signals::catch()?;
        let master = self
            .start_master(arguments, &work_dir.join("master"))
            .await?;
        let gpus = arguments.gpus.find(&IsolationConfig::default().cdi_dirs)?;
        gpus.tell();
        for n in 0..arguments.agents {
            let dir = nodes::prepare(&work_dir.join(format!("agent-{}", n + 1)))?;
            let config = AgentConfig {
                work_dir: dir.clone(),
                hostname: format!("agent-{}", n + 1),
                registration_backoff: std::time::Duration::from_millis(50),
                ..AgentConfig::default()
            };
            let mut config = config.with_resources(resources(&dir, arguments, n)?);
            let file = IsolationConfig::default();
            let mut isolation = agent::isolation_of(&arguments.isolation, file, &dir);
            isolation.network_subnet = isolation.network_subnet.after(n.into());
            let part = gpus_of(&gpus, arguments, n);
            let not_offered = part.offer(&mut config, &mut isolation);
            let (containerizer, off) = isolation::containerizer(isolation)?;
            isolation::tell(off.filter(|_| n == 0));
            isolation::tell(not_offered.filter(|_| n == 0));
            self.start_agent(config, containerizer, master.clone())
                .await?;
        }
        output::print(&format!("master listening on {}", master.node()))?;
        let count = arguments.agents;
        output::note(&format!(
            "{count} agents; try `tepui agents`; Ctrl-C ends the cluster"
        ));
        if let Some((node, master)) = &self.master {
            nodes::until_stopped(node, master, &mut signals).await?;
        }
        Ok(())
    }

    async fn start_master(&mut self, arguments: &Arguments, dir: &Path) -> anyhow::Result<AnyPid> {
        let dir = nodes::prepare(dir)?;
        let store = nodes::open_store(&dir)?;
        let node = nodes::start(&Listen::locally(arguments.port, &dir)).await?;
        let weights = arguments.role_weights.iter().cloned().collect();
        let config = MasterConfig {
            weights,
            ..MasterConfig::default()
        };
        let master = master::spawn(&node, config, Box::new(store))?;
        self.master = Some((node, master.clone()));
        Ok(AnyPid::new(master.name(), master.node().clone())?)
    }

    async fn start_agent(
        &mut self,
        config: AgentConfig,
        containerizer: Containerizer,
        master: AnyPid,
    ) -> anyhow::Result<()> {
        let store = nodes::open_store(&config.work_dir)?;
        let node = nodes::start(&Listen::locally(0, &config.work_dir)).await?;
        let fetch = FetchConfig::default();
        let agent = agent::spawn(&node, config, (containerizer, fetch), store, master)?;
        self.agents.push((node, agent));
        Ok(())
    }

    /// Ends tasks, agents and master.
    async fn stop(self) {
        for (node, agent) in &self.agents {
            agent::stop_agent(node, agent, true).await;
            node.shutdown().await;
        }
        if let Some((node, master)) = self.master {
            nodes::end(&node, &master).await;
        }
    }
}

/// What agent `n` offers: what was asked for, or its part of the machine.
fn resources(dir: &Path, arguments: &Arguments, n: u16) -> anyhow::Result<Discovered> {
    if let Some(given) = &arguments.resources {
        return discover(dir, &given.to_string()).map_err(bad_input);
    }
    let machine = discover(dir, "").map_err(bad_input)?.total;
    let part = part(&machine, u32::from(arguments.agents), u32::from(n));
    Ok(Discovered {
        total: part,
        ..Discovered::default()
    })
}

/// The GPUs of agent `n`: as many as are asked for, or its part of all.
fn gpus_of(found: &Found, arguments: &Arguments, n: u16) -> Found {
    let asked = arguments.resources.as_ref().map(Resources::gpus);
    let asked = asked.filter(|asked| !asked.is_zero());
    let size = match asked {
        Some(asked) => usize::try_from((asked.milli() + 999) / 1000).unwrap_or_default(),
        None => found.count() / usize::from(arguments.agents),
    };
    found.part(usize::from(n), size)
}

/// The `n`-th of `count` equal parts of a machine, in whole numbers; at least one processor, so that
/// ordinary tasks fit.
fn part(machine: &Resources, count: u32, n: u32) -> Resources {
    let amounts = machine.quantities();
    let scalars = amounts.iter().map(|(name, amount)| {
        let whole = amount.milli() / 1000 / i64::from(count);
        let least = i64::from(name == "cpus");
        Resource::scalar(name, Scalar::from_milli(whole.max(least) * 1000))
    });
    let (first, ports) = (PORTS.0 + n * (PORTS.1 / count), PORTS.1 / count);
    let ports = format!("ports:[{first}-{}]", first + ports.max(1) - 1);
    let ports: Resources = ports.parse().expect("a range of ports is a resource");
    scalars.chain(ports.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_divide_the_machine() {
        let machine: Resources = "cpus:7;mem:1001;ports:[1-9]".parse().unwrap();
        let first: Resources = "cpus:2;mem:333;ports:[31000-31332]".parse().unwrap();
        assert_eq!(part(&machine, 3, 0), first);
        let last = part(&machine, 3, 2);
        assert!(last.to_string().contains("ports:[31666-31998]"), "{last}");
        assert_eq!(
            part(&"cpus:2".parse().unwrap(), 3, 0).cpus(),
            Scalar::from_whole(1)
        );
    }
}
