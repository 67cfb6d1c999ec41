//! Control groups of version 2: one hierarchy for all controllers.
//!
//! The base lies below the group of this process where that can have groups with controllers below it:
//! a delegated one under systemd that the process has left, or the top. A group with processes cannot, so
//! that otherwise the base lies at the top of the hierarchy, as Docker's and runc's groups do. Controllers are
//! enabled from there down, as many as can be.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use cgroups_rs::{
    MaxValue, cpu::CpuController, cpuset::CpuSetController, memory::MemController,
    pid::PidController,
};

use super::{
    Backend, CgroupError, Controller, Device, Usage, bpf, children, device_program, file, limit,
    make,
    usage::{named, number},
};
use crate::process::family::await_end;

const PERIOD_US: u64 = 100_000;

/// Version 2.
#[derive(Clone, Debug)]
pub(super) struct Unified {
    /// Where controllers are enabled from on.
    top: PathBuf,
    base: PathBuf,
    controllers: BTreeSet<String>,
    /// Whether this process may load programs that decide on devices.
    devices: bool,
}

impl Unified {
    pub(super) fn new(mount: &Path, own: &Path, base: &Path) -> Option<Self> {
        let mut below_own = Self::below(mount.join(own), base)?;
        let all = below_own.controllers.clone();
        if below_own.enable().is_ok() && below_own.controllers == all {
            return Some(below_own);
        }
        if own != Path::new("") {
            below_own.clear();
            let mut at_the_top = Self::below(mount.to_owned(), base)?;
            at_the_top.enable().ok()?;
            return Some(at_the_top);
        }
        (!below_own.controllers.is_empty()).then_some(below_own)
    }

    fn below(top: PathBuf, base: &Path) -> Option<Self> {
        let text = fs::read_to_string(top.join("cgroup.controllers")).ok()?;
        let controllers = text.split_whitespace().map(str::to_owned).collect();
        let devices = bpf::load(&device_program::allowing(&[])).is_ok();
        Some(Self {
            base: top.join(base),
            top,
            controllers,
            devices,
        })
    }

    /// Makes the base, with controllers enabled on the way to it; forgets those that cannot be.
    fn enable(&mut self) -> Result<(), CgroupError> {
        let levels = self.make_base()?;
        let mut failed = None;
        self.controllers.retain(|controller| {
            let enabled = levels.iter().try_for_each(|level| {
                let control = level.join("cgroup.subtree_control");
                let written = fs::write(&control, format!("+{controller}"));
                file("write", &control, written)
            });
            let is_enabled = enabled.is_ok();
            failed = enabled.err().or(failed.take());
            is_enabled
        });
        match failed {
            Some(error) if self.controllers.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the base; answers with the groups from the top to it.
    fn make_base(&self) -> Result<Vec<PathBuf>, CgroupError> {
        file("make", &self.base, make(&self.base))?;
        let levels = self.base.ancestors();
        let within = levels.take_while(|level| level.starts_with(&self.top));
        let mut levels: Vec<PathBuf> = within.map(Path::to_owned).collect();
        levels.reverse();
        Ok(levels)
    }

    /// Removes the base, and what only led to it.
    fn clear(&self) {
        let levels = self.base.ancestors();
        for level in levels.take_while(|level| *level != self.top) {
            if fs::remove_dir(level).is_err() {
                return;
            }
        }
    }

    fn group(&self, group: &str) -> PathBuf {
        self.base.join(group)
    }
}

/// The weight that stands for `shares` of version 1, in proportion from [2, 262144] to [1, 10000],
/// as runc converts them.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

impl Backend for Unified {
    fn is_unified(&self) -> bool {
        true
    }

    fn has(&self, controller: Controller) -> bool {
        match controller {
            Controller::Freezer => true,
            Controller::Devices => self.devices,
            other => self.controllers.contains(other.names()[1]),
        }
    }

    fn directory(&self, group: &str, _: Controller) -> PathBuf {
        self.group(group)
    }

    fn create(&self, group: &str, _: &BTreeSet<Controller>) -> Result<(), CgroupError> {
        if !self.base.is_dir() {
            self.clone().enable()?;
        }
        let directory = self.group(group);
        file("make", &directory, make(&directory))
    }

    fn entrances(&self, group: &str, _: &BTreeSet<Controller>) -> Vec<PathBuf> {
        vec![self.group(group).join("cgroup.procs")]
    }

    fn set_cpu(&self, group: &str, milli_cpus: u64, max: Option<u64>) -> Result<(), CgroupError> {
        let directory = self.group(group);
        let cpu = CpuController::new(directory.clone(), true);
        let weight = weight(milli_cpus * 1024 / 1000);
        limit(
            format!("cpu.weight = {weight}"),
            &directory,
            cpu.set_shares(weight),
        )?;
        let Some(max) = max else {
            return Ok(());
        };
        let quota = i64::try_from(max * PERIOD_US / 1000).unwrap_or(i64::MAX);
        limit(
            format!("cpu.max = {quota} {PERIOD_US}"),
            &directory,
            cpu.set_cfs_quota_and_period(Some(quota), Some(PERIOD_US)),
        )
    }

    fn set_memory(&self, group: &str, bytes: u64) -> Result<(), CgroupError> {
        let directory = self.group(group);
        let memory = MemController::new(directory.clone(), true);
        let value = i64::try_from(bytes).unwrap_or(i64::MAX);
        limit(
            format!("memory.max = {bytes}"),
            &directory,
            memory.set_limit(value),
        )?;
        // The limit is one of memory and swap together; here swap is counted apart.
        if directory.join("memory.swap.max").exists() {
            let no_swap = memory.set_memswap_limit(0);
            limit("memory.swap.max = 0".to_owned(), &directory, no_swap)?;
        }
        Ok(())
    }

    fn set_pids(&self, group: &str, max: u64) -> Result<(), CgroupError> {
        let directory = self.group(group);
        let value = MaxValue::Value(i64::try_from(max).unwrap_or(i64::MAX));
        let pids = PidController::new(directory.clone(), true);
        limit(
            format!("pids.max = {max}"),
            &directory,
            pids.set_pid_max(value),
        )
    }

    fn set_cpuset(&self, group: &str, cpus: &str) -> Result<(), CgroupError> {
        let directory = self.group(group);
        let cpuset = CpuSetController::new(directory.clone(), true);
        limit(
            format!("cpuset.cpus = {cpus}"),
            &directory,
            cpuset.set_cpus(cpus),
        )
    }

    fn set_devices(&self, group: &str, devices: &[Device]) -> Result<(), CgroupError> {
        let directory = self.group(group);
        let program = bpf::load(&device_program::allowing(devices));
        let program = file("load the device program of", &directory, program)?;
        let attached = bpf::attach(&program, &directory);
        file("attach the device program to", &directory, attached)
    }

    fn read_usage(&self, group: &str, controller: Controller, usage: &mut Usage) {
        let directory = self.group(group);
        let of = |name: &str| number(&directory.join(name));
        match controller {
            Controller::Cpu | Controller::Cpuacct => {
                let stat = directory.join("cpu.stat");
                let names = ["usage_usec", "throttled_usec", "user_usec", "system_usec"];
                [
                    usage.cpu_us,
                    usage.throttled_us,
                    usage.cpu_user_us,
                    usage.cpu_system_us,
                ] = named(&stat, names);
            }
            Controller::Memory => {
                usage.memory = of("memory.current");
                usage.memory_peak = of("memory.peak");
                usage.memory_limit = of("memory.max");
                let stat = directory.join("memory.stat");
                [usage.memory_anonymous, usage.memory_cache] = named(&stat, ["anon", "file"]);
                [usage.memory_kills] = named(&directory.join("memory.events"), ["oom_kill"]);
            }
            Controller::Pids => usage.pids = of("pids.current"),
            Controller::Io => {
                let text = fs::read_to_string(directory.join("io.stat")).unwrap_or_default();
                usage.io_read = Some(transferred(&text, "rbytes="));
                usage.io_written = Some(transferred(&text, "wbytes="));
            }
            Controller::Cpuset | Controller::Devices | Controller::Freezer => {}
        }
    }

    fn open_count(&self, group: &str, controller: Controller) -> Option<File> {
        let name = match controller {
            // Begins with "usage_usec".
            Controller::Cpuacct => "cpu.stat",
            Controller::Pids => "pids.current",
            _ => return None,
        };
        File::open(self.group(group).join(name)).ok()
    }

    fn cpu_time_scale(&self) -> u64 {
        1
    }

    fn destroy(&self, group: &str) -> Result<(), CgroupError> {
        let directory = self.group(group);
        if !directory.is_dir() {
            return Ok(());
        }
        let control = directory.join("cgroup.kill");
        file("write", &control, fs::write(&control, "1"))?;
        let mut failed = None;
        let removed = await_end(|| {
            for child in children(&directory) {
                // The group itself cannot be removed before.
                let _ = fs::remove_dir(directory.join(child));
            }
            failed = fs::remove_dir(&directory).err();
            failed.is_none() || !directory.exists()
        });
        // Fails while other groups are in it.
        let _ = fs::remove_dir(&self.base);
        match (removed, failed) {
            (Err(_), Some(source)) => file("remove", &directory, Err(source)),
            _ => Ok(()),
        }
    }

    fn groups(&self) -> BTreeSet<String> {
        children(&self.base)
    }
}

/// The sum over all devices of words like `rbytes=4096`.
fn transferred(text: &str, name: &str) -> u64 {
    let words = text.split_whitespace().filter_map(|w| w.strip_prefix(name));
    words.filter_map(|number| number.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On the mount of version 2 that a machine with both versions has: it has no limits, but programs.
    #[test]
    fn processes_of_a_group_open_the_devices_that_it_allows() {
        use std::process::Command;
        let mounts = crate::cgroup::Mounts::of_this_process().unwrap();
        let base = format!("tepui-test-{}", std::process::id());
        let Some(mut unified) = mounts
            .v2
            .and_then(|mount| Unified::below(mount, Path::new(&base)))
            .filter(|unified| unified.devices && make(&unified.base).is_ok())
        else {
            eprintln!("SKIPPED: no control groups of version 2, or no right to use them");
            return;
        };
        unified.controllers.clear();
        unified.create("c", &BTreeSet::new()).unwrap();
        let entrance = unified.entrances("c", &BTreeSet::new()).remove(0);
        let opens = |device: &str| {
            let line = format!("echo 0 > {} && : < {device}", entrance.display());
            Command::new("sh")
                .args(["-c", &line])
                .status()
                .unwrap()
                .success()
        };
        let null = |make| Device {
            major: 1,
            minor: Some(3),
            make,
        };
        unified.set_devices("c", &[null(false)]).unwrap();
        let seen = (opens("/dev/null"), opens("/dev/zero"));
        let zero = Device {
            minor: Some(5),
            ..null(false)
        };
        unified.set_devices("c", &[zero]).unwrap();
        let changed = (opens("/dev/null"), opens("/dev/zero"));
        unified.destroy("c").unwrap();
        assert_eq!((seen, changed), ((true, false), (false, true)));
        assert!(!unified.base.exists(), "nothing is left");
    }

    #[test]
    fn weights_are_those_of_runc() {
        for (shares, expected) in [(2, 1), (512, 20), (1024, 39), (262_144, 10_000)] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn transfers_are_added_over_devices() {
        let text = "8:0 rbytes=4096 wbytes=1 rios=1\n254:0 rbytes=4 wbytes=0 rios=1\n";
        assert_eq!(transferred(text, "rbytes="), 4100);
        assert_eq!(transferred(text, "wbytes="), 1);
    }
}
