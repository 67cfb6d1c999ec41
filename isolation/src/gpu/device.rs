//! Which GPUs of a machine can be given to tasks, and how their device nodes are called.
//!
//! A GPU that is used whole is one device, each part of a divided one (MIG) is one. Nodes come from a
//! CDI specification where one knows the device (`gpu/cdi.rs`), else from the driver's numbers.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Cdi, Gpus};

/// A GPU, or a part of one, that a task can have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its name for life, as `GPU-8a1...` or `MIG-41c...`.
    pub uuid: String,
    /// Its number with this driver: `3`, or `3:0` for the first part of GPU 3.
    pub index: String,
    /// As `NVIDIA H100 80GB HBM3`.
    pub model: String,
    /// Its memory, in MiB.
    pub memory_mib: u64,
    /// Its device node; absent where only a CDI specification tells of it.
    pub node: Option<PathBuf>,
}

impl Device {
    /// The names that a CDI specification may have for it.
    pub fn names(&self) -> [&str; 2] {
        [&self.uuid, &self.index]
    }
}

impl Gpus {
    /// What can be given to tasks, by index; and what cannot, each with the reason.
    pub fn devices(&self, cdi: &Cdi) -> (Vec<Device>, Vec<String>) {
        let (mut devices, mut refused) = (Vec::new(), Vec::new());
        for device in self.candidates() {
            if device.node.is_some() || cdi.knows(device.names()) {
                devices.push(device);
            } else {
                refused.push(format!(
                    "GPU {} ({}): its device nodes are not known; `nvidia-ctk cdi generate \
                     --output=/etc/cdi/nvidia.yaml` writes them down",
                    device.index, device.uuid
                ));
            }
        }
        (devices, refused)
    }

    fn candidates(&self) -> Vec<Device> {
        let of_gpu = self.gpus.iter().map(|gpu| match &gpu.instances {
            None => vec![Device {
                uuid: gpu.uuid.clone(),
                index: gpu.index.to_string(),
                model: gpu.model.clone(),
                memory_mib: gpu.memory_mib,
                node: gpu.minor.map(node),
            }],
            // A part needs nodes of its own beside the GPU's, which the driver does not tell here.
            Some(parts) => parts
                .iter()
                .map(|part| Device {
                    uuid: part.uuid.clone(),
                    index: format!("{}:{}", gpu.index, part.index),
                    model: format!("{} (a part)", gpu.model),
                    memory_mib: part.memory_mib,
                    node: None,
                })
                .collect(),
        });
        of_gpu.flatten().collect()
    }
}

fn node(minor: u32) -> PathBuf {
    Path::new("/dev").join(format!("nvidia{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Gpu, MigInstance};

    fn gpu(index: u32, minor: Option<u32>, parts: Option<u32>) -> Gpu {
        let part = |n| MigInstance {
            index: n,
            uuid: format!("MIG-{index}-{n}"),
            memory_mib: 10,
        };
        Gpu {
            index,
            uuid: format!("GPU-{index}"),
            model: "M".to_owned(),
            minor,
            memory_mib: 80,
            used_mib: 0,
            busy_percent: None,
            processes: None,
            instances: parts.map(|count| (0..count).map(part).collect()),
        }
    }

    #[test]
    fn whole_gpus_are_devices_and_so_are_parts_whose_nodes_are_known() {
        let found = Gpus {
            driver: None,
            gpus: vec![
                gpu(0, Some(3), None),
                gpu(1, Some(4), Some(2)),
                gpu(2, None, None),
            ],
        };
        let (devices, refused) = found.devices(&Cdi::default());
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0].node.as_deref(), Some(Path::new("/dev/nvidia3")));
        assert_eq!(devices[0].names(), ["GPU-0", "0"]);
        assert_eq!(refused.len(), 3, "{refused:?}");
        assert!(refused[0].starts_with("GPU 1:0 (MIG-1-0): its device nodes are not known"));
        let spec = r#"{"kind":"nvidia.com/gpu","devices":[{"name":"1:1","containerEdits":{}}]}"#;
        let (devices, refused) = found.devices(&Cdi::of(spec).unwrap());
        let uuids: Vec<&str> = devices.iter().map(|device| device.uuid.as_str()).collect();
        assert_eq!((uuids, refused.len()), (vec!["GPU-0", "MIG-1-1"], 2));
    }
}
