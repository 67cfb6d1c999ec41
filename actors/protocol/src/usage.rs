//! What a task has used, as its agent counts it.

use serde::{Deserialize, Serialize};

/// What the container of a task, or of an executor with its tasks, has used. Amounts that nobody
/// counts are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Processor time since its start, in microseconds.
    pub cpu_us: Option<u64>,
    /// Of that, in programs themselves, in microseconds.
    pub cpu_user_us: Option<u64>,
    /// Of that, in the kernel for them, in microseconds.
    pub cpu_system_us: Option<u64>,
    /// Processors in use at the last look, in thousandths.
    pub cpu_milli: Option<u64>,
    /// The most of them at any look, in thousandths.
    pub cpu_milli_peak: Option<u64>,
    /// For how long it was held back by its hard limit of processors, in microseconds.
    pub throttled_us: Option<u64>,
    /// Memory now, page cache included, in bytes.
    pub memory: Option<u64>,
    /// Of that, what is not backed by files, in bytes.
    pub memory_anonymous: Option<u64>,
    /// Of that, the page cache, in bytes.
    pub memory_cache: Option<u64>,
    /// The most that it ever was, in bytes.
    pub memory_peak: Option<u64>,
    /// The limit, in bytes.
    pub memory_limit: Option<u64>,
    /// Processes that the kernel killed over the limit.
    pub memory_kills: Option<u64>,
    /// Processes and threads now.
    pub pids: Option<u64>,
    /// The most of them at any look.
    pub pids_peak: Option<u64>,
    /// Read from disks, in bytes.
    pub io_read: Option<u64>,
    /// Written to disks, in bytes.
    pub io_written: Option<u64>,
    /// What lies in its sandbox, in bytes.
    pub disk: Option<u64>,
    /// GPUs that it kept busy in the driver's last sample period, in thousandths of one.
    pub gpu_milli: Option<u64>,
    /// Memory of GPUs now, in bytes.
    pub gpu_memory: Option<u64>,
}

impl Usage {
    /// What several have used together; of peaks, the most that it can have been.
    pub fn sum(all: impl IntoIterator<Item = Usage>) -> Usage {
        let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        all.into_iter().fold(Usage::default(), |a, b| Usage {
            cpu_us: add(a.cpu_us, b.cpu_us),
            cpu_user_us: add(a.cpu_user_us, b.cpu_user_us),
            cpu_system_us: add(a.cpu_system_us, b.cpu_system_us),
            cpu_milli: add(a.cpu_milli, b.cpu_milli),
            cpu_milli_peak: add(a.cpu_milli_peak, b.cpu_milli_peak),
            throttled_us: add(a.throttled_us, b.throttled_us),
            memory: add(a.memory, b.memory),
            memory_anonymous: add(a.memory_anonymous, b.memory_anonymous),
            memory_cache: add(a.memory_cache, b.memory_cache),
            memory_peak: add(a.memory_peak, b.memory_peak),
            memory_limit: add(a.memory_limit, b.memory_limit),
            memory_kills: add(a.memory_kills, b.memory_kills),
            pids: add(a.pids, b.pids),
            pids_peak: add(a.pids_peak, b.pids_peak),
            io_read: add(a.io_read, b.io_read),
            io_written: add(a.io_written, b.io_written),
            disk: add(a.disk, b.disk),
            gpu_milli: add(a.gpu_milli, b.gpu_milli),
            gpu_memory: add(a.gpu_memory, b.gpu_memory),
        })
    }
}

/// What a task has of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GpuShare {
    /// Which: its name for life, as `GPU-8a1...`, or that of a part of it, as `MIG-41c...`.
    pub uuid: String,
    /// How much of it, in thousandths; below 1000 others may have the rest.
    pub milli: u32,
}
