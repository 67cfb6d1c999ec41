//! What the commands that run nodes share: work directories, addresses that last, signals.
//!
//! ```text
//! <work dir>/address      where the node listened last; port 0 means: there again
//!           /state.redb   what it must not forget, locked while it runs
//!           /door, /door.secret   see `nodes/door.rs`
//! ```

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use tepui_agent::Door;
use tepui_runtime::{
    AnyPid, Node, NodeAddr, NodeBuilder,
    http::HttpAccess,
    node::{BindError, StartError},
    transport::Tls,
};
use tepui_store::RedbStore;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    cli::{BadInput, bad_input},
    output,
};

mod door;

/// Where a node listens if nothing is said.
pub(crate) const LOOPBACK: &str = "127.0.0.1";

/// The file with the address.
pub(crate) const ADDRESS: &str = "address";

/// A directory for a component's state where none is named: below `$XDG_STATE_HOME/tepui`, or
/// `~/.local/state/tepui`.
pub(crate) fn default_work_dir(component: &str) -> PathBuf {
    let named = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
    state
        .unwrap_or_else(std::env::temp_dir)
        .join("tepui")
        .join(component)
}

/// Makes the directory and its path absolute.
///
/// # Errors
/// When the directory cannot be made.
pub(crate) fn prepare(work_dir: &Path) -> anyhow::Result<PathBuf> {
    let named = || format!("work directory {}", work_dir.display());
    std::fs::create_dir_all(work_dir).with_context(named)?;
    work_dir.canonicalize().with_context(named)
}

/// Opens the state file of a node.
///
/// # Errors
/// When another process has it, or it cannot be read.
pub(crate) fn open_store(work_dir: &Path) -> anyhow::Result<RedbStore> {
    Ok(RedbStore::open(work_dir.join("state.redb"))?)
}

/// Where and how a node listens.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    /// A name or address of this machine.
    pub(crate) host: String,
    /// What others are to dial, where that is another address; port 0 stands for `port`.
    pub(crate) advertise: Option<NodeAddr>,
    /// Port 0 takes the port of the last start from the same work directory, so that others find
    /// the node again, or else any free one.
    pub(crate) port: u16,
    /// The node's own.
    pub(crate) work_dir: PathBuf,
    /// Who the node is; without, it listens on loopback only.
    pub(crate) tls: Option<Tls>,
    /// Without `tls`, it listens anywhere.
    pub(crate) insecure: bool,
}

impl Listen {
    /// On loopback.
    pub(crate) fn locally(port: u16, work_dir: &Path) -> Self {
        Self {
            host: LOOPBACK.to_owned(),
            advertise: None,
            port,
            work_dir: work_dir.to_owned(),
            tls: None,
            insecure: false,
        }
    }
}

/// Starts a node.
///
/// # Errors
/// When the address cannot be listened on, with what to do about it.
pub(crate) async fn start(listen: &Listen) -> anyhow::Result<Node> {
    start_as(listen, |node| node).await
}

/// Starts a node whose executors come through a door, if others need a certificate.
///
/// # Errors
/// As [`start`].
pub(crate) async fn start_with_door(listen: &Listen) -> anyhow::Result<(Node, Option<Door>)> {
    if listen.tls.is_none() {
        return Ok((start(listen).await?, None));
    }
    let secret = door::secret(&listen.work_dir)?;
    let last = last_address(&listen.work_dir.join(door::ADDRESS), None)?;
    let port = door::port(last.as_ref());
    let node = start_as(listen, |node| node.door(port, secret.clone())).await?;
    let addr = node.door().expect("a door was asked for").clone();
    remember(&listen.work_dir.join(door::ADDRESS), &addr)?;
    Ok((node, Some(Door { addr, secret })))
}

async fn start_as(
    listen: &Listen,
    more: impl FnOnce(NodeBuilder) -> NodeBuilder,
) -> anyhow::Result<Node> {
    let wanted = listen_address(&listen.host, listen.port)?;
    let file = listen.work_dir.join(ADDRESS);
    let known_as = listen.advertise.as_ref().unwrap_or(&wanted);
    if listen.port == 0 && known_as.port() != 0 {
        let problem = format!(
            "--advertise {known_as}: its port is another one than the node's; give that one with --port"
        );
        return Err(BadInput(problem).into());
    }
    let last = match listen.port {
        0 => last_address(&file, Some(known_as.host()))?,
        _ => None,
    };
    let port = last.as_ref().map_or(wanted.port(), NodeAddr::port);
    let mut node = more(Node::builder(NodeAddr::new(wanted.host(), port)));
    if let Some(advertise) = &listen.advertise {
        node = node.advertise(advertise.clone());
    }
    if let Some(tls) = &listen.tls {
        // Who gets that far has a certificate, and may send any message.
        node = node
            .transport(Arc::new(tls.clone()))
            .http(HttpAccess::Anyone);
    } else if listen.insecure {
        node = node.insecure();
    }
    let node = node.start().await;
    let node = node.map_err(|error| cannot_listen(last.is_some(), &file, error))?;
    remember(&file, node.addr())?;
    Ok(node)
}

/// What others are to dial: `HOST`, at the port that the node listens on, or `HOST:PORT`.
///
/// # Errors
/// What to write.
pub(crate) fn parse_advertise(text: &str) -> Result<NodeAddr, String> {
    let addr = text.parse().or_else(|_| format!("{text}:0").parse());
    addr.map_err(|_| "write the HOST or HOST:PORT that others are to dial".to_owned())
}

fn listen_address(host: &str, port: u16) -> anyhow::Result<NodeAddr> {
    let addr = NodeAddr::new(host, port).to_string().parse();
    addr.map_err(|_| BadInput(format!("--host {host}: write a name or an IP address")).into())
}

/// The address in `file`, if there is one; with `host`, if it is of that host.
fn last_address(file: &Path, host: Option<&str>) -> anyhow::Result<Option<NodeAddr>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(anyhow!("{}: cannot be read: {error}", file.display())),
    };
    let addr: NodeAddr = text
        .trim()
        .parse()
        .with_context(|| file.display().to_string())?;
    Ok(host.is_none_or(|host| addr.host() == host).then_some(addr))
}

fn remember(file: &Path, addr: &NodeAddr) -> anyhow::Result<()> {
    let new = file.with_extension("new");
    // Renamed, so that nobody reads half an address.
    let written =
        std::fs::write(&new, format!("{addr}\n")).and_then(|()| std::fs::rename(&new, file));
    written.with_context(|| format!("cannot write {}", file.display()))
}

fn cannot_listen(last: bool, file: &Path, error: StartError) -> anyhow::Error {
    let StartError::Bind(BindError::Listen { .. }) = &error else {
        return bad_input(error);
    };
    let remedy = if last {
        format!(
            "this work directory's node had that address; to take another one, remove {}",
            file.display()
        )
    } else {
        "--port 0 takes any free one".to_owned()
    };
    anyhow!("{}; {remedy}", output::chain(&error.into()))
}

/// Why a node is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGINT: Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

/// The signals that end a process in good order.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// From now on, the signals are caught.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: None,
        })
    }

    /// The loss of the terminal ends the process in good order, too. Not for nodes: they may be
    /// started with `nohup`.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn and_hangup(self) -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("cannot catch signals")?;
        Ok(Self {
            hangup: Some(hangup),
            ..self
        })
    }

    /// Waits for one of them.
    pub(crate) async fn next(&mut self) -> Stop {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = hangup => Stop::Terminated,
            _ = self.interrupt.recv() => Stop::Interrupted,
            _ = self.terminate.recv() => Stop::Terminated,
        }
    }
}

/// Waits until a signal comes, or `actor` ends by itself, which is an error.
///
/// # Errors
/// How the actor ended.
pub(crate) async fn until_stopped(
    node: &Node,
    actor: &AnyPid,
    signals: &mut Signals,
) -> anyhow::Result<Stop> {
    tokio::select! {
        stop = signals.next() => Ok(stop),
        exited = node.monitor(actor) => {
            Err(anyhow!("the {} {}", actor.name(), exited.reason))
        }
    }
}

/// Ends an actor, and then its node with all others on it. What `actor` depends on is still there
/// when it ends.
pub(crate) async fn end(node: &Node, actor: &AnyPid) {
    node.stop(actor);
    node.monitor(actor).await;
    node.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_comes_back_where_it_was_on_the_same_host() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(ADDRESS);
        let last = |host| last_address(&file, host);
        assert_eq!(last(Some("127.0.0.1")).unwrap(), None);
        let addr = NodeAddr::new("127.0.0.1", 4711);
        remember(&file, &addr).unwrap();
        assert_eq!(last(Some("127.0.0.1")).unwrap(), Some(addr.clone()));
        assert_eq!(last(None).unwrap(), Some(addr));
        assert_eq!(last(Some("10.0.0.1")).unwrap(), None);
        std::fs::write(&file, "rubbish").unwrap();
        let error = output::chain(&last(Some("h")).unwrap_err());
        assert!(
            error.contains("address: \"rubbish\" is not a node address"),
            "{error}"
        );
    }

    #[test]
    fn a_host_that_is_none_is_bad_input() {
        assert!(listen_address("a b", 1).unwrap_err().is::<BadInput>());
        assert_eq!(listen_address("::1", 1).unwrap().to_string(), "[::1]:1");
    }
}
