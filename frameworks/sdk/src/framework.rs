//! Running a framework: [`run`] on a node that is there, or [`main`] for a program that is nothing
//! else.

use std::{fmt::Display, path::PathBuf, process::ExitCode, sync::Arc};

use tepui_protocol::FrameworkInfo;
use tepui_runtime::{
    AnyPid, Node, NodeAddr, Pid,
    node::{SpawnError, StartError},
    transport::{Tls, TlsError, TlsFiles},
};
use tepui_store::{MemoryStore, StateStore, StoreError};
use tokio::sync::oneshot;

use crate::{
    actor::{DriverActor, EndFramework, Parts},
    address::{InvalidMaster, parse_master},
    calls::End,
    driver::Timing,
    scheduler::Scheduler,
};

/// Why a framework did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum FrameworkError {
    /// The master does not want it: its description is invalid, it was torn down, its failover
    /// time-out is over, or another instance took its place.
    #[error("the master refuses the framework: {message}")]
    Refused {
        /// The master's words.
        message: String,
    },
    /// The scheduler gave up, with [`crate::Calls::fail`].
    #[error("{message}")]
    Failed {
        /// The scheduler's words.
        message: String,
    },
    /// The scheduler panicked, or its node was shut down.
    #[error("the framework's driver has ended before the framework")]
    DriverEnded,
    /// Its durable state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its driver cannot be spawned.
    #[error("cannot start the framework's driver")]
    Spawn(#[from] SpawnError),
    /// Its node does not start.
    #[error("cannot start the framework's node")]
    Node(#[from] StartError),
    /// The master's address is no address.
    #[error(transparent)]
    Master(#[from] InvalidMaster),
    /// The files of `TEPUI_TLS_CA`, `TEPUI_TLS_CERT` and `TEPUI_TLS_KEY` make no identity.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No address of this machine leads to the master.
    #[error("cannot find a way to {master}")]
    NoRoute {
        /// Where to.
        master: NodeAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// How a framework runs; [`Options::default`] suits one that keeps nothing over restarts.
pub struct Options {
    /// Where the framework id and what the scheduler keeps is stored. With a durable store
    /// ([`tepui_store::RedbStore`]) a restarted process takes its tasks over.
    pub store: Box<dyn StateStore>,
    /// The driver's intervals.
    pub timing: Timing,
    /// The name of the driver actor; another than `scheduler` for a second framework on a node.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        let store = Box::new(MemoryStore::new());
        Self {
            store,
            timing: Timing::default(),
            name: "scheduler".to_owned(),
        }
    }
}

/// A running framework. Dropping the handle does not end it.
pub struct Handle {
    pid: Pid<DriverActor>,
    done: oneshot::Receiver<Result<(), FrameworkError>>,
}

impl Handle {
    /// The driver actor.
    pub fn pid(&self) -> AnyPid {
        self.pid.any()
    }

    /// Ends the framework; [`Handle::wait`] tells when it has.
    pub fn stop(&self, end: End) {
        // A driver that is gone needs no telling.
        let _ = self.pid.tell(EndFramework(end));
    }

    /// Waits for the framework's end. To be awaited to completion once.
    ///
    /// # Errors
    /// [`FrameworkError`] when it did not end of its own will.
    pub async fn wait(&mut self) -> Result<(), FrameworkError> {
        (&mut self.done)
            .await
            .unwrap_or(Err(FrameworkError::DriverEnded))
    }
}

/// Runs `scheduler` as the framework `info` on `node`, subscribed with `master`.
///
/// # Errors
/// [`FrameworkError`] when the driver cannot be started. What happens later comes from
/// [`Handle::wait`].
pub fn run(
    node: &Node,
    master: AnyPid,
    info: FrameworkInfo,
    scheduler: impl Scheduler,
) -> Result<Handle, FrameworkError> {
    run_with(node, master, info, scheduler, Options::default())
}

/// As [`run`], with options.
///
/// # Errors
/// As [`run`]; also when the store cannot be read.
pub fn run_with(
    node: &Node,
    master: AnyPid,
    info: FrameworkInfo,
    scheduler: impl Scheduler,
    options: Options,
) -> Result<Handle, FrameworkError> {
    let stored = options.store.load()?;
    let scheduler = Box::new(scheduler);
    let parts = Parts {
        info,
        scheduler,
        timing: options.timing,
        stored,
    };
    let (sender, done) = oneshot::channel();
    let actor = DriverActor::new(master, parts, options.store, sender);
    let pid = node.spawn(&options.name, actor)?;
    Ok(Handle { pid, done })
}

/// The address, with a free port, at which `master` can reach this machine: that of the interface
/// that leads to it. Sends nothing.
///
/// # Errors
/// [`FrameworkError::NoRoute`] when nothing leads there, or the name is unknown.
pub fn local_address(master: &NodeAddr) -> Result<NodeAddr, FrameworkError> {
    let probe = || {
        let target = (master.host().trim_matches(['[', ']']), master.port());
        let any = if master.host().starts_with('[') {
            "[::]:0"
        } else {
            "0.0.0.0:0"
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(target)?;
        socket.local_addr()
    };
    let local = probe().map_err(|source| FrameworkError::NoRoute {
        master: master.clone(),
        source,
    })?;
    Ok(NodeAddr::new(&local.ip().to_string(), 0))
}

/// Starts a node that talks to `master` and those that it names: with a certificate, or without.
///
/// With `tls` the node is known by the address of the interface that leads to the master, if its
/// certificate is for it, and by the certificate's name otherwise. Without, it listens on loopback
/// alone: it dials, and is not dialled.
///
/// # Errors
/// [`FrameworkError::NoRoute`], or [`FrameworkError::Node`] when the node does not start.
pub async fn start_node(master: &NodeAddr, tls: Option<Tls>) -> Result<Node, FrameworkError> {
    let local = local_address(master)?;
    let node = match tls {
        Some(tls) => {
            let known_as = tls.known_as(&local);
            Node::builder(local)
                .advertise(known_as)
                .transport(Arc::new(tls))
        }
        None => Node::builder(NodeAddr::new("127.0.0.1", 0)).advertise(local),
    };
    Ok(node.workers(1).start().await?)
}

/// Reads the identity that `TEPUI_TLS_CA`, `TEPUI_TLS_CERT` and `TEPUI_TLS_KEY` name, if they do.
///
/// # Errors
/// [`FrameworkError`] when only some are set, or a file is not what it should be.
pub fn tls_from_env() -> Result<Option<Tls>, FrameworkError> {
    let names = ["TEPUI_TLS_CA", "TEPUI_TLS_CERT", "TEPUI_TLS_KEY"];
    match names.map(|name| std::env::var_os(name).map(PathBuf::from)) {
        [None, None, None] => Ok(None),
        [Some(ca), Some(cert), Some(key)] => {
            let files = TlsFiles { ca, cert, key };
            Ok(Some(Tls::from_files(&files)?))
        }
        _ => Err(FrameworkError::Failed {
            message: format!("TLS needs all three files: set {}", names.join(", ")),
        }),
    }
}

/// Runs a framework as a program: takes the master's address from the command line
/// (`[--master] HOST:PORT`) or `TEPUI_MASTER`, its certificate from `TEPUI_TLS_CA`,
/// `TEPUI_TLS_CERT` and `TEPUI_TLS_KEY` (see [`tls_from_env`]), and ends when the scheduler stops.
pub fn main(info: FrameworkInfo, scheduler: impl Scheduler) -> ExitCode {
    run_blocking(async move {
        let master = master_from(std::env::args().skip(1), std::env::var("TEPUI_MASTER").ok())?;
        run_to_end(master, info, scheduler).await
    })
}

/// Runs a program's future to its end, and prints its error.
pub(crate) fn run_blocking<E: std::error::Error + 'static>(
    program: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result: Result<(), Box<dyn std::error::Error>> = match runtime {
        Ok(runtime) => runtime.block_on(program).map_err(Into::into),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run_to_end(
    master: AnyPid,
    info: FrameworkInfo,
    scheduler: impl Scheduler,
) -> Result<(), FrameworkError> {
    let node = start_node(master.node(), tls_from_env()?).await?;
    let result = run(&node, master, info, scheduler)?.wait().await;
    node.shutdown().await;
    result
}

/// The master's address from arguments and environment.
fn master_from(
    arguments: impl Iterator<Item = String>,
    environment: Option<String>,
) -> Result<AnyPid, FrameworkError> {
    let mut arguments = arguments.filter(|argument| argument != "--master");
    let argument = arguments
        .next()
        .or(environment)
        .ok_or_else(|| FrameworkError::Failed {
            message: "no master given: pass HOST:PORT or set TEPUI_MASTER".to_owned(),
        })?;
    Ok(parse_master(
        argument.strip_prefix("--master=").unwrap_or(&argument),
    )?)
}

fn with_causes(error: &dyn std::error::Error) -> impl Display {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(arguments: &[&str], environment: Option<&str>) -> Result<String, String> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        let found = master_from(arguments, environment.map(str::to_owned));
        found
            .map(|pid| pid.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_master_comes_from_the_command_line_before_the_environment() {
        let expected = Ok("master@h:1".to_owned());
        assert_eq!(master(&["h:1"], Some("other:1")), expected);
        assert_eq!(master(&["--master", "h:1"], None), expected);
        assert_eq!(master(&["--master=h:1"], None), expected);
        assert_eq!(master(&[], Some("h:1")), expected);
        assert!(master(&[], None).unwrap_err().contains("TEPUI_MASTER"));
        assert!(master(&["h"], None).unwrap_err().contains("has no port"));
    }

    #[test]
    fn loopback_masters_are_reached_from_loopback() {
        let master = NodeAddr::new("127.0.0.1", 5050);
        assert_eq!(local_address(&master).unwrap().to_string(), "127.0.0.1:0");
    }
}
