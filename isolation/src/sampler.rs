//! Looks at containers at intervals, for what the kernel does not keep: how many processors are in use
//! now, and the most processors and processes that ever were.
//!
//! A look is one short read of a file that stays open, or two, as it is done for every container every second.
//! Memory is not looked at: the kernel keeps its peak. What a look means is in [`Sampled`], which
//! does no I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use tepui_protocol::Usage;

use crate::cgroup::{Backend, Controller};

/// One look in so many counts processes, too: a read costs as much as all else of a look.
const PIDS_EVERY: u32 = 5;

/// What the looks at a container gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// When it was looked at last, and the processor time until then, in microseconds.
    last: Option<(u64, u64)>,
    cpu_milli: Option<u64>,
    cpu_milli_peak: Option<u64>,
    pids_peak: Option<u64>,
}

impl Sampled {
    /// A look at `now_us`: processor time so far, in microseconds, and processes and threads.
    pub fn add(&mut self, now_us: u64, cpu_us: Option<u64>, pids: Option<u64>) {
        if let Some(cpu_us) = cpu_us {
            let rate = self.last.and_then(|(then, before)| {
                let span = now_us.checked_sub(then).filter(|span| *span > 0)?;
                Some(cpu_us.checked_sub(before)? * 1000 / span)
            });
            self.cpu_milli = rate;
            self.cpu_milli_peak = self.cpu_milli_peak.max(rate);
            self.last = Some((now_us, cpu_us));
        }
        self.pids_peak = self.pids_peak.max(pids);
    }

    /// Adds what is known to a count.
    pub fn tell(&self, usage: &mut Usage) {
        usage.cpu_milli = self.cpu_milli;
        usage.cpu_milli_peak = self.cpu_milli_peak;
        // The count may be newer than the last look.
        usage.pids_peak = self.pids_peak.max(usage.pids);
    }
}

/// Looks at the containers of an agent.
#[derive(Debug)]
pub struct Sampler {
    cgroups: Arc<dyn Backend>,
    containers: BTreeMap<String, Open>,
    /// Counts looks.
    looks: u32,
}

#[derive(Debug)]
struct Open {
    cpu: Option<File>,
    pids: Option<File>,
    sampled: Sampled,
}

impl Sampler {
    pub(crate) fn new(cgroups: Arc<dyn Backend>) -> Self {
        Self {
            cgroups,
            containers: BTreeMap::new(),
            looks: 0,
        }
    }

    /// Looks at these containers, and forgets all others. One that is not there yet is looked at
    /// the next time.
    pub fn look(&mut self, now_us: u64, names: &BTreeSet<String>) {
        self.containers.retain(|name, _| names.contains(name));
        let with_pids = self.looks.is_multiple_of(PIDS_EVERY);
        self.looks = self.looks.wrapping_add(1);
        for name in names {
            if !self.containers.contains_key(name) {
                let open = |controller| self.cgroups.open_count(name, controller);
                let open = Open {
                    cpu: open(Controller::Cpuacct),
                    pids: open(Controller::Pids),
                    sampled: Sampled::default(),
                };
                if open.cpu.is_none() && open.pids.is_none() {
                    continue;
                }
                self.containers.insert(name.clone(), open);
            }
            let Some(open) = self.containers.get_mut(name) else {
                continue;
            };
            let scale = self.cgroups.cpu_time_scale();
            let cpu = open
                .cpu
                .as_ref()
                .and_then(first_number)
                .map(|time| time / scale);
            let pids = open.pids.as_ref().filter(|_| with_pids);
            let pids = pids.and_then(first_number);
            open.sampled.add(now_us, cpu, pids);
        }
    }

    /// Adds what the looks at a container gave.
    pub fn tell(&self, name: &str, usage: &mut Usage) {
        if let Some(open) = self.containers.get(name) {
            open.sampled.tell(usage);
        }
    }
}

/// The first number in a short file: `12\n`, `usage_usec 12\n...`.
fn first_number(file: &File) -> Option<u64> {
    let mut text = [0; 64];
    let length = file.read_at(&mut text, 0).ok()?;
    let digits = text[..length]
        .iter()
        .skip_while(|byte| !byte.is_ascii_digit());
    let digits: Vec<u8> = digits.copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_and_peaks_stay() {
        let mut sampled = Sampled::default();
        let mut look = |at, cpu, pids| {
            sampled.add(at, cpu, pids);
            let mut usage = Usage {
                pids: Some(2),
                ..Usage::default()
            };
            sampled.tell(&mut usage);
            (usage.cpu_milli, usage.cpu_milli_peak, usage.pids_peak)
        };
        assert_eq!(look(1_000_000, Some(0), Some(1)), (None, None, Some(2)));
        // Half a processor, then two, then none.
        assert_eq!(
            look(2_000_000, Some(500_000), Some(9)),
            (Some(500), Some(500), Some(9))
        );
        assert_eq!(
            look(2_500_000, Some(1_500_000), Some(3)),
            (Some(2000), Some(2000), Some(9))
        );
        assert_eq!(
            look(3_500_000, Some(1_500_000), None),
            (Some(0), Some(2000), Some(9))
        );
        // A clock that stands still, and a count that starts anew, are no rates.
        assert_eq!(
            look(3_500_000, Some(1_600_000), None),
            (None, Some(2000), Some(9))
        );
        assert_eq!(look(4_500_000, Some(0), None), (None, Some(2000), Some(9)));
        assert_eq!(look(5_500_000, None, None), (None, Some(2000), Some(9)));
    }

    #[test]
    fn numbers_are_read_from_both_kinds_of_files() {
        let dir = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("123\n", Some(123)),
            ("usage_usec 45\nx 6\n", Some(45)),
            ("max\n", None),
        ] {
            let path = dir.path().join("f");
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                first_number(&File::open(&path).unwrap()),
                expected,
                "{text}"
            );
        }
    }
}
