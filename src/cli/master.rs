//! `tepui master`: the node where agents and frameworks meet.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use tepui_batch::parse_duration;
use tepui_master::{
    MasterActor, MasterConfig,
    api::{API, Api},
    config::RevokeFor,
};
use tepui_protocol::{MasterId, Role};
use tepui_runtime::{AnyPid, Node, NodeAddr};
use tepui_store::StateStore;

use crate::{
    cli::{
        arguments::{ConfigFile, parse_weight},
        bad_input,
        nodes::{self, LOOPBACK, Listen},
        security::Security,
    },
    config::{Config, MasterSection},
    output,
};

const EXAMPLES: &str = "\
Examples:
  tepui master                                   on 127.0.0.1:5050
  tepui master --host 10.0.0.1 --tls-ca ca.pem --tls-cert master.pem --tls-key master.key
  tepui master --role-weight analytics=2
  tepui master --port 0 --work-dir /tmp/m        any free port; the same one at the next start

Flags come before environment variables, and those before [master] of --config.
SIGTERM and SIGINT stop the master; agents and tasks go on, and a master started again
with the same work directory and address takes them over.";

/// The port where none is given, Mesos's.
const PORT: u16 = 5050;

/// Run a master: offers resources of agents to frameworks
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The port to listen on; 0 takes a free one and keeps it in the work directory [default: 5050]
    #[arg(long, env = "TEPUI_PORT")]
    port: Option<u16>,
    /// The address of this machine to listen on [default: 127.0.0.1]
    #[arg(long, env = "TEPUI_HOST")]
    host: Option<String>,
    /// What others are to dial, where that is another address than the one to listen on: HOST or HOST:PORT
    #[arg(long, env = "TEPUI_ADVERTISE", value_name = "HOST[:PORT]", value_parser = nodes::parse_advertise)]
    advertise: Option<NodeAddr>,
    /// Where the registry is kept [default: ~/.local/state/tepui/master]
    #[arg(long, env = "TEPUI_WORK_DIR", value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// The weight of a role, a number > 0; may be repeated
    #[arg(long = "role-weight", value_name = "ROLE=WEIGHT", value_parser = parse_weight)]
    role_weights: Vec<(Role, f64)>,
    /// Where the cluster is: agents with another one as their attribute `region` are for frameworks that say they take them
    #[arg(long, env = "TEPUI_REGION")]
    region: Option<String>,
    /// Frameworks that decline all that they are offered, again and again, are asked less and less often: at most this far apart
    #[arg(long, env = "TEPUI_DECLINE_BACKOFF", value_name = "TIME", value_parser = parse_duration)]
    decline_backoff: Option<Duration>,
    /// When a role is below its guarantee for so long, tasks of others end for it
    #[arg(long, env = "TEPUI_REVOKE_AFTER", value_name = "TIME", value_parser = parse_duration)]
    revoke_after: Option<Duration>,
    /// How long such tasks have to end by themselves [default: 30s]
    #[arg(long, env = "TEPUI_REVOKE_GRACE", value_name = "TIME", value_parser = parse_duration)]
    revoke_grace: Option<Duration>,
    /// For what: guarantees of quotas alone, or fair shares of top-level roles as well [default: guarantee]
    #[arg(long, env = "TEPUI_REVOKE_FOR", value_name = "WHAT", value_parser = parse_revoke_for)]
    revoke_for: Option<RevokeFor>,
    #[command(flatten)]
    security: Security,
    /// Listen where anybody can connect, without TLS
    #[arg(long, env = "TEPUI_INSECURE", help_heading = "Encryption")]
    insecure: bool,
    #[command(flatten)]
    config: ConfigFile,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let section = Config::read(arguments.config.path.as_deref())?.master;
    let work_dir = arguments.work_dir.or_else(|| section.work_dir.clone());
    let work_dir = nodes::prepare(&work_dir.unwrap_or_else(|| nodes::default_work_dir("master")))?;
    let host = arguments.host.or_else(|| section.host.clone());
    let listen = Listen {
        host: host.unwrap_or_else(|| LOOPBACK.to_owned()),
        advertise: arguments
            .advertise
            .clone()
            .or_else(|| section.advertise.clone()),
        port: arguments.port.or(section.port).unwrap_or(PORT),
        work_dir: work_dir.clone(),
        tls: arguments.security.or(section.security()).tls()?,
        insecure: arguments.insecure || section.insecure,
    };
    let mut signals = nodes::Signals::catch()?;
    let store = nodes::open_store(&work_dir)?;
    let node = nodes::start(&listen).await?;
    let mut config = settings(section, arguments.role_weights);
    config.region = arguments.region.or(config.region);
    config.revoke_after = arguments.revoke_after.or(config.revoke_after);
    config.revoke_grace = arguments.revoke_grace.unwrap_or(config.revoke_grace);
    config.revoke_for = arguments.revoke_for.unwrap_or(config.revoke_for);
    config.decline_backoff = arguments.decline_backoff.or(config.decline_backoff);
    let master = spawn(&node, config, Box::new(store))?;
    output::print(&format!("master listening on {}", node.addr()))?;
    let stopped = nodes::until_stopped(&node, &master, &mut signals).await;
    nodes::end(&node, &master).await;
    stopped?;
    Ok(ExitCode::SUCCESS)
}

fn parse_revoke_for(text: &str) -> Result<RevokeFor, String> {
    match text {
        "guarantee" => Ok(RevokeFor::Guarantee),
        "fair-share" => Ok(RevokeFor::FairShare),
        _ => Err("write guarantee or fair-share".to_owned()),
    }
}

fn settings(section: MasterSection, weights: Vec<(Role, f64)>) -> MasterConfig {
    let mut config = section.options;
    let from_file = section
        .role_weights
        .into_iter()
        .map(|(role, weight)| (role, weight.0));
    config.weights.extend(from_file);
    config.weights.extend(weights);
    config
}

/// Starts a master on `node`, as a new run.
///
/// # Errors
/// When its registry cannot be read, or its settings make no sense.
pub(crate) fn spawn(
    node: &Node,
    config: MasterConfig,
    store: Box<dyn StateStore>,
) -> anyhow::Result<AnyPid> {
    let id = MasterId::new(run_id(node)).expect("hexadecimal digits are an id");
    let master = MasterActor::new(config, store, id).map_err(bad_input)?;
    let master = node.spawn("master", master)?;
    node.spawn(API, Api(master.clone()))?;
    Ok(master.any())
}

/// Twelve random digits, short enough for people: all ids of a run begin with them.
fn run_id(node: &Node) -> String {
    format!("{:012x}", node.random_u64() >> 16)
}
