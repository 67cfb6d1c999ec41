//! Control groups of version 1: one hierarchy a controller.
//!
//! A group is a directory in each hierarchy that it uses, and in that of the freezer: only frozen
//! processes can be killed all at once, as others fork while the list is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
};

use cgroups_rs::{
    MaxValue,
    cpu::CpuController,
    cpuset::CpuSetController,
    devices::{DevicePermissions, DeviceType, DevicesController},
    memory::MemController,
    pid::PidController,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Backend, CgroupError, Controller, Device, Usage, children, file, limit, make,
    usage::{named, number},
};
use crate::process::family::await_end;

//= mesos, cgroups/cpu: 1024 shares a processor, at least 2; periods of 100 ms
const SHARES_PER_CPU: u64 = 1024;
const SHARES_MIN: u64 = 2;
const PERIOD_US: u64 = 100_000;

/// Version 1.
#[derive(Debug)]
pub(super) struct Legacy {
    /// The base's directory by controller.
    bases: BTreeMap<Controller, PathBuf>,
}

impl Legacy {
    pub(super) fn new(mounts: BTreeMap<String, PathBuf>, base: &Path) -> Option<Self> {
        use Controller::*;
        let all = [Cpu, Cpuacct, Memory, Pids, Cpuset, Devices, Io, Freezer];
        let found = all.into_iter().filter_map(|controller| {
            let mount = mounts.get(controller.names()[0])?;
            is_writable(mount).then(|| (controller, mount.join(base)))
        });
        let bases: BTreeMap<_, _> = found.collect();
        bases.contains_key(&Freezer).then_some(Self { bases })
    }

    /// The directories of a group and of groups below it that exist, the innermost first; several
    /// controllers may share one.
    fn directories(&self, group: &str) -> Vec<PathBuf> {
        let all: BTreeSet<PathBuf> = self.bases.values().map(|base| base.join(group)).collect();
        let mut found = Vec::new();
        all.iter().for_each(|directory| tree(directory, &mut found));
        found
    }

    fn freeze(&self, group: &str, state: &str) {
        let freezer = self.directory(group, Controller::Freezer);
        // A group without a freezer is killed all the same, if not at once.
        let _ = fs::write(freezer.join("freezer.state"), state);
    }

    fn members(&self, group: &str) -> BTreeSet<i32> {
        let directories = self.directories(group).into_iter();
        let texts = directories.filter_map(|d| fs::read_to_string(d.join("cgroup.procs")).ok());
        let numbers = texts.map(|text| text.lines().filter_map(|l| l.parse().ok()).collect());
        numbers.flat_map(|pids: Vec<i32>| pids).collect()
    }

    fn kill(&self, group: &str) -> Result<(), CgroupError> {
        if self.members(group).is_empty() {
            return Ok(());
        }
        let emptied = await_end(|| {
            self.freeze(group, "FROZEN");
            let members = self.members(group);
            for pid in &members {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            self.freeze(group, "THAWED");
            members.is_empty()
        });
        emptied.map_err(|_| CgroupError::Survivors {
            group: self.directory(group, Controller::Freezer),
        })
    }
}

impl Backend for Legacy {
    fn is_unified(&self) -> bool {
        false
    }

    fn has(&self, controller: Controller) -> bool {
        self.bases.contains_key(&controller)
    }

    fn directory(&self, group: &str, controller: Controller) -> PathBuf {
        match self.bases.get(&controller) {
            Some(base) => base.join(group),
            None => PathBuf::from(group),
        }
    }

    fn create(&self, group: &str, controllers: &BTreeSet<Controller>) -> Result<(), CgroupError> {
        for controller in controllers.iter().chain([&Controller::Freezer]) {
            let directory = self.directory(group, *controller);
            file("make", &directory, make(&directory))?;
            if *controller == Controller::Cpuset {
                inherit_cpuset(&directory)?;
            }
        }
        Ok(())
    }

    fn entrances(&self, group: &str, controllers: &BTreeSet<Controller>) -> Vec<PathBuf> {
        let all = controllers.iter().chain([&Controller::Freezer]);
        let directories: BTreeSet<PathBuf> = all.map(|c| self.directory(group, *c)).collect();
        directories
            .into_iter()
            .map(|directory| directory.join("cgroup.procs"))
            .collect()
    }

    fn set_cpu(&self, group: &str, milli_cpus: u64, max: Option<u64>) -> Result<(), CgroupError> {
        let directory = self.directory(group, Controller::Cpu);
        let cpu = CpuController::new(directory.clone(), false);
        let shares = (milli_cpus * SHARES_PER_CPU / 1000).max(SHARES_MIN);
        limit(
            format!("cpu.shares = {shares}"),
            &directory,
            cpu.set_shares(shares),
        )?;
        let Some(max) = max else {
            return Ok(());
        };
        let quota = i64::try_from(max * PERIOD_US / 1000).unwrap_or(i64::MAX);
        limit(
            format!("cpu.cfs_quota_us = {quota}"),
            &directory,
            cpu.set_cfs_period(PERIOD_US)
                .and_then(|()| cpu.set_cfs_quota(quota)),
        )
    }

    fn set_memory(&self, group: &str, bytes: u64) -> Result<(), CgroupError> {
        let directory = self.directory(group, Controller::Memory);
        let memory = MemController::new(directory.clone(), false);
        let value = i64::try_from(bytes).unwrap_or(i64::MAX);
        let what = format!("memory.limit_in_bytes = {bytes}");
        // Memory with swap may not be the smaller of the two on the way: which is first depends on
        // whether the limit rises.
        if !directory.join("memory.memsw.limit_in_bytes").exists() {
            return limit(what, &directory, memory.set_limit(value));
        }
        let set = match memory.set_limit(value) {
            Ok(()) => memory.set_memswap_limit(value),
            Err(_) => memory
                .set_memswap_limit(value)
                .and_then(|()| memory.set_limit(value)),
        };
        limit(what, &directory, set)
    }

    fn set_pids(&self, group: &str, max: u64) -> Result<(), CgroupError> {
        let directory = self.directory(group, Controller::Pids);
        let value = MaxValue::Value(i64::try_from(max).unwrap_or(i64::MAX));
        let pids = PidController::new(directory.clone(), false);
        limit(
            format!("pids.max = {max}"),
            &directory,
            pids.set_pid_max(value),
        )
    }

    fn set_cpuset(&self, group: &str, cpus: &str) -> Result<(), CgroupError> {
        let directory = self.directory(group, Controller::Cpuset);
        let cpuset = CpuSetController::new(directory.clone(), false);
        limit(
            format!("cpuset.cpus = {cpus}"),
            &directory,
            cpuset.set_cpus(cpus),
        )
    }

    fn set_devices(&self, group: &str, devices: &[Device]) -> Result<(), CgroupError> {
        let directory = self.directory(group, Controller::Devices);
        let controller = DevicesController::new(directory.clone());
        let all = DevicePermissions::all();
        limit(
            "devices.deny = a".to_owned(),
            &directory,
            controller.deny_device(DeviceType::All, -1, -1, &all),
        )?;
        let use_only = [DevicePermissions::Read, DevicePermissions::Write];
        for device in devices {
            let permissions = if device.make { &all[..] } else { &use_only };
            let minor = device.minor.unwrap_or(-1);
            let allowed =
                controller.allow_device(DeviceType::Char, device.major, minor, permissions);
            let what = format!("devices.allow = c {}:{minor}", device.major);
            limit(what, &directory, allowed)?;
        }
        Ok(())
    }

    fn read_usage(&self, group: &str, controller: Controller, usage: &mut Usage) {
        let directory = self.directory(group, controller);
        let of = |name: &str| number(&directory.join(name));
        match controller {
            Controller::Cpuacct => {
                let time = |name| of(name).map(|ns| ns / 1000);
                usage.cpu_us = time("cpuacct.usage");
                usage.cpu_user_us = time("cpuacct.usage_user");
                usage.cpu_system_us = time("cpuacct.usage_sys");
            }
            Controller::Cpu => {
                let [throttled] = named(&directory.join("cpu.stat"), ["throttled_time"]);
                usage.throttled_us = throttled.map(|ns| ns / 1000);
            }
            Controller::Memory => {
                usage.memory = of("memory.usage_in_bytes");
                usage.memory_peak = of("memory.max_usage_in_bytes");
                usage.memory_limit = of("memory.limit_in_bytes");
                let stat = directory.join("memory.stat");
                let [anonymous, cache] = named(&stat, ["total_rss", "total_cache"]);
                (usage.memory_anonymous, usage.memory_cache) = (anonymous, cache);
                let [kills] = named(&directory.join("memory.oom_control"), ["oom_kill"]);
                usage.memory_kills = kills;
            }
            Controller::Pids => usage.pids = of("pids.current"),
            Controller::Io => {
                let file = directory.join("blkio.throttle.io_service_bytes");
                let text = fs::read_to_string(file).unwrap_or_default();
                usage.io_read = Some(transferred(&text, "Read"));
                usage.io_written = Some(transferred(&text, "Write"));
            }
            Controller::Cpuset | Controller::Devices | Controller::Freezer => {}
        }
    }

    fn open_count(&self, group: &str, controller: Controller) -> Option<File> {
        let name = match controller {
            Controller::Cpuacct => "cpuacct.usage",
            Controller::Pids => "pids.current",
            _ => return None,
        };
        File::open(self.directory(group, controller).join(name)).ok()
    }

    fn cpu_time_scale(&self) -> u64 {
        1000
    }

    fn destroy(&self, group: &str) -> Result<(), CgroupError> {
        self.kill(group)?;
        // A group can be removed when the last zombie in it is collected.
        let mut left = None;
        let removed = await_end(|| {
            let failed = self
                .directories(group)
                .into_iter()
                .find_map(|directory| Some((fs::remove_dir(&directory).err()?, directory)));
            left = failed;
            left.is_none()
        });
        for base in self.bases.values() {
            // Fails while other groups are in it.
            let _ = fs::remove_dir(base);
        }
        match (removed, left) {
            (Err(_), Some((source, path))) => file("remove", &path, Err(source)),
            _ => Ok(()),
        }
    }

    fn groups(&self) -> BTreeSet<String> {
        self.bases
            .values()
            .flat_map(|base| children(base))
            .collect()
    }
}

/// The groups from the innermost below a directory up to itself, if it is there.
fn tree(directory: &Path, found: &mut Vec<PathBuf>) {
    if directory.is_dir() {
        for child in children(directory) {
            tree(&directory.join(child), found);
        }
        found.push(directory.to_owned());
    }
}

/// The sum over all devices of lines like `8:0 Read 4096`.
fn transferred(text: &str, direction: &str) -> u64 {
    let numbers = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, found) = (words.next()?, words.next()?);
        (found == direction).then(|| words.next()?.parse::<u64>().ok())?
    });
    numbers.sum()
}

/// A new group has no processors and no memory, and nothing can enter it: gives it those of the
/// group above, from the top down.
fn inherit_cpuset(directory: &Path) -> Result<(), CgroupError> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let path = directory.join(name);
        let own = file("read", &path, fs::read_to_string(&path))?;
        if !own.trim().is_empty() {
            continue;
        }
        let Some(parent) = directory.parent() else {
            continue;
        };
        inherit_cpuset(parent)?;
        let value = file("read", parent, fs::read_to_string(parent.join(name)))?;
        file("write", &path, fs::write(&path, value.trim()))?;
    }
    Ok(())
}

fn is_writable(directory: &Path) -> bool {
    nix::unistd::access(directory, nix::unistd::AccessFlags::W_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_are_added_over_devices() {
        let text = "8:0 Read 4096\n8:0 Write 1\n8:0 Total 4097\n254:0 Read 4\nTotal 4101\n";
        assert_eq!(transferred(text, "Read"), 4100);
        assert_eq!(transferred(text, "Write"), 1);
        assert_eq!(transferred("", "Read"), 0);
    }
}
