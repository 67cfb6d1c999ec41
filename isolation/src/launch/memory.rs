//! Noticing that the kernel killed a process because its cgroup was out of memory.
//!
//! On cgroup v1 an eventfd wakes the launcher, on v2 a change of `memory.events`. Both wake for
//! other things as well, so that the counter of kills decides.

use std::{
    fs::{self, File},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::{
        eventfd::{EfdFlags, EventFd},
        inotify::{AddWatchFlags, InitFlags, Inotify},
    },
};

use super::{
    plan::MemoryWatch,
    process::failure,
    report::{Failure, Limitation, LimitationKind, Stage},
};

const MIB: u64 = 1 << 20;

/// A memory limit that is watched.
pub(super) struct Watcher {
    events: Events,
    directory: PathBuf,
    also: Option<PathBuf>,
    /// What holds the counter of kills.
    counter: &'static str,
    /// What hold the highest use, the first that there is.
    peaks: [&'static str; 2],
    limit: u64,
}

enum Events {
    /// v1: the eventfd, and the file that it is registered with.
    Legacy(
        EventFd,
        #[expect(dead_code, reason = "keeps the registration")] File,
    ),
    Unified(Inotify),
}

impl Watcher {
    /// Starts to watch.
    pub(super) fn of(watch: &MemoryWatch) -> Result<Self, Failure> {
        let directory = watch.directory.clone();
        let (limit, also) = (watch.limit, watch.also.clone());
        if watch.unified {
            return Ok(Self {
                events: Events::Unified(changes(&directory.join("memory.events"))?),
                directory,
                also,
                counter: "memory.events",
                peaks: ["memory.peak", "memory.current"],
                limit,
            });
        }
        let counter = "memory.oom_control";
        Ok(Self {
            events: registered(&directory, counter)?,
            directory,
            also,
            counter,
            peaks: ["memory.max_usage_in_bytes", "memory.usage_in_bytes"],
            limit,
        })
    }

    /// Whether something has happened since the last time. A kill may follow.
    pub(super) fn take_event(&self) -> bool {
        match &self.events {
            Events::Legacy(events, _) => events.read().is_ok(),
            Events::Unified(events) => events.read_events().is_ok(),
        }
    }

    /// Tells of the limit if a process was killed over it.
    pub(super) fn exceeded(&self) -> Option<Limitation> {
        let kills = |directory: &PathBuf| {
            let counter = fs::read_to_string(directory.join(self.counter));
            kills(&counter.unwrap_or_default())
        };
        let killed = kills(&self.directory) + self.also.as_ref().map_or(0, kills);
        (killed > 0).then(|| Limitation {
            kind: LimitationKind::Memory,
            message: self.message(),
        })
    }

    fn message(&self) -> String {
        let number = |file: &&str| {
            let text = fs::read_to_string(self.directory.join(file)).ok()?;
            text.trim().parse::<u64>().ok()
        };
        let peak = self.peaks.iter().find_map(number);
        let peak = peak.map_or(String::new(), |peak| {
            format!("; it used {} MiB at most", peak / MIB)
        });
        format!("memory limit of {} MiB exceeded{peak}", self.limit / MIB)
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.events {
            Events::Legacy(events, _) => events.as_fd(),
            Events::Unified(events) => events.as_fd(),
        }
    }
}

/// The kernel's count of processes that it killed.
fn kills(counter: &str) -> u64 {
    let line = counter
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|number| number.trim().parse().ok())
        .unwrap_or_default()
}

fn changes(file: &Path) -> Result<Inotify, Failure> {
    let failed = |errno: Errno| Failure::of(Stage::Cgroup, file, errno);
    let events = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(failed)?;
    events
        .add_watch(file, AddWatchFlags::IN_MODIFY)
        .map_err(failed)?;
    Ok(events)
}

fn registered(directory: &Path, counter: &str) -> Result<Events, Failure> {
    let file = directory.join(counter);
    let counter = File::open(&file).map_err(|error| failure(Stage::Cgroup, &file, &error))?;
    let events = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(|errno| Failure::of(Stage::Cgroup, &file, errno))?;
    let control = directory.join("cgroup.event_control");
    let line = format!("{} {}", events.as_fd().as_raw_fd(), counter.as_raw_fd());
    fs::write(&control, line).map_err(|error| failure(Stage::Cgroup, &control, &error))?;
    Ok(Events::Legacy(events, counter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_read_from_both_versions() {
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        assert_eq!(kills(v1), 2);
        let v2 = "low 0\nhigh 0\nmax 9\noom 3\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(kills(v2), 1);
        assert_eq!(kills("oom_kill_disable 0\n"), 0);
    }
}
