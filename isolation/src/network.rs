//! Networks of their own for containers: a network namespace each, with an address, behind the machine.
//!
//! ```text
//!  namespace of task 1          the machine                                   namespace of task 2
//!  eth0 10.88.0.2/32 ---veth--- tp5f3a9c01-0002 10.88.0.1/32
//!                               tp5f3a9c01-0003 10.88.0.1/32 ---veth--- 10.88.0.3/32 eth0
//!            nftables `table ip tp5f3a9c01`: port of the machine -> address and port of a task;
//!            nothing else is forwarded to a task
//! ```
//! Each task has a link of its own to the machine, which routes between them: there is no bridge, on
//! which tasks would hear each other's broadcasts and link-local addresses. Devices are made with `ip`,
//! `tc` and `nft`, which every machine that has such networks has, and whose objects its operator knows
//! how to look at; one call each does all of a task.
//!
//! | question | file |
//! |---|---|
//! | which addresses are taken, by whom, and which ports lead there? | `network/claims.rs` |
//! | which addresses are there? | `network/subnet.rs` |
//! | what may be forwarded where? | `network/rules.rs` |
//! | namespaces, devices, routes | `network/links.rs` |
//!
//! What is claimed is written down before anything is made, and taken back after all is removed, under
//! one lock for all processes of an agent. So whoever is killed in between, the next one knows what is
//! there. Rules are made anew from the claims whenever these change.

mod claims;
mod links;
mod rules;
mod subnet;

use std::{
    collections::BTreeSet,
    fs::File,
    io::Write as _,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};
use tepui_protocol::PortMapping;

use crate::isolators::IsolatorError;
use claims::{Claim, Claims};
pub use subnet::Subnet;

/// More ports than this nobody maps.
const PORTS_MAX: usize = 1024;
/// Where the programs are that only root uses.
const SYSTEM_PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// The network of its own that a container is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivateNetwork {
    /// Ports of the machine that lead to it.
    pub ports: Vec<PortMapping>,
    /// The most that it may send, in Mbit/s.
    pub egress_mbit: Option<u32>,
    /// What it has in common with the containers that share the network; its own name where absent.
    pub shared_as: Option<String>,
}

/// A network that is there, as the launcher enters it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The file of its namespace.
    pub namespace: PathBuf,
    /// The address in it.
    pub address: Ipv4Addr,
}

/// The private networks of one agent.
#[derive(Debug)]
pub(crate) struct Networks {
    claims: Claims,
    subnet: Subnet,
    /// The most that a task may send whatever it asks for, in Mbit/s.
    egress_mbit: Option<u32>,
    /// What the names of devices, namespaces and rules begin with.
    prefix: String,
    ip: PathBuf,
    tc: PathBuf,
    nft: PathBuf,
}

impl Networks {
    /// Those of the agent in `work_dir`, whose number among agents is `number`.
    ///
    /// # Errors
    /// A program that is missing, for people.
    pub(crate) fn new(
        work_dir: &Path,
        number: u64,
        subnet: Subnet,
        egress_mbit: Option<u32>,
    ) -> Result<Self, String> {
        Ok(Self {
            claims: Claims::new(work_dir.join("network")),
            subnet,
            egress_mbit,
            prefix: format!("tp{:08x}", number >> 32),
            ip: find("ip", "iproute2")?,
            tc: find("tc", "iproute2")?,
            nft: find("nft", "nftables")?,
        })
    }

    /// Makes the network of a container, or joins the one that it shares.
    ///
    /// # Errors
    /// [`IsolatorError`]; what was made is removed by [`Self::leave`].
    pub(crate) fn join(&self, name: &str, wish: &PrivateNetwork) -> Result<Joined, IsolatorError> {
        if wish.ports.len() > PORTS_MAX {
            let text = format!(
                "{} ports: a private network has {PORTS_MAX} at most",
                wish.ports.len()
            );
            return Err(IsolatorError::Refused(text));
        }
        let locked = self.claims.lock()?;
        let mut all = self.claims.all()?;
        let owner = wish.shared_as.as_deref().unwrap_or(name);
        let shared = all.iter().find(|claim| claim.owner == owner);
        let index = match shared.map(|claim| claim.index) {
            Some(index) => index,
            None => self.free(&all)?,
        };
        let is_new = shared.is_none();
        let claim = Claim {
            index,
            name: name.to_owned(),
            owner: owner.to_owned(),
            address: self.subnet.address(index),
            ports: wish.ports.clone(),
        };
        self.claims.write(&claim)?;
        all.push(claim.clone());
        self.apply(&locked, &all)?;
        if is_new {
            let egress = [wish.egress_mbit, self.egress_mbit]
                .into_iter()
                .flatten()
                .min();
            self.make(&locked, &claim, egress)?;
        }
        Ok(Joined {
            namespace: links::namespace(&self.device(index)),
            address: claim.address,
        })
    }

    /// Removes the network of a container, unless others share it. That it has none is fine.
    ///
    /// # Errors
    /// [`IsolatorError`] when something is left.
    pub(crate) fn leave(&self, name: &str) -> Result<(), IsolatorError> {
        if self.claims.names().is_empty() {
            return Ok(());
        }
        let locked = self.claims.lock()?;
        let mut all = self.claims.all()?;
        let Some(at) = all.iter().position(|claim| claim.name == name) else {
            return Ok(());
        };
        let claim = all.remove(at);
        self.apply(&locked, &all)?;
        if all.iter().all(|other| other.index != claim.index) {
            self.remove(&locked, claim.index)?;
        }
        self.claims.remove(&claim)
    }

    /// The containers that have one.
    pub(crate) fn left(&self) -> BTreeSet<String> {
        self.claims.names()
    }

    /// The lowest number that nobody has, so that addresses are the same in each run.
    fn free(&self, all: &[Claim]) -> Result<u16, IsolatorError> {
        if all.is_empty() {
            let routes = std::fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default();
            if let Some(device) = self.subnet.overlaps(&routes, &self.prefix) {
                let subnet = &self.subnet;
                let text = format!(
                    "network_subnet {subnet}: {device} has addresses of it already; name another one"
                );
                return Err(IsolatorError::Refused(text));
            }
        }
        let taken: BTreeSet<u16> = all.iter().map(|claim| claim.index).collect();
        let free = self.subnet.indices().find(|index| !taken.contains(index));
        free.ok_or_else(|| {
            let text = format!("network_subnet {}: all addresses are taken", self.subnet);
            IsolatorError::Refused(text)
        })
    }

    fn device(&self, index: u16) -> String {
        format!("{}-{index:04x}", self.prefix)
    }

    /// Has the rules say what the claims do.
    fn apply(&self, locked: &File, claims: &[Claim]) -> Result<(), IsolatorError> {
        let published = claims.iter().flat_map(|claim| {
            let ports = claim.ports.iter();
            ports.map(|port| (port.host_port, claim.address, port.container_port))
        });
        let script = match claims.is_empty() {
            true => rules::none(&self.prefix),
            false => rules::all(&self.prefix, &self.subnet, published),
        };
        run(locked, &self.nft, &["-f", "-"], &script)
    }

    fn make(
        &self,
        locked: &File,
        claim: &Claim,
        egress_mbit: Option<u32>,
    ) -> Result<(), IsolatorError> {
        let (device, gateway) = (self.device(claim.index), self.subnet.gateway());
        let outside = links::outside(&device, gateway, claim.address);
        run(locked, &self.ip, &["-batch", "-"], &outside)?;
        links::set_up_machine(&device)?;
        let inside = links::inside(gateway, claim.address);
        run(locked, &self.ip, &["-n", &device, "-batch", "-"], &inside)?;
        match egress_mbit {
            Some(mbit) => run(
                locked,
                &self.tc,
                &["-n", &device, "-batch", "-"],
                &links::egress(mbit),
            ),
            None => Ok(()),
        }
    }

    fn remove(&self, locked: &File, index: u16) -> Result<(), IsolatorError> {
        let device = self.device(index);
        if links::is_there(&device) {
            run(locked, &self.ip, &["link", "delete", &device], "")?;
        }
        match links::namespace(&device).exists() {
            true => run(locked, &self.ip, &["netns", "delete", &device], ""),
            false => Ok(()),
        }
    }
}

fn find(program: &str, package: &str) -> Result<PathBuf, String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let directories = path.split(':').chain(SYSTEM_PATH.split(':'));
    let mut candidates = directories.map(|directory| Path::new(directory).join(program));
    let found = candidates.find(|candidate| candidate.is_absolute() && candidate.is_file());
    found.ok_or_else(|| format!("needs the program {program}, of the package {package}"))
}

/// Runs a program to its end, with `input`. It holds the lock as well, so that nobody else begins before
/// it has ended, also when its caller is killed meanwhile.
fn run(
    locked: &File,
    program: &Path,
    arguments: &[&str],
    input: &str,
) -> Result<(), IsolatorError> {
    let failed = |problem: String| {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        IsolatorError::Refused(format!("{name}: {problem}"))
    };
    // It writes nothing there.
    let stdout = locked
        .try_clone()
        .map_err(|error| failed(error.to_string()))?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", SYSTEM_PATH)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(input.as_bytes()),
        None => Ok(()),
    };
    let output = child.wait_with_output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() && written.is_ok() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty());
    Err(failed(
        said.map_or_else(|| output.status.to_string(), str::to_owned),
    ))
}
