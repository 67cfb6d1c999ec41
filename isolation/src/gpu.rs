//! The NVIDIA GPUs of this machine, as its driver tells of them (NVML), and what it takes to use them.
//!
//! The driver's library is looked up at run time: a machine without it has no GPUs, and says why. Single
//! facts that a driver does not tell (an old one, a virtual machine) are absent; a GPU without an
//! index, a UUID or memory is none to give to a task, and an error. Which task gets which GPU is the
//! agent's business.
//!
//! | question | file |
//! |---|---|
//! | what can be given to tasks? | `gpu/device.rs` |
//! | what do specifications (CDI) say of it? | `gpu/cdi.rs` |
//! | what does a container with it get? | `gpu/grant.rs` |
//! | what does a container use of it? | `gpu/meter.rs` |

mod cdi;
mod device;
mod grant;
mod meter;

use std::path::Path;

use nvml_wrapper::{Nvml, error::NvmlError};
use serde::{Deserialize, Serialize};

pub use cdi::{Cdi, DIRECTORIES as CDI_DIRECTORIES, Edits, Mount, Node};
pub use device::Device;
pub use grant::Grant;
pub use meter::Meter;

const MIB: u64 = 1 << 20;

/// The GPUs of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpus {
    /// The driver's version, as `580.159.04`; absent where it is not told.
    pub driver: Option<String>,
    /// By index.
    pub gpus: Vec<Gpu>,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its number with this driver; may change when the machine boots.
    pub index: u32,
    /// Its name for life, as `GPU-8a1...`.
    pub uuid: String,
    /// As `NVIDIA H100 80GB HBM3`.
    pub model: String,
    /// The number of its device node: 3 for `/dev/nvidia3`.
    pub minor: Option<u32>,
    /// Its memory, in MiB.
    pub memory_mib: u64,
    /// What of that is in use, in MiB, what the driver keeps for itself not counted.
    pub used_mib: u64,
    /// For how much of the last sample period something ran on it, in percent.
    pub busy_percent: Option<u32>,
    /// Processes that compute on it.
    pub processes: Option<u32>,
    /// The parts that it is divided into; none if it is used whole.
    pub instances: Option<Vec<MigInstance>>,
}

/// A part of a divided GPU (Multi-Instance GPU).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigInstance {
    /// Its number on its GPU.
    pub index: u32,
    /// Its name for life, as `MIG-41c...`.
    pub uuid: String,
    /// Its memory, in MiB.
    pub memory_mib: u64,
}

/// Why no GPUs can be told of.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// No library to ask.
    #[error("no NVIDIA driver on this machine ({library} cannot be loaded)")]
    NoLibrary {
        /// The library looked for.
        library: String,
        /// What the loader says.
        #[source]
        source: Box<NvmlError>,
    },
    /// The library is there, the driver is not.
    #[error("the NVIDIA driver does not answer; load its kernel module or restart the machine")]
    NoDriver {
        /// What the library says.
        #[source]
        source: Box<NvmlError>,
    },
    /// A GPU that cannot be used.
    #[error("GPU {index} does not tell its {what}; look at it with nvidia-smi")]
    Mute {
        /// Which.
        index: u32,
        /// What is missing.
        what: &'static str,
        /// What the library says.
        #[source]
        source: Box<NvmlError>,
    },
}

/// Asks the driver; `library` in place of the one that the system finds.
///
/// # Errors
/// [`GpuError`].
pub fn discover(library: Option<&Path>) -> Result<Gpus, GpuError> {
    let nvml = open(library)?;
    let count = nvml.device_count().map_err(|source| GpuError::NoDriver {
        source: Box::new(source),
    })?;
    let gpus = (0..count).map(|index| describe(&nvml, index));
    Ok(Gpus {
        driver: nvml.sys_driver_version().ok(),
        gpus: gpus.collect::<Result<_, _>>()?,
    })
}

/// Loads the driver's library.
fn open(library: Option<&Path>) -> Result<Nvml, GpuError> {
    let library = library.unwrap_or(Path::new("libnvidia-ml.so.1"));
    let opened = Nvml::builder().lib_path(library.as_os_str()).init();
    opened.map_err(|source| refused(library.display().to_string(), source))
}

fn refused(library: String, source: NvmlError) -> GpuError {
    let source = Box::new(source);
    match *source {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            GpuError::NoLibrary { library, source }
        }
        _ => GpuError::NoDriver { source },
    }
}

fn describe(nvml: &Nvml, index: u32) -> Result<Gpu, GpuError> {
    let mute = |what: &'static str| {
        move |source| GpuError::Mute {
            index,
            what,
            source: Box::new(source),
        }
    };
    let device = nvml.device_by_index(index).map_err(mute("handle"))?;
    let memory = device.memory_info().map_err(mute("memory"))?;
    Ok(Gpu {
        index,
        uuid: device.uuid().map_err(mute("UUID"))?,
        model: device.name().map_err(mute("model"))?,
        minor: device.minor_number().ok(),
        memory_mib: memory.total / MIB,
        used_mib: memory.used / MIB,
        busy_percent: device.utilization_rates().ok().map(|rates| rates.gpu),
        processes: device.running_compute_processes_count().ok(),
        instances: instances(&device),
    })
}

/// The parts of a GPU that is divided. The number that the driver gives is how many there can be.
fn instances(device: &nvml_wrapper::Device<'_>) -> Option<Vec<MigInstance>> {
    let divided = device.mig_mode().ok()?.current == 1;
    if !divided {
        return None;
    }
    let count = device.mig_device_count().unwrap_or_default();
    let instance = |index| {
        let part = device.mig_device_by_index(index).ok()?;
        let memory = part.memory_info().ok()?;
        Some(MigInstance {
            index,
            uuid: part.uuid().ok()?,
            memory_mib: memory.total / MIB,
        })
    };
    Some((0..count).filter_map(instance).collect())
}
