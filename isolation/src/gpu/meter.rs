//! What containers use of GPUs, as the driver tells it.
//!
//! Of a whole GPU all that happens on it counts; of a shared one, what the container's processes do, as
//! far as the driver tells them apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::OnceLock,
};

use nvml_wrapper::{
    Device, Nvml, enums::device::UsedGpuMemory, struct_wrappers::device::ProcessUtilizationSample,
};
use tepui_protocol::{GpuShare, Usage};

use super::open;

/// Asks the driver; its library is loaded when it is first needed, and kept.
#[derive(Debug, Default)]
pub struct Meter {
    library: Option<PathBuf>,
    nvml: OnceLock<Option<Nvml>>,
}

impl Meter {
    /// One that asks `library` in place of the one that the system finds.
    pub fn with(library: PathBuf) -> Self {
        Self {
            library: Some(library),
            nvml: OnceLock::new(),
        }
    }

    /// Adds what `processes` use of their GPUs; nothing where the driver does not tell.
    pub fn read(&self, shares: &[GpuShare], processes: &BTreeSet<u32>, usage: &mut Usage) {
        let open = || open(self.library.as_deref()).ok();
        let Some(nvml) = self.nvml.get_or_init(open) else {
            return;
        };
        for share in shares {
            let Ok(device) = nvml.device_by_uuid(share.uuid.as_str()) else {
                continue;
            };
            let (milli, memory) = match share.milli {
                1000 => whole(&device),
                _ => part(&device, processes),
            };
            usage.gpu_milli = add(usage.gpu_milli, milli);
            usage.gpu_memory = add(usage.gpu_memory, memory);
        }
    }
}

fn add(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

fn whole(device: &Device<'_>) -> (Option<u64>, Option<u64>) {
    let busy = device.utilization_rates().ok();
    let memory = device.memory_info().ok();
    (
        busy.map(|rates| u64::from(rates.gpu) * 10),
        memory.map(|memory| memory.used),
    )
}

fn part(device: &Device<'_>, ours: &BTreeSet<u32>) -> (Option<u64>, Option<u64>) {
    let samples = device.process_utilization_stats(None).ok();
    let milli = samples.map(|samples| newest(&samples, ours));
    let running = device.running_compute_processes().ok();
    let memory = running.map(|running| {
        let of_ours = running
            .into_iter()
            .filter(|process| ours.contains(&process.pid));
        let used = of_ours.map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => bytes,
            UsedGpuMemory::Unavailable => 0,
        });
        used.sum()
    });
    (milli, memory)
}

/// The sum of each process's latest sample, in thousandths.
fn newest(samples: &[ProcessUtilizationSample], ours: &BTreeSet<u32>) -> u64 {
    let mut latest: BTreeMap<u32, &ProcessUtilizationSample> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| ours.contains(&sample.pid)) {
        let known = latest.entry(sample.pid).or_insert(sample);
        if known.timestamp < sample.timestamp {
            *known = sample;
        }
    }
    latest
        .values()
        .map(|sample| u64::from(sample.sm_util) * 10)
        .sum()
}
