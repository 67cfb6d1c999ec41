//! What a container with GPUs gets: device nodes, files and variables.

use std::{
    collections::BTreeMap,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{Cdi, Device, cdi::Edits};
use crate::{
    cgroup,
    launch::{Bind, shows_machine},
};

/// Nodes of the driver that each program with a GPU opens; the last two are for CUDA.
const DRIVER: [&str; 3] = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"];

/// What a container gets with its GPUs; nothing without any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Variables that a CDI specification sets.
    pub environment: BTreeMap<String, String>,
    /// Device nodes.
    pub nodes: Vec<Bind>,
    /// Files and directories that it would not see otherwise.
    pub mounts: Vec<Bind>,
    /// Those that it sees anyway, unless it has an image.
    pub shown: Vec<Bind>,
}

impl Grant {
    /// What comes with these devices.
    ///
    /// # Errors
    /// The device whose node is not there, for people.
    pub fn of(devices: &[&Device], cdi: &Cdi) -> Result<Self, String> {
        let grant = match cdi.edits(devices.iter().map(|device| device.names())) {
            Some(edits) => Self::specified(&edits),
            None => Self::known(devices),
        };
        match grant.nodes.iter().find(|node| !is_device(&node.source)) {
            None => Ok(grant),
            Some(node) => {
                let all: Vec<&str> = devices.iter().map(|device| device.uuid.as_str()).collect();
                Err(format!(
                    "{} of {} is no device node on this machine; `nvidia-modprobe -c 0 -u` makes them",
                    node.source.display(),
                    all.join(", ")
                ))
            }
        }
    }

    /// As a CDI specification says.
    fn specified(edits: &Edits) -> Self {
        let nodes = edits.device_nodes.iter().map(|node| Bind {
            source: node.host_path.clone().unwrap_or_else(|| node.path.clone()),
            target: node.path.clone(),
            read_only: false,
        });
        let mounts = edits.mounts.iter().map(|mount| Bind {
            source: mount.host_path.clone(),
            target: mount.container_path.clone(),
            read_only: !mount.options.iter().any(|option| option == "rw"),
        });
        // A file that is not there is not missed: specifications outlive updates of the driver.
        let there = mounts.filter(|bind| bind.source.exists());
        let (shown, mounts) = there.partition(is_shown);
        Self {
            environment: edits.environment(),
            nodes: nodes.collect(),
            mounts,
            shown,
        }
    }

    /// By the driver's own rules.
    fn known(devices: &[&Device]) -> Self {
        let own = devices.iter().filter_map(|device| device.node.clone());
        let driver = DRIVER
            .iter()
            .map(PathBuf::from)
            .filter(|path| is_device(path));
        let nodes = own.chain(driver.filter(|_| !devices.is_empty()));
        Self {
            nodes: nodes.map(in_place).collect(),
            ..Self::default()
        }
    }

    /// The numbers of its device nodes.
    pub(crate) fn numbers(&self) -> Vec<cgroup::Device> {
        let about = self
            .nodes
            .iter()
            .filter_map(|node| std::fs::metadata(&node.source).ok());
        let numbers = about.map(|about| nix::sys::stat::dev_t::from(about.rdev()));
        numbers
            .map(|number| cgroup::Device {
                major: nix::sys::stat::major(number).cast_signed(),
                minor: Some(nix::sys::stat::minor(number).cast_signed()),
                make: false,
            })
            .collect()
    }
}

fn in_place(path: PathBuf) -> Bind {
    Bind {
        source: path.clone(),
        target: path,
        read_only: false,
    }
}

/// Tasks see most files of the machine anyway.
fn is_shown(bind: &Bind) -> bool {
    bind.source == bind.target && shows_machine(&bind.target)
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.file_type().is_char_device())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(node: Option<&str>) -> Device {
        Device {
            uuid: "GPU-a".to_owned(),
            index: "0".to_owned(),
            model: "M".to_owned(),
            memory_mib: 1,
            node: node.map(PathBuf::from),
        }
    }

    #[test]
    fn nodes_come_from_the_driver_or_from_a_specification() {
        let grant = Grant::of(&[&device(Some("/dev/full"))], &Cdi::default()).unwrap();
        assert_eq!(grant.nodes[0], in_place("/dev/full".into()));
        let (major, minor) = (grant.numbers()[0].major, grant.numbers()[0].minor);
        assert_eq!((major, minor), (1, Some(7)));
        let spec = r#"{"kind":"nvidia.com/gpu","devices":[{"name":"GPU-a","containerEdits":
            {"deviceNodes":[{"path":"/dev/g","hostPath":"/dev/zero"}], "env":["A=b"],
             "mounts":[{"hostPath":"/proc/version","containerPath":"/run/v","options":["ro"]},
                       {"hostPath":"/etc/passwd","containerPath":"/etc/passwd"},
                       {"hostPath":"/none","containerPath":"/run/none"}]}}]}"#;
        let cdi = Cdi::of(spec).unwrap();
        let grant = Grant::of(&[&device(Some("/dev/full"))], &cdi).unwrap();
        assert_eq!(grant.nodes.len(), 1);
        assert_eq!(grant.nodes[0].source, Path::new("/dev/zero"));
        assert_eq!(grant.nodes[0].target, Path::new("/dev/g"));
        assert_eq!(grant.environment["A"], "b");
        // What the task sees anyway, and what is not there, is left out.
        let [mount] = &grant.mounts[..] else {
            panic!("{:?}", grant.mounts)
        };
        assert!(mount.read_only && mount.target == Path::new("/run/v"));
    }

    #[test]
    fn no_gpus_are_no_nodes_and_a_missing_node_is_told() {
        assert_eq!(Grant::of(&[], &Cdi::default()), Ok(Grant::default()));
        let problem = Grant::of(&[&device(Some("/dev/nvidia-none"))], &Cdi::default());
        let problem = problem.unwrap_err();
        assert!(
            problem.contains("/dev/nvidia-none of GPU-a is no device node"),
            "{problem}"
        );
    }
}
