//! Where control groups are mounted, read from `/proc/self/mountinfo` (proc(5)).

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The mounts of control groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// Version 1: where each controller is mounted.
    pub v1: BTreeMap<String, PathBuf>,
    /// Version 2, if it is mounted.
    pub v2: Option<PathBuf>,
}

impl Mounts {
    /// As this process sees them.
    ///
    /// # Errors
    /// What reading says.
    pub fn of_this_process() -> io::Result<Self> {
        fs::read_to_string("/proc/self/mountinfo").map(|text| Self::parse(&text))
    }

    /// Reads the text of `mountinfo`. Only mounts of a whole hierarchy count: of the others the
    /// names of groups are not known.
    pub fn parse(mountinfo: &str) -> Self {
        let mut mounts = Self::default();
        for line in mountinfo.lines() {
            let Some((mount, kind)) = line.split_once(" - ") else {
                continue;
            };
            let mount: Vec<&str> = mount.split(' ').collect();
            let mut kind = kind.split(' ');
            let (Some(&"/"), Some(&point)) = (mount.get(3), mount.get(4)) else {
                continue;
            };
            let point = PathBuf::from(point.replace("\\040", " "));
            match kind.next() {
                Some("cgroup2") => mounts.v2 = Some(point),
                Some("cgroup") => {
                    let options = kind.nth(1).unwrap_or_default().split(',');
                    for name in options.filter(|name| is_controller(name)) {
                        mounts.v1.insert(name.to_owned(), point.clone());
                    }
                }
                _ => {}
            }
        }
        mounts
    }

    /// All mounts of control groups, also of hierarchies without a controller.
    pub(crate) fn all(mountinfo: &str) -> Vec<PathBuf> {
        let lines = mountinfo.lines();
        let points = lines.filter_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let point = mount.split(' ').nth(4)?;
            kind.starts_with("cgroup").then(|| PathBuf::from(point))
        });
        points.collect()
    }

    /// The group of version 2 that this process is in, below the mount.
    pub(super) fn own_group(&self) -> PathBuf {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = text.lines().find_map(|line| line.strip_prefix("0::"));
        Path::new(path.unwrap_or("/").trim_start_matches('/')).to_owned()
    }
}

/// Options of the mount beside controllers: `rw`, `name=systemd`, `xattr`, `release_agent=...`.
fn is_controller(option: &str) -> bool {
    !option.is_empty()
        && !option.contains('=')
        && !matches!(option, "rw" | "ro" | "xattr")
        && !matches!(option, "clone_children" | "noprefix" | "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_where_they_are_mounted() {
        let text = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
44 31 0:32 /docker/1 /elsewhere rw - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
22 1 8:1 / / rw - ext4 /dev/sda1 rw
";
        let mounts = Mounts::parse(text);
        assert_eq!(mounts.v2, Some("/sys/fs/cgroup/unified".into()));
        let names: Vec<&String> = mounts.v1.keys().collect();
        assert_eq!(names, ["cpu", "cpuacct", "memory"]);
        assert_eq!(mounts.v1["memory"], Path::new("/sys/fs/cgroup/mem ory"));
        assert_eq!(mounts.v1["cpuacct"], mounts.v1["cpu"]);
        assert_eq!(Mounts::parse("rubbish"), Mounts::default());
    }
}
