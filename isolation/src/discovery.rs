//! What this machine has to offer: cpus, memory, disk of the work directory, ports.
//!
//! Owns the probing and the reserve that is left to the system; the operator's text is merged over
//! it by name. It does not decide how much an agent that comes back may change (`tepui-agent` does).

use std::{collections::BTreeSet, fs, io, path::Path};

use nix::sys::statvfs::statvfs;
use tepui_protocol::{Resources, resources::ParseError};

/// The ports that are offered unless the operator says otherwise.
//= mesos, agent default resources: ports 31000-32000
const DEFAULT_PORTS: &str = "ports:[31000-32000]";
/// MiB that are left to the system.
//= mesos: 1 GB of memory and 5 GB of disk, or half where there is less than twice that
const MEM_RESERVE: u64 = 1024;
const DISK_RESERVE: u64 = 5 * 1024;
/// MiB that are assumed where probing fails.
const MEM_FALLBACK: u64 = 1024;
const DISK_FALLBACK: u64 = 10 * 1024;

/// The resources of an agent, and which of them the operator fixed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// All of them.
    pub total: Resources,
    /// Names that the operator gave; the others were probed and may differ at the next start.
    pub explicit: BTreeSet<String>,
}

/// Why the resources of this machine could not be told.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The operator's text is not a list of resources.
    #[error("resources {text:?} cannot be read")]
    Override {
        /// The text.
        text: String,
        /// What is wrong with it.
        #[source]
        source: Box<ParseError>,
    },
}

/// Probes this machine and lays the operator's text (`cpus:2;mem:512`) over it, name by name.
///
/// # Errors
/// [`DiscoveryError::Override`] when the text cannot be read; a probe that fails falls back to
/// Mesos's default for it.
pub fn discover(work_dir: &Path, overrides: &str) -> Result<Discovered, DiscoveryError> {
    let given = Resources::parse(overrides).map_err(|source| DiscoveryError::Override {
        text: overrides.to_owned(),
        source: Box::new(source),
    })?;
    Ok(merge(&probed(work_dir), &given))
}

/// Lays `given` over `probed`: a name that occurs in `given` is taken from there alone.
pub fn merge(probed: &Resources, given: &Resources) -> Discovered {
    let explicit: BTreeSet<String> = given.names().map(str::to_owned).collect();
    let rest = probed
        .iter()
        .filter(|resource| !explicit.contains(&*resource.name))
        .cloned();
    let total = rest.chain(given.iter().cloned()).collect();
    Discovered { total, explicit }
}

fn probed(work_dir: &Path) -> Resources {
    let cpus = std::thread::available_parallelism().map_or(1, |count| count.get());
    let mem = memory_mib().map_or(MEM_FALLBACK, |total| without_reserve(total, MEM_RESERVE));
    let disk =
        free_disk_mib(work_dir).map_or(DISK_FALLBACK, |free| without_reserve(free, DISK_RESERVE));
    let text = format!("cpus:{cpus};mem:{mem};disk:{disk};{DEFAULT_PORTS}");
    Resources::parse(&text).expect("numbers and fixed ports are valid resources")
}

/// What is left of `amount`: less the reserve, or half where that would be less than the reserve.
fn without_reserve(amount: u64, reserve: u64) -> u64 {
    if amount < 2 * reserve {
        amount / 2
    } else {
        amount - reserve
    }
}

/// The machine's memory, or the limit of the container that the agent itself runs in.
fn memory_mib() -> io::Result<u64> {
    let total = total_memory_mib(&fs::read_to_string("/proc/meminfo")?)?;
    let limits = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limit = limits
        .iter()
        .find_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    Ok(limit.map_or(total, |bytes: u64| total.min(bytes >> 20)))
}

fn total_memory_mib(meminfo: &str) -> io::Result<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib / 1024)
        .ok_or_else(|| io::Error::other("no MemTotal in /proc/meminfo"))
}

/// Free space for unprivileged users on the file system of `dir`, or of the nearest directory above
/// it that exists.
fn free_disk_mib(dir: &Path) -> io::Result<u64> {
    let existing = dir
        .ancestors()
        .find(|dir| dir.exists())
        .unwrap_or(Path::new("."));
    let stats = statvfs(existing)?;
    Ok((stats.blocks_available() * stats.fragment_size()) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_keeps_a_reserve_or_half() {
        assert_eq!(without_reserve(8192, MEM_RESERVE), 7168);
        assert_eq!(without_reserve(2048, MEM_RESERVE), 1024);
        assert_eq!(without_reserve(2047, MEM_RESERVE), 1023);
        assert_eq!(without_reserve(9000, DISK_RESERVE), 4500);
    }

    #[test]
    fn a_machine_offers_cpus_mem_disk_and_ports() {
        let found = discover(&std::env::temp_dir().join("not/there"), "").unwrap();
        assert_eq!(
            found.total.names().collect::<Vec<_>>(),
            ["cpus", "disk", "mem", "ports"]
        );
        assert!(
            found.total.to_string().contains("ports:[31000-32000]"),
            "{}",
            found.total
        );
        assert!(found.explicit.is_empty());
    }

    #[test]
    fn what_the_operator_gives_replaces_what_was_probed_name_by_name() {
        let probed = "cpus:4;mem:4096;ports:[1-2]".parse().unwrap();
        let merged = merge(&probed, &"mem:512;ports(r):[7-8];gpus:1".parse().unwrap());
        let expected: Resources = "cpus:4;mem:512;ports(r):[7-8];gpus:1".parse().unwrap();
        assert_eq!(merged.total, expected);
        assert_eq!(
            merged.explicit,
            ["gpus", "mem", "ports"].map(str::to_owned).into()
        );
    }

    #[test]
    fn an_unreadable_text_is_named() {
        let error = discover(Path::new("/"), "cpus:x").unwrap_err();
        assert!(error.to_string().contains("\"cpus:x\""), "{error}");
    }

    #[test]
    fn meminfo_is_read_in_mib() {
        assert_eq!(
            total_memory_mib("MemFree: 1 kB\nMemTotal:  2097152 kB\n").unwrap(),
            2048
        );
        assert!(total_memory_mib("").is_err());
    }
}
