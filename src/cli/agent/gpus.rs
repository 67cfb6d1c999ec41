//! Which of the machine's GPUs an agent offers, and what it says where it offers none.
//!
//! What the operator asks for comes first: `gpus:N` of the resources is how many, `--gpu-devices` which.
//! Where nothing is asked for, all are offered that the driver tells of; that there are none is then
//! no news.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use tepui_agent::AgentConfig;
use tepui_isolation::{
    IsolationConfig,
    gpu::{Cdi, Device, discover},
};
use tepui_protocol::{Resource, Scalar, resources::GPUS};

use crate::{cli::bad_input, output};

/// The flag of nodes that run tasks.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GpuDevices {
    /// GPUs to offer, by index or UUID; none: count gpus of --resources like any other [default: auto]
    #[arg(
        long,
        env = "TEPUI_GPU_DEVICES",
        value_name = "auto|none|GPU,..",
        value_delimiter = ','
    )]
    gpu_devices: Vec<String>,
}

/// GPUs that can be offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    devices: Vec<Device>,
    /// Whether GPUs are more than a number here.
    is_managed: bool,
    /// Why there are no more.
    reason: String,
    /// For people, in any case.
    notes: Vec<String>,
}

impl GpuDevices {
    /// What the flag says, or else the file.
    pub(crate) fn or(&self, file: Vec<String>) -> Self {
        match self.gpu_devices.is_empty() {
            true => Self { gpu_devices: file },
            false => self.clone(),
        }
    }

    /// Asks the driver for them.
    ///
    /// # Errors
    /// When a GPU is asked for by name that is not there.
    pub(crate) fn find(&self, cdi_dirs: &[PathBuf]) -> anyhow::Result<Found> {
        if self.gpu_devices == ["none"] {
            return Ok(Found::default());
        }
        let (cdi, problems) = Cdi::read(cdi_dirs);
        let found = discover(None).map_err(|error| error.to_string());
        let found = found.map(|gpus| gpus.devices(&cdi));
        let names = self.gpu_devices.iter().filter(|name| *name != "auto");
        let names: Vec<&str> = names.map(String::as_str).collect();
        let mut found = choose(&names, found).map_err(|problem| bad_input(anyhow!(problem)))?;
        found.notes.extend(problems);
        Ok(found)
    }
}

type Told = Result<(Vec<Device>, Vec<String>), String>;

/// Those named of what the driver told; all if none is named.
fn choose(names: &[&str], told: Told) -> Result<Found, String> {
    let (devices, notes, reason) = match told {
        Ok((devices, notes)) => {
            let reason = format!("the driver tells of {} that can be", devices.len());
            (devices, notes, reason)
        }
        Err(reason) => (Vec::new(), Vec::new(), reason),
    };
    let is_managed = true;
    if names.is_empty() {
        return Ok(Found {
            devices,
            is_managed,
            reason,
            notes,
        });
    }
    let mut chosen: Vec<Device> = Vec::new();
    for name in names {
        let device = devices.iter().find(|device| device.names().contains(name));
        let device = device.ok_or_else(|| missing(name, &devices, &reason))?;
        if !chosen.contains(device) {
            chosen.push(device.clone());
        }
    }
    Ok(Found {
        reason: format!("--gpu-devices names {}", chosen.len()),
        devices: chosen,
        is_managed,
        notes: Vec::new(),
    })
}

fn missing(name: &str, devices: &[Device], reason: &str) -> String {
    let known = devices
        .iter()
        .map(|device| format!("{} ({})", device.index, device.uuid));
    let known: Vec<String> = known.collect();
    match known.is_empty() {
        true => format!("--gpu-devices {name}: {reason}"),
        false => format!(
            "--gpu-devices {name}: no such GPU here; there are {}",
            known.join(", ")
        ),
    }
}

impl Found {
    /// The `n`-th of several parts with `size` GPUs each.
    pub(crate) fn part(&self, n: usize, size: usize) -> Self {
        let devices = self.devices.iter().skip(n * size).take(size);
        Self {
            devices: devices.cloned().collect(),
            ..self.clone()
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.devices.len()
    }

    /// Why there are no more.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// What people are told in any case, in one line.
    pub(crate) fn tell(&self) {
        if !self.notes.is_empty() {
            output::note(&self.notes.join("; "));
        }
    }

    /// Makes the agent offer them, as far as its resources do not say otherwise, and tells what it
    /// does not offer although it was asked for.
    pub(crate) fn offer(
        self,
        config: &mut AgentConfig,
        isolation: &mut IsolationConfig,
    ) -> Option<String> {
        if !self.is_managed {
            return None;
        }
        let asked = config.resources.gpus();
        let is_asked = config.explicit_resources.contains(GPUS);
        let there = Scalar::from_whole(self.devices.len() as u64);
        let mut devices = self.devices;
        let mut note = None;
        if !is_asked || asked > there {
            let others = config
                .resources
                .iter()
                .filter(|resource| resource.name != GPUS);
            let gpus = Resource::scalar(GPUS, there);
            config.resources = others.cloned().chain([gpus]).collect();
            let reason = &self.reason;
            match (is_asked, there.is_zero()) {
                (false, true) => tracing::debug!(reason, "no GPUs are offered"),
                (false, false) => {}
                (true, true) => note = Some(format!("gpus:{asked} are not offered: {reason}")),
                (true, false) => {
                    note = Some(format!(
                        "gpus:{there} of gpus:{asked} are offered: {reason}"
                    ));
                }
            }
        } else {
            let whole = usize::try_from((asked.milli() + 999) / 1000).unwrap_or_default();
            devices.truncate(whole);
        }
        describe(&devices, config);
        config.gpus = devices.iter().map(|device| device.uuid.clone()).collect();
        isolation.gpus = devices;
        note
    }
}

/// An agent that had GPUs and has none does not start: the same error, with what the driver says.
pub(crate) fn explained(error: anyhow::Error, reason: &str) -> anyhow::Error {
    let text = output::chain(&error);
    match text.contains("gpu") && !reason.is_empty() {
        true => anyhow!("{text} (GPUs: {reason})"),
        false => error,
    }
}

/// Attributes by which frameworks choose; those of the operator stay.
fn describe(devices: &[Device], config: &mut AgentConfig) {
    let Some(memory) = devices.iter().map(|device| device.memory_mib).min() else {
        return;
    };
    let mut models: Vec<&str> = devices.iter().map(|device| device.model.as_str()).collect();
    models.dedup();
    let found = [
        ("gpu_model", models.join(", ")),
        ("gpu_memory", memory.to_string()),
    ];
    for (name, value) in found {
        config.attributes.entry(name.to_owned()).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use tepui_isolation::Discovered;

    use super::*;

    fn device(n: u32) -> Device {
        Device {
            uuid: format!("GPU-{n}"),
            index: n.to_string(),
            model: "H100".to_owned(),
            memory_mib: 80_000 + u64::from(n),
            node: None,
        }
    }

    fn told(count: u32) -> Told {
        Ok(((0..count).map(device).collect(), vec![]))
    }

    /// What an agent with these settings says, offers, and gives to tasks.
    fn offered(names: &[&str], told: Told, asked: &str) -> (Option<String>, String, Vec<String>) {
        let asked = asked.parse().unwrap();
        let discovered = tepui_isolation::discovery::merge(&"cpus:1".parse().unwrap(), &asked);
        offered_of(choose(names, told).unwrap(), discovered)
    }

    fn offered_of(found: Found, discovered: Discovered) -> (Option<String>, String, Vec<String>) {
        let mut config = AgentConfig::default().with_resources(discovered);
        let note = found.offer(&mut config, &mut IsolationConfig::default());
        (note, config.resources.to_string(), config.gpus)
    }

    #[test]
    fn all_that_the_driver_tells_of_is_offered_unless_fewer_are_asked_for() {
        let (note, resources, gpus) = offered(&[], told(2), "");
        assert_eq!((note, resources.as_str()), (None, "cpus:1;gpus:2"));
        assert_eq!(gpus, ["GPU-0", "GPU-1"]);
        let (note, resources, gpus) = offered(&[], told(2), "gpus:1");
        assert_eq!((note, resources.as_str()), (None, "cpus:1;gpus:1"));
        assert_eq!(gpus, ["GPU-0"]);
        let (_, resources, gpus) = offered(&["GPU-1"], told(2), "");
        assert_eq!(
            (resources.as_str(), gpus),
            ("cpus:1;gpus:1", vec!["GPU-1".to_owned()])
        );
    }

    #[test]
    fn what_is_asked_for_and_not_there_is_told_in_one_line() {
        let none = || Err("no NVIDIA driver on this machine".to_owned());
        let (note, resources, _) = offered(&[], none(), "gpus:2");
        let expected = "gpus:2 are not offered: no NVIDIA driver on this machine";
        assert_eq!(
            (note.as_deref(), resources.as_str()),
            (Some(expected), "cpus:1")
        );
        let (note, resources, gpus) = offered(&[], told(1), "gpus:4");
        let expected = "gpus:1 of gpus:4 are offered: the driver tells of 1 that can be";
        assert_eq!(
            (note.as_deref(), resources.as_str()),
            (Some(expected), "cpus:1;gpus:1")
        );
        assert_eq!(gpus, ["GPU-0"]);
        // Who asked for nothing is told nothing.
        assert_eq!(
            offered(&[], none(), ""),
            (None, "cpus:1".to_owned(), vec![])
        );
    }

    #[test]
    fn without_devices_gpus_are_counted_as_the_operator_says() {
        let resources = Discovered {
            total: "gpus:1.5".parse().unwrap(),
            explicit: [GPUS.to_owned()].into(),
        };
        let offered = offered_of(Found::default(), resources);
        assert_eq!(offered, (None, "gpus:1.5".to_owned(), vec![]));
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_with_those_that_are() {
        let problem = choose(&["7"], told(2)).unwrap_err();
        assert!(
            problem.contains("7: no such GPU here; there are 0 (GPU-0), 1 (GPU-1)"),
            "{problem}"
        );
        let problem = choose(&["0"], Err("no driver".to_owned())).unwrap_err();
        assert_eq!(problem, "--gpu-devices 0: no driver");
    }

    #[test]
    fn agents_of_one_process_have_different_gpus() {
        let found = choose(&[], told(5)).unwrap();
        let uuids = |n| {
            let part = found.part(n, 2);
            part.devices
                .into_iter()
                .map(|device| device.uuid)
                .collect::<Vec<_>>()
        };
        assert_eq!(uuids(0), ["GPU-0", "GPU-1"]);
        assert_eq!(uuids(1), ["GPU-2", "GPU-3"]);
        assert_eq!(uuids(2), ["GPU-4"]);
    }
}
