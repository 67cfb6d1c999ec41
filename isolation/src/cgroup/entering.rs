//! Entering a group takes the kernel's word for a lock of all processors, which comes after an RCU
//! grace period: 5 to 20 ms, unless somebody has entered a group within the last 10 ms or so. Most of a
//! launch is over by then if the wait begins with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use super::Mounts;

/// The thread makes two system calls.
const STACK: usize = 64 * 1024;

/// Has the kernel wait now, on a thread of its own: somebody is going to enter a group soon.
pub(crate) fn announce() {
    // Without it, entering takes longer.
    let _ = thread::Builder::new()
        .name("entering".to_owned())
        .stack_size(STACK)
        .spawn(stay);
}

/// Enters the group that this process is in already.
fn stay() -> io::Result<()> {
    let mounts = Mounts::of_this_process()?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let entrance = entrance(&mounts, &groups).ok_or(io::ErrorKind::NotFound)?;
    fs::write(entrance, "0")
}

/// Where a process with these `groups` (`/proc/self/cgroup`) enters one of them.
fn entrance(mounts: &Mounts, groups: &str) -> Option<PathBuf> {
    groups.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, group) = line.split_once(':')?;
        let mount = match controllers {
            "" => mounts.v2.as_ref().filter(|_| mounts.v1.is_empty()),
            some => some.split(',').find_map(|name| mounts.v1.get(name)),
        }?;
        let group = Path::new(group.trim_start_matches('/'));
        Some(mount.join(group).join("cgroup.procs"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_its_own_is_found_in_either_version() {
        let v1 = Mounts {
            v1: [("pids".to_owned(), "/cg/pids".into())].into(),
            v2: Some("/cg/unified".into()),
        };
        let groups = "9:name=systemd:/\n8:cpu,pids:/a/b\n0::/c\n";
        let found = entrance(&v1, groups);
        assert_eq!(found, Some("/cg/pids/a/b/cgroup.procs".into()));
        let v2 = Mounts {
            v1: [].into(),
            v2: Some("/cg".into()),
        };
        let found = entrance(&v2, "0::/\n");
        assert_eq!(found, Some("/cg/cgroup.procs".into()));
        assert_eq!(entrance(&Mounts::default(), groups), None);
    }

    #[test]
    fn who_stays_is_where_it_was() {
        let groups = || fs::read_to_string("/proc/self/cgroup").unwrap();
        let before = groups();
        // Without the right to it, or without groups, nothing happens.
        let _ = stay();
        assert_eq!(groups(), before);
    }
}
