//! What a process leaves behind: descendants that changed their group, or whose parent is gone.
//!
//! Without privileges there is no cgroup to empty, so descendants are found in two ways: by an
//! environment variable with a value nobody else has (it is inherited over any number of forks),
//! and by parenthood and group. Only a process that clears its environment, leaves its group and
//! loses its parents, all three, gets away.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use nix::{errno::Errno, sys::signal, sys::wait, unistd::Pid};

use super::identity::{ProcessIdentity, Stat};

/// Rounds of killing before giving up, and the pause between them: 2 s in all.
const ROUNDS: u32 = 400;
const PAUSE: Duration = Duration::from_millis(5);

/// Processes would not die, or could not be killed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("processes {pids:?} survived SIGKILL")]
pub struct Survivors {
    /// Their numbers.
    pub pids: Vec<u32>,
}

/// Kills every process that has `name=value` in its environment, with its groups and descendants,
/// until none is left. Blocks for some milliseconds, 2 s at most. Never hits the caller.
///
/// # Errors
/// [`Survivors`] when some are left after 2 s.
pub fn kill_marked(name: &str, value: &str) -> Result<(), Survivors> {
    let marker = format!("{name}={value}");
    kill_all(|all| {
        all.keys()
            .copied()
            .filter(|pid| is_marked(*pid, &marker))
            .collect()
    })
}

/// The live processes that have `name=value` in their environment.
pub fn marked(name: &str, value: &str) -> Vec<ProcessIdentity> {
    let marker = format!("{name}={value}");
    let live = live_processes().into_iter();
    let marked = live.filter(|(pid, _)| is_marked(*pid, &marker));
    marked
        .map(|(pid, stat)| ProcessIdentity {
            pid,
            start_time: stat.start_time,
        })
        .collect()
}

/// Makes the calling process the one that orphaned descendants fall to, so that
/// [`kill_descendants`] finds them.
///
/// # Errors
/// What the system says; a kernel before 3.4 cannot.
pub fn adopt_orphans() -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Kills all descendants of the calling process until none is left. Costs one system call when
/// there are none.
///
/// # Errors
/// [`Survivors`] when some are left after 2 s.
pub fn kill_descendants() -> Result<(), Survivors> {
    if !has_children() {
        return Ok(());
    }
    let me = std::process::id();
    kill_all(|all| {
        all.iter()
            .filter(|(_, stat)| stat.parent == me)
            .map(|(pid, _)| *pid)
            .collect()
    })
}

/// Waits until `over` holds, looking every few milliseconds: for processes that are nobody's child,
/// whose end raises no event. Blocks.
///
/// # Errors
/// A text when it does not hold after 2 s.
pub fn await_end(over: impl FnMut() -> bool) -> Result<(), &'static str> {
    match await_rounds(ROUNDS, over) {
        true => Ok(()),
        false => Err("it still runs after 2 s"),
    }
}

/// As [`await_end`], for tests: with patience for a machine that is slow, a minute. True when it holds.
pub fn await_patiently(over: impl FnMut() -> bool) -> bool {
    await_rounds(30 * ROUNDS, over)
}

fn await_rounds(rounds: u32, mut over: impl FnMut() -> bool) -> bool {
    (0..rounds).any(|_| {
        over() || {
            std::thread::park_timeout(PAUSE);
            false
        }
    })
}

fn has_children() -> bool {
    let flags =
        wait::WaitPidFlag::WEXITED | wait::WaitPidFlag::WNOHANG | wait::WaitPidFlag::WNOWAIT;
    wait::waitid(wait::Id::All, flags) != Err(Errno::ECHILD)
}

fn is_marked(pid: u32, marker: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|entry| entry == marker.as_bytes())
}

/// All processes that run, by number.
fn live_processes() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let stats = pids.filter_map(|pid| Some((pid, Stat::read(pid)?)));
    stats.filter(|(_, stat)| stat.is_alive()).collect()
}

/// Kills what `roots` picks and everything that belongs to it, again and again until nothing is
/// left, since a process may fork between being seen and being killed.
fn kill_all(roots: impl Fn(&BTreeMap<u32, Stat>) -> BTreeSet<u32>) -> Result<(), Survivors> {
    let mut doomed = BTreeSet::new();
    let emptied = await_end(|| {
        let all = live_processes();
        doomed = belonging_to(roots(&all), &all);
        for pid in &doomed {
            // A failure means that it is gone, or belongs to another user; the next round tells.
            let _ = signal::kill(Pid::from_raw(pid.cast_signed()), signal::Signal::SIGKILL);
        }
        doomed.is_empty()
    });
    emptied.map_err(|_| Survivors {
        pids: doomed.into_iter().collect(),
    })
}

/// `roots`, the groups they lead, and all descendants; never the caller.
fn belonging_to(roots: BTreeSet<u32>, all: &BTreeMap<u32, Stat>) -> BTreeSet<u32> {
    let me = std::process::id();
    let mut family = roots;
    family.remove(&me);
    loop {
        let before = family.len();
        let related = |(pid, stat): &(&u32, &Stat)| {
            **pid != me && (family.contains(&stat.parent) || family.contains(&stat.group))
        };
        let more: Vec<u32> = all.iter().filter(related).map(|(pid, _)| *pid).collect();
        family.extend(more);
        if family.len() == before {
            return family;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::process::{LaunchSpec, STDOUT};

    fn stat(parent: u32, group: u32) -> Stat {
        Stat {
            state: 'S',
            parent,
            group,
            start_time: 0,
        }
    }

    #[test]
    fn a_family_is_roots_groups_and_descendants() {
        // 10 is marked; 11 its child; 12 an orphan in 10's group; 13 12's child; 20 a stranger.
        let all = BTreeMap::from([
            (10, stat(1, 10)),
            (11, stat(10, 99)),
            (12, stat(1, 10)),
            (13, stat(12, 98)),
            (20, stat(1, 20)),
        ]);
        assert_eq!(belonging_to([10].into(), &all), [10, 11, 12, 13].into());
        assert_eq!(belonging_to([std::process::id()].into(), &all), [].into());
    }

    fn reading_end(dir: &std::path::Path) -> (PathBuf, std::thread::JoinHandle<String>) {
        let pipe = dir.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let path = pipe.clone();
        (
            pipe,
            std::thread::spawn(move || fs::read_to_string(path).unwrap()),
        )
    }

    #[test]
    fn a_process_that_left_its_group_and_parents_is_found_by_its_mark() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, reader) = reading_end(dir.path());
        let mark = format!("{}-{}", std::process::id(), dir.path().display());
        let environment = BTreeMap::from([
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("RUN".to_owned(), mark.clone()),
        ]);
        // The grandchild has a session of its own and no living parent; it tells us when it runs.
        let line = format!(
            "setsid sh -c 'echo $$; echo up > {}; exec sleep 1000' & wait $!",
            pipe.display()
        );
        let launched = LaunchSpec::shell(&line, environment, dir.path().to_owned())
            .launch()
            .unwrap();
        assert_eq!(reader.join().unwrap(), "up\n");
        launched
            .identity()
            .signal_group(crate::Signal::Kill)
            .unwrap();
        launched.wait().unwrap();
        let pid = fs::read_to_string(dir.path().join(STDOUT))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let stray = ProcessIdentity::of(pid).unwrap();
        // In the midst of its exec it has no environment.
        assert!(await_patiently(|| marked("RUN", &mark).contains(&stray)));
        assert!(stray.is_alive());
        kill_marked("RUN", &mark).unwrap();
        assert!(!stray.is_alive());
        assert_eq!(marked("RUN", &mark), []);
        assert!(kill_marked("RUN", "a mark that nobody has").is_ok());
    }
}
